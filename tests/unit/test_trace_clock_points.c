/* Which estimates of one clock against another are kept, and what the line through them says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libmesh/trace/trace_clock_points.h"

#define SECOND INT64_C(1000000000)

enum { OPEN_NS = 100000 /* by which clocks may have drifted apart within a second, at most */ };

static struct trace_clock_points points;

static int set_up(void **state)
{
    (void)state;
    memset(&points, 0, sizeof points);
    return 0;
}

/* With no spacing: how many there are then. */
static size_t add(int64_t at_ns, int64_t ahead_ns, uint64_t error_ns)
{
    mesh_trace_clock_points_add(&points, at_ns, ahead_ns, error_ns, 0);
    return points.count;
}

static void check_order(const int64_t *at_ns, size_t count)
{
    assert_int_equal(points.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(points.point[i].at_ns, at_ns[i]);
        assert_int_equal(points.point[i].ahead_ns, at_ns[i] / SECOND);
        assert_int_equal(points.error_ns[i], at_ns[i] / SECOND + 7);
    }
}

static void points_stand_in_the_order_of_their_times(void **state)
{
    static const int64_t order[] = {1 * SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND, 5 * SECOND};
    static const unsigned turns[] = {2, 4, 0, 3, 1};

    (void)state;
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        assert_int_equal(add(order[turns[i]], turns[i] + 1, turns[i] + 8), i + 1);
    check_order(order, 5);
}

/* Its error and that of its neighbour together are at most what clocks may have drifted between. */
static void a_point_says_more_where_clocks_may_have_drifted_by_its_error(void **state)
{
    const int64_t begin[] = {10 * SECOND, 0};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const int64_t later = begin[i] + SECOND, earlier = begin[i] - SECOND;

        set_up(NULL);
        assert_int_equal(add(begin[i], 0, OPEN_NS - 10), 1);
        assert_int_equal(add(later, 0, 11), 1);
        assert_int_equal(add(earlier, 0, 11), 1);
        assert_int_equal(add(later, 0, OPEN_NS + 1), 1);
        assert_int_equal(add(earlier, 0, UINT64_MAX), 1);
        assert_int_equal(add(later, 0, 10), 2);
        assert_int_equal(add(earlier, 0, 10), 3);
    }
    set_up(NULL);
    assert_int_equal(add(0, 0, 0), 1);
    assert_int_equal(add(SECOND, 0, OPEN_NS), 2);
}

static void between_two_points_it_has_to_say_more_than_both(void **state)
{
    (void)state;
    assert_int_equal(add(0, 0, OPEN_NS - 10), 1);
    assert_int_equal(add(4 * SECOND, 0, OPEN_NS - 20), 2);
    assert_int_equal(add(SECOND, 0, 11), 2);
    assert_int_equal(add(3 * SECOND, 0, 21), 2);
    assert_int_equal(add(SECOND, 0, 10), 3);
    assert_int_equal(add(3 * SECOND, 0, 20), 4);
}

static void points_are_as_far_apart_as_they_should_be(void **state)
{
    (void)state;
    mesh_trace_clock_points_add(&points, 0, 0, 0, 50);
    mesh_trace_clock_points_add(&points, 49, 0, 0, 50);
    mesh_trace_clock_points_add(&points, -49, 0, 0, 50);
    assert_int_equal(points.count, 1);
    mesh_trace_clock_points_add(&points, 50, 0, 0, 50);
    mesh_trace_clock_points_add(&points, -50, 0, 0, 50);
    assert_int_equal(points.count, 3);
    assert_int_equal(add(50, 0, 0), 3); /* never at one time */
    assert_int_equal(add(51, 0, 0), 4);
    assert_int_equal(add(INT64_MIN, 0, UINT64_MAX / 20000), 5);
    assert_int_equal(add(INT64_MAX, 0, UINT64_MAX / 20000 - 1), 6); /* any numbers will do */
}

static void no_clock_runs_backwards(void **state)
{
    (void)state;
    assert_int_equal(add(0, 0, 0), 1);
    assert_int_equal(add(SECOND, -SECOND - 1, 0), 1);
    assert_int_equal(add(-SECOND, SECOND + 1, 0), 1);
    assert_int_equal(add(SECOND, -SECOND, 0), 1); /* nor does it stand still */
    assert_int_equal(add(SECOND, 1 - SECOND, 0), 2);
    assert_int_equal(add(-SECOND, SECOND - 1, 0), 3);
}

static void more_points_than_fit_are_left_out(void **state)
{
    (void)state;
    for (int64_t i = 0; i < MESH_TRACE_CLOCK_POINTS + 3; i++)
        assert_int_equal(add(i * SECOND, 0, 0), i < MESH_TRACE_CLOCK_POINTS ? i + 1 : MESH_TRACE_CLOCK_POINTS);
    assert_int_equal(add(SECOND / 2, 0, 0), MESH_TRACE_CLOCK_POINTS);
}

/* ---- the line ---- */

/* Gains, in ns per second: 10 until the second second, 20 until the third, ... */
static const struct mesh_trace_clock_point line[] = {{1 * SECOND, 1000}, {2 * SECOND, 1010}, {3 * SECOND, 1030},
                                                     {4 * SECOND, 1060}, {5 * SECOND, 1100}, {6 * SECOND, 1150}};

static int64_t at(size_t count, int64_t t_ns)
{
    return mesh_trace_clock_points_at(line, count, t_ns);
}

static void between_points_it_is_on_the_line_between_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(at(6, line[i].at_ns), line[i].ahead_ns);
    assert_int_equal(at(6, 3 * SECOND / 2), 1005);
    assert_int_equal(at(6, 11 * SECOND / 2), 1125);
    assert_int_equal(at(0, SECOND), 0);
    assert_int_equal(at(1, 0), 1000);
    assert_int_equal(at(1, 9 * SECOND), 1000);
}

/* Parts of a nanosecond are cut off. */
static void assert_near(int64_t value, int64_t expected)
{
    assert_in_range(value, expected - 1, expected + 1);
}

/* Of three seconds, or as many as there are. */
static void beyond_them_it_goes_on_as_the_last_few_do(void **state)
{
    (void)state;
    assert_near(at(6, -2 * SECOND), 1000 - 3 * 20);
    assert_near(at(6, 9 * SECOND), 1150 + 3 * 40);
    assert_near(at(4, 0), 1000 - 20);
    assert_near(at(4, 5 * SECOND), 1060 + 20);
    assert_near(at(3, -SECOND), 1000 - 2 * 15);
    assert_near(at(3, 5 * SECOND), 1030 + 2 * 15);
    assert_near(at(2, 0), 1000 - 10);
    assert_near(at(2, 4 * SECOND), 1010 + 2 * 10);
}

/* Not more than a thousandth: then it was suspended, or set. */
static void what_no_clock_drifts_is_no_drift(void **state)
{
    struct mesh_trace_clock_point two[] = {{0, 0}, {SECOND, SECOND / 1000}};

    (void)state;
    assert_int_equal(mesh_trace_clock_points_at(two, 2, 2 * SECOND), 2 * SECOND / 1000);
    two[1].ahead_ns++;
    assert_int_equal(mesh_trace_clock_points_at(two, 2, 2 * SECOND), two[1].ahead_ns);
    assert_int_equal(mesh_trace_clock_points_at(two, 2, -SECOND), 0);
    two[1].ahead_ns = -SECOND / 1000;
    assert_int_equal(mesh_trace_clock_points_at(two, 2, 2 * SECOND), -2 * SECOND / 1000);
    two[1].ahead_ns--;
    assert_int_equal(mesh_trace_clock_points_at(two, 2, 2 * SECOND), two[1].ahead_ns);
    two[1].ahead_ns = 3 * SECOND;
    assert_int_equal(mesh_trace_clock_points_at(two, 2, SECOND / 2), 3 * SECOND / 2); /* between them it has gained that nevertheless */
}

static void points_of_a_damaged_trace_give_some_number(void **state)
{
    const struct mesh_trace_clock_point same[] = {{5, 70}, {5, 90}}, far[] = {{0, 0}, {2, INT64_MAX}, {INT64_MAX - 1, 9}};
    const struct mesh_trace_clock_point down[] = {{0, 0}, {2, INT64_MIN}, {INT64_MAX - 1, 9}};
    const struct mesh_trace_clock_point up[] = {{0, 0}, {1000, INT64_MAX}}, back[] = {{0, 0}, {1000, INT64_MIN}};

    (void)state;
    assert_int_equal(mesh_trace_clock_points_at(same, 2, 4), 70);
    assert_int_equal(mesh_trace_clock_points_at(same, 2, 6), 90);
    assert_int_equal(mesh_trace_clock_points_at(far, 1, INT64_MIN), 0);
    assert_int_equal(mesh_trace_clock_points_at(far, 2, 1), INT64_C(1) << 62);
    assert_int_equal(mesh_trace_clock_points_at(far, 2, INT64_MAX), INT64_MAX); /* no drift */
    assert_int_equal(mesh_trace_clock_points_at(down, 2, 1), -(INT64_C(1) << 62));
    assert_int_equal(mesh_trace_clock_points_at(up, 2, 990), 0); /* more than a number of ns can be has not been gained */
    assert_int_equal(mesh_trace_clock_points_at(back, 2, 990), 0);
    (void)mesh_trace_clock_points_at(far, 3, INT64_MAX);
    (void)mesh_trace_clock_points_at(far, 3, INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(points_stand_in_the_order_of_their_times, set_up),
        cmocka_unit_test_setup(a_point_says_more_where_clocks_may_have_drifted_by_its_error, set_up),
        cmocka_unit_test_setup(between_two_points_it_has_to_say_more_than_both, set_up),
        cmocka_unit_test_setup(points_are_as_far_apart_as_they_should_be, set_up),
        cmocka_unit_test_setup(no_clock_runs_backwards, set_up),
        cmocka_unit_test_setup(more_points_than_fit_are_left_out, set_up),
        cmocka_unit_test(between_points_it_is_on_the_line_between_them),
        cmocka_unit_test(beyond_them_it_goes_on_as_the_last_few_do),
        cmocka_unit_test(what_no_clock_drifts_is_no_drift),
        cmocka_unit_test(points_of_a_damaged_trace_give_some_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
