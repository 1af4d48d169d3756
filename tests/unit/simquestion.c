#include "simquestion.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "simmodel.h"
#include "simrequest.h"

enum draw { DRAW_SIZE = 5000, DRAW_LETTER, DRAW_PREDICT, DRAW_SAMPLING, DRAW_SEED, DRAW_ENDS, DRAW_SHARED };

/* Small, and awkward in different ways: short blocks and slices, one KV head, heads that are no multiple of 32 rows, floats. */
static const struct synth_options shapes[SIMQUESTION_MODELS] = {
    {.dim = 64, .hidden = 96, .layers = 1, .heads = 4, .kv_heads = 2, .vocab = 300, .context = 128, .type = TYPE_Q8_0, .seed = 1},
    {.dim = 96, .hidden = 160, .layers = 2, .heads = 6, .kv_heads = 3, .vocab = 310, .context = 128, .type = TYPE_Q4_0, .seed = 2},
    {.dim = 72, .hidden = 172, .layers = 1, .heads = 6, .kv_heads = 1, .vocab = 290, .context = 128, .type = TYPE_F32, .seed = 3},
    {.dim = 160, .hidden = 64, .layers = 1, .heads = 5, .kv_heads = 5, .vocab = 333, .context = 128, .type = TYPE_BF16, .seed = 4},
};

static const char *const architectures[SIMQUESTION_MODELS] = {"llama", "qwen3", "llama", "qwen2"};
static const enum kv_type kv_types[SIMQUESTION_MODELS] = {KV_F16, KV_Q8_0, KV_F32, KV_F16};

static uint64_t pick(uint64_t seed, enum draw which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(seed, which, index), limit);
}

const struct simquestion_model *simquestion_model(unsigned model)
{
    static struct simquestion_model all[SIMQUESTION_MODELS];
    static struct simmodel synth[SIMQUESTION_MODELS];
    struct synth_options shape = shapes[model];
    struct fail fail;

    if (all[model].model == NULL) {
        shape.architecture = architectures[model];
        simmodel_open(&synth[model], &shape);
        all[model].kv_type = kv_types[model];
        all[model].model = synth[model].model;
        all[model].tokenizer = tokenizer_open(synth[model].gguf, &fail);
        assert(all[model].tokenizer != NULL);
    }
    return &all[model];
}

static void draw_sampling(struct sampling *s, uint64_t seed)
{
    *s = (struct sampling){.temperature = 0.9f, .top_k = 20, .top_p = 0.95f, .min_p = 0.02f, .repeat_penalty = 1.1f, .seed = seed};
    simrequest_vary(s, pick(seed, DRAW_SAMPLING, 0, SIMREQUEST_KINDS));
}

/* Three of four begin like an earlier one, half of these with all of it, as the next question of a conversation does. */
static size_t begin(struct simquestion *q, unsigned model, unsigned index, uint64_t seed)
{
    const struct simquestion *before;
    size_t all;

    if (index == 0 || pick(seed, DRAW_SHARED, 0, 4) == 0)
        return 0;
    before = simquestion(model, (unsigned)pick(seed, DRAW_SHARED, 1, index));
    all = before->ask.text_size;
    memcpy(q->text, before->text, all);
    return pick(seed, DRAW_SHARED, 2, 2) == 0 ? all : pick(seed, DRAW_SHARED, 3, all + 1);
}

static void draw(struct simquestion *q, unsigned model, unsigned index)
{
    const uint64_t seed = mesh_draw(model, DRAW_SEED, index);
    const size_t shared = begin(q, model, index, seed);
    const size_t more = 1 + pick(seed, DRAW_SIZE, 0, pick(seed, DRAW_SIZE, 1, 3) == 0 ? SIMQUESTION_TEXT_MAX - 1 : 12);
    const size_t size = shared + more < SIMQUESTION_TEXT_MAX ? shared + more : SIMQUESTION_TEXT_MAX - 1;

    for (size_t i = shared; i < size; i++) {
        uint64_t letter = pick(seed, DRAW_LETTER, i, 30);

        q->text[i] = letter < 26 ? (char)('a' + letter) : ' ';
    }
    q->ask = (struct client_message){.kind = CLIENT_MESSAGE_ASK, .text = q->text, .text_size = size};
    q->ask.ask = (struct client_message_ask){
        .predict = (uint32_t)(1 + pick(seed, DRAW_PREDICT, 0, 50)), .ignore_end = pick(seed, DRAW_ENDS, 0, 3) > 0, .want_digest = true};
    draw_sampling(&q->ask.ask.sampling, seed);
}

static void answer(struct simquestion *q, const struct simquestion_model *model)
{
    static struct simrequest r;
    const int64_t end = tokenizer_eos(model->tokenizer);
    const uint32_t end_token = (uint32_t)end;
    const struct simcluster_config config = {
        .model = model->model, .ctx = SIMQUESTION_CTX, .kv_type = model->kv_type, .end_token = end >= 0 ? &end_token : NULL};
    uint32_t *ids = NULL;
    size_t count = 0;
    struct fail fail;

    if (tokenizer_encode(model->tokenizer, q->text, q->ask.text_size, true, &ids, &count, &fail) < 0 || count > SIMREQUEST_PROMPT_MAX)
        abort();
    memcpy(r.prompt, ids, count * sizeof *ids);
    free(ids);
    q->prompt_count = (uint32_t)count;
    r.request = (struct request){.id = 1,
                                 .prompt = r.prompt,
                                 .prompt_count = q->prompt_count,
                                 .predict = q->ask.ask.predict,
                                 .sampling = q->ask.ask.sampling,
                                 .ignore_end = q->ask.ask.ignore_end,
                                 .want_digest = true};
    simrequest_run_alone(&r, &config);
    q->alone = r.alone;
}

const struct simquestion *simquestion(unsigned model, unsigned index)
{
    static struct simquestion all[SIMQUESTION_MODELS][SIMQUESTIONS];
    struct simquestion *q = &all[model][index];

    if (q->prompt_count == 0) {
        draw(q, model, index);
        answer(q, simquestion_model(model));
    }
    return q;
}
