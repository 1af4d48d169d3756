/* Clusters under all kinds of faults: processes crash, restart, pause and resume, and leave; the network is partitioned, also one-way, and
 * loses, duplicates and reorders; members are falsely suspected. All of it follows from a seed. Then the faults stop, and within a bounded
 * time all live processes have to be in one epoch, and stay in it. */
#ifndef TEST_SIMCHURN_H
#define TEST_SIMCHURN_H

#include "simattack.h"
#include "simmembers.h"

/* From the last fault until all are in one epoch. */
#define SIMCHURN_BOUND_NS (5 * SIMMEMBERS_S)

/* After that what was begun before may still end: suspicions of members that are back, proposed shares. */
#define SIMCHURN_SETTLE_NS (4 * SIMMEMBERS_S)

struct simchurn {
    struct simmembers members;
    uint64_t seed;
    struct mesh_sim_link link, calm;
    uint32_t fault_count; /* faults planned */
    uint32_t kinds;       /* bits: which kinds of faults */
    uint64_t gap_ns_max;  /* between two faults */
    uint64_t leaving;     /* places that are leaving */

    struct simattack attack; /* in a quarter of the seeds */

    uint64_t faults;  /* faults that happened */
    uint64_t heal_ns; /* time from the last fault to one epoch */
};

/* The error of members states what did not hold; empty: everything held. */
void simchurn_run(struct simchurn *churn, uint64_t seed, uint16_t count_max);
void simchurn_describe(const struct simchurn *churn, char *out, size_t bytes);
void simchurn_close(struct simchurn *churn);

#endif
