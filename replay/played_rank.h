/* One rank that is played from its tape to a real node: a protocol core of its own on a socket of its own, on which the recorded calls of
 * the application are repeated.
 *
 * Each call is made at its recorded time (an absolute schedule, scaled), and not before its recorded preconditions: peers that were up,
 * gathers that were complete, records that had been received. Acknowledgements, NAKs and resends are the core's own. A thread for each
 * rank. */
#ifndef REPLAY_PLAYED_RANK_H
#define REPLAY_PLAYED_RANK_H

#include <pthread.h>
#include <stdatomic.h>

#include "compute_tapes.h"
#include "mesh/trace_clocks.h"
#include "mesh/udp.h"
#include "played_gather.h"
#include "played_log.h"

/* Of all played ranks. Rank 0 starts it when it has all it needs for its first step; if rank 0 is real, the first rank that hears of that
 * step. */
struct played_clock {
    float speed;                 /* times as fast as recorded; 0: without waiting */
    int64_t recorded_ns;         /* the start in the recording, by the first trace's clock */
    _Atomic uint64_t started_ns; /* the present start; 0: not yet */
    atomic_bool is_cancelled;
};

enum { PLAYED_WHAT_BYTES = 200 };

struct played_rank {
    /* given */
    const struct compute_tapes *tapes;
    const struct compute_tape *tape;
    const struct mesh_addr *addresses; /* (rank_count) */
    struct played_clock *clock;
    const struct mesh_trace_clock *own; /* the recording node's clock */
    struct mesh_udp *udp;               /* owned */
    uint8_t fingerprint[32];            /* that the real node will have */

    /* output, while it plays */
    _Atomic uint64_t moves;
    atomic_bool is_asleep, is_over; /* asleep: until the time of a call */

    /* output, when it has ended */
    struct fail fail;
    int result; /* 0, or -1 with fail */
    struct played_gathers gathers;
    struct played_log log;         /* of a real rank 0 */
    struct mesh_histogram latency; /* of tiles from the real node */
    uint64_t calls, late_ns;       /* late: the maximum, of calls whose preconditions were met in time */
    char what[PLAYED_WHAT_BYTES];  /* the recorded call or event that it still waited for at its end; "" */

    /* private */
    struct mesh *mesh;
    void *memory;
    struct tape_reader reader;
    struct mesh_tape_entry entry;
    bool has_entry, is_at_end, is_waited_for;
    uint64_t up, gone, heard[MESH_RANKS_MAX], heard_then[MESH_RANKS_MAX], linger_ns, due_ns;
    pthread_t thread;
    bool is_started;
};

/* Create its core, and begin. -1 after fail_set. */
int played_rank_start(struct played_rank *rank, struct fail *fail);

/* Wait for its end: the clock is cancelled, or it is over. */
void played_rank_join(struct played_rank *rank);
void played_rank_release(struct played_rank *rank);

#endif
