/* What the files of the trace store share: the open trace, its statements, and the tables as data. */
#ifndef MESH_TRACE_PARTS_H
#define MESH_TRACE_PARTS_H

#include <sqlite3.h>

#include "mesh/telemetry.h"
#include "mesh/trace.h"
#include "mesh/wire.h"

#include "trace_checks.h"

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

extern const struct trace_table mesh_trace_tables[MESH_TRACE_TABLE_COUNT];

struct trace_view {
    const char *name, *meaning, *select;
};

extern const struct trace_view mesh_trace_views[]; /* up to one without a name */

/* A lower-case table name for a message or an item: "message_tile", "telemetry_node". */
enum { TRACE_NAME_BYTES = 40 };
void mesh_trace_part_name(char out[TRACE_NAME_BYTES], const char *prefix, const char *part_name);

/* Whether a field of the header has a column: all but the magic, which is always the same. */
bool mesh_trace_header_has(unsigned field);

struct mesh_trace {
    sqlite3 *db;
    sqlite3_stmt *add[MESH_TRACE_TABLE_COUNT];
    sqlite3_stmt *add_message[MESH_TYPE_COUNT], *get_message[MESH_TYPE_COUNT];
    sqlite3_stmt *add_range, *add_member;
    sqlite3_stmt *add_item[MESH_TELEMETRY_KINDS];
    sqlite3_stmt *get_header, *set_meta, *get_meta;
    struct trace_checks checks;
    void *packing;    /* of trace_pack.c; made when first needed */
    int schema;       /* of an opened one */
    bool is_written;  /* opened by mesh_trace_create */
    bool has_rows;    /* of calls: nothing is left to be made */
    bool has_begun;   /* a transaction that is neither committed nor rolled back */
    bool is_wal_lost; /* of a written one: somebody else has changed its -wal */
    bool is_live;     /* another process is writing it */
    bool is_asked;    /* a query is open, with its own limits on what may be done */
    bool sorts_in_files;
    void (*look)(void *user); /* mesh_trace_watch; NULL: nobody does */
    void *look_user;
    const char *into; /* prefix of the names of tables that rows are added to: "", or that of trace_rows.c; NULL: none may be added */
    int file;         /* a descriptor of it, closed last: closing any drops SQLite's own locks. Of a written one: locked */
    char *path;
    char reason[MESH_TRACE_REASON_BYTES];
};

/* mesh_trace_create with pages of that size: large blobs are written faster in large ones, and each table has one at least. */
int mesh_trace_create_database(struct mesh_trace **trace, const char *path, unsigned page_bytes, char reason[MESH_TRACE_REASON_BYTES]);

/* The SQL that makes all tables and views; NULL without memory. sqlite3_free. */
char *mesh_trace_schema_sql(void);

/* The same for the tables that rows of calls stand in, without and with their index. */
char *mesh_trace_calls_sql(const char *into);
char *mesh_trace_calls_index_sql(const char *into);
bool mesh_trace_is_of_calls(const char *table);

/* "SELECT columns FROM table" of a table of the list; and for the parts. sqlite3_free; NULL without memory. */
char *mesh_trace_select_sql(const struct trace_table *table, const char *rest);

/* Prepare once: *statement stays NULL on failure. Takes sql (sqlite3_free), which may be NULL. */
int mesh_trace_prepare(struct mesh_trace *trace, sqlite3_stmt **statement, char *sql);

/* Run SQL that has no rows. mesh_trace_execute_made takes sql, as mesh_trace_prepare does. */
int mesh_trace_execute(struct mesh_trace *trace, const char *sql, const char *doing);
int mesh_trace_execute_made(struct mesh_trace *trace, char *sql, const char *doing);

/* Run a query of our own whose answer is one number. */
int mesh_trace_number(struct mesh_trace *trace, const char *sql, int64_t *value);

/* MESH_EINVAL, with reason: no rows may be added. */
int mesh_trace_check_writable(struct mesh_trace *trace);

/* Run a bound statement that returns no rows, and reset it. */
int mesh_trace_run(struct mesh_trace *trace, sqlite3_stmt *statement);

/* Open a database by SQLite's name for it, guarded as a file of unknown origin. path: of the trace, copied. */
int mesh_trace_open_database(struct mesh_trace **trace, const char *path, const char *name, int flags, const char *vfs,
                             char reason[MESH_TRACE_REASON_BYTES]);

/* Whether this name is a table's: a view or a trigger could be a query without an end. */
int mesh_trace_check_table(struct mesh_trace *trace, const char *table, bool *is_table);

/* The error of the database as one of ours, with reason. */
int mesh_trace_error(struct mesh_trace *trace, const char *doing);
__attribute__((format(printf, 3, 4))) int mesh_trace_fail(struct mesh_trace *trace, int err, const char *format, ...);

/* Of meta: how a trace ends (trace_ending.c). */
#define TRACE_END_KEY  "end"
#define TRACE_END_OPEN "open"

#define TRACE_NO_MEMORY "no memory: close other programs"
int mesh_trace_no_memory(struct mesh_trace *trace); /* MESH_ENOMEM, with that as its reason */

/* SQLITE_OK, or not: NULL is bound instead of what is too long. */
int mesh_trace_bind(sqlite3_stmt *statement, int place, enum trace_type type, const void *value);
int mesh_trace_bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size);

bool mesh_trace_is_zero(const uint8_t *bytes, size_t size); /* all of them */

/* Fields of a decoded wire part, from place on; byte strings that are all zeros become NULL. */
void mesh_trace_bind_fields(sqlite3_stmt *statement, int place, const struct mesh_wire_part *part, const void *decoded);

/* Compress data: false when there is nothing to gain. *packed is valid until the next call. mesh_trace_unpack: back, into size bytes. */
bool mesh_trace_pack(struct mesh_trace *trace, const uint8_t *data, size_t size, struct mesh_trace_bytes *packed);
int mesh_trace_unpack(struct mesh_trace *trace, struct mesh_trace_bytes packed, uint8_t *data, size_t size);

/* The same into out, of which there are `room` bytes (ZSTD_COMPRESSBOUND); its size, 0: it cannot be. */
size_t mesh_trace_pack_into(struct mesh_trace *trace, const uint8_t *data, size_t size, uint8_t *out, size_t room);

/* Room to unpack parts of a chunk into, until it is called again. */
uint8_t *mesh_trace_pack_parts(struct mesh_trace *trace, size_t size);
uint64_t mesh_trace_pack_first(struct mesh_trace_bytes packed); /* size of the first part; absurdly large where there is none */
void mesh_trace_pack_release(struct mesh_trace *trace);

/* Add a datagram as mesh_trace_add_datagram does, with the recorder's hash where its data was left out (else NULL). */
int mesh_trace_add_hashed(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const uint8_t *packet, size_t packet_bytes,
                          const uint64_t *hash, uint64_t *id);

/* Add the chunk of what is in compact, which is then to be cleared. *stored_bytes: what became of it. */
struct compact;
int mesh_trace_add_compact(struct mesh_trace *trace, const struct mesh_trace_chunk *row, struct compact *compact, size_t *stored_bytes);

/* The PRAGMA that says where queries sort. Another one than before would drop temporary views. */
const char *mesh_trace_temp_store(const struct mesh_trace *trace);

/* Make sure that queries read the views of this version, and not those of the one that wrote the file: called before each. */
int mesh_trace_show_views(struct mesh_trace *trace);

/* Make sure that the rows of all calls can be read: called before anything that reads them. */
int mesh_trace_need_rows(struct mesh_trace *trace);

/* Rows of all chunks that have none in the file, into tables of trace->into. */
int mesh_trace_expand(struct mesh_trace *trace);

#endif
