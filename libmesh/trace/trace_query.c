/* Queries to a trace in SQL of unknown origin: they can read, for a bounded time and with bounded memory, and nothing else. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trace_parts.h"

enum { QUERY_OPERATIONS = 100000 /* of SQLite's machine, between two looks at the clock */ };
#define QUERY_HEAP_BYTES (INT64_C(1) << 29)

struct mesh_trace_query {
    struct mesh_trace *trace;
    sqlite3_stmt *statement;
    uint64_t until_ns;
    bool wants_calls; /* it reads what rows of calls stand in */
    bool is_over;
    int err; /* how it ended */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int on_operations(void *context)
{
    const struct mesh_trace *trace = context;

    trace->look(trace->look_user);
    return 0;
}

static int is_too_late(void *context)
{
    const struct mesh_trace_query *query = context;

    if (query->trace->look)
        on_operations(query->trace);
    return now_ns() >= query->until_ns;
}

/* Without a query, which has its own limits. */
static void watch(struct mesh_trace *trace)
{
    sqlite3_progress_handler(trace->db, trace->look ? QUERY_OPERATIONS : 0, trace->look ? on_operations : NULL, trace);
}

void mesh_trace_watch(struct mesh_trace *trace, void (*look)(void *user), void *user)
{
    trace->look = look;
    trace->look_user = user;
    if (!trace->is_asked)
        watch(trace);
}

/* What a query may do; and what it wants. */
static int authorize(void *context, int action, const char *first, const char *second, const char *database, const char *trigger)
{
    struct mesh_trace_query *query = context;

    (void)database, (void)trigger;
    switch (action) {
    case SQLITE_READ:
        query->wants_calls |= first && mesh_trace_is_of_calls(first);
        return SQLITE_OK;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return second && strcmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

/* Of a query that its caller trusts, and which the tables do not fit, the file is to blame. */
static int query_error(struct mesh_trace *trace)
{
    const int code = sqlite3_errcode(trace->db) & 0xff;

    if (trace->sorts_in_files && code != SQLITE_INTERRUPT && code != SQLITE_NOMEM)
        return mesh_trace_error(trace, "reading");
    switch (code) {
    case SQLITE_INTERRUPT:
        return mesh_trace_fail(trace, MESH_EINVAL, "it takes too long: ask for less, or allow more seconds");
    case SQLITE_AUTH:
        return mesh_trace_fail(trace, MESH_EINVAL, "%s: a trace can only be read: ask with SELECT", sqlite3_errmsg(trace->db));
    case SQLITE_NOMEM:
        return mesh_trace_fail(trace, MESH_EINVAL, "it takes too much memory: ask for less");
    case SQLITE_ERROR:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return mesh_trace_fail(trace, MESH_EINVAL, "%s: see docs/TRACE.md for tables and columns", sqlite3_errmsg(trace->db));
    default:
        return mesh_trace_error(trace, "reading");
    }
}

/* After the statement there may be blanks, comments and semicolons, but no other statement. */
static bool is_rest_empty(struct mesh_trace *trace, const char *rest)
{
    sqlite3_stmt *second = NULL;
    bool is_empty = true;

    while (is_empty && *rest != '\0')
        is_empty = sqlite3_prepare_v2(trace->db, rest, -1, &second, &rest) == SQLITE_OK && second == NULL;
    sqlite3_finalize(second);
    return is_empty;
}

static int prepare(struct mesh_trace *trace, struct mesh_trace_query *query, const char *sql)
{
    const char *rest = NULL;

    sqlite3_set_authorizer(trace->db, authorize, query);
    if (sqlite3_prepare_v2(trace->db, sql, -1, &query->statement, &rest) != SQLITE_OK)
        return query_error(trace);
    if (!query->statement)
        return mesh_trace_fail(trace, MESH_EINVAL, "there is no query in it: give a SELECT");
    if (!is_rest_empty(trace, rest))
        return mesh_trace_fail(trace, MESH_EINVAL, "more than one query: give one at a time");
    if (!sqlite3_stmt_readonly(query->statement) || sqlite3_stmt_isexplain(query->statement) != 0)
        return mesh_trace_fail(trace, MESH_EINVAL, "no query: a trace can only be read: use SELECT");
    return 0;
}

/* To take JSON columns apart: SQLite makes these tables when they are first named, which a query may not. */
static void make_json_tables(sqlite3 *db)
{
    sqlite3_exec(db, "SELECT 1 FROM json_each('[]'), json_tree('[]')", NULL, NULL, NULL);
}

/* A query that is refused makes no rows. */
static int prepare_with_rows(struct mesh_trace *trace, struct mesh_trace_query *query, const char *sql)
{
    int err = prepare(trace, query, sql);

    if (err != 0 || !query->wants_calls || trace->has_rows)
        return err;
    sqlite3_finalize(query->statement);
    query->statement = NULL;
    sqlite3_set_authorizer(trace->db, NULL, NULL);
    err = mesh_trace_need_rows(trace);
    return err ? err : prepare(trace, query, sql);
}

const char *mesh_trace_temp_store(const struct mesh_trace *trace)
{
    return trace->sorts_in_files ? "PRAGMA temp_store=FILE" : "PRAGMA temp_store=MEMORY";
}

void mesh_trace_sort_in_files(struct mesh_trace *trace)
{
    trace->sorts_in_files = true;
}

int mesh_trace_query(struct mesh_trace *trace, const char *sql, unsigned seconds_max, struct mesh_trace_query **query)
{
    struct mesh_trace_query *made;
    int err;

    *query = NULL;
    if (trace->is_asked)
        return mesh_trace_fail(trace, MESH_ESTATE, "another query of it is open: end that first, or open the trace once more");
    made = calloc(1, sizeof *made);
    if (!made)
        return mesh_trace_no_memory(trace);
    made->trace = trace;
    trace->is_asked = true;
    sqlite3_hard_heap_limit64(QUERY_HEAP_BYTES);
    sqlite3_exec(trace->db, mesh_trace_temp_store(trace), NULL, NULL, NULL);
    make_json_tables(trace->db);
    err = trace->is_written ? 0 : mesh_trace_show_views(trace);
    err = err != 0 ? err : prepare_with_rows(trace, made, sql);
    made->until_ns = now_ns() + (uint64_t)seconds_max * 1000000000u;
    sqlite3_progress_handler(trace->db, QUERY_OPERATIONS, is_too_late, made);
    if (err != 0) {
        mesh_trace_query_end(made);
        return err;
    }
    *query = made;
    return 0;
}

unsigned mesh_trace_query_columns(const struct mesh_trace_query *query)
{
    return (unsigned)sqlite3_column_count(query->statement);
}

const char *mesh_trace_query_column(const struct mesh_trace_query *query, unsigned column)
{
    const char *name = sqlite3_column_name(query->statement, (int)column);

    return name ? name : "?";
}

static void get_value(sqlite3_stmt *statement, int column, struct mesh_trace_value *value)
{
    memset(value, 0, sizeof *value);
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value->kind = MESH_TRACE_VALUE_INTEGER;
        value->integer = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        value->kind = MESH_TRACE_VALUE_REAL;
        value->real = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
        value->kind = MESH_TRACE_VALUE_TEXT;
        value->bytes = sqlite3_column_text(statement, column);
        break;
    case SQLITE_BLOB:
        value->kind = MESH_TRACE_VALUE_BLOB;
        value->bytes = sqlite3_column_blob(statement, column);
        break;
    default:
        return;
    }
    if (value->kind >= MESH_TRACE_VALUE_TEXT) {
        value->size = value->bytes ? (size_t)sqlite3_column_bytes(statement, column) : 0;
        value->bytes = value->bytes ? value->bytes : "";
    }
}

int mesh_trace_query_next(struct mesh_trace_query *query, struct mesh_trace_value *values)
{
    int step;

    if (query->is_over)
        return query->err; /* SQLite would begin again */
    step = sqlite3_step(query->statement);
    if (step != SQLITE_ROW) {
        query->is_over = true;
        query->err = step == SQLITE_DONE ? 0 : query_error(query->trace);
        return query->err;
    }
    for (int i = 0; i < sqlite3_column_count(query->statement); i++)
        get_value(query->statement, i, &values[i]);
    return 1;
}

void mesh_trace_query_end(struct mesh_trace_query *query)
{
    if (query) {
        sqlite3_finalize(query->statement);
        sqlite3_set_authorizer(query->trace->db, NULL, NULL);
        watch(query->trace);
        query->trace->is_asked = false;
        free(query);
    }
}
