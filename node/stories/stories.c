#include "stories.h"

#include <assert.h>
#include <stdbool.h>

#include "node/common/hash.h"
#include "stories_cast.h"
#include "stories_grammar.h"
#include "stories_plot.h"

/* A story may be told a few times, with other words, until it is as short as most; else the shortest is taken. */
enum { WORDS_USUAL_MAX = 168, TELLINGS = 6, CASTS_MAX = 100 };

struct telling {
    size_t size; /* 0: not told, or not in the words that are allowed */
    size_t words;
    uint64_t key;
};

static const struct stories_plot *pick_plot(uint64_t story)
{
    size_t count = 0;

    while (stories_plots[count] != NULL)
        count++;
    assert(count > 0);
    return stories_plots[story % count];
}

/* There is one space between words, and an empty line between paragraphs. */
static size_t count_words(const char *text, size_t size)
{
    size_t spaces = 0;
    size_t newlines = 0;

    for (size_t i = 0; i < size; i++) {
        spaces += text[i] == ' ';
        newlines += text[i] == '\n';
    }
    return 1 + spaces + newlines / 2;
}

static struct telling tell(const struct stories_plot *plot, const struct stories_cast *cast, uint64_t key, char *out)
{
    struct stories_text text;

    stories_text_begin(&text, out, STORIES_BYTES_MAX);
    for (uint64_t i = 0; plot->text[i] != NULL; i++)
        stories_grammar_expand(&text, &cast->scene, plot->text[i], hash_words3(key, i, 1));
    stories_text_end(&text);

    const size_t words = count_words(out, text.size);
    const bool fits = !text.truncated && words >= STORIES_WORDS_MIN && words <= STORIES_WORDS_MAX;

    return (struct telling){.size = fits ? text.size : 0, .words = words, .key = key};
}

/* The first telling that is as short as most, or the shortest; size 0 when none has a length that is allowed. */
static struct telling tell_briefly(const struct stories_plot *plot, const struct stories_cast *cast, uint64_t key, char *out)
{
    struct telling best = {0};

    for (uint64_t i = 0; i < TELLINGS; i++) {
        const struct telling telling = tell(plot, cast, hash_words3(key, i, 2), out);

        if (telling.size > 0 && telling.words <= WORDS_USUAL_MAX)
            return telling;
        if (telling.size > 0 && (best.size == 0 || telling.words < best.words))
            best = telling;
    }
    return best.size > 0 ? tell(plot, cast, best.key, out) : best;
}

size_t stories_write(uint64_t seed, uint64_t index, char *out, size_t capacity)
{
    assert(out != NULL && capacity >= STORIES_BYTES_MAX);

    const uint64_t story = hash_words3(seed, index, 3);
    const struct stories_plot *plot = pick_plot(story);

    for (uint64_t i = 0; i < CASTS_MAX; i++) {
        const uint64_t key = hash_words3(story, i, 4);
        struct stories_cast cast;

        stories_cast_fill(&cast, plot, key);

        const struct telling telling = tell_briefly(plot, &cast, key, out);

        if (telling.size > 0)
            return telling.size;
    }
    assert(!"a plot can be told in the words that are allowed");
    return 0;
}
