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
#include "node/train/train_pass.h"

/* A model of awkward sizes: odd numbers of tokens, columns, heads per KV head. */
static const struct train_shape awkward = {.dim = 36, .hidden = 50, .layers = 2, .heads = 6, .kv_heads = 2, .vocab = 37, .ctx = 70};

struct bench {
    struct train_layout layout;
    struct team *team;
    struct train_pass pass;
    float *weights;
    uint32_t *id, *target;
};

static void bench_open(struct bench *bench, const struct train_shape *shape, uint32_t rows, uint16_t threads, const char *kernel)
{
    struct fail fail = {0};

    assert_int_equal(train_layout_init(&bench->layout, shape, &fail), 0);
    bench->team = team_open(threads, &fail);
    assert_non_null(bench->team);
    bench->weights = calloc(bench->layout.count, sizeof(float));
    train_layout_draw(&bench->layout, 5, bench->weights);
    /* Larger than at the start of a run, so that no gradient is small; norms that are not 1. */
    for (size_t t = 0; t < bench->layout.tensors; t++) {
        const struct train_tensor *tensor = &bench->layout.tensor[t];

        for (size_t i = 0; i < (size_t)tensor->rows * tensor->columns; i++)
            bench->weights[tensor->first + i] *= tensor->is_norm ? 0.7f + 0.01f * (float)(i % 40) : 9.0f;
    }
    assert_int_equal(train_pass_open(&bench->pass, &bench->layout, kernel_choose(kernel), bench->team, rows, bench->weights, &fail), 0);
    bench->id = calloc(bench->pass.tokens, sizeof *bench->id);
    bench->target = calloc(bench->pass.tokens, sizeof *bench->target);
    for (size_t i = 0; i < bench->pass.tokens; i++) {
        bench->id[i] = (uint32_t)(hash_words3(1, i, 0) % shape->vocab);
        bench->target[i] = hash_words3(2, i, 0) % 7 == 0 ? TRAIN_IGNORED : (uint32_t)(hash_words3(3, i, 0) % shape->vocab);
    }
}

static void bench_close(struct bench *bench)
{
    train_pass_close(&bench->pass);
    team_close(bench->team);
    free(bench->weights);
    free(bench->id);
    free(bench->target);
}

static float loss_of(struct bench *bench)
{
    return train_pass_forward(&bench->pass, bench->id, bench->target);
}

/* Mean loss in double, without the rounding of the last step. */
static double fine_loss_of(struct bench *bench)
{
    double sum = 0.0;
    size_t targets = 0;

    loss_of(bench);
    for (size_t t = 0; t < bench->pass.tokens; t++) {
        sum += bench->pass.token_loss[t];
        targets += bench->target[t] != TRAIN_IGNORED;
    }
    return sum / (double)targets;
}

/* ---- gradients ---- */

/* Along its own gradient a tensor's loss changes by the gradient's square: central differences, second order. */
static void check_along(struct bench *bench, const char *name, size_t first, size_t count, const float *gradient)
{
    float *kept = malloc(count * sizeof *kept);
    double square = 0.0, norm, step, change;

    memcpy(kept, bench->weights + first, count * sizeof *kept);
    for (size_t i = 0; i < count; i++)
        square += (double)gradient[first + i] * gradient[first + i];
    norm = sqrt(square);
    if (!(norm > 1e-6))
        fail_msg("%s: the gradient is %g", name, norm);
    step = 2e-3 / norm;
    for (size_t i = 0; i < count; i++)
        bench->weights[first + i] = kept[i] + (float)(step * gradient[first + i]);
    change = fine_loss_of(bench);
    for (size_t i = 0; i < count; i++)
        bench->weights[first + i] = kept[i] - (float)(step * gradient[first + i]);
    change -= fine_loss_of(bench);
    memcpy(bench->weights + first, kept, count * sizeof *kept);
    free(kept);
    if (fabs(change / (2 * step) / square - 1.0) > 5e-3)
        fail_msg("%s: the loss changes by %g along a gradient whose square is %g", name, change / (2 * step), square);
}

/* One weight by itself, in units of the tensor's largest gradient. */
static void check_weight(struct bench *bench, const char *name, size_t i, double largest, double gradient)
{
    const float kept = bench->weights[i], step = 2e-3f;
    double change;

    bench->weights[i] = kept + step;
    change = fine_loss_of(bench);
    bench->weights[i] = kept - step;
    change = (change - fine_loss_of(bench)) / (2.0 * step);
    bench->weights[i] = kept;
    if (fabs(change - gradient) > 0.02 * largest + 2e-4)
        fail_msg("%s, weight %zu: the loss changes by %g, the gradient is %g (largest %g)", name, i, change, gradient, largest);
}

static void every_tensors_gradient_agrees_with_finite_differences(void **state)
{
    struct bench bench;
    float *gradient;

    (void)state;
    bench_open(&bench, &awkward, 2, 1, NULL);
    loss_of(&bench);
    train_pass_backward(&bench.pass);
    gradient = malloc(bench.layout.count * sizeof *gradient);
    memcpy(gradient, bench.pass.gradient, bench.layout.count * sizeof *gradient);
    for (size_t t = 0; t < bench.layout.tensors; t++) {
        const struct train_tensor *tensor = &bench.layout.tensor[t];
        const size_t count = (size_t)tensor->rows * tensor->columns;
        double largest = 0.0;

        check_along(&bench, tensor->name, tensor->first, count, gradient);
        for (size_t i = 0; i < count; i++)
            largest = fmax(largest, fabs((double)gradient[tensor->first + i]));
        for (size_t i = 0; i < 6; i++) {
            const size_t which = tensor->first + hash_words3(9, t, i) % count;

            check_weight(&bench, tensor->name, which, largest, (double)gradient[which]);
        }
    }
    free(gradient);
    bench_close(&bench);
}

/* ---- the same bits ---- */

static uint64_t gradient_hash(const struct train_shape *shape, uint32_t rows, uint16_t threads, const char *kernel)
{
    struct bench bench;
    float loss;
    uint64_t hash;

    bench_open(&bench, shape, rows, threads, kernel);
    loss = loss_of(&bench);
    train_pass_backward(&bench.pass);
    hash = hash_bytes(hash_bytes(0, &loss, sizeof loss), bench.pass.gradient, bench.layout.count * sizeof *bench.pass.gradient);
    bench_close(&bench);
    return hash;
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    static const struct train_shape even = {.dim = 64, .hidden = 96, .layers = 1, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 64};
    const uint64_t one = gradient_hash(&awkward, 3, 1, NULL), large = gradient_hash(&even, 4, 1, NULL);

    (void)state;
    for (uint16_t threads = 2; threads <= 5; threads++) {
        assert_true(gradient_hash(&awkward, 3, threads, NULL) == one);
        assert_true(gradient_hash(&even, 4, threads, NULL) == large);
    }
}

static void every_kernel_gives_the_same_bits(void **state)
{
    const uint64_t plain = gradient_hash(&awkward, 2, 1, "scalar");

    (void)state;
    for (size_t i = 0; kernel_at(i) != NULL; i++)
        if (kernel_at(i)->supported() && gradient_hash(&awkward, 2, 2, kernel_at(i)->name) != plain)
            fail_msg("kernel %s deviates", kernel_at(i)->name);
}

/* Later tokens must not be seen: a token after another changes neither that one's loss nor any earlier loss. */
static void a_token_sees_nothing_that_comes_later(void **state)
{
    struct bench bench;
    double before[70];

    (void)state;
    bench_open(&bench, &awkward, 1, 1, NULL);
    loss_of(&bench);
    memcpy(before, bench.pass.token_loss, sizeof before);
    bench.id[40] = (bench.id[40] + 1) % awkward.vocab;
    loss_of(&bench);
    assert_memory_equal(before, bench.pass.token_loss, 40 * sizeof *before);
    assert_memory_not_equal(before, bench.pass.token_loss, sizeof before);
    bench_close(&bench);
}

static void a_target_that_is_ignored_has_no_part_in_the_loss(void **state)
{
    struct bench bench;
    float alone;

    (void)state;
    bench_open(&bench, &awkward, 1, 1, NULL);
    for (size_t t = 0; t < bench.pass.tokens; t++)
        bench.target[t] = t == 20 ? 3 : TRAIN_IGNORED;
    alone = loss_of(&bench);
    assert_true(alone == (float)bench.pass.token_loss[20]);
    train_pass_backward(&bench.pass);
    /* Nothing after token 20 mattered: its embedding, if no earlier token shares it, changes as the output matrix only. */
    bench.id[60] = (bench.id[60] + 1) % awkward.vocab;
    assert_true(loss_of(&bench) == alone);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensors_gradient_agrees_with_finite_differences),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(every_kernel_gives_the_same_bits),
        cmocka_unit_test(a_token_sees_nothing_that_comes_later),
        cmocka_unit_test(a_target_that_is_ignored_has_no_part_in_the_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
