/* The trace store: what went in and out of nodes, in one SQLite file (docs/TRACE.md).
 *
 * A trace is written by a recorder or an import and read later. Tables are declared once, below; datagrams and telemetry get a table per
 * kind whose columns come from mesh/wire.h and mesh/telemetry.h. The lists give the structs, the SQL, the binding of rows and the tables of
 * docs/TRACE.md. Times are nanoseconds of the clock of the node that the row is of; numbers up to 2^64-1 are stored as SQLite's signed
 * integers (two's complement: "none" of the wire, all ones, is -1).
 *
 * To read a trace: mesh_trace_open; then mesh_trace_read, _next and _end for a table's rows, or mesh_trace_query, _next and _end for an
 * SQL query; then mesh_trace_close. None of that changes the file or leaves anything beside it. It works for finished traces, traces
 * that are being written, what a killed recorder has left, and read-only files and folders. Calls that a recorder has stored in chunks
 * (mesh_trace_get_chunk) become rows of inputs, outputs, datagrams and message_* when a read or a query first asks for these: once for
 * each opened trace, in a temporary file, of which docs/TRACE.md states time and size. Without room for it, that read or query fails
 * with MESH_ESYSTEM. Reading only other tables, or chunks, costs nothing of this.
 *
 * One thread per struct mesh_trace. Functions return 0 or
 *   MESH_ESYSTEM     the disk is full, a file cannot be read or written, somebody else writes
 *   MESH_ETYPE       no trace: another kind of file
 *   MESH_EVERSION    a trace of another schema
 *   MESH_ETRUNCATED  a trace that is damaged
 *   MESH_ERANGE      a value that cannot be: damaged, too, or made by hand
 *   MESH_EINVAL      arguments: writing to a trace that was opened for reading, a table that does not exist, ...
 *   MESH_ESTATE      not now: a transaction or a query is open, or none is
 *   MESH_ENOMEM
 * and mesh_trace_reason has it in words, "why: what to do". */
#ifndef MESH_TRACE_H
#define MESH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/err.h"
#include "mesh/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MESH_TRACE_APPLICATION_ID 0x446d5472 /* bytes "DmTr" */
#define MESH_TRACE_NULL           INT64_MIN  /* in a column of type n64: NULL */

enum {
    MESH_TRACE_SCHEMA = 2,     /* user_version */
    MESH_TRACE_SCHEMA_MIN = 1, /* the first one that is read: it has every table and column of today; nothing adds them to older traces */
    MESH_TRACE_REASON_BYTES = 200,
    MESH_TRACE_BLOB_BYTES_MAX = 1 << 24, /* of any blob or text; longer ones are refused */
    MESH_TRACE_DATAGRAM_BYTES_MAX = 65535
};

struct mesh_trace_bytes {
    const void *bytes; /* NULL: the column is NULL */
    size_t size;
};

/* Which protocol core a row is of. */
enum mesh_trace_core { MESH_TRACE_CORE_MESH = 1, MESH_TRACE_CORE_CLUSTER, MESH_TRACE_CORE_SESSION };

enum mesh_trace_direction {
    MESH_TRACE_SENT = 1,
    MESH_TRACE_RECEIVED,
    MESH_TRACE_SEEN /* by a capture, which is neither */
};

/* How much of a datagram is in columns; the rest is the payload. */
enum mesh_trace_form {
    MESH_TRACE_OPAQUE = 1, /* nothing: the payload is all of it */
    MESH_TRACE_HEADER,     /* the header, as of a sealed one: the payload is what follows it */
    MESH_TRACE_WHOLE       /* the message: the payload is its data, where it has some */
};

enum mesh_trace_coding {
    MESH_TRACE_NOT_STORED,
    MESH_TRACE_PLAIN,
    MESH_TRACE_ZSTD,
    MESH_TRACE_ZSTD_APART, /* of a chunk of schema 1: two frames, the records without their payloads, and the payloads */
    MESH_TRACE_COMPACT     /* of a chunk: docs/TRACE.md */
};

/* What is kept of data, token ids and prompts is in the meta keys payloads ("none", "all") and ids ("none", "hash", "all"). */

/* clang-format off */
/* Columns. Types: i64, u64: integers; n64: integer or NULL; text, blob: may be NULL. The first is the INTEGER PRIMARY KEY: 0 when a row is
 * added lets the store choose the next one. */
/*    name            type  meaning */
#define MESH_TRACE_NODE_COLUMNS(C) \
    C(id,             u64,  "what other tables call `node`; a recorder's own node is 1") \
    C(name,           text, "name for display") \
    C(rank,           n64,  "rank at the beginning of the trace") \
    C(ip,             blob, "its mesh address, 16 bytes; IPv4 mapped into IPv6") \
    C(port,           n64,  "port of that address") \
    C(incarnation,    blob, "drawn by its process at its start") \
    C(clock_offset_ns, n64, "its clock minus that of node 1, as estimated") \
    C(clock_error_ns, n64,  "largest error of that offset, either way")

#define MESH_TRACE_EPOCH_COLUMNS(C) \
    C(id,             u64,  "in order of beginning") \
    C(node,           u64,  "node whose view this is") \
    C(t_ns,           i64,  "when the epoch began there") \
    C(epoch,          u64,  "epoch number") \
    C(rank,           n64,  "rank of that node in the epoch") \
    C(epoch_id,       blob, "hash of the members and their nonces") \
    C(members,        text, "JSON array, by rank: objects with address, incarnation, share, ...") \
    C(rows,           text, "JSON object: shares by which the rows are dealt") \
    C(config,         blob, "record of the INIT call of the endpoint (mesh/tape.h); NULL: no endpoint, or not known")

#define MESH_TRACE_INPUT_COLUMNS(C) \
    C(id,             u64,  "in the order of the inputs") \
    C(node,           u64,  "node of the core") \
    C(t_ns,           i64,  "the core's time") \
    C(core,           i64,  "1: endpoint of an epoch; 2: cluster; 3: client sessions") \
    C(instance,       u64,  "of an endpoint: its epoch number; else 0") \
    C(kind,           i64,  "kind of call") \
    C(peer,           n64,  "rank of the peer, if the call has one") \
    C(args,           blob, "arguments of the call, as the recorder writes them") \
    C(datagram,       n64,  "the received datagram")

#define MESH_TRACE_OUTPUT_COLUMNS(C) \
    C(id,             u64,  "in the order of the outputs") \
    C(node,           u64,  "node of the core") \
    C(input,          n64,  "the last input before this output") \
    C(t_ns,           i64,  "the core's time") \
    C(core,           i64,  "1: endpoint of an epoch; 2: cluster; 3: client sessions") \
    C(instance,       u64,  "of an endpoint: its epoch number; else 0") \
    C(kind,           i64,  "kind of output") \
    C(peer,           n64,  "rank of the peer, if the output has one") \
    C(args,           blob, "contents of the output, as the recorder writes them") \
    C(datagram,       n64,  "the datagram to be sent")

#define MESH_TRACE_DATAGRAM_COLUMNS(C) \
    C(id,             u64,  "in the order of the trace") \
    C(node,           u64,  "node that recorded it; in a trace of a capture: the sender, if known") \
    C(t_ns,           i64,  "when it was sent, received, or seen by the capture") \
    C(direction,      i64,  "1: sent; 2: received; 3: captured") \
    C(core,           i64,  "1: endpoint of an epoch; 2: cluster; 3: client sessions; 0: not known") \
    C(ranks,          n64,  "of a sent datagram: bit mask of the receiving ranks; NULL: sent to the address") \
    C(from_ip,        blob, "16 bytes; NULL: this node") \
    C(from_port,      n64,  "port of that address") \
    C(to_ip,          blob, "16 bytes; NULL: this node, or see ranks") \
    C(to_port,        n64,  "port of that address") \
    C(bytes,          i64,  "size of the whole datagram") \
    C(form,           i64,  "what is in columns: 1: nothing; 2: the header; 3: the message too, in its own table") \
    C(data_bytes,     i64,  "size of the data: what is not in columns") \
    C(data_hash,      u64,  "hash of the data: XXH3, 64 bits") \
    C(coding,         i64,  "coding of the payload: 0: not stored; 1: plain; 2: zstd") \
    C(payload,        blob, "the data, if stored")

#define MESH_TRACE_REQUEST_COLUMNS(C) \
    C(id,             u64,  "in order") \
    C(node,           u64,  "node where it entered, or whose view this is") \
    C(t_ns,           i64,  "when") \
    C(request,        u64,  "request id") \
    C(kind,           text, "begin; cancel: the client withdrew it; end") \
    C(prompt_tokens,  n64,  "length of the prompt; NULL: the request entered at another node") \
    C(tokens,         n64,  "begin: the most that may be generated; cancel, end: generated by then, as far as this node knows") \
    C(options,        text, "JSON object: sampling options") \
    C(prompt,         blob, "token ids, u32 little-endian; NULL: not stored") \
    C(reason,         text, "why it was cancelled, or ended: length, end, context, cancelled, error, refused")

#define MESH_TRACE_TOKEN_COLUMNS(C) \
    C(id,             u64,  "in order") \
    C(node,           u64,  "node whose view this is") \
    C(t_ns,           i64,  "when it was drawn there") \
    C(request,        u64,  "request id") \
    C(position,       u64,  "position among the generated tokens of the request, from 0") \
    C(step,           n64,  "step that drew it") \
    C(token,          u64,  "token id, or its keyed hash (see ids in meta)") \
    C(logits_hash,    n64,  "hash of the bits of all logits, if this node knows it")

#define MESH_TRACE_EVENT_COLUMNS(C) \
    C(id,             u64,  "in order") \
    C(node,           u64,  "node whose view this is") \
    C(t_ns,           i64,  "when") \
    C(kind,           text, "lost, resent, stall, ... (of a capture); up, suspected, ... (of a node)") \
    C(severity,       i64,  "1: note; 2: warning; 3: error") \
    C(peer,           n64,  "rank that the event is about; of a loss: the receiver") \
    C(epoch,          n64,  "epoch at that time") \
    C(step,           n64,  "step that the event is about") \
    C(phase,          n64,  "phase in that step") \
    C(block,          n64,  "first block in that phase") \
    C(duration_ns,    n64,  "length of a stall; of a loss: time until the repair") \
    C(datagram,       n64,  "datagram that the event is about") \
    C(reason,         text, "in words, from a node; NULL: of a capture")

#define MESH_TRACE_REPORT_COLUMNS(C) \
    C(id,             u64,  "in order") \
    C(node,           u64,  "reporting node") \
    C(t_ns,           i64,  "when the report was made or received, by the recorder's clock") \
    C(unix_ms,        n64,  "wall clock at that time") \
    C(piece,          blob, "piece of telemetry, as on the wire; its items are in the tables telemetry_*")

#define MESH_TRACE_GAP_COLUMNS(C) \
    C(id,             u64,  "in order") \
    C(node,           u64,  "node of the recorder") \
    C(t_ns,           i64,  "beginning of the gap") \
    C(end_ns,         i64,  "end of the gap") \
    C(what,           text, "what is missing: payloads, or rows (of all kinds)") \
    C(after_input,    n64,  "last input before the gap") \
    C(count,          u64,  "number of items not stored") \
    C(reason,         text, "why")

#define MESH_TRACE_CHUNK_COLUMNS(C) \
    C(id,             u64,  "in order") \
    C(node,           u64,  "node of the core") \
    C(t_ns,           i64,  "time of the first call") \
    C(end_ns,         i64,  "time of the last call") \
    C(core,           i64,  "1: endpoint of an epoch; 2: cluster; 3: client sessions") \
    C(instance,       u64,  "of an endpoint: its epoch number; else 0") \
    C(first,          u64,  "number of the first call among all calls of that core, from 1; lost calls count") \
    C(count,          u64,  "number of calls") \
    C(bytes,          u64,  "size of the decoded records") \
    C(coding,         i64,  "1: plain; 2: zstd; 3 (schema 1): zstd of the records without payloads, then zstd of the payloads; 4: compact") \
    C(records,        blob, "calls and their outputs, one after the other, in the form of mesh/tape.h") \
    C(expanded,       i64,  "1: its rows of inputs, outputs and datagrams are in the file; 0: rows are made when they are read")

/*    NAME      struct    table        columns                       meaning */
#define MESH_TRACE_TABLES(T) \
    T(NODE,     node,     nodes,       MESH_TRACE_NODE_COLUMNS,      "Nodes that rows of other tables belong to.") \
    T(EPOCH,    epoch,    epochs,      MESH_TRACE_EPOCH_COLUMNS,     "Memberships: which node had which rank and which rows.") \
    T(INPUT,    input,    inputs,      MESH_TRACE_INPUT_COLUMNS,     "Everything that went into protocol cores, in order: calls, times, datagrams.") \
    T(OUTPUT,   output,   outputs,     MESH_TRACE_OUTPUT_COLUMNS,    "Everything that came out of protocol cores: datagrams and events.") \
    T(DATAGRAM, datagram, datagrams,   MESH_TRACE_DATAGRAM_COLUMNS,  "Datagrams, as the core (opened) or a capture sees them. The header's columns follow.") \
    T(REQUEST,  request,  requests,    MESH_TRACE_REQUEST_COLUMNS,   "What clients asked for.") \
    T(TOKEN,    token,    tokens,      MESH_TRACE_TOKEN_COLUMNS,     "Generated tokens.") \
    T(EVENT,    event,    events,      MESH_TRACE_EVENT_COLUMNS,     "Events that nodes, or the analysis of a capture, noticed.") \
    T(REPORT,   report,   reports,     MESH_TRACE_REPORT_COLUMNS,    "Telemetry as it went over the wire.") \
    T(GAP,      gap,      gaps,        MESH_TRACE_GAP_COLUMNS,       "What the recorder had to leave out.") \
    T(CHUNK,    chunk,    chunks,      MESH_TRACE_CHUNK_COLUMNS,     "Calls of protocol cores as a recorder stores them: many to a row.")

#define MESH_TRACE_MEMBER_i64(name)  int64_t name;
#define MESH_TRACE_MEMBER_n64(name)  int64_t name;
#define MESH_TRACE_MEMBER_u64(name)  uint64_t name;
#define MESH_TRACE_MEMBER_text(name) const char *name;
#define MESH_TRACE_MEMBER_blob(name) struct mesh_trace_bytes name;
#define MESH_TRACE_MEMBER(name, type, meaning) MESH_TRACE_MEMBER_##type(name)
#define MESH_TRACE_STRUCT(NAME, name, table, COLUMNS, meaning) struct mesh_trace_##name { COLUMNS(MESH_TRACE_MEMBER) };
#define MESH_TRACE_ENUM(NAME, name, table, COLUMNS, meaning) MESH_TRACE_TABLE_##NAME,

MESH_TRACE_TABLES(MESH_TRACE_STRUCT) /* struct mesh_trace_node, ... */
enum mesh_trace_table { MESH_TRACE_TABLES(MESH_TRACE_ENUM) MESH_TRACE_TABLE_COUNT };
/* clang-format on */

struct mesh_trace;

/* ---- opening ---- */

/* A new file at path, mode 0600, for writing; MESH_ESYSTEM when there is one already. Rows are readable by others after each commit (WAL).
 * On failure *trace is NULL and reason says why. */
int mesh_trace_create(struct mesh_trace **trace, const char *path, char reason[MESH_TRACE_REASON_BYTES]);

/* Open an existing trace for reading; see the top. Faults of the file as a whole are found here, faults of single rows when they are
 * read. */
int mesh_trace_open(struct mesh_trace **trace, const char *path, char reason[MESH_TRACE_REASON_BYTES]);

/* Mark the proper end of a trace that is written, as the last thing before it is closed: nothing is missing behind it. next: name of the
 * file that continues it; NULL: nothing does. end_ns: on the trace's clock. */
int mesh_trace_end_here(struct mesh_trace *trace, int64_t end_ns, const char *next);

/* Of a trace that is written: what was not committed is lost; the file is left as one file, without WAL. Takes NULL. */
void mesh_trace_close(struct mesh_trace *trace);

/* Remove a trace that is closed, and what SQLite leaves beside it where a full disk kept it from being put in order: with these a new file
 * of that name would not be one. */
void mesh_trace_remove(const char *path);

/* The schema of an opened trace: MESH_TRACE_SCHEMA_MIN to MESH_TRACE_SCHEMA. */
int mesh_trace_schema(const struct mesh_trace *trace);

/* Why the last call failed: "why: what to do". Valid until the next call. */
const char *mesh_trace_reason(const struct mesh_trace *trace);

/* ---- writing ---- */

/* Rows between begin and commit are written together; without, each is a transaction of its own. After a failed commit all rows since begin
 * are lost, and a new transaction may be tried. MESH_ESTATE: begun twice, or nothing to commit. Rolling back without a
 * transaction has no effect. */
int mesh_trace_begin(struct mesh_trace *trace);
int mesh_trace_commit(struct mesh_trace *trace);
void mesh_trace_rollback(struct mesh_trace *trace);

/* Set a key, or replace its value; the schema's version and libmesh's are there already. */
int mesh_trace_set_meta(struct mesh_trace *trace, const char *key, const char *value);

/* Add a row: row is the table's struct (below, with its type checked). id may be NULL; else the row's number. MESH_EINVAL, too:
 * datagrams, which have a function of their own. */
int mesh_trace_add(struct mesh_trace *trace, enum mesh_trace_table table, const void *row, uint64_t *id);

/* Add a datagram: form, data_bytes, data_hash, coding and payload of the row are filled in from the packet (row's are not read), and so is
 * bytes, unless row's is more than packet_bytes: a datagram that was cut short.
 * packet: packet_bytes ≤ MESH_TRACE_DATAGRAM_BYTES_MAX, plaintext where the caller has it; what cannot be decoded is stored as far as it
 * can. keep_payload false: only the data's size and hash are stored. */
int mesh_trace_add_datagram(struct mesh_trace *trace, const struct mesh_trace_datagram *row, const uint8_t *packet, size_t packet_bytes,
                            bool keep_payload, uint64_t *id);

/* Add a piece of telemetry: the row (its piece is row->piece), and each item in the table of its kind. */
int mesh_trace_add_report(struct mesh_trace *trace, const struct mesh_trace_report *row, uint64_t *id);

/* Add a chunk: bytes, coding and records of the row are filled in from the records (at most MESH_TRACE_BLOB_BYTES_MAX bytes).
 * stored_bytes: their size as stored; or NULL. */
int mesh_trace_add_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const uint8_t *records, size_t bytes,
                         size_t *stored_bytes);

/* clang-format off */
#define MESH_TRACE_ADD(NAME, name, table, COLUMNS, meaning) \
    static inline int mesh_trace_add_row_##name(struct mesh_trace *trace, const struct mesh_trace_##name *row, uint64_t *id) \
    { \
        return mesh_trace_add(trace, MESH_TRACE_TABLE_##NAME, row, id); \
    }
MESH_TRACE_TABLES(MESH_TRACE_ADD) /* mesh_trace_add_row_node, ... */
/* clang-format on */

/* ---- reading ---- */

/* The value of a meta key into out, cut where it is longer; MESH_EABSENT: there is no such key. */
int mesh_trace_get_meta(struct mesh_trace *trace, const char *key, char *out, size_t capacity);

enum mesh_trace_ending_kind {
    MESH_TRACE_END_UNKNOWN,  /* written by a version that did not mark the end */
    MESH_TRACE_END_OPEN,     /* being written */
    MESH_TRACE_END_EARLY,    /* without the mark: what came after until_ns, if anything, is not in it */
    MESH_TRACE_END_COMPLETE, /* mesh_trace_end_here */
    MESH_TRACE_END_CONTINUED /* likewise, and another file follows */
};

struct mesh_trace_ending {
    enum mesh_trace_ending_kind kind;
    int64_t until_ns; /* latest time of any row; of a marked end: of the end. MESH_TRACE_NULL: there are no rows */
    /* The same moment by the trace's clock and since 1970: if the wall clock was set while it was recorded, or the machine suspended, as it
     * was then. MESH_TRACE_NULL: not known */
    int64_t begun_ns, begun_unix_ns;
    char next[256]; /* of MESH_TRACE_END_CONTINUED: name of the file that follows */
};
int mesh_trace_get_ending(struct mesh_trace *trace, struct mesh_trace_ending *ending);

/* Compare all rows with the hashes that were stored with them, and tell of each that was deleted, added or changed by something else than
 * the trace store, in no particular order. Reads the whole file. Tells nothing of traces of versions that stored none (schema 1, and the
 * first of schema 2); nor is it protection against forgery, as anybody can compute the hashes. */
enum mesh_trace_fault { MESH_TRACE_ROW_MISSING, MESH_TRACE_ROW_ADDED, MESH_TRACE_ROW_CHANGED };
struct mesh_trace_finding {
    const char *table;
    const char *row; /* its key; "": all of the table. Of message_ranges and message_members: the datagram. Valid during the call */
    enum mesh_trace_fault fault;
};
int mesh_trace_check(struct mesh_trace *trace, void (*tell)(void *user, const struct mesh_trace_finding *finding), void *user);

/* Have look called now and then, several times a second, while the trace is read, asked or checked, or rows of calls are made: for showing
 * that it goes on. It may not call the trace. NULL: no more. */
void mesh_trace_watch(struct mesh_trace *trace, void (*look)(void *user), void *user);

/* How many rows a table has. */
int mesh_trace_count(struct mesh_trace *trace, enum mesh_trace_table table, uint64_t *count);

/* Read a table in the order of its ids, from `first` on. Several cursors may be open at a time; close each before the trace. */
struct mesh_trace_cursor;
int mesh_trace_read(struct mesh_trace *trace, enum mesh_trace_table table, uint64_t first, struct mesh_trace_cursor **cursor);

/* 1: the next row is in *row (the table's struct; texts and blobs valid until the next call); 0: there are no more; else an error. After
 * either of these, later calls return the same. */
int mesh_trace_next(struct mesh_trace_cursor *cursor, void *row);
void mesh_trace_end(struct mesh_trace_cursor *cursor); /* NULL is fine */

/* A datagram's bytes as they were, put together from columns and payload: into packet (MESH_TRACE_DATAGRAM_BYTES_MAX); *packet_bytes of
 * them. Zeros stand for a payload that was not stored, and *is_complete is then false. A payload without its data_hash is damaged:
 * MESH_ETRUNCATED. row: as read. */
int mesh_trace_get_packet(struct mesh_trace *trace, const struct mesh_trace_datagram *row, uint8_t *packet, size_t *packet_bytes,
                          bool *is_complete);

/* The records of a chunk, as read: into records (row->bytes of them, which the caller has checked against what it can hold).
 * MESH_ETRUNCATED: damaged, also if the checksum of the row and its records is another. */
int mesh_trace_get_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records);

/* mesh_trace_hash with a secret of random bytes, without which nobody can compute it again. */
enum { MESH_TRACE_SECRET_BYTES = 192 };
uint64_t mesh_trace_hash_with(const uint8_t secret[MESH_TRACE_SECRET_BYTES], const void *bytes, size_t size);

/* ---- SQL queries ---- */

enum mesh_trace_value_kind {
    MESH_TRACE_VALUE_NULL,
    MESH_TRACE_VALUE_INTEGER,
    MESH_TRACE_VALUE_REAL,
    MESH_TRACE_VALUE_TEXT,
    MESH_TRACE_VALUE_BLOB
};

struct mesh_trace_value {
    enum mesh_trace_value_kind kind;
    int64_t integer;
    double real;
    const void *bytes; /* TEXT (ends with a NUL beyond its size) and BLOB; valid until the next call */
    size_t size;
};

/* Let queries sort large results in temporary files, not only in memory; for callers who trust their queries. Where such a query fails, the
 * error says that the file is damaged, and not MESH_EINVAL that the query is wrong. Call before the first one. */
void mesh_trace_sort_in_files(struct mesh_trace *trace);

/* Ask a trace in SQL of unknown origin: one SELECT that can read this trace and nothing else, for seconds_max and within 512 MB (of all
 * that SQLite holds in this process). MESH_EINVAL: it is none, or asks too much; mesh_trace_reason says what. One at a time per trace:
 * MESH_ESTATE while another one is open. Its limits hold for the whole trace, so nothing can be written, committed or rolled back until it
 * ends, no rows of calls can be made (see the top), and reading may stop with MESH_ESTATE when its time is over. */
struct mesh_trace_query;
int mesh_trace_query(struct mesh_trace *trace, const char *sql, unsigned seconds_max, struct mesh_trace_query **query);
unsigned mesh_trace_query_columns(const struct mesh_trace_query *query);
const char *mesh_trace_query_column(const struct mesh_trace_query *query, unsigned column);

/* 1: the next row is in values (as many as there are columns); 0: there are no more; else an error. As of mesh_trace_next, it stays so. */
int mesh_trace_query_next(struct mesh_trace_query *query, struct mesh_trace_value *values);
void mesh_trace_query_end(struct mesh_trace_query *query); /* NULL is fine */

/* ---- text ---- */

/* The tables of docs/TRACE.md in Markdown. Like snprintf. */
size_t mesh_trace_write_tables(char *out, size_t capacity);

/* The hash of the trace store: XXH3, 64 bits. */
uint64_t mesh_trace_hash(const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif
