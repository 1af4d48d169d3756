/* Tables of words and phrases, from which stories are made: rows of texts, each with the facts it needs and the facts it brings.
 *
 * A text is a template of stories_grammar.h. Rows are chosen by their tags: what a row brings (`tags`) can be asked for, and becomes a fact
 * of the story; what it needs (`when`) must be a fact already. Bits of one kind (a land, a season) are alternatives of one another. */
#ifndef NODE_STORIES_TABLE_H
#define NODE_STORIES_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  tag     in guards  */
#define STORIES_TAGS(T)                                                           \
    T(HUMAN, human)   /* the world: of people, */                                 \
    T(ANIMAL, animal) /* or of animals that behave like people */                 \
    T(SEA, sea)       /* the land around */                                       \
    T(RIVER, river)                                                               \
    T(LAKE, lake)                                                                 \
    T(HILL, hill)                                                                 \
    T(WOOD, wood)                                                                 \
    T(FIELD, field)                                                               \
    T(SHORE, shore) /* of spots: by the water */                                  \
    T(WARM, warm)   /* the day */                                                 \
    T(COLD, cold)                                                                 \
    T(MILD, mild)                                                                 \
    T(FAIR, fair)   /* neither rain nor wind nor snow */                          \
    T(GIFT, gift)   /* of things: one can wish for it */                          \
    T(SMALL, small) /* goes into a pocket; of animals: smaller than the others */ \
    T(TALL, tall)   /* of animals */                                              \
    T(LIGHT, light) /* a gust of wind can take it */                              \
    T(SHINY, shiny)                                                               \
    T(HARD, hard) /* what a thing is made of: wood, */                            \
    T(METAL, metal)                                                               \
    T(SOFT, soft) /* cloth or paper */

enum stories_tag_bit {
#define STORIES_BIT(name, word) STORIES_BIT_##name,
    STORIES_TAGS(STORIES_BIT)
#undef STORIES_BIT
        STORIES_TAG_COUNT
};

enum stories_tag {
#define STORIES_TAG(name, word) TAG_##name = 1 << STORIES_BIT_##name,
    STORIES_TAGS(STORIES_TAG)
#undef STORIES_TAG
        TAG_NONE = 0,
    TAG_WORLD = TAG_HUMAN | TAG_ANIMAL,
    TAG_WATER = TAG_SEA | TAG_RIVER | TAG_LAKE,
    TAG_LAND = TAG_WATER | TAG_HILL | TAG_WOOD | TAG_FIELD,
    TAG_AIR = TAG_WARM | TAG_COLD | TAG_MILD,
    TAG_STUFF = TAG_HARD | TAG_METAL | TAG_SOFT,
};

enum { STORIES_COLUMNS_MAX = 8 };

struct stories_row {
    uint32_t when;                          /* of each kind of tags in here, one must be a fact */
    uint32_t tags;                          /* become facts when the row is taken */
    const char *texts[STORIES_COLUMNS_MAX]; /* templates */
};

struct stories_table {
    const char *columns[STORIES_COLUMNS_MAX + 1]; /* names of the texts, NULL after the last; the first is meant when none is named */
    const struct stories_row *rows;
    size_t row_count;
};

#define STORIES_ROWS(array) .rows = (array), .row_count = sizeof(array) / sizeof *(array)

/* Whether of each kind of tags in `when` one is among the facts. */
static inline bool stories_table_fits(uint32_t when, uint32_t facts)
{
    const uint32_t kinds[] = {TAG_WORLD, TAG_LAND, TAG_AIR, TAG_STUFF, TAG_SMALL, TAG_LIGHT, TAG_SHINY};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((when & kinds[i]) != 0 && (when & kinds[i] & facts) == 0)
            return false;
    return true;
}

#endif
