/* Steps in words or JSON: where the time of each went, and of all of them together. */
#ifndef DISSECTOR_TIMELINE_H
#define DISSECTOR_TIMELINE_H

#include "mesh/program/json.h"
#include "steps.h"

enum { TIMELINE_SLOWEST = 5 };

struct timeline_rank {
    uint64_t steps, total_ns, compute_ns, wait_ns; /* total: from its first tile to its last gather */
    uint64_t wait_for_ns[STEPS_RANKS_MAX];         /* by rank that it waited for */
};

struct timeline {
    uint64_t count, tokens, waited_ns; /* waited: longest wait of each step */
    struct mesh_histogram durations;   /* of steps of one token */
    struct timeline_rank ranks[STEPS_RANKS_MAX];
    size_t slow_count;
    struct steps_step slow[TIMELINE_SLOWEST]; /* those with the longest waits, longest first */
};

void timeline_add(struct timeline *timeline, const struct steps_step *step);
void timeline_print(const struct timeline *timeline, FILE *out);

/* {"event":"step", ...} */
void timeline_object(struct json *json, const struct steps_step *step);

#endif
