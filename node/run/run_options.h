/* The command line of `mesh-node run`. */
#ifndef NODE_RUN_OPTIONS_H
#define NODE_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/lab.h"
#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "node/engine/sampler.h"
#include "node/epoch/recording.h"
#include "node/kernel/kernel.h"
#include "node/model/model.h"

enum { RUN_THREADS_MAX = 256, RUN_CTX_DEFAULT = 4096, RUN_BATCH_DEFAULT = 128, RUN_JOIN_TIMEOUT_DEFAULT_S = 30 };

struct run_options {
    const char *model, *prompt, *prompt_file, *prompt_ids;
    const char *system; /* before a question, or NULL */
    uint32_t predict;
    uint32_t local;      /* nodes on this machine */
    uint32_t threads;    /* 0: cores divided by local nodes */
    uint32_t batch, ctx; /* ctx 0: the model's, at most RUN_CTX_DEFAULT */
    int kv_type;         /* enum kv_type */
    struct sampling sampling;
    bool has_seed;
    bool chat, ignore_eos, ids, digest, json;
    const char *kernel, *lab_text, *shares_text, *peers_text, *key_log, *multicast_text;
    int security;           /* enum mesh_security */
    int cipher;             /* enum security_cipher */
    int topology, pipeline; /* indices of run_topology_words, run_pipeline_words: baselines, 0 but for experiments */
    int gso;                /* index of run_pipeline_words */
    struct mesh_lab lab;
    uint32_t share[MESH_RANKS_MAX]; /* (rank count) */
    uint32_t rank;                  /* with peers */
    struct mesh_addr peer[MESH_RANKS_MAX];
    uint32_t busy_poll_us;      /* 0: no */
    struct mesh_addr multicast; /* group by which tiles go; port 0: none */
    uint32_t peer_count;        /* 0: all nodes are local */
    uint32_t join_timeout_s;
    struct recording_options record;
    bool help;
};

/* Parse and check what can be checked without the model. Help is printed by the caller with run_options_help. */
int run_options_parse(struct run_options *options, int argc, char *const *argv, struct fail *fail);
void run_options_help(void);

/* The words of --kv-type, in the order of enum kv_type, NULL last. */
extern const char *const run_kv_words[];

/* mesh, star; on, off; NULL last. */
extern const char *const run_topology_words[], *const run_pipeline_words[];

/* "3,2,1" as one share per rank; NULL: all equal. */
int run_options_shares(const char *text, uint16_t ranks, uint32_t *shares, struct fail *fail);

/* Of run and serve: refuses options of recording without --record. */
int run_options_record(const struct recording_options *record, struct fail *fail);

/* How many nodes there are in all. */
uint16_t run_options_ranks(const struct run_options *options);

#endif
