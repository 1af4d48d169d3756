/* Checks: hashes of the rows of a trace, by which rows are found that were deleted, added or changed after they had been written.
 *
 * The table `checks` has a row for each transaction and table that got rows in it; its blob has 16 bytes for each of these rows: key and
 * hash. The key is that of the table; rows of message_ranges and message_members that belong to one datagram are one to a check. The check
 * of meta covers all of it, with texts as keys, and only the last one counts. */
#ifndef MESH_TRACE_CHECKS_H
#define MESH_TRACE_CHECKS_H

#include <sqlite3.h>

#include "mesh/telemetry.h"
#include "mesh/trace.h"
#include "mesh/wire.h"

/* Numbers of tables: first those of enum mesh_trace_table, then those of messages, of lists in messages, and of telemetry. */
enum {
    CHECKED_MESSAGES = MESH_TRACE_TABLE_COUNT, /* + type */
    CHECKED_RANGES = CHECKED_MESSAGES + MESH_TYPE_COUNT,
    CHECKED_MEMBERS,
    CHECKED_ITEMS, /* + kind */
    CHECKED_COUNT = CHECKED_ITEMS + MESH_TELEMETRY_KINDS
};

enum { CHECKED_NAME_BYTES = 40, CHECKED_ENTRY_BYTES = 16 };

/* Of a trace that is written. */
struct trace_checks {
    sqlite3_stmt *add, *read[CHECKED_COUNT], *read_meta;
    bool is_new[CHECKED_COUNT], is_meta_new;             /* rows came since the last check */
    int64_t after[CHECKED_COUNT], adding[CHECKED_COUNT]; /* the last row that is checked: committed, and in this transaction */
    int64_t count, adding_count;                         /* rows of checks, likewise */
    uint8_t *chunks;                                     /* entries of chunks that came since: their blobs are not read again */
    size_t chunks_bytes, chunks_kept, chunks_capacity;   /* kept: what stays when the transaction is rolled back */
};

/* Name of a table and of the column that is its key; false: there is no table of that number. */
bool mesh_trace_checked_table(unsigned number, char name[CHECKED_NAME_BYTES], const char **key);
const char *mesh_trace_checked_order(unsigned number); /* of its rows, as SQL */

/* The hash of what came before and a whole row of a statement; of a row of checks, but for its own hash. */
uint64_t mesh_trace_hash_columns(uint64_t before, sqlite3_stmt *statement);
uint64_t mesh_trace_hash_check(int64_t id, const char *name, int64_t after, const void *rows, size_t bytes);

char *mesh_trace_checks_sql(void); /* makes the table; sqlite3_free; NULL without memory */
void mesh_trace_checks_init(struct trace_checks *checks);
void mesh_trace_checks_release(struct trace_checks *checks);

/* A chunk was added: row, with its id. */
int mesh_trace_checks_take_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row);

/* Within a transaction, before its end: checks of all that is new. Then, if it was committed, or was not. */
int mesh_trace_checks_add(struct mesh_trace *trace);
bool mesh_trace_checks_has_new(const struct trace_checks *checks);
void mesh_trace_checks_keep(struct mesh_trace *trace);
void mesh_trace_checks_drop(struct mesh_trace *trace);

#endif
