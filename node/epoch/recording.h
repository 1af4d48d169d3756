/* What a node records with --record: its cores' calls, epochs, requests, tokens, events and telemetry (mesh/recording.h).
 *
 * NULL stands for a node that records nothing: every function but recording_open takes it. Main thread, but for the taps. */
#ifndef NODE_RECORDING_H
#define NODE_RECORDING_H

#include "mesh/cluster.h"
#include "mesh/program/fail.h"
#include "mesh/seal.h"
#include "mesh/telemetry.h"
#include "node/engine/engine.h"

struct mesh_tap;
struct recording;

enum { RECORDING_NO_RANK = UINT16_MAX /* not known yet */ };
enum { RECORDING_SIZE_MB_MAX = 1 << 20, RECORDING_TIME_S_MAX = 366 * 86400 };

struct recording_options {
    const char *path;         /* NULL: nothing is recorded */
    uint32_t size_mb, time_s; /* when the next file begins; 0: never */
    bool prompts;             /* payloads, prompts and token ids, too */
};

/* Who records. */
struct recording_node {
    const char *name;
    uint16_t rank;
    struct mesh_addr addr; /* of its mesh socket; an IP of zeros (all interfaces) or a port of 0 is not known */
};

/* options->path is not NULL. key: for the hashes that replace ids; NULL: not needed. follows: keep an earlier recording of this name and
 * take the next number. -1 with fail set: EXIT_BAD_FILE for a file of another kind, EXIT_ENVIRONMENT. */
int recording_open(struct recording **recording, const struct recording_options *options, const struct recording_node *node,
                   const struct mesh_key *key, bool follows, struct fail *fail);

/* For a run of local nodes, before the nodes of the other ranks start. recording_check_others: none of their files exists yet, so that
 * files that exist later are this run's; recording_remove removes those when the run fails to start. path: NULL for none. -1 with fail
 * set. */
int recording_check_others(const char *path, uint16_t ranks, struct fail *fail);
void recording_remove(const char *path, uint16_t first, uint16_t ranks);

/* Once: print on stderr, in one line, what it holds and what it lacks. -1 with fail set (unless it is NULL): entries are missing, or
 * payloads that the disk did not take; payloads left out because they came too fast are no failure. */
int recording_close(struct recording *recording, struct fail *fail);

const struct mesh_tap *recording_endpoint_tap(struct recording *recording);
const struct mesh_tap *recording_cluster_tap(struct recording *recording);
const struct mesh_tap *recording_sessions_tap(struct recording *recording);

/* A fact that does not change during the recording. */
__attribute__((format(printf, 3, 4))) void recording_meta(struct recording *recording, const char *key, const char *format, ...);
void recording_meta_hash(struct recording *recording, const char *key, const uint8_t hash[32]);

/* dealt: the shares by which its rows are dealt. */
void recording_epoch(struct recording *recording, uint64_t now_ns, uint32_t number, const uint8_t id[16], uint16_t rank,
                     const struct mesh_cluster_member *member, const uint32_t *dealt, uint16_t count);
void recording_request(struct recording *recording, uint64_t now_ns, const struct request *request);
void recording_request_cancel(struct recording *recording, uint64_t now_ns, uint64_t request, const char *reason);
void recording_request_end(struct recording *recording, uint64_t now_ns, uint64_t request, enum engine_done reason);
void recording_token(struct recording *recording, uint64_t now_ns, const struct engine_token *token);
void recording_event(struct recording *recording, const struct mesh_telemetry_event *event, const char *text);
void recording_report(struct recording *recording, uint64_t now_ns, uint64_t unix_ms, const uint8_t *piece, size_t bytes);

/* While a worker waits: prepare some of what was recorded for storing, so that the recorder's thread takes less of a processor. Any
 * thread. */
void recording_help(struct recording *recording);

/* Report once when the disk does not take what is recorded, or does not respond, and when it does again. Call from time to time. */
void recording_watch(struct recording *recording);

/* While that is so: why, and what to do, in cause, which ends a sentence: ": ...". */
enum { RECORDING_CAUSE_BYTES = 420 };
bool recording_is_failing(struct recording *recording, char cause[RECORDING_CAUSE_BYTES]);

/* For status, under these names, and for /metrics. Counters equal those of the completed trace: over all of its files. */
/* clang-format off */
/*    name                metric                                    kind     meaning */
#define RECORDING_FIGURES(F) \
    F(entries,            "mesh_recording_entries_total",           COUNTER, "Calls, epochs, requests, tokens, events, reports and texts of meta that are stored") \
    F(calls,              "mesh_recording_calls_total",             COUNTER, "Calls of protocol cores that are stored") \
    F(datagrams,          "mesh_recording_datagrams_total",         COUNTER, "Datagrams, in and out, that are stored") \
    F(bytes,              "mesh_recording_bytes_total",             COUNTER, "Written to the trace, packed; about, without what SQLite adds") \
    F(entries_lost,       "mesh_recording_lost_entries_total",      COUNTER, "Entries that are not stored, for want of time or room") \
    F(payloads_left_out,  "mesh_recording_left_out_payloads_total", COUNTER, "Payloads that are not stored, for want of time or room") \
    F(gaps,               "mesh_recording_gaps_total",              COUNTER, "Gaps: rows of the trace that say what is missing") \
    F(files,              "mesh_recording_files",                   GAUGE,   "Files of this recording so far") \
    F(waiting_bytes_max,  "mesh_recording_waiting_max_bytes",       GAUGE,   "The most that has waited to be stored, of 16 MiB") \
    F(is_failing,         "mesh_recording_failing",                 GAUGE,   "1 while the disk does not take what is recorded")
/* clang-format on */

/* All zeros without a recording. */
struct recording_figures {
#define RECORDING_FIGURE(name, metric, kind, meaning) uint64_t name;
    RECORDING_FIGURES(RECORDING_FIGURE)
#undef RECORDING_FIGURE
};
void recording_figures(struct recording *recording, struct recording_figures *figures);

#endif
