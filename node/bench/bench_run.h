/* `mesh-node run --json` as a process, for measuring: what its summary says. One thread. */
#ifndef NODE_BENCH_RUN_H
#define NODE_BENCH_RUN_H

#include <sys/types.h>

#include "bench.h"

enum { BENCH_RUN_MORE = 8 };

struct bench_run {
    uint32_t nodes, threads, tokens;
    const char *more[BENCH_RUN_MORE]; /* further arguments, NULL after the last */
};

struct bench_outcome {
    double tokens_per_s, bytes_per_token, packets_per_token, send_calls_per_token, receive_calls_per_token;
    double wait_calls_per_token, yield_calls_per_token;
    double utilisation; /* mean of the nodes' */
};

/* A run that goes on: what it prints comes through `output`, a pipe. bench_run_end waits for it. */
struct bench_process {
    pid_t pid;
    int output;
};

int bench_run_start(const struct bench *bench, const char *model, const struct bench_run *run, struct bench_process *process,
                    struct fail *fail);
int bench_run_end(const struct bench_run *run, struct bench_process *process, struct fail *fail);

int bench_run_nodes(const struct bench *bench, const char *model, const struct bench_run *run, struct bench_outcome *outcome,
                    struct fail *fail);

#endif
