/* What a serving node records of its clients' requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/trace.h"
#include "served.h"
#include "served_clock.h"

enum { ANY = -2 };

static struct served served; /* too large for the stack */
static struct server *const server = &served.server;
static char folder[100], path[140];
static const volatile sig_atomic_t no_signal;

static int open_node(void **state)
{
    struct fail fail;

    (void)state;
    snprintf(folder, sizeof folder, "%s/mesh-served.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/T.db", folder);
    served_open(&served, 0, MESH_SECURITY_NONE);
    server->memory.monitor = memory_monitor_open(&fail); /* reports have the free memory */
    assert_non_null(server->memory.monitor);
    served.config.record.path = path;
    assert_int_equal(serve_record_open(server, &fail), 0);
    return 0;
}

static int close_node(void **state)
{
    (void)state;
    served_close(&served);
    memory_monitor_close(server->memory.monitor);
    unlink(path);
    return rmdir(folder);
}

static uint64_t ask(unsigned client, uint32_t predict)
{
    served_ask_text(&served, client, "abc", predict);
    serve_run_prompt_queue(server);
    assert_true(server->jobs.job[0].id != 0);
    return server->jobs.job[0].id;
}

static void expect_row(struct mesh_trace_cursor *cursor, uint64_t request, const char *kind, int64_t tokens, const char *reason)
{
    struct mesh_trace_request row;

    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_true(row.request == request);
    assert_string_equal(row.kind, kind);
    assert_true(row.tokens == tokens || tokens == ANY);
    if (reason != NULL)
        assert_string_equal(row.reason, reason);
}

static void each_request_has_its_beginning_its_end_and_who_ended_it(void **state)
{
    const unsigned one = served_call(&served), two = served_call(&served);
    const uint64_t waiting = ask(one, 5);
    struct mesh_trace_cursor *cursor;
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    uint64_t running, whole;

    (void)state;
    served_say_kind(&served, one, CLIENT_MESSAGE_CANCEL); /* before any epoch: no engine reports its end */
    served_begin_alone(&served);
    running = ask(one, 100);
    jobs_submit(&server->jobs, server->run);
    while (server->run->result_count < 2)
        engine_work(server->run->engine, 0);
    serve_take_results(server);
    served_hang_up(&served, one);
    served_work(&served);
    whole = ask(two, 5);
    served_work(&served);
    serve_tell_clients(server);
    served_say_kind(&served, two, CLIENT_MESSAGE_CANCEL); /* it is over, and no longer there */
    served_say_kind(&served, two, CLIENT_MESSAGE_STATUS);
    served_expect_text(&served, two, "\"recording\":{");
    serve_end_epoch(server);
    serve_record_close(server, &no_signal);
    server->recording = NULL;
    if (mesh_trace_open(&trace, path, reason) != 0)
        fail_msg("%s", reason);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_REQUEST, 0, &cursor), 0);
    expect_row(cursor, waiting, "begin", 5, NULL);
    expect_row(cursor, waiting, "cancel", 0, "the client asked for it");
    expect_row(cursor, waiting, "end", 0, "cancelled");
    expect_row(cursor, running, "begin", 100, NULL);
    expect_row(cursor, running, "cancel", 2, "the client is gone");
    expect_row(cursor, running, "end", ANY, "cancelled");
    expect_row(cursor, whole, "begin", 5, NULL);
    expect_row(cursor, whole, "end", 5, "length");
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_request_has_its_beginning_its_end_and_who_ended_it, open_node, close_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
