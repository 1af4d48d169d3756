/* Clusters that everything happens to: processes crash, start anew, stop and go on, leave; the network is cut, one way too, and loses,
 * doubles and reorders; members are suspected for nothing. All of it follows from a seed. Then the faults stop, and within a bounded time
 * all that are alive have to be in one epoch, and stay in it. */
#ifndef TEST_SIMCHURN_H
#define TEST_SIMCHURN_H

#include "simattack.h"
#include "simmembers.h"

/* From the last fault to one epoch. */
#define SIMCHURN_BOUND_NS (5 * SIMMEMBERS_S)

struct simchurn {
    struct simmembers members;
    uint64_t seed;
    struct mesh_sim_link link, calm;
    uint32_t fault_count; /* that will happen */
    uint32_t kinds;       /* bits: which kinds of faults */
    uint64_t gap_ns_max;  /* between them */
    uint64_t leaving;     /* places */

    struct simattack attack; /* in a quarter of them */

    uint64_t faults;  /* that happened */
    uint64_t heal_ns; /* how long it took in the end */
};

/* error of members says what did not hold; empty: nothing. */
void simchurn_run(struct simchurn *churn, uint64_t seed, uint16_t count_max);
void simchurn_describe(const struct simchurn *churn, char *out, size_t bytes);
void simchurn_close(struct simchurn *churn);

#endif
