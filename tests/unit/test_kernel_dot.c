#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dot_case.h"
#include "node/kernel/token_panel.h"

enum { OUT_STRIDE = DOT_CASE_ROWS + 5 };

static struct dot_case a_case;
static float expected[DOT_CASE_TOKENS * OUT_STRIDE];
static float found[DOT_CASE_TOKENS * OUT_STRIDE];

static const struct kernel *scalar(void)
{
    return kernel_choose("scalar");
}

/* A short slice consists of whole blocks for quantised types and of any number of columns for float types; K types have no short slices. */
static bool columns_exist(enum tensor_type type, size_t columns)
{
    return columns % tensor_type_info(type)->block_values == 0;
}

static float activation(const struct dot_case *c, size_t token, size_t column)
{
    if (tensor_type_info(c->type)->is_float)
        return c->x_f32[token].v[column];
    return c->x[token].d[column / BLOCK_COLUMNS] * (float)c->x[token].q[column];
}

/* The result in double from dequantised weights, and its tolerance for rounding: the chain is at most 256 long, and a minimum may cancel
 * what it is subtracted from, so the largest weight of a block counts for all. */
static void exact_dot(const struct dot_case *c, const float *weight, size_t token, double *result, double *tolerance)
{
    double magnitude = 0;

    *result = 0;
    for (size_t first = 0; first < c->columns; first += BLOCK_COLUMNS) {
        float weight_max = 0, x_max = 0;

        for (size_t i = first; i < first + BLOCK_COLUMNS && i < c->columns; i++) {
            const float x = activation(c, token, i);

            *result += (double)weight[i] * (double)x;
            weight_max = fmaxf(weight_max, fabsf(weight[i]));
            x_max = fmaxf(x_max, fabsf(x));
        }
        magnitude += BLOCK_COLUMNS * (double)weight_max * (double)x_max;
    }
    *tolerance = 2e-6 * magnitude;
}

static void the_scalar_kernel_is_the_dot_product_of_dequantised_values(void **state)
{
    struct dot_case *c = &a_case;
    float weight[SLICE_COLUMNS];

    (void)state;
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            dot_case_make(c, dot_case_types[i], DOT_RANDOM, 23, SLICE_COLUMNS, 3, seed);
            dot_case_run(c, scalar(), found, OUT_STRIDE, false);
            for (size_t r = 0; r < c->row_count; r++) {
                tensor_type_dequantise(c->type, c->rows + r * c->row_bytes, c->columns, weight);
                for (size_t t = 0; t < c->token_count; t++) {
                    double result, tolerance;

                    exact_dot(c, weight, t, &result, &tolerance);
                    if (fabs((double)found[t * OUT_STRIDE + r] - result) > tolerance)
                        fail_msg("%s row %zu: %.9g, exact %.9g", tensor_type_name(c->type), r, (double)found[t * OUT_STRIDE + r], result);
                }
            }
        }
    }
}

/* Runs the last case with both kernels, on the same previous contents of the output. */
static void compare_kernels(const struct kernel *kernel, bool accumulate)
{
    const struct dot_case *c = &a_case;

    for (size_t i = 0; i < DOT_CASE_TOKENS * OUT_STRIDE; i++)
        expected[i] = found[i] = (float)i * 0.37f - 100;
    dot_case_run(c, scalar(), expected, OUT_STRIDE, accumulate);
    dot_case_run(c, kernel, found, OUT_STRIDE, accumulate);
    for (size_t i = 0; i < DOT_CASE_TOKENS * OUT_STRIDE; i++) {
        if (memcmp(&expected[i], &found[i], sizeof found[i]) != 0)
            fail_msg("%s %s: %zu rows, %zu columns, %zu tokens: row %zu of token %zu is %a, scalar %a", kernel->name,
                     tensor_type_name(c->type), c->row_count, c->columns, c->token_count, i % OUT_STRIDE, i / OUT_STRIDE, (double)found[i],
                     (double)expected[i]);
    }
}

static void compare_shapes(const struct kernel *kernel, enum tensor_type type)
{
    static const size_t row_counts[] = {1, 16, 17, 32, 48};
    static const size_t token_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 19, 64};
    uint64_t seed = 0;

    for (size_t i = 0; i < sizeof token_counts / sizeof token_counts[0]; i++) {
        for (size_t j = 0; j < sizeof row_counts / sizeof row_counts[0]; j++) {
            if (token_counts[i] == 64 && row_counts[j] > 17)
                continue;
            for (size_t columns = 32; columns <= SLICE_COLUMNS; columns += 32) {
                if (!columns_exist(type, columns))
                    continue;
                dot_case_make(&a_case, type, DOT_RANDOM, row_counts[j], columns, token_counts[i], seed++);
                compare_kernels(kernel, seed % 2 == 0);
            }
        }
    }
}

/* Each test that compares runs all kernels that this CPU supports. */
static const struct kernel *next_kernel(size_t *index)
{
    const struct kernel *kernel;

    do {
        kernel = kernel_at((*index)++);
    } while (kernel != NULL && (kernel == scalar() || !kernel->supported()));
    return kernel;
}

static void every_kernel_gives_the_scalar_bits_for_every_shape(void **state)
{
    const struct kernel *kernel;

    (void)state;
    for (size_t index = 0; (kernel = next_kernel(&index)) != NULL;) {
        for (size_t i = 0; i < DOT_CASE_TYPES; i++)
            compare_shapes(kernel, dot_case_types[i]);
    }
}

static void every_kernel_gives_the_scalar_bits_for_any_column_count_of_float_weights(void **state)
{
    const struct kernel *kernel;

    (void)state;
    for (size_t index = 0; (kernel = next_kernel(&index)) != NULL;) {
        for (size_t columns = 1; columns <= SLICE_COLUMNS; columns++) {
            dot_case_make(&a_case, dot_case_types[columns % 3], DOT_RANDOM, 1 + columns % 48, columns, 1 + columns % 9, columns);
            compare_kernels(kernel, columns % 2 == 0);
        }
    }
}

static void every_kernel_gives_the_scalar_bits_at_the_ends_of_all_ranges(void **state)
{
    static const size_t token_counts[] = {1, 2, 9};
    const struct kernel *kernel;

    (void)state;
    for (size_t index = 0; (kernel = next_kernel(&index)) != NULL;) {
        for (size_t i = 0; i < DOT_CASE_TYPES * 3 * (size_t)DOT_FLAVOURS; i++) {
            for (uint64_t seed = 0; seed < 4; seed++) {
                dot_case_make(&a_case, dot_case_types[i % DOT_CASE_TYPES], (enum dot_flavour)(i / DOT_CASE_TYPES % DOT_FLAVOURS), 32,
                              SLICE_COLUMNS, token_counts[i / DOT_CASE_TYPES / DOT_FLAVOURS], seed);
                compare_kernels(kernel, seed % 2 == 0);
            }
        }
    }
}

/* ---- token panels ---- */

static uint8_t token_panel[DOT_CASE_TOKENS * sizeof(struct act_slice)] __attribute__((aligned(64)));

/* In two pieces, so that there are whole and partial groups. */
static void put_case(const struct kernel *kernel, struct dot_case *c, size_t cut)
{
    struct kernel_tokens_wire piece = dot_case_wire(c);

    kernel->tokens->put(&piece, token_panel, c->token_count, 0, cut);
    piece.data += cut * piece.token_stride;
    kernel->tokens->put(&piece, token_panel, c->token_count, cut, c->token_count - cut);
}

static void compare_tokens(const struct kernel *kernel, bool accumulate)
{
    struct dot_case *c = &a_case;

    for (size_t i = 0; i < DOT_CASE_TOKENS * OUT_STRIDE; i++)
        expected[i] = found[i] = (float)i * 0.37f - 100;
    memset(token_panel, 0xff, sizeof token_panel);
    put_case(kernel, c, c->token_count * 2 / 3);
    dot_case_run(c, scalar(), expected, OUT_STRIDE, accumulate);
    kernel->tokens->dot[c->type](c->panels, dot_case_panel_count(c), c->columns, token_panel, c->token_count, found, OUT_STRIDE,
                                 accumulate);
    if (memcmp(expected, found, sizeof found) != 0)
        fail_msg("%s %s: %zu rows, %zu columns, %zu tokens", kernel->name, tensor_type_name(c->type), c->row_count, c->columns,
                 c->token_count);
    for (size_t t = 0; t < c->token_count; t++)
        for (size_t b = 0; b < c->columns / BLOCK_COLUMNS; b++)
            assert_true(*token_sumsq(token_panel, token_place(c->token_count, t), b) == dot_case_sumsq(t, b));
}

static void compare_token_shapes(const struct kernel *kernel, enum tensor_type type)
{
    static const size_t token_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 64};
    static const size_t row_counts[] = {5, 32, 48};
    const size_t counts = sizeof token_counts / sizeof token_counts[0];
    uint64_t seed = 0;

    for (size_t i = 0; i < counts * DOT_FLAVOURS; i++)
        for (size_t j = 0; j < sizeof row_counts / sizeof row_counts[0]; j++)
            for (size_t columns = 32; columns <= SLICE_COLUMNS; columns += 32) {
                if (!columns_exist(type, columns))
                    continue;
                dot_case_make(&a_case, type, (enum dot_flavour)(i / counts), row_counts[j], columns, token_counts[i % counts], seed);
                compare_tokens(kernel, seed++ % 2 == 0);
            }
}

static void tokens_side_by_side_give_the_scalar_bits_for_every_shape(void **state)
{
    const struct kernel *kernel;

    (void)state;
    for (size_t index = 0; (kernel = next_kernel(&index)) != NULL;) {
        for (size_t i = 0; kernel->tokens != NULL && i < DOT_CASE_TYPES; i++)
            if (kernel->tokens->dot[dot_case_types[i]] != NULL)
                compare_token_shapes(kernel, dot_case_types[i]);
    }
}

enum { GUARD = 0xa5, GUARD_BYTES = 256 };

static uint8_t guarded[DOT_CASE_TOKENS * sizeof(struct act_slice) + GUARD_BYTES] __attribute__((aligned(64)));
static bool is_owned[sizeof guarded];

static void own(const void *from, size_t bytes)
{
    memset(is_owned + ((const uint8_t *)from - guarded), true, bytes);
}

/* A token's block must be as token_panel.h describes it. */
static void own_block(size_t tokens, size_t token, size_t block, bool with_halves)
{
    const struct token_place place = token_place(tokens, token);
    const uint8_t *group = guarded + place.first * TOKEN_SLICE_BYTES, *words = group + block * place.n * TOKEN_BLOCK_BYTES;

    for (size_t w = 0; w < TOKEN_BLOCK_BYTES / 4; w++)
        own(words + 4 * (w * place.n + place.i), 4);
    own(token_sumsq(guarded, place, block), sizeof(float));
    if (with_halves)
        own(token_halves(guarded, tokens, place, block) + place.i, sizeof(int32_t));
}

static void compare_owned(const struct kernel *kernel, size_t tokens, size_t first, size_t count, size_t block_first, bool with_halves)
{
    struct kernel_tokens_wire wire = dot_case_wire(&a_case);

    wire.with_halves = with_halves;
    wire.block_first = block_first;
    wire.blocks = SLICE_BLOCKS - block_first > 2 ? 2 : SLICE_BLOCKS - block_first;
    memset(guarded, GUARD, sizeof guarded);
    memset(is_owned, false, sizeof is_owned);
    for (size_t t = first; t < first + count; t++)
        for (size_t b = block_first; b < block_first + wire.blocks; b++)
            own_block(tokens, t, b, with_halves);
    kernel->tokens->put(&wire, guarded, tokens, first, count);
    for (size_t i = 0; i < sizeof guarded; i++)
        if (guarded[i] != GUARD && (!is_owned[i] || i >= tokens * sizeof(struct act_slice)))
            fail_msg("%zu tokens, %zu from %zu, blocks from %zu: byte %zu is not theirs", tokens, count, first, block_first, i);
}

/* Blocks are written in any order and from several threads, and the next slice's panel follows a panel. */
static void a_block_in_a_token_panel_leaves_all_others_alone(void **state)
{
    const struct kernel *kernel;

    (void)state;
    dot_case_make(&a_case, TYPE_Q8_0, DOT_RANDOM, 16, SLICE_COLUMNS, DOT_CASE_TOKENS, 3);
    for (size_t index = 0; (kernel = next_kernel(&index)) != NULL;) {
        for (size_t tokens = 1; kernel->tokens != NULL && tokens <= DOT_CASE_TOKENS; tokens++) {
            for (size_t b = 0; b < SLICE_BLOCKS; b++) {
                compare_owned(kernel, tokens, 0, tokens, b, true);
                compare_owned(kernel, tokens, 0, tokens, b, false);
                compare_owned(kernel, tokens, tokens / 3, tokens - tokens / 3, b, true);
            }
        }
    }
}

/* No quantiser produces -128, but a peer may send it. */
static void a_value_that_no_quantiser_makes_is_read_side_by_side_as_in_a_slice(void **state)
{
    struct dot_case *c = &a_case;
    const struct kernel *kernel;

    (void)state;
    for (size_t index = 0; (kernel = next_kernel(&index)) != NULL;) {
        if (kernel->tokens == NULL)
            continue;
        dot_case_make(c, TYPE_Q2_K, DOT_RANDOM, 16, SLICE_COLUMNS, 7, 1); /* uses the sums of halves, too */
        for (size_t t = 0; t < c->token_count; t++)
            c->x[t].q[t * 31] = c->x[t].q[t * 5] = -128; /* first and second halves */
        put_case(kernel, c, 7);
        for (size_t t = 0; t < c->token_count; t++)
            kernel_unpack(c->wire + t * SLICE_BLOCKS * BLOCK_WIRE_BYTES_NORM, BLOCK_WIRE_BYTES_NORM, 0, SLICE_BLOCKS, true, &c->x[t]);
        dot_case_run(c, scalar(), expected, OUT_STRIDE, false);
        kernel->tokens->dot[c->type](c->panels, 1, c->columns, token_panel, c->token_count, found, OUT_STRIDE, false);
        for (size_t t = 0; t < c->token_count; t++)
            assert_memory_equal(found + t * OUT_STRIDE, expected + t * OUT_STRIDE, PANEL_ROWS * sizeof *found);
    }
}

static void every_kernel_has_every_type(void **state)
{
    const struct kernel *kernel;

    (void)state;
    for (size_t index = 0; (kernel = kernel_at(index)) != NULL; index++) {
        for (uint32_t type = 0; type < TYPE_COUNT; type++)
            if ((kernel->dot[type] != NULL) != (tensor_type_info(type) != NULL))
                fail_msg("kernel %s and tensor_type.c disagree on %s", kernel->name, tensor_type_name(type));
    }
}

static void every_type_is_tested(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        bool is_tested = tensor_type_info(type) == NULL;

        for (size_t i = 0; i < DOT_CASE_TYPES; i++)
            is_tested |= dot_case_types[i] == type;
        if (!is_tested)
            fail_msg("dot_case_types lacks %s", tensor_type_name(type));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scalar_kernel_is_the_dot_product_of_dequantised_values),
        cmocka_unit_test(every_kernel_gives_the_scalar_bits_for_every_shape),
        cmocka_unit_test(every_kernel_gives_the_scalar_bits_for_any_column_count_of_float_weights),
        cmocka_unit_test(every_kernel_gives_the_scalar_bits_at_the_ends_of_all_ranges),
        cmocka_unit_test(tokens_side_by_side_give_the_scalar_bits_for_every_shape),
        cmocka_unit_test(a_block_in_a_token_panel_leaves_all_others_alone),
        cmocka_unit_test(a_value_that_no_quantiser_makes_is_read_side_by_side_as_in_a_slice),
        cmocka_unit_test(every_kernel_has_every_type),
        cmocka_unit_test(every_type_is_tested),
    };

    kernel_thread_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
