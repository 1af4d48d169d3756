/* A client that watches a mesh and trusts nothing. It checks what must be true of all reports it is given, whatever happens to the nodes
 * and the network: reports of one process come in order, each of one epoch; in an epoch no counter decreases. */
#ifndef TESTS_SIMWATCH_H
#define TESTS_SIMWATCH_H

#include "mesh/telemetry.h"

enum { SIMWATCH_HEARD_MAX = 32, SIMWATCH_RANKS_MAX = 16, SIMWATCH_WORKERS_MAX = 4 };

/* What a process last reported of each kind. */
struct simwatch_heard {
    uint8_t incarnation[16];
    bool is_used;
    struct mesh_telemetry_head head;
    uint64_t reports;     /* number of distinct reports */
    uint64_t first_at_ns; /* when the first piece of the newest report arrived */
    struct mesh_telemetry_node node;
    struct mesh_telemetry_link link[SIMWATCH_RANKS_MAX];
    uint64_t latencies[SIMWATCH_RANKS_MAX][MESH_LATENCIES]; /* samples */
    struct mesh_telemetry_worker worker[SIMWATCH_WORKERS_MAX];
};

struct simwatch {
    struct simwatch_heard heard[SIMWATCH_HEARD_MAX];
    uint64_t records;
};

/* Takes a record as a client receives it; returns NULL, or what is wrong with it. now_ns: of a clock of the caller's, for first_at_ns. */
const char *simwatch_take(struct simwatch *watch, uint64_t now_ns, const uint8_t *record, size_t bytes);

/* NULL: never heard of. */
const struct simwatch_heard *simwatch_find(const struct simwatch *watch, const uint8_t incarnation[16]);

#endif
