/* Rows of the trace store: structs into statements and back, by the tables of columns. */
#include <stdlib.h>
#include <string.h>

#include "trace_parts.h"

int mesh_trace_bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size)
{
    return bytes ? sqlite3_bind_blob64(statement, place, bytes, size, SQLITE_STATIC) : sqlite3_bind_null(statement, place);
}

int mesh_trace_bind(sqlite3_stmt *statement, int place, enum trace_type type, const void *value)
{
    const struct mesh_trace_bytes *blob = value;
    int64_t number;

    switch (type) {
    case TRACE_text:
        return sqlite3_bind_text(statement, place, *(const char *const *)value, -1, SQLITE_STATIC);
    case TRACE_blob:
        return mesh_trace_bind_blob(statement, place, blob->bytes, blob->size);
    default:
        memcpy(&number, value, sizeof number);
        return type == TRACE_n64 && number == MESH_TRACE_NULL ? sqlite3_bind_null(statement, place)
                                                              : sqlite3_bind_int64(statement, place, number);
    }
}

bool mesh_trace_is_zero(const uint8_t *bytes, size_t size)
{
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    return size == 0;
}

void mesh_trace_bind_fields(sqlite3_stmt *statement, int place, const struct mesh_wire_part *part, const void *decoded)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];
        const uint8_t *at = (const uint8_t *)decoded + field->struct_offset;

        if (part == &mesh_wire_header && !mesh_trace_header_has(i))
            continue;
        if (field->size > 8)
            mesh_trace_bind_blob(statement, place++, mesh_trace_is_zero(at, field->size) ? NULL : at, field->size);
        else
            sqlite3_bind_int64(statement, place++, (int64_t)mesh_wire_get(field, decoded));
    }
}

/* A table of the list; else MESH_EINVAL, with reason. */
static int check_table(struct mesh_trace *trace, enum mesh_trace_table table)
{
    const unsigned number = table;

    return number < MESH_TRACE_TABLE_COUNT
               ? 0
               : mesh_trace_fail(trace, MESH_EINVAL, "there is no table %u: give one of enum mesh_trace_table", number);
}

/* ---- writing ---- */

static char *insert_sql(const char *into, const struct trace_table *table)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    sqlite3_str_appendf(sql, "INSERT INTO %s%s(", into, table->name);
    for (unsigned i = 0; i < table->column_count; i++)
        sqlite3_str_appendf(sql, "%s%s", i ? "," : "", table->columns[i].name);
    for (unsigned i = 0; i < table->column_count; i++)
        sqlite3_str_appendf(sql, i ? ",?" : ") VALUES(?");
    sqlite3_str_appendf(sql, ")");
    return sqlite3_str_finish(sql);
}

/* What SQLite refuses to bind would be NULL. */
static int bind_row(struct mesh_trace *trace, sqlite3_stmt *statement, const struct trace_table *table, const void *row)
{
    for (int i = 0; i < table->column_count; i++) {
        if (mesh_trace_bind(statement, i + 1, table->columns[i].type, (const char *)row + table->columns[i].offset) != SQLITE_OK) {
            sqlite3_clear_bindings(statement);
            return mesh_trace_fail(trace, MESH_ERANGE, "writing: %s of %s: more than %d bytes: store less of it", table->columns[i].name,
                                   table->name, MESH_TRACE_BLOB_BYTES_MAX);
        }
    }
    return 0;
}

/* For its check. */
static int note_row(struct mesh_trace *trace, enum mesh_trace_table number, const void *row, uint64_t id)
{
    struct mesh_trace_chunk chunk;

    trace->checks.is_new[number] = true;
    if (number != MESH_TRACE_TABLE_CHUNK)
        return 0;
    memcpy(&chunk, row, sizeof chunk);
    chunk.id = id;
    return mesh_trace_checks_take_chunk(trace, &chunk);
}

static int add_row(struct mesh_trace *trace, enum mesh_trace_table number, const void *row, uint64_t *id)
{
    const struct trace_table *table = &mesh_trace_tables[number];
    sqlite3_stmt **statement = &trace->add[number];
    uint64_t own_id;
    int err = 0;

    if (!*statement)
        err = mesh_trace_prepare(trace, statement, insert_sql(trace->into, table));
    err = err ? err : bind_row(trace, *statement, table, row);
    if (err != 0)
        return err;
    memcpy(&own_id, row, sizeof own_id);
    if (own_id == 0)
        sqlite3_bind_null(*statement, 1);
    err = mesh_trace_run(trace, *statement);
    own_id = (uint64_t)sqlite3_last_insert_rowid(trace->db);
    if (err == 0 && trace->is_written)
        err = note_row(trace, number, row, own_id);
    if (err == 0 && id)
        *id = own_id;
    return err;
}

int mesh_trace_add(struct mesh_trace *trace, enum mesh_trace_table table, const void *row, uint64_t *id)
{
    int err = mesh_trace_check_writable(trace);

    err = err ? err : check_table(trace, table);
    if (err == 0 && table == MESH_TRACE_TABLE_DATAGRAM)
        err = mesh_trace_fail(trace, MESH_EINVAL, "datagrams are taken apart into several tables: add them with mesh_trace_add_datagram");
    return err ? err : add_row(trace, table, row, id);
}

/* ---- reading ---- */

struct mesh_trace_cursor {
    struct mesh_trace *trace;
    const struct trace_table *table;
    sqlite3_stmt *statement;
    bool is_over;
    int err; /* how it ended */
};

/* Before a table is read. */
static int prepare_table(struct mesh_trace *trace, enum mesh_trace_table table)
{
    const int err = check_table(trace, table);

    return err == 0 && mesh_trace_is_of_calls(mesh_trace_tables[table].name) ? mesh_trace_need_rows(trace) : err;
}

int mesh_trace_count(struct mesh_trace *trace, enum mesh_trace_table table, uint64_t *count)
{
    sqlite3_stmt *statement = NULL;
    int err = prepare_table(trace, table);

    err = err ? err : mesh_trace_prepare(trace, &statement, sqlite3_mprintf("SELECT count(*) FROM %s", mesh_trace_tables[table].name));

    if (err == 0 && sqlite3_step(statement) == SQLITE_ROW)
        *count = (uint64_t)sqlite3_column_int64(statement, 0);
    else if (err == 0)
        err = mesh_trace_error(trace, "reading");
    sqlite3_finalize(statement);
    return err;
}

int mesh_trace_read(struct mesh_trace *trace, enum mesh_trace_table table, uint64_t first, struct mesh_trace_cursor **cursor)
{
    int err = prepare_table(trace, table);
    struct mesh_trace_cursor *made;

    *cursor = NULL;
    if (err != 0)
        return err;
    made = calloc(1, sizeof *made);
    if (!made)
        return mesh_trace_no_memory(trace);
    made->trace = trace;
    made->table = &mesh_trace_tables[table];
    err = mesh_trace_prepare(trace, &made->statement, mesh_trace_select_sql(made->table, "WHERE id >= ?1 ORDER BY id"));
    if (err != 0) {
        free(made);
        return err;
    }
    sqlite3_bind_int64(made->statement, 1, (int64_t)first);
    *cursor = made;
    return 0;
}

static void get_column(sqlite3_stmt *statement, int place, enum trace_type type, void *out)
{
    struct mesh_trace_bytes blob;
    const char *text;
    int64_t number;

    switch (type) {
    case TRACE_text:
        text = (const char *)sqlite3_column_text(statement, place);
        memcpy(out, &text, sizeof text);
        return;
    case TRACE_blob:
        blob.bytes = sqlite3_column_blob(statement, place);
        blob.size = (size_t)sqlite3_column_bytes(statement, place);
        if (!blob.bytes && sqlite3_column_type(statement, place) != SQLITE_NULL)
            blob.bytes = ""; /* empty, and not NULL */
        memcpy(out, &blob, sizeof blob);
        return;
    default:
        number = sqlite3_column_int64(statement, place);
        if (type == TRACE_n64 && sqlite3_column_type(statement, place) == SQLITE_NULL)
            number = MESH_TRACE_NULL;
        memcpy(out, &number, sizeof number);
    }
}

int mesh_trace_next(struct mesh_trace_cursor *cursor, void *row)
{
    int step;

    if (cursor->is_over)
        return cursor->err; /* SQLite would begin again */
    step = sqlite3_step(cursor->statement);
    if (step != SQLITE_ROW) {
        cursor->is_over = true;
        cursor->err = step == SQLITE_DONE ? 0 : mesh_trace_error(cursor->trace, "reading");
        return cursor->err;
    }
    for (int i = 0; i < cursor->table->column_count; i++)
        get_column(cursor->statement, i, cursor->table->columns[i].type, (char *)row + cursor->table->columns[i].offset);
    return 1;
}

void mesh_trace_end(struct mesh_trace_cursor *cursor)
{
    if (cursor) {
        sqlite3_finalize(cursor->statement);
        free(cursor);
    }
}
