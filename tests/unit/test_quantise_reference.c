/* The quantisers of this project compared with those of another program, on the random weights of ref-f32: how far the weights move, and
 * the logits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/quantise/quantise_file.h"
#include "tests/unit/model_folder.h"
#include "tests/unit/model_logits.h"

enum { POSITIONS = 16, VOCAB = 512 };

static const struct {
    enum tensor_type type;
    const char *theirs;
} cases[] = {
    {TYPE_F16, "ref-f16.gguf"},     {TYPE_BF16, "ref-bf16.gguf"},   {TYPE_Q8_0, "ref-q8_0.gguf"},   {TYPE_Q4_0, "ref-q4_0.gguf"},
    {TYPE_Q4_1, "ref-q4_1.gguf"},   {TYPE_Q5_0, "ref-q5_0.gguf"},   {TYPE_Q5_1, "ref-q5_1.gguf"},   {TYPE_Q2_K, "ref-q2_k.gguf"},
    {TYPE_Q3_K, "ref-q3_k_s.gguf"}, {TYPE_Q4_K, "ref-q4_k_s.gguf"}, {TYPE_Q5_K, "ref-q5_k_s.gguf"}, {TYPE_Q6_K, "ref-q6_k.gguf"},
};
enum { CASES = sizeof cases / sizeof *cases };
/* An instrumented build reads every third type: it looks for wrong accesses, the plain one for wrong numbers. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 3 };
#else
enum { STRIDE = 1 };
#endif

static uint32_t ids[POSITIONS] = {1, 400, 17, 311, 263, 500, 88, 301, 45, 402, 9, 270, 333, 120, 410, 260};
static char folder[] = "/tmp/test_quantise_reference.XXXXXX";
static char source[MODEL_PATH_MAX];
static struct gguf *reference;
static float reference_logits[POSITIONS * VOCAB];

static struct gguf *open_file(const char *path)
{
    struct fail fail = {0};
    struct gguf *gguf = gguf_open(path, &fail);

    if (gguf == NULL)
        fail_msg("%s", fail.text);
    return gguf;
}

static void compute_logits(const struct gguf *gguf, float *out)
{
    struct fail fail = {0};
    struct model *model = model_open(gguf, &fail);

    if (model == NULL)
        fail_msg("%s", fail.text);
    assert_int_equal(model->vocab, VOCAB);
    model_logits(model, 1, KV_F16, ids, POSITIONS, out);
    model_close(model);
}

static int open_reference(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    if (!model_folder_path("ref-f32.gguf", source))
        return 0;
    reference = open_file(source);
    compute_logits(reference, reference_logits);
    return 0;
}

static int close_reference(void **state)
{
    (void)state;
    gguf_close(reference);
    return rmdir(folder);
}

static struct gguf *quantise_reference(enum tensor_type type)
{
    struct quantise_file_report report;
    struct fail fail = {0};
    char path[64];

    snprintf(path, sizeof path, "%s/ours.gguf", folder);

    const struct quantise_file_options options = {.in = source, .out = path, .type = type, .threads = 2};

    if (quantise_file(&options, &report, &fail) < 0)
        fail_msg("%s", fail.text);

    struct gguf *gguf = open_file(path);

    unlink(path);
    return gguf;
}

static struct gguf *open_theirs(size_t index)
{
    char path[MODEL_PATH_MAX];

    assert_true(model_folder_path(cases[index].theirs, path));
    return open_file(path);
}

static const struct gguf_tensor *find_like(const struct gguf *gguf, const struct gguf_tensor *tensor)
{
    char name[GGUF_NAME_MAX + 1];

    snprintf(name, sizeof name, "%.*s", (int)tensor->name.size, tensor->name.text);
    assert_non_null(gguf_find_tensor(gguf, name));
    return gguf_find_tensor(gguf, name);
}

static float *weights_of(const struct gguf_tensor *tensor, size_t *count)
{
    float *values;

    *count = (size_t)(tensor->dims[0] * tensor->dims[1]);
    values = malloc(*count * sizeof *values);
    assert_non_null(values);
    tensor_type_dequantise((enum tensor_type)tensor->type, tensor->data, *count, values);
    return values;
}

/* Root of the sum of squared differences of all matrices. */
static double weight_distance(const struct gguf *gguf)
{
    double sum = 0;

    for (size_t t = 0; t < gguf_tensor_count(reference); t++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(reference, t);
        size_t count = 0, same = 0;
        float *expected = weights_of(tensor, &count);
        float *found = weights_of(find_like(gguf, tensor), &same);

        assert_int_equal(count, same);
        for (size_t i = 0; i < count; i++)
            sum += ((double)found[i] - (double)expected[i]) * ((double)found[i] - (double)expected[i]);
        free(expected);
        free(found);
    }
    return sqrt(sum);
}

/* Root of (sum of squared differences / sum of squared references) over all positions. */
static double logit_distance(const struct gguf *gguf)
{
    static float logits[POSITIONS * VOCAB];
    double difference = 0, total = 0;

    compute_logits(gguf, logits);
    for (int i = 0; i < POSITIONS * VOCAB; i++) {
        const double expected = (double)reference_logits[i];

        difference += ((double)logits[i] - expected) * ((double)logits[i] - expected);
        total += expected * expected;
    }
    return sqrt(difference / total);
}

/* The search minimises the error of weights. Its effect on logits has a spread of some five per cent, with one text and one model. */
static void no_type_moves_weights_or_logits_farther_than_another_program_does(void **state)
{
    (void)state;
    if (reference == NULL)
        skip();
    for (size_t i = 0; i < CASES; i += STRIDE) {
        struct gguf *ours = quantise_reference(cases[i].type);
        struct gguf *theirs = open_theirs(i);
        const double weights = weight_distance(ours) / weight_distance(theirs);
        const double our_logits = logit_distance(ours);
        const double their_logits = logit_distance(theirs);

        print_message("%-15s weights %.3f of theirs; logits %.5f, theirs %.5f\n", cases[i].theirs, weights, our_logits, their_logits);
        assert_true(weights <= 1);
        assert_true(our_logits <= 1.05 * their_logits);
        gguf_close(ours);
        gguf_close(theirs);
    }
}

/* These conversions have no choices. */
static void f16_and_bf16_have_the_bytes_of_another_program(void **state)
{
    (void)state;
    if (reference == NULL)
        skip();
    for (size_t i = 0; i < CASES && tensor_type_info(cases[i].type)->is_float; i++) {
        struct gguf *ours = quantise_reference(cases[i].type);
        struct gguf *theirs = open_theirs(i);

        for (size_t t = 0; t < gguf_tensor_count(ours); t++) {
            const struct gguf_tensor *tensor = gguf_tensor_at(ours, t);
            const struct gguf_tensor *other = find_like(theirs, tensor);

            assert_int_equal(tensor->data_size, other->data_size);
            assert_memory_equal(tensor->data, other->data, tensor->data_size);
        }
        gguf_close(ours);
        gguf_close(theirs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_type_moves_weights_or_logits_farther_than_another_program_does),
        cmocka_unit_test(f16_and_bf16_have_the_bytes_of_another_program),
    };

    return cmocka_run_group_tests(tests, open_reference, close_reference);
}
