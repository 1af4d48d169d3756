/* The step log: the single order of steps, published by the sequencer (the lowest rank), and their requests.
 *
 * An entry says which positions of which requests a step computes, and of which the last one is sampled. Entries are published a few steps
 * ahead, so they cost no latency; a step begins only on a known entry. If a request has ended meanwhile (every node notices at the same
 * token), its part is void: all nodes compute the rest of the step without it, and skip an entry of which nothing is left. A request comes
 * before its entries, and its first part starts it: from then on it is a sequence. The records on the wire: record.h. */
#ifndef NODE_STEPLOG_H
#define NODE_STEPLOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "record.h"

enum {
    STEPLOG_ENTRIES_MAX = 64,
    STEPLOG_AHEAD = 3, /* published entries whose steps are not over */
    STEPLOG_SLOTS_MAX = RECORD_PARTS_MAX
};

/* A request as it runs: the same on every node. */
struct sequence {
    struct request request; /* prompt is not used: see token */
    uint32_t *token;        /* (ctx) prompt and generated */
    uint32_t token_count;   /* known: prompt and generated; at most ctx, except when the request ends with the context */
    uint32_t generated;     /* including those of earlier epochs */
    uint32_t positions_done;
    bool is_active;
    bool is_kept;    /* not active: positions_done positions, of the first tokens, are still in its slot */
    uint64_t ended;  /* not active: the number of the step after which it ended, plus one; 0: the slot has not been used */
    bool is_in_step; /* in the open step; apart from the two above, which gcc reads together, and other threads may read */
};

struct steplog_limits {
    uint32_t ctx;
    uint16_t slots; /* sequences at once */
    uint16_t batch; /* tokens of a step */
};

/* Written by the owner of the port, read by the thread that begins steps; the lock is held for a few loads, or to copy an entry. */
struct steplog {
    atomic_flag lock;
    struct steplog_limits limits;
    struct step_entry entry[STEPLOG_ENTRIES_MAX];
    uint64_t known;            /* entries 0 .. known-1 have been seen */
    _Atomic uint64_t over;     /* entries 0 .. over-1: their steps have ended, or were void */
    struct arriving *arriving; /* (slots) requests that have not started; tokens: (ctx) */
};

int steplog_init(struct steplog *log, const struct steplog_limits *limits, struct fail *fail);
void steplog_release(struct steplog *log);

void steplog_add(struct steplog *log, const struct step_entry *entry);
bool steplog_next(struct steplog *log, struct step_entry *entry); /* the entry of the next step, if known */
void steplog_step_over(struct steplog *log);                      /* the entry that steplog_next gives is over: go on to the next one */

/* Turn the request of a part into a sequence, whose token buffer is exchanged for the request's. False: not known (or not all of it). */
bool steplog_start(struct steplog *log, struct sequence *sequence, uint64_t request);

/* Does the prompt of a request that has not started begin with these tokens? */
bool steplog_begins_with(struct steplog *log, uint64_t request, const uint32_t *token, uint32_t count);

/* Take a record of the log. 0, or -1: malformed, or not possible now. *complete: the request whose last token it brought, else 0. */
int steplog_take_record(struct steplog *log, const uint8_t *record, size_t bytes, uint64_t *complete);

#endif
