/* A generating cluster under a flood of junk, alternating with the same flood at an unrelated socket: the cost of refusing datagrams,
 * without the cost of sending them on the same machine. */
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_memory.h"
#include "bench_model.h"
#include "flood.h"
#include "mesh/wire.h"
#include "node/engine/security.h"
#include "node/epoch/packet_filter.h"

enum { NODES = 3, PER_SECOND = 50000, RUNS = 6, RUNS_QUICK = 1, TOKENS_QUICK = 32, SETTLE_US = 50000 };

struct flood_case {
    const struct bench_shape *shape;
    enum tensor_type type;
    uint32_t tokens;
};

/* Tokens per second of one generation at node 0, from the first token to the last. */
static int measure_run(struct bench_cluster *cluster, struct flood *flood, unsigned aim, uint32_t tokens, struct bench_series *series,
                       struct fail *fail)
{
    struct bench_generation generation = {.tokens = tokens};

    flood_aim(flood, aim);
    usleep(SETTLE_US);
    for (int tries = 0; tries < BENCH_TRIES && !bench_generation_has_speed(&generation); tries++)
        if (bench_cluster_generate(cluster, 0, &generation, fail) < 0)
            return -1;
    if (!bench_generation_has_speed(&generation))
        return bench_generation_fail(fail);
    bench_add(series, bench_generation_tok_per_s(&generation));
    return 0;
}

static void print(struct bench *bench, const struct flood_case *c, const struct flood *flood, const struct bench_series series[2])
{
    struct bench_row row = {.event = "flood", .name = flood_kind_name(flood->kind)};

    bench_label_text(&row, "model", c->shape->name);
    bench_label_text(&row, "type", tensor_type_info(c->type)->name);
    bench_label_text(&row, "junk", flood_kind_name(flood->kind));
    bench_label_number(&row, "nodes", NODES);
    bench_label_number(&row, "datagrams_per_s", flood->per_second);
    bench_value(&row, "flooded_tok_per_s", "tok/s", 1, bench_stat_of(&series[1]));
    bench_value(&row, "elsewhere_tok_per_s", "tok/s when it goes elsewhere", 1, bench_stat_of(&series[0]));
    bench_value(&row, "elsewhere_ratio", "of that", 3, bench_ratio_of(&series[1], &series[0]));
    bench_print(bench, &row);
}

static int measure_kind(struct bench *bench, const struct flood_case *c, struct bench_cluster *cluster, enum flood_kind kind,
                        struct mesh_addr elsewhere, struct fail *fail)
{
    static struct flood flood;
    static char text[BENCH_STATUS_BYTES];
    struct bench_series series[2] = {{.count = 0}, {.count = 0}};
    const int runs = bench->quick ? RUNS_QUICK : RUNS;
    int err = 0;

    if (bench_cluster_status(cluster, 0, text, fail) < 0)
        return -1;
    memset(&flood, 0, sizeof flood);
    flood.per_second = PER_SECOND;
    flood.kind = kind;
    flood.seed = kind + 1u;
    flood.epoch = (uint32_t)bench_cluster_number(text, "epoch");
    flood.target[0][0] = elsewhere;
    flood.target_count[0] = 1;
    flood.target_count[1] = NODES;
    memcpy(flood.target[1], cluster->addr, NODES * sizeof *cluster->addr);
    if (flood_start(&flood, fail) < 0)
        return -1;
    for (int r = 0; r < 2 * runs && err == 0; r++) /* alternating which is first */
        err = measure_run(cluster, &flood, (unsigned)(r / 2 + r) % 2, c->tokens, &series[(r / 2 + r) % 2], fail);
    flood_stop(&flood);
    if (err == 0)
        print(bench, c, &flood, series);
    return err;
}

static int measure_case(struct bench *bench, const struct flood_case *c, struct fail *fail)
{
    struct bench_model model;
    struct bench_cluster cluster;
    struct mesh_udp *elsewhere;
    struct mesh_addr addr;
    char reason[128];
    int err;

    if (!bench_has_memory(bench, "flood", (1 + NODES) * bench_model_bytes(c->shape, c->type) + (600u << 20)))
        return 0;
    bench_progress(bench, "a cluster under a flood");
    if (mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason) != MESH_OK || mesh_udp_open(&elsewhere, addr, NULL) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: no socket on the loopback: close other programs");
    err = bench_model_write(&model, c->shape, c->type, fail);
    if (err == 0) {
        err = bench_cluster_start(&cluster, model.path, bench->kernel->name, NODES, fail);
        for (int kind = bench->quick ? FLOOD_MIXED : 0; kind <= FLOOD_MIXED && err == 0; kind++)
            err = measure_kind(bench, c, &cluster, (enum flood_kind)kind, mesh_udp_local(elsewhere), fail);
        bench_cluster_stop(&cluster);
        bench_model_close(&model);
    }
    mesh_udp_close(elsewhere);
    return err;
}

/* ---- what one refusal costs ---- */

enum { DATAGRAMS = 1000, REFUSE_RUNS = 200, REFUSE_RUNS_QUICK = 5 };

struct refusing {
    struct packet_filter filter;
    struct security security;
    uint8_t packet[DATAGRAMS][FLOOD_BYTES_MAX];
    size_t bytes[DATAGRAMS];
};

/* The path of a datagram from the socket: to the filter if it is outside epochs, else to the sealer. */
static void refuse_all(struct refusing *r, uint64_t now_ns)
{
    const struct mesh_addr from = {.port = 9};
    struct mesh_header header;

    for (size_t i = 0; i < DATAGRAMS; i++) {
        if (mesh_wire_decode_header(r->packet[i], r->bytes[i], &header) == MESH_OK &&
            (header.epoch == 0 || (header.epoch & MESH_SESSION_EPOCH) != 0))
            packet_filter_take(&r->filter, now_ns, from, r->packet[i], r->bytes[i]);
        else
            mesh_sealer_open(&r->security.sealer, r->packet[i], r->bytes[i]);
    }
}

static void measure_refusing(struct bench *bench, struct refusing *r, enum flood_kind kind)
{
    const struct flood flood = {.kind = kind, .epoch = 1, .seed = kind + 1u};
    struct bench_series ns = {.count = 0};
    struct bench_row row = {.event = "refuse", .name = flood_kind_name(kind)};

    for (size_t i = 0; i < DATAGRAMS; i++)
        r->bytes[i] = flood_write(&flood, i, r->packet[i]);
    for (int run = 0; run < (bench->quick ? REFUSE_RUNS_QUICK : REFUSE_RUNS); run++) {
        const uint64_t begin_ns = bench_memory_thread_ns();

        refuse_all(r, (uint64_t)run * DATAGRAMS * 1000000000 / PER_SECOND);
        bench_add(&ns, (double)(bench_memory_thread_ns() - begin_ns) / DATAGRAMS);
    }
    bench_label_text(&row, "junk", flood_kind_name(kind));
    bench_value(&row, "refuse_ns", "ns to refuse", 0, bench_stat_of(&ns));
    bench_print(bench, &row);
}

static int bench_refusing(struct bench *bench, struct fail *fail)
{
    static struct refusing refusing;
    static const struct mesh_key key = {.bytes = {1}};

    bench_heading(bench, "refusing a datagram, one thread: processor time, without the kernel's for receiving it");
    if (!mesh_seal_is_available()) {
        bench_skip(bench, "refuse", "built without libsodium");
        return 0;
    }
    if (security_draw(&refusing.security, fail) < 0 || security_start(&refusing.security, MESH_SECURITY_SEAL, 1, 0, NODES, fail) < 0)
        return -1;
    packet_filter_init(&refusing.filter, MESH_SECURITY_SEAL, &key, "mesh", 1);
    for (int kind = 0; kind <= FLOOD_MIXED; kind++)
        measure_refusing(bench, &refusing, (enum flood_kind)kind);
    packet_filter_release(&refusing.filter);
    security_release(&refusing.security);
    return 0;
}

int bench_flood(struct bench *bench, struct fail *fail)
{
    static const struct flood_case full = {&bench_shape_110m, TYPE_Q4_0, 64}, quick = {&bench_shape_small, TYPE_Q8_0, TOKENS_QUICK};

    if (bench_refusing(bench, fail) < 0)
        return -1;
    bench_heading(bench,
                  "flood: three nodes that generate while 50000 junk datagrams a second come to them, beside the same flood elsewhere");
    return measure_case(bench, bench->quick ? &quick : &full, fail);
}
