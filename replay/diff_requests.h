/* The requests of two traces, matched. */
#ifndef REPLAY_DIFF_REQUESTS_H
#define REPLAY_DIFF_REQUESTS_H

#include "diff.h"

#define DIFF_NONE SIZE_MAX
enum { DIFF_WORDS = 2 };

struct diff_request {
    int64_t id;
    char *words[DIFF_WORDS]; /* owned; options and prompt; the first tokens; NULL: not known */
    const char *key;         /* compared now */
    size_t place;            /* in the order of their first tokens */
    size_t other;            /* place of its counterpart; DIFF_NONE */
};

/* Requests that have tokens, by place. */
struct diff_requests {
    size_t count, capacity;
    struct diff_request *at; /* (count) owned */
};

/* requests are zeroed; close in either case. */
int diff_requests_open(struct diff_requests requests[2], struct diff *diff, bool is_one_mesh, struct fail *fail);
void diff_requests_close(struct diff_requests requests[2]);

#endif
