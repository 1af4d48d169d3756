#include "udpbench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool udpbench_open_rank(struct udpbench *bench, uint16_t number, const char *host, const struct mesh_lab *lab)
{
    struct udpbench_rank *rank = &bench->ranks[number];
    struct mesh_lab own = lab != NULL ? *lab : (struct mesh_lab){0};
    struct mesh_config config = {
        .rank = number,
        .rank_count = bench->shape.rank_count,
        .epoch = 1,
        .phase_count = bench->shape.phase_count,
        .tokens_max = simshape_tokens_max(&bench->shape),
        .blocks_max = simshape_blocks_max(&bench->shape),
        .incarnation = {(uint8_t)(number + 1)},
    };
    char text[80], reason[MESH_REASON_BYTES];
    struct mesh_addr local;
    size_t bytes;

    rank->bench = bench;
    own.seed += number;
    snprintf(text, sizeof text, "%s:0", host);
    if (mesh_addr_parse(text, &local, reason, sizeof reason) != 0 || mesh_udp_open(&rank->udp, local, &own) != 0) {
        return false;
    }
    config.datagram_bytes_max = mesh_udp_datagram_bytes_max(rank->udp);
    config.receive_buffer_bytes = mesh_udp_receive_buffer_bytes(rank->udp);
    bytes = mesh_memory_bytes(&config);
    rank->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    simapp_init(&rank->app, &bench->shape, number);
    rank->app.is_started = true;
    return rank->memory != NULL && mesh_init(&rank->app.mesh, &config, rank->memory, bytes, mesh_udp_now_ns()) == 0;
}

bool udpbench_open(struct udpbench *bench, const struct simshape *shape, const char *host, const struct mesh_lab *lab)
{
    memset(bench, 0, sizeof *bench);
    bench->shape = *shape;
    for (uint16_t rank = 0; rank < shape->rank_count; rank++) {
        if (!udpbench_open_rank(bench, rank, host, lab)) {
            udpbench_close(bench);
            return false;
        }
    }
    for (uint16_t from = 0; from < shape->rank_count; from++) {
        for (uint16_t to = 0; to < shape->rank_count; to++) {
            if (from != to) {
                mesh_udp_set_peer(bench->ranks[from].udp, to, mesh_udp_local(bench->ranks[to].udp));
                mesh_set_peer(bench->ranks[from].app.mesh, to, mesh_udp_local(bench->ranks[to].udp));
            }
        }
    }
    return true;
}

bool udpbench_seal(struct udpbench *bench, enum mesh_security security)
{
    const struct mesh_key key = {{1}};
    uint8_t epoch_id[MESH_EPOCH_ID_BYTES] = {2}, incarnation[MESH_RANKS_MAX][MESH_INCARNATION_BYTES] = {{0}};
    struct mesh_sealer_config config = {.security = security,
                                        .key = &key,
                                        .cluster = "test",
                                        .epoch = 1,
                                        .epoch_id = epoch_id,
                                        .incarnation = (const uint8_t(*)[MESH_INCARNATION_BYTES])incarnation,
                                        .rank_count = bench->shape.rank_count};

    for (uint16_t rank = 0; rank < config.rank_count; rank++) {
        incarnation[rank][0] = (uint8_t)(rank + 1);
    }
    for (config.rank = 0; config.rank < config.rank_count; config.rank++) {
        struct udpbench_rank *rank = &bench->ranks[config.rank];

        if (mesh_sealer_init(&rank->sealer, &config) != 0) {
            return false;
        }
        mesh_udp_set_sealer(rank->udp, &rank->sealer);
    }
    return true;
}

void udpbench_close(struct udpbench *bench)
{
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        mesh_udp_close(bench->ranks[rank].udp);
        mesh_sealer_release(&bench->ranks[rank].sealer);
        simapp_release(&bench->ranks[rank].app);
        free(bench->ranks[rank].memory);
    }
}

static uint64_t udpbench_received(const struct mesh_udp *udp)
{
    struct mesh_udp_stats stats;

    mesh_udp_get_stats(udp, &stats);
    return stats.datagrams_received;
}

int udpbench_poll_for(struct mesh_udp *udp, struct mesh *mesh, uint64_t datagrams)
{
    const uint64_t end_ns = mesh_udp_now_ns() + UINT64_C(20000000000), before = udpbench_received(udp);
    int happened = mesh_udp_poll(udp, mesh);

    while (udpbench_received(udp) - before < datagrams && mesh_udp_now_ns() < end_ns) {
        mesh_udp_wait(udp, mesh, 1000000);
        happened += mesh_udp_poll(udp, mesh);
    }
    return happened;
}

bool udpbench_turn(struct udpbench_rank *rank)
{
    bool happened = mesh_udp_poll(rank->udp, rank->app.mesh) > 0;

    while (simapp_work(&rank->app, mesh_udp_now_ns()) > 0) {
        mesh_udp_flush(rank->udp, rank->app.mesh);
        happened = true;
    }
    return mesh_udp_flush(rank->udp, rank->app.mesh) > 0 || happened;
}

static void *udpbench_thread(void *void_rank)
{
    struct udpbench_rank *rank = void_rank;
    struct udpbench *bench = rank->bench;
    bool is_done = false;

    while (bench->done_count < bench->shape.rank_count && rank->app.error[0] == '\0' && mesh_udp_now_ns() < bench->deadline_ns) {
        if (udpbench_turn(rank)) {
            rank->busy_polls++;
        } else {
            rank->idle_polls++;
            mesh_udp_wait(rank->udp, rank->app.mesh, 1000000);
        }
        if (!is_done && simapp_is_done(&rank->app)) { /* it goes on answering until all are done */
            is_done = true;
            bench->done_count++;
        }
    }
    return NULL;
}

bool udpbench_run(struct udpbench *bench, uint64_t limit_s)
{
    pthread_t threads[MESH_RANKS_MAX];

    bench->deadline_ns = mesh_udp_now_ns() + limit_s * 1000000000u;
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        if (pthread_create(&threads[rank], NULL, udpbench_thread, &bench->ranks[rank]) != 0) {
            abort();
        }
    }
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        pthread_join(threads[rank], NULL);
    }
    for (uint16_t rank = 0; rank < bench->shape.rank_count && bench->error[0] == '\0'; rank++) {
        struct simapp *app = &bench->ranks[rank].app;

        if (app->error[0] != '\0') {
            snprintf(bench->error, sizeof bench->error, "%s", app->error);
        } else if (!simapp_is_done(app)) {
            simapp_describe(app, bench->error, sizeof bench->error);
        }
    }
    return bench->error[0] == '\0';
}
