/* A peer's clock that is ahead, gains or loses, stops and is set, measured over paths whose two ways take random times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libmesh/core/mix.h"
#include "libmesh/core/peer_clock.h"

#define US INT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)

enum { FIRST_PINGS = 8 };

/* Both clocks: their true difference when this node's shows `since_ns`, and how it changes. */
struct clocks {
    struct mesh_peer_clock measured;
    uint64_t seed, draws;
    int64_t now_ns, since_ns, ahead_ns, drift_ppb;
    int64_t way_ns, jitter_ns; /* each way takes the one, and up to the other more */
    int64_t most_off_ns;       /* in the last run */
    unsigned pings;
};

static struct clocks begin(int64_t drift_ppb, int64_t way_ns, int64_t jitter_ns)
{
    return (struct clocks){
        .seed = 1, .now_ns = S, .since_ns = S, .ahead_ns = 12345 * S, .drift_ppb = drift_ppb, .way_ns = way_ns, .jitter_ns = jitter_ns};
}

static int64_t truth(const struct clocks *c, int64_t at_ns)
{
    return c->ahead_ns + (at_ns - c->since_ns) / 1000 * c->drift_ppb / 1000000;
}

/* From now on the peer's clock gains that, and is ahead by `jump_ns` more. */
static void change(struct clocks *c, int64_t jump_ns, int64_t drift_ppb)
{
    c->ahead_ns = truth(c, c->now_ns) + jump_ns;
    c->since_ns = c->now_ns;
    c->drift_ppb = drift_ppb;
}

static int64_t way(struct clocks *c)
{
    return c->way_ns + (int64_t)(mesh_draw_below(mesh_draw(c->seed, 0, c->draws++), (uint64_t)c->jitter_ns + 1));
}

static void ping(struct clocks *c)
{
    const int64_t there_ns = way(c), back_ns = way(c), received_ns = c->now_ns + there_ns + truth(c, c->now_ns + there_ns);

    c->now_ns += there_ns + back_ns;
    mesh_peer_clock_take(&c->measured, (uint64_t)c->now_ns, (uint64_t)(there_ns + back_ns),
                         received_ns - (c->now_ns - (there_ns + back_ns) / 2));
    c->pings++;
}

/* Pings as mesh_peer_tick has them; in between the estimate is compared with the truth. Returns by how much it was beyond its error. */
static int64_t run(struct clocks *c, int64_t ns)
{
    const int64_t end_ns = c->now_ns + ns;
    int64_t beyond_ns = INT64_MIN;

    c->most_off_ns = 0;
    while (c->now_ns < end_ns) {
        const int64_t next_ns = c->now_ns + (c->pings < FIRST_PINGS ? 2 * MS : 200 * MS);

        ping(c);
        for (; c->now_ns < next_ns; c->now_ns += MS) {
            const int64_t wrong_ns = mesh_peer_clock_ahead_ns(&c->measured, (uint64_t)c->now_ns) - truth(c, c->now_ns);
            const int64_t off_ns = wrong_ns < 0 ? -wrong_ns : wrong_ns;
            const int64_t error_ns = (int64_t)mesh_peer_clock_error_ns(&c->measured, (uint64_t)c->now_ns);

            c->most_off_ns = off_ns > c->most_off_ns ? off_ns : c->most_off_ns;
            beyond_ns = off_ns - error_ns > beyond_ns ? off_ns - error_ns : beyond_ns;
        }
    }
    return beyond_ns;
}

static void nothing_is_known_before_the_first_ping(void **state)
{
    const struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    assert_int_equal(mesh_peer_clock_ahead_ns(&clock, 5 * S), 0);
    assert_int_equal(mesh_peer_clock_error_ns(&clock, 5 * S), 0);
}

static void no_estimate_is_off_by_more_than_its_error(void **state)
{
    static const int64_t drifts_ppb[] = {0, 20000, -40000, 80000, -99000};
    static const struct {
        int64_t way_ns, jitter_ns;
    } paths[] = {{5 * US, 60 * US}, {50 * US, 2 * US}, {40 * US, 3 * MS}, {8 * MS, 2 * MS}};

    (void)state;
    for (size_t d = 0; d < sizeof drifts_ppb / sizeof *drifts_ppb; d++)
        for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
            struct clocks c = begin(drifts_ppb[d], paths[p].way_ns, paths[p].jitter_ns);

            assert_true(run(&c, 600 * S) <= 0);
        }
}

/* By samples alone it would be 16 us between two pings: 80 millionths of 200 ms. */
static void a_drift_is_taken_out_once_it_is_known(void **state)
{
    struct clocks c = begin(80000, 50 * US, 2 * US);

    (void)state;
    run(&c, 40 * S);
    run(&c, 300 * S);
    assert_true(c.most_off_ns < 2 * US);
}

/* A quick round trip at the start, and then 0.4 ms more on both ways: that sample stays the best for long. */
static void a_drift_is_taken_out_of_a_sample_of_a_lucky_moment(void **state)
{
    struct clocks c = begin(-40000, 10 * US, 20 * US);

    (void)state;
    run(&c, 30 * S);
    c.way_ns += 400 * US;
    assert_true(run(&c, 300 * S) <= 0);
    assert_true(c.most_off_ns < 30 * US);
}

/* The peer's machine was suspended for a second. An offset that is kept for its short round trip would be wrong by that for long. */
static void a_clock_that_was_stopped_is_followed_by_the_next_ping(void **state)
{
    struct clocks c = begin(20000, 10 * US, 20 * US);

    (void)state;
    run(&c, 60 * S);
    c.way_ns += 400 * US;
    change(&c, -S, 20000);
    ping(&c);
    assert_true(run(&c, 60 * S) <= 0);
    assert_true(c.most_off_ns < 50 * US);
}

/* As by chrony, which sets a clock by a slower or faster one: the drift that was learned before is wrong from one moment to the next. */
static void a_clock_that_is_slewed_is_followed(void **state)
{
    struct clocks c = begin(3000, 50 * US, 5 * US);

    (void)state;
    run(&c, 120 * S);
    change(&c, 0, 503000);
    run(&c, 20 * S);
    assert_true(c.most_off_ns < 300 * US);
    change(&c, 0, 3000);
    run(&c, 20 * S);
    assert_true(c.most_off_ns < 300 * US);
    assert_true(run(&c, 300 * S) <= 0);
    assert_true(c.most_off_ns < 5 * US);
}

/* ---- sample by sample ---- */

enum { START_S = 7 };

/* At a time after the start, off by up to error_ns. The clock is ahead by a millisecond at the start, and gains 50 millionths. */
static void take(struct mesh_peer_clock *clock, int64_t since_ns, int64_t error_ns)
{
    mesh_peer_clock_take(clock, (uint64_t)(START_S * S + since_ns), (uint64_t)(2 * error_ns), MS + since_ns / 20000);
}

static int64_t ahead_ns(const struct mesh_peer_clock *clock, int64_t since_ns)
{
    return mesh_peer_clock_ahead_ns(clock, (uint64_t)(START_S * S + since_ns));
}

static uint64_t error_ns(const struct mesh_peer_clock *clock, int64_t since_ns)
{
    return mesh_peer_clock_error_ns(clock, (uint64_t)(START_S * S + since_ns));
}

static void expect_at(const struct mesh_clock_sample *sample, int64_t since_ns)
{
    assert_int_equal(sample->at_ns, START_S * S + since_ns);
}

static void a_sample_is_off_by_half_its_round_trip_and_by_a_drift_of_a_ten_thousandth(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    mesh_peer_clock_take(&clock, START_S * S, 2001, MS);
    assert_int_equal(error_ns(&clock, 0), 1001);
    assert_int_equal(error_ns(&clock, -S), 1001);
    assert_int_equal(error_ns(&clock, S), 1001 + 100 * US);
    assert_int_equal(error_ns(&clock, 3600 * S), 1001 + 360 * MS);
    assert_int_equal(error_ns(&clock, 9000 * S), 1001 + 360 * MS); /* for how long it has been unknown does not matter any more */
    assert_int_equal(ahead_ns(&clock, 9000 * S), MS);
    clock = (struct mesh_peer_clock){.window_ns = 0};
    mesh_peer_clock_take(&clock, START_S * S, UINT64_MAX, MS);
    assert_true(error_ns(&clock, 0) == UINT64_MAX / 8);
}

static void two_samples_tell_the_drift_and_leave_open_their_errors_and_a_millionth(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, 1000);
    take(&clock, 10 * S, 1000);
    assert_int_equal(clock.drift_ppb, 50000);
    assert_int_equal(clock.drift_error_ppb, 200 + 1000);
    assert_int_equal(ahead_ns(&clock, 20 * S), MS + 1000 * US);
    assert_int_equal(error_ns(&clock, 20 * S), 1000 + 12000);
    mesh_peer_clock_take(&clock, (START_S + 12) * S, 6000, MS + 601 * US); /* kept, but tells less of the drift */
    expect_at(&clock.kept, 12 * S);
    assert_int_equal(clock.drift_ppb, 50000);
    assert_int_equal(clock.drift_error_ppb, 1200);
}

static void samples_that_may_just_be_true_together_are(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, 1000);
    mesh_peer_clock_take(&clock, (START_S + 1) * S, 2000, MS + 2 * 1000 + 100 * US);
    expect_at(&clock.oldest, 0);
    clock = (struct mesh_peer_clock){.window_ns = 0};
    take(&clock, 0, 1000);
    mesh_peer_clock_take(&clock, (START_S + 1) * S, 2000, MS + 2 * 1000 + 100 * US + 1);
    expect_at(&clock.oldest, S);
    assert_int_equal(clock.best.error_ns, 0);
}

static void of_equal_samples_the_newer_one_is_kept(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, 1000);
    take(&clock, S, 1000);
    take(&clock, 2 * S, 1000);
    expect_at(&clock.best, 2 * S);
    mesh_peer_clock_take(&clock, clock.kept.at_ns, 2000, clock.kept.ahead_ns + 10);
    assert_int_equal(clock.kept.ahead_ns, MS + 100 * US + 10);
}

/* Their sum, times a million, is a multiple of two to the power of 64. */
static void errors_that_are_too_large_tell_nothing_of_the_drift(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, INT64_C(1) << 57);
    take(&clock, 10 * S, INT64_C(1) << 57);
    expect_at(&clock.kept, 10 * S);
    assert_int_equal(clock.drift_ppb, 0);
    assert_int_equal(clock.drift_error_ppb, 100000);
}

static void after_a_silence_of_hours_no_drift_is_learned(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, 1000);
    take(&clock, 7200 * S, 1000);
    expect_at(&clock.kept, 7200 * S);
    expect_at(&clock.oldest, 0);
    assert_int_equal(clock.drift_ppb, 0);
    assert_int_equal(clock.drift_error_ppb, 100000);
}

/* The best sample of each window of 16 seconds; of the start the best one of a tenth of a second. */
static void drift_is_measured_from_the_best_sample_of_the_window_before_the_last(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, 1000);
    take(&clock, 50 * MS, 900);
    take(&clock, 60 * MS, 950);
    expect_at(&clock.oldest, 50 * MS);
    take(&clock, 100 * MS - 1, 800);
    expect_at(&clock.oldest, 100 * MS - 1);
    take(&clock, 100 * MS, 700);
    expect_at(&clock.oldest, 100 * MS - 1);
    take(&clock, 16 * S - 1, 800);
    expect_at(&clock.best, 100 * MS);
    assert_int_equal(clock.middle.error_ns, 0);
    take(&clock, 16 * S, 600);
    expect_at(&clock.middle, 100 * MS);
    expect_at(&clock.best, 16 * S);
    assert_int_equal(clock.window_ns, (START_S + 16) * S);
    expect_at(&clock.oldest, 100 * MS - 1);
    take(&clock, 16 * S + 10 * MS, 500); /* no window but the first has a start of its own */
    expect_at(&clock.oldest, 100 * MS - 1);
    take(&clock, 32 * S, 1200);
    expect_at(&clock.oldest, 100 * MS);
    expect_at(&clock.middle, 16 * S + 10 * MS);
    expect_at(&clock.best, 32 * S);
    take(&clock, 48 * S, 1300);
    expect_at(&clock.oldest, 16 * S + 10 * MS);
    expect_at(&clock.middle, 32 * S);
    expect_at(&clock.best, 48 * S);
}

/* It would otherwise be that of a lucky moment. */
static void drift_is_learned_anew_with_each_window(void **state)
{
    struct mesh_peer_clock clock = {.window_ns = 0};

    (void)state;
    take(&clock, 0, 1000);
    take(&clock, S, 500);
    take(&clock, 10 * S, 600);
    assert_int_equal(clock.drift_error_ppb, 160 + 1000);
    take(&clock, 16 * S, 10 * MS);
    expect_at(&clock.kept, 10 * S);
    assert_int_equal(clock.drift_ppb, 50000);
    assert_int_equal(clock.drift_error_ppb, 1500 + 1000); /* from the start to the best sample, after a second */
    clock = (struct mesh_peer_clock){.window_ns = 0};
    take(&clock, 0, 1000);
    take(&clock, MS, 500); /* the first and the best */
    take(&clock, 10 * S, 600);
    assert_int_equal(clock.drift_ppb, 50000);
    take(&clock, 16 * S, 10 * MS);
    assert_int_equal(clock.drift_ppb, 0);
    assert_int_equal(clock.drift_error_ppb, 100000);
}

/* Silence for a day, and clocks that show what none can show. */
static void no_numbers_do_harm(void **state)
{
    static const int64_t ahead_ns[] = {INT64_MIN, INT64_MAX, 0, INT64_MIN + 1, -1};
    struct mesh_peer_clock clock = {.window_ns = 0};
    uint64_t now_ns = 0;

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        now_ns += i % 7 * 13 * S + (i % 9 == 8 ? UINT64_MAX / 50 : 1);
        mesh_peer_clock_take(&clock, now_ns, i % 3 ? UINT64_MAX : 1, ahead_ns[i % 5]);
        assert_true(clock.kept.error_ns > 0);
        (void)mesh_peer_clock_ahead_ns(&clock, now_ns + UINT64_MAX / 100);
        (void)mesh_peer_clock_error_ns(&clock, now_ns + UINT64_MAX / 100);
    }
    mesh_peer_clock_take(&clock, now_ns + 1000, 2000, -7 * S);
    mesh_peer_clock_take(&clock, now_ns + 2000, 2000, -7 * S);
    assert_int_equal(mesh_peer_clock_ahead_ns(&clock, now_ns + 2000), -7 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_the_first_ping),
        cmocka_unit_test(no_estimate_is_off_by_more_than_its_error),
        cmocka_unit_test(a_drift_is_taken_out_once_it_is_known),
        cmocka_unit_test(a_drift_is_taken_out_of_a_sample_of_a_lucky_moment),
        cmocka_unit_test(a_clock_that_was_stopped_is_followed_by_the_next_ping),
        cmocka_unit_test(a_clock_that_is_slewed_is_followed),
        cmocka_unit_test(a_sample_is_off_by_half_its_round_trip_and_by_a_drift_of_a_ten_thousandth),
        cmocka_unit_test(two_samples_tell_the_drift_and_leave_open_their_errors_and_a_millionth),
        cmocka_unit_test(samples_that_may_just_be_true_together_are),
        cmocka_unit_test(of_equal_samples_the_newer_one_is_kept),
        cmocka_unit_test(errors_that_are_too_large_tell_nothing_of_the_drift),
        cmocka_unit_test(after_a_silence_of_hours_no_drift_is_learned),
        cmocka_unit_test(drift_is_measured_from_the_best_sample_of_the_window_before_the_last),
        cmocka_unit_test(drift_is_learned_anew_with_each_window),
        cmocka_unit_test(no_numbers_do_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
