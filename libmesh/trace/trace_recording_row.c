/* Rows of a trace on their way through the recorder, by the columns that the trace store has of each table. */
#include <assert.h>
#include <string.h>

#include "trace_parts.h"
#include "trace_recording.h"

static size_t struct_bytes(const struct trace_table *table)
{
    const struct trace_column *last = &table->columns[table->column_count - 1];

    return last->offset + (last->type == TRACE_blob ? sizeof(struct mesh_trace_bytes) : sizeof(uint64_t));
}

/* The bytes that a column points to; NULL: none, or it has none. */
static struct mesh_trace_bytes tail_of(const struct trace_column *column, const void *row)
{
    const uint8_t *at = (const uint8_t *)row + column->offset;
    struct mesh_trace_bytes tail = {0};
    const char *text;

    if (column->type == TRACE_blob) {
        memcpy(&tail, at, sizeof tail);
    } else if (column->type == TRACE_text) {
        memcpy(&text, at, sizeof text);
        tail = (struct mesh_trace_bytes){text, text != NULL ? strlen(text) + 1 : 0};
    }
    return tail;
}

size_t mesh_recording_row_bytes(enum mesh_trace_table number, const void *row)
{
    const struct trace_table *table = &mesh_trace_tables[number];
    size_t bytes = struct_bytes(table);

    for (unsigned i = 0; i < table->column_count; i++)
        bytes += tail_of(&table->columns[i], row).size;
    return bytes;
}

void mesh_recording_pack_row(enum mesh_trace_table number, const void *row, uint8_t *out)
{
    const struct trace_table *table = &mesh_trace_tables[number];
    size_t used = struct_bytes(table);

    memcpy(out, row, used);
    for (unsigned i = 0; i < table->column_count; i++) {
        const struct trace_column *column = &table->columns[i];
        const struct mesh_trace_bytes tail = tail_of(column, row);
        const uintptr_t offset = used;

        if (tail.bytes == NULL)
            continue;
        memcpy(out + column->offset, &offset, sizeof offset); /* the pointer is the first member of struct mesh_trace_bytes */
        if (tail.size > 0)
            memcpy(out + used, tail.bytes, tail.size);
        used += tail.size;
    }
}

void mesh_recording_unpack_row(enum mesh_trace_table number, const uint8_t *packed, void *row)
{
    const struct trace_table *table = &mesh_trace_tables[number];

    assert(struct_bytes(table) <= RECORDING_ROW_BYTES_MAX);
    memcpy(row, packed, struct_bytes(table));
    for (unsigned i = 0; i < table->column_count; i++) {
        uint8_t *at = (uint8_t *)row + table->columns[i].offset;
        uintptr_t offset;
        const uint8_t *bytes;

        if (table->columns[i].type != TRACE_blob && table->columns[i].type != TRACE_text)
            continue;
        memcpy(&offset, at, sizeof offset);
        bytes = offset == 0 ? NULL : packed + offset;
        memcpy(at, &bytes, sizeof bytes);
    }
}
