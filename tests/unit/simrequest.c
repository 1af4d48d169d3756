#include "simrequest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum draw { DRAW_COUNT = 1300, DRAW_TOKEN, DRAW_PREDICT, DRAW_SAMPLING };

static const uint32_t one_token_prompt[] = {7};
const struct request simrequest_one_token = {
    .id = 1,
    .prompt = one_token_prompt,
    .prompt_count = 1,
    .predict = 1,
    .sampling = {.temperature = 0.9f, .top_k = 1, .top_p = 0.95f, .repeat_penalty = 1.0f, .seed = 7},
    .ignore_end = true,
};

static uint64_t pick(uint64_t seed, enum draw which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(seed, which, index), limit);
}

void simrequest_vary(struct sampling *s, uint64_t kind)
{
    switch (kind) {
    case 0:
        s->temperature = 0.0f;
        break;
    case 1: /* a rank's own best candidate suffices */
        s->top_k = 0;
        s->top_p = 1.0f;
        s->min_p = 0.0f;
        break;
    case 2: /* all logits are gathered */
        s->top_k = 0;
        break;
    default:
        break;
    }
}

void simrequest_draw(struct simrequest *r, uint64_t seed, uint64_t id, uint32_t vocab, uint32_t prompt_max, uint32_t predict_max)
{
    struct sampling *s = &r->request.sampling;

    assert(prompt_max <= SIMREQUEST_PROMPT_MAX && predict_max <= SIMCLUSTER_TOKENS_MAX);
    r->request = (struct request){
        .id = id,
        .prompt = r->prompt,
        .prompt_count = (uint32_t)(1 + pick(seed, DRAW_COUNT, 0, prompt_max)),
        .predict = (uint32_t)(1 + pick(seed, DRAW_PREDICT, 0, predict_max)),
        .sampling = {.temperature = 0.9f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f, .seed = seed},
        .ignore_end = true,
        .want_digest = true,
    };
    for (uint32_t i = 0; i < r->request.prompt_count; i++)
        r->prompt[i] = (uint32_t)pick(seed, DRAW_TOKEN, i, vocab);
    simrequest_vary(s, pick(seed, DRAW_SAMPLING, 0, SIMREQUEST_KINDS));
}

void simrequest_run_alone(struct simrequest *r, const struct simcluster_config *config)
{
    struct simcluster *cluster = malloc(sizeof *cluster);
    const struct simcluster_config single = {
        .model = config->model,
        .rank_count = 1,
        .batch = SIMREQUEST_PROMPT_MAX,
        .ctx = config->ctx,
        .kv_type = config->kv_type,
        .end_token = config->end_token,
        .unit_ns = 1,
    };
    bool is_done;

    assert(cluster != NULL);
    is_done = simcluster_open(cluster, &single) == 0;
    assert(is_done);
    simcluster_submit(cluster, &r->request);
    is_done = simcluster_run(cluster, UINT64_MAX);
    assert(is_done);
    (void)is_done;
    r->alone = *simcluster_result(cluster, 0, r->request.id);
    simcluster_close(cluster);
    free(cluster);
}

/* The index of the result's first token among the tokens of the run alone. */
static uint32_t first_of(const struct simcluster_result *result)
{
    return result->token_count == 0 ? 0 : result->index_first;
}

bool simrequest_agrees(const struct simrequest *r, const struct simcluster_result *result)
{
    uint32_t first = first_of(result);

    return first + result->token_count <= r->alone.token_count &&
           memcmp(result->token, r->alone.token + first, result->token_count * sizeof *result->token) == 0;
}

bool simrequest_is_as_alone(const struct simrequest *r, const struct simcluster_result *result)
{
    uint32_t first = first_of(result);

    if (!simrequest_agrees(r, result) || !result->is_done)
        return false;
    return result->reason == ENGINE_DONE_CANCELLED ||
           (result->reason == r->alone.reason && first + result->token_count == r->alone.token_count &&
            (first > 0 || result->digest == r->alone.digest));
}
