/* The tables and views of docs/TRACE.md, from the lists that make the schema. */
#include "libmesh/text/long_text.h"
#include "trace_parts.h"

static const char *const type_names[] = {"integer", "integer or NULL", "integer", "text or NULL", "blob or NULL"};

static void add_table(struct mesh_long_text *text, const struct trace_table *table)
{
    mesh_long_text_print(text, "### %s\n\n%s\n\n| column | type | meaning |\n|---|---|---|\n", table->name, table->meaning);
    for (unsigned i = 0; i < table->column_count; i++) {
        mesh_long_text_print(text, "| `%s` | %s | %s |\n", table->columns[i].name,
                             i ? type_names[table->columns[i].type] : "integer, primary key", table->columns[i].meaning);
    }
    mesh_long_text_print(text, "\n");
}

static void add_parts(struct mesh_long_text *text)
{
    char name[TRACE_NAME_BYTES];

    mesh_long_text_print(text, "### Messages and telemetry\n\n| table | rows |\n|---|---|\n");
    for (unsigned type = 1; type < MESH_TYPE_COUNT; type++) {
        if (mesh_wire_message(type)) {
            mesh_trace_part_name(name, "message", mesh_wire_message(type)->name);
            mesh_long_text_print(text, "| `%s` | %s |\n", name, mesh_wire_message(type)->meaning);
        }
    }
    mesh_long_text_print(text, "| `message_ranges` | %s |\n| `message_members` | %s |\n", mesh_wire_range.meaning,
                         mesh_wire_member.meaning);
    for (unsigned kind = 1; kind < MESH_TELEMETRY_KINDS; kind++) {
        mesh_trace_part_name(name, "telemetry", mesh_telemetry_part(kind)->name);
        mesh_long_text_print(text, "| `%s` | %s |\n", name, mesh_telemetry_part(kind)->meaning);
    }
}

size_t mesh_trace_write_tables(char *out, size_t capacity)
{
    struct mesh_long_text text = {out, capacity, 0};

    for (unsigned i = 0; i < MESH_TRACE_TABLE_COUNT; i++)
        add_table(&text, &mesh_trace_tables[i]);
    add_parts(&text);
    mesh_long_text_print(&text, "\n### Views\n\n| view | what it answers |\n|---|---|\n| `types` | Names of the types of messages. |\n");
    for (const struct trace_view *view = mesh_trace_views; view->name; view++)
        mesh_long_text_print(&text, "| `%s` | %s |\n", view->name, view->meaning);
    return text.size;
}
