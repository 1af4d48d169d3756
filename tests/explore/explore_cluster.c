/* Whole clusters generate tokens of several requests over a random network. Requests are submitted at random times on random nodes, some
 * are cancelled, and sometimes the cluster stops and the remaining nodes continue in another one. Each request must get the same bits as
 * alone on one node. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "libmesh/core/mix.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"
#include "tests/unit/simsaved.h"
#include "tests/unit/simscenario.h"

enum { RANKS_MAX = 9, VIRTUAL_S_MAX = 300, MODELS = 8, PROMPT_MAX = 100, REQUESTS_MAX = 5, PREDICT_MAX = 12, CTX = 128 };

enum draw {
    DRAW_MODEL = 1200,
    DRAW_BATCH,
    DRAW_SLOTS,
    DRAW_REQUESTS,
    DRAW_REQUEST,
    DRAW_PROMPT,
    DRAW_TIME,
    DRAW_RANK,
    DRAW_IS_CANCELLED,
    DRAW_CANCEL_TIME,
    DRAW_CANCEL_RANK,
    DRAW_IS_STOPPED,
    DRAW_STOP_TIME,
    DRAW_DEAD,
    DRAW_SHARE,
    DRAW_ARE_UNEQUAL,
    DRAW_KV,
    DRAW_UNIT,
    DRAW_FORM
};

/* One seed's requests, and the clusters that they run in. */
struct run {
    uint64_t seed;
    struct simscenario scenario;
    struct simcluster_config config;
    struct simcluster cluster;
    struct simrequest request[REQUESTS_MAX];
    uint32_t request_count;
    struct explore_report *report;
};

static uint64_t pick(uint64_t seed, enum draw which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(seed, which, index), limit);
}

/* Shapes that are awkward in different ways: short blocks, short slices, one KV head, heads that are no multiple of 32 rows. */
static const struct synth_options shapes[MODELS] = {
    {.dim = 256, .hidden = 512, .layers = 2, .heads = 8, .kv_heads = 2, .vocab = 400, .context = 128, .type = TYPE_Q8_0, .seed = 1},
    {.dim = 512, .hidden = 768, .layers = 2, .heads = 8, .kv_heads = 8, .vocab = 600, .context = 128, .type = TYPE_Q4_K, .seed = 2},
    {.dim = 96, .hidden = 352, .layers = 3, .heads = 6, .kv_heads = 3, .vocab = 333, .context = 128, .type = TYPE_Q4_0, .seed = 3},
    {.dim = 72, .hidden = 172, .layers = 2, .heads = 6, .kv_heads = 2, .vocab = 301, .context = 128, .type = TYPE_F32, .seed = 4},
    {.dim = 320, .hidden = 640, .layers = 1, .heads = 4, .kv_heads = 1, .vocab = 512, .context = 128, .type = TYPE_Q5_1, .seed = 5},
    {.dim = 256, .hidden = 1024, .layers = 2, .heads = 4, .kv_heads = 4, .vocab = 450, .context = 128, .type = TYPE_Q6_K, .seed = 6},
    {.dim = 80, .hidden = 100, .layers = 2, .heads = 5, .kv_heads = 5, .vocab = 290, .context = 128, .type = TYPE_BF16, .seed = 7},
    {.dim = 1024, .hidden = 512, .layers = 1, .heads = 16, .kv_heads = 4, .vocab = 300, .context = 128, .type = TYPE_Q3_K, .seed = 8},
};

static const struct model *model_of(uint64_t index)
{
    static struct simmodel models[MODELS];

    if (models[index].model == NULL)
        simmodel_open(&models[index], &shapes[index]);
    return models[index].model;
}

/* A time from a moment to a second, for actions. */
static uint64_t pick_time(uint64_t seed, enum draw which, uint64_t index)
{
    static const uint64_t scale_ns[] = {1, 1000000, 20000000, 1000000000};

    return pick(seed, which, 2 * index, scale_ns[pick(seed, which, 2 * index + 1, 4)]);
}

static void draw_cluster(struct run *run, uint64_t seed)
{
    struct simcluster_config *config = &run->config;
    bool are_unequal = pick(seed, DRAW_ARE_UNEQUAL, 0, 2) == 1;

    simscenario_draw(&run->scenario, seed, RANKS_MAX);
    config->rank_count = run->scenario.rank_count;
    config->seed = seed;
    config->link = run->scenario.link;
    config->receive_buffer_bytes = run->scenario.receive_buffer_bytes;
    config->batch = (uint16_t)(1 + pick(seed, DRAW_BATCH, 0, PROMPT_MAX));
    config->slots = (uint16_t)(1 + pick(seed, DRAW_SLOTS, 0, REQUESTS_MAX));
    config->unit_ns = 500 + pick(seed, DRAW_UNIT, 0, 20000);
    config->is_star = pick(seed, DRAW_FORM, 0, 4) == 0;
    config->is_whole = pick(seed, DRAW_FORM, 1, 4) == 0;
    memset(config->share, 0, sizeof config->share);
    for (uint16_t r = 0; are_unequal && r < run->scenario.rank_count; r++)
        config->share[r] = (uint32_t)pick(seed, DRAW_SHARE, r, 4);
}

static void draw_requests(struct run *run)
{
    uint64_t seed = run->seed;

    run->request_count = (uint32_t)(1 + pick(seed, DRAW_REQUESTS, 0, REQUESTS_MAX));
    for (uint32_t i = 0; i < run->request_count; i++) {
        uint32_t prompt_max = pick(seed, DRAW_PROMPT, i, 3) == 0 ? PROMPT_MAX : 30;

        simrequest_draw(&run->request[i], mesh_draw(seed, DRAW_REQUEST, i), i + 1, run->config.model->vocab, prompt_max, PREDICT_MAX);
        simrequest_run_alone(&run->request[i], &run->config);
    }
}

static bool fail(struct run *run, uint16_t rank, const struct simrequest *want, const struct simcluster_result *got)
{
    snprintf(run->report->error, sizeof run->report->error,
             "request %" PRIu64 " on rank %u: tokens %u to %u, reason %d, digest %016" PRIx64
             "; alone %u tokens, reason %d, digest %016" PRIx64,
             want->request.id, rank, got->index_first, got->index_first + got->token_count, (int)got->reason, got->digest,
             want->alone.token_count, (int)want->alone.reason, want->alone.digest);
    return false;
}

/* Compares the results on every rank that has heard of the requests. */
static bool compare(struct run *run)
{
    for (uint32_t i = 0; i < run->request_count; i++) {
        const struct simrequest *want = &run->request[i];

        for (uint16_t r = 0; r < run->config.rank_count; r++) {
            const struct simcluster_result *got = simcluster_result(&run->cluster, r, want->request.id);

            if (got->is_done ? !simrequest_is_as_alone(want, got) : !simrequest_agrees(want, got))
                return fail(run, r, want, got);
        }
    }
    if (!simcluster_agrees(&run->cluster))
        snprintf(run->report->error, sizeof run->report->error, "nodes disagree");
    return run->report->error[0] == '\0';
}

static bool open_cluster(struct run *run)
{
    if (simcluster_open(&run->cluster, &run->config) < 0) {
        snprintf(run->report->error, sizeof run->report->error, "cannot open: %s", run->cluster.reason);
        return false;
    }
    for (uint16_t r = 0; r < run->scenario.rank_count; r++)
        run->cluster.node[r].unit_ns *= run->scenario.slow[r];
    simscenario_apply(&run->scenario, run->cluster.sim);
    return true;
}

static bool run_until(struct run *run, uint64_t deadline_ns)
{
    struct mesh_sim_stats stats;
    bool is_done = run->scenario.rank_count == 1
                       ? simcluster_run(&run->cluster, deadline_ns)
                       : simscenario_run(&run->scenario, run->cluster.sim, deadline_ns, simcluster_is_done, &run->cluster);

    mesh_sim_get_stats(run->cluster.sim, &stats);
    run->report->events += stats.events;
    run->report->datagrams += stats.sent;
    run->report->virtual_ns += mesh_sim_now_ns(run->cluster.sim);
    for (uint16_t r = 0; r < run->config.rank_count; r++)
        for (uint32_t i = 0; i < run->cluster.node[r].result_count; i++)
            run->report->tokens += run->cluster.node[r].result[i].token_count;
    return is_done;
}

static void run_to_the_end(struct run *run)
{
    if (!run_until(run, VIRTUAL_S_MAX * UINT64_C(1000000000)))
        snprintf(run->report->error, sizeof run->report->error, "not done after %d virtual seconds", VIRTUAL_S_MAX);
    else
        compare(run);
}

static void plan_actions(struct run *run)
{
    uint64_t seed = run->seed;
    uint16_t ranks = run->config.rank_count;

    for (uint32_t i = 0; i < run->request_count; i++) {
        uint64_t at_ns = i == 0 ? 0 : pick_time(seed, DRAW_TIME, i);

        simcluster_submit_at(&run->cluster, at_ns, (uint16_t)pick(seed, DRAW_RANK, i, ranks), &run->request[i].request);
        if (pick(seed, DRAW_IS_CANCELLED, i, 5) == 0)
            simcluster_cancel_at(&run->cluster, at_ns + pick_time(seed, DRAW_CANCEL_TIME, i),
                                 (uint16_t)pick(seed, DRAW_CANCEL_RANK, i, ranks), i + 1);
    }
}

/* Saves the combined state of all nodes but one; of a single node, its own. False when there is no memory. */
static bool save(struct run *run, struct simsaved *all)
{
    uint16_t ranks = run->config.rank_count, dead = ranks == 1 ? 1 : (uint16_t)pick(run->seed, DRAW_DEAD, 0, ranks);
    bool is_whole = true;

    *all = (struct simsaved){0};
    for (uint16_t r = 0; r < ranks; r++) {
        struct simsaved saved;

        if (r == dead)
            continue;
        is_whole &= simsaved_take(&saved, run->cluster.node[r].engine) == 0;
        for (size_t i = 0; i < saved.count; i++)
            is_whole &= simsaved_add(all, &saved.request[i]) == 0;
        simsaved_release(&saved);
    }
    return is_whole;
}

/* The cluster stops at some time; its requests continue in a cluster of other nodes, on another network. */
static void run_two_epochs(struct run *run)
{
    struct simsaved saved;

    if (run_until(run, pick_time(run->seed, DRAW_STOP_TIME, 0)) || !compare(run))
        return;
    if (!save(run, &saved)) {
        snprintf(run->report->error, sizeof run->report->error, "out of memory");
        return;
    }
    simcluster_close(&run->cluster);
    draw_cluster(run, mesh_draw(run->seed, DRAW_IS_STOPPED, 1));
    if (open_cluster(run)) {
        for (size_t i = 0; i < saved.count; i++)
            simcluster_submit_at(&run->cluster, 0, (uint16_t)(i % run->config.rank_count), &saved.request[i]);
        run_to_the_end(run);
    }
    simsaved_release(&saved);
}

static void describe(struct run *run, uint64_t shape, bool is_stopped)
{
    struct explore_report *report = run->report;

    simscenario_describe(&run->scenario, report->scenario, sizeof report->scenario);
    size_t used = strlen(report->scenario);
    snprintf(report->scenario + used, sizeof report->scenario - used, "; model %" PRIu64 ", %u requests, %u slots, batch %u%s%s%s", shape,
             run->request_count, run->config.slots, run->config.batch, run->config.is_star ? ", star" : "",
             run->config.is_whole ? ", whole" : "", is_stopped ? ", stopped" : "");
}

static void explore_cluster_run(uint64_t seed, struct explore_report *report)
{
    static struct run run;
    uint64_t shape = pick(seed, DRAW_MODEL, 0, MODELS);
    bool is_stopped = pick(seed, DRAW_IS_STOPPED, 0, 3) == 0;

    run.seed = seed;
    run.report = report;
    run.config =
        (struct simcluster_config){.model = model_of(shape), .ctx = CTX, .kv_type = (enum kv_type)pick(seed, DRAW_KV, 0, KV_TYPE_COUNT)};
    draw_cluster(&run, seed);
    draw_requests(&run);
    describe(&run, shape, is_stopped);
    if (open_cluster(&run)) {
        plan_actions(&run);
        if (is_stopped)
            run_two_epochs(&run);
        else
            run_to_the_end(&run);
    }
    simcluster_close(&run.cluster);
}

const struct explore_kind explore_cluster = {"cluster", "whole clusters generate tokens of several requests", 3, explore_cluster_run};
