/* What a planned change costs a client that waits for tokens. Two nodes of one thread generate, each on a processor of its own; the one
 * that serves no client is told to leave (SIGTERM) and later started again. Measured are the longest time between two tokens around each
 * change, in steps of the node that is then alone, and the longest while nothing changes, in steps of both. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_model.h"

enum { NODES = 2, VICTIM = 1, RUNS = 5, RUNS_QUICK = 1, TOKENS_MAX = 512 };

static const char shipped_model[] = "node/models/stories-q8_0.gguf";

struct change_case {
    const char *name, *path, *lab;
    uint32_t tokens, leave_at, leave_seen, join_at, join_seen; /* effect of a change: tokens from _at to before _seen */
};

struct change_series {
    struct bench_series step_ms, alone_ms, calm, leave, join;
};

/* One generation: the time between tokens, and when each change was made. */
struct change_run {
    struct bench_cluster *cluster;
    const struct change_case *c;
    bool has_left, has_come;
    uint32_t came_at;
    uint64_t before_ns;
    double gap_ms[TOKENS_MAX];
    struct fail fail; /* of restarting the node */
};

static void on_token(void *app, uint32_t count, uint64_t now_ns)
{
    struct change_run *run = app;

    if (run->before_ns != 0 && count < TOKENS_MAX)
        run->gap_ms[count] = (double)(now_ns - run->before_ns) / 1e6;
    run->before_ns = now_ns;
    if (!run->has_left && count >= run->c->leave_at) {
        kill(run->cluster->pid[VICTIM], SIGTERM);
        run->has_left = true;
    } else if (!run->has_come && count >= run->c->join_at && bench_cluster_has_ended(run->cluster, VICTIM)) {
        run->came_at = count;
        run->has_come = bench_cluster_restart(run->cluster, VICTIM, &run->fail) == 0;
    }
}

static int by_size(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double longest(const struct change_run *run, uint32_t from, uint32_t to)
{
    double most = 0;

    for (uint32_t i = from; i < to; i++)
        most = run->gap_ms[i] > most ? run->gap_ms[i] : most;
    return most;
}

static double step_of(const struct change_run *run, uint32_t from, uint32_t to)
{
    double sorted[TOKENS_MAX];
    const uint32_t count = to - from;

    memcpy(sorted, run->gap_ms + from, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    return sorted[count / 2];
}

static void take_gaps(const struct change_run *run, struct change_series *series)
{
    const struct change_case *c = run->c;
    const double step = step_of(run, c->leave_at / 4, c->leave_at);
    const double alone = step_of(run, c->leave_at, c->leave_seen);

    if (step <= 0 || alone <= 0)
        return; /* all at once: the client did not run in between */
    bench_add(&series->step_ms, step);
    bench_add(&series->alone_ms, alone);
    bench_add(&series->calm, longest(run, c->leave_at / 4, c->leave_at) / step);
    bench_add(&series->leave, longest(run, c->leave_at, c->leave_seen) / alone);
    if (run->has_come)
        bench_add(&series->join, longest(run, run->came_at, c->join_seen) / alone);
}

static int measure_run(struct bench_cluster *cluster, const struct change_case *c, struct change_series *series, struct fail *fail)
{
    struct change_run run = {.cluster = cluster, .c = c};
    struct bench_generation generation = {.tokens = c->tokens, .on_token = on_token, .app = &run};

    if (bench_cluster_generate(cluster, 0, &generation, fail) < 0)
        return -1;
    take_gaps(&run, series);
    if (!run.has_come) { /* leaving took longer than all tokens: the machine was busy */
        bench_cluster_reap(cluster, VICTIM);
        if (bench_cluster_restart(cluster, VICTIM, fail) < 0)
            return -1;
    }
    for (uint16_t i = 0; i < NODES; i++)
        if (bench_cluster_await(cluster, i, NODES, fail) < 0)
            return -1;
    return 0;
}

static void print(struct bench *bench, const struct change_case *c, const struct change_series *series)
{
    struct bench_row row = {.event = "change", .name = c->name};

    bench_label_text(&row, "model", c->name);
    bench_label_number(&row, "nodes", NODES);
    bench_value(&row, "step_ms", "ms a step", 2, bench_stat_of(&series->step_ms));
    bench_value(&row, "alone_ms", "of one node", 2, bench_stat_of(&series->alone_ms));
    bench_value(&row, "calm_longest_steps", "longest in steps: calm", 1, bench_stat_of(&series->calm));
    bench_value(&row, "leave_longest_steps", "a node leaves", 1, bench_stat_of(&series->leave));
    bench_value(&row, "join_longest_steps", "a node joins", 1, bench_stat_of(&series->join));
    bench_print(bench, &row);
}

static int measure_case(struct bench *bench, const struct change_case *c, struct fail *fail)
{
    static struct change_series series;
    struct bench_cluster cluster;
    int err;

    memset(&series, 0, sizeof series);
    bench_progress(bench, c->name);
    err = bench_cluster_start_apart(&cluster, c->path, bench->kernel->name, c->lab, NODES, fail);
    for (int r = 0; r < (bench->quick ? RUNS_QUICK : RUNS) && err == 0; r++)
        err = measure_run(&cluster, c, &series, fail);
    bench_cluster_stop(&cluster);
    if (err == 0)
        print(bench, c, &series);
    return err;
}

static int measure_large(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = &bench_shape_1b;
    struct change_case c = {.name = "1.1B q4_0", .tokens = 280, .leave_at = 60, .leave_seen = 130, .join_at = 130, .join_seen = 279};
    struct bench_model model;
    int err;

    if (!bench_has_memory(bench, "change 1.1B q4_0", 2 * bench_model_bytes(shape, TYPE_Q4_0) + (1200u << 20)))
        return 0;
    bench_progress(bench, "a model of 1.1B weights");
    if (bench_model_write(&model, shape, TYPE_Q4_0, fail) < 0)
        return -1;
    c.path = model.path;
    err = measure_case(bench, &c, fail);
    bench_model_close(&model);
    return err;
}

int bench_change(struct bench *bench, struct fail *fail)
{
    /* The shipped model would be finished before a process has started, so each node is made as slow as one with a bigger model. */
    static const struct change_case stories = {.name = "stories q8_0, paced",
                                               .path = shipped_model,
                                               .lab = "pace=300MB/s",
                                               .tokens = 400,
                                               .leave_at = 100,
                                               .leave_seen = 200,
                                               .join_at = 200,
                                               .join_seen = 399};

    bench_heading(bench, "change: two nodes that generate, one leaves and comes back");
    if (access(shipped_model, R_OK) != 0)
        bench_skip(bench, "change stories q8_0", "node/models/stories-q8_0.gguf is not here: run it at the top of the source tree");
    else if (measure_case(bench, &stories, fail) < 0)
        return -1;
    return bench->quick ? 0 : measure_large(bench, fail);
}
