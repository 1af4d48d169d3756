/* Meshes of local nodes compared with one process with two threads, and two nodes that seal with two that do not: figures of `mesh-node run
 * --json`, alternating.
 *
 * Every node has one thread. Nodes in excess of the cores share them, so four nodes on two cores show what the mesh itself costs. */
#include <stdio.h>

#include "bench.h"
#include "bench_model.h"
#include "bench_run.h"
#include "mesh/seal.h"

enum { RUNS = 3, SEAL_RUNS = 8, TOKENS = 32 };

struct mesh_case {
    const struct bench_shape *shape;
    enum tensor_type type;
    uint32_t seal_tokens; /* about as many as take a second */
};

struct mesh_series {
    struct bench_series alone, mesh, bytes, packets, send_calls, receive_calls, wait_calls, yields;
};

static void print(struct bench *bench, const struct mesh_case *c, uint32_t nodes, const struct mesh_series *series)
{
    char name[64];
    const char *type = tensor_type_info(c->type)->name;
    struct bench_row row = {.event = "mesh", .name = name};

    snprintf(name, sizeof name, "%s %s, %u nodes", c->shape->name, type, nodes);
    bench_label_text(&row, "model", c->shape->name);
    bench_label_text(&row, "type", type);
    bench_label_number(&row, "nodes", nodes);
    bench_label_number(&row, "threads", 1);
    bench_value(&row, "gen_tok_per_s", "tok/s", 1, bench_stat_of(&series->mesh));
    bench_value(&row, "one_process_tok_per_s", "tok/s alone", 1, bench_stat_of(&series->alone));
    bench_value(&row, "one_process_ratio", "of that", 2, bench_ratio_of(&series->mesh, &series->alone));
    bench_value(&row, "bytes_sent_per_token", "B/token", 0, bench_stat_of(&series->bytes));
    bench_value(&row, "packets_sent_per_token", "datagrams", 0, bench_stat_of(&series->packets));
    bench_value(&row, "send_calls_per_token", "calls to send", 0, bench_stat_of(&series->send_calls));
    bench_value(&row, "receive_calls_per_token", "to receive", 0, bench_stat_of(&series->receive_calls));
    bench_value(&row, "wait_calls_per_token", "to sleep or wake", 1, bench_stat_of(&series->wait_calls));
    bench_value(&row, "yield_calls_per_token", "to yield", 0, bench_stat_of(&series->yields));
    bench_print(bench, &row);
}

static int measure(struct bench *bench, const struct mesh_case *c, const struct bench_model *model, uint32_t nodes, struct fail *fail)
{
    const struct bench_run one_process = {.nodes = 1, .threads = 2, .tokens = TOKENS},
                           local = {.nodes = nodes, .threads = 1, .tokens = TOKENS};
    struct mesh_series series = {.alone = {.count = 0}};
    struct bench_outcome alone, mesh;

    for (int r = 0; r < (bench->quick ? 1 : RUNS); r++) {
        if (bench_run_nodes(bench, model->path, &one_process, &alone, fail) < 0 ||
            bench_run_nodes(bench, model->path, &local, &mesh, fail) < 0)
            return -1;
        bench_add(&series.alone, alone.tokens_per_s);
        bench_add(&series.mesh, mesh.tokens_per_s);
        bench_add(&series.bytes, mesh.bytes_per_token);
        bench_add(&series.packets, mesh.packets_per_token);
        bench_add(&series.send_calls, mesh.send_calls_per_token);
        bench_add(&series.receive_calls, mesh.receive_calls_per_token);
        bench_add(&series.wait_calls, mesh.wait_calls_per_token);
        bench_add(&series.yields, mesh.yield_calls_per_token);
    }
    print(bench, c, nodes, &series);
    return 0;
}

static void print_seal(struct bench *bench, const struct mesh_case *c, const struct bench_series *sealed, const struct bench_series *plain)
{
    char name[64];
    const char *type = tensor_type_info(c->type)->name;
    struct bench_row row = {.event = "mesh_seal", .name = name};

    snprintf(name, sizeof name, "%s %s, 2 nodes", c->shape->name, type);
    bench_label_text(&row, "model", c->shape->name);
    bench_label_text(&row, "type", type);
    bench_label_number(&row, "nodes", 2);
    bench_value(&row, "sealed_tok_per_s", "tok/s sealed", 1, bench_stat_of(sealed));
    bench_value(&row, "plain_tok_per_s", "tok/s plain", 1, bench_stat_of(plain));
    bench_value(&row, "plain_ratio", "of that", 3, bench_ratio_of(sealed, plain));
    bench_print(bench, &row);
}

/* Which of each pair comes first alternates. */
static int measure_seal(struct bench *bench, const struct mesh_case *c, const struct bench_model *model, struct fail *fail)
{
    struct bench_series series[2] = {{.count = 0}, {.count = 0}}; /* sealed, plain */
    struct bench_outcome outcome;

    for (int r = 0; r < (bench->quick ? 2 : 2 * SEAL_RUNS); r++) {
        const int which = (r / 2 + r) % 2;
        const struct bench_run run = {
            .nodes = 2, .threads = 1, .tokens = c->seal_tokens, .more = {"--security", which == 0 ? "seal" : "none"}};

        if (bench_run_nodes(bench, model->path, &run, &outcome, fail) < 0)
            return -1;
        bench_add(&series[which], outcome.tokens_per_s);
    }
    print_seal(bench, c, &series[0], &series[1]);
    return 0;
}

static int measure_case(struct bench *bench, const struct mesh_case *c, struct fail *fail)
{
    static const uint32_t node_counts[] = {2, 4};
    struct bench_model model;
    char text[64];
    int err = 0;

    snprintf(text, sizeof text, "mesh %s %s", c->shape->name, tensor_type_info(c->type)->name);
    if (!bench_has_memory(bench, text, 2 * bench_model_bytes(c->shape, c->type) + (400u << 20)))
        return 0;
    bench_progress(bench, text);
    if (bench_model_write(&model, c->shape, c->type, fail) < 0)
        return -1;
    for (size_t i = 0; i < sizeof node_counts / sizeof *node_counts && err == 0; i++)
        err = measure(bench, c, &model, node_counts[i], fail);
    if (err == 0 && mesh_seal_is_available())
        err = measure_seal(bench, c, &model, fail);
    bench_model_close(&model);
    return err;
}

int bench_mesh(struct bench *bench, struct fail *fail)
{
    static const struct mesh_case cases[] = {{&bench_shape_1b, TYPE_Q4_0, 48}, {&bench_shape_110m, TYPE_Q4_0, 400}};
    static const struct mesh_case quick = {&bench_shape_small, TYPE_Q8_0, TOKENS};

    bench_heading(bench, "mesh: local nodes of one thread each, beside one process with two threads");
    if (bench->quick)
        return measure_case(bench, &quick, fail);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (measure_case(bench, &cases[i], fail) < 0)
            return -1;
    return 0;
}
