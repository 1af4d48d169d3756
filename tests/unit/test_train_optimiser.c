#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/train/train_optimiser.h"

static const struct train_setup setup = {.steps = 1000, .warmup = 100, .rate = 0.01f, .rate_min = 0.001f, .decay = 0.5f, .clip = 1.0f};

static void the_rate_rises_in_a_line_and_falls_along_a_cosine(void **state)
{
    (void)state;
    assert_true(fabs((double)train_rate(&setup, 1) - 0.0001) < 1e-8);
    assert_true(fabs((double)train_rate(&setup, 50) - 0.005) < 1e-8);
    assert_true(train_rate(&setup, 100) == 0.01f);
    assert_true(fabs((double)train_rate(&setup, 550) - 0.0055) < 1e-7);
    assert_true(train_rate(&setup, 1000) == 0.001f);
    assert_true(train_rate(&setup, 2000) == 0.001f);
    for (uint64_t step = 101; step <= 1000; step++)
        assert_true(train_rate(&setup, step) <= train_rate(&setup, step - 1));
}

static void without_warm_up_the_first_rate_is_almost_the_highest(void **state)
{
    struct train_setup cold = setup;

    (void)state;
    cold.warmup = 0;
    assert_true(train_rate(&cold, 1) > 0.00999f);
}

/* A model of random gradients. */
struct bench {
    struct train_layout layout;
    struct train_state state;
    float *gradient;
};

static void bench_open(struct bench *bench)
{
    static const struct train_shape shape = {.dim = 96, .hidden = 200, .layers = 1, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 8};
    struct fail fail = {0};

    assert_int_equal(train_layout_init(&bench->layout, &shape, &fail), 0);
    bench->state = (struct train_state){.setup = setup, .count = bench->layout.count};
    bench->state.weights = calloc(bench->layout.count, sizeof(float));
    bench->state.momentum = calloc(bench->layout.count, sizeof(float));
    bench->state.spread = calloc(bench->layout.count, sizeof(float));
    bench->gradient = calloc(bench->layout.count, sizeof(float));
    train_layout_draw(&bench->layout, 3, bench->state.weights);
    for (size_t i = 0; i < bench->layout.count; i++)
        bench->gradient[i] = (float)(int64_t)(hash_words3(1, i, 0) % 2001) * 1e-3f - 1.0f;
}

static void bench_close(struct bench *bench)
{
    free(bench->state.weights);
    free(bench->state.momentum);
    free(bench->state.spread);
    free(bench->gradient);
}

static double norm_of(const struct bench *bench)
{
    double sum = 0.0;

    for (size_t i = 0; i < bench->layout.count; i++)
        sum += (double)bench->gradient[i] * (double)bench->gradient[i];
    return sqrt(sum);
}

static void steps_are_the_same_bits_for_any_number_of_threads(void **state)
{
    const struct kernel *kernel = kernel_choose(NULL);
    uint64_t hash[4];

    (void)state;
    for (uint16_t threads = 1; threads <= 4; threads++) {
        struct bench bench;
        struct fail fail = {0};
        struct team *team = team_open(threads, &fail);
        double norm;

        bench_open(&bench);
        norm = train_gradient_norm(kernel, team, bench.gradient, bench.layout.count);
        assert_true(fabs(norm / norm_of(&bench) - 1.0) < 1e-6);
        for (int i = 0; i < 3; i++, bench.state.step++)
            train_optimiser_step(&bench.state, &bench.layout, kernel, team, bench.gradient, norm);
        hash[threads - 1] = hash_bytes(0, bench.state.weights, bench.layout.count * sizeof(float));
        assert_true(hash[threads - 1] == hash[0]);
        bench_close(&bench);
        team_close(team);
    }
}

/* With momentum and spread at their beginning a step is rate * (sign of the gradient + decay * weight), whatever clipping leaves. */
static void norms_are_not_decayed(void **state)
{
    struct bench bench;
    struct fail fail = {0};
    struct team *team = team_open(1, &fail);
    float *before;

    (void)state;
    bench_open(&bench);
    bench.state.step = 499;
    before = malloc(bench.layout.count * sizeof *before);
    memcpy(before, bench.state.weights, bench.layout.count * sizeof *before);
    memset(bench.gradient, 0, bench.layout.count * sizeof *bench.gradient);
    train_optimiser_step(&bench.state, &bench.layout, kernel_choose(NULL), team, bench.gradient, 0.0);
    for (size_t t = 0; t < bench.layout.tensors; t++) {
        const struct train_tensor *tensor = &bench.layout.tensor[t];
        const double keep = tensor->is_norm ? 1.0 : 1.0 - 0.5 * (double)train_rate(&setup, 500);

        for (size_t i = tensor->first; i < tensor->first + (size_t)tensor->rows * tensor->columns; i++)
            assert_true(fabs((double)bench.state.weights[i] - keep * (double)before[i]) < 1e-7);
    }
    free(before);
    bench_close(&bench);
    team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_rises_in_a_line_and_falls_along_a_cosine),
        cmocka_unit_test(without_warm_up_the_first_rate_is_almost_the_highest),
        cmocka_unit_test(steps_are_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(norms_are_not_decayed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
