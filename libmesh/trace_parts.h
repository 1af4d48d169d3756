/* What the files of the trace store share: the open trace, its statements, and the tables as data. */
#ifndef MESH_TRACE_PARTS_H
#define MESH_TRACE_PARTS_H

#include <sqlite3.h>

#include "mesh/telemetry.h"
#include "mesh/trace.h"
#include "mesh/wire.h"

enum trace_type { TRACE_i64, TRACE_n64, TRACE_u64, TRACE_text, TRACE_blob };

struct trace_column {
    const char *name;
    enum trace_type type;
    uint16_t offset; /* in the table's struct */
    const char *meaning;
};

struct trace_table {
    const char *name, *meaning;
    const struct trace_column *columns;
    uint16_t column_count;
};

extern const struct trace_table trace_tables[MESH_TRACE_TABLE_COUNT];

struct trace_view {
    const char *name, *meaning, *select;
};

extern const struct trace_view trace_views[]; /* up to one without a name */

/* A lower-case table name for a message or an item: "message_tile", "telemetry_node". */
enum { TRACE_NAME_BYTES = 40 };
void trace_part_name(char out[TRACE_NAME_BYTES], const char *prefix, const char *part_name);

/* Whether a field of the header has a column: all but the magic, which is always the same. */
bool trace_header_has(unsigned field);

struct mesh_trace {
    sqlite3 *db;
    sqlite3_stmt *add[MESH_TRACE_TABLE_COUNT];
    sqlite3_stmt *add_message[MESH_TYPE_COUNT], *get_message[MESH_TYPE_COUNT];
    sqlite3_stmt *add_range, *add_member;
    sqlite3_stmt *add_item[MESH_TELEMETRY_KINDS];
    sqlite3_stmt *get_header, *set_meta, *get_meta;
    void *packing;   /* of trace_pack.c; made when first needed */
    bool is_written; /* opened by mesh_trace_create */
    char *path;
    char reason[MESH_TRACE_REASON_BYTES];
};

/* The SQL that makes all tables and views; NULL without memory. sqlite3_free. */
char *trace_schema_sql(void);

/* "SELECT columns FROM table" of a table of the list; and for the parts. sqlite3_free; NULL without memory. */
char *trace_select_sql(const struct trace_table *table, const char *rest);

/* Prepare once: *statement stays NULL on failure. Takes sql (sqlite3_free), which may be NULL. */
int trace_prepare(struct mesh_trace *trace, sqlite3_stmt **statement, char *sql);

/* Run a bound statement that returns no rows, and reset it. */
int trace_run(struct mesh_trace *trace, sqlite3_stmt *statement);

/* The error of the database as one of ours, with reason. */
int trace_error(struct mesh_trace *trace, const char *doing);
__attribute__((format(printf, 3, 4))) int trace_fail(struct mesh_trace *trace, int err, const char *format, ...);

void trace_bind(sqlite3_stmt *statement, int place, enum trace_type type, const void *value);
void trace_bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size);

/* Fields of a decoded wire part, from place on; byte strings that are all zeros become NULL. */
void trace_bind_fields(sqlite3_stmt *statement, int place, const struct mesh_wire_part *part, const void *decoded);

/* Data smaller than it is: false when there is nothing to gain. Valid until the next call. And back, into size bytes. */
bool trace_pack(struct mesh_trace *trace, const uint8_t *data, size_t size, struct mesh_trace_bytes *packed);
int trace_unpack(struct mesh_trace *trace, struct mesh_trace_bytes packed, uint8_t *data, size_t size);
void trace_pack_release(struct mesh_trace *trace);

/* Rows of all chunks that have none yet; the trace is open for writing. Each chunk is a transaction. */
int trace_expand(struct mesh_trace *trace);

#endif
