/* The verdict on a replay: tokens, tiles, and limits of its timing. */
#ifndef REPLAY_RUN_JUDGE_H
#define REPLAY_RUN_JUDGE_H

#include "diff.h"
#include "run_play.h"
#include "verdict.h"

/* Limits; has_: the limit was given. */
struct run_limits {
    float p99_us;       /* of tiles on their way, on any node: at most */
    float tokens_per_s; /* of every request: at least */
    float loss_percent; /* of received tiles, those that had to be asked for: at most */
    float slower_percent;
    bool has_p99, has_tokens_per_s, has_loss, has_slower;
};

enum {
    RUN_LIMITS = 4, /* how many there are: a case each at most, of a cluster (run_judge) and of one real node (run_rank_judge) */
    RUN_CASE_BYTES = 400,
    RUN_FIGURES = 8, /* of a case, at most */
};

/* A number of a case's text, for JSON. */
struct run_figure {
    char key[40]; /* with the unit; empty: none, nor any behind it */
    double value;
};

struct run_cases {
    struct verdict *verdicts; /* (count) */
    char (*names)[RUN_CASE_BYTES], (*texts)[RUN_CASE_BYTES];
    struct run_figure (*figures)[RUN_FIGURES];
    size_t count, capacity;
    uint64_t since_ns; /* when the verdict before was said: since then the next one has taken time */
};

struct run_judging {
    const struct run_play *play;
    const struct run_nodes *nodes;
    const char *const *paths; /* (path_count) recordings */
    size_t path_count;
    const char *baseline;   /* of node 0; NULL: none */
    bool is_baseline_named; /* by an option; else it is one of the recordings */
    const struct run_limits *limits;
    struct run_cases cases;
};

/* -1 after fail_set. Release the cases either way. */
int run_judge(struct run_judging *judging, struct fail *fail);
void run_cases_release(struct run_cases *cases);

/* Its part about tiles: at most a case for each named file. -1 after fail_set. */
int run_judge_tiles(struct run_judging *judging, struct fail *fail);

/* Its parts about timing, up to three cases, and about loss, one case. -1 after fail_set. */
int run_judge_latency(struct run_judging *judging, struct fail *fail);
int run_judge_loss(struct run_judging *judging, struct fail *fail);

/* The traces of a comparison by its paths, and the rank that a trace begins with (-1: it does not say). -1 after fail_set. */
int run_judge_open(struct diff *diff, struct fail *fail);
void run_judge_close(struct diff *diff);
int run_judge_rank(const char *path, int64_t *rank, struct fail *fail);

/* Room for that many cases, and more are a mistake (asserted); then, for each, its name and its verdict. */
int run_cases_reserve(struct run_cases *cases, size_t capacity, struct fail *fail);
__attribute__((format(printf, 2, 3))) void run_case_begin(struct run_cases *cases, const char *format, ...);
__attribute__((format(printf, 3, 4))) void run_case_say(struct run_cases *cases, enum verdict_kind kind, const char *format, ...);

/* The last case took that long, and not only until it was judged. */
void run_case_took(struct run_cases *cases, uint64_t ns);

/* Add a number to the last case. */
__attribute__((format(printf, 3, 4))) void run_case_figure(struct run_cases *cases, double value, const char *key, ...);

/* Name and verdict of a case that is a number with a bound. key: of the number, as of run_case_figure. */
void run_case_number(struct run_cases *cases, const char *name, bool is_most, double value, double bound, const char *key,
                     const char *unit);

#endif
