/* Bare endpoints exchange gathers and records of random shape over a random network; every byte and event is checked as it arrives. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "libmesh/core/mix.h"
#include "tests/unit/simbench.h"
#include "tests/unit/simscenario.h"

enum { EXPLORE_RANKS_MAX = 8, EXPLORE_VIRTUAL_S_MAX = 120 };

enum explore_draw {
    DRAW_PHASES = 900,
    DRAW_STEPS,
    DRAW_BLOCKS,
    DRAW_PROMPT,
    DRAW_RECORDS,
    DRAW_SKIPS,
    DRAW_AHEAD,
    DRAW_SECURITY,
    DRAW_GROUP,
    DRAW_DEAF
};

static uint64_t explore_pick(uint64_t seed, enum explore_draw which, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(seed, which, 0), limit);
}

static void explore_shape(struct simshape *shape, uint64_t seed, uint16_t rank_count)
{
    const uint16_t blocks_max = explore_pick(seed, DRAW_BLOCKS, 4) == 0 ? 200 : 24;

    simshape_random(shape, seed, rank_count, (uint16_t)(1 + explore_pick(seed, DRAW_PHASES, 6)), blocks_max);
    shape->step_count = 1 + explore_pick(seed, DRAW_STEPS, 8);
    shape->prompt_tokens = explore_pick(seed, DRAW_PROMPT, 3) == 0 ? (uint16_t)(1 + seed % 40) : 1;
    shape->records = (uint16_t)(explore_pick(seed, DRAW_RECORDS, 3) == 0 ? 1 + seed % 6 : 0);
    shape->leaves_out_phases = explore_pick(seed, DRAW_SKIPS, 3) == 0;
}

static void explore_settings(struct simbench *bench, const struct simscenario *scenario)
{
    for (uint16_t rank = 0; rank < scenario->rank_count; rank++) {
        struct simapp *app = &bench->apps[rank];

        app->is_started = true; /* before the handshake: the core holds back early calls */
        app->tile_ns_max = 2000 * scenario->slow[rank];
        app->open_ahead = (uint8_t)explore_pick(scenario->seed + rank, DRAW_AHEAD, 5);
    }
}

/* In a third of the seeds datagrams are sealed or authenticated. This changes nothing that the core sees, so a seed is the same run in a
 * build that cannot seal. */
static void explore_seal(struct simbench *bench, uint64_t seed)
{
    const uint64_t pick = explore_pick(seed, DRAW_SECURITY, 6);

    if (pick > MESH_SECURITY_NONE && pick <= MESH_SECURITY_SEAL && mesh_seal_is_available() &&
        !simbench_seal(bench, (enum mesh_security)pick)) {
        abort();
    }
}

/* A third of the seeds use a multicast group; in half of these, some ranks do not hear it. */
static void explore_group(struct simbench *bench, const struct simscenario *scenario, struct explore_report *report)
{
    const uint64_t deaf = explore_pick(scenario->seed, DRAW_DEAF, 2) * explore_pick(scenario->seed, DRAW_DEAF, UINT64_MAX);
    const size_t used = strlen(report->scenario);

    if (explore_pick(scenario->seed, DRAW_GROUP, 3) != 0) {
        return;
    }
    for (uint16_t rank = 0; rank < scenario->rank_count; rank++) {
        mesh_set_group(bench->apps[rank].mesh, (deaf >> rank & 8) != 0 ? MESH_DATAGRAM_BYTES_MIN : 1472);
        mesh_sim_set_deaf(bench->sim, rank, (deaf >> rank & 1) != 0);
    }
    snprintf(report->scenario + used, sizeof report->scenario - used, ", a group that ranks %#x do not hear",
             (unsigned)(deaf & ((1u << scenario->rank_count) - 1)));
}

static void explore_exchange_run(uint64_t seed, struct explore_report *report)
{
    struct simscenario scenario;
    struct simshape shape;
    struct simbench *bench = malloc(sizeof *bench);
    struct mesh_sim_stats stats;

    if (bench == NULL) {
        abort();
    }
    simscenario_draw(&scenario, seed, EXPLORE_RANKS_MAX);
    simscenario_describe(&scenario, report->scenario, sizeof report->scenario);
    explore_shape(&shape, seed, scenario.rank_count);
    simbench_init(bench, &shape, seed, &scenario.link);
    simscenario_apply(&scenario, bench->sim);
    for (uint16_t rank = 0; rank < scenario.rank_count && scenario.receive_buffer_bytes != 0; rank++) {
        bench->configs[rank].receive_buffer_bytes = scenario.receive_buffer_bytes;
    }
    simbench_start(bench);
    explore_seal(bench, seed);
    explore_group(bench, &scenario, report);
    explore_settings(bench, &scenario);
    simbench_run(bench, &scenario, SIM_S(EXPLORE_VIRTUAL_S_MAX));
    mesh_sim_get_stats(bench->sim, &stats);
    report->events = stats.events;
    report->datagrams = stats.sent;
    report->virtual_ns = mesh_sim_now_ns(bench->sim);
    snprintf(report->error, sizeof report->error, "%s", bench->error);
    if (report->error[0] == '\0' && stats.refused != 0) {
        snprintf(report->error, sizeof report->error, "%" PRIu64 " sealed datagrams did not open", stats.refused);
    }
    simbench_close(bench);
    free(bench);
}

const struct explore_kind explore_exchange = {"exchange", "endpoints exchange gathers and records", 2, explore_exchange_run};
