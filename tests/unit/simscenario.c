#include "simscenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum simscenario_draw_kind {
    DRAW_RANKS = 500,
    DRAW_RATE,
    DRAW_DELAY,
    DRAW_QUEUE,
    DRAW_LOSS,
    DRAW_DUPLICATE,
    DRAW_REORDER,
    DRAW_REORDER_BY,
    DRAW_FLIP,
    DRAW_MTU,
    DRAW_ODD,
    DRAW_SLOW,
    DRAW_BUFFER,
    DRAW_CUTS,
    DRAW_CUT
};

#define PICK(array, seed, which) (array)[mesh_draw_below(mesh_draw(seed, which, 0), sizeof(array) / sizeof((array)[0]))]

void simscenario_draw_link(struct mesh_sim_link *link, uint64_t seed)
{
    static const uint64_t rates[] = {0, 20000000, 100000000, 1000000000, 1000000000, 10000000000};
    static const uint64_t delays[] = {0, 1000, 10000, 50000, 50000, 300000, 3000000};
    static const uint32_t queues[] = {0, 0, 10000, 50000, 200000};
    static const uint32_t losses[] = {0, 0, 0, 1000, 10000, 50000, 200000};
    static const uint32_t chances[] = {0, 0, 0, 1000, 20000, 50000};
    static const uint64_t reorders[] = {3000, 60000, 400000, 5000000};
    static const uint32_t paths[] = {0, 0, 1200, 1300, 1472, 8972};

    *link = (struct mesh_sim_link){
        .rate_bits_per_s = PICK(rates, seed, DRAW_RATE),
        .delay_ns = PICK(delays, seed, DRAW_DELAY),
        .queue_bytes = PICK(queues, seed, DRAW_QUEUE),
        .loss_ppm = PICK(losses, seed, DRAW_LOSS),
        .duplicate_ppm = PICK(chances, seed, DRAW_DUPLICATE),
        .reorder_ppm = PICK(chances, seed, DRAW_REORDER),
        .bit_flip_ppm = PICK(chances, seed, DRAW_FLIP),
        .reorder_ns = PICK(reorders, seed, DRAW_REORDER_BY),
        .datagram_bytes_max = PICK(paths, seed, DRAW_MTU),
    };
}

/* Cuts last up to 40 ms each and follow one another within the first tenth of a second. */
static void simscenario_draw_cuts(struct simscenario *scenario)
{
    const uint64_t seed = scenario->seed;
    const uint64_t draw = mesh_draw_below(mesh_draw(seed, DRAW_CUTS, 0), 6);
    uint64_t from_ns = 0;

    scenario->cut_count = draw < SIMSCENARIO_CUTS_MAX + 1 && scenario->rank_count > 1 ? (uint32_t)draw : 0;
    for (uint32_t i = 0; i < scenario->cut_count; i++) {
        struct simscenario_cut *cut = &scenario->cuts[i];

        cut->from_ns = from_ns + mesh_draw_below(mesh_draw(seed, DRAW_CUT, i * 4), 20000000);
        cut->until_ns = from_ns = cut->from_ns + 1 + mesh_draw_below(mesh_draw(seed, DRAW_CUT, i * 4 + 1), 40000000);
        cut->ranks = mesh_draw(seed, DRAW_CUT, i * 4 + 2);
        cut->one_way = mesh_draw(seed, DRAW_CUT, i * 4 + 3) % 3 == 0;
    }
}

void simscenario_draw(struct simscenario *scenario, uint64_t seed, uint16_t ranks_max)
{
    static const uint32_t slowness[] = {1, 1, 1, 1, 3, 20, 300};
    static const uint64_t buffers[] = {0, 212992, 425984, 8388608};

    memset(scenario, 0, sizeof *scenario);
    scenario->seed = seed;
    scenario->rank_count = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, DRAW_RANKS, 0), ranks_max));
    simscenario_draw_link(&scenario->link, seed);
    simscenario_draw_link(&scenario->odd_link, mesh_draw(seed, DRAW_ODD, 1));
    scenario->odd_rank = (uint16_t)mesh_draw_below(mesh_draw(seed, DRAW_ODD, 0), (uint64_t)scenario->rank_count * 3);
    scenario->odd_rank = scenario->odd_rank < scenario->rank_count ? scenario->odd_rank : scenario->rank_count;
    scenario->receive_buffer_bytes = PICK(buffers, seed, DRAW_BUFFER);
    for (uint16_t rank = 0; rank < scenario->rank_count; rank++) {
        scenario->slow[rank] = slowness[mesh_draw_below(mesh_draw(seed, DRAW_SLOW, rank), sizeof slowness / sizeof slowness[0])];
    }
    simscenario_draw_cuts(scenario);
}

void simscenario_apply(const struct simscenario *scenario, struct mesh_sim *sim)
{
    for (uint16_t rank = 0; rank < scenario->rank_count; rank++) {
        mesh_sim_set_receive_buffer(sim, rank, scenario->receive_buffer_bytes);
        if (scenario->odd_rank < scenario->rank_count && rank != scenario->odd_rank) {
            mesh_sim_set_link(sim, rank, scenario->odd_rank, &scenario->odd_link);
            mesh_sim_set_link(sim, scenario->odd_rank, rank, &scenario->odd_link);
        }
    }
}

static void simscenario_cut(const struct simscenario *scenario, const struct simscenario_cut *cut, struct mesh_sim *sim, bool blocked)
{
    for (uint16_t from = 0; from < scenario->rank_count; from++) {
        for (uint16_t to = 0; to < scenario->rank_count; to++) {
            const bool from_in = (cut->ranks >> from & 1) != 0, to_in = (cut->ranks >> to & 1) != 0;

            if (from_in != to_in && (from_in || !cut->one_way)) {
                mesh_sim_block(sim, from, to, blocked);
            }
        }
    }
}

bool simscenario_run(const struct simscenario *scenario, struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app)
{
    for (uint32_t i = 0; i < scenario->cut_count; i++) {
        const struct simscenario_cut *cut = &scenario->cuts[i];

        if (cut->until_ns > deadline_ns) {
            break;
        }
        if (mesh_sim_run(sim, cut->from_ns, done, app)) {
            return true;
        }
        simscenario_cut(scenario, cut, sim, true);
        if (mesh_sim_run(sim, cut->until_ns, done, app)) {
            return true;
        }
        simscenario_cut(scenario, cut, sim, false);
    }
    return mesh_sim_run(sim, deadline_ns, done, app);
}

static size_t simscenario_describe_link(const char *name, const struct mesh_sim_link *link, char *out, size_t bytes)
{
    return (size_t)snprintf(out, bytes,
                            "%s %" PRIu64 " Mb/s %" PRIu64 " us queue %u loss %u dup %u reorder %u by %" PRIu64 " us flip %u ppm mtu %u; ",
                            name, link->rate_bits_per_s / 1000000, link->delay_ns / 1000, link->queue_bytes, link->loss_ppm,
                            link->duplicate_ppm, link->reorder_ppm, link->reorder_ns / 1000, link->bit_flip_ppm, link->datagram_bytes_max);
}

void simscenario_describe(const struct simscenario *scenario, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(out, bytes, "%u ranks, buffer %" PRIu64 ", cuts %u; ", scenario->rank_count,
                                   scenario->receive_buffer_bytes, scenario->cut_count);

    if (used < bytes) {
        used += simscenario_describe_link("links", &scenario->link, out + used, bytes - used);
    }
    if (used < bytes && scenario->odd_rank < scenario->rank_count) {
        char name[24];

        snprintf(name, sizeof name, "of rank %u", scenario->odd_rank);
        simscenario_describe_link(name, &scenario->odd_link, out + used, bytes - used);
    }
}
