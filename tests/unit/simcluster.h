/* A whole cluster in one process: engines with their endpoints on the simulator, on virtual time.
 *
 * The same engine and protocol core that the program runs, with one worker per node; only sockets, threads and the clock are simulated. */
#ifndef TESTS_SIMCLUSTER_H
#define TESTS_SIMCLUSTER_H

#include "mesh/sim.h"
#include "node/engine.h"
#include "node/model.h"

enum { SIMCLUSTER_TOKENS_MAX = 256 };

struct simcluster_config {
    const struct model *model;
    uint16_t rank_count;
    uint32_t share[MESH_RANKS_MAX]; /* all 0: equal */
    uint16_t batch;
    uint32_t ctx;
    enum kv_type kv_type;
    const char *kernel; /* NULL: the fastest */
    uint64_t seed;      /* of the network */
    struct mesh_sim_link link;
    uint64_t unit_ns;              /* virtual time that one unit of work takes */
    uint64_t receive_buffer_bytes; /* 0: 212992, the usual one */
};

struct simcluster_node {
    struct simcluster *cluster;
    uint16_t rank;
    struct engine *engine;
    struct mesh *mesh;
    void *mesh_memory;
    uint64_t unit_ns;
    uint32_t token[SIMCLUSTER_TOKENS_MAX];
    uint64_t digest; /* of all logits */
    uint32_t token_count;
    enum engine_done reason;
    struct engine_fault fault;
    bool is_done;
    float *logits; /* (vocab) of the last step, own rows; NULL unless wanted */
};

struct simcluster {
    struct simcluster_config config;
    struct rowmap map;
    struct mesh_sim *sim;
    struct simcluster_node node[MESH_RANKS_MAX];
    char reason[600]; /* why opening failed */
};

/* 0, or -1 with cluster->reason. close it in either case. */
int simcluster_open(struct simcluster *cluster, const struct simcluster_config *config);
void simcluster_close(struct simcluster *cluster);

void simcluster_submit(struct simcluster *cluster, const struct request *request);

/* Until every node says that the request has ended; false when the virtual deadline came first. */
bool simcluster_run(struct simcluster *cluster, uint64_t deadline_ns);
bool simcluster_is_done(void *cluster);

/* All nodes have the same tokens and digest as node 0. */
bool simcluster_agrees(const struct simcluster *cluster);

#endif
