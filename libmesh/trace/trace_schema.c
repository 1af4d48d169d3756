/* The schema of the trace store: tables as data, made from the lists in mesh/trace.h, mesh/wire.h and mesh/telemetry.h, and their SQL. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "trace_parts.h"

/* clang-format off */
#define ROW_OF(row, name, type, meaning) {#name, TRACE_##type, (uint16_t)offsetof(struct mesh_trace_##row, name), meaning},
#define NODE_COLUMN(...)     ROW_OF(node, __VA_ARGS__)
#define EPOCH_COLUMN(...)    ROW_OF(epoch, __VA_ARGS__)
#define INPUT_COLUMN(...)    ROW_OF(input, __VA_ARGS__)
#define OUTPUT_COLUMN(...)   ROW_OF(output, __VA_ARGS__)
#define DATAGRAM_COLUMN(...) ROW_OF(datagram, __VA_ARGS__)
#define REQUEST_COLUMN(...)  ROW_OF(request, __VA_ARGS__)
#define TOKEN_COLUMN(...)    ROW_OF(token, __VA_ARGS__)
#define EVENT_COLUMN(...)    ROW_OF(event, __VA_ARGS__)
#define REPORT_COLUMN(...)   ROW_OF(report, __VA_ARGS__)
#define CHUNK_COLUMN(...)    ROW_OF(chunk, __VA_ARGS__)
#define GAP_COLUMN(...)      ROW_OF(gap, __VA_ARGS__)

#define COLUMNS_OF(NAME, name, table, COLUMNS, meaning) static const struct trace_column name##_columns[] = {COLUMNS(NAME##_COLUMN)};
MESH_TRACE_TABLES(COLUMNS_OF)

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define TABLE_OF(NAME, name, table, COLUMNS, meaning) {#table, meaning, name##_columns, COUNT(name##_columns)},
const struct trace_table mesh_trace_tables[MESH_TRACE_TABLE_COUNT] = {MESH_TRACE_TABLES(TABLE_OF)};
/* clang-format on */

void mesh_trace_part_name(char out[TRACE_NAME_BYTES], const char *prefix, const char *part_name)
{
    snprintf(out, TRACE_NAME_BYTES, "%s_%s", prefix, part_name);
    for (char *at = out; *at; at++)
        *at = (char)tolower((unsigned char)*at);
}

bool mesh_trace_header_has(unsigned field)
{
    return strcmp(mesh_wire_header.fields[field].name, "magic") != 0;
}

static const char *const column_types[] = {"INTEGER NOT NULL", "INTEGER", "INTEGER NOT NULL", "TEXT", "BLOB"};

static void add_wire_columns(sqlite3_str *sql, const struct mesh_wire_part *part, bool may_be_null)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const bool is_blob = part->fields[i].size > 8;

        if (part != &mesh_wire_header || mesh_trace_header_has(i)) {
            sqlite3_str_appendf(sql, ",\n  \"%s\" %s%s", part->fields[i].name, is_blob ? "BLOB" : "INTEGER",
                                is_blob || may_be_null ? "" : " NOT NULL");
        }
    }
}

/* into: prefix of the names of tables, as everywhere below. */
static void add_table(sqlite3_str *sql, const char *into, enum mesh_trace_table number)
{
    const struct trace_table *table = &mesh_trace_tables[number];

    sqlite3_str_appendf(sql, "CREATE TABLE %s%s(\n  id INTEGER PRIMARY KEY", into, table->name);
    for (unsigned i = 1; i < table->column_count; i++)
        sqlite3_str_appendf(sql, ",\n  %s %s", table->columns[i].name, column_types[table->columns[i].type]);
    if (number == MESH_TRACE_TABLE_DATAGRAM)
        add_wire_columns(sql, &mesh_wire_header, true);
    sqlite3_str_appendf(sql, "\n) STRICT;\n");
}

static void add_messages(sqlite3_str *sql, const char *into)
{
    char name[TRACE_NAME_BYTES];

    for (unsigned type = 1; type < MESH_TYPE_COUNT; type++) {
        const struct mesh_wire_part *part = mesh_wire_message(type);

        if (part) {
            mesh_trace_part_name(name, "message", part->name);
            sqlite3_str_appendf(sql, "CREATE TABLE %s%s(\n  datagram INTEGER PRIMARY KEY", into, name);
            add_wire_columns(sql, part, false);
            sqlite3_str_appendf(sql, "\n) STRICT;\n");
        }
    }
    sqlite3_str_appendf(sql, "CREATE TABLE %smessage_ranges(\n  datagram INTEGER NOT NULL,\n  place INTEGER NOT NULL", into);
    add_wire_columns(sql, &mesh_wire_range, false);
    sqlite3_str_appendf(sql, ",\n  PRIMARY KEY(datagram, place)\n) STRICT, WITHOUT ROWID;\n");
    sqlite3_str_appendf(sql, "CREATE TABLE %smessage_members(\n  datagram INTEGER NOT NULL,\n  place INTEGER NOT NULL", into);
    add_wire_columns(sql, &mesh_wire_member, false);
    sqlite3_str_appendf(sql, ",\n  PRIMARY KEY(datagram, place)\n) STRICT, WITHOUT ROWID;\n");
}

static void add_items(sqlite3_str *sql)
{
    char name[TRACE_NAME_BYTES];

    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

        mesh_trace_part_name(name, "telemetry", part->name);
        sqlite3_str_appendf(sql, "CREATE TABLE %s(\n  id INTEGER PRIMARY KEY,\n  report INTEGER NOT NULL", name);
        for (unsigned i = 0; i < part->field_count; i++) {
            sqlite3_str_appendf(sql, ",\n  \"%s\" %s", part->fields[i].name,
                                part->fields[i].type == MESH_TELEMETRY_b16 ? "BLOB" : "INTEGER NOT NULL");
        }
        sqlite3_str_appendf(sql, ",\n  tail %s\n) STRICT;\n", part->tail == MESH_TELEMETRY_TAIL_TEXT ? "TEXT" : "BLOB");
    }
}

static void add_index(sqlite3_str *sql, const char *into)
{
    sqlite3_str_appendf(sql, "CREATE INDEX %stiles_by_gather ON message_tile(step, phase);\n", into);
}

/* Joins go from messages to datagrams by the datagram's key; otherwise the views look up by gather and by request. */
static void add_indexes_and_views(sqlite3_str *sql)
{
    add_index(sql, "");
    sqlite3_str_appendf(sql, "CREATE INDEX tokens_by_request ON tokens(request, position);\n");
    sqlite3_str_appendf(sql, "CREATE VIEW types(type, name) AS VALUES");
    for (unsigned type = 1, count = 0; type < MESH_TYPE_COUNT; type++)
        if (mesh_wire_message(type))
            sqlite3_str_appendf(sql, "%s(%u, '%s')", count++ ? ", " : " ", type, mesh_wire_message(type)->name);
    sqlite3_str_appendf(sql, ";\n");
    for (const struct trace_view *view = mesh_trace_views; view->name; view++)
        sqlite3_str_appendf(sql, "CREATE VIEW %s AS\n%s;\n", view->name, view->select);
}

char *mesh_trace_schema_sql(void)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    sqlite3_str_appendf(sql, "CREATE TABLE meta(\n  key TEXT PRIMARY KEY NOT NULL,\n  value TEXT NOT NULL\n) STRICT, WITHOUT ROWID;\n");
    for (unsigned i = 0; i < MESH_TRACE_TABLE_COUNT; i++)
        add_table(sql, "", (enum mesh_trace_table)i);
    add_messages(sql, "");
    add_items(sql);
    add_indexes_and_views(sql);
    return sqlite3_str_finish(sql);
}

bool mesh_trace_is_of_calls(const char *table)
{
    return strncmp(table, "message_", 8) == 0 || strcmp(table, mesh_trace_tables[MESH_TRACE_TABLE_INPUT].name) == 0 ||
           strcmp(table, mesh_trace_tables[MESH_TRACE_TABLE_OUTPUT].name) == 0 ||
           strcmp(table, mesh_trace_tables[MESH_TRACE_TABLE_DATAGRAM].name) == 0;
}

char *mesh_trace_calls_sql(const char *into)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    add_table(sql, into, MESH_TRACE_TABLE_INPUT);
    add_table(sql, into, MESH_TRACE_TABLE_OUTPUT);
    add_table(sql, into, MESH_TRACE_TABLE_DATAGRAM);
    add_messages(sql, into);
    return sqlite3_str_finish(sql);
}

char *mesh_trace_calls_index_sql(const char *into)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    add_index(sql, into);
    return sqlite3_str_finish(sql);
}

char *mesh_trace_select_sql(const struct trace_table *table, const char *rest)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);

    for (unsigned i = 0; i < table->column_count; i++)
        sqlite3_str_appendf(sql, "%s%s", i ? "," : "SELECT ", table->columns[i].name);
    sqlite3_str_appendf(sql, " FROM %s %s", table->name, rest);
    return sqlite3_str_finish(sql);
}
