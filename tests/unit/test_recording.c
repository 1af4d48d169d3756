/* What cores and a node report to a recording is in its traces: calls that can be run again, rows of them when the trace is read, and
 * nothing that was to be left out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/recording.h"
#include "mesh/rerun.h"
#include "tape_case.h"

enum { STEPS = 8, CHUNK_BYTES = 1 << 24, PROMPT = 4711 };

static char folder[100], path[140], second[140], reason[MESH_TRACE_REASON_BYTES];

static int flock_error; /* 0: none */

int flock(int file, int operation) /* replaces the C library's, for the objects under test, too */
{
    errno = flock_error;
    return flock_error != 0 ? -1 : (int)syscall(SYS_flock, file, operation);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/mesh-recording.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/T.db", folder);
    snprintf(second, sizeof second, "%s/T-2.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char name[200];

    (void)state;
    unlink(path);
    for (int i = 2; i < 50; i++) {
        snprintf(name, sizeof name, "%s/T-%d.db", folder, i);
        unlink(name);
    }
    return rmdir(folder);
}

static struct mesh_recording *open_recording_of(bool keeps_all, uint64_t file_bytes, uint64_t ring_bytes)
{
    struct mesh_recording_config config = {
        .path = path,
        .keeps_all = keeps_all,
        .file_bytes = file_bytes,
        .ring_bytes = ring_bytes,
        .node =
            {.name = "node 0", .rank = 0, .port = MESH_TRACE_NULL, .clock_offset_ns = MESH_TRACE_NULL, .clock_error_ns = MESH_TRACE_NULL},
    };
    struct mesh_recording *recording;

    memset(config.secret, 7, sizeof config.secret);
    if (mesh_recording_open(&recording, &config, reason) != 0)
        fail_msg("%s", reason);
    return recording;
}

static struct mesh_recording *open_recording(bool keeps_all, uint64_t file_bytes)
{
    return open_recording_of(keeps_all, file_bytes, 0);
}

static struct mesh_trace *open_trace(const char *name)
{
    struct mesh_trace *trace;

    if (mesh_trace_open(&trace, name, reason) != 0)
        fail_msg("%s: %s", name, reason);
    return trace;
}

static uint64_t count(struct mesh_trace *trace, enum mesh_trace_table table)
{
    uint64_t rows;

    assert_int_equal(mesh_trace_count(trace, table, &rows), 0);
    return rows;
}

/* Passes all calls of a trace to `take`, in order; returns their number. */
static uint64_t each_call(struct mesh_trace *trace, uint64_t first, void (*take)(void *app, const struct mesh_tape_entry *call), void *app)
{
    static uint8_t records[CHUNK_BYTES];
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    struct mesh_tape_entry call;
    uint64_t next = first;

    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &chunk) == 1) {
        size_t at = 0, used;

        assert_int_equal(chunk.first, next);
        assert_true(chunk.bytes <= sizeof records);
        assert_int_equal(mesh_trace_get_chunk(trace, &chunk, records), 0);
        for (uint64_t i = 0; i < chunk.count; i++, at += used) {
            assert_int_equal(mesh_tape_decode(records + at, chunk.bytes - at, &call, &used), 0);
            if (take != NULL)
                take(app, &call);
        }
        assert_int_equal(at, chunk.bytes);
        next += chunk.count;
    }
    mesh_trace_end(cursor);
    return next - first;
}

static void feed(void *rerun, const struct mesh_tape_entry *call)
{
    assert_int_equal(mesh_rerun_feed(rerun, call), 0);
}

static void an_endpoint_runs_again_from_what_was_recorded(void **state)
{
    struct mesh_recording *recording = open_recording(true, 0);
    struct mesh_recording_stats stats;
    struct mesh_rerun_stats rerun_stats;
    struct mesh_rerun *rerun;
    struct mesh_trace *trace;
    uint64_t calls;

    (void)state;
    tape_case_tell(mesh_recording_endpoint_tap(recording), STEPS);
    mesh_recording_close(recording, &stats);
    assert_int_equal(stats.recorder.lost, 0);
    trace = open_trace(path);
    assert_int_equal(mesh_rerun_open(&rerun, NULL), 0);
    calls = each_call(trace, 1, feed, rerun);
    assert_int_equal(calls, stats.recorder.entries);
    mesh_rerun_get_stats(rerun, &rerun_stats);
    assert_int_equal(rerun_stats.entries, calls);
    assert_true(rerun_stats.payloads_compared > 10);
    assert_int_equal(rerun_stats.payloads_unknown, 0);
    mesh_rerun_close(rerun);
    mesh_trace_close(trace);
}

struct datagrams {
    struct mesh_trace *trace;
    struct mesh_trace_cursor *cursor;
};

static void compare_datagram(void *app, const struct mesh_tape_entry *call)
{
    static uint8_t packet[MESH_TRACE_DATAGRAM_BYTES_MAX];
    const struct datagrams *d = app;
    struct mesh_trace_datagram row;
    bool is_complete;
    size_t bytes;

    if (call->call.kind != MESH_TAPE_RECEIVE && call->call.kind != MESH_TAPE_DATAGRAM)
        return;
    assert_int_equal(mesh_trace_next(d->cursor, &row), 1);
    assert_int_equal(row.direction, call->call.kind == MESH_TAPE_RECEIVE ? MESH_TRACE_RECEIVED : MESH_TRACE_SENT);
    assert_int_equal(row.t_ns, call->call.at_ns);
    assert_int_equal(mesh_trace_get_packet(d->trace, &row, packet, &bytes, &is_complete), 0);
    assert_int_equal(bytes, call->call.body_bytes + call->call.payload_bytes);
    assert_memory_equal(packet, call->body, call->call.body_bytes);
    assert_int_equal(is_complete, call->call.payload != MESH_TAPE_HASHED);
    if (call->call.payload == MESH_TAPE_WHOLE)
        assert_memory_equal(packet + call->call.body_bytes, call->payload, call->call.payload_bytes);
    if (call->call.payload == MESH_TAPE_HASHED)
        assert_true(row.data_hash == call->call.payload_hash && row.data_bytes == call->call.payload_bytes);
}

static void whoever_reads_finds_rows_of_all_calls(bool keeps_all)
{
    struct mesh_recording *recording = open_recording(keeps_all, 0);
    struct datagrams d;
    uint64_t calls, rows;

    tape_case_tell(mesh_recording_endpoint_tap(recording), STEPS);
    mesh_recording_close(recording, NULL);
    d.trace = open_trace(path);
    assert_int_equal(mesh_trace_read(d.trace, MESH_TRACE_TABLE_DATAGRAM, 0, &d.cursor), 0);
    calls = each_call(d.trace, 1, compare_datagram, &d);
    mesh_trace_end(d.cursor);
    rows = count(d.trace, MESH_TRACE_TABLE_INPUT) + count(d.trace, MESH_TRACE_TABLE_OUTPUT);
    assert_int_equal(rows, calls);
    mesh_trace_close(d.trace);
    d.trace = open_trace(path);
    assert_int_equal(count(d.trace, MESH_TRACE_TABLE_INPUT) + count(d.trace, MESH_TRACE_TABLE_OUTPUT), rows);
    mesh_trace_close(d.trace);
}

static void whoever_reads_finds_rows_of_all_calls_once(void **state)
{
    (void)state;
    whoever_reads_finds_rows_of_all_calls(true);
}

static void and_of_calls_without_payloads(void **state)
{
    (void)state;
    whoever_reads_finds_rows_of_all_calls(false);
}

static void expect_no_payload(void *app, const struct mesh_tape_entry *call)
{
    uint64_t *hashed = app;

    assert_int_not_equal(call->call.payload, MESH_TAPE_WHOLE);
    *hashed += call->call.payload == MESH_TAPE_HASHED;
}

static void add_request(struct mesh_recording *recording)
{
    const uint32_t prompt[] = {PROMPT, PROMPT};
    const struct mesh_trace_request request = {
        .t_ns = 5, .request = 9, .kind = "begin", .prompt_tokens = 2, .tokens = 3, .prompt = {prompt, sizeof prompt}};
    struct mesh_trace_token token = {.t_ns = 6, .request = 9, .position = 0, .step = MESH_TRACE_NULL, .token = PROMPT};

    mesh_recording_add_request(recording, &request);
    mesh_recording_add_token(recording, &token);
    token.position = 1;
    mesh_recording_add_token(recording, &token);
}

static void without_prompts_there_are_only_hashes(void **state)
{
    struct mesh_recording *recording = open_recording(false, 0);
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_request request;
    struct mesh_trace_token token, other;
    struct mesh_trace *trace;
    uint64_t hashed = 0;
    char text[20];

    (void)state;
    tape_case_tell(mesh_recording_endpoint_tap(recording), STEPS);
    add_request(recording);
    mesh_recording_close(recording, NULL);
    trace = open_trace(path);
    each_call(trace, 1, expect_no_payload, &hashed);
    assert_true(hashed > 100);
    assert_int_equal(mesh_trace_get_meta(trace, "ids", text, sizeof text), 0);
    assert_string_equal(text, "hash");
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_REQUEST, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &request), 1);
    assert_null(request.prompt.bytes);
    assert_int_equal(request.prompt_tokens, 2);
    mesh_trace_end(cursor);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_TOKEN, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &token), 1);
    assert_int_equal(mesh_trace_next(cursor, &other), 1);
    assert_true(token.token != PROMPT && other.token != PROMPT && token.token != other.token);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

static void with_prompts_they_are_there(void **state)
{
    struct mesh_recording *recording = open_recording(true, 0);
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_request request;
    struct mesh_trace_token token;
    struct mesh_trace *trace;

    (void)state;
    add_request(recording);
    mesh_recording_close(recording, NULL);
    trace = open_trace(path);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_REQUEST, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &request), 1);
    assert_string_equal(request.kind, "begin");
    assert_int_equal(request.prompt.size, 8);
    assert_int_equal(*(const uint32_t *)request.prompt.bytes, PROMPT);
    mesh_trace_end(cursor);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_TOKEN, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &token), 1);
    assert_int_equal(token.token, PROMPT);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

static void put_ticks(struct mesh_recording *recording, uint64_t from, uint64_t ticks)
{
    const struct mesh_tap *tap = mesh_recording_cluster_tap(recording);

    for (uint64_t i = 0; i < ticks; i++) {
        const struct mesh_tape_entry tick = {.call = {.kind = MESH_TAPE_CLUSTER_TICK, .at_ns = from + i}};

        tap->put(tap->user, &tick);
    }
}

static void wait_for(struct mesh_recording *recording, uint64_t entries)
{
    struct mesh_recording_stats stats;

    do
        mesh_recording_get_stats(recording, &stats);
    while (stats.recorder.entries < entries);
}

static void when_a_file_is_large_enough_the_next_one_begins(void **state)
{
    struct mesh_recording *recording = open_recording(true, 100);
    const struct mesh_trace_epoch epoch = {.t_ns = 1, .epoch = 3, .rank = 0, .members = "[]"};
    struct mesh_recording_stats stats;
    uint64_t calls = 0;

    (void)state;
    mesh_recording_set_meta(recording, "color", "blue");
    mesh_recording_add_epoch(recording, &epoch);
    for (uint64_t i = 0; i < 3; i++) {
        put_ticks(recording, 1 + i * 100, 100);
        wait_for(recording, 2 + (i + 1) * 100);
    }
    mesh_recording_close(recording, &stats);
    assert_true(stats.files >= 3);
    for (uint32_t i = 1; i <= stats.files; i++) {
        char name[140], text[20];
        struct mesh_trace *trace;

        snprintf(name, sizeof name, i == 1 ? "%s/T.db" : "%s/T-%u.db", folder, i);
        trace = open_trace(name);
        calls += each_call(trace, 1 + calls, NULL, NULL);
        assert_int_equal(mesh_trace_get_meta(trace, "color", text, sizeof text), 0);
        assert_string_equal(text, "blue");
        assert_int_equal(count(trace, MESH_TRACE_TABLE_NODE), 1);
        assert_int_equal(count(trace, MESH_TRACE_TABLE_EPOCH), 1);
        mesh_trace_close(trace);
    }
    assert_int_equal(calls, 300);
}

static void calls_without_room_are_a_gap_and_a_jump_of_numbers(void **state)
{
    const uint64_t ticks = 100000; /* more than a ring takes at once */
    struct mesh_recording *recording = open_recording_of(true, 0, 1 << 16);
    struct mesh_recording_stats stats;
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    struct mesh_trace_gap gap;
    struct mesh_trace *trace;
    uint64_t calls = 0, jumped = 0, missing = 0;

    (void)state;
    put_ticks(recording, 1, ticks);
    mesh_recording_close(recording, &stats);
    assert_true(stats.recorder.lost > 0);
    trace = open_trace(path);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &chunk) == 1) {
        jumped += chunk.first - (calls + jumped) - 1;
        calls += chunk.count;
    }
    mesh_trace_end(cursor);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_GAP, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &gap) == 1) {
        assert_string_equal(gap.what, "calls");
        assert_int_equal(gap.end_ns - gap.t_ns, gap.count - 1); /* the times are the ticks' numbers */
        missing += gap.count;
    }
    mesh_trace_end(cursor);
    assert_int_equal(missing, stats.recorder.lost);
    assert_int_equal(calls + missing, ticks);
    assert_true(jumped <= missing); /* no chunk may follow the last gap */
    mesh_trace_close(trace);
}

static uint64_t sum_of_gaps(struct mesh_trace *trace, const char *what)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_gap gap;
    uint64_t sum = 0;

    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_GAP, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &gap) == 1)
        sum += strcmp(gap.what, what) == 0 ? gap.count : 0;
    mesh_trace_end(cursor);
    return sum;
}

static void count_and_compare(uint64_t ring_bytes)
{
    struct mesh_recording *recording = open_recording_of(true, 0, ring_bytes);
    struct mesh_recording_stats stats;
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    struct mesh_trace *trace;
    uint64_t calls = 0, bytes = 0;

    tape_case_tell(mesh_recording_endpoint_tap(recording), STEPS);
    add_request(recording);
    mesh_recording_close(recording, &stats);
    trace = open_trace(path);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &chunk) == 1) {
        calls += chunk.count;
        bytes += chunk.records.size;
    }
    mesh_trace_end(cursor);
    assert_true(calls > 0);
    assert_int_equal(stats.calls, calls);
    assert_int_equal(stats.recorder.entries, calls + count(trace, MESH_TRACE_TABLE_REQUEST) + count(trace, MESH_TRACE_TABLE_TOKEN));
    assert_int_equal(stats.datagrams, count(trace, MESH_TRACE_TABLE_DATAGRAM));
    assert_int_equal(stats.gaps, count(trace, MESH_TRACE_TABLE_GAP));
    assert_int_equal(stats.recorder.lost, sum_of_gaps(trace, "calls") + sum_of_gaps(trace, "rows"));
    assert_int_equal(stats.recorder.payloads, sum_of_gaps(trace, "payloads"));
    assert_true(stats.bytes > bytes);
    assert_int_equal(stats.gaps > 0, ring_bytes > 0);
    mesh_trace_close(trace);
}

static void what_is_counted_is_what_the_trace_says_in_the_end(void **state)
{
    (void)state;
    count_and_compare(0);
    unlink(path);
    count_and_compare(1 << 14); /* with gaps */
}

static int try_open(bool follows)
{
    const struct mesh_recording_config config = {.path = path, .follows = follows};
    struct mesh_recording *recording;
    const int err = mesh_recording_open(&recording, &config, reason);

    if (err == 0)
        mesh_recording_close(recording, NULL);
    return err;
}

static void two_do_not_record_into_one_file(void **state)
{
    struct mesh_recording *recording = open_recording(true, 0);

    (void)state;
    assert_int_equal(try_open(true), MESH_ESYSTEM);
    assert_non_null(strstr(reason, "another process records into it"));
    mesh_recording_close(recording, NULL);
    assert_int_equal(try_open(false), MESH_ESYSTEM);
    assert_non_null(strstr(reason, "exists"));
    assert_int_equal(access(second, F_OK), -1);
    assert_int_equal(try_open(true), 0);
    assert_int_equal(access(second, F_OK), 0);
    flock_error = ENOLCK; /* the error of a file system without locks */
    assert_int_equal(try_open(true), 0);
    flock_error = 0;
}

static void a_file_of_another_kind_is_left_alone(void **state)
{
    FILE *file = fopen(path, "w");
    struct stat status;

    (void)state;
    assert_non_null(file);
    fputs("somebody's letters", file);
    fclose(file);
    assert_int_equal(try_open(true), MESH_ETYPE);
    assert_int_equal(try_open(false), MESH_ETYPE);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 18);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_endpoint_runs_again_from_what_was_recorded),
        TEST(whoever_reads_finds_rows_of_all_calls_once),
        TEST(and_of_calls_without_payloads),
        TEST(without_prompts_there_are_only_hashes),
        TEST(with_prompts_they_are_there),
        TEST(when_a_file_is_large_enough_the_next_one_begins),
        TEST(calls_without_room_are_a_gap_and_a_jump_of_numbers),
        TEST(what_is_counted_is_what_the_trace_says_in_the_end),
        TEST(two_do_not_record_into_one_file),
        TEST(a_file_of_another_kind_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
