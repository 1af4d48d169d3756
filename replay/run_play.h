/* Recorded requests, asked again of real nodes: at the recorded times, scaled, or as fast as they are answered. */
#ifndef REPLAY_RUN_PLAY_H
#define REPLAY_RUN_PLAY_H

#include "compute_tokens.h"
#include "run_nodes.h"

enum run_ended { RUN_NOT_YET, RUN_ANSWERED, RUN_FAILED /* the node refused it, or the question was wrong: why */ };

/* One request and what became of it. */
struct run_request {
    const struct request *request;       /* as recorded */
    const struct compute_tokens *tokens; /* of its trace, or of another one that has more of it */
    uint16_t node;                       /* that it is asked of */
    int64_t at_ns;                       /* since 1970, by the clock of the machine that recorded it */
    uint64_t recorded;                   /* tokens that there are of it */
    bool has_digests;                    /* of their logits */
    pid_t pid;                           /* 0: not running */
    enum run_ended ended;
    uint64_t late_ns;    /* that it was asked later than planned */
    uint64_t count;      /* tokens now */
    bool differs;        /* at this token: */
    uint64_t position;   /* from 0 */
    int64_t was, is;     /* its ids; -1: there is none */
    double tokens_per_s; /* after the first one; 0: not known */
    char why[300];
};

struct run_play {
    struct run_request *requests; /* (count) by time */
    size_t count;
    float speed;       /* times as fast as recorded; 0: as fast as they are answered */
    unsigned together; /* requests at a time then */
    unsigned seconds;  /* give up when nothing was answered for so long */
};

/* Play all of them on nodes that have started. 0, or -1 after fail_set: EXIT_ENVIRONMENT when a node ends or nothing comes. */
int run_play(struct run_play *play, struct run_nodes *nodes, struct fail *fail);

#endif
