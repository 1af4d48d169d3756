/* Whole clusters generate tokens over a random network; each must say what one node alone says, to the bit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "libmesh/mix.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simscenario.h"

enum { RANKS_MAX = 9, VIRTUAL_S_MAX = 300, MODELS = 8, PROMPT_MAX = 100 };

enum draw { DRAW_MODEL = 1200, DRAW_BATCH, DRAW_PROMPT, DRAW_PREDICT, DRAW_SHARE, DRAW_ARE_UNEQUAL, DRAW_SAMPLING, DRAW_KV, DRAW_UNIT };

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

static void draw_request(struct request *request, uint32_t prompt[PROMPT_MAX], uint64_t seed, uint32_t vocab)
{
    *request = (struct request){
        .prompt = prompt,
        .prompt_count = (uint32_t)(1 + pick(seed, DRAW_PROMPT, 0, pick(seed, DRAW_PROMPT, PROMPT_MAX + 1, 3) == 0 ? PROMPT_MAX : 30)),
        .predict = (uint32_t)(1 + pick(seed, DRAW_PREDICT, 0, 12)),
        .sampling = {.temperature = 0.9f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f, .seed = seed},
        .ignore_end = true,
        .want_digest = true,
    };
    for (uint32_t i = 0; i < request->prompt_count; i++)
        prompt[i] = (uint32_t)pick(seed, DRAW_PROMPT, i + 1, vocab);
    switch (pick(seed, DRAW_SAMPLING, 0, 4)) {
    case 0:
        request->sampling.temperature = 0.0f;
        break;
    case 1:
        request->sampling.top_k = 0;
        request->sampling.top_p = 1.0f;
        request->sampling.min_p = 0.0f;
        break;
    case 2:
        request->sampling.top_k = 0; /* all logits are gathered */
        break;
    default:
        break;
    }
}

static void draw_cluster(struct simcluster_config *config, const struct simscenario *scenario)
{
    uint64_t seed = scenario->seed;
    bool are_unequal = pick(seed, DRAW_ARE_UNEQUAL, 0, 2) == 1;

    config->rank_count = scenario->rank_count;
    config->seed = seed;
    config->link = scenario->link;
    config->receive_buffer_bytes = scenario->receive_buffer_bytes;
    config->batch = (uint16_t)(1 + pick(seed, DRAW_BATCH, 0, PROMPT_MAX));
    config->unit_ns = 500 + pick(seed, DRAW_UNIT, 0, 20000);
    for (uint16_t r = 0; are_unequal && r < scenario->rank_count; r++)
        config->share[r] = (uint32_t)pick(seed, DRAW_SHARE, r, 4);
}

static void compare(const struct simcluster *cluster, const struct simcluster *alone, struct explore_report *report)
{
    const struct simcluster_node *want = &alone->node[0];

    for (uint16_t r = 0; r < cluster->config.rank_count; r++) {
        const struct simcluster_node *got = &cluster->node[r];

        if (got->token_count == want->token_count && got->digest == want->digest && got->reason == want->reason &&
            memcmp(got->token, want->token, want->token_count * sizeof *want->token) == 0)
            continue;
        snprintf(report->error, sizeof report->error,
                 "rank %u: %u tokens with digest %016" PRIx64 ", one node alone: %u tokens with digest %016" PRIx64, r, got->token_count,
                 got->digest, want->token_count, want->digest);
        return;
    }
}

static void explore_cluster_run(uint64_t seed, struct explore_report *report)
{
    static struct simcluster cluster, alone;
    struct simscenario scenario;
    struct mesh_sim_stats stats;
    uint32_t prompt[PROMPT_MAX];
    struct request request;
    uint64_t shape = pick(seed, DRAW_MODEL, 0, MODELS);
    const struct model *model = model_of(shape);
    struct simcluster_config config = {.model = model, .ctx = 128, .kv_type = (enum kv_type)pick(seed, DRAW_KV, 0, KV_TYPE_COUNT)};

    simscenario_draw(&scenario, seed, RANKS_MAX);
    draw_request(&request, prompt, seed, model->vocab);
    draw_cluster(&config, &scenario);
    struct simcluster_config single = config;
    single.rank_count = 1;
    single.batch = PROMPT_MAX;
    memset(single.share, 0, sizeof single.share);
    simscenario_describe(&scenario, report->scenario, sizeof report->scenario);
    size_t used = strlen(report->scenario);
    snprintf(report->scenario + used, sizeof report->scenario - used, "; model %" PRIu64 ", prompt %u, predict %u, batch %u", shape,
             request.prompt_count, request.predict, config.batch);
    if (simcluster_open(&alone, &single) < 0 || simcluster_open(&cluster, &config) < 0) {
        snprintf(report->error, sizeof report->error, "cannot open: %s%s", alone.reason, cluster.reason);
        return;
    }
    for (uint16_t r = 0; r < scenario.rank_count; r++)
        cluster.node[r].unit_ns *= scenario.slow[r];
    simscenario_apply(&scenario, cluster.sim);
    simcluster_submit(&alone, &request);
    simcluster_run(&alone, UINT64_MAX);
    simcluster_submit(&cluster, &request);
    bool is_done = scenario.rank_count == 1
                       ? simcluster_run(&cluster, UINT64_MAX)
                       : simscenario_run(&scenario, cluster.sim, VIRTUAL_S_MAX * UINT64_C(1000000000), simcluster_is_done, &cluster);
    if (!is_done)
        snprintf(report->error, sizeof report->error, "not done after %d virtual seconds: rank 0 has %u of %u tokens", VIRTUAL_S_MAX,
                 cluster.node[0].token_count, request.predict);
    else
        compare(&cluster, &alone, report);
    mesh_sim_get_stats(cluster.sim, &stats);
    report->events = stats.events;
    report->datagrams = stats.sent;
    report->virtual_ns = mesh_sim_now_ns(cluster.sim);
    simcluster_close(&cluster);
    simcluster_close(&alone);
}

const struct explore_kind explore_cluster = {"cluster", "whole clusters generate tokens", explore_cluster_run};
