/* Queries of a trace: they are answered, and hostile ones do nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/trace.h"
#include "trace_case.h"

static int set_up(void **state)
{
    struct trace_place *place;
    struct mesh_trace_token token = {.node = 1, .request = 3, .step = MESH_TRACE_NULL, .logits_hash = MESH_TRACE_NULL};

    assert_int_equal(trace_place_open(state), 0);
    place = *state;
    assert_int_equal(mesh_trace_create(&place->trace, place->path, place->reason), 0);
    for (token.position = 0; token.position < 3; token.position++) {
        token.t_ns = (int64_t)(token.position * token.position * 10);
        assert_int_equal(mesh_trace_add_row_token(place->trace, &token, NULL), 0);
    }
    mesh_trace_close(place->trace);
    assert_int_equal(mesh_trace_open(&place->trace, place->path, place->reason), 0);
    return 0;
}

static void a_query_is_answered_row_by_row(void **state)
{
    struct trace_place *place = *state;
    struct mesh_trace_value values[2];
    struct mesh_trace_query *query;

    assert_int_equal(mesh_trace_query(place->trace, "SELECT position, since_ns FROM token_times; -- all", 10, &query), 0);
    assert_int_equal(mesh_trace_query_columns(query), 2);
    assert_string_equal(mesh_trace_query_column(query, 1), "since_ns");
    assert_int_equal(mesh_trace_query_next(query, values), 1);
    assert_int_equal(values[1].kind, MESH_TRACE_VALUE_NULL);
    assert_int_equal(mesh_trace_query_next(query, values), 1);
    assert_int_equal(values[1].integer, 10);
    assert_int_equal(mesh_trace_query_next(query, values), 1);
    assert_int_equal(values[1].integer, 30);
    assert_int_equal(mesh_trace_query_next(query, values), 0);
    mesh_trace_query_end(query);
}

static void check_reason(const struct trace_place *place, const char *text)
{
    if (strstr(mesh_trace_reason(place->trace), text) == NULL) {
        fail_msg("'%s' does not say '%s'", mesh_trace_reason(place->trace), text);
    }
}

static void a_second_query_is_refused_and_leaves_the_first_its_limits(void **state)
{
    static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    struct trace_place *place = *state;
    struct mesh_trace_query *first, *second;
    struct mesh_trace_value values[1];
    const struct mesh_trace_token token = {.node = 1};

    assert_int_equal(mesh_trace_query(place->trace, endless, 0, &first), 0);
    assert_int_equal(mesh_trace_query(place->trace, "SELECT 1", 10, &second), MESH_ESTATE);
    assert_null(second);
    check_reason(place, "another query");
    mesh_trace_query_end(second);
    assert_int_equal(mesh_trace_query_next(first, values), MESH_EINVAL); /* its time is over */
    check_reason(place, "takes too long");
    mesh_trace_query_end(first);
    assert_int_equal(mesh_trace_query(place->trace, "SELECT 1", 10, &second), 0);
    mesh_trace_query_end(second);

    mesh_trace_close(place->trace);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mesh_trace_create(&place->trace, place->path, place->reason), 0);
    assert_int_equal(mesh_trace_query(place->trace, "SELECT count(*) FROM tokens", 10, &first), 0);
    assert_int_equal(mesh_trace_add_row_token(place->trace, &token, NULL), MESH_ESTATE);
    check_reason(place, "a query of it is open");
    mesh_trace_query_end(first);
    assert_int_equal(mesh_trace_add_row_token(place->trace, &token, NULL), 0);
}

static void a_transaction_outlives_a_query(void **state)
{
    struct trace_place *place = *state;
    const struct mesh_trace_token token = {.node = 1};
    struct mesh_trace_query *query;
    uint64_t count;

    mesh_trace_close(place->trace);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mesh_trace_create(&place->trace, place->path, place->reason), 0);
    assert_int_equal(mesh_trace_begin(place->trace), 0);
    assert_int_equal(mesh_trace_add_row_token(place->trace, &token, NULL), 0);
    assert_int_equal(mesh_trace_query(place->trace, "SELECT count(*) FROM tokens", 10, &query), 0);
    assert_int_equal(mesh_trace_commit(place->trace), MESH_ESTATE);
    check_reason(place, "a query of it is open");
    mesh_trace_rollback(place->trace);
    mesh_trace_query_end(query);
    assert_int_equal(mesh_trace_commit(place->trace), 0);
    assert_int_equal(mesh_trace_count(place->trace, MESH_TRACE_TABLE_TOKEN, &count), 0);
    assert_int_equal(count, 1);
}

static void after_its_end_a_query_stays_at_its_end(void **state)
{
    struct trace_place *place = *state;
    struct mesh_trace_query *query;
    struct mesh_trace_value values[1];

    assert_int_equal(mesh_trace_query(place->trace, "SELECT 1 FROM tokens LIMIT 1", 10, &query), 0);
    assert_int_equal(mesh_trace_query_next(query, values), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mesh_trace_query_next(query, values), 0);
    }
    mesh_trace_query_end(query);
    assert_int_equal(mesh_trace_query(place->trace, "SELECT abs(iif(position = 1, -9223372036854775807 - 1, 1)) FROM tokens", 10, &query),
                     0);
    assert_int_equal(mesh_trace_query_next(query, values), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mesh_trace_query_next(query, values), MESH_EINVAL); /* abs of it is no integer */
    }
    mesh_trace_query_end(query);
}

static void only_reading_is_allowed(void **state)
{
    static const char *const hostile[] = {
        "DELETE FROM tokens",
        "INSERT INTO meta VALUES('a', 'b')",
        "DROP TABLE tokens",
        "PRAGMA user_version",
        "PRAGMA journal_mode=DELETE",
        "ATTACH '/etc/passwd' AS x",
        "VACUUM",
        "VACUUM INTO '/tmp/test_trace_query.leak'",
        "BEGIN",
        "CREATE TEMP TABLE t(a)",
        "REINDEX",
        "SELECT load_extension('/tmp/evil.so')",
        "EXPLAIN SELECT 1",
        "SELECT 1; DROP TABLE tokens",
        "SELECT 1; SELECT 2",
        "",
        " -- ",
        "SELECT FROM",
        "SELECT * FROM nothing",
        "SELECT readfile('/etc/passwd')",
        "SELECT * FROM pragma_table_info('tokens')",
        "WITH a AS (DELETE FROM tokens RETURNING 1) SELECT * FROM a",
        "UPDATE tokens SET token = 1 RETURNING 1",
        "ANALYZE",
        "DETACH main",
    };
    struct trace_place *place = *state;
    struct mesh_trace_value values[50];
    struct mesh_trace_query *query;
    uint64_t count;

    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        int err = mesh_trace_query(place->trace, hostile[i], 10, &query);

        if (err == 0) {
            err = mesh_trace_query_next(query, values);
        }
        if (err != MESH_EINVAL) {
            fail_msg("%s: %d", hostile[i], err);
        }
        assert_true(strlen(mesh_trace_reason(place->trace)) > 10);
        if (mesh_trace_query(place->trace, "SELECT 1", 10, &query) == 0) {
            mesh_trace_query_end(query);
        }
    }
    assert_int_equal(access("/tmp/test_trace_query.leak", F_OK), -1);
    assert_int_equal(mesh_trace_count(place->trace, MESH_TRACE_TABLE_TOKEN, &count), 0);
    assert_int_equal(count, 3);
}

static void fails_when_stepped(struct trace_place *place, const char *sql, unsigned seconds, const char *why)
{
    struct mesh_trace_value values[4];
    struct mesh_trace_query *query;
    int result = mesh_trace_query(place->trace, sql, seconds, &query);

    while (result == 0 && (result = mesh_trace_query_next(query, values)) == 1) {
        result = 0;
    }
    assert_int_equal(result, MESH_EINVAL);
    assert_non_null(strstr(mesh_trace_reason(place->trace), why));
    mesh_trace_query_end(query);
}

static void what_asks_for_too_much_is_given_up(void **state)
{
    struct trace_place *place = *state;

    fails_when_stepped(place, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", 0, "too long");
    fails_when_stepped(place, "SELECT length(zeroblob(1000000000))", 10, "too big");
    fails_when_stepped(place, "SELECT hex(randomblob(16000000))", 10, "too big");
}

static void count_look(void *user)
{
    (*(unsigned *)user)++;
}

/* Counting to a million takes several million operations of SQLite's machine. */
static unsigned looks_while_counting(struct trace_place *place, unsigned *looks)
{
    static const char sql[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n";
    const unsigned before = *looks;
    struct mesh_trace_value value;
    struct mesh_trace_query *query;

    assert_int_equal(mesh_trace_query(place->trace, sql, 300, &query), 0);
    assert_int_equal(mesh_trace_query_next(query, &value), 1);
    assert_int_equal(value.integer, 1000000);
    mesh_trace_query_end(query);
    return *looks - before;
}

static void who_watches_a_trace_is_called_while_it_is_asked(void **state)
{
    struct trace_place *place = *state;
    unsigned looks = 0;

    assert_int_equal(looks_while_counting(place, &looks), 0);
    mesh_trace_watch(place->trace, count_look, &looks);
    assert_in_range(looks_while_counting(place, &looks), 10, 1000);
    assert_in_range(looks_while_counting(place, &looks), 10, 1000);
    mesh_trace_watch(place->trace, NULL, NULL);
    assert_int_equal(looks_while_counting(place, &looks), 0);
    mesh_trace_watch(place->trace, count_look, &looks);
    fails_when_stepped(place, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", 0, "too long");
}

/* 600 rows of a megabyte, sorted. */
static void what_is_sorted_in_files_may_be_more_than_memory(void **state)
{
    static const char sql[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) SELECT max(p * length(b)) "
                              "FROM (SELECT row_number() OVER (ORDER BY -i) AS p, b FROM (SELECT i, zeroblob(1000000) AS b FROM n))";
    struct trace_place *place = *state;
    struct mesh_trace_value value;
    struct mesh_trace_query *query;

    fails_when_stepped(place, sql, 300, "too much memory");
    mesh_trace_sort_in_files(place->trace);
    assert_int_equal(mesh_trace_query(place->trace, sql, 300, &query), 0);
    assert_int_equal(mesh_trace_query_next(query, &value), 1);
    assert_int_equal(value.integer, 600000000);
    mesh_trace_query_end(query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_query_is_answered_row_by_row, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_second_query_is_refused_and_leaves_the_first_its_limits, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_transaction_outlives_a_query, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(after_its_end_a_query_stays_at_its_end, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(only_reading_is_allowed, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(what_is_sorted_in_files_may_be_more_than_memory, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(who_watches_a_trace_is_called_while_it_is_asked, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(what_asks_for_too_much_is_given_up, set_up, trace_place_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
