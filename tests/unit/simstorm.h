/* Serving nodes under all kinds of faults while their clients ask: crash, restart, joining, leaving, pausing and resuming, partitions, also
 * one-way, lossy links, jumping clocks, slow nodes, false suspicion, new shares. In half of the seeds clients watch. All of it follows from
 * a seed.
 *
 * Then the faults stop, and within a bounded time all live nodes have to be in one epoch, have answered all that they were asked, and
 * answer one more question each. */
#ifndef TESTS_SIMSTORM_H
#define TESTS_SIMSTORM_H

#include "simattack.h"
#include "simserve.h"

/* From the last fault to one epoch. Until all is answered, this much more for each step that is still to be computed. */
#define SIMSTORM_HEAL_NS (5 * SIMMEMBERS_S)
#define SIMSTORM_STEP_NS (100 * SIMMEMBERS_MS)

enum simstorm_fault {
    STORM_CRASH,
    STORM_START, /* a new process joins or returns */
    STORM_PAUSE,
    STORM_CUT,
    STORM_CUT_ONE_WAY,
    STORM_LOSSY,
    STORM_JUMP,
    STORM_SLOW,
    STORM_LEAVE,
    STORM_SUSPECT,
    STORM_SHARES,
    STORM_FAULTS
};

struct simstorm {
    struct simserve serve;
    uint64_t seed;
    struct mesh_sim_link link, calm; /* while faults happen; afterwards */
    uint32_t events, kinds;          /* number of draws; bits: faults that may be drawn */
    bool is_watched;                 /* clients watch from time to time */
    bool has_moves;                  /* addresses of places change */
    struct simattack attack;         /* in a quarter of the sealed clusters */
    uint64_t happened[STORM_FAULTS], moves, faults;
    uint64_t heal_ns, settle_ns; /* from the last fault to one epoch; until all was answered */
};

/* storm->serve.members.error states what did not hold; empty: everything held. */
void simstorm_run(struct simstorm *storm, uint64_t seed);
void simstorm_describe(const struct simstorm *storm, char *out, size_t bytes);
void simstorm_close(struct simstorm *storm);

#endif
