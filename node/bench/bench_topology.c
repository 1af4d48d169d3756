/* The mesh compared with the baselines, whole matrices and a star, and with itself when tiles go to a multicast group.
 *
 * Nodes of 10 GB/s on a network of 50 us, four times slower than that (`--lab pace=2.5GB/s,delay=200us`), so that several fit on few cores:
 * *dilated*. Computing is real, but a datagram still costs this machine's processor its full time, so relative to the slowed nodes it
 * weighs a quarter. The variants take turns. Eight nodes on two cores also wait for each other's turn on a core, so the mesh of eight is
 * also measured eight and sixteen times slower: what it gains by that was not lost by the mesh. */
#include <stdio.h>

#include "bench.h"
#include "bench_model.h"
#include "bench_run.h"

enum { RUNS = 3, TOKENS = 16, WAYS = 4 };

/* Number of nodes, and the slow-down factor. Only meshes are measured more than FOURFOLD slower. */
static const struct setting {
    uint32_t nodes;
    unsigned times;
    const char *lab;
} settings[] = {{2, 4, "pace=2.5GB/s,delay=200us"},
                {4, 4, "pace=2.5GB/s,delay=200us"},
                {8, 4, "pace=2.5GB/s,delay=200us"},
                {8, 8, "pace=1.25GB/s,delay=400us"},
                {8, 16, "pace=0.625GB/s,delay=800us"}};

enum { SETTINGS = sizeof settings / sizeof *settings, QUICK = 1, FOURFOLD = 4 };

static const struct way {
    const char *name, *topology, *pipeline, *group;
    uint32_t nodes_min;
} ways[WAYS] = {{"mesh", "mesh", "on", NULL, 2},
                {"mesh, to a group", "mesh", "on", "239.255.77.13:7413", 3}, /* with two nodes each has only one peer to send to */
                {"whole matrices", "mesh", "off", NULL, 2},
                {"star, whole matrices", "star", "off", NULL, 2}};

struct way_series {
    struct bench_series tokens, utilisation, packets;
};

static bool is_measured(const struct setting *setting, const struct way *way)
{
    const bool is_mesh = way == &ways[0] || way->group != NULL;

    return setting->nodes >= way->nodes_min && (is_mesh || setting->times == FOURFOLD);
}

static void print(struct bench *bench, const struct bench_shape *shape, const struct setting *setting, const struct way *way,
                  const struct way_series *own, const struct way_series *mesh)
{
    char name[96];
    struct bench_row row = {.event = "topology", .name = name};

    snprintf(name, sizeof name, "%s q8_0, %u nodes, %ux slower, %s", shape->name, setting->nodes, setting->times, way->name);
    bench_label_text(&row, "model", shape->name);
    bench_label_text(&row, "lab", setting->lab);
    bench_label_number(&row, "dilation", setting->times);
    bench_label_number(&row, "nodes", setting->nodes);
    bench_label_text(&row, "topology", way->topology);
    bench_label_text(&row, "pipeline", way->pipeline);
    if (way->group != NULL)
        bench_label_text(&row, "multicast", way->group);
    bench_value(&row, "utilisation", "utilisation", 3, bench_stat_of(&own->utilisation));
    bench_value(&row, "gen_tok_per_s", "tok/s", 2, bench_stat_of(&own->tokens));
    bench_value(&row, "mesh_ratio", "of the mesh", 2, bench_ratio_of(&own->tokens, &mesh->tokens));
    bench_value(&row, "packets_sent_per_token", "datagrams", 0, bench_stat_of(&own->packets));
    bench_print(bench, &row);
}

static int measure(struct bench *bench, const struct bench_shape *shape, const char *model, const struct setting *setting,
                   struct fail *fail)
{
    struct way_series series[WAYS] = {{.tokens = {.count = 0}}};
    struct bench_outcome outcome;

    for (int r = 0; r < WAYS * (bench->quick ? 1 : RUNS); r++) {
        const struct way *way = &ways[r % WAYS];
        struct way_series *s = &series[r % WAYS];
        const struct bench_run run = {setting->nodes,
                                      1,
                                      TOKENS,
                                      {"--lab", setting->lab, "--topology", way->topology, "--pipeline", way->pipeline,
                                       way->group != NULL ? "--multicast" : NULL, way->group}};

        if (!is_measured(setting, way))
            continue;
        if (bench_run_nodes(bench, model, &run, &outcome, fail) < 0)
            return -1;
        bench_add(&s->tokens, outcome.tokens_per_s);
        bench_add(&s->utilisation, outcome.utilisation);
        bench_add(&s->packets, outcome.packets_per_token);
    }
    for (int i = 0; i < WAYS; i++)
        if (is_measured(setting, &ways[i]))
            print(bench, shape, setting, &ways[i], &series[i], &series[0]);
    return 0;
}

int bench_topology(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = bench->quick ? &bench_shape_small : &bench_shape_1b;
    struct bench_model model;
    int err = 0;

    if (!bench_has_memory(bench, "topology", 2 * bench_model_bytes(shape, TYPE_Q8_0) + (800u << 20)))
        return 0;
    bench_heading(bench,
                  "topology: dilated nodes of 10 GB/s and 50 us, one thread each, beside tiles to a group, whole matrices and a star");
    bench_progress(bench, "topology");
    if (bench_model_write(&model, shape, TYPE_Q8_0, fail) < 0)
        return -1;
    for (int i = bench->quick ? QUICK : 0; i < (bench->quick ? QUICK + 1 : SETTINGS) && err == 0; i++)
        err = measure(bench, shape, model.path, &settings[i], fail);
    bench_model_close(&model);
    return err;
}
