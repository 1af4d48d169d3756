/* Clocks of traces of several nodes, related by what they measured of one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "mesh/trace_clocks.h"
#include "trace_case.h"

enum { TRACES_MAX = 4 };
#define SECOND INT64_C(1000000000)

struct place {
    struct trace_place *own;
    char path[TRACES_MAX][TRACE_PLACE_PATH_BYTES];
    size_t count;
    int rows;
};

static struct place place;

static int set_up(void **state)
{
    place = (struct place){0};
    if (trace_place_open(state) != 0)
        return -1;
    place.own = *state;
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < place.count; i++)
        unlink(place.path[i]);
    *state = place.own;
    return trace_place_close(state);
}

/* Trace number place.count: its recording began when its own clock showed begun_ns, and its wall clock unix_ns. */
static size_t make(int64_t begun_ns, int64_t unix_ns)
{
    char *path = place.path[place.count], text[30];
    struct mesh_trace *trace;

    snprintf(path, TRACE_PLACE_PATH_BYTES, "%s/%zu.db", place.own->folder, place.count);
    assert_int_equal(mesh_trace_create(&trace, path, place.own->reason), 0);
    snprintf(text, sizeof text, "%lld", (long long)begun_ns);
    assert_int_equal(mesh_trace_set_meta(trace, "begun_ns", text), 0);
    snprintf(text, sizeof text, "%lld", (long long)unix_ns);
    assert_int_equal(mesh_trace_set_meta(trace, "begun_unix_ns", text), 0);
    mesh_trace_close(trace);
    return place.count++;
}

static void add(size_t index, const char *table, const char *columns, const char *values)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(place.path[index], &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
    trace_case_add(db, table, columns, values);
    sqlite3_close(db);
}

/* The node had that rank in that epoch. */
static void add_epoch(size_t index, int epoch, int rank)
{
    char values[200];

    snprintf(values, sizeof values, "1, %d, %d, %d, x'0102030405060708090a0b0c0d0e%04x'", epoch, epoch, rank, epoch);
    add(index, "epochs", "node, t_ns, epoch, rank, epoch_id", values);
}

/* In a report of two pieces: the number of the epoch, and what it measured of a rank. */
static void add_estimate_at(size_t index, int64_t t_ns, int epoch, int rank, int64_t ahead_ns, int64_t error_ns)
{
    char values[200];
    const int id = place.rows += 2;

    for (int i = 0; i < 2; i++) {
        snprintf(values, sizeof values, "%d, 1, %lld", id + i, (long long)t_ns);
        add(index, "reports", "id, node, t_ns", values);
    }
    snprintf(values, sizeof values, "%d, %d", id, epoch);
    add(index, "telemetry_node", "report, epoch_number", values);
    snprintf(values, sizeof values, "%d, %d, %lld, %lld, %lld", id + 1, rank, (long long)ahead_ns, (long long)error_ns,
             (long long)error_ns * 2);
    add(index, "telemetry_link", "report, peer, clock_offset_ns, clock_error_ns, rtt_ns_min", values);
}

static void add_estimate(size_t index, int epoch, int rank, int64_t ahead_ns, int64_t error_ns)
{
    add_estimate_at(index, place.rows + 2, epoch, rank, ahead_ns, error_ns);
}

static void align(struct mesh_trace_clock aligned[TRACES_MAX])
{
    struct mesh_trace_clocks *clocks;

    assert_int_equal(mesh_trace_clocks_open(&clocks, place.count), 0);
    for (size_t i = 0; i < place.count; i++) {
        struct mesh_trace *trace;

        assert_int_equal(mesh_trace_open(&trace, place.path[i], place.own->reason), 0);
        assert_int_equal(mesh_trace_clocks_read(clocks, i, trace), 0);
        mesh_trace_close(trace);
    }
    mesh_trace_clocks_align(clocks, aligned);
    mesh_trace_clocks_close(clocks);
}

static void expect(const struct mesh_trace_clock *clock, enum mesh_trace_clock_basis basis, int64_t to_first_ns, uint64_t error_ns)
{
    assert_int_equal(clock->basis, basis);
    assert_true(clock->to_first_ns == to_first_ns);
    assert_true(clock->error_ns == error_ns);
}

static void what_was_measured_counts_and_not_wall_clocks(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(5 * SECOND, 1000 * SECOND);
    make(75 * SECOND, 1030 * SECOND); /* its wall clock is half a minute ahead */
    add_epoch(0, 1, 0);
    add_epoch(1, 1, 1);
    add_estimate(0, 1, 1, 70 * SECOND, 900);
    add_estimate(1, 1, 0, -70 * SECOND + 40, 300);
    align(aligned);
    expect(&aligned[0], MESH_TRACE_CLOCK_SAME, 0, 0);
    expect(&aligned[1], MESH_TRACE_CLOCK_MEASURED, -70 * SECOND + 40, 300);
    assert_true(aligned[0].to_unix_ns == 995 * SECOND);
    assert_true(aligned[1].to_unix_ns == 925 * SECOND + 40);
}

/* Ranks are those of an epoch: in the next one another node may have the rank. */
static void a_rank_belongs_to_its_epoch(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    for (int64_t i = 1; i <= 3; i++)
        make(i, i);
    add_epoch(0, 1, 0), add_epoch(1, 1, 1), add_epoch(2, 1, 2);
    add_epoch(0, 2, 0), add_epoch(2, 2, 1);
    add_estimate(0, 1, 1, 10 * SECOND, 5);
    add_estimate(0, 1, 2, 20 * SECOND, 9);
    add_estimate(0, 2, 1, 20 * SECOND + 2, 7);
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_MEASURED, -10 * SECOND, 5);
    expect(&aligned[2], MESH_TRACE_CLOCK_MEASURED, -20 * SECOND - 2, 7);
}

/* Trace 1's clock is 500 s ahead when the first one's shows 0, and gains 40 millionths in the first half hour, 60 in the second. */
static int64_t second_clock(int64_t first_ns)
{
    const int64_t half_ns = 1800 * SECOND, late_ns = first_ns > half_ns ? first_ns - half_ns : 0;

    return first_ns + 500 * SECOND + (first_ns - late_ns) / 1000000 * 40 + late_ns / 1000000 * 60;
}

static void expect_near(const struct mesh_trace_clock *clock, int64_t t_ns, int64_t first_ns, int64_t error_ns)
{
    assert_in_range(mesh_trace_clock_first_ns(clock, t_ns) - first_ns + error_ns, 0, 2 * error_ns);
}

/* An hour, with an estimate every half minute, each wrong by up to its error; two of each three are much worse than the third. */
static void drift_is_taken_out_between_estimates(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    for (int64_t i = 1; i <= 3; i++)
        make(i, i);
    for (int i = 0; i < 3; i++)
        add_epoch((size_t)i, 1, i);
    for (int64_t i = 0; i <= 120; i++) {
        const int64_t at_ns = i * 30 * SECOND, error_ns = i % 3 == 0 ? 20000 : 900000, wrong_ns = i % 2 ? error_ns : -error_ns;

        add_estimate_at(0, at_ns, 1, 1, second_clock(at_ns) - at_ns + wrong_ns, error_ns);
        add_estimate_at(1, second_clock(at_ns), 1, 0, at_ns - second_clock(at_ns) - wrong_ns / 2, error_ns);
        add_estimate_at(1, second_clock(at_ns), 1, 2, -at_ns / 1000000 * 10 - 300 * SECOND + wrong_ns, error_ns);
    }
    align(aligned);
    assert_true(aligned[1].point_count > 10 && aligned[2].point_count > 10);
    for (int64_t at_ns = 0; at_ns <= 3600 * SECOND; at_ns += 7 * SECOND) {
        const int64_t second_ns = second_clock(at_ns), third_ns = second_ns - at_ns / 1000000 * 10 - 300 * SECOND;

        assert_int_equal(mesh_trace_clock_first_ns(&aligned[0], at_ns), at_ns);
        expect_near(&aligned[1], second_ns, at_ns, at_ns > 1600 * SECOND && at_ns < 2000 * SECOND ? 1500000 : 40000);
        expect_near(&aligned[2], third_ns, at_ns, at_ns > 1600 * SECOND && at_ns < 2000 * SECOND ? 1500000 : 80000);
    }
    expect_near(&aligned[1], second_clock(3700 * SECOND), 3700 * SECOND, 200000); /* the last drift goes on */
    assert_int_equal(mesh_trace_clock_unix_ns(&aligned[1], second_clock(SECOND)) -
                         mesh_trace_clock_first_ns(&aligned[1], second_clock(SECOND)),
                     mesh_trace_clock_unix_ns(&aligned[0], SECOND) - SECOND);
}

/* Trace 1's machine is suspended for 20 s after 100 s: its clock stands still meanwhile. Before and after that its times are right. */
static void a_machine_may_be_suspended_meanwhile(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(1, 1);
    make(2, 2);
    add_epoch(0, 1, 0), add_epoch(1, 1, 1);
    for (int64_t s = 0; s <= 300; s += 4)
        if (s <= 100 || s > 120)
            add_estimate_at(0, s * SECOND, 1, 1, (s > 100 ? 480 : 500) * SECOND + s % 7, 20000 + s % 5);
    align(aligned);
    for (int64_t s = 0; s <= 300; s++)
        if (s < 80 || s > 140)
            expect_near(&aligned[1], (s + (s > 100 ? 480 : 500)) * SECOND, s * SECOND, 1000);
}

static void a_third_node_knows_both(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    for (int64_t i = 1; i <= 3; i++)
        make(i, i);
    add_epoch(0, 1, 0), add_epoch(2, 1, 1);
    add_epoch(1, 7, 1), add_epoch(2, 7, 0);
    add_estimate(2, 1, 0, 30 * SECOND, 4);
    add_estimate(2, 7, 1, 50 * SECOND, 3);
    align(aligned);
    expect(&aligned[2], MESH_TRACE_CLOCK_MEASURED, 30 * SECOND, 4);
    expect(&aligned[1], MESH_TRACE_CLOCK_MEASURED, -20 * SECOND, 7);
}

static void files_of_one_recording_have_one_clock(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(5, 9);
    make(6, 9);
    make(5, 9); /* continues the first */
    add_epoch(2, 3, 1), add_epoch(1, 3, 0);
    add_estimate(2, 3, 0, 7 * SECOND, 10);
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_MEASURED, -7 * SECOND, 10);
    expect(&aligned[2], MESH_TRACE_CLOCK_SAME, 0, 0);
}

static void nodes_of_one_machine_have_one_clock(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(5, 9);
    make(6, 9000);
    add_epoch(0, 1, 0), add_epoch(1, 1, 1);
    add_estimate(0, 1, 1, -800, 900);
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_SAME, 0, 0);
}

/* A link to a peer that has not answered yet says 0, which is no measurement; and so does an epoch that the other node was not in. */
static void wall_clocks_are_the_last_resort(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(5 * SECOND, 1000 * SECOND);
    make(75 * SECOND, 1030 * SECOND);
    add_epoch(0, 1, 0), add_epoch(1, 1, 1);
    add_estimate(0, 1, 1, 0, 0);
    add_epoch(0, 2, 0), add_epoch(1, 3, 1);
    add_estimate(0, 2, 1, 5, 1);
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_WALL, -40 * SECOND, 0);
    assert_true(aligned[1].to_unix_ns == 955 * SECOND);
    add(1, "reports", "node, t_ns, unix_ms", "1, 80000000000, 1005000"); /* the network has set it right */
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_WALL, -70 * SECOND, 0);
}

static void what_is_known_beside_a_wall_clock_is_used(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(0, 100 * SECOND);
    make(0, 101 * SECOND);
    make(0, 999 * SECOND);
    add_epoch(1, 1, 0), add_epoch(2, 1, 1);
    add_estimate(1, 1, 1, 5 * SECOND, 2);
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_WALL, 1 * SECOND, 0);
    expect(&aligned[2], MESH_TRACE_CLOCK_WALL, -4 * SECOND, 2);
}

static void numbers_that_cannot_be_do_no_harm(void **state)
{
    struct mesh_trace_clock aligned[TRACES_MAX];

    (void)state;
    make(INT64_MIN, INT64_MAX);
    make(INT64_MAX, INT64_MIN);
    make(7, 7);
    add_epoch(0, 1, 0), add_epoch(1, 1, 1), add_epoch(2, 1, 5);
    add_estimate(0, 1, 1, INT64_MIN, INT64_MAX / 2);
    add_estimate(1, 1, 0, INT64_MIN, 1);
    add_estimate(1, 1, 5, INT64_MAX, INT64_MAX / 2);
    align(aligned);
    expect(&aligned[1], MESH_TRACE_CLOCK_MEASURED, INT64_MIN, 1);
    for (size_t i = 0; i < 3; i++)
        for (int64_t t_ns = INT64_MIN; t_ns < INT64_MAX / 2; t_ns += INT64_MAX / 5)
            (void)mesh_trace_clock_unix_ns(&aligned[i], t_ns);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_measured_counts_and_not_wall_clocks),
        CASE(a_rank_belongs_to_its_epoch),
        CASE(drift_is_taken_out_between_estimates),
        CASE(a_machine_may_be_suspended_meanwhile),
        CASE(a_third_node_knows_both),
        CASE(files_of_one_recording_have_one_clock),
        CASE(nodes_of_one_machine_have_one_clock),
        CASE(wall_clocks_are_the_last_resort),
        CASE(what_is_known_beside_a_wall_clock_is_used),
        CASE(numbers_that_cannot_be_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
