/* How a trace ends, and that each row of each table that is deleted, added or changed after it was written is found and named. */
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
#include <sqlite3.h>

#include "mesh/trace.h"
#include "trace_case.h"

enum { NAMES_MAX = 120, COLUMNS_MAX = 60 };

static char path[TRACE_PLACE_PATH_BYTES], reason[MESH_TRACE_REASON_BYTES];

static int set_up(void **state)
{
    return trace_place_make(state, path);
}

static struct mesh_trace *open_trace(void)
{
    struct mesh_trace *trace;

    if (mesh_trace_open(&trace, path, reason) != 0)
        fail_msg("%s", reason);
    return trace;
}

/* ---- findings ---- */

struct found {
    unsigned count, of_table, missing, added, changed;
    const char *table, *row; /* that are expected; row NULL: any */
};

static void note(void *user, const struct mesh_trace_finding *finding)
{
    struct found *found = user;

    found->count++;
    found->of_table += strcmp(finding->table, found->table) == 0 && (found->row == NULL || strcmp(finding->row, found->row) == 0);
    found->missing += finding->fault == MESH_TRACE_ROW_MISSING;
    found->added += finding->fault == MESH_TRACE_ROW_ADDED;
    found->changed += finding->fault == MESH_TRACE_ROW_CHANGED;
}

static struct found check(const char *table, const char *row)
{
    struct found found = {.table = table, .row = row};
    struct mesh_trace *trace = open_trace();

    assert_int_equal(mesh_trace_check(trace, note, &found), 0);
    mesh_trace_close(trace);
    return found;
}

/* ---- changes by hand ---- */

/* Number of rows that were changed. */
static int execute(const char *sql)
{
    sqlite3 *db;
    int count;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    count = sqlite3_changes(db);
    sqlite3_close(db);
    return count;
}

struct names {
    char name[NAMES_MAX][64];
    unsigned count;
};

static int add_name(void *user, int count, char **values, char **columns)
{
    struct names *names = user;

    (void)count, (void)columns;
    assert_true(names->count < NAMES_MAX);
    snprintf(names->name[names->count++], sizeof names->name[0], "%s", values[0]);
    return 0;
}

static struct names names_of(const char *sql)
{
    struct names names = {.count = 0};
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, add_name, &names, NULL), SQLITE_OK);
    sqlite3_close(db);
    return names;
}

static struct names tables(void)
{
    const struct names names = names_of("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");

    assert_true(names.count > 40);
    return names;
}

static struct names columns(const char *table)
{
    char sql[120];

    snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s')", table);
    return names_of(sql);
}

/* The first row's value is replaced by another of the same type: a column that may be NULL in some rows, or is, gets one. */
static void change_column(const char *table, const char *column)
{
    char sql[1000];

    snprintf(
        sql, sizeof sql,
        "UPDATE %s SET \"%s\" = CASE (SELECT type FROM pragma_table_info('%s') WHERE name = '%s') WHEN 'TEXT' THEN coalesce(\"%s\", '') || "
        "'x' WHEN 'BLOB' THEN CAST(coalesce(\"%s\", x'') || x'01' AS BLOB) ELSE coalesce(\"%s\", 0) + 1000 END "
        "WHERE \"%s\" IS (SELECT \"%s\" FROM %s LIMIT 1)",
        table, column, table, column, column, column, column, column, column, table);
    execute(sql);
}

/* A row of zeros with a key that no row has. */
static void add_row(const char *table)
{
    const struct names of = columns(table);
    static char sql[20000];
    size_t used = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s SELECT ", table);

    for (unsigned i = 0; i < of.count; i++)
        used += (size_t)snprintf(sql + used, sizeof sql - used,
                                 "%s(SELECT CASE type WHEN 'TEXT' THEN 'x' WHEN 'BLOB' THEN x'00' ELSE %d END FROM "
                                 "pragma_table_info('%s') WHERE cid = %u)",
                                 i > 0 ? ", " : "", i == 0 ? 5000 : 0, table, i);
    assert_true(used < sizeof sql);
    assert_int_equal(execute(sql), 1);
}

/* ---- tests ---- */

static void a_trace_as_it_was_written_has_no_findings(void **state)
{
    (void)state;
    assert_int_equal(check("", NULL).count, 0);
}

static void each_column_of_each_table_is_checked(void **state)
{
    const struct names names = tables();
    size_t size;
    uint8_t *bytes = trace_case_load(path, &size);
    unsigned changes = 0;

    (void)state;
    for (unsigned t = 0; t < names.count; t++) {
        char sql[120];
        const struct names of = columns(names.name[t]);

        snprintf(sql, sizeof sql, "SELECT 1 FROM %s LIMIT 1", names.name[t]);
        if (names_of(sql).count == 0)
            continue;
        for (unsigned c = 0; c < of.count; c++, changes++) {
            change_column(names.name[t], of.name[c]);
            if (check(names.name[t], NULL).of_table == 0)
                fail_msg("%s of %s was changed, and that is not found", of.name[c], names.name[t]);
            trace_case_store(path, bytes, size);
        }
    }
    assert_true(changes > 150);
    free(bytes);
}

static void a_deleted_row_of_each_table_is_found(void **state)
{
    const struct names names = tables();
    size_t size;
    uint8_t *bytes = trace_case_load(path, &size);

    (void)state;
    for (unsigned t = 0; t < names.count; t++) {
        static const char *const orders[] = {"", "DESC"};

        for (unsigned o = 0; o < 2; o++) {
            struct found found;
            char sql[300];

            snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s = (SELECT %s FROM %s ORDER BY 1 %s LIMIT 1)", names.name[t],
                     columns(names.name[t]).name[0], columns(names.name[t]).name[0], names.name[t], orders[o]);
            if (execute(sql) == 0)
                continue;
            found = check(names.name[t], NULL);
            /* Without the last check its rows seem to be added: nothing else tells that there was one. */
            if ((strcmp(names.name[t], "checks") == 0 && o == 1 ? found.added : found.of_table) == 0)
                fail_msg("%s: and that is not found", sql);
            trace_case_store(path, bytes, size);
        }
        if (strcmp(names.name[t], "meta") != 0) { /* which is needed to open it */
            char sql[120];

            snprintf(sql, sizeof sql, "DELETE FROM %s", names.name[t]);
            if (execute(sql) > 0 && check(names.name[t], NULL).of_table == 0)
                fail_msg("%s: and that is not found", sql);
            trace_case_store(path, bytes, size);
        }
    }
    free(bytes);
}

static void an_added_row_of_each_table_is_found(void **state)
{
    const struct names names = tables();
    size_t size;
    uint8_t *bytes = trace_case_load(path, &size);

    (void)state;
    for (unsigned t = 0; t < names.count; t++) {
        add_row(names.name[t]);
        if (check(names.name[t], NULL).of_table == 0)
            fail_msg("a row was added to %s, and that is not found", names.name[t]);
        trace_case_store(path, bytes, size);
    }
    free(bytes);
}

static void the_row_is_named_and_what_became_of_it(void **state)
{
    struct found found;

    (void)state;
    execute("DELETE FROM datagrams WHERE id = 3");
    found = check("datagrams", "3");
    assert_int_equal(found.count, 1);
    assert_int_equal(found.of_table, 1);
    assert_int_equal(found.missing, 1);
    execute("INSERT INTO tokens SELECT 7, node, t_ns, request, position, step, token, logits_hash FROM tokens");
    found = check("tokens", "7");
    assert_int_equal(found.of_table, 1);
    assert_int_equal(found.added, 1);
    execute("UPDATE meta SET value = 'x' WHERE key = 'libmesh'");
    found = check("meta", "libmesh");
    assert_int_equal(found.of_table, 1);
    assert_int_equal(found.changed, 1);
    assert_int_equal(found.count, 3);
}

static void checks_that_were_taken_away_are_missed(void **state)
{
    (void)state;
    execute("DROP TABLE checks");
    assert_int_equal(check("checks", "").of_table, 1);
    execute("DELETE FROM meta WHERE key = 'end'"); /* now it is as an earlier version wrote it */
    assert_int_equal(check("", NULL).count, 0);
}

/* A number that anybody can write would otherwise be counted up to. */
static void a_check_of_an_absurd_number_is_one_gap(void **state)
{
    (void)state;
    execute("INSERT INTO checks VALUES(9223372036854775807, 'tokens', 0, zeroblob(16), 0), (-9223372036854775807, 'tokens', 0, "
            "zeroblob(16), 0)");
    const struct found found = check("checks", NULL);

    assert_int_equal(found.of_table, 3);
    assert_int_equal(found.missing, 1);
    assert_int_equal(found.changed, 1);
    assert_int_equal(found.added, 1);
}

static void a_copy_by_sqlite_has_the_same_rows(void **state)
{
    (void)state;
    execute("PRAGMA page_size=1024; VACUUM");
    assert_int_equal(check("", NULL).count, 0);
}

static void rows_that_were_rolled_back_have_no_check(void **state)
{
    struct trace_place *place = *state;
    const struct mesh_trace_chunk chunk = {.node = 1, .core = 1, .first = 1, .count = 2, .expanded = 1};
    const struct mesh_trace_token token = {.node = 1, .request = 7, .position = 3, .token = 5};
    static const uint8_t records[100] = {1, 2, 3};

    unlink(path);
    assert_int_equal(mesh_trace_create(&place->trace, path, reason), 0);
    for (unsigned i = 0; i < 4; i++) {
        if (i < 3)
            assert_int_equal(mesh_trace_begin(place->trace), 0);
        assert_int_equal(mesh_trace_add_chunk(place->trace, &chunk, records, sizeof records - i, NULL), 0);
        assert_int_equal(mesh_trace_add_row_token(place->trace, &token, NULL), 0);
        if (i == 1)
            mesh_trace_rollback(place->trace);
        else if (i < 3)
            assert_int_equal(mesh_trace_commit(place->trace), 0);
    }
    mesh_trace_close(place->trace); /* the last ones are without a transaction */
    place->trace = NULL;
    assert_int_equal(check("", NULL).count, 0);
    execute("DELETE FROM tokens WHERE id = 3");
    assert_int_equal(check("tokens", "3").of_table, 1);
}

/* ---- ends ---- */

static struct mesh_trace_ending ending_of(void)
{
    struct mesh_trace *trace = open_trace();
    struct mesh_trace_ending ending;

    assert_int_equal(mesh_trace_get_ending(trace, &ending), 0);
    mesh_trace_close(trace);
    return ending;
}

static void a_trace_has_no_end_until_it_is_marked(void **state)
{
    struct trace_place *place = *state;
    const struct mesh_trace_token token = {.node = 1, .t_ns = 12345, .request = 7};
    struct mesh_trace_ending ending;

    unlink(path);
    assert_int_equal(mesh_trace_create(&place->trace, path, reason), 0);
    assert_int_equal(ending_of().kind, MESH_TRACE_END_OPEN);
    assert_true(ending_of().until_ns == MESH_TRACE_NULL);
    assert_int_equal(mesh_trace_add_row_token(place->trace, &token, NULL), 0);
    mesh_trace_close(place->trace);
    place->trace = NULL;
    ending = ending_of();
    assert_int_equal(ending.kind, MESH_TRACE_END_EARLY);
    assert_int_equal(ending.until_ns, 12345);
    execute("DELETE FROM meta WHERE key = 'end'");
    assert_int_equal(ending_of().kind, MESH_TRACE_END_UNKNOWN);
}

static void a_marked_end_says_when_and_what_follows(void **state)
{
    struct trace_place *place = *state;
    struct mesh_trace_ending ending;

    unlink(path);
    assert_int_equal(mesh_trace_create(&place->trace, path, reason), 0);
    assert_int_equal(mesh_trace_end_here(place->trace, 99, NULL), 0);
    ending = ending_of();
    assert_int_equal(ending.kind, MESH_TRACE_END_COMPLETE);
    assert_int_equal(ending.until_ns, 99);
    assert_int_equal(mesh_trace_end_here(place->trace, 100, "t-2.db"), 0);
    mesh_trace_close(place->trace);
    place->trace = NULL;
    ending = ending_of();
    assert_int_equal(ending.kind, MESH_TRACE_END_CONTINUED);
    assert_int_equal(ending.until_ns, 100);
    assert_string_equal(ending.next, "t-2.db");
    assert_int_equal(check("", NULL).count, 0);
}

static int64_t begun_unix_ns_after(struct mesh_trace *trace, int64_t t_ns, int64_t unix_ms)
{
    const struct mesh_trace_report report = {.node = 1, .t_ns = t_ns, .unix_ms = unix_ms};

    assert_int_equal(mesh_trace_add_row_report(trace, &report, NULL), 0);
    return ending_of().begun_unix_ns;
}

/* It began 2 s after its machine, which took that for 1970. */
static void a_clock_that_is_set_later_tells_when_a_trace_began(void **state)
{
    struct trace_place *place = *state;

    unlink(path);
    assert_int_equal(mesh_trace_create(&place->trace, path, reason), 0);
    assert_true(ending_of().begun_unix_ns == MESH_TRACE_NULL);
    assert_int_equal(mesh_trace_set_meta(place->trace, "begun_ns", "2000000000"), 0);
    assert_int_equal(mesh_trace_set_meta(place->trace, "begun_unix_ns", "32000000123"), 0);
    assert_int_equal(ending_of().begun_unix_ns, 32000000123);
    assert_int_equal(begun_unix_ns_after(place->trace, 3000000000, 33000), 32000000123);
    assert_int_equal(begun_unix_ns_after(place->trace, 4000000000, 34900), 32000000123); /* slowed down and sped up, but not set */
    assert_int_equal(begun_unix_ns_after(place->trace, 5000000000, 34100), 32000000123);
    assert_int_equal(begun_unix_ns_after(place->trace, 6000000000, 1795914398354), 1795914394354000000);
    assert_int_equal(begun_unix_ns_after(place->trace, 7000000000, MESH_TRACE_NULL), 1795914394354000000);
    assert_int_equal(begun_unix_ns_after(place->trace, 8000000000, 6000), 0); /* and back, even before 1970 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_trace_as_it_was_written_has_no_findings, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(each_column_of_each_table_is_checked, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_deleted_row_of_each_table_is_found, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(an_added_row_of_each_table_is_found, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(the_row_is_named_and_what_became_of_it, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(checks_that_were_taken_away_are_missed, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_check_of_an_absurd_number_is_one_gap, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_copy_by_sqlite_has_the_same_rows, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(rows_that_were_rolled_back_have_no_check, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_trace_has_no_end_until_it_is_marked, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_clock_that_is_set_later_tells_when_a_trace_began, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_marked_end_says_when_and_what_follows, set_up, trace_place_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
