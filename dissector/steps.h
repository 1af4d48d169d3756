/* Where the time of each step went, rank by rank: computing, waiting and for which rank, and between steps.
 *
 * Gathers are added as each rank finishes them. A step is reported when its place is needed for a newer one, or at the end. Of a rank that
 * lags more than STEPS_KEPT steps behind, what it adds to a reported step is reported as another part of that step. */
#ifndef DISSECTOR_STEPS_H
#define DISSECTOR_STEPS_H

#include "mesh/histogram.h"
#include "mesh/wire.h"

enum { STEPS_KEPT = 16, STEPS_RANKS_MAX = 64 };

struct steps_rank {
    uint64_t begin_ns, end_ns; /* when it sent its first tile, and had its last gather whole; end 0: nothing is known of this rank */
    uint64_t compute_ns, wait_ns;
    uint64_t longest_ns;                   /* its longest wait */
    uint16_t longest_for, longest_phase;   /* for whose tile that was, and in which gather */
    uint64_t wait_for_ns[STEPS_RANKS_MAX]; /* its waits, by the rank that it waited for */
};

struct steps_step {
    uint32_t epoch;
    unsigned mesh; /* which one, where a capture shows several */
    uint64_t step;
    unsigned tokens;
    bool is_used;  /* else this place is free */
    uint64_t turn; /* when something was added to it last */
    struct steps_rank ranks[STEPS_RANKS_MAX];
};

/* One gather as a rank saw it. */
struct steps_gather {
    uint32_t epoch;
    unsigned mesh;
    uint64_t step, begin_ns, end_ns, compute_ns, wait_ns;
    uint16_t phase, rank, wait_for;
    unsigned tokens;
};

struct steps {
    uint64_t turns;
    struct steps_gather last; /* the step reported last; rank and times are 0 */
    struct steps_step kept[STEPS_KEPT];
    void (*on_step)(void *context, const struct steps_step *step); /* in order, unless a rank lags behind as above */
    void *context;
};

void steps_add(struct steps *steps, const struct steps_gather *gather);

/* Is the gather's step still kept, or to come? If not, it has been reported, and what is added now becomes another part. */
bool steps_is_open(const struct steps *steps, const struct steps_gather *gather);

void steps_end(struct steps *steps); /* reports the remaining steps */

/* From the first tile of any rank to the last gather of any. */
uint64_t steps_duration_ns(const struct steps_step *step);

/* The rank with the longest wait; NULL: no rank waited. */
const struct steps_rank *steps_longest(const struct steps_step *step, unsigned *rank);

#endif
