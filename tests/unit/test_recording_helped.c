/* What other threads prepare for a recording is in its trace as if no thread had helped: every call with its bytes, every row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/recording.h"
#include "tape_case.h"
#include "tapes.h"
#include "trace_case.h"

enum { STEPS = 8, CHUNK_BYTES = 1 << 24, CALLS_PER_TOKEN = 40 };

static struct mesh_recording *open_recording(struct trace_place *place)
{
    const struct mesh_recording_config config = {
        .path = place->path,
        .keeps_all = true,
        .node = {.name = "node", .port = MESH_TRACE_NULL, .clock_offset_ns = MESH_TRACE_NULL, .clock_error_ns = MESH_TRACE_NULL}};
    struct mesh_recording *recording;

    if (mesh_recording_open(&recording, &config, place->reason) != 0)
        fail_msg("%s", place->reason);
    return recording;
}

/* Returns how many tokens it contained. */
static uint64_t record(struct mesh_recording *recording, const struct tape *tape)
{
    const struct mesh_tap *tap = mesh_recording_endpoint_tap(recording);
    struct mesh_tape_entry entry;
    uint64_t calls = 0, tokens = 0;

    for (size_t at = 0; tape_next(tape, &at, &entry);) {
        tap->put(tap->user, &entry);
        if (++calls % CALLS_PER_TOKEN == 0)
            mesh_recording_add_token(recording, &(struct mesh_trace_token){.t_ns = (int64_t)calls, .position = tokens++});
        if (calls % 2 == 0)
            mesh_recording_help(recording);
    }
    return tokens;
}

static void compare_calls(struct mesh_trace *trace, const struct tape *tape, uint32_t epoch)
{
    uint8_t *records = malloc(CHUNK_BYTES);
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    uint64_t calls = 0;
    size_t at = 0;

    assert_non_null(records);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    for (; mesh_trace_next(cursor, &chunk) == 1; calls += chunk.count, at += chunk.bytes) {
        assert_int_equal(chunk.first, calls + 1);
        assert_int_equal(chunk.instance, epoch);
        assert_true(chunk.bytes <= CHUNK_BYTES && chunk.bytes <= tape->size - at);
        assert_int_equal(mesh_trace_get_chunk(trace, &chunk, records), 0);
        assert_memory_equal(records, tape->bytes + at, chunk.bytes);
    }
    mesh_trace_end(cursor);
    free(records);
    assert_int_equal(calls, tape->count);
    assert_int_equal(at, tape->size);
}

static void a_recording_that_was_helped_with_has_the_same_calls_and_rows(void **state)
{
    struct trace_place *place = *state;
    struct mesh_recording_stats stats;
    struct mesh_recording *recording;
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_token token;
    struct tape tape;
    uint64_t tokens, found = 0;
    uint32_t epoch;

    tape_init(&tape);
    epoch = tape_case_tell(&tape.tap, STEPS);
    recording = open_recording(place);
    tokens = record(recording, &tape);
    mesh_recording_close(recording, &stats);
    assert_int_equal(stats.recorder.entries, tape.count + tokens);
    assert_int_equal(stats.calls, tape.count);
    assert_int_equal(mesh_trace_open(&place->trace, place->path, place->reason), 0);
    compare_calls(place->trace, &tape, epoch);
    assert_int_equal(mesh_trace_read(place->trace, MESH_TRACE_TABLE_TOKEN, 0, &cursor), 0);
    for (; mesh_trace_next(cursor, &token) == 1; found++)
        assert_int_equal(token.position, found);
    mesh_trace_end(cursor);
    assert_true(found == tokens && tokens > 10);
    tape_release(&tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_recording_that_was_helped_with_has_the_same_calls_and_rows, trace_place_open, trace_place_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
