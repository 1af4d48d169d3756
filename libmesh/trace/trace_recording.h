/* What the files of a recording share: the side of the threads that tell (trace_recording.c), the side of the recorder's thread
 * (trace_recording_store.c), the files that are written (trace_recording_file.c), and hashes (trace_recording_hash.c). */
#ifndef MESH_TRACE_RECORDING_H
#define MESH_TRACE_RECORDING_H

#include <stdatomic.h>

#include "mesh/recording.h"

enum recording_lane_number { RECORDING_ENDPOINT, RECORDING_CLUSTER, RECORDING_SESSIONS, RECORDING_ROWS, RECORDING_LANES };
enum { RECORDING_CORES = RECORDING_ROWS };

/* Kinds of entries. RECORDING_ROW + the number of a table: its struct, see mesh_recording_pack_row. */
enum { RECORDING_CALL = 1, RECORDING_META /* key and value, each with its NUL */, RECORDING_ROW };

/* ---- hashes in the place of what is not kept ---- */

enum { RECORDING_PUBLISHED = 4 };

/* A tile that was published: its place and hash. bytes 0: none. */
struct recording_published {
    uint64_t step, hash;
    uint32_t bytes;
    uint16_t phase, token, block_first, block_count;
};

struct recording_hashes {
    uint8_t secret[32];
    uint8_t tiles[MESH_TRACE_SECRET_BYTES]; /* of hashes of tiles; follows from the secret */
    struct recording_published published[RECORDING_PUBLISHED];
    unsigned published_count; /* ever, of the endpoint's thread */
};

void mesh_recording_hashes_init(struct recording_hashes *hashes, const uint8_t secret[32]);
void mesh_recording_hashes_wipe(struct recording_hashes *hashes);

/* Leave out the payload of an entry of the endpoint or the cluster, which has one. A tile that is sent as it was published is not hashed
 * again: published data stays as it is while it may be sent. */
void mesh_recording_leave_out(struct recording_hashes *hashes, struct mesh_tape_entry *entry);
void mesh_recording_forget_published(struct recording_hashes *hashes); /* another endpoint begins */
uint64_t mesh_recording_hash_token(struct recording_hashes *hashes, uint64_t position, uint64_t token);

/* ---- files ---- */

struct recording_file {
    char *base;      /* as it was asked for */
    char *path;      /* of number */
    uint32_t number; /* 1: base itself */
    struct mesh_trace *trace;
    int64_t wal_bytes; /* size of its -wal, which SQLite never makes shorter while it writes */
};

int mesh_recording_no_memory(const char *path, char reason[MESH_TRACE_REASON_BYTES]); /* MESH_ENOMEM, with that as the reason */

/* base: copied. follows: see struct mesh_recording_config. Errors as of mesh_recording_open. */
int mesh_recording_file_open(struct recording_file *file, const char *base, bool follows, char reason[MESH_TRACE_REASON_BYTES]);
int mesh_recording_file_next(struct recording_file *file, char reason[MESH_TRACE_REASON_BYTES]); /* on failure the present one stays */
int mesh_recording_file_check(
    struct recording_file *file); /* MESH_ESYSTEM: it is not there any more, or spoilt; the trace's reason says so */

/* Everything is in it: mark that. next: path of the file that follows; NULL: none does. */
void mesh_recording_file_end(struct recording_file *file, const char *next);
void mesh_recording_file_close(struct recording_file *file);

/* ---- storing: the recorder's thread ---- */

struct recording_chunk {
    struct mesh_trace_chunk row;
    struct compact *compact; /* its records */
    uint64_t datagrams;      /* among them */
};

/* Rows that helping threads took before the batch at hand: entries one after the other. */
struct recording_rows {
    uint8_t *at;
    size_t used;
};

/* Calls of one core on their way into chunks. */
struct recording_calls {
    int64_t core;
    uint64_t instance, next;          /* number of the next call, from 1 */
    struct recording_chunk batch;     /* of entries of the batch at hand */
    struct recording_chunk helped[2]; /* of those that helping threads took before: see `taking` */
};

struct recording_meta {
    char *key, *value;
};

struct recording_store {
    struct recording_file file;
    struct mesh_trace_node node;
    uint8_t node_ip[16]; /* what node.ip points to */
    uint64_t file_bytes, file_ns;
    struct recording_calls calls[RECORDING_CORES];
    struct recording_rows helped[2];
    unsigned taking; /* which of `helped` is filled; the other is to be written */
    struct recording_meta meta[MESH_RECORDING_META_MAX];
    unsigned meta_count;
    uint8_t *epoch;                                    /* the last row of that table, packed; NULL: none yet */
    uint8_t init[sizeof(struct mesh_tape_init_bytes)]; /* record of the last endpoint's INIT */
    bool has_init;
    bool has_begun;                                      /* what stands in every file is in this one */
    uint64_t written, begun_ns;                          /* of this file */
    uint64_t refused_ns;                                 /* until then it could not be written; 0: it always could */
    bool is_refused;                                     /* the last time */
    _Atomic uint64_t call_count, datagrams, gaps, bytes; /* of all files */
    _Atomic uint32_t files;
};

int mesh_recording_store_open(struct recording_store *store, const struct mesh_recording_config *config,
                              char reason[MESH_TRACE_REASON_BYTES]);
int mesh_recording_store_write(void *store, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES]);
bool mesh_recording_store_take(void *store, const struct mesh_recorder_entry *entry);
void mesh_recording_store_swap(void *store);
void mesh_recording_store_end(struct recording_store *store); /* nothing was lost in the end: before it is closed */
void mesh_recording_store_close(struct recording_store *store);

/* For the files that follow. False without memory: what was kept stays. */
bool mesh_recording_keep_meta(struct recording_store *store, const char *key, const char *value);

/* ---- rows as bytes: the struct, in which pointers are replaced by offsets, then what they point to ---- */

size_t mesh_recording_row_bytes(enum mesh_trace_table table, const void *row);
void mesh_recording_pack_row(enum mesh_trace_table table, const void *row, uint8_t *out);

/* Into row, the table's struct, whose pointers point into packed; which stays as it is. */
enum { RECORDING_ROW_BYTES_MAX = 256 };
void mesh_recording_unpack_row(enum mesh_trace_table table, const uint8_t *packed, void *row);

#endif
