/* Stories as they are written: rules that each of them follows, and what they do not depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/stories/stories.h"
#include "tests/unit/prose.h"

enum { STORIES = 4000 };

static char story[STORIES_BYTES_MAX], other[STORIES_BYTES_MAX];

static void every_story_is_clean_prose(void **state)
{
    char reason[PROSE_REASON_SIZE];

    (void)state;
    for (uint64_t i = 0; i < STORIES; i++) {
        const size_t size = stories_write(11, i, story, sizeof story);

        if (!prose_is_clean(story, size, reason))
            fail_msg("mesh-node stories -o - --seed 11 --count %u: the last one: %s", (unsigned)i + 1, reason);
    }
}

static void every_story_has_80_to_200_words_and_most_have_100_to_170(void **state)
{
    size_t usual = 0;

    (void)state;
    for (uint64_t i = 0; i < STORIES; i++) {
        const size_t words = prose_count_words(story, stories_write(12, i, story, sizeof story));

        assert_in_range(words, STORIES_WORDS_MIN, STORIES_WORDS_MAX);
        usual += words >= 100 && words <= 170;
    }
    assert_true(usual > STORIES * 3 / 4);
}

static void a_story_depends_on_seed_and_index_only(void **state)
{
    (void)state;
    memset(story, 'x', sizeof story);
    for (uint64_t i = 0; i < 100; i++) {
        const size_t size = stories_write(13, i, story, sizeof story);

        stories_write(14, i, other, sizeof other);
        memset(other, 'y', sizeof other);
        assert_int_equal(stories_write(13, i, other, sizeof other), size);
        assert_memory_equal(other, story, size);
    }
}

static void other_seeds_and_indices_give_other_stories(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        const size_t size = stories_write(15, i, story, sizeof story);
        const size_t next_size = stories_write(15, i + 1, other, sizeof other);

        assert_false(size == next_size && memcmp(story, other, size) == 0);
        assert_false(size == stories_write(16, i, other, sizeof other) && memcmp(story, other, size) == 0);
    }
}

/* Change the number together with the stories; otherwise a difference means that machines differ. */
static void stories_are_the_same_on_every_machine(void **state)
{
    uint64_t digest = 0;

    (void)state;
    for (uint64_t i = 0; i < 500; i++)
        digest = hash_bytes(digest, story, stories_write(1, i, story, sizeof story));
    assert_int_equal(digest, UINT64_C(0x193e536e7fc33eb7));
}

static void a_story_stays_within_its_bytes(void **state)
{
    char large[2 * STORIES_BYTES_MAX];

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        memset(large, '#', sizeof large);
        assert_true(stories_write(17, i, large, sizeof large) <= STORIES_BYTES_MAX);
        for (size_t byte = STORIES_BYTES_MAX; byte < sizeof large; byte++)
            assert_int_equal(large[byte], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_story_is_clean_prose),
        cmocka_unit_test(every_story_has_80_to_200_words_and_most_have_100_to_170),
        cmocka_unit_test(a_story_depends_on_seed_and_index_only),
        cmocka_unit_test(other_seeds_and_indices_give_other_stories),
        cmocka_unit_test(stories_are_the_same_on_every_machine),
        cmocka_unit_test(a_story_stays_within_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
