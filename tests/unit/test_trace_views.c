/* The views of a trace of several epochs, in each of which steps begin with 0 again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "mesh/trace.h"
#include "trace_case.h"

enum { SENT = 1, RECEIVED, TILE = 4, NAK };

static sqlite3 *db; /* the trace, for adding rows */

static void execute(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
}

static int set_up(void **state)
{
    struct trace_place *place;

    assert_int_equal(trace_place_open(state), 0);
    place = *state;
    assert_int_equal(mesh_trace_create(&place->trace, place->path, place->reason), 0);
    mesh_trace_close(place->trace);
    place->trace = NULL;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    return 0;
}

static void add_datagram(int id, int direction, int type, int epoch, int t_ns, int sent_ns)
{
    char sql[400];

    snprintf(sql, sizeof sql,
             "INSERT INTO datagrams(id, node, t_ns, direction, core, bytes, form, data_bytes, data_hash, coding, type, flags, src, dst, "
             "epoch, sent_ns) VALUES(%d, 1, %d, %d, 1, 100, 3, 0, 0, 0, %d, 0, %d, %d, %d, %d)",
             id, t_ns, direction, type, direction == SENT ? 0 : 1, direction == SENT ? 1 : 0, epoch, sent_ns);
    execute(sql);
}

static void add_tile(int id, int epoch, int token, int t_ns, int sent_ns)
{
    char sql[200];

    add_datagram(id, RECEIVED, TILE, epoch, t_ns, sent_ns);
    snprintf(sql, sizeof sql,
             "INSERT INTO message_tile(datagram, step, ready_ns, phase, token_first, token_count, block_first, block_count) "
             "VALUES(%d, 0, 0, 3, %d, 1, 0, 2)",
             id, token);
    execute(sql);
}

static void add_nak(int id, int epoch, int token, int t_ns)
{
    char sql[300];

    add_datagram(id, SENT, NAK, epoch, t_ns, t_ns);
    snprintf(sql, sizeof sql,
             "INSERT INTO message_nak(datagram, step, phase, range_count) VALUES(%d, 0, 3, 1);"
             "INSERT INTO message_ranges(datagram, place, token_first, token_count, block_first, block_count) VALUES(%d, 0, %d, 1, 1, 1)",
             id, id, token);
    execute(sql);
}

/* -1: NULL. */
static int64_t ask(struct trace_place *place, const char *sql)
{
    struct mesh_trace_value value;
    struct mesh_trace_query *query;
    int64_t found;

    sqlite3_close(db);
    db = NULL;
    mesh_trace_close(place->trace); /* of an earlier question */
    assert_int_equal(mesh_trace_open(&place->trace, place->path, place->reason), 0);
    assert_int_equal(mesh_trace_query(place->trace, sql, 10, &query), 0);
    assert_int_equal(mesh_trace_query_next(query, &value), 1);
    found = value.kind == MESH_TRACE_VALUE_INTEGER ? value.integer : -1;
    mesh_trace_query_end(query);
    return found;
}

static void a_lost_tile_is_repaired_in_its_own_epoch_only(void **state)
{
    add_nak(1, 2, 0, 100);
    add_tile(2, 3, 0, 100000, 99000);
    assert_int_equal(ask(*state, "SELECT repair_ns FROM lost_tiles"), -1);
}

static void a_lost_tile_is_repaired_by_its_own_tokens_only(void **state)
{
    add_nak(1, 2, 5, 100);
    add_tile(2, 2, 4, 200, 190);
    add_tile(3, 2, 5, 300, 290);
    assert_int_equal(ask(*state, "SELECT repair_ns FROM lost_tiles"), 200);
}

/* A node's events about members use the same word. */
static void a_lost_member_is_no_lost_tile(void **state)
{
    execute("INSERT INTO meta VALUES('source', 'node')");
    execute("INSERT INTO events(id, node, t_ns, kind, severity) VALUES(1, 1, 0, 'lost', 1)");
    assert_int_equal(ask(*state, "SELECT count(*) FROM lost_tiles"), 0);
}

static void what_the_analysis_of_a_capture_calls_lost_is_one(void **state)
{
    execute("INSERT INTO meta VALUES('source', 'capture')");
    execute("INSERT INTO events(id, node, t_ns, kind, severity) VALUES(1, 1, 0, 'lost', 1)");
    assert_int_equal(ask(*state, "SELECT count(*) FROM lost_tiles"), 1);
}

/* Another epoch may have another node with that rank, with another clock. */
static void how_long_tiles_were_under_way_is_told_epoch_by_epoch(void **state)
{
    add_tile(1, 2, 0, 1000, 900);
    add_tile(2, 2, 1, 2000, 1890);
    add_tile(3, 3, 0, 3000, 500002900);
    add_tile(4, 3, 1, 4000, 500003880);
    assert_int_equal(ask(*state, "SELECT max(latency_ns) FROM tile_latency"), 20);
    assert_int_equal(ask(*state, "SELECT max(latency_ns) FROM tile_latency WHERE epoch = 2"), 10);
}

/* A report in an epoch, and what it says of rank 1: how far its clock is ahead, and the shortest round trip to it. */
static void add_report(int id, int epoch, int offset_ns, int rtt_ns)
{
    char values[100];

    snprintf(values, sizeof values, "%d, 1, %d", id, id);
    trace_case_add(db, "reports", "id, node, t_ns", values);
    snprintf(values, sizeof values, "%d, %d", id, epoch);
    trace_case_add(db, "telemetry_node", "report, epoch_number", values);
    snprintf(values, sizeof values, "%d, 1, %d, %d", id, offset_ns, rtt_ns);
    trace_case_add(db, "telemetry_link", "report, peer, clock_offset_ns, rtt_ns_min", values);
}

/* Another node has that rank then, or another machine its address: one that was started again begins to count anew. */
static void a_peers_clock_is_that_of_the_epoch(void **state)
{
    add_report(1, 2, -500, 80);
    add_report(2, 3, 70000, 80);
    add_tile(1, 2, 0, 1000, 450);
    add_tile(2, 3, 0, 3000, 72960);
    assert_int_equal(ask(*state, "SELECT max(latency_ns) FROM tile_latency WHERE NOT is_relative"), 50);
    assert_int_equal(ask(*state, "SELECT min(latency_ns) FROM tile_latency WHERE NOT is_relative"), 40);
    assert_int_equal(ask(*state, "SELECT sum(clock_offset_ns) FROM clock_offsets"), 69500);
}

/* The clock of rank 1 loses a tenth. Before the first estimate and after the last one, these hold. */
static void what_a_peers_clock_gained_since_an_estimate_is_taken_out(void **state)
{
    add_report(1000, 2, -100, 80);
    add_report(2000, 2, -200, 80);
    add_report(3000, 2, -300, 80);
    add_tile(1, 2, 0, 500, 350);
    add_tile(2, 2, 1, 1200, 1030);
    add_tile(3, 2, 2, 1800, 1570);
    add_tile(4, 2, 3, 2000, 1750);
    add_tile(5, 2, 4, 2900, 2560);
    add_tile(6, 2, 5, 4000, 3650);
    assert_int_equal(ask(*state, "SELECT count(*) FROM tile_latency WHERE latency_ns = 50 AND NOT is_relative"), 6);
}

static void a_clock_that_was_not_measured_is_not_known(void **state)
{
    add_report(1, 2, -500, 80);
    add_report(2, 3, 0, 0);
    add_tile(1, 2, 0, 1000, 450);
    add_tile(2, 3, 0, 3000, 72960);
    assert_int_equal(ask(*state, "SELECT count(*) FROM tile_latency WHERE is_relative"), 1);
    assert_int_equal(ask(*state, "SELECT count(*) FROM clock_offsets"), 1);
}

static void each_epoch_has_a_stall_of_step_0(void **state)
{
    execute("INSERT INTO reports(id, node, t_ns) VALUES(1, 1, 0)");
    for (int i = 0; i < 3; i++) { /* the last two are parts of one step */
        char sql[300];

        snprintf(sql, sizeof sql,
                 "INSERT INTO telemetry_step(report, step, begin_ns, duration_ns, tokens, sampled, stall_ns, stall_begin_ns, stall_rank, "
                 "stall_phase, stall_block, phase_total, phase_first, phase_count) VALUES(1, 0, %d, 9, 1, 1, 5, 1, 1, 3, 0, 0, %d, 0)",
                 i == 0 ? 100 : 200, i);
        execute(sql);
    }
    assert_int_equal(ask(*state, "SELECT count(*) FROM stalls"), 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, trace_place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_lost_tile_is_repaired_in_its_own_epoch_only),
        CASE(a_lost_tile_is_repaired_by_its_own_tokens_only),
        CASE(a_lost_member_is_no_lost_tile),
        CASE(what_the_analysis_of_a_capture_calls_lost_is_one),
        CASE(how_long_tiles_were_under_way_is_told_epoch_by_epoch),
        CASE(a_peers_clock_is_that_of_the_epoch),
        CASE(what_a_peers_clock_gained_since_an_estimate_is_taken_out),
        CASE(a_clock_that_was_not_measured_is_not_known),
        CASE(each_epoch_has_a_stall_of_step_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
