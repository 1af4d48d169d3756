#include "tests/unit/model_logits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/simcluster.h"

/* Each node has the logits of its own rows; those of others are 0. */
static void logits_after(const struct simcluster_config *config, uint32_t *ids, uint32_t count, float *out)
{
    static struct simcluster cluster;
    struct request request = {
        .id = 1, .prompt = ids, .prompt_count = count, .predict = 1, .sampling = {.top_p = 1.0f, .repeat_penalty = 1.0f}};
    const uint32_t vocab = config->model->vocab;

    if (simcluster_open(&cluster, config) < 0)
        fail_msg("%s", cluster.reason);
    for (uint16_t r = 0; r < config->rank_count; r++)
        cluster.node[r].logits = calloc(vocab, sizeof(float));
    simcluster_submit(&cluster, &request);
    assert_true(simcluster_run(&cluster, 10000000000u));
    for (uint32_t i = 0; i < vocab; i++) {
        out[i] = 0;
        for (uint16_t r = 0; r < config->rank_count; r++)
            out[i] += cluster.node[r].logits[i];
    }
    simcluster_close(&cluster);
}

void model_logits(const struct model *model, uint16_t ranks, enum kv_type kv_type, uint32_t *ids, uint32_t count, float *out)
{
    const struct simcluster_config config = {
        .model = model, .rank_count = ranks, .kv_type = kv_type, .batch = 16, .ctx = 64, .link = {.delay_ns = 20000}, .unit_ns = 1000};

    for (uint32_t p = 0; p < count; p++)
        logits_after(&config, ids, p + 1, out + (size_t)p * model->vocab);
}
