/* The speed of a node, from what its engine counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/serve/speed_meter.h"

#define MS_NS UINT64_C(1000000)

/* A node that computes busy_permille of the time, on two threads, at so many kB/s. */
struct node {
    uint64_t now_ns, bytes, busy_ns;
    struct speed_meter meter;
};

static void work(struct node *node, uint64_t ms, uint64_t busy_permille, uint64_t kb_per_s)
{
    for (uint64_t i = 0; i < ms / 50; i++) {
        node->now_ns += 50 * MS_NS;
        node->busy_ns += 2 * 50 * MS_NS * busy_permille / 1000;
        node->bytes += kb_per_s * 50 * busy_permille / 1000;
        speed_meter_feed(&node->meter, node->now_ns, node->bytes, node->busy_ns, 2);
    }
}

static void a_speed_is_known_after_some_windows(void **state)
{
    struct node node = {.now_ns = 77};

    (void)state;
    speed_meter_restart(&node.meter, node.now_ns, 0, 0);
    assert_int_equal(speed_meter_median(&node.meter), 0);
    work(&node, 2000, 1000, 4000000);
    assert_int_equal(speed_meter_median(&node.meter), 0);
    work(&node, 1000, 1000, 4000000);
    assert_int_equal(speed_meter_median(&node.meter), 4000000);
}

static void a_node_that_waits_for_others_is_no_slow_one(void **state)
{
    struct node node = {.now_ns = 77};

    (void)state;
    speed_meter_restart(&node.meter, node.now_ns, 0, 0);
    work(&node, 10000, 60, 4000000);
    assert_int_equal(speed_meter_median(&node.meter), 4000000);
}

static void a_node_that_does_nothing_keeps_its_speed(void **state)
{
    struct node node = {.now_ns = 77};

    (void)state;
    work(&node, 5000, 1000, 4000000);
    work(&node, 600000, 0, 0);
    assert_int_equal(speed_meter_median(&node.meter), 4000000);
}

static void what_disturbs_for_a_second_does_not_show(void **state)
{
    struct node node = {.now_ns = 77};

    (void)state;
    work(&node, 5000, 1000, 4000000);
    for (int i = 0; i < 20; i++) {
        work(&node, 1000, 1000, 200000);
        assert_int_equal(speed_meter_median(&node.meter), 4000000);
        work(&node, 2500, 1000, 4000000);
    }
}

static void what_lasts_shows_after_two_seconds(void **state)
{
    struct node node = {.now_ns = 77};

    (void)state;
    work(&node, 5000, 1000, 4000000);
    work(&node, 2000, 1000, 1000000);
    assert_int_equal(speed_meter_median(&node.meter), 1000000);
}

static void figures_of_another_engine_are_no_jump(void **state)
{
    struct node node = {.now_ns = 77};

    (void)state;
    work(&node, 5000, 1000, 4000000);
    node.bytes = node.busy_ns = 0;
    speed_meter_restart(&node.meter, node.now_ns, 0, 0);
    work(&node, 5000, 1000, 4000000);
    assert_int_equal(speed_meter_median(&node.meter), 4000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_speed_is_known_after_some_windows),      cmocka_unit_test(a_node_that_waits_for_others_is_no_slow_one),
        cmocka_unit_test(a_node_that_does_nothing_keeps_its_speed), cmocka_unit_test(what_disturbs_for_a_second_does_not_show),
        cmocka_unit_test(what_lasts_shows_after_two_seconds),       cmocka_unit_test(figures_of_another_engine_are_no_jump),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
