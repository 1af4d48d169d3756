/* Clusters in virtual time: how busy nodes with a given memory speed are on a given network, without the hardware.
 *
 * Nodes (virtual_node.h) on links of their own to a switch, a model without weights, one request of one token of prompt. The same
 * configuration gives the same figures on any machine. */
#ifndef NODE_VIRTUAL_CLUSTER_H
#define NODE_VIRTUAL_CLUSTER_H

#include "bench_model.h"
#include "virtual_node.h"

/* A model of zeros: pages that are not read take no memory. */
struct virtual_model {
    uint8_t *bytes; /* a mapping */
    size_t size;
    struct gguf *gguf;
    struct model *model;
};
int virtual_model_open(struct virtual_model *model, const struct bench_shape *shape, enum tensor_type type, struct fail *fail);
void virtual_model_close(struct virtual_model *model); /* also one that could not be opened */

struct virtual_cluster_config {
    const struct model *model;
    uint16_t nodes;                             /* 2 .. MESH_RANKS_MAX */
    bool is_star, is_whole;                     /* as of struct engine_config */
    uint16_t send_runs, tile_rows[PHASE_KINDS]; /* likewise */
    struct virtual_node_config node;
    uint64_t rate_bits_per_s, delay_ns; /* rate of a node's link each way, 0: infinite; delay from there to another node's link */
    uint32_t warm_tokens, tokens;       /* first tokens, not counted; counted tokens */
    mesh_sim_watch_fn *watch;           /* NULL: nobody */
    void *watch_app;
};

/* Shares are of the nodes' time, means of all nodes; counts are per token, over all nodes. */
struct virtual_figures {
    double utilisation, least_utilisation; /* multiplying; that of the least utilised node */
    double sending, receiving;             /* in system calls that moved datagrams, or found none */
    double waiting[VIRTUAL_WAITS];
    double tokens_per_s;
    double messages, send_calls, receive_calls; /* datagrams handed to the system */
    double weight_bytes;
    uint64_t naks, resent;
};

/* 0, or -1: out of memory, or a cluster that does not finish within some seconds of virtual time. */
int virtual_cluster_run(const struct virtual_cluster_config *config, struct virtual_figures *figures, struct fail *fail);

#endif
