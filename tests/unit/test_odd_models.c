/* Models of any shape, with a separate type for each matrix, on clusters divided in any way: the bits are those of docs/ARITHMETIC.md,
 * implemented a second time in plainmodel.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "oddmodel.h"
#include "plainmodel.h"
#include "simcluster.h"

enum {
    PROMPT = 20,
    SEEDS = 24,
    CUTS = 3,
    SHORT_PROMPT = 90,
    LONG_PROMPT = 560,
    CTX = 600,
    PREDICT_MAX = 4,
    VOCAB_MAX = 350,
    RANKS_MAX = 6,
    SLOTS_MAX = 3
};
#define DEADLINE_NS UINT64_C(60000000000)

static uint32_t prompt[PROMPT];

static const struct request four_tokens = {
    .id = 1,
    .prompt = prompt,
    .prompt_count = PROMPT,
    .predict = 4,
    .sampling = {.top_p = 1, .repeat_penalty = 1},
    .ignore_end = true,
    .want_digest = true,
};

static enum tensor_type only_the_first_layer_reads_floats(const char *name, uint64_t columns, uint64_t seed)
{
    (void)columns;
    (void)seed;
    return strcmp(name, "blk.0.attn_q.weight") == 0 ? TYPE_F16 : TYPE_Q8_0;
}

static struct simcluster_result run(const struct model *model, uint16_t ranks, uint16_t batch)
{
    const struct simcluster_config config = {
        .model = model, .rank_count = ranks, .batch = batch, .ctx = 64, .seed = ranks, .link = {.delay_ns = 20000}, .unit_ns = 1000};
    static struct simcluster cluster;

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    simcluster_submit(&cluster, &four_tokens);
    assert_true(simcluster_run(&cluster, DEADLINE_NS));
    assert_true(simcluster_agrees(&cluster));
    const struct simcluster_result result = *simcluster_result(&cluster, 0, 1);
    simcluster_close(&cluster);
    assert_int_equal(result.reason, ENGINE_DONE_LENGTH);
    return result;
}

/* Then the embedding is the only gather of f32, and has the longest blocks. */
static void the_first_layer_alone_may_read_floats(void **state)
{
    const struct oddmodel_shape shape = {
        .dim = 512, .hidden = 256, .layers = 1, .heads = 4, .kv_heads = 2, .head_dim = 32, .vocab = 100, .ctx = 64, .rope_dims = 32};
    struct oddmodel odd;

    (void)state;
    oddmodel_open(&odd, &shape, only_the_first_layer_reads_floats);
    const struct simcluster_result alone = run(odd.model, 1, 1), together = run(odd.model, 1, PROMPT), three = run(odd.model, 3, 7);
    assert_true(alone.digest != 0 && together.digest == alone.digest && three.digest == alone.digest);
    oddmodel_close(&odd);
}

/* ---- any model ---- */

/* Numbers from a seed, one after the other. */
struct draws {
    uint64_t seed, count;
};

static uint32_t draw(struct draws *d, uint32_t bound)
{
    return (uint32_t)(hash_words3(d->seed, d->count++, 1) % bound);
}

static struct oddmodel_shape draw_shape(struct draws *d)
{
    static const uint32_t head_dims[] = {2, 6, 16, 20, 32, 33, 40, 64, 72, 128}, dims[] = {20, 64, 96, 100, 160, 256, 288, 300, 512},
                          hiddens[] = {30, 64, 96, 256, 320, 330, 512};
    static const char *const architectures[] = {"llama", "llama", "qwen2", "qwen3"};
    struct oddmodel_shape s = {.layers = 1 + draw(d, 3), .kv_heads = 1 + draw(d, 3), .vocab = 17 + draw(d, VOCAB_MAX - 17), .ctx = CTX};

    s.head_dim = head_dims[draw(d, sizeof head_dims / sizeof *head_dims)];
    s.heads = s.kv_heads * (1 + draw(d, 5));
    s.dim = dims[draw(d, sizeof dims / sizeof *dims)];
    s.hidden = hiddens[draw(d, sizeof hiddens / sizeof *hiddens)];
    s.rope_dims = 2 * (1 + draw(d, s.head_dim / 2));
    s.is_tied = draw(d, 3) == 0;
    s.seed = d->seed;
    s.architecture = architectures[(d->seed - 1) / 6 % 4];
    return s;
}

/* A text to continue, and the result according to the specification: the likeliest tokens, and the digest of all logits. */
struct text {
    uint32_t token[LONG_PROMPT + PREDICT_MAX];
    uint32_t prompt_count, predict;
    enum kv_type kv_type;
    uint64_t digest;
};

static void draw_text(struct draws *d, const struct model *model, struct text *text)
{
    static float logits[VOCAB_MAX];

    *text = (struct text){.predict = 1 + draw(d, PREDICT_MAX), .kv_type = (enum kv_type)draw(d, KV_TYPE_COUNT)};
    text->prompt_count = 1 + draw(d, draw(d, 8) == 0 ? LONG_PROMPT : SHORT_PROMPT);
    struct plainmodel *plain = plainmodel_open(model, text->kv_type, text->prompt_count + text->predict);
    for (uint32_t i = 0; i < text->prompt_count; i++)
        text->token[i] = draw(d, model->vocab);
    for (uint32_t i = 0; i + 1 < text->prompt_count + text->predict; i++) {
        const bool is_drawn = i + 1 >= text->prompt_count;
        uint32_t best = 0;

        plainmodel_step(plain, text->token[i], is_drawn ? logits : NULL);
        for (uint32_t id = 0; is_drawn && id < model->vocab; id++) {
            uint32_t bits;

            memcpy(&bits, &logits[id], sizeof bits);
            text->digest += hash_words3(i + 1, id, bits);
            best = logits[id] > logits[best] ? id : best;
        }
        if (is_drawn)
            text->token[i + 1] = best;
    }
    plainmodel_close(plain);
}

/* Any permitted numbers of nodes, of tokens at once, and of rows of each; and any kernel. */
static struct simcluster_config draw_cut(struct draws *d, const struct model *model, enum kv_type kv_type)
{
    static const uint16_t batches[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 63, 64, 65, 100};
    struct simcluster_config config = {.model = model, .ctx = CTX, .kv_type = kv_type, .link = {.delay_ns = 20000}, .unit_ns = 1000};
    const struct kernel *kernel;

    config.rank_count = (uint16_t)(1 + draw(d, RANKS_MAX));
    config.batch = batches[draw(d, sizeof batches / sizeof *batches)];
    config.slots = (uint16_t)(1 + draw(d, SLOTS_MAX));
    config.is_whole = draw(d, 4) == 0;
    config.is_star = draw(d, 4) == 0 && config.rank_count > 1;
    config.seed = d->seed;
    for (uint16_t r = 0; r < config.rank_count; r++)
        config.share[r] = draw(d, 4);
    config.share[draw(d, config.rank_count)] = 2;
    do
        kernel = kernel_at(draw(d, 3));
    while (kernel == NULL || !kernel->supported());
    config.kernel = kernel->name;
    return config;
}

/* The same text several times at once: its pieces are at different places of a step, and are divided differently. */
static void submit_text(struct simcluster *cluster, const struct text *text, struct request *request, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        request[i] = (struct request){.id = i + 1u,
                                      .prompt = text->token,
                                      .prompt_count = text->prompt_count,
                                      .predict = text->predict,
                                      .sampling = {.top_p = 1, .repeat_penalty = 1},
                                      .ignore_end = true,
                                      .want_digest = true};
        simcluster_submit(cluster, &request[i]);
    }
}

static void compare_cut(struct draws *d, const struct model *model, struct text *text)
{
    const struct simcluster_config config = draw_cut(d, model, text->kv_type);
    struct request request[SLOTS_MAX];
    static struct simcluster cluster;

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    submit_text(&cluster, text, request, config.slots);
    assert_true(simcluster_run(&cluster, DEADLINE_NS));
    assert_true(simcluster_agrees(&cluster));
    for (uint16_t i = 0; i < config.slots; i++) {
        const struct simcluster_result *result = simcluster_result(&cluster, 0, request[i].id);

        if (result->token_count != text->predict || result->digest != text->digest ||
            memcmp(result->token, text->token + text->prompt_count, text->predict * sizeof *text->token) != 0)
            fail_msg("%u ranks, batch %u, %u slots, kernel %s, KV %d%s%s: other bits than the specification's", config.rank_count,
                     config.batch, config.slots, config.kernel, config.kv_type, config.is_star ? ", star" : "",
                     config.is_whole ? ", whole" : "");
    }
    simcluster_close(&cluster);
}

static void compare_seed(uint64_t seed)
{
    struct draws d = {.seed = seed};
    const struct oddmodel_shape shape = draw_shape(&d);
    struct oddmodel odd;
    struct text text;

    print_message("MESH_TEST_SEED=%llu build/x86_64/tests/test_odd_models: %s, dim %u, hidden %u, %u layers, %u of %u heads of %u, vocab "
                  "%u\n",
                  (unsigned long long)seed, shape.architecture, shape.dim, shape.hidden, shape.layers, shape.kv_heads, shape.heads,
                  shape.head_dim, shape.vocab);
    oddmodel_open(&odd, &shape, oddmodel_any_type);
    draw_text(&d, odd.model, &text);
    for (int i = 0; i < CUTS; i++)
        compare_cut(&d, odd.model, &text);
    oddmodel_close(&odd);
}

static void any_shape_of_any_types_cut_in_any_way_gives_the_bits_of_the_specification(void **state)
{
    const char *seed = getenv("MESH_TEST_SEED");

    (void)state;
    for (uint64_t i = 1; seed == NULL && i <= SEEDS; i++)
        compare_seed(i);
    if (seed != NULL)
        compare_seed(strtoull(seed, NULL, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_shape_of_any_types_cut_in_any_way_gives_the_bits_of_the_specification),
        cmocka_unit_test(the_first_layer_alone_may_read_floats),
    };

    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = (1 + i * 37) % 100;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
