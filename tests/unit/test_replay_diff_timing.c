/* mesh-replay diff: which differences of timings are more than noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "diff_case.h"

/* Tokens whose intervals vary by a third around a mean; one in slow_every takes ten times as long (0: none). */
static void add_intervals(unsigned side, unsigned count, double mean_us, uint32_t seed, unsigned slow_every)
{
    int64_t t_ns = 0;

    for (unsigned i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        t_ns += (int64_t)(mean_us * 1e3 * (0.67 + 0.66 * (seed >> 8) / (1 << 24)) * (slow_every > 0 && i % slow_every == 7 ? 10 : 1));
        diff_case_add_token(side, 1, i, 1, t_ns);
    }
}

static unsigned slow_every; /* for the second side */

static enum diff_change change_of(unsigned count, double a_us, double b_us)
{
    add_intervals(0, count, a_us, 11, 0);
    add_intervals(1, count, b_us, 12, slow_every);
    diff_case_open();
    assert_int_equal(diff_timings(&diff_case.diff, &diff_case.failure), 0);
    assert_string_equal(diff_case.diff.timings[1].name, "token_interval");
    return diff_case.diff.timings[1].change;
}

static void noise_is_no_change(void **state)
{
    (void)state;
    assert_int_equal(change_of(3000, 500, 500), DIFF_UNCHANGED);
}

static void a_tenth_slower_is_seen_in_spite_of_noise(void **state)
{
    (void)state;
    assert_int_equal(change_of(3000, 500, 550), DIFF_SLOWER);
    assert_true(diff_case.diff.timings[1].p50_percent > 5 && diff_case.diff.timings[1].p50_percent < 15);
}

static void and_faster_too(void **state)
{
    (void)state;
    assert_int_equal(change_of(3000, 500, 450), DIFF_FASTER);
}

static void a_few_values_tell_nothing(void **state)
{
    (void)state;
    assert_int_equal(change_of(20, 500, 5000), DIFF_TOO_FEW);
}

static void a_slower_tail_is_seen_beside_a_faster_median(void **state)
{
    (void)state;
    slow_every = 33;
    assert_int_equal(change_of(3000, 500, 450), DIFF_FASTER);
    assert_true(diff_case.diff.timings[1].p99_is_slower && !diff_case.diff.timings[1].p50_is_slower);
    assert_true(diff_is_too_slow(&diff_case.diff, 50));
    slow_every = 0;
}

static void a_tail_of_too_few_values_does_not_count_beside_a_slower_median(void **state)
{
    (void)state;
    slow_every = 33;
    assert_int_equal(change_of(900, 500, 550), DIFF_SLOWER);
    assert_true(diff_case.diff.timings[1].p99_percent > 100);
    assert_false(diff_is_too_slow(&diff_case.diff, 50));
    assert_true(diff_is_too_slow(&diff_case.diff, 5));
    slow_every = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, diff_case_set_up, diff_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(noise_is_no_change),
        TEST(a_tenth_slower_is_seen_in_spite_of_noise),
        TEST(and_faster_too),
        TEST(a_few_values_tell_nothing),
        TEST(a_slower_tail_is_seen_beside_a_faster_median),
        TEST(a_tail_of_too_few_values_does_not_count_beside_a_slower_median),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
