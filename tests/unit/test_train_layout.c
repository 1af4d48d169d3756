#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/train/train_layout.h"

static const struct train_shape small = {.dim = 64, .hidden = 96, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 32};

static void tensors_fill_the_vector_without_gaps(void **state)
{
    struct train_layout layout;
    struct fail fail = {0};
    size_t next = 0;

    (void)state;
    assert_int_equal(train_layout_init(&layout, &small, &fail), 0);
    for (size_t t = 0; t < layout.tensors; t++) {
        assert_int_equal(layout.tensor[t].first, next);
        next += (size_t)layout.tensor[t].rows * layout.tensor[t].columns;
    }
    assert_int_equal(next, layout.count);
    assert_int_equal(layout.tensors, 2 + 2 * 9);
    assert_int_equal(layout.count, 300 * 64 + 64 + 2 * (64 + 64 * 64 * 2 + 2 * 32 * 64 + 64 + 3 * 64 * 96));
}

static void numbers_that_make_no_model_are_named(void **state)
{
    static const struct {
        struct train_shape shape;
        const char *word;
    } cases[] = {
        {{.dim = 0, .hidden = 96, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 32}, "--dim 0"},
        {{.dim = 64, .hidden = 96, .layers = 65, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 32}, "--layers 65"},
        {{.dim = 64, .hidden = 96, .layers = 2, .heads = 5, .kv_heads = 1, .vocab = 300, .ctx = 32}, "--heads 5"},
        {{.dim = 12, .hidden = 96, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 32}, "--heads 4"},
        {{.dim = 64, .hidden = 96, .layers = 2, .heads = 4, .kv_heads = 3, .vocab = 300, .ctx = 32}, "--kv-heads 3"},
        {{.dim = 64, .hidden = 96, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 300, .ctx = 0}, "--ctx 0"},
    };
    struct train_layout layout;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fail fail = {0};

        assert_int_equal(train_layout_init(&layout, &cases[i].shape, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
        assert_non_null(strstr(fail.text, cases[i].word));
    }
}

static void weights_begin_with_the_deviation_that_is_promised(void **state)
{
    struct train_layout layout;
    struct fail fail = {0};
    float *weights;

    (void)state;
    assert_int_equal(train_layout_init(&layout, &small, &fail), 0);
    weights = calloc(layout.count, sizeof *weights);
    train_layout_draw(&layout, 9, weights);
    for (size_t t = 0; t < layout.tensors; t++) {
        const struct train_tensor *tensor = &layout.tensor[t];
        const size_t count = (size_t)tensor->rows * tensor->columns;
        const double want = tensor->is_norm ? 0.0 : tensor->adds ? 0.01 : 0.02; /* 2 layers: half */
        double sum = 0.0, square = 0.0;

        for (size_t i = 0; i < count; i++) {
            sum += (double)weights[tensor->first + i];
            square += (double)weights[tensor->first + i] * (double)weights[tensor->first + i];
        }
        const double mean = sum / (double)count, deviation = sqrt(fmax(square / (double)count - mean * mean, 0.0));
        assert_true(fabs(mean - (tensor->is_norm ? 1.0 : 0.0)) < 0.002);
        assert_true(fabs(deviation - want) < 0.05 * want + 1e-9);
    }
    /* Golden: the same on every machine. */
    assert_true(hash_bytes(0, weights, layout.count * sizeof *weights) == 0x64f23f9c0c10d9fd);
    free(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_fill_the_vector_without_gaps),
        cmocka_unit_test(numbers_that_make_no_model_are_named),
        cmocka_unit_test(weights_begin_with_the_deviation_that_is_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
