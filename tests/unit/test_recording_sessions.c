/* A recording of a node's client sessions can be run again, and holds none of their contents; calls of other cores between the sessions'
 * are kept apart from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/recording.h"
#include "mesh/rerun.h"
#include "session_net.h"

#define SECOND UINT64_C(1000000000)

static const char said[] = "Once upon a time there was a secret. It is said again: once upon a time there was a secret.";
static struct session_net net; /* too large for the stack */
static char folder[100], path[140], reason[MESH_TRACE_REASON_BYTES];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/mesh-recording.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/T.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* The message, in two datagrams that are refused for their form: a record of another version, and a PING that ends before the message. */
static void say_it_badly(void)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                              .version = MESH_WIRE_VERSION + 1,
                                              .type = MESH_TYPE_RECORD,
                                              .src = 1,
                                              .number = 500,
                                              .epoch = MESH_SESSION_EPOCH | net.session[0]},
                                   .as.record = {.sequence = 2, .next = 1, .fragment = 3},
                                   .data = (const uint8_t *)said,
                                   .data_bytes = sizeof said};
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);

    assert_int_equal(session_net_inject(&net, net.client[0].addr, packet, bytes), MESH_EVERSION);
    message.header.version = MESH_WIRE_VERSION;
    message.header.type = MESH_TYPE_PING;
    message.as.ping = (struct mesh_ping){0};
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    memcpy(packet + bytes, said, sizeof said);
    assert_int_equal(session_net_inject(&net, net.client[0].addr, packet, bytes + sizeof said), MESH_ETRUNCATED);
}

static struct mesh_recording *open_recording(void)
{
    const struct mesh_recording_config config = {
        .path = path,
        .keeps_all = true,
        .node = {.name = "node", .rank = 0, .port = MESH_TRACE_NULL, .clock_offset_ns = MESH_TRACE_NULL, .clock_error_ns = MESH_TRACE_NULL},
    };
    struct mesh_recording *recording;

    if (mesh_recording_open(&recording, &config, reason) != 0)
        fail_msg("%s", reason);
    return recording;
}

/* A client sends a message, and gets it back. */
static void record_session(void)
{
    struct mesh_recording *recording = open_recording();

    assert_true(session_net_init_tapped(&net, 3, MESH_SECURITY_NONE, 1, mesh_recording_sessions_tap(recording)));
    session_net_call(&net, NULL, 0, 5 * SECOND);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(mesh_call_send(net.client[0].call, net.now_ns, (const uint8_t *)said, sizeof said), 0);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(net.client[0].records, 1);
    say_it_badly();
    mesh_call_close(net.client[0].call, net.now_ns);
    session_net_run(&net, SECOND, NULL);
    session_net_release(&net);
    mesh_recording_close(recording, NULL);
}

static void expect_nothing_said(const struct mesh_tape_entry *entry)
{
    assert_int_not_equal(entry->call.payload, MESH_TAPE_WHOLE);
    assert_int_equal(entry->call.payload_hash, 0); /* a hash of a short message would reveal the words */
}

static void sessions_run_again_from_what_was_recorded_and_nothing_said_is_in_it(void **state)
{
    static uint8_t records[1 << 20];
    struct mesh_trace_cursor *cursor;
    struct mesh_rerun_stats stats;
    struct mesh_tape_entry entry;
    struct mesh_trace_chunk chunk;
    struct mesh_trace *trace;
    struct mesh_rerun *rerun;

    (void)state;
    record_session();
    assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
    assert_int_equal(mesh_rerun_open(&rerun, mesh_hash16), 0);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &chunk) == 1) {
        assert_int_equal(chunk.core, MESH_TRACE_CORE_SESSION);
        assert_true(chunk.bytes <= sizeof records);
        assert_int_equal(mesh_trace_get_chunk(trace, &chunk, records), 0);
        assert_null(memmem(records, chunk.bytes, said, 10));
        for (size_t at = 0, used; at < chunk.bytes; at += used) {
            assert_int_equal(mesh_tape_decode(records + at, chunk.bytes - at, &entry, &used), 0);
            expect_nothing_said(&entry);
            assert_int_equal(mesh_rerun_feed(rerun, &entry), 0);
        }
    }
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
    assert_int_equal(mesh_rerun_finish(rerun), 0);
    mesh_rerun_get_stats(rerun, &stats);
    assert_true(stats.datagrams_in > 5 && stats.datagrams_out > 5 && stats.payloads_unknown > 1);
    mesh_rerun_close(rerun);
}

static void put_call(const struct mesh_tap *tap, uint8_t kind)
{
    const struct mesh_tape_entry call = {.call = {.kind = kind, .at_ns = 1}};

    tap->put(tap->user, &call);
}

static void outputs_follow_from_inputs_of_their_own_core(void **state)
{
    struct mesh_recording *recording = open_recording();
    struct mesh_recording_stats stats;
    struct mesh_trace_query *query;
    struct mesh_trace_value values[2];
    struct mesh_trace *trace;

    (void)state;
    put_call(mesh_recording_cluster_tap(recording), MESH_TAPE_CLUSTER_TICK);
    put_call(mesh_recording_sessions_tap(recording), MESH_TAPE_SESSIONS_TICK);
    do
        mesh_recording_get_stats(recording, &stats);
    while (stats.recorder.entries < 2);
    put_call(mesh_recording_cluster_tap(recording), MESH_TAPE_CLUSTER_EVENT); /* in a chunk after that of the sessions */
    put_call(mesh_recording_sessions_tap(recording), MESH_TAPE_SESSIONS_NONE);
    mesh_recording_close(recording, NULL);
    assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
    assert_int_equal(
        mesh_trace_query(trace, "SELECT sum(o.core = i.core), count(*) FROM outputs o JOIN inputs i ON i.id = o.input", 10, &query), 0);
    assert_int_equal(mesh_trace_query_next(query, values), 1);
    assert_int_equal(values[0].integer, 2);
    assert_int_equal(values[1].integer, 2);
    mesh_trace_query_end(query);
    mesh_trace_close(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions_run_again_from_what_was_recorded_and_nothing_said_is_in_it, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(outputs_follow_from_inputs_of_their_own_core, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
