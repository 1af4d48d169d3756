/* Any bytes as a model: refused with a message, or used for computing. Whatever the shapes, types, rope and weights of the file, NaN and
 * infinity among them (a norm with these is refused), a request ends with tokens of the vocabulary or with an error, and a prompt in one
 * step has the same bits as with one token a step. */
#include <assert.h>
#include <string.h>

#include "tests/unit/simcluster.h"

enum { DIM_MAX = 512, HEAD_DIM_MAX = 512, LAYERS_MAX = 2, VOCAB_MAX = 512, CTX_MAX = 16, PROMPT = 3, PREDICT = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Larger models would only take longer. */
static bool is_small(const struct model *m)
{
    return m->dim <= DIM_MAX && m->hidden <= DIM_MAX && m->heads * m->head_dim <= DIM_MAX && m->head_dim <= HEAD_DIM_MAX &&
           m->layers <= LAYERS_MAX && m->vocab <= VOCAB_MAX;
}

static struct simcluster_result run(const struct model *model, uint16_t batch)
{
    const uint32_t prompt[PROMPT] = {0, model->vocab - 1, model->vocab / 2}, ctx = model->ctx < CTX_MAX ? model->ctx : CTX_MAX;
    const struct simcluster_config config = {.model = model,
                                             .rank_count = 1,
                                             .batch = batch,
                                             .ctx = ctx,
                                             .kv_type = (enum kv_type)(model->vocab % KV_TYPE_COUNT),
                                             .unit_ns = 1000};
    const struct request request = {
        .id = 1,
        .prompt = prompt,
        .prompt_count = ctx < PROMPT ? ctx : PROMPT,
        .predict = PREDICT,
        .sampling = {.temperature = 1, .top_k = 3, .top_p = 0.5f, .min_p = 0.1f, .repeat_penalty = 1.5f, .seed = 1},
        .want_digest = true,
    };
    static struct simcluster cluster;
    struct simcluster_result result;

    if (simcluster_open(&cluster, &config) < 0) { /* norms are checked as they are loaded */
        assert(strstr(cluster.reason, "is not a finite number") != NULL);
        simcluster_close(&cluster);
        return (struct simcluster_result){.is_done = true, .reason = ENGINE_DONE_ERROR};
    }
    simcluster_submit(&cluster, &request);
    const bool is_done = simcluster_run(&cluster, UINT64_C(60000000000));
    assert(is_done);
    result = *simcluster_result(&cluster, 0, 1);
    assert(result.is_done && (result.reason == ENGINE_DONE_ERROR || result.token_count > 0));
    for (uint32_t i = 0; i < result.token_count; i++)
        assert(result.token[i] < model->vocab);
    simcluster_close(&cluster);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fail fail = {0};
    struct gguf *gguf = gguf_parse("fuzz.gguf", data, size, &fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, &fail);

    assert(model != NULL || (fail.exit_code == EXIT_BAD_FILE && strncmp(fail.text, "fuzz.gguf: ", 11) == 0));
    if (model != NULL && is_small(model)) {
        const struct simcluster_result one = run(model, 1), all = run(model, PROMPT);

        assert(one.reason == all.reason && one.token_count == all.token_count && one.digest == all.digest);
        assert(memcmp(one.token, all.token, one.token_count * sizeof *one.token) == 0);
    }
    model_close(model);
    gguf_close(gguf);
    return 0;
}
