/* Recorded requests made again to real nodes: at the recorded times, scaled, or as fast as they are answered. */
#ifndef REPLAY_RUN_PLAY_H
#define REPLAY_RUN_PLAY_H

#include "compute_tokens.h"
#include "run_nodes.h"

enum run_ended { RUN_NOT_YET, RUN_ANSWERED, RUN_FAILED /* the node refused it, or the question was wrong: why */ };

/* One request and its outcome. */
struct run_request {
    const struct request *request;       /* as recorded */
    const struct compute_tokens *tokens; /* of its recording, or of another one with more of it */
    uint16_t node;                       /* to which it is made */
    int64_t at_ns;                       /* since 1970, by the clock of the machine that recorded it */
    uint64_t recorded;                   /* number of its tokens in the recording */
    bool has_digests;                    /* of their logits */
    pid_t pid;                           /* 0: not running */
    enum run_ended ended;
    uint64_t late_ns;           /* delay after the planned time */
    uint64_t asked_ns, took_ns; /* when, and how long until it ended */
    uint64_t count;             /* tokens now */
    bool differs;               /* at this token: */
    uint64_t position;          /* from 0 */
    int64_t was, is;            /* its ids; -1: there is none */
    double tokens_per_s;        /* after the first one; 0: not known */
    char why[300];
};

struct run_play {
    struct run_request *requests; /* (count) by time */
    size_t count;
    float speed;       /* times as fast as recorded; 0: as fast as they are answered */
    unsigned together; /* concurrent requests with speed 0 */
    unsigned seconds;  /* give up when nothing was answered for this long */
};

/* Play all of them on nodes that have started. 0, or -1 after fail_set: EXIT_ENVIRONMENT when a node ends or nothing comes. */
int run_play(struct run_play *play, struct run_nodes *nodes, struct fail *fail);

#endif
