/* What the next step holds: a token of every sequence that generates, and pieces of the prompts that wait.
 *
 * The sequencer plans ahead of the computation, so only the planned position of each request counts. A step has at most `batch` tokens, and
 * only as many sampled tokens as their candidates have room. Tokens that are sampled one by one come first, in turns if not all of them
 * fit; the rest of the step is for prompts, the oldest request first. So no request waits for more than the prompt pieces of one step, and
 * none starves. A request computes at least once before it is cancelled: then every node has it as a sequence, and no copy of it still
 * waits to start (see steplog.h). Pure; no I/O, no clock. */
#ifndef NODE_SCHEDULER_H
#define NODE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

struct scheduler_limits {
    uint32_t ctx;
    uint16_t slots;          /* requests at once */
    uint16_t batch;          /* tokens of a step */
    uint64_t candidates_max; /* of all sampled tokens of a step, on all ranks */
};

struct scheduled {
    uint64_t request;
    uint32_t known;      /* tokens of the prompt: the step of the last one samples the first new token */
    uint32_t end;        /* positions computed in all, unless something ends it earlier */
    uint32_t position;   /* the next one */
    uint32_t candidates; /* of a sampled token */
    bool is_begun, wants_cancel, is_cancelled;
    uint64_t begun_in; /* the step in which it began */
};

struct scheduler {
    struct scheduler_limits limits;
    struct scheduled sequence[RECORD_PARTS_MAX]; /* the oldest first */
    uint16_t count;
    uint64_t turn; /* request whose turn it is to be sampled first; 0, or one that is gone: the oldest */
    bool is_odd;   /* toggles every step */
};

void scheduler_init(struct scheduler *scheduler, const struct scheduler_limits *limits); /* slots ≤ RECORD_PARTS_MAX, all ≥ 1 (asserted) */

bool scheduler_has_room(const struct scheduler *scheduler);

/* candidates: per sampled token, on all ranks; at most candidates_max (asserted). from: the first position to be computed, 0 unless those
 * before are kept; below prompt_count (asserted). */
void scheduler_add(struct scheduler *scheduler, const struct request *request, uint32_t candidates, uint32_t from);

/* False: it is not there. */
bool scheduler_cancel(struct scheduler *scheduler, uint64_t request);

/* Have all requests begun, in steps before this one? */
bool scheduler_is_settled(const struct scheduler *scheduler, uint64_t step);

/* The request has ended; does nothing when it is not there. */
void scheduler_end(struct scheduler *scheduler, uint64_t request);

/* The parts of the next entry, whose `step` is the caller's. False: there is nothing to do. */
bool scheduler_next(struct scheduler *scheduler, struct step_entry *entry);

#endif
