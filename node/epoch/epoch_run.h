/* One epoch of a serving node: engine, endpoint, keys and worker threads, from the agreement on its members to the next one.
 *
 * It may be prepared while the one before it goes on: its engine is then loaded when it starts.
 * Its threads' results, tokens and ends of requests, wait in a list until the main thread takes them, also after epoch_run_stop. */
#ifndef NODE_EPOCH_RUN_H
#define NODE_EPOCH_RUN_H

#include "mesh/cluster.h"
#include "mesh/seal.h"
#include "mesh/udp.h"
#include "node/fetch/kv_fetch.h"
#include "node/fetch/model_fetch.h"
#include "node/model/rowmap.h"
#include "node/tokenizer/tokenizer.h"
#include "recording.h"
#include "worker_pool.h"

/* A member's flags (mesh/cluster.h). */
enum { EPOCH_RUN_HAS_FILE = 1 << 0 /* all of the model is on its disk: its own file, or the cache */ }; /* the rest: balance_flags */

/* What is the same in every epoch. Everything is borrowed. */
struct epoch_run_config {
    const struct model *model;
    const struct tokenizer *tokenizer;
    const struct kernel *kernel;
    struct mesh_udp *udp;
    const struct mesh_key *key; /* not read with security none */
    const char *cluster;
    enum mesh_security security;
    bool has_no_aes; /* as in struct mesh_sealer_config */
    uint16_t threads, batch, slots;
    uint32_t ctx;
    enum kv_type kv_type;
    uint64_t pace_bytes_per_s;                         /* --lab pace; 0: off */
    bool is_star, is_whole;                            /* as of struct engine_config */
    uint64_t pace_later_bytes_per_s, pace_later_at_ns; /* --lab later */
    struct recording *recording;                       /* NULL: nothing is recorded */
    struct model_part *part;                           /* the model's file, of which chunks may be missing; NULL: it is whole */
};

/* Counts of datagrams, of this epoch unless they say otherwise. */
struct epoch_run_traffic {
    uint64_t datagrams_sent, lost, probes_lost, naks, resent, duplicates_sent;
    uint64_t peers_by_group; /* reached by this node's multicast group: 0 or at least 2 */
    uint64_t sent_to_group;  /* since the socket was opened: datagrams that went to all of them at once */
    uint64_t kernel_drops;   /* since the socket was opened: found its buffer full */
    const char *cipher;      /* with which this node seals now; NULL: alone */
    bool segments_refused;   /* the kernel could not segment messages, so datagrams have been sent one by one since */
};

struct epoch_run_result {
    uint64_t request, when_ns;
    bool is_done;
    enum engine_done reason;   /* is_done */
    struct engine_token token; /* else */
};

enum { EPOCH_RUN_PEERS_MAX = 2 * MESH_RANKS_MAX };

struct epoch_run {
    const struct epoch_run_config *config;
    struct mesh_cluster_member member[MESH_RANKS_MAX];
    uint16_t count, rank;
    uint32_t number;
    struct rowmap map;
    struct engine *engine;
    struct rows *rows;    /* of the previous epoch, until the engine has them; NULL: none */
    struct pool *loaders; /* threads that prepare; NULL: none */
    _Atomic enum epoch_run_preparing { EPOCH_RUN_UNPREPARED, EPOCH_RUN_OPENING, EPOCH_RUN_LOADING, EPOCH_RUN_FAILED } preparing;
    struct fail why;          /* EPOCH_RUN_FAILED */
    struct kv_fetch fetch;    /* of keys and values, until it starts */
    _Atomic bool has_fetched; /* all that there was; what is computed meanwhile follows */
    struct mesh *mesh;        /* NULL: alone */
    void *mesh_memory;
    size_t mesh_bytes;
    struct mesh_sealer sealer;
    bool has_sealer;             /* the socket uses it */
    struct engine_memory memory; /* as laid out */
    struct worker_pool workers;
    atomic_flag results_lock;
    struct epoch_run_result *result; /* (result_count) */
    size_t result_count, result_room;
    bool has_lost_results;
    bool is_started;
    bool has_to_save;                           /* it was started, and epoch_run_save_kv has not been called */
    struct mesh_addr peer[EPOCH_RUN_PEERS_MAX]; /* peers to ask for rows that are missing on this node's disk */
    unsigned peer_count;
    struct pool *before;  /* thread to be joined before it is opened, which frees what earlier epochs had; NULL: none */
    bool is_joining;      /* prepared on a node that is no member yet: nobody waits for it */
    struct pool *fetcher; /* thread that fetches missing rows in an epoch that has begun; NULL: none */
    atomic_bool stops_fetching;
};

/* The row map of an epoch's members, the same on each of them: by the agreed shares if there are any, else by speed, as far as their memory
 * allows (balance.h). *missing_bytes: needed beyond all that they have, 0: it fits. epoch_run_divide.c. */
int epoch_run_divide(struct rowmap *map, const struct epoch_run_config *config, const struct mesh_cluster_member *member, uint16_t count,
                     uint64_t *missing_bytes, struct fail *fail);

/* The most memory that an engine needs beside rows, keys and values, in an epoch of several members. -1 with fail set.
 * epoch_run_divide.c. */
int epoch_run_buffer_bytes(const struct epoch_run_config *config, uint64_t *bytes, struct fail *fail);

/* Is there room for all of it now? -1: no, with fail set. epoch_run_divide.c. */
int epoch_run_check_memory(const struct engine *engine, struct fail *fail);

/* Open, allocate and load for the members of a PREPARE event, on threads that yield to others, and fetch the keys and values that it will
 * need and that `present` (the running epoch; NULL: none) lacks; `wakeup` is notified when that is done. run is zeroed first. rows, taken:
 * without present, those left of an earlier epoch; NULL: none. before, taken: joined before an engine is opened; NULL: nothing. -1 with
 * fail set. epoch_run_stop and epoch_run_release in either case. */
int epoch_run_prepare(struct epoch_run *run, const struct epoch_run_config *config, const struct mesh_cluster_event *plan,
                      struct epoch_run *present, struct eventcount *wakeup, struct rows *rows, struct pool *before, struct fail *fail);

/* All is loaded and fetched, or cannot be (EPOCH_RUN_FAILED, with why). */
bool epoch_run_is_prepared(struct epoch_run *run);

/* Is what has been prepared what this node computes in that epoch? */
bool epoch_run_fits(struct epoch_run *run, const struct mesh_cluster_event *epoch);

/* The loaded rows, for the next epoch; NULL: none. They may outlive the run. */
struct rows *epoch_run_rows(struct epoch_run *run);

/* Open and allocate what is not prepared yet for the members of an EPOCH event, which takes milliseconds, and much more on a busy machine:
 * so any thread may call it; it does not touch the socket. run is zeroed, or prepared and fits. rows, taken: of the previous epoch; NULL:
 * none. -1 with fail set. epoch_run_stop and epoch_run_release in either case. */
int epoch_run_open(struct epoch_run *run, const struct epoch_run_config *config, const struct mesh_cluster_event *epoch,
                   struct eventcount *wakeup, struct rows *rows, struct fail *fail);

/* Begin, after epoch_run_open; the workers load what is not loaded yet. Requests continue from what is in saved_kv, which is empty
 * afterwards. -1 with fail set. epoch_run_stop and epoch_run_release in either case. */
int epoch_run_start(struct epoch_run *run, const uint8_t epoch_id[16], struct saved_kv *saved_kv, struct fail *fail);

/* End the threads: counters of the engine and the endpoint can still be read, and no longer change. Does nothing when it has not
 * started. */
void epoch_run_stop_workers(struct epoch_run *run);

/* epoch_run_stop_workers, and stop using the socket. Peers are not told: they begin their next epoch, too. Does nothing when it has not
 * started. */
void epoch_run_halt(struct epoch_run *run);

/* After epoch_run_halt, once: move what the engine has computed of requests into saved_kv, which takes as long as copying it. Any
 * thread. */
void epoch_run_save_kv(struct epoch_run *run, struct saved_kv *saved_kv);

/* epoch_run_halt, unless already called; then free everything but the results. After epoch_run_halt any thread. */
void epoch_run_stop(struct epoch_run *run);
void epoch_run_release(struct epoch_run *run);

bool epoch_run_is_loaded(struct epoch_run *run);

/* Adds this epoch's datagrams that were not opened, by reason: (MESH_SEAL_REFUSALS), and the replayed ones. Takes the port for the time of
 * the call. */
void epoch_run_refused(struct epoch_run *run, uint64_t refused[MESH_SEAL_REFUSALS], uint64_t *replayed);

/* Takes the port for the time of the call. */
void epoch_run_traffic(struct epoch_run *run, struct epoch_run_traffic *traffic);

/* The oldest result; false when there is none. Main thread. */
bool epoch_run_next_result(struct epoch_run *run, struct epoch_run_result *result);

/* There was no memory for some results since the last call: tokens of any request, or its end, will never come. Main thread. */
bool epoch_run_has_lost_results(struct epoch_run *run);

/* Read what has arrived, whatever the workers are doing. */
void epoch_run_read(struct epoch_run *run);

/* Ranks that owe this node blocks and send nothing at all. */
uint64_t epoch_run_silent_ranks(struct epoch_run *run);

/* Ranks that are heard while no large datagrams pass between them and this node. */
uint64_t epoch_run_starved_ranks(struct epoch_run *run);

#endif
