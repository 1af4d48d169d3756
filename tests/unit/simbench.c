#include "simbench.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"

struct mesh_sim_link simbench_ethernet(void)
{
    return (struct mesh_sim_link){.rate_bits_per_s = 1000000000, .delay_ns = SIM_US(50), .datagram_bytes_max = 1472};
}

static void simbench_watch(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped)
{
    struct simbench *bench = app;
    const uint8_t type = packet[offsetof(struct mesh_header_bytes, type)];
    const uint8_t flags = packet[offsetof(struct mesh_header_bytes, flags)];

    assert(bytes >= MESH_HEADER_BYTES && type < MESH_TYPE_COUNT);
    bench->sent[from][type]++;
    bench->resent[from] += type == MESH_TYPE_TILE && (flags & MESH_FLAG_RESEND) != 0;
    bench->lost[type] += dropped;
    bench->transcript = mesh_draw(bench->transcript, now_ns, (uint64_t)from << 32 | (uint64_t)to << 16 | dropped);
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word;

        memcpy(&word, packet + i, sizeof word);
        bench->transcript = mesh_mix64(bench->transcript ^ word);
    }
}

void simbench_init(struct simbench *bench, const struct simshape *shape, uint64_t seed, const struct mesh_sim_link *link)
{
    memset(bench, 0, sizeof *bench);
    bench->shape = *shape;
    if (mesh_sim_open(&bench->sim, shape->rank_count, seed, link) != 0) {
        abort();
    }
    mesh_sim_watch(bench->sim, simbench_watch, bench);
    for (uint16_t rank = 0; rank < shape->rank_count; rank++) {
        struct mesh_config *config = &bench->configs[rank];

        *config = (struct mesh_config){
            .rank = rank,
            .rank_count = shape->rank_count,
            .epoch = 1,
            .phase_count = shape->phase_count,
            .tokens_max = simshape_tokens_max(shape),
            .blocks_max = simshape_blocks_max(shape),
            .datagram_bytes_max = 65507,
            .receive_buffer_bytes = 425984,
        };
        for (size_t i = 0; i < sizeof config->incarnation; i++) {
            config->incarnation[i] = (uint8_t)(mesh_draw(seed, rank, i) >> 32);
        }
    }
}

void simbench_start(struct simbench *bench)
{
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        struct simapp *app = &bench->apps[rank];
        const size_t bytes = mesh_memory_bytes(&bench->configs[rank]);

        simapp_init(app, &bench->shape, rank);
        bench->memory[rank] = aligned_alloc(64, (bytes + 63) / 64 * 64);
        if (bench->memory[rank] == NULL || mesh_init(&app->mesh, &bench->configs[rank], bench->memory[rank], bytes, 0) != 0) {
            abort();
        }
        mesh_sim_attach(bench->sim, rank, app->mesh, simapp_work, app);
    }
}

bool simbench_seal(struct simbench *bench, enum mesh_security security)
{
    const struct mesh_key key = {{1}};
    uint8_t epoch_id[MESH_EPOCH_ID_BYTES] = {2}, incarnation[MESH_RANKS_MAX][MESH_INCARNATION_BYTES];
    struct mesh_sealer_config config = {.security = security,
                                        .key = &key,
                                        .cluster = "simulator",
                                        .epoch = 1,
                                        .epoch_id = epoch_id,
                                        .incarnation = (const uint8_t(*)[MESH_INCARNATION_BYTES])incarnation,
                                        .rank_count = bench->shape.rank_count};

    for (uint16_t rank = 0; rank < config.rank_count; rank++) {
        memcpy(incarnation[rank], bench->configs[rank].incarnation, MESH_INCARNATION_BYTES);
    }
    for (config.rank = 0; config.rank < config.rank_count; config.rank++) {
        if (mesh_sealer_init(&bench->sealers[config.rank], &config) != 0) {
            return false;
        }
        mesh_sim_set_sealer(bench->sim, config.rank, &bench->sealers[config.rank]);
    }
    return true;
}

uint64_t simbench_refused(const struct simbench *bench)
{
    uint64_t refused = 0;

    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        for (int reason = 0; reason < MESH_SEAL_REFUSALS; reason++) {
            refused += bench->sealers[rank].refused[reason];
        }
    }
    return refused;
}

void simbench_close(struct simbench *bench)
{
    mesh_sim_close(bench->sim);
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        simapp_release(&bench->apps[rank]);
        mesh_sealer_release(&bench->sealers[rank]);
        free(bench->memory[rank]);
    }
}

void simbench_keep_pace(struct simbench *bench)
{
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        bench->apps[rank].tile_ns_max = 1;
    }
}

static bool simbench_has_failed(const struct simbench *bench)
{
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        if (bench->apps[rank].error[0] != '\0') {
            return true;
        }
    }
    return false;
}

static bool simbench_is_joined(void *void_bench)
{
    const struct simbench *bench = void_bench;
    const uint16_t count = bench->shape.rank_count;

    for (uint16_t rank = 0; rank < count; rank++) {
        if (__builtin_popcountll(bench->apps[rank].up) < count - 1) {
            return simbench_has_failed(bench);
        }
    }
    return true;
}

static bool simbench_is_exchanged(void *void_bench)
{
    const struct simbench *bench = void_bench;

    if (simbench_has_failed(bench)) {
        return true;
    }
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        if (!simapp_is_done(&bench->apps[rank])) {
            return false;
        }
    }
    return true;
}

/* The first application that found an error, or the progress of all of them. */
static void simbench_explain(struct simbench *bench, bool in_time, const char *what)
{
    size_t used = 0;

    bench->error[0] = '\0';
    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        if (bench->apps[rank].error[0] != '\0') {
            snprintf(bench->error, sizeof bench->error, "at %" PRIu64 " us: %s", mesh_sim_now_ns(bench->sim) / 1000,
                     bench->apps[rank].error);
            return;
        }
    }
    if (in_time) {
        return;
    }
    used =
        (size_t)snprintf(bench->error, sizeof bench->error, "%s not finished at %" PRIu64 " us", what, mesh_sim_now_ns(bench->sim) / 1000);
    for (uint16_t rank = 0; rank < bench->shape.rank_count && used + 3 < sizeof bench->error; rank++) {
        if (!simapp_is_done(&bench->apps[rank])) {
            bench->error[used++] = '\n';
            simapp_describe(&bench->apps[rank], bench->error + used, sizeof bench->error - used);
            used += strlen(bench->error + used);
        }
    }
}

bool simbench_join(struct simbench *bench, uint64_t limit_ns)
{
    const bool in_time = mesh_sim_run(bench->sim, mesh_sim_now_ns(bench->sim) + limit_ns, simbench_is_joined, bench);

    simbench_explain(bench, in_time, "handshake");
    return bench->error[0] == '\0';
}

bool simbench_exchange(struct simbench *bench, uint64_t limit_ns)
{
    bool in_time;

    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        bench->apps[rank].is_started = true;
    }
    in_time = mesh_sim_run(bench->sim, mesh_sim_now_ns(bench->sim) + limit_ns, simbench_is_exchanged, bench);
    simbench_explain(bench, in_time, "exchange");
    return bench->error[0] == '\0';
}

bool simbench_run(struct simbench *bench, const struct simscenario *scenario, uint64_t limit_ns)
{
    const uint64_t deadline_ns = mesh_sim_now_ns(bench->sim) + limit_ns;

    simbench_explain(bench, simscenario_run(scenario, bench->sim, deadline_ns, simbench_is_exchanged, bench), "scenario");
    return bench->error[0] == '\0';
}

uint64_t simbench_sent(const struct simbench *bench, enum mesh_type type)
{
    uint64_t sent = 0;

    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        sent += bench->sent[rank][type];
    }
    return sent;
}

uint64_t simbench_sent_all(const struct simbench *bench)
{
    uint64_t sent = 0;

    for (int type = 0; type < MESH_TYPE_COUNT; type++) {
        sent += simbench_sent(bench, (enum mesh_type)type);
    }
    return sent;
}

uint64_t simbench_resent(const struct simbench *bench)
{
    uint64_t resent = 0;

    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        resent += bench->resent[rank];
    }
    return resent;
}

uint64_t simbench_state(const struct simbench *bench)
{
    uint64_t state = 0;

    for (uint16_t rank = 0; rank < bench->shape.rank_count; rank++) {
        state = mesh_draw(state, rank, mesh_state_hash(bench->apps[rank].mesh));
    }
    return state;
}
