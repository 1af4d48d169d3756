/* What a serving node measures, at one moment: the figures that telemetry and /metrics are made from.
 *
 * Its counters are the ones that `status` reads, not copies. */
#ifndef NODE_NODE_METRICS_H
#define NODE_NODE_METRICS_H

#include "mesh/cluster.h"
#include "mesh/telemetry.h"
#include "node/engine/engine_time.h"
#include "node/epoch/job.h"
#include "node/epoch/packet_filter.h"

enum {
    NODE_METRICS_WORKERS_MAX = 256,
    NODE_METRICS_FINISHED_MAX = 8,
    NODE_METRICS_FINISHED_MS = 15000 /* longer than any interval of reports */
};

/* Finished requests of this node's clients, since the start. The newest are reported for a while, since watchers would otherwise think them
 * still running. */
struct node_metrics_requests {
    uint64_t begun, failed, prompt_tokens, tokens, first_token_ns, generating_ns;
    struct node_metrics_finished {
        struct mesh_telemetry_request request;
        uint64_t over_ns; /* when; 0: no request */
    } over[NODE_METRICS_FINISHED_MAX];
    unsigned over_next; /* next slot in it, cyclic */
};

/* Where the figures come from. Borrowed for the call. */
struct node_metrics_source {
    uint64_t now_ns, unix_ms;
    const struct epoch_run_config *config;    /* udp NULL: there is no socket */
    struct epoch_run *run;                    /* NULL: no epoch */
    const struct mesh_cluster *cluster;       /* NULL: its members do not change */
    const struct mesh_sessions *sessions;     /* NULL: none */
    const struct packet_filter_stats *filter; /* all zeros where there is none */
    const struct jobs *jobs;
    uint32_t waiting; /* requests that wait to be tokenised, and are no jobs yet */
    const struct node_metrics_requests *requests;
    const struct mesh_lab *lab;
    uint64_t refused[MESH_SEAL_REFUSALS], replayed; /* in epochs before this one */
    uint64_t recomputed;                            /* likewise */
    uint64_t telemetry_refused, watchers;
    uint64_t
        available_bytes; /* memory of the machine, UINT64_MAX: unknown; 0: node_metrics_take asks now and then, which may take a while */
    uint64_t start_ns, epoch_ns; /* when the process and the epoch began */
    bool is_leaving;
    struct mesh_addr addr; /* own address when there is no epoch */
};

struct node_metrics {
    struct mesh_telemetry_node node;
    const char *model;
    uint16_t rank;
    uint32_t epoch;
    uint64_t now_ns;
    uint64_t available_bytes, look_again_ns; /* memory of the machine, and when to ask again */
    uint16_t links, workers, requests;
    struct mesh_telemetry_link link[MESH_RANKS_MAX];
    uint64_t lost[MESH_RANKS_MAX]; /* by rank, as counted so far in lost_epoch */
    uint32_t lost_epoch;
    uint64_t shared_sent, shared_bytes_sent; /* in the links' counts, but sent as a datagram that another link counts, too */
    struct mesh_histogram *latency;          /* (MESH_RANKS_MAX, MESH_LATENCIES), indexed as link */
    struct mesh_telemetry_worker worker[NODE_METRICS_WORKERS_MAX];
    struct mesh_telemetry_request request[JOBS_MAX + NODE_METRICS_FINISHED_MAX];
};

/* All zeros before. -1: no memory. */
int node_metrics_init(struct node_metrics *metrics);
void node_metrics_release(struct node_metrics *metrics);

/* Take all figures. Holds the port while it copies. Main thread. */
void node_metrics_take(struct node_metrics *metrics, const struct node_metrics_source *source);

/* How many datagrams of a peer are to be counted as lost in the present epoch, of which so many are known to be lost now. When one of them
 * comes late that number is less than before; a counter must not be, as readers would take it for a restart and count all of it again. So
 * that of the next ones that get lost, one is not counted. */
uint64_t node_metrics_lost(struct node_metrics *metrics, uint16_t rank, uint64_t lost_now);

/* A request of this node's clients has ended: call it when the client has been told, or has gone. */
void node_metrics_request_finished(struct node_metrics_requests *requests, const struct job *job, uint64_t now_ns);

#endif
