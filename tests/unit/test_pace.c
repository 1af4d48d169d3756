/* The lab's slow memory: 1 GB/s, so a byte is a nanosecond, by a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/engine/engine_state.h"
#include "node/engine/pace.h"

static uint64_t clock_ns;

static uint64_t now_ns(void *clock)
{
    (void)clock;
    return clock_ns;
}

static struct engine engine;
static struct worker worker;

static int set_up(void **state)
{
    (void)state;
    memset(&engine, 0, sizeof engine);
    memset(&worker, 0, sizeof worker);
    worker.unit = worker.units;
    engine.config.pace_bytes_per_s = 1000000000;
    engine.config.worker_count = 1;
    engine.port.now_ns = now_ns;
    clock_ns = 1000000;
    return 0;
}

/* A unit that reads so many bytes in reads_ns of this machine's time, and then waits for its turn. Returns the time of that turn. */
static uint64_t run_unit(size_t bytes, uint64_t reads_ns, uint64_t oversleeps_ns)
{
    pace_begin(&engine, &worker);
    clock_ns += reads_ns;
    pace_read(&engine, &worker, bytes);
    if (!pace_holds(&engine, &worker))
        return clock_ns;
    assert_true(worker.pace.is_held);
    clock_ns = worker.unit->due_ns + oversleeps_ns;
    assert_false(pace_holds(&engine, &worker));
    return clock_ns;
}

static void test_a_unit_is_held_until_the_slow_memory_has_read_it(void **state)
{
    (void)state;
    assert_int_equal(run_unit(5000, 100, 0), 1005000);
    assert_int_equal(run_unit(5000, 100, 0), 1010000);
}

static void test_time_between_readings_is_the_slow_nodes_as_well(void **state)
{
    (void)state;
    run_unit(5000, 100, 0);
    clock_ns += 700;
    assert_int_equal(run_unit(5000, 100, 0), 1010700);
}

static void test_who_sleeps_too_long_catches_up(void **state)
{
    (void)state;
    run_unit(5000, 100, 12000);
    assert_int_equal(run_unit(5000, 100, 0), 1017100);
    assert_int_equal(run_unit(5000, 100, 0), 1017200);
    assert_int_equal(run_unit(5000, 100, 0), 1020000);
}

static void test_a_reading_that_is_interrupted_is_caught_up(void **state)
{
    (void)state;
    assert_int_equal(run_unit(5000, 8000, 0), 1008000);
    assert_int_equal(run_unit(5000, 100, 0), 1010000);
}

static void test_waiting_for_input_is_not_caught_up(void **state)
{
    (void)state;
    run_unit(5000, 100, 12000);
    clock_ns += 1000;
    pace_waits_for_input(&worker);
    clock_ns += 1000;
    assert_int_equal(run_unit(5000, 100, 0), 1000000 + 5000 + 12000 + 2000 + 5000);
}

static void test_workers_share_one_memory(void **state)
{
    struct worker other = {0};

    (void)state;
    other.unit = other.units;
    engine.config.worker_count = 2;
    pace_begin(&engine, &worker);
    pace_begin(&engine, &other);
    assert_int_equal(pace_read(&engine, &worker, 5000), 10000);
    assert_int_equal(pace_read(&engine, &other, 3000), 6000);
    assert_int_equal(worker.unit->due_ns, 1005000);
    assert_int_equal(other.unit->due_ns, 1008000);
}

static void test_the_pace_changes_when_it_is_to(void **state)
{
    (void)state;
    engine.config.pace_later_bytes_per_s = 500000000;
    engine.config.pace_later_at_ns = 1004000;
    assert_int_equal(run_unit(5000, 100, 0), 1005000);
    assert_int_equal(run_unit(5000, 100, 0), 1015000);
}

static void test_without_a_pace_nothing_is_held(void **state)
{
    (void)state;
    engine.config.pace_bytes_per_s = 0;
    assert_int_equal(run_unit(5000, 100, 0), 1000000 + 100);
    assert_int_equal(worker.unit->due_ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_unit_is_held_until_the_slow_memory_has_read_it, set_up),
        cmocka_unit_test_setup(test_time_between_readings_is_the_slow_nodes_as_well, set_up),
        cmocka_unit_test_setup(test_who_sleeps_too_long_catches_up, set_up),
        cmocka_unit_test_setup(test_a_reading_that_is_interrupted_is_caught_up, set_up),
        cmocka_unit_test_setup(test_waiting_for_input_is_not_caught_up, set_up),
        cmocka_unit_test_setup(test_workers_share_one_memory, set_up),
        cmocka_unit_test_setup(test_the_pace_changes_when_it_is_to, set_up),
        cmocka_unit_test_setup(test_without_a_pace_nothing_is_held, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
