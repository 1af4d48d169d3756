/* Eight separate nodes, which no test machine has: clusters in virtual time, the mesh compared with whole matrices and a star.
 *
 * Engine, endpoint and their schedule are those that nodes run (virtual_node.h). A datagram costs a node's processor what it costs this
 * one; with --datagram-ns the figures are the same on every machine. Variants of the largest mesh show what limits it. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_datagram.h"
#include "virtual_cluster.h"

enum { WARM_TOKENS = 3, TOKENS = 8, VARIANT_NODES = 8 };

#define BYTES_PER_S     UINT64_C(10000000000)
#define RATE_BITS_PER_S UINT64_C(1000000000)
#define DELAY_NS        UINT64_C(50000)
#define NETWORK         "10 GB/s, 1 Gb/s, 50 us"

struct variant {
    const char *name;
    bool is_star, is_whole, has_group;
    uint16_t send_runs, tile_rows[PHASE_KINDS];
    uint32_t cost_divisor; /* of a datagram's processor time; 0: free */
};

static const struct variant ways[] = {
    {"mesh", .cost_divisor = 1},
    {"whole matrices", .is_whole = true, .cost_divisor = 1},
    {"star, whole matrices", .is_star = true, .is_whole = true, .cost_divisor = 1},
};

static const struct variant variants[] = {
    {"datagrams free", .cost_divisor = 0},
    {"datagrams a quarter", .cost_divisor = 4},
    {"sent to a group", .has_group = true, .cost_divisor = 1},
    {"1 run a phase", .send_runs = 1, .cost_divisor = 1},
    {"2 runs a phase", .send_runs = 2, .cost_divisor = 1},
    {"8 runs a phase", .send_runs = 8, .cost_divisor = 1},
    {"tiles of 32 rows", .tile_rows = {32, 32, 32, 32, 32}, .cost_divisor = 1},
    {"tiles of 64 rows", .tile_rows = {64, 64, 64, 64, 64}, .cost_divisor = 1},
    {"tiles of 96 rows", .tile_rows = {96, 96, 96, 96, 96}, .cost_divisor = 1},
    {"tiles of 128 rows", .tile_rows = {128, 128, 128, 128, 128}, .cost_divisor = 1},
    {"Wo, q, k, v: 256 rows", .tile_rows = {256, 256, 128, 128, 128}, .cost_divisor = 1},
    {"Wo, down: 256 rows", .tile_rows = {128, 256, 128, 256, 128}, .cost_divisor = 1},
};

static struct bench_stat once(double value)
{
    return (struct bench_stat){value, value, value, 1};
}

static void print_costs(struct bench *bench, const struct virtual_costs *costs)
{
    struct bench_row row = {.event = "datagram_costs", .name = "a datagram's processor time"};

    bench_label_text(&row, "source", bench->datagram_ns != NULL ? "given" : "measured");
    bench_value(&row, "send_call_ns", "ns to send", 0, once((double)costs->send_call_ns));
    bench_value(&row, "send_each_ns", "for each", 0, once((double)costs->send_each_ns));
    bench_value(&row, "deliver_ns", "to deliver each", 0, once((double)costs->deliver_ns));
    bench_value(&row, "receive_call_ns", "to receive", 0, once((double)costs->receive_call_ns));
    bench_value(&row, "receive_each_ns", "for each", 0, once((double)costs->receive_each_ns));
    bench_print(bench, &row);
}

static void print(struct bench *bench, const struct bench_shape *shape, uint16_t nodes, const struct variant *variant,
                  const struct virtual_figures *f)
{
    static const char *const waits[VIRTUAL_WAITS][2] = {{"waiting_attention", "for attention"},
                                                        {"waiting_wo", "for Wo"},
                                                        {"waiting_gate_up", "for gate and up"},
                                                        {"waiting_down", "for down"},
                                                        {"waiting_candidates", "for candidates"}};
    char name[80];
    struct bench_row row = {.event = "virtual", .name = name};

    snprintf(name, sizeof name, "%u nodes, %s", (unsigned)nodes, variant->name);
    bench_label_text(&row, "model", shape->name);
    bench_label_text(&row, "network", NETWORK);
    bench_label_number(&row, "nodes", nodes);
    bench_label_text(&row, "variant", variant->name);
    bench_label_text(&row, "topology", variant->is_star ? "star" : "mesh");
    bench_label_text(&row, "pipeline", variant->is_whole ? "off" : "on");
    bench_value(&row, "utilisation", "utilisation", 3, once(f->utilisation));
    bench_value(&row, "sending", "sending", 3, once(f->sending));
    bench_value(&row, "receiving", "receiving", 3, once(f->receiving));
    for (int i = 0; i < VIRTUAL_WAITS; i++)
        bench_value(&row, waits[i][0], waits[i][1], 3, once(f->waiting[i]));
    bench_value(&row, "gen_tok_per_s", "tok/s", 1, once(f->tokens_per_s));
    bench_value(&row, "packets_sent_per_token", "datagrams", 0, once(f->messages));
    bench_print(bench, &row);
}

static struct virtual_costs part_of(const struct virtual_costs *costs, uint32_t divisor)
{
    if (divisor == 0)
        return (struct virtual_costs){0};
    return (struct virtual_costs){costs->send_call_ns / divisor, costs->send_each_ns / divisor, costs->deliver_ns / divisor,
                                  costs->receive_call_ns / divisor, costs->receive_each_ns / divisor};
}

static int measure(struct bench *bench, const struct bench_shape *shape, const struct model *model, uint16_t nodes,
                   const struct variant *variant, const struct virtual_costs *costs, struct fail *fail)
{
    struct virtual_cluster_config config = {
        .model = model,
        .nodes = nodes,
        .is_star = variant->is_star,
        .is_whole = variant->is_whole,
        .send_runs = variant->send_runs,
        .node = {.bytes_per_s = BYTES_PER_S, .costs = part_of(costs, variant->cost_divisor), .has_group = variant->has_group},
        .rate_bits_per_s = RATE_BITS_PER_S,
        .delay_ns = DELAY_NS,
        .warm_tokens = WARM_TOKENS,
        .tokens = TOKENS,
    };
    struct virtual_figures figures;

    memcpy(config.tile_rows, variant->tile_rows, sizeof config.tile_rows);
    bench_progress(bench, variant->name);
    if (virtual_cluster_run(&config, &figures, fail) < 0)
        return -1;
    print(bench, shape, nodes, variant, &figures);
    return 0;
}

static int measure_all(struct bench *bench, const struct bench_shape *shape, const struct model *model, const struct virtual_costs *costs,
                       struct fail *fail)
{
    for (uint16_t nodes = 2; nodes <= VARIANT_NODES; nodes = (uint16_t)(nodes * 2))
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
            if (measure(bench, shape, model, nodes, &ways[i], costs, fail) < 0)
                return -1;
    for (size_t i = 0; i < sizeof variants / sizeof *variants && !bench->quick; i++)
        for (uint16_t nodes = 2; nodes <= VARIANT_NODES; nodes = (uint16_t)(nodes * 2))
            if (measure(bench, shape, model, nodes, &variants[i], costs, fail) < 0)
                return -1;
    return 0;
}

int bench_virtual(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = bench->quick ? &bench_shape_small : &bench_shape_1b;
    struct virtual_costs costs = {0};
    struct virtual_model model;

    if (bench->datagram_ns != NULL && bench_datagram_parse(bench->datagram_ns, &costs, fail) < 0)
        return -1;
    bench_heading(bench, "virtual: q8_0 on nodes of " NETWORK " one way, simulated; shares of a node's time");
    bench_progress(bench, "virtual");
    if (bench->datagram_ns == NULL && bench_datagram_costs(bench, &costs, fail) < 0)
        return -1;
    print_costs(bench, &costs);
    int err = virtual_model_open(&model, shape, TYPE_Q8_0, fail);
    if (err == 0)
        err = measure_all(bench, shape, model.model, &costs, fail);
    virtual_model_close(&model);
    return err;
}
