/* Ranks of which a node hears nothing: when that is told, how often, and when it is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/run/silence.h"

enum { RANKS = 3, OTHERS = 6 /* this is rank 0 */ };

static struct silence silence;
static uint64_t now_ns, received[RANKS];

static int begin(void **state)
{
    (void)state;
    now_ns = 1;
    silence_init(&silence, now_ns);
    for (unsigned r = 0; r < RANKS; r++)
        received[r] = 0;
    return 0;
}

/* Looks for that long, while `talking` are heard. Returns how often something was told; *last is the last of it. */
static unsigned pass(uint64_t seconds, uint64_t here, uint64_t talking, struct silence_news *last)
{
    unsigned told = 0;

    for (uint64_t left = seconds * UINT64_C(1000000000) / SILENCE_LOOK_NS; left > 0; left--) {
        now_ns += SILENCE_LOOK_NS;
        for (unsigned r = 0; r < RANKS; r++)
            received[r] += talking >> r & 1;
        assert_true(silence_is_due(&silence, now_ns));
        silence_look(&silence, now_ns, received, RANKS, here);
        while (silence_next(&silence, last))
            told++;
    }
    return told;
}

static void nothing_is_told_while_all_are_heard(void **state)
{
    struct silence_news news;

    (void)state;
    assert_int_equal(pass(3600, OTHERS, OTHERS, &news), 0);
    assert_false(silence_is_due(&silence, now_ns + SILENCE_LOOK_NS - 1));
}

static void a_silent_rank_is_told_after_seconds_and_then_ever_more_rarely(void **state)
{
    struct silence_news news;

    (void)state;
    assert_int_equal(pass(100, OTHERS, OTHERS, &news), 0);
    assert_int_equal(pass(4, OTHERS, 2, &news), 0);
    assert_int_equal(pass(1, OTHERS, 2, &news), 1);
    assert_int_equal(news.rank, 2);
    assert_false(news.is_over);
    assert_int_equal(news.silent_ns, SILENCE_FIRST_NS);
    assert_int_equal(pass(44, OTHERS, 2, &news), 0);
    assert_int_equal(pass(1, OTHERS, 2, &news), 1);
    assert_int_equal(news.silent_ns, SILENCE_AGAIN * SILENCE_FIRST_NS);
    assert_int_equal(pass(449, OTHERS, 2, &news), 0);
    assert_int_equal(pass(1, OTHERS, 2, &news), 1);
}

static void the_end_of_a_silence_is_told_if_the_silence_was(void **state)
{
    struct silence_news news;

    (void)state;
    assert_int_equal(pass(4, OTHERS, 4, &news), 0);
    assert_int_equal(pass(1, OTHERS, OTHERS, &news), 0);
    assert_int_equal(pass(7, OTHERS, 4, &news), 1);
    assert_int_equal(pass(1, OTHERS, OTHERS, &news), 1);
    assert_int_equal(news.rank, 1);
    assert_true(news.is_over);
    assert_int_equal(news.silent_ns, UINT64_C(7000000000));
    assert_int_equal(pass(4, OTHERS, 4, &news), 0);
    assert_int_equal(pass(1, OTHERS, 4, &news), 1); /* the next silence is a new one */
    assert_false(news.is_over);
}

static void who_was_not_there_yet_or_has_left_is_not_silent(void **state)
{
    struct silence_news news;

    (void)state;
    assert_int_equal(pass(3600, 0, 0, &news), 0);
    assert_int_equal(pass(5, OTHERS, 0, &news), 2);
    assert_int_equal(pass(1, 2, 0, &news), 1);
    assert_int_equal(news.rank, 2);
    assert_true(news.is_over);
}

/* Stopped, or its machine suspended: nobody was heard, because nobody listened. */
static void time_in_which_this_process_stood_still_does_not_count(void **state)
{
    struct silence_news news;

    (void)state;
    assert_int_equal(pass(2, OTHERS, OTHERS, &news), 0);
    now_ns += UINT64_C(3600000000000);
    assert_int_equal(pass(4, OTHERS, 0, &news), 0);
    assert_int_equal(pass(1, OTHERS, 0, &news), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_told_while_all_are_heard, begin),
        cmocka_unit_test_setup(a_silent_rank_is_told_after_seconds_and_then_ever_more_rarely, begin),
        cmocka_unit_test_setup(the_end_of_a_silence_is_told_if_the_silence_was, begin),
        cmocka_unit_test_setup(who_was_not_there_yet_or_has_left_is_not_silent, begin),
        cmocka_unit_test_setup(time_in_which_this_process_stood_still_does_not_count, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
