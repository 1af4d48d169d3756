/* Computed values in a recording, every tile and every token, computed once more.
 *
 * The tiles of all ranks of an epoch are compared with what one rank computes by the recorded step log (node/recompute/recompute.h).
 * Tokens of no such epoch, as those of a node that ran alone, are drawn again from their recorded prompt. */
#ifndef REPLAY_COMPUTE_H
#define REPLAY_COMPUTE_H

#include "command.h"

struct json;

enum compute_state { COMPUTE_SAME, COMPUTE_DIFFERS, COMPUTE_SKIPPED };

/* An epoch with the traces of its nodes, or the requests of a node alone. */
struct compute_case {
    char name[300];
    enum compute_state state;
    char what[500]; /* in one line */
    char *detail;   /* owned; NULL, or lines about the difference */
    uint64_t steps, tiles, blocks, tokens;
    uint64_t tiles_not_compared; /* for lack of computed values to compare them with */
    uint64_t took_ns;
};

struct compute {
    struct compute_case *cases; /* (count) */
    size_t count, capacity;
    uint64_t tokens_not_compared; /* of all traces: without steps, and without their request's prompt */
};

struct compute_options {
    const char *model; /* path */
    uint32_t threads;  /* 0: all cores */
    bool any_model;    /* also one with another fingerprint than the recording's */
};

/* -1 after fail_set: EXIT_SKIPPED for a trace without data and ids, EXIT_BAD_FILE for another model, EXIT_ENVIRONMENT.
 * Release it either way. */
int compute_run(struct compute *compute, const struct compute_options *options, const char *const *paths, size_t path_count,
                struct fail *fail);
void compute_release(struct compute *compute);

/* Does it hold all data and ids? -1 with EXIT_SKIPPED if not. */
int compute_check_payloads(const char *path, struct mesh_trace *trace, struct fail *fail);

void compute_write_json(struct json *json, const struct compute_case *one);

#endif
