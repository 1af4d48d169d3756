/* Telemetry in the trace store: each piece as it is, and its items in a table for each kind. */
#include <string.h>

#include "trace_parts.h"

static char *insert_item_sql(const struct mesh_telemetry_part *part)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    char name[TRACE_NAME_BYTES];

    mesh_trace_part_name(name, "telemetry", part->name);
    sqlite3_str_appendf(sql, "INSERT INTO %s(report", name);
    for (unsigned i = 0; i < part->field_count; i++)
        sqlite3_str_appendf(sql, ",\"%s\"", part->fields[i].name);
    sqlite3_str_appendf(sql, ",tail) VALUES(?");
    for (unsigned i = 0; i < part->field_count; i++)
        sqlite3_str_appendf(sql, ",?");
    sqlite3_str_appendf(sql, ",?)");
    return sqlite3_str_finish(sql);
}

static int add_item(struct mesh_trace *trace, uint64_t report, const struct mesh_telemetry_item *item)
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(item->kind);
    sqlite3_stmt **statement = &trace->add_item[item->kind];
    int err = *statement ? 0 : mesh_trace_prepare(trace, statement, insert_item_sql(part));
    int place = 2;

    if (err != 0)
        return err;
    sqlite3_bind_int64(*statement, 1, (int64_t)report);
    for (unsigned i = 0; i < part->field_count; i++, place++) {
        const struct mesh_metric *field = &part->fields[i];
        const void *decoded = &item->node; /* all items begin at the same place */

        if (field->type == MESH_TELEMETRY_b16)
            mesh_trace_bind_blob(*statement, place, (const uint8_t *)decoded + field->offset, 16);
        else
            sqlite3_bind_int64(*statement, place, (int64_t)mesh_metric_get(field, decoded));
    }
    if (part->tail == MESH_TELEMETRY_TAIL_TEXT)
        sqlite3_bind_text(*statement, place, (const char *)item->tail, (int)item->tail_bytes, SQLITE_STATIC);
    else
        mesh_trace_bind_blob(*statement, place, item->tail_bytes ? item->tail : NULL, item->tail_bytes);
    trace->checks.is_new[CHECKED_ITEMS + item->kind] = true;
    return mesh_trace_run(trace, *statement);
}

int mesh_trace_add_report(struct mesh_trace *trace, const struct mesh_trace_report *row, uint64_t *id)
{
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_item item;
    struct mesh_telemetry_head head;
    uint64_t report;
    int err = mesh_trace_add(trace, MESH_TRACE_TABLE_REPORT, row, &report);

    if (err != 0)
        return err;
    if (mesh_telemetry_check(row->piece.bytes, row->piece.size) == 0) {
        err = mesh_telemetry_open(&reader, row->piece.bytes, row->piece.size, &head);
        while (err == 0 && mesh_telemetry_next(&reader, &item) == 1)
            err = add_item(trace, report, &item);
    }
    if (err == 0 && id)
        *id = report;
    return err;
}
