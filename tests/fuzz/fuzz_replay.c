/* A recording in whose tables any value stands anywhere, also one of a type that its column does not have: what mesh-replay and the monitor
 * do with it ends in order, and what is JSON can be read.
 *
 * The first byte chooses what is done with it (see commands). The rest is a list of changes (see change) of tests/traces/lossy.db. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "monitor/player.h"
#include "monitor/report.h"
#include "replay/command.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/json_check.h"
#include "tests/unit/trace_case.h"

#define RECORDING "tests/traces/lossy.db"

enum { COLUMNS_MAX = 400, NAME_BYTES = 48, PATH_BYTES = 80, WORDS_MAX = 6, CHANGES_MAX = 20, TICKS_MAX = 50, VALUE_BYTES_MAX = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char unchanged[PATH_BYTES], changed[PATH_BYTES], made[PATH_BYTES];
static uint8_t *whole; /* the recording, with columns that take values of all types */
static size_t whole_bytes;
static struct column {
    char table[NAME_BYTES], name[NAME_BYTES], key[NAME_BYTES]; /* key: what names a row */
} columns[COLUMNS_MAX];
static unsigned column_count;

/* ---- the recording ---- */

static void execute(sqlite3 *db, const char *sql)
{
    require(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static sqlite3 *open_changed(void)
{
    sqlite3 *db;

    require(sqlite3_open_v2(changed, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    execute(db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
    return db;
}

static void copy_text(char out[NAME_BYTES], sqlite3_stmt *statement, int column)
{
    snprintf(out, NAME_BYTES, "%s", (const char *)sqlite3_column_text(statement, column));
}

/* Of all tables that have rows. */
static void find_columns(sqlite3 *db)
{
    sqlite3_stmt *statement;

    require(sqlite3_prepare_v2(db,
                               "SELECT t.name, c.name, iif(t.sql LIKE '%WITHOUT ROWID%', (SELECT name FROM pragma_table_info(t.name) WHERE "
                               "pk = 1), 'rowid') FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name IN "
                               "('nodes', 'epochs', 'requests', 'tokens', 'reports', 'chunks', 'telemetry_node', 'checks', 'meta')",
                               -1, &statement, NULL) == SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct column *column = &columns[column_count++];

        require(column_count < COLUMNS_MAX);
        copy_text(column->table, statement, 0);
        copy_text(column->name, statement, 1);
        copy_text(column->key, statement, 2);
    }
    sqlite3_finalize(statement);
    require(column_count > 0);
}

static void stop(void)
{
    unlink(unchanged);
    unlink(changed);
    unlink(made);
}

static void start(void)
{
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    sqlite3 *db;

    snprintf(unchanged, sizeof unchanged, "%s/fuzz_replay.%d.db", folder, (int)getpid());
    snprintf(changed, sizeof changed, "%s/fuzz_replay.%d.changed.db", folder, (int)getpid());
    snprintf(made, sizeof made, "%s/fuzz_replay.%d.made", folder, (int)getpid());
    whole = trace_case_load(RECORDING, &whole_bytes);
    trace_case_store(unchanged, whole, whole_bytes);
    trace_case_store(changed, whole, whole_bytes);
    free(whole);
    db = open_changed();
    execute(db, "PRAGMA writable_schema = ON");
    execute(db, "UPDATE sqlite_schema SET sql = replace(replace(replace(sql, 'STRICT, ', ''), ') STRICT', ')'), ' NOT NULL', '') "
                "WHERE type = 'table'");
    find_columns(db);
    sqlite3_close(db);
    whole = trace_case_load(changed, &whole_bytes);
    atexit(stop);
}

/* ---- changes ---- */

static void bind_value(struct input *input, unsigned kind, sqlite3_stmt *statement)
{
    const uint64_t number = take(input, kind == 1 ? 1 : kind < 4 ? 8 : 2);
    const size_t left = (size_t)(input->end - input->at), wanted = number % VALUE_BYTES_MAX, bytes = wanted < left ? wanted : left;
    double real;

    memcpy(&real, &number, sizeof real);
    if (kind < 3)
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
    else if (kind == 3)
        sqlite3_bind_double(statement, 1, real);
    else if (kind == 4)
        sqlite3_bind_text(statement, 1, (const char *)input->at, (int)bytes, SQLITE_TRANSIENT);
    else if (kind == 5)
        sqlite3_bind_blob(statement, 1, input->at, (int)bytes, SQLITE_TRANSIENT);
    else
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
    if (kind == 4 || kind == 5)
        input->at += bytes;
}

/* One column of one row: two bytes for which, one for the row, one for the kind of change, and its value. */
static void change(sqlite3 *db, struct input *input)
{
    static const char *const values[] = {"NULL", "?1", "?1", "?1", "?1", "?1", "CAST(substr(%1$s, 1, ?1) AS BLOB)", "substr(%1$s, ?1)"};
    enum { KINDS = sizeof values / sizeof *values, BYTE = KINDS, DELETED };
    const struct column *column = &columns[take(input, 2) % column_count];
    const unsigned row = (unsigned)take(input, 1) % 8, kind = (unsigned)take(input, 1) % (DELETED + 1);
    char sql[600], value[100] = "CAST(substr(%1$s, 1, ?1) || x'ff' || substr(%1$s, ?1 + 2) AS BLOB)";
    sqlite3_stmt *statement;
    int used;

    if (kind == DELETED)
        used = snprintf(sql, sizeof sql, "DELETE FROM %s", column->table);
    else
        used = snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = ", column->table, column->name);
    if (kind < KINDS)
        snprintf(value, sizeof value, "%s", values[kind]);
    for (const char *at = value; kind != DELETED && *at != '\0'; at++)
        if (strncmp(at, "%1$s", 4) == 0) {
            used += snprintf(sql + used, sizeof sql - (size_t)used, "%s", column->name);
            at += 3;
        } else {
            sql[used++] = *at;
        }
    snprintf(sql + used, sizeof sql - (size_t)used, " WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %u)", column->key, column->key,
             column->table, row);
    require(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    if (kind > 0 && kind != DELETED)
        bind_value(input, kind, statement);
    (void)sqlite3_step(statement);
    sqlite3_finalize(statement);
}

/* ---- what is done with it ---- */

static int watch(int argc, char *const *argv, struct fail *fail)
{
    static struct fleet fleet;
    const char *const paths[] = {argv[0]};
    struct recorded *recorded;
    struct player player;
    struct report_cursor cursor = {0};
    int result, ticks = 0;

    (void)argc;
    if (recorded_open(&recorded, paths, 1, fail) < 0)
        return -1;
    require(fleet_init(&fleet) == 0);
    result = player_open(&player, recorded, &fleet, 1000000000, fail);
    while (result == 0 && ticks++ < TICKS_MAX && !player.is_over) {
        result = ticks % 4 == 0 ? player_step(&player, ticks % 3 - 1, fail) : player_tick(&player, fail);
        if (result > 0)
            result = 0;
    }
    if (fleet.ticks > 0)
        report_json(&fleet, fleet.ticks - 1, &cursor, stdout);
    require(player_seconds(&player) >= 0 && player_seconds_total(&player) >= 0);
    fleet_release(&fleet);
    recorded_close(recorded);
    return result;
}

static const struct {
    int (*run)(int argc, char *const *argv, struct fail *fail);
    bool is_json;
    char *words[WORDS_MAX]; /* NULL after the last; the changed recording is inserted first */
} commands[] = {
    {watch, true, {NULL}},
    {info_command, true, {"--json", NULL}},
    {info_command, false, {NULL}},
    {verify_command, true, {"--json", NULL}},
    {verify_command, false, {NULL}},
    {diff_command, true, {unchanged, "--json", NULL}},
    {diff_command, false, {unchanged, NULL}},
    {export_command, false, {"--perfetto", made, NULL}},
    {export_command, false, {"--pcap", made, NULL}},
    {query_command, true, {"--named", "messages", "--json", NULL}},
    {query_command, false, {"--named", "stalls", NULL}},
    {query_command, true, {"--named", "latency", "--json", NULL}},
    {query_command, false, {"--named", "tokens", "--csv", NULL}},
    {query_command, true, {"--named", "requests", "--json", NULL}},
    {query_command, true, {"--named", "links", "--json", NULL}},
    {query_command, true, {"--named", "epochs", "--json", NULL}},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void check_lines(char *text)
{
    char *end;

    for (; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        require(json_check(text, strlen(text)));
    }
    require(*text == '\0');
}

static void run(unsigned which)
{
    FILE *const real_out = stdout, *const real_err = stderr, *const nowhere = fopen("/dev/null", "w");
    char *argv[WORDS_MAX + 1] = {changed}, *printed = NULL;
    struct fail fail = {0};
    size_t printed_bytes = 0;
    int argc = 1, result;

    while (commands[which].words[argc - 1] != NULL) {
        argv[argc] = commands[which].words[argc - 1];
        argc++;
    }
    stdout = open_memstream(&printed, &printed_bytes);
    require(stdout != NULL && nowhere != NULL);
    stderr = nowhere;
    result = commands[which].run(argc, argv, &fail);
    stderr = real_err;
    require(fclose(stdout) == 0 && fclose(nowhere) == 0);
    stdout = real_out;
    require(result >= 0 || (fail.exit_code != EXIT_OK && strchr(fail.text, ':') != NULL));
    if (commands[which].is_json)
        check_lines(printed);
    free(printed);
    unlink(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    const unsigned which = (unsigned)take(&input, 1) % COMMANDS;
    sqlite3 *db;

    if (whole == NULL)
        start();
    trace_case_store(changed, whole, whole_bytes);
    db = open_changed();
    execute(db, "BEGIN");
    for (unsigned i = 0; i < CHANGES_MAX && input.at < input.end; i++)
        change(db, &input);
    execute(db, "COMMIT");
    sqlite3_close(db);
    run(which);
    return 0;
}
