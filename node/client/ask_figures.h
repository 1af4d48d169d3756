/* What the nodes of a cluster did while one of them answered a client: figures of `mesh-node ask --json`, from the nodes' telemetry.
 *
 * A step computes tokens of several requests, and no node counts for one of them: these are figures of the whole mesh, for the time that
 * the request ran. They are differences between reports, so there should be one of each node in each part of the request; while one is
 * missing reports are wished for often, else once a second.
 *
 * Records and their order in, figures out: no I/O. One thread. */
#ifndef NODE_ASK_FIGURES_H
#define NODE_ASK_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "mesh/telemetry.h"

enum ask_part { ASK_BEGINS, ASK_GENERATES, ASK_IS_OVER };

/* Counters of a node, since its epoch began or between two reports. */
struct ask_counts {
    uint64_t stepping_ns, compute_ns; /* the latter summed over its threads */
    uint64_t positions, tokens;       /* taken through the model; generated */
    uint64_t datagrams, bytes;        /* sent to all other nodes */
};

struct ask_node {
    uint8_t incarnation[16];
    /* its last report: as it was, and the part of the request that it came in */
    bool has_report;
    uint16_t rank, threads, members;
    uint32_t epoch;
    enum ask_part part;
    struct ask_counts last;
    bool has_counts;                   /* of the time that the request ran, in `all` */
    struct ask_counts all, generating; /* what was counted since the first report; and since the first of ASK_GENERATES */
    /* a report that is still coming, in pieces */
    uint32_t serial;
    bool has_node;
    uint16_t coming_threads, coming_members;
    uint64_t links; /* bit r: its link to rank r has come */
    struct ask_counts coming;
};

enum { ASK_NODES_MAX = 2 * MESH_RANKS_MAX /* with some that were replaced meanwhile; others are not counted */ };

/* All zeros at first. */
struct ask_figures {
    enum ask_part part;   /* set by the owner: what comes now comes in this part */
    uint32_t first_epoch; /* of the first report: later epochs began within the request; 0: there is none */
    uint16_t count;
    struct ask_node node[ASK_NODES_MAX];
};

/* A record of the session: true when it is telemetry, whatever its form. */
bool ask_figures_take(struct ask_figures *figures, const uint8_t *record, size_t bytes);

/* Has there been a report of each member of the newest epoch in the present part? */
bool ask_figures_are_there(const struct ask_figures *figures);

/* NaN: not known, since a node has not reported, or not at the beginning. */
struct ask_summary {
    double threads;                            /* of the node that has the most */
    double utilisation[MESH_RANKS_MAX];        /* by rank: part of its threads' time in steps that they computed, 0..1 */
    double bytes_per_token, packets_per_token; /* sent by all nodes, for each token that the mesh generated; if those were too few, for each
                                                * that it took through the model, prompts included */
};

/* Of the members of the newest epoch. */
void ask_figures_sum(const struct ask_figures *figures, struct ask_summary *summary);

#endif
