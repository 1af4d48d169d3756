/* One epoch of a recorded cluster, computed once more from its step log and compared with the tapes of its nodes. */
#ifndef REPLAY_COMPUTE_EPOCH_H
#define REPLAY_COMPUTE_EPOCH_H

#include "compute.h"
#include "compute_tapes.h"
#include "compute_tiles.h"
#include "compute_tokens.h"

/* A token that differs from the recorded one. */
struct compute_token_difference {
    bool is_set;
    struct compute_token recorded;
    uint64_t id, digest; /* drawn now */
};

/* A gather whose rows are divided among the ranks in another way. */
struct compute_deal_difference {
    bool is_set;
    uint16_t phase, rank_count;
    size_t source;
    uint64_t call, at_ns, step;
    uint16_t recorded[COMPUTE_RANKS_MAX + 1], now[COMPUTE_RANKS_MAX + 1]; /* first blocks of the ranks */
};

struct compute_epoch {
    struct recompute *recompute;
    const struct compute_tapes *tapes;
    const size_t *group;           /* (count) indices of tapes */
    size_t count;                  /* 0: of no epoch, requests of a node alone */
    struct compute_tokens *tokens; /* of each path */
    const size_t *first;           /* of each path: the one that has the tokens of its recording */
    bool *is_used;                 /* of each path: its tokens are of this epoch */
    struct compute_tiles tiles;
    struct compute_token_difference token;
    struct compute_deal_difference deal;
    uint64_t steps, steps_unknown, tokens_compared, drawn; /* drawn: tokens, now */
};

/* The epoch's setup has begun (recompute_begin, with compute_epoch_blocks and _token as hooks and this as app). 0, even if it differs, or
 * -1 after fail_set. Release it either way. */
int compute_epoch_run(struct compute_epoch *epoch, struct fail *fail);
void compute_epoch_release(struct compute_epoch *epoch);

void compute_epoch_blocks(void *app, const struct recompute_blocks *blocks);
void compute_epoch_token(void *app, uint64_t request, uint32_t index, uint32_t id, uint64_t digest);

bool compute_epoch_differs(const struct compute_epoch *epoch);

/* The difference in words, as lines; headline: the same in one line. */
void compute_epoch_describe(const struct compute_epoch *epoch, char *headline, size_t capacity, FILE *detail);

#endif
