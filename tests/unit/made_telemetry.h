/* Telemetry of a mesh that does not exist: nodes that compute, wait and lose as configured, to test and measure readers of telemetry.
 *
 * Everything follows from the settings and the time; the same calls give the same bytes. */
#ifndef TESTS_MADE_TELEMETRY_H
#define TESTS_MADE_TELEMETRY_H

#include "mesh/telemetry.h"

enum { MADE_ALL = -2 /* nodes, as loss_from */ };

enum { MADE_NODES_MAX = 64, MADE_PHASES = 25, MADE_LATENCY_KINDS = MESH_LATENCIES };

struct made_link {
    struct mesh_telemetry_link counters;
    struct mesh_histogram latency[MADE_LATENCY_KINDS];
};

struct made {
    /* settings */
    unsigned nodes, threads;
    double tok_per_s;       /* 0: no requests */
    int slow;               /* node that others wait for; -1: none */
    int loss_from, loss_to; /* loss_from: MADE_ALL, too */
    uint32_t loss_ppm;
    uint32_t epoch;
    int64_t drift_ns; /* by how much more each node's clock is ahead of that of the one before it than the usual millisecond */
    bool is_dead[MADE_NODES_MAX];
    /* state */
    uint64_t now_ns, steps, epoch_begin_ns, random;
    uint8_t life; /* how often all processes have been started anew */
    struct mesh_telemetry_node node[MADE_NODES_MAX];
    struct mesh_telemetry_worker worker[MADE_NODES_MAX][8];
    struct made_link (*links)[MADE_NODES_MAX]; /* (nodes) by receiver, sender; owned */
    uint32_t serial[MADE_NODES_MAX], event[MADE_NODES_MAX];
};

void made_init(struct made *made, unsigned nodes);
void made_release(struct made *made);

/* Advance time: counters grow. */
void made_advance(struct made *made, uint64_t ns);

/* Ranks are dealt anew among live nodes; counters and numbers of steps begin at 0. */
void made_new_epoch(struct made *made);
/* The live nodes' processes have ended, and new ones at the same addresses begin with epoch 1. */
void made_start_anew(struct made *made);

/* Every live node's report, in records that are passed to take. */
void made_report(struct made *made, void (*take)(void *app, const uint8_t *record, size_t bytes), void *app);

/* The clock of the node that answers, and its wall clock. */
uint64_t made_now_ns(const struct made *made);
int64_t made_wall_ns(const struct made *made);

#endif
