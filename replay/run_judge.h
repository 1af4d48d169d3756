/* What a replay is judged by: tokens, tiles, and thresholds of its timing. */
#ifndef REPLAY_RUN_JUDGE_H
#define REPLAY_RUN_JUDGE_H

#include "diff.h"
#include "run_play.h"
#include "verdict.h"

/* Limits; has_: it was given. */
struct run_limits {
    float p99_us;       /* of tiles under way, on any node: at most */
    float tokens_per_s; /* of every request: at least */
    float loss_percent; /* of received tiles, that had to be asked for: at most */
    float slower_percent;
    bool has_p99, has_tokens_per_s, has_loss, has_slower;
};

enum { RUN_CASE_BYTES = 400 };

struct run_cases {
    struct verdict *verdicts; /* (count) */
    char (*names)[RUN_CASE_BYTES], (*texts)[RUN_CASE_BYTES];
    size_t count, capacity;
};

struct run_judging {
    const struct run_play *play;
    const struct run_nodes *nodes;
    const char *const *paths; /* (path_count) recordings */
    size_t path_count;
    const char *baseline;
    const struct run_limits *limits;
    struct run_cases cases;
};

/* -1 after fail_set. Release the cases either way. */
int run_judge(struct run_judging *judging, struct fail *fail);
void run_cases_release(struct run_cases *cases);

#endif
