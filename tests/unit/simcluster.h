/* A whole cluster in one process: engines with their endpoints on the simulator, on virtual time.
 *
 * The same engine and protocol core that the program runs, with one worker per node; only sockets, threads and the clock are simulated. */
#ifndef TESTS_SIMCLUSTER_H
#define TESTS_SIMCLUSTER_H

#include "mesh/sim.h"
#include "node/engine/engine.h"
#include "node/model/model.h"

enum { SIMCLUSTER_TOKENS_MAX = 256, SIMCLUSTER_REQUESTS_MAX = 80, SIMCLUSTER_ACTIONS_MAX = 160 };

struct simcluster_config {
    const struct model *model;
    uint16_t rank_count;
    uint32_t share[MESH_RANKS_MAX]; /* all 0: equal shares */
    uint16_t batch;
    uint16_t slots; /* 0: 1 */
    uint32_t ctx;
    enum kv_type kv_type;
    bool is_star, is_whole;                   /* as of struct engine_config */
    const uint16_t (*tile_rows)[PHASE_KINDS]; /* (rank_count) likewise; NULL: the engine's own */
    const uint32_t *end_token;                /* ends a generation; NULL: no token does */
    const char *kernel;                       /* NULL: the fastest */
    uint64_t seed;                            /* of the network */
    struct mesh_sim_link link;
    uint64_t unit_ns;              /* virtual time that one unit of work takes */
    uint64_t receive_buffer_bytes; /* 0: 212992, the usual one */
    struct saved_kv *saved_kv;     /* (rank_count) what each node resumes from; empty afterwards. NULL: nodes keep nothing */
};

/* What a node has been told of a request. */
struct simcluster_result {
    uint64_t id;
    uint32_t token[SIMCLUSTER_TOKENS_MAX];
    uint32_t token_count;
    uint32_t index_first;                      /* index of token[0] among all generated tokens */
    uint64_t digest;                           /* of all logits */
    uint64_t digest_of[SIMCLUSTER_TOKENS_MAX]; /* each token's contribution */
    uint32_t steps;                            /* steps that included it */
    enum engine_done reason;
    struct engine_fault fault;
    bool is_done;
};

struct simcluster_node {
    struct simcluster *cluster;
    uint16_t rank;
    struct engine *engine;
    struct mesh *mesh;
    void *mesh_memory;
    uint64_t unit_ns;
    struct simcluster_result *result; /* (SIMCLUSTER_REQUESTS_MAX) */
    uint32_t result_count;
    float *logits; /* (vocab) of the last step, own rows; NULL unless wanted */
};

/* An action on a node at a given time, or as soon as the node works after that time. */
struct simcluster_action {
    uint64_t at_ns;
    uint16_t rank;
    const struct request *request; /* submitted; NULL: cancelled */
    uint64_t id;
    bool is_over;
};

struct simcluster {
    struct simcluster_config config;
    struct rowmap map;
    struct mesh_sim *sim;
    struct simcluster_node node[MESH_RANKS_MAX];
    struct simcluster_action action[SIMCLUSTER_ACTIONS_MAX];
    uint32_t action_count, actions_over;
    uint64_t alone_ns; /* the time of one node, which has no network */
    char reason[600];  /* why opening failed */
};

/* Returns 0, or -1 with cluster->reason. Call close in either case. */
int simcluster_open(struct simcluster *cluster, const struct simcluster_config *config);
void simcluster_close(struct simcluster *cluster);

/* Submit to a rank, or cancel there, at a given time. The request is borrowed until then. */
void simcluster_submit_at(struct simcluster *cluster, uint64_t at_ns, uint16_t rank, const struct request *request);
void simcluster_cancel_at(struct simcluster *cluster, uint64_t at_ns, uint16_t rank, uint64_t id);

/* Submit to rank 0, now. */
void simcluster_submit(struct simcluster *cluster, const struct request *request);

/* Run until all actions have happened and every node has reported the end of every request; for a cancelled request, the report of the node
 * to which it was submitted suffices. False when the virtual deadline came first. */
bool simcluster_run(struct simcluster *cluster, uint64_t deadline_ns);
bool simcluster_is_done(void *cluster);

/* What a rank has been told; an empty result when it has been told nothing yet. */
const struct simcluster_result *simcluster_result(const struct simcluster *cluster, uint16_t rank, uint64_t id);

/* True when all nodes have the same tokens and digests of every request as node 0. */
bool simcluster_agrees(const struct simcluster *cluster);

#endif
