/* A recording: stores what a process does, from its protocol cores' calls to its tokens, in traces (mesh/trace.h), by way of a recorder
 * (mesh/recorder.h).
 *
 * Taps (mesh/tape.h) hear the cores on whichever thread calls them; one thread, the main one, tells the rest. All functions but open and
 * close only copy into memory. A trace is written until it is as large or as old as it may be; then the next one follows, T-2.db after
 * T.db. */
#ifndef MESH_RECORDING_H
#define MESH_RECORDING_H

#include "mesh/recorder.h"
#include "mesh/tape.h"
#include "mesh/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MESH_RECORDING_NODE = 1, MESH_RECORDING_META_MAX = 32 };

struct mesh_recording_config {
    const char *path;
    bool keeps_all;              /* payloads, prompts and token ids; else hashes of them */
    uint8_t secret[32];          /* key of these hashes */
    uint64_t file_bytes;         /* approximate size of a file at which the next one begins; 0: no limit */
    uint64_t file_ns;            /* its approximate age, likewise; 0: no limit */
    bool follows;                /* an earlier trace of this name stays, and the next number is taken; else an existing file is refused */
    uint64_t ring_bytes;         /* as of struct mesh_recorder_config */
    struct mesh_trace_node node; /* the node that is recorded; copied, but for id and incarnation, which are not read */
};

struct mesh_recording;

/* MESH_ETYPE: the file is there, and is no trace; MESH_ESYSTEM: it cannot be made, or is written by somebody else; MESH_EINVAL: ring_bytes;
 * MESH_ENOMEM. With "what: why: what to do" in reason. */
int mesh_recording_open(struct mesh_recording **recording, const struct mesh_recording_config *config,
                        char reason[MESH_TRACE_REASON_BYTES]);

/* The first file. */
const char *mesh_recording_path(struct mesh_recording *recording);

/* For mesh_config.tap: one endpoint at a time, from its initialisation on; for mesh_cluster_config.tap; and for
 * mesh_sessions_config.tap, whose payloads are never kept, nor hashes of them. */
const struct mesh_tap *mesh_recording_endpoint_tap(struct mesh_recording *recording);
const struct mesh_tap *mesh_recording_cluster_tap(struct mesh_recording *recording);
const struct mesh_tap *mesh_recording_sessions_tap(struct mesh_recording *recording);

/* Set a key of the meta table of this trace and those that follow. Call before anything else. */
void mesh_recording_set_meta(struct mesh_recording *recording, const char *key, const char *value);

/* Rows, as in mesh_trace_add; node and id are filled in. Texts and blobs are copied. */
void mesh_recording_add_epoch(struct mesh_recording *recording,
                              const struct mesh_trace_epoch *row); /* also in files that follow, until the next row. Without config: that of
                                                                    * the endpoint of its number, where one was heard before */
void mesh_recording_add_request(struct mesh_recording *recording, const struct mesh_trace_request *row); /* without keeps_all: no prompt */
void mesh_recording_add_token(struct mesh_recording *recording,
                              const struct mesh_trace_token *row); /* without keeps_all: a hash of token */
void mesh_recording_add_event(struct mesh_recording *recording, const struct mesh_trace_event *row);
void mesh_recording_add_report(struct mesh_recording *recording, const struct mesh_trace_report *row);

/* For a thread that waits for something else: prepare some of what was told for storing. Any thread; takes some microseconds. */
void mesh_recording_help(struct mesh_recording *recording);

struct mesh_recording_stats {
    struct mesh_recorder_stats recorder;
    uint64_t calls;     /* stored */
    uint64_t datagrams; /* of these calls: those that took one in or gave one out */
    uint64_t gaps;      /* rows of that table */
    uint64_t bytes;     /* stored, of chunks and rows */
    uint32_t files;
};
void mesh_recording_get_stats(struct mesh_recording *recording, struct mesh_recording_stats *stats);

/* No core that is tapped may be called any more. stats: of the end, or NULL. NULL as a recording is fine. */
void mesh_recording_close(struct mesh_recording *recording, struct mesh_recording_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
