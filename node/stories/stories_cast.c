#include "stories_cast.h"

#include <assert.h>
#include <string.h>

#include "node/common/hash.h"
#include "stories_words.h"

enum { NAME, ANY, KIND, THE, TRAIT, HABIT, A, HE, HIM, HIS, HIMSELF, HAND, HOME, WOMAN, COLUMN_COUNT };
enum { TRIES_MAX = 10000 };

_Static_assert((int)COLUMN_COUNT <= (int)STORIES_PERSON_TEXTS, "a person has room for all columns");

static const char *const person_columns[] = {
    [NAME] = "name",       [ANY] = "any",   [KIND] = "kind", [THE] = "the",     [TRAIT] = "trait",
    [HABIT] = "habit",     [A] = "a",       [HE] = "he",     [HIM] = "him",     [HIS] = "his",
    [HIMSELF] = "himself", [HAND] = "hand", [HOME] = "home", [WOMAN] = "woman", [COLUMN_COUNT] = NULL,
};

/* A sequence of random numbers. */
struct draw {
    uint64_t key;
    uint64_t count;
};

static uint64_t next(struct draw *draw)
{
    return hash_words3(draw->key, draw->count++, 2);
}

static size_t below(struct draw *draw, size_t limit)
{
    assert(limit > 0);
    return (size_t)(next(draw) % limit);
}

/* ---- rows ---- */

static bool is_taken(const struct stories_cast *cast, const struct stories_row *row)
{
    for (size_t i = 0; i < cast->row_count; i++)
        if (cast->rows[i] == row)
            return true;
    return false;
}

static bool fits(const struct stories_cast *cast, const struct stories_row *row, uint32_t any)
{
    const uint32_t world = row->tags & TAG_WORLD;

    return (any == 0 || (row->tags & any) != 0) && (world == 0 || (world & cast->scene.facts) != 0) &&
           stories_table_fits(row->when, cast->scene.facts) && !is_taken(cast, row);
}

/* Each row that fits is equally likely, since rows are drawn until one does. */
static const struct stories_row *take_row(struct stories_cast *cast, const struct stories_table *table, uint32_t any, struct draw *draw)
{
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        const struct stories_row *row = &table->rows[below(draw, table->row_count)];

        if (fits(cast, row, any)) {
            assert(cast->row_count < STORIES_ROWS_MAX);
            cast->rows[cast->row_count++] = row;
            return row;
        }
    }
    assert(!"a plot's slot has a row for every cast");
    return NULL;
}

/* ---- persons ---- */

static bool initial_is_taken(const struct stories_cast *cast, const char *name)
{
    for (size_t i = 0; i < cast->person_count; i++)
        if (cast->persons[i].texts[NAME][0] == name[0])
            return true;
    return false;
}

static size_t count_names(const char *const *names)
{
    size_t count = 0;

    while (names[count] != NULL)
        count++;
    return count;
}

static const char *pick_name(const struct stories_cast *cast, const char *const *names, struct draw *draw)
{
    const size_t count = count_names(names);

    for (unsigned i = 0; i < TRIES_MAX; i++) {
        const char *name = names[below(draw, count)];

        if (!initial_is_taken(cast, name))
            return name;
    }
    assert(!"there are more initials than persons");
    return NULL;
}

/* Two who play together are a boy and a girl more often than not, so that "he" and "she" are clear. */
static enum stories_gender pick_gender(const struct stories_cast *cast, struct draw *draw)
{
    if (cast->person_count == 1 && below(draw, 3) > 0)
        return cast->persons[0].texts[HE][0] == 'h' ? STORIES_GIRL : STORIES_BOY;
    return below(draw, 2) == 0 ? STORIES_GIRL : STORIES_BOY;
}

static void set_gender(struct stories_person *person, enum stories_gender gender)
{
    const bool is_girl = gender == STORIES_GIRL;

    person->texts[HE] = is_girl ? "she" : "he";
    person->texts[HIM] = is_girl ? "her" : "him";
    person->texts[HIS] = is_girl ? "her" : "his";
    person->texts[HIMSELF] = is_girl ? "herself" : "himself";
    person->texts[WOMAN] = is_girl ? "woman" : "man";
}

static void fill_child(struct stories_cast *cast, struct stories_person *person, enum stories_gender gender, struct draw *draw)
{
    person->texts[NAME] = pick_name(cast, stories_names_human[gender], draw);
    person->texts[KIND] = gender == STORIES_GIRL ? "girl" : "boy";
    person->texts[A] = "{a} {x.trait} [||little ]{x.kind}";
    person->texts[HOME] = "[house|cottage]";
}

static void fill_beast(struct stories_cast *cast, struct stories_person *person, uint32_t any, enum stories_gender gender,
                       struct draw *draw)
{
    const struct stories_row *row = take_row(cast, &stories_beasts, any, draw);

    person->texts[NAME] = pick_name(cast, stories_names_animal[gender], draw);
    person->texts[KIND] = row->texts[0];
    person->texts[A] = "{a} {x.trait} [|young |little ]{x.kind}";
    person->texts[HOME] = row->texts[1];
}

static void fill_grown(struct stories_cast *cast, struct stories_person *person, enum stories_role role, enum stories_gender gender,
                       struct draw *draw)
{
    const bool has_craft = role == STORIES_CRAFT && (cast->scene.facts & TAG_HUMAN) != 0;
    const struct stories_row *row = take_row(cast, has_craft ? &stories_crafts : &stories_elders, 0, draw);

    person->texts[NAME] = pick_name(cast, stories_names_old[gender], draw);
    person->texts[KIND] = row->texts[0];
    person->texts[A] = "{a} {x.kind}";
    person->texts[HOME] = "house";
}

static const char *const *fill_person(struct stories_cast *cast, const struct stories_slot_plan *plan, struct draw *draw)
{
    assert(cast->person_count < STORIES_PERSONS_MAX);

    struct stories_person *person = &cast->persons[cast->person_count];
    const enum stories_gender gender = pick_gender(cast, draw);
    const struct stories_row *trait = take_row(cast, &stories_traits, 0, draw);

    set_gender(person, gender);
    person->texts[THE] = "the {x.kind}";
    person->texts[TRAIT] = trait->texts[0];
    person->texts[HABIT] = trait->texts[1];
    person->texts[HAND] = (cast->scene.facts & TAG_HUMAN) != 0 ? "hand" : "paw";
    person->texts[ANY] = plan->role == STORIES_ELDER || plan->role == STORIES_CRAFT ? "[{x.name}|{x.the}]" : "{x.name}";
    if (plan->role != STORIES_PEER)
        fill_grown(cast, person, plan->role, gender, draw);
    else if ((cast->scene.facts & TAG_HUMAN) != 0)
        fill_child(cast, person, gender, draw);
    else
        fill_beast(cast, person, plan->any, gender, draw);
    cast->person_count++;
    return person->texts;
}

/* ---- the whole ---- */

static void fill_slot(struct stories_cast *cast, const struct stories_slot_plan *plan, struct draw *draw)
{
    assert(cast->scene.slot_count < STORIES_SLOTS_MAX);

    struct stories_slot *slot = &cast->scene.slots[cast->scene.slot_count];

    slot->name = plan->name;
    slot->key = next(draw);
    if (plan->role != STORIES_NOBODY) {
        slot->columns = person_columns;
        slot->texts = fill_person(cast, plan, draw);
    } else {
        const struct stories_row *row = take_row(cast, plan->table, plan->any, draw);

        slot->columns = plan->table->columns;
        slot->texts = row->texts;
        cast->scene.facts |= row->tags;
    }
    cast->scene.slot_count++;
}

void stories_cast_fill(struct stories_cast *cast, const struct stories_plot *plot, uint64_t key)
{
    struct draw draw = {key, 0};
    const uint32_t both = TAG_HUMAN | TAG_ANIMAL;

    *cast = (struct stories_cast){0};
    cast->scene.facts = plot->worlds != both ? plot->worlds : below(&draw, 5) < 3 ? TAG_HUMAN : TAG_ANIMAL;
    for (const struct stories_slot_plan *plan = plot->slots; plan->name != NULL; plan++)
        fill_slot(cast, plan, &draw);
}
