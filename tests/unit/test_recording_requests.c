/* A node's record of requests and epochs: how they begin, are cancelled and end, with counts; the endpoint's config; and the removal of
 * files of a run that does not begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/tape.h"
#include "mesh/trace.h"
#include "node/epoch/recording.h"

enum { EPOCH = 7, OWN = 11, OTHERS = 12 };

static char folder[100], path[140];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/mesh-requests.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
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

static struct recording *open_recording_at(struct mesh_addr addr)
{
    const struct recording_options options = {.path = path, .prompts = true};
    const struct recording_node node = {.name = "node", .addr = addr};
    struct recording *recording;
    struct fail fail = {0};

    if (recording_open(&recording, &options, &node, NULL, false, &fail) < 0)
        fail_msg("%s", fail.text);
    return recording;
}

static struct recording *open_recording(void)
{
    return open_recording_at((struct mesh_addr){0});
}

static struct mesh_trace *open_trace(void)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;

    if (mesh_trace_open(&trace, path, reason) != 0)
        fail_msg("%s", reason);
    return trace;
}

static void add_tokens(struct recording *recording, uint64_t request, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        const struct engine_token token = {.request = request, .index = i, .id = 5};

        recording_token(recording, 100 + i, &token);
    }
}

/* The next row of requests. */
static void expect_row(struct mesh_trace_cursor *cursor, uint64_t request, const char *kind, int64_t prompt_tokens, int64_t tokens,
                       const char *reason)
{
    struct mesh_trace_request row;

    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(row.request, request);
    assert_string_equal(row.kind, kind);
    assert_true(row.prompt_tokens == prompt_tokens);
    assert_true(row.tokens == tokens);
    if (reason == NULL)
        assert_null(row.reason);
    else
        assert_string_equal(row.reason, reason);
}

static void ends_and_cancels_count_the_tokens_until_then(void **state)
{
    const uint32_t prompt[3] = {1, 2, 3};
    const struct request request = {.id = OWN, .prompt = prompt, .prompt_count = 3, .predict = 50};
    struct recording *recording = open_recording();
    struct mesh_trace_cursor *cursor;
    struct mesh_trace *trace;

    (void)state;
    recording_request(recording, 90, &request);
    add_tokens(recording, OWN, 0, 4);
    add_tokens(recording, OTHERS, 0, 2);
    recording_request_cancel(recording, 120, OWN, "the client is gone");
    add_tokens(recording, OWN, 4, 1);
    recording_request_end(recording, 130, OWN, ENGINE_DONE_CANCELLED);
    add_tokens(recording, OTHERS, 1, 3); /* the second token again, in the next epoch */
    recording_request_end(recording, 140, OTHERS, ENGINE_DONE_LENGTH);
    assert_int_equal(recording_close(recording, NULL), 0);
    trace = open_trace();
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_REQUEST, 0, &cursor), 0);
    expect_row(cursor, OWN, "begin", 3, 50, NULL);
    expect_row(cursor, OWN, "cancel", 3, 4, "the client is gone");
    expect_row(cursor, OWN, "end", 3, 5, "cancelled");
    expect_row(cursor, OTHERS, "end", MESH_TRACE_NULL, 4, "length");
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

/* More requests than there is room for, most of which never end. */
static void requests_that_never_end_do_not_hinder_others(void **state)
{
    struct recording *recording = open_recording();
    struct mesh_trace_cursor *cursor;
    struct mesh_trace *trace;

    (void)state;
    for (uint64_t id = 1; id <= 10 * ENGINE_SLOTS_MAX; id++)
        add_tokens(recording, 1000 + id, 0, 2);
    recording_request_end(recording, 140, 1000 + 10 * ENGINE_SLOTS_MAX, ENGINE_DONE_END);
    assert_int_equal(recording_close(recording, NULL), 0);
    trace = open_trace();
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_REQUEST, 0, &cursor), 0);
    expect_row(cursor, 1000 + 10 * ENGINE_SLOTS_MAX, "end", MESH_TRACE_NULL, 2, "end");
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

static void add_init(struct recording *recording, uint32_t epoch)
{
    const struct mesh_tap *tap = recording_endpoint_tap(recording);
    const struct mesh_tape_entry init = {
        .init = {.kind = MESH_TAPE_INIT, .format = MESH_TAPE_FORMAT, .rank_count = 1, .epoch = epoch, .datagram_bytes_max = 1400}};

    tap->put(tap->user, &init);
}

static void an_epoch_has_the_config_of_its_endpoint(void **state)
{
    const struct mesh_cluster_member member = {.share = 1};
    const uint32_t dealt = 1;
    struct recording *recording = open_recording();
    struct mesh_trace_cursor *cursor;
    struct mesh_tape_entry init;
    struct mesh_trace_epoch row;
    struct mesh_trace *trace;
    size_t used;

    (void)state;
    add_init(recording, EPOCH);
    recording_epoch(recording, 1, EPOCH, NULL, 0, &member, &dealt, 1);
    recording_epoch(recording, 2, EPOCH + 1, NULL, 0, &member, &dealt, 1); /* alone: without an endpoint */
    assert_int_equal(recording_close(recording, NULL), 0);
    trace = open_trace();
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_EPOCH, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(mesh_tape_decode(row.config.bytes, row.config.size, &init, &used), 0);
    assert_int_equal(used, row.config.size);
    assert_int_equal(init.call.kind, MESH_TAPE_INIT);
    assert_int_equal(init.init.epoch, EPOCH);
    assert_int_equal(init.init.datagram_bytes_max, 1400);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(row.epoch, EPOCH + 1);
    assert_null(row.config.bytes);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

static void check_address(struct mesh_addr addr, bool has_ip, int64_t port)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_node row;
    struct mesh_trace *trace;

    assert_int_equal(recording_close(open_recording_at(addr), NULL), 0);
    trace = open_trace();
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_NODE, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(row.ip.size, has_ip ? sizeof addr.ip : 0);
    if (has_ip)
        assert_memory_equal(row.ip.bytes, addr.ip, sizeof addr.ip);
    assert_true(row.port == port);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
    unlink(path);
}

static void a_node_has_its_address_unless_it_listens_on_all(void **state)
{
    (void)state;
    check_address((struct mesh_addr){.ip = {[10] = 255, [11] = 255, [12] = 10, [15] = 1}, .port = 7411}, true, 7411);
    check_address((struct mesh_addr){.ip = {[10] = 255, [11] = 255}, .port = 7411}, false, 7411);
    check_address((struct mesh_addr){.port = 7411}, false, 7411);
    check_address((struct mesh_addr){0}, false, MESH_TRACE_NULL);
}

/* A process that is killed while it creates its tables leaves a journal. */
static void what_a_run_has_begun_to_record_goes_with_all_that_belongs_to_it(void **state)
{
    static const char *const ends[] = {".db", ".1.db", ".1.db-journal", ".2.db-journal", ".2.db-wal", ".2.db-shm"};
    char name[200];

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        FILE *file;

        snprintf(name, sizeof name, "%s/T%s", folder, ends[i]);
        file = fopen(name, "w");
        assert_non_null(file);
        fclose(file);
    }
    recording_remove(path, 1, 3);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s/T%s", folder, ends[i]);
        assert_int_equal(access(name, F_OK), i == 0 ? 0 : -1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ends_and_cancels_count_the_tokens_until_then),
        TEST(requests_that_never_end_do_not_hinder_others),
        TEST(an_epoch_has_the_config_of_its_endpoint),
        TEST(a_node_has_its_address_unless_it_listens_on_all),
        TEST(what_a_run_has_begun_to_record_goes_with_all_that_belongs_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
