/* The tables and views of docs/TRACE.md, from the lists that make the schema. */
#include <stdarg.h>
#include <stdio.h>

#include "trace_parts.h"

struct text {
    char *out;
    size_t capacity, size; /* size: that is needed */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    const size_t left = text->size < text->capacity ? text->capacity - text->size : 0;
    va_list args;
    int more;

    va_start(args, format);
    more = vsnprintf(left ? text->out + text->size : NULL, left, format, args);
    va_end(args);
    text->size += more > 0 ? (size_t)more : 0;
}

static const char *const type_names[] = {"integer", "integer or NULL", "integer", "text or NULL", "blob or NULL"};

static void add_table(struct text *text, const struct trace_table *table)
{
    add(text, "### %s\n\n%s\n\n| column | type | meaning |\n|---|---|---|\n", table->name, table->meaning);
    for (unsigned i = 0; i < table->column_count; i++) {
        add(text, "| `%s` | %s | %s |\n", table->columns[i].name, i ? type_names[table->columns[i].type] : "integer, primary key",
            table->columns[i].meaning);
    }
    add(text, "\n");
}

static void add_parts(struct text *text)
{
    char name[TRACE_NAME_BYTES];

    add(text, "### Messages and telemetry\n\n| table | rows |\n|---|---|\n");
    for (unsigned type = 1; type < MESH_TYPE_COUNT; type++) {
        if (mesh_wire_message(type)) {
            mesh_trace_part_name(name, "message", mesh_wire_message(type)->name);
            add(text, "| `%s` | %s |\n", name, mesh_wire_message(type)->meaning);
        }
    }
    add(text, "| `message_ranges` | %s |\n| `message_members` | %s |\n", mesh_wire_range.meaning, mesh_wire_member.meaning);
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        mesh_trace_part_name(name, "telemetry", mesh_telemetry_part(kind)->name);
        add(text, "| `%s` | %s |\n", name, mesh_telemetry_part(kind)->meaning);
    }
}

size_t mesh_trace_write_tables(char *out, size_t capacity)
{
    struct text text = {out, capacity, 0};

    for (unsigned i = 0; i < MESH_TRACE_TABLE_COUNT; i++) {
        add_table(&text, &mesh_trace_tables[i]);
    }
    add_parts(&text);
    add(&text, "\n### Views\n\n| view | what it answers |\n|---|---|\n| `types` | Names of the types of messages. |\n");
    for (const struct trace_view *view = mesh_trace_views; view->name; view++) {
        add(&text, "| `%s` | %s |\n", view->name, view->meaning);
    }
    return text.size;
}
