/* The model that the project ships, judged on stories that it was not trained on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/common/pool.h"
#include "node/gguf/gguf.h"
#include "node/model/model.h"
#include "node/stories/stories.h"
#include "node/tokenizer/tokenizer.h"
#include "node/train/corpus.h"
#include "node/train/train_batch.h"
#include "node/train/train_pass.h"
#include "tests/unit/model_logits.h"
#include "tests/unit/trigram.h"

#define MODEL "node/models/stories-q8_0.gguf"

/* As the model card states. A shorter corpus begins with the same stories and holds out the same ones of them: enough for an instrumented
 * build. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEED = 1, STORIES = 20000, STORIES_READ = 100, HELD_OUT_PERMILLE = 50 };
#else
enum { SEED = 1, STORIES = 20000, STORIES_READ = STORIES, HELD_OUT_PERMILLE = 50 };
#endif

static struct gguf *gguf;
static struct model *model;
static struct tokenizer *tokenizer;
static struct corpus corpus;
static struct train_layout layout;
static float *weights;
static char *text;
static size_t text_size;

static void write_stories(void)
{
    size_t room = (size_t)STORIES_READ * (STORIES_BYTES_MAX + sizeof STORIES_SEPARATOR);

    text = malloc(room);
    assert_non_null(text);
    for (uint64_t i = 0; i < STORIES_READ; i++) {
        if (i > 0) {
            memcpy(text + text_size, STORIES_SEPARATOR, sizeof STORIES_SEPARATOR - 1);
            text_size += sizeof STORIES_SEPARATOR - 1;
        }
        text_size += stories_write(SEED, i, text + text_size, room - text_size);
    }
    text[text_size++] = '\n';
}

/* The file's matrices in f32, in training's layout. */
static void take_weights(void)
{
    weights = calloc(layout.count, sizeof *weights);
    assert_non_null(weights);
    for (size_t t = 0; t < layout.tensors; t++) {
        const struct train_tensor *to = &layout.tensor[t];
        const struct gguf_tensor *from = gguf_find_tensor(gguf, to->name);

        assert_non_null(from);
        assert_int_equal(from->dims[0] * from->dims[1], (uint64_t)to->rows * to->columns);
        tensor_type_dequantise((enum tensor_type)from->type, from->data, (size_t)to->rows * to->columns, weights + to->first);
    }
}

static int open_all(void **state)
{
    struct fail fail = {0};

    (void)state;
    gguf = gguf_open(MODEL, &fail);
    if (gguf == NULL)
        fail_msg("%s", fail.text);
    model = model_open(gguf, &fail);
    tokenizer = tokenizer_open(gguf, &fail);
    assert_non_null(model);
    assert_non_null(tokenizer);
    const struct train_shape shape = {.dim = model->dim,
                                      .hidden = model->hidden,
                                      .layers = model->layers,
                                      .heads = model->heads,
                                      .kv_heads = model->kv_heads,
                                      .vocab = model->vocab,
                                      .ctx = model->ctx};
    assert_int_equal(train_layout_init(&layout, &shape, &fail), 0);
    take_weights();
    write_stories();
    return corpus_init(&corpus, tokenizer, text, text_size, SEED, HELD_OUT_PERMILLE, &fail);
}

static int close_all(void **state)
{
    (void)state;
    corpus_release(&corpus);
    tokenizer_close(tokenizer);
    model_close(model);
    gguf_close(gguf);
    free(weights);
    free(text);
    return 0;
}

static void it_was_trained_on_what_the_generator_writes(void **state)
{
    struct gguf_string description;
    struct fail fail = {0};
    char expected[80], said[300];

    (void)state;
    if (STORIES_READ < STORIES)
        skip(); /* too long for an instrumented build */
    assert_int_equal(gguf_get_string(gguf, "general.description", &description, &fail), 1);
    snprintf(said, sizeof said, "%.*s", (int)description.size, description.text);
    snprintf(expected, sizeof expected, "text of %zu bytes with hash %016llx", text_size,
             (unsigned long long)hash_bytes(0, text, text_size));
    if (strstr(said, expected) == NULL)
        fail_msg("the model says '%s', the generator writes a %s", said, expected);
}

static struct train_text held_out_text(uint32_t *documents)
{
    struct train_text judged = {corpus.ids, corpus.starts, documents, 0};

    for (uint32_t i = 0; i < corpus.document_count; i++)
        if (corpus_is_held_out(&corpus, i))
            documents[judged.count++] = i;
    return judged;
}

static double held_out_loss(void)
{
    enum { ROWS = 4 };
    struct train_cursor cursor = {0};
    struct fail fail = {0};
    uint32_t *documents = calloc(corpus.document_count, sizeof *documents);
    uint32_t *id = calloc((size_t)ROWS * model->ctx, sizeof *id), *target = calloc((size_t)ROWS * model->ctx, sizeof *target);
    const struct train_text judged = held_out_text(documents);
    struct team *team = team_open(pool_cores(), &fail);
    struct train_pass pass;
    double loss = 0.0;
    size_t done = 0, pairs;

    assert_non_null(team);
    assert_int_equal(train_pass_open(&pass, &layout, kernel_choose(NULL), team, ROWS, weights, &fail), 0);
    while ((pairs = train_batch_next(&judged, &cursor, ROWS, model->ctx, id, target)) > 0) {
        loss += (double)train_pass_forward(&pass, id, target) * (double)pairs;
        done += pairs;
    }
    assert_int_equal(done, corpus.held_out_token_count - corpus.held_out_document_count);
    train_pass_close(&pass);
    team_close(team);
    free(documents);
    free(id);
    free(target);
    return loss / (double)done;
}

static void it_beats_a_trigram_model_of_the_same_corpus(void **state)
{
    struct trigram *trigram = trigram_train(&corpus, model->vocab);
    const double wanted = trigram_held_out_loss(trigram, &corpus), loss = held_out_loss();

    (void)state;
    trigram_free(trigram);
    print_message("held-out loss per token: %.4f, of a trigram model %.4f\n", loss, wanted);
    assert_true(loss < 0.7 * wanted);
}

/* Training is in f32, the engine quantises activations: results are close, and equal where it matters. */
static void the_engine_computes_what_training_computed(void **state)
{
    enum { TOKENS = 24 };
    const size_t first = corpus.starts[0];
    struct fail fail = {0};
    struct team *team = team_open(1, &fail);
    float *logits = calloc((size_t)TOKENS * model->vocab, sizeof *logits);
    uint32_t *target = calloc(model->ctx, sizeof *target), *id = calloc(model->ctx, sizeof *id);
    struct train_pass pass;

    (void)state;
    assert_true(corpus.starts[1] - first > TOKENS);
    memcpy(id, corpus.ids + first, (TOKENS + 1) * sizeof *id);
    for (size_t t = 0; t < model->ctx; t++)
        target[t] = t < TOKENS ? id[t + 1] : TRAIN_IGNORED;
    assert_int_equal(train_pass_open(&pass, &layout, kernel_choose(NULL), team, 1, weights, &fail), 0);
    train_pass_forward(&pass, id, target);
    model_logits(model, 2, KV_F16, id, TOKENS, logits);
    for (size_t t = 0; t < TOKENS; t++) {
        const float *row = logits + t * model->vocab;
        double sum = 0.0;

        for (size_t i = 0; i < model->vocab; i++)
            sum += exp((double)row[i]);
        if (fabs(log(sum) - (double)row[target[t]] - pass.token_loss[t]) > 0.1)
            fail_msg("token %zu: a loss of %.3f in the engine, of %.3f in training", t, log(sum) - (double)row[target[t]],
                     pass.token_loss[t]);
    }
    train_pass_close(&pass);
    team_close(team);
    free(logits);
    free(target);
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_was_trained_on_what_the_generator_writes),
        cmocka_unit_test(it_beats_a_trigram_model_of_the_same_corpus),
        cmocka_unit_test(the_engine_computes_what_training_computed),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
