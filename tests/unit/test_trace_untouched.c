/* Reading a trace changes nothing: neither its bytes, nor its times, nor the files beside it; and all its rows are read in any case. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "mesh/tape.h"
#include "mesh/trace.h"
#include "trace_case.h"

enum { CALLS = 100, LARGE_BYTES = 60000 };

static const char kept[] = "tests/traces/lossy.db"; /* of a recorder, with its calls in chunks */
static char folder[100], path[140], wal[150], shm[150], reason[MESH_TRACE_REASON_BYTES];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/mesh-untouched.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/T #%%1?.db", folder); /* characters that a URI has to escape */
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(shm, sizeof shm, "%s-shm", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(wal);
    unlink(shm);
    return rmdir(folder);
}

static void copy_kept(void)
{
    size_t size;
    uint8_t *bytes = trace_case_load(kept, &size);

    trace_case_store(path, bytes, size);
    free(bytes);
}

/* ---- the folder's state ---- */

struct seen {
    unsigned files; /* in the folder */
    struct timespec changed[3];
    uint64_t hashes[3];
};

static void look_at(struct seen *seen)
{
    const char *const names[] = {path, wal, shm};
    const struct dirent *entry;
    DIR *directory = opendir(folder);

    *seen = (struct seen){0};
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        seen->files += entry->d_name[0] != '.';
    closedir(directory);
    for (unsigned i = 0; i < 3; i++) {
        struct stat status;
        uint8_t *bytes;
        size_t size;

        if (stat(names[i], &status) != 0)
            continue;
        seen->changed[i] = status.st_mtim;
        bytes = trace_case_load(names[i], &size);
        seen->hashes[i] = mesh_trace_hash(bytes, size);
        free(bytes);
    }
}

static void assert_untouched(const struct seen *before)
{
    struct seen after;

    look_at(&after);
    assert_int_equal(after.files, before->files);
    assert_memory_equal(after.changed, before->changed, sizeof after.changed);
    assert_memory_equal(after.hashes, before->hashes, sizeof after.hashes);
}

/* ---- what is read ---- */

static struct mesh_trace *open_trace(void)
{
    struct mesh_trace *trace;

    if (mesh_trace_open(&trace, path, reason) != 0)
        fail_msg("%s", reason);
    return trace;
}

static int ask(struct mesh_trace *trace, const char *sql, int64_t *answer)
{
    struct mesh_trace_value value;
    struct mesh_trace_query *query;
    int err = mesh_trace_query(trace, sql, 10, &query);

    if (err == 0 && (err = mesh_trace_query_next(query, &value)) == 1)
        *answer = value.integer;
    mesh_trace_query_end(query);
    return err < 0 ? err : 0;
}

static int64_t answer_to(struct mesh_trace *trace, const char *sql)
{
    int64_t answer = -1;

    if (ask(trace, sql, &answer) != 0)
        fail_msg("%s: %s", sql, mesh_trace_reason(trace));
    return answer;
}

/* Reads something of every view, and rows of calls; returns the sum. */
static int64_t read_all(void)
{
    struct mesh_trace *trace = open_trace();
    const int64_t inputs = answer_to(trace, "SELECT count(*) FROM inputs"), outputs = answer_to(trace, "SELECT count(*) FROM outputs"),
                  calls = answer_to(trace, "SELECT sum(count) FROM chunks");
    int64_t sum = 0;

    assert_int_equal(inputs + outputs, calls);
    sum += answer_to(trace, "SELECT sum(id * bytes) FROM datagrams");
    sum += answer_to(trace, "SELECT count(*) FROM tiles") * 1000;
    sum += answer_to(trace, "SELECT sum(t_ns) % 1000000 FROM tile_latency");
    sum += answer_to(trace, "SELECT sum(datagrams) FROM links");
    sum += answer_to(trace, "SELECT count(*) FROM lost_tiles");
    mesh_trace_close(trace);
    return sum;
}

/* ---- tests ---- */

static void a_finished_trace_is_read_and_stays_as_it_is(void **state)
{
    struct seen before;
    int64_t sum;

    (void)state;
    copy_kept();
    look_at(&before);
    sum = read_all();
    assert_true(sum > 0);
    assert_untouched(&before);
    assert_int_equal(read_all(), sum);
    assert_untouched(&before);
}

static void where_nothing_may_be_written_the_answers_are_the_same(void **state)
{
    struct seen before;
    int64_t sum;

    (void)state;
    copy_kept();
    sum = read_all();
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(chmod(folder, 0500), 0);
    look_at(&before);
    assert_int_equal(read_all(), sum);
    assert_untouched(&before);
    assert_int_equal(chmod(folder, 0700), 0);
}

/* As when a trace is copied during recording. */
static void a_file_that_has_lost_its_wal_is_read_without_a_new_one(void **state)
{
    struct seen before;
    sqlite3 *db;

    (void)state;
    copy_kept();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL; UPDATE meta SET value = value", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    look_at(&before);
    assert_int_equal(before.files, 1);
    assert_true(read_all() > 0);
    assert_untouched(&before);
}

/* Adds a chunk of received datagrams of so many bytes each. */
static void add_calls(struct mesh_trace *trace, uint64_t first, size_t bytes)
{
    static uint8_t datagram[LARGE_BYTES], records[CALLS * (LARGE_BYTES + 200)];
    const struct mesh_tape_entry call = {.receive = {.kind = MESH_TAPE_RECEIVE, .body_bytes = (uint32_t)bytes}, .body = datagram};
    const struct mesh_trace_chunk chunk = {.node = 1, .core = MESH_TRACE_CORE_MESH, .first = first, .count = CALLS};
    size_t used = 0;

    for (unsigned i = 0; i < CALLS; i++)
        used += mesh_tape_encode(&call, records + used, sizeof records - used);
    assert_int_equal(mesh_trace_add_chunk(trace, &chunk, records, used, NULL), 0);
}

static void be_killed_while_recording(void)
{
    struct mesh_trace *trace;
    const pid_t child = fork();
    int status;

    if (child == 0) {
        if (mesh_trace_create(&trace, path, reason) == 0) {
            add_calls(trace, 1, 100);
            add_calls(trace, 1 + CALLS, 100);
            raise(SIGKILL);
        }
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static int64_t count_datagrams(void)
{
    struct mesh_trace *trace = open_trace();
    uint64_t count;

    assert_int_equal(mesh_trace_count(trace, MESH_TRACE_TABLE_DATAGRAM, &count), 0);
    mesh_trace_close(trace);
    return (int64_t)count;
}

static void what_a_killed_recorder_has_left_is_read_to_its_end_and_left_there(void **state)
{
    struct seen before;

    (void)state;
    be_killed_while_recording();
    look_at(&before);
    assert_int_equal(before.files, 3);
    assert_int_equal(count_datagrams(), 2 * CALLS);
    assert_untouched(&before);
    unlink(shm); /* as after a restart of the machine, or in a copy */
    assert_int_equal(chmod(path, 0400) + chmod(wal, 0400) + chmod(folder, 0500), 0);
    look_at(&before);
    assert_int_equal(count_datagrams(), 2 * CALLS);
    assert_untouched(&before);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void a_trace_that_grows_is_read_as_far_as_it_is(void **state)
{
    struct mesh_trace *writer;
    struct seen end;

    (void)state;
    assert_int_equal(mesh_trace_create(&writer, path, reason), 0);
    add_calls(writer, 1, 100);
    assert_int_equal(count_datagrams(), CALLS);
    add_calls(writer, 1 + CALLS, 100);
    assert_int_equal(count_datagrams(), 2 * CALLS);
    mesh_trace_close(writer);
    look_at(&end);
    assert_int_equal(end.files, 1);
    assert_int_equal(count_datagrams(), 2 * CALLS);
    assert_untouched(&end);
}

/* Limits the size of files that this process writes. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void without_room_for_rows_it_is_said_and_other_tables_are_read(void **state)
{
    struct mesh_trace *trace;
    int64_t answer = -1;

    (void)state;
    assert_int_equal(mesh_trace_create(&trace, path, reason), 0);
    for (uint64_t i = 0; i < 5; i++)
        add_calls(trace, 1 + i * CALLS, LARGE_BYTES);
    mesh_trace_close(trace);
    trace = open_trace();
    signal(SIGXFSZ, SIG_IGN);
    limit_files(1 << 16);
    assert_int_equal(ask(trace, "SELECT count(*) FROM chunks", &answer), 0);
    assert_int_equal(ask(trace, "DELETE FROM datagrams", &answer), MESH_EINVAL);
    assert_int_equal(ask(trace, "SELECT count(*) FROM messages", &answer), MESH_ESYSTEM);
    assert_non_null(strstr(mesh_trace_reason(trace), "no room for the rows of its calls"));
    assert_int_equal(ask(trace, "SELECT count(*) FROM meta", &answer), 0);
    limit_files(RLIM_INFINITY);
    assert_int_equal(answer_to(trace, "SELECT count(*) FROM messages"), 5 * CALLS);
    mesh_trace_close(trace);
}

static void rows_that_are_in_the_file_count_once(void **state)
{
    struct mesh_trace *trace;
    sqlite3 *db;
    int64_t rows;

    (void)state;
    copy_kept();
    trace = open_trace();
    rows = answer_to(trace, "SELECT count(*) FROM datagrams");
    mesh_trace_close(trace);
    /* As left by an earlier version that had made some of the rows. */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "UPDATE chunks SET expanded = 1 WHERE id > 1; INSERT INTO datagrams"
                     "(node, t_ns, direction, core, bytes, form, data_bytes, data_hash, coding) VALUES(1, 5, 1, 1, 9, 1, 9, 0, 0)",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    trace = open_trace();
    assert_int_equal(answer_to(trace, "SELECT count(*) FROM datagrams WHERE bytes = 9"), 1);
    assert_true(answer_to(trace, "SELECT count(*) FROM datagrams") <= rows + 1);
    assert_int_equal(answer_to(trace, "SELECT count(*) FROM main.datagrams"), 1);
    mesh_trace_close(trace);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_finished_trace_is_read_and_stays_as_it_is),
        TEST(where_nothing_may_be_written_the_answers_are_the_same),
        TEST(a_file_that_has_lost_its_wal_is_read_without_a_new_one),
        TEST(what_a_killed_recorder_has_left_is_read_to_its_end_and_left_there),
        TEST(a_trace_that_grows_is_read_as_far_as_it_is),
        TEST(without_room_for_rows_it_is_said_and_other_tables_are_read),
        TEST(rows_that_are_in_the_file_count_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
