/* What a recording does when its disk refuses something at a bad moment, or its file is taken away. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "mesh/recording.h"
#include "mesh/udp.h"
#include "trace_case.h"

static const struct trace_place *place;
static char second[120], aside[120], reason[MESH_TRACE_REASON_BYTES];

static int set_up(void **state)
{
    if (trace_place_open(state) != 0)
        return -1;
    place = *state;
    snprintf(second, sizeof second, "%s/t-2.db", place->folder);
    snprintf(aside, sizeof aside, "%s/aside.db", place->folder);
    return 0;
}

static int tear_down(void **state)
{
    unlink(second);
    return trace_place_close(state);
}

/* ---- a disk that refuses what contains a certain text ---- */

static const char *_Atomic refused;

static ssize_t write_or_refuse(int file, const void *bytes, size_t size, off_t at)
{
    const char *text = refused;

    if (text != NULL && memmem(bytes, size, text, strlen(text)) != NULL) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(file, bytes, size, at);
}

/* NULL: as the system has it. */
static void set_write(ssize_t (*call)(int, const void *, size_t, off_t))
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    for (unsigned i = 0; i < 2; i++) {
        static const char *const names[] = {"pwrite", "pwrite64"};

        vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)call);
    }
}

/* ---- recording ---- */

static struct mesh_recording *open_with_ring(uint64_t file_bytes, uint64_t ring_bytes)
{
    const struct mesh_recording_config config = {
        .path = place->path,
        .keeps_all = true,
        .file_bytes = file_bytes,
        .ring_bytes = ring_bytes,
        .secret = {7},
        .node = {.rank = 0, .port = MESH_TRACE_NULL, .clock_offset_ns = MESH_TRACE_NULL, .clock_error_ns = MESH_TRACE_NULL},
    };
    struct mesh_recording *recording;

    if (mesh_recording_open(&recording, &config, reason) != 0)
        fail_msg("%s", reason);
    return recording;
}

static struct mesh_recording *open_recording(uint64_t file_bytes)
{
    return open_with_ring(file_bytes, 0);
}

static void put_ticks(struct mesh_recording *recording, uint64_t from, uint64_t ticks)
{
    const struct mesh_tap *tap = mesh_recording_cluster_tap(recording);

    for (uint64_t i = 0; i < ticks; i++) {
        const struct mesh_tape_entry tick = {.call = {.kind = MESH_TAPE_CLUSTER_TICK, .at_ns = from + i}};

        tap->put(tap->user, &tick);
    }
}

/* Fails where it would wait for ever. */
static struct mesh_recording_stats wait_for(struct mesh_recording *recording, uint64_t entries, uint64_t failures)
{
    struct mesh_recording_stats stats;

    for (unsigned tries = 0; tries < 60000; tries++) {
        mesh_recording_get_stats(recording, &stats);
        if (stats.recorder.entries >= entries && stats.recorder.failures >= failures)
            return stats;
        usleep(1000);
    }
    fail_msg("%llu entries and %llu failures", (unsigned long long)stats.recorder.entries, (unsigned long long)stats.recorder.failures);
    return stats;
}

static uint64_t count(struct mesh_trace *trace, enum mesh_trace_table table)
{
    uint64_t rows;

    assert_int_equal(mesh_trace_count(trace, table, &rows), 0);
    return rows;
}

static uint64_t calls_in(struct mesh_trace *trace)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    uint64_t calls = 0;

    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &chunk) == 1)
        calls += chunk.count;
    mesh_trace_end(cursor);
    return calls;
}

static struct mesh_trace *open_trace(const char *path)
{
    struct mesh_trace *trace;

    if (mesh_trace_open(&trace, path, reason) != 0)
        fail_msg("%s: %s", path, reason);
    return trace;
}

static void a_next_file_gets_its_beginning_once_the_disk_takes_it(void **state)
{
    static char members[60001];
    const struct mesh_trace_epoch epoch = {.t_ns = 1, .epoch = 3, .rank = 0, .members = members};
    struct mesh_recording *recording;
    struct mesh_trace *trace;
    char text[40];

    (void)state;
    memset(members, ' ', sizeof members - 1);
    set_write(write_or_refuse);
    recording = open_recording(50000);
    mesh_recording_set_meta(recording, "color", "stands in every file");
    wait_for(recording, 1, 0);
    refused = "stands in every file";
    mesh_recording_add_epoch(recording, &epoch); /* enough for a next file */
    wait_for(recording, 2, 0);
    put_ticks(recording, 1, 100);
    wait_for(recording, 2, 1); /* the batch waits for the beginning of its file */
    refused = NULL;
    wait_for(recording, 102, 1);
    mesh_recording_close(recording, NULL);
    set_write(NULL);

    trace = open_trace(second);
    assert_int_equal(mesh_trace_get_meta(trace, "color", text, sizeof text), 0);
    assert_string_equal(text, "stands in every file");
    assert_int_equal(count(trace, MESH_TRACE_TABLE_NODE), 1);
    assert_int_equal(count(trace, MESH_TRACE_TABLE_EPOCH), 1);
    assert_int_equal(calls_in(trace), 100);
    mesh_trace_close(trace);
}

static void a_file_that_is_taken_away_is_a_failure_until_it_is_back(void **state)
{
    struct mesh_recording *recording = open_recording(0);
    struct mesh_recording_stats stats;
    struct mesh_trace *trace;

    (void)state;
    put_ticks(recording, 1, 10);
    wait_for(recording, 10, 0);
    assert_int_equal(rename(place->path, aside), 0);
    put_ticks(recording, 11, 10);
    stats = wait_for(recording, 10, 1);
    assert_true(stats.recorder.is_failing);
    assert_non_null(strstr(stats.recorder.why, "removed, renamed or replaced"));
    assert_int_equal(rename(aside, place->path), 0);
    wait_for(recording, 20, 1);
    mesh_recording_close(recording, &stats);
    assert_int_equal(stats.recorder.lost, 0);
    trace = open_trace(place->path);
    assert_int_equal(calls_in(trace), 20);
    mesh_trace_close(trace);
}

static enum mesh_trace_ending_kind ending_of(const char *path)
{
    struct mesh_trace *trace = open_trace(path);
    struct mesh_trace_ending ending;

    assert_int_equal(mesh_trace_get_ending(trace, &ending), 0);
    mesh_trace_close(trace);
    return ending.kind;
}

static void a_recording_that_is_closed_is_marked_as_complete(void **state)
{
    struct mesh_recording *recording = open_recording(0);

    (void)state;
    put_ticks(recording, 1, 10);
    wait_for(recording, 10, 0);
    assert_int_equal(ending_of(place->path), MESH_TRACE_END_OPEN);
    mesh_recording_close(recording, NULL);
    assert_int_equal(ending_of(place->path), MESH_TRACE_END_COMPLETE);
}

static void a_recording_whose_last_entries_the_disk_refuses_ends_early(void **state)
{
    struct mesh_recording *recording;
    struct mesh_recording_stats stats;

    (void)state;
    set_write(write_or_refuse);
    recording = open_recording(0);
    put_ticks(recording, 1, 10);
    wait_for(recording, 10, 0);
    refused = "is refused";
    mesh_recording_set_meta(recording, "color", "is refused");
    mesh_recording_close(recording, &stats);
    refused = NULL;
    set_write(NULL);
    assert_int_equal(stats.recorder.lost, 1);
    assert_int_equal(ending_of(place->path), MESH_TRACE_END_EARLY);
}

static void a_file_that_another_follows_is_marked_with_its_name(void **state)
{
    static char members[60001];
    const struct mesh_trace_epoch epoch = {.t_ns = 1, .epoch = 3, .rank = 0, .members = members};
    struct mesh_recording *recording = open_recording(50000);
    struct mesh_trace_ending ending;
    struct mesh_trace *trace;

    (void)state;
    memset(members, ' ', sizeof members - 1);
    mesh_recording_add_epoch(recording, &epoch);
    wait_for(recording, 1, 0);
    put_ticks(recording, 1, 10);
    mesh_recording_close(recording, NULL);
    trace = open_trace(place->path);
    assert_int_equal(mesh_trace_get_ending(trace, &ending), 0);
    mesh_trace_close(trace);
    assert_int_equal(ending.kind, MESH_TRACE_END_CONTINUED);
    assert_string_equal(ending.next, "t-2.db");
    assert_int_equal(ending_of(second), MESH_TRACE_END_COMPLETE);
}

static void what_was_to_go_into_a_removed_file_is_missing(void **state)
{
    struct mesh_recording *recording = open_recording(0);
    struct mesh_recording_stats stats;

    (void)state;
    put_ticks(recording, 1, 10);
    wait_for(recording, 10, 0);
    assert_int_equal(unlink(place->path), 0);
    put_ticks(recording, 11, 10);
    mesh_recording_close(recording, &stats);
    assert_int_equal(stats.recorder.entries, 10);
    assert_int_equal(stats.recorder.lost, 10);
}

/* The reasons of all gaps are the same one. */
static void check_gaps(const char *expected)
{
    struct mesh_trace *trace = open_trace(place->path);
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_gap gap;
    unsigned gaps = 0;

    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_GAP, 0, &cursor), 0);
    for (; mesh_trace_next(cursor, &gap) == 1; gaps++)
        assert_string_equal(gap.reason, expected);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
    assert_true(gaps > 0);
}

static void lose_ticks(struct mesh_recording *recording)
{
    struct mesh_recording_stats stats;

    do {
        put_ticks(recording, mesh_udp_now_ns(), 1000);
        mesh_recording_get_stats(recording, &stats);
    } while (stats.recorder.lost == 0);
}

static void a_gap_names_the_disk_that_was_full(void **state)
{
    struct mesh_recording *recording;

    (void)state;
    set_write(write_or_refuse);
    recording = open_with_ring(0, MESH_RECORDER_RING_BYTES_MIN);
    refused = "is refused";
    mesh_recording_set_meta(recording, "color", "is refused");
    wait_for(recording, 0, 1);
    lose_ticks(recording);
    refused = NULL;
    wait_for(recording, 1, 1);
    mesh_recording_close(recording, NULL);
    set_write(NULL);
    check_gaps("cluster: the disk was full, or failed");
}

static void a_gap_names_no_full_disk_where_none_was(void **state)
{
    struct mesh_recording *recording = open_with_ring(0, MESH_RECORDER_RING_BYTES_MIN);

    (void)state;
    lose_ticks(recording);
    mesh_recording_close(recording, NULL);
    check_gaps("cluster: the disk or the processor did not keep up");
}

static void a_file_whose_wal_is_emptied_is_left_as_it_is(void **state)
{
    struct mesh_recording *recording = open_recording(0);
    struct mesh_recording_stats stats;
    struct mesh_trace *trace;
    size_t before_bytes, after_bytes;
    uint8_t *before, *after;
    char wal[120];

    (void)state;
    put_ticks(recording, 1, 10);
    wait_for(recording, 10, 0);
    put_ticks(recording, 11, 10);
    wait_for(recording, 20, 0);
    snprintf(wal, sizeof wal, "%s-wal", place->path);
    before = trace_case_load(place->path, &before_bytes);
    assert_int_equal(truncate(wal, 0), 0);
    put_ticks(recording, 21, 10);
    stats = wait_for(recording, 20, 1);
    assert_non_null(strstr(stats.recorder.why, "-wal was emptied or cut"));
    mesh_recording_close(recording, &stats);
    assert_int_equal(stats.recorder.lost, 10);
    after = trace_case_load(place->path, &after_bytes);
    assert_int_equal(after_bytes, before_bytes);
    assert_memory_equal(after, before, before_bytes);
    assert_int_equal(mesh_trace_open(&trace, place->path, reason), MESH_ETRUNCATED);
    assert_non_null(strstr(reason, "which was emptied: record again"));
    free(before);
    free(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_next_file_gets_its_beginning_once_the_disk_takes_it),
        TEST(a_file_that_is_taken_away_is_a_failure_until_it_is_back),
        TEST(a_recording_that_is_closed_is_marked_as_complete),
        TEST(a_recording_whose_last_entries_the_disk_refuses_ends_early),
        TEST(a_file_that_another_follows_is_marked_with_its_name),
        TEST(what_was_to_go_into_a_removed_file_is_missing),
        TEST(a_file_whose_wal_is_emptied_is_left_as_it_is),
        TEST(a_gap_names_the_disk_that_was_full),
        TEST(a_gap_names_no_full_disk_where_none_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
