/* From the death of a member to the next token: three nodes of one thread generate, one of the two that serve no client is killed, and the
 * survivors report when they suspected it, agreed, had loaded and had recomputed what is needed. All are on one machine, so all times are
 * of one clock. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_model.h"

enum { NODES = 3, RUNS = 8, RUNS_QUICK = 1 };

static const char shipped_model[] = "node/models/stories-q8_0.gguf";

struct failover_case {
    const char *name, *path;
    uint32_t tokens, kill_after;
};

struct failover_series {
    struct bench_series detect, agree, load, compute, all, decided;
};

/* One generation with a death in it. */
struct death {
    struct bench_cluster *cluster;
    uint16_t victim;
    uint32_t after;
    uint64_t killed_ns;
};

static void on_token(void *app, uint32_t count, uint64_t now_ns)
{
    struct death *death = app;

    if (death->killed_ns != 0 || count < death->after)
        return;
    death->killed_ns = now_ns;
    bench_cluster_kill(death->cluster, death->victim);
}

static uint64_t ns_of(const char *text, const char *key)
{
    char quoted[64];
    const char *at;
    unsigned long long value = 0;

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(text, quoted);
    return at != NULL && sscanf(at + strlen(quoted), "%llu", &value) == 1 ? value : 0;
}

static double ms(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e6 : 0.0;
}

/* The first suspicion of any survivor; the other times as reported by the node that serves the client. */
static int take_times(struct death *death, struct failover_series *series, struct fail *fail)
{
    static char text[BENCH_STATUS_BYTES];
    uint64_t suspected_ns = UINT64_MAX, agreed_ns = 0, loaded_ns = 0, token_ns = 0;

    for (uint16_t i = 0; i < NODES; i++) {
        uint64_t at_ns;

        if (i == death->victim)
            continue;
        if (bench_cluster_status(death->cluster, i, text, fail) < 0)
            return -1;
        at_ns = ns_of(text, "suspected_ns");
        suspected_ns = at_ns != 0 && at_ns < suspected_ns ? at_ns : suspected_ns;
        if (i != 0)
            continue;
        agreed_ns = ns_of(text, "agreed_ns");
        loaded_ns = ns_of(text, "loaded_ns");
        token_ns = ns_of(text, "token_ns");
    }
    if (suspected_ns == UINT64_MAX || agreed_ns < death->killed_ns || token_ns == 0)
        return 1; /* the generation was over before, or another member was lost after it */
    bench_add(&series->detect, ms(death->killed_ns, suspected_ns));
    bench_add(&series->agree, ms(suspected_ns, agreed_ns));
    bench_add(&series->decided, ms(death->killed_ns, agreed_ns));
    bench_add(&series->load, ms(agreed_ns, loaded_ns));
    bench_add(&series->compute, ms(loaded_ns, token_ns));
    bench_add(&series->all, ms(death->killed_ns, token_ns));
    return 0;
}

static int measure_death(struct bench_cluster *cluster, const struct failover_case *c, uint16_t victim, struct failover_series *series,
                         struct fail *fail)
{
    struct death death = {.cluster = cluster, .victim = victim, .after = c->kill_after};
    struct bench_generation generation = {.tokens = c->tokens, .on_token = on_token, .app = &death};

    if (bench_cluster_generate(cluster, 0, &generation, fail) < 0)
        return -1;
    bench_cluster_kill(cluster, victim); /* if it has not been */
    bench_cluster_reap(cluster, victim);
    if (take_times(&death, series, fail) < 0 || bench_cluster_restart(cluster, victim, fail) < 0)
        return -1;
    for (uint16_t i = 0; i < NODES; i++)
        if (bench_cluster_await(cluster, i, NODES, fail) < 0)
            return -1;
    return 0;
}

static void print(struct bench *bench, const struct failover_case *c, const struct failover_series *series)
{
    struct bench_row row = {.event = "failover", .name = c->name};

    bench_label_text(&row, "model", c->name);
    bench_label_number(&row, "nodes", NODES);
    bench_label_number(&row, "killed_after_tokens", c->kill_after);
    bench_value(&row, "detect_ms", "ms to detect", 1, bench_stat_of(&series->detect));
    bench_value(&row, "agree_ms", "to agree", 1, bench_stat_of(&series->agree));
    bench_value(&row, "detect_agree_ms", "both", 1, bench_stat_of(&series->decided));
    bench_value(&row, "load_ms", "to load", 1, bench_stat_of(&series->load));
    bench_value(&row, "recompute_ms", "to compute again", 1, bench_stat_of(&series->compute));
    bench_value(&row, "next_token_ms", "in all", 1, bench_stat_of(&series->all));
    bench_print(bench, &row);
}

static int measure_case(struct bench *bench, const struct failover_case *c, struct fail *fail)
{
    static struct failover_series series;
    struct bench_cluster cluster;
    int err;

    memset(&series, 0, sizeof series);
    bench_progress(bench, c->name);
    err = bench_cluster_start(&cluster, c->path, bench->kernel->name, NODES, fail);
    for (int r = 0; r < (bench->quick ? RUNS_QUICK : RUNS) && err == 0; r++)
        err = measure_death(&cluster, c, (uint16_t)(1 + r % 2), &series, fail);
    bench_cluster_stop(&cluster);
    if (err == 0 && series.all.count > 0)
        print(bench, c, &series);
    else if (err == 0)
        bench_skip(bench, "failover", "members came and went otherwise meanwhile: close other programs");
    return err;
}

static int measure_large(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = &bench_shape_1b;
    struct failover_case c = {.name = "1.1B q4_0", .tokens = 48, .kill_after = 12};
    struct bench_model model;
    int err;

    if (!bench_has_memory(bench, "failover 1.1B q4_0", 3 * bench_model_bytes(shape, TYPE_Q4_0) + (1200u << 20)))
        return 0;
    bench_progress(bench, "a model of 1.1B weights");
    if (bench_model_write(&model, shape, TYPE_Q4_0, fail) < 0)
        return -1;
    c.path = model.path;
    err = bench_reload(bench, c.name, c.path, fail) < 0 ? -1 : measure_case(bench, &c, fail);
    bench_model_close(&model);
    return err;
}

int bench_failover(struct bench *bench, struct fail *fail)
{
    static const struct failover_case stories = {.name = "stories q8_0", .path = shipped_model, .tokens = 400, .kill_after = 150};

    bench_heading(bench, "failover: three nodes that generate, one is killed");
    if (access(shipped_model, R_OK) != 0)
        bench_skip(bench, "failover stories q8_0", "node/models/stories-q8_0.gguf is not here: run it at the top of the source tree");
    else if (bench_reload(bench, stories.name, stories.path, fail) < 0 || measure_case(bench, &stories, fail) < 0)
        return -1;
    return bench->quick ? 0 : measure_large(bench, fail);
}
