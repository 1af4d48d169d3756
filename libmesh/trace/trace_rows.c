/* Rows of recorded calls: made when they are first asked for, in a temporary database beside the trace, which stays as it is.
 *
 * The database is SQLite's own, a file without a name that goes when the trace is closed. Its tables take the place of the file's by views
 * that come first when a name is looked up; main.datagrams and so on are the file's. */
#include <string.h>

#include "trace_parts.h"

#define ROWS_INTO "expanded."

static const char making[] = "making rows";

/* The file's own rows of a table: a trace that is older, or made in parts, has them. */
static int copy_table(struct mesh_trace *trace, const char *name)
{
    bool is_table = false;
    const int err = mesh_trace_check_table(trace, name, &is_table);

    if (err != 0 || !is_table)
        return err;
    return mesh_trace_execute_made(trace, sqlite3_mprintf("INSERT INTO " ROWS_INTO "%s SELECT * FROM main.%s", name, name), making);
}

static int show_table(struct mesh_trace *trace, const char *name)
{
    return mesh_trace_execute_made(trace, sqlite3_mprintf("CREATE TEMP VIEW %s AS SELECT * FROM " ROWS_INTO "%s", name, name), making);
}

static int each_table(struct mesh_trace *trace, int (*take)(struct mesh_trace *trace, const char *name))
{
    static const enum mesh_trace_table tables[] = {MESH_TRACE_TABLE_INPUT, MESH_TRACE_TABLE_OUTPUT, MESH_TRACE_TABLE_DATAGRAM};
    char name[TRACE_NAME_BYTES];
    int err = 0;

    for (unsigned i = 0; i < sizeof tables / sizeof *tables && err == 0; i++)
        err = take(trace, mesh_trace_tables[tables[i]].name);
    for (unsigned type = 1; type < MESH_TYPE_COUNT && err == 0; type++) {
        if (mesh_wire_message(type) == NULL)
            continue;
        mesh_trace_part_name(name, "message", mesh_wire_message(type)->name);
        err = take(trace, name);
    }
    err = err != 0 ? err : take(trace, "message_ranges");
    return err != 0 ? err : take(trace, "message_members");
}

int mesh_trace_show_views(struct mesh_trace *trace)
{
    int err = 0;

    for (const struct trace_view *view = mesh_trace_views; view->name != NULL && err == 0; view++)
        err = mesh_trace_execute_made(trace, sqlite3_mprintf("CREATE TEMP VIEW IF NOT EXISTS %s AS %s", view->name, view->select), making);
    return err;
}

static int show(struct mesh_trace *trace)
{
    const int err = each_table(trace, show_table);

    return err != 0 ? err : mesh_trace_show_views(trace);
}

/* One transaction, so that a growing trace is read as it is at one moment. The rows are never rolled back, so there is no journal. */
static int fill(struct mesh_trace *trace)
{
    int err = mesh_trace_execute(trace, "BEGIN", making);

    err = err != 0 ? err : mesh_trace_execute_made(trace, mesh_trace_calls_sql(ROWS_INTO), making);
    err = err != 0 ? err : each_table(trace, copy_table);
    err = err != 0 ? err : mesh_trace_expand(trace);
    err = err != 0 ? err : mesh_trace_execute_made(trace, mesh_trace_calls_index_sql(ROWS_INTO), making);
    return err != 0 ? err : mesh_trace_execute(trace, "COMMIT", making);
}

static void finalize(sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

static void finalize_adding(struct mesh_trace *trace)
{
    finalize(trace->add, MESH_TRACE_TABLE_COUNT);
    finalize(trace->add_message, MESH_TYPE_COUNT);
    finalize(&trace->add_range, 1);
    finalize(&trace->add_member, 1);
}

/* Whether a database is in memory is settled when it is opened: that of the rows is not; those in which queries sort are, or are not
 * (mesh_trace_temp_store). */
static int make_rows(struct mesh_trace *trace)
{
    int err = mesh_trace_execute(trace, "PRAGMA temp_store=FILE; ATTACH '' AS expanded", making);

    if (err != 0)
        return err;
    trace->into = ROWS_INTO;
    err = mesh_trace_execute(trace, "PRAGMA expanded.journal_mode=OFF; PRAGMA expanded.synchronous=OFF; PRAGMA expanded.cache_size=-16384",
                             making);
    err = err != 0 ? err : mesh_trace_execute(trace, mesh_trace_temp_store(trace), making);
    err = err != 0 ? err : fill(trace);
    finalize_adding(trace);
    trace->into = NULL;
    mesh_trace_rollback(trace);
    err = err != 0 ? err : show(trace);
    if (err != 0)
        sqlite3_exec(trace->db, "DETACH expanded", NULL, NULL, NULL);
    return err;
}

int mesh_trace_need_rows(struct mesh_trace *trace)
{
    int64_t is_packed = 0;
    int err = 0;

    if (trace->is_written || trace->has_rows || trace->into != NULL)
        return 0;
    err = mesh_trace_number(trace, "SELECT EXISTS(SELECT 1 FROM main.chunks WHERE expanded = 0)", &is_packed);
    if (err == 0 && is_packed)
        err = make_rows(trace);
    trace->has_rows = err == 0;
    return err;
}
