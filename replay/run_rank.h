/* mesh-replay run --node: one real node, and every other rank played from its recording. */
#ifndef REPLAY_RUN_RANK_H
#define REPLAY_RUN_RANK_H

#include "clocks.h"
#include "played_rank.h"
#include "run_judge.h"

struct run_rank {
    /* given */
    uint16_t rank; /* of the real node */
    float speed;   /* times as fast as recorded; 0: without waiting */
    unsigned seconds;
    bool any_model; /* accept any fingerprint of the node's model */

    /* output */
    uint16_t rank_count;
    uint64_t calls, late_ns, took_ns;
    struct played_gathers sum; /* of all played ranks, its list apart */
    struct played_log log;     /* of a real rank 0, as received by the played rank that found most to differ; its list apart */
    uint64_t log_only_now;

    /* private */
    struct compute_tapes tapes;
    struct mesh_trace_clock *clocks; /* by trace */
    struct played_rank *played;      /* (rank_count) by rank; that of the real one is empty */
    struct mesh_addr addresses[MESH_RANKS_MAX];
    struct played_clock clock;
    const char *own_path;          /* trace of the real rank; NULL: not given */
    const char *stuck;             /* the call or event still waited for at the end; NULL: none */
    uint16_t stuck_rank;           /* the rank that waited */
    struct compute_tokens was, is; /* tokens of the recording, and of now */
    struct request request;        /* of a real rank 0; its prompt belongs to was */
};

/* Read the traces, start the node and play to the end. -1 after fail_set: EXIT_USAGE for recordings that cannot be played this way,
 * EXIT_SKIPPED for those without data, or as the node ended. Release it either way. */
int run_rank_play(struct run_rank *run, struct run_nodes *nodes, const char *const *paths, size_t path_count, struct fail *fail);

/* The outcome, as cases. */
int run_rank_judge(struct run_rank *run, struct run_judging *judging, struct fail *fail);
void run_rank_release(struct run_rank *run);

#endif
