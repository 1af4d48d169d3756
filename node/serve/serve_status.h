/* The status of a serving node and its cluster: `mesh-node status`. */
#ifndef NODE_SERVE_STATUS_H
#define NODE_SERVE_STATUS_H

#include "node/epoch/balance.h"
#include "node/epoch/epoch_change.h"
#include "node/epoch/epoch_run.h"
#include "node/epoch/packet_filter.h"
#include "node/telemetry/troubles.h"
#include "serve_memory.h"

struct serve_status {
    const struct epoch_run_config *config;
    struct epoch_run *run;             /* NULL: no epoch */
    const struct serve_memory *memory; /* whose epoch it is while bytes are missing; run is then NULL */
    const struct troubles *troubles;
    uint64_t now_ns; /* now, for computing ages */
    const struct mesh_cluster *cluster;
    const struct mesh_cluster_stats *cluster_stats;
    const struct mesh_sessions_stats *sessions;
    const struct packet_filter_stats *filter;
    const struct epoch_change *change;
    uint64_t refused[MESH_SEAL_REFUSALS], replayed; /* in earlier epochs */
    uint64_t recomputed;                            /* positions that this node had computed in an earlier epoch */
    uint64_t reused;                                /* positions of prompts that another request had computed */
    uint64_t prepared_epochs;                       /* epochs that began with what had been prepared */
    struct balance_member member[MESH_RANKS_MAX];   /* of the run: their reported speeds */
    uint32_t share_changes;                         /* epochs with new shares for the same members */
    uint64_t turned_away;                           /* questions and fetches, for too many clients had some */
    uint32_t requests;                              /* of this node's clients, not finished */
    struct recording_figures recorded;              /* with --record */
    bool is_recording;
    bool is_draining;    /* this node leaves when requests are finished */
    const char *refusal; /* "by ADDR: why": this node is in a cluster of its own since that member refuses it; else NULL */
};

/* One JSON object into out; its size. What does not fit is left out; no cluster is that large. */
size_t serve_status_write(const struct serve_status *status, char *out, size_t room);

/* The same for people, without a final newline. */
size_t serve_status_print(const struct serve_status *status, char *out, size_t room);

#endif
