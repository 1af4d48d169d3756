/* The elementwise functions of every kernel against the scalar one, bit for bit, and the scalar one against plain formulas. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/canon.h"
#include "node/common/hash.h"
#include "node/kernel/kernel.h"

enum { VALUES_MAX = 1031, BLOCKS_MAX = 32 };

enum flavour {
    ORDINARY,  /* -1 .. 1 */
    ANY_BITS,  /* any finite number */
    NON_FINITE /* any bits at all */
};

static uint32_t random_bits(uint64_t seed, size_t index)
{
    return (uint32_t)hash_words3(seed, index, 0);
}

static void fill(float *x, size_t count, enum flavour flavour, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = random_bits(seed, i);

        if (flavour == ORDINARY)
            x[i] = (float)(int32_t)bits * 0x1p-31f;
        else if (flavour == ANY_BITS && (bits & 0x7f800000u) == 0x7f800000u)
            x[i] = 0.0f;
        else
            x[i] = canon_from_bits(bits);
    }
}

/* The same bits, or two NaNs, whose bits nothing reads. */
static void assert_same(const float *expected, const float *found, size_t count, const char *what, const struct kernel *kernel)
{
    for (size_t i = 0; i < count; i++)
        if (canon_bits(expected[i]) != canon_bits(found[i]) && (expected[i] == expected[i] || found[i] == found[i]))
            fail_msg("%s of %s: %zu of %zu is %a, scalar has %a", what, kernel->name, i, count, (double)found[i], (double)expected[i]);
}

static const struct kernel *scalar(void)
{
    return kernel_choose("scalar");
}

/* Each supported kernel in turn; *index starts at 0. */
static const struct kernel *next_kernel(size_t *index)
{
    const struct kernel *kernel = kernel_at((*index)++);

    while (kernel != NULL && !kernel->supported())
        kernel = kernel_at((*index)++);
    return kernel;
}

static int8_t wire_q(const uint8_t *block, size_t i)
{
    return (int8_t)block[4 + i];
}

static float wire_d(const uint8_t *block)
{
    return canon_from_bits((uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 | (uint32_t)block[3] << 24);
}

static void a_block_is_scaled_by_its_largest_value_and_rounded_to_even(void **state)
{
    float x[32] = {127.0f, -127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.49f, 0.49f};
    const int8_t expected[10] = {127, -127, 0, 2, 2, 0, -2, -2, 126, 0};
    uint8_t wire[36];

    (void)state;
    assert_int_equal(scalar()->quantise(x, 1, wire, 36), -1);
    assert_true(wire_d(wire) == 1.0f);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(wire_q(wire, i), expected[i]);
}

static void quantised_values_are_within_half_a_step(void **state)
{
    float x[BLOCKS_MAX * 32];
    uint8_t wire[BLOCKS_MAX * 40];

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        fill(x, BLOCKS_MAX * 32, ORDINARY, seed);
        assert_int_equal(scalar()->quantise(x, BLOCKS_MAX, wire, 40), -1);
        for (size_t i = 0; i < BLOCKS_MAX * 32; i++) {
            const uint8_t *block = wire + i / 32 * 40;

            assert_true(fabs((double)x[i] - (double)wire_d(block) * wire_q(block, i % 32)) <= 0.50001 * (double)wire_d(block));
        }
    }
}

static void a_tiny_block_is_zero(void **state)
{
    float x[64] = {[3] = -0x1.fffffep-101f, [40] = -0x1p-100f};
    uint8_t wire[72];
    const uint8_t zeros[36] = {0};
    const struct kernel *kernel;

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        assert_int_equal(kernel->quantise(x, 2, wire, 36), -1);
        assert_memory_equal(wire, zeros, 36);
        assert_true(wire_d(wire + 36) > 0.0f);
        assert_int_equal(wire_q(wire + 36, 8), -127);
    }
}

static void a_block_with_a_non_finite_value_says_so_and_where(void **state)
{
    static const uint32_t bad[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u, 0xffffffffu};
    const struct kernel *kernel;

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        for (size_t i = 0; i < 96; i++) {
            float x[96];
            uint8_t wire[108];

            fill(x, 96, ORDINARY, i);
            x[i] = canon_from_bits(bad[i % 5]);
            x[95] = INFINITY;
            assert_int_equal(kernel->quantise(x, 3, wire, 36), (int64_t)i);
            assert_int_equal(canon_bits(wire_d(wire + i / 32 * 36)), CANON_NAN_BITS);
            for (size_t j = 0; j < 32; j++)
                assert_int_equal(wire_q(wire + i / 32 * 36, j), 0);
            assert_true(i / 32 == 0 || wire_d(wire) < 1.0f);
        }
    }
}

static void every_kernel_quantises_to_the_same_bytes(void **state)
{
    static float x[BLOCKS_MAX * 32];
    const struct kernel *kernel;

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        for (uint64_t seed = 0; seed < 300; seed++) {
            size_t blocks = 1 + seed % BLOCKS_MAX;
            size_t stride = seed % 2 ? 36 : 40;
            uint8_t expected[BLOCKS_MAX * 40], found[BLOCKS_MAX * 40];

            memset(expected, 0xa5, sizeof expected);
            memset(found, 0xa5, sizeof found);
            fill(x, blocks * 32, (enum flavour)(seed % 3), seed);
            /* Magnitudes close together, so that rounding matters everywhere. */
            for (size_t i = 0; seed % 3 == 1 && i < blocks * 32; i++)
                x[i] = canon_from_bits((canon_bits(x[i]) & 0x83ffffffu) | (uint32_t)(seed % 60) << 26);
            assert_int_equal(kernel->quantise(x, blocks, found, stride), scalar()->quantise(x, blocks, expected, stride));
            assert_memory_equal(found, expected, sizeof expected);
        }
    }
}

static void a_sum_of_squares_has_the_order_of_the_specification(void **state)
{
    const struct kernel *kernel;

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        for (uint64_t seed = 0; seed < 1000; seed++) {
            float x[32], sum[16], found;

            fill(x, 32, (enum flavour)(seed % 2), seed);
            for (size_t l = 0; l < 16; l++)
                sum[l] = fmaf(x[l + 16], x[l + 16], x[l] * x[l]);
            for (size_t width = 8; width > 0; width /= 2)
                for (size_t l = 0; l < width; l++)
                    sum[l] = sum[l] + sum[l + width];
            found = kernel->sumsq(x);
            assert_same(sum, &found, 1, "sum of squares", kernel);
        }
    }
}

static void elementwise_functions_are_the_same_in_every_kernel(void **state)
{
    static float a[VALUES_MAX + 1], b[VALUES_MAX + 1], c[VALUES_MAX + 1], expected[VALUES_MAX + 1], found[VALUES_MAX + 1];
    const struct kernel *kernel;

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        for (uint64_t seed = 0; seed < 400; seed++) {
            size_t count = seed < 70 ? seed : hash_mix64(seed) % VALUES_MAX;

            fill(a, VALUES_MAX + 1, (enum flavour)(seed % 3), 3 * seed);
            fill(b, VALUES_MAX + 1, (enum flavour)(seed / 3 % 3), 3 * seed + 1);
            fill(c, VALUES_MAX + 1, ORDINARY, 3 * seed + 2);
            if (seed % 3 == 0)
                for (size_t i = 0; i < count; i++)
                    a[i] *= 100.0f; /* all of exp's range */
            memset(expected, 0, sizeof expected);
            memset(found, 0, sizeof found);
            scalar()->scale(a, b, count, expected);
            kernel->scale(a, b, count, found);
            assert_same(expected, found, VALUES_MAX + 1, "scale", kernel);
            scalar()->times(b[0], a, count, expected);
            kernel->times(b[0], a, count, found);
            assert_same(expected, found, VALUES_MAX + 1, "times", kernel);
            scalar()->add(expected, b, count);
            kernel->add(found, b, count);
            assert_same(expected, found, VALUES_MAX + 1, "add", kernel);
            scalar()->swiglu(a, b, count, expected);
            kernel->swiglu(a, b, count, found);
            assert_same(expected, found, VALUES_MAX + 1, "swiglu", kernel);
            memcpy(expected, a, sizeof a);
            memcpy(found, a, sizeof a);
            scalar()->rope(expected, b, c, count / 2);
            kernel->rope(found, b, c, count / 2);
            assert_same(expected, found, VALUES_MAX + 1, "rope", kernel);
            scalar()->rope_halves(expected, b, c, count / 2);
            kernel->rope_halves(found, b, c, count / 2);
            assert_same(expected, found, VALUES_MAX + 1, "rope of halves", kernel);
        }
    }
}

static void swiglu_scale_and_times_may_write_over_their_inputs(void **state)
{
    float gate[37], up[37], expected[37], out[37];
    const struct kernel *kernel;

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        fill(gate, 37, ORDINARY, 1);
        fill(up, 37, ORDINARY, 2);
        kernel->swiglu(gate, up, 37, expected);
        memcpy(out, gate, sizeof gate);
        kernel->swiglu(out, up, 37, out);
        assert_same(expected, out, 37, "swiglu over gate", kernel);
        memcpy(out, up, sizeof up);
        kernel->swiglu(gate, out, 37, out);
        assert_same(expected, out, 37, "swiglu over up", kernel);
        kernel->scale(gate, up, 37, expected);
        memcpy(out, up, sizeof up);
        kernel->scale(gate, out, 37, out);
        assert_same(expected, out, 37, "scale", kernel);
        kernel->times(gate[0], up, 37, expected);
        memcpy(out, up, sizeof up);
        kernel->times(gate[0], out, 37, out);
        assert_same(expected, out, 37, "times", kernel);
    }
}

static void times_and_add_are_one_operation_each(void **state)
{
    float x[37], y[37], out[37];

    (void)state;
    fill(x, 37, ORDINARY, 3);
    fill(y, 37, ORDINARY, 4);
    scalar()->times(y[0], x, 37, out);
    for (size_t i = 0; i < 37; i++)
        assert_true(out[i] == y[0] * x[i]);
    memcpy(out, x, sizeof x);
    scalar()->add(out, y, 37);
    for (size_t i = 0; i < 37; i++)
        assert_true(out[i] == x[i] + y[i]);
}

static void swiglu_and_rope_are_their_formulas(void **state)
{
    float gate[100], up[100], out[100], angle_cos[50], angle_sin[50];

    (void)state;
    fill(gate, 100, ORDINARY, 5);
    fill(up, 100, ORDINARY, 6);
    for (size_t i = 0; i < 100; i++)
        gate[i] *= 20.0f;
    scalar()->swiglu(gate, up, 100, out);
    for (size_t i = 0; i < 100; i++) {
        double exact = (double)gate[i] / (1.0 + exp(-(double)gate[i])) * (double)up[i];

        assert_true(fabs((double)out[i] - exact) <= 4e-7 * fabs(exact));
    }
    for (size_t i = 0; i < 50; i++)
        canon_sincos((double)i, &angle_sin[i], &angle_cos[i]);
    memcpy(out, up, sizeof up);
    scalar()->rope(out, angle_cos, angle_sin, 50);
    for (size_t i = 0; i < 50; i++) {
        double x0 = (double)up[2 * i], x1 = (double)up[2 * i + 1], t = (double)i;

        assert_true(fabs((double)out[2 * i] - (x0 * cos(t) - x1 * sin(t))) < 2e-7);
        assert_true(fabs((double)out[2 * i + 1] - (x0 * sin(t) + x1 * cos(t))) < 2e-7);
    }
    memcpy(out, up, sizeof up);
    scalar()->rope_halves(out, angle_cos, angle_sin, 50);
    for (size_t i = 0; i < 50; i++) {
        double x0 = (double)up[i], x1 = (double)up[50 + i], t = (double)i;

        assert_true(fabs((double)out[i] - (x0 * cos(t) - x1 * sin(t))) < 2e-7);
        assert_true(fabs((double)out[50 + i] - (x0 * sin(t) + x1 * cos(t))) < 2e-7);
    }
}

static void a_kernel_is_chosen_by_name_or_the_fastest(void **state)
{
    const struct kernel *kernel, *fastest = NULL;
    struct fail fail = {0};

    (void)state;
    for (size_t k = 0; (kernel = next_kernel(&k)) != NULL;) {
        assert_ptr_equal(kernel_choose(kernel->name), kernel);
        assert_null(kernel_option("abacus", &fail));
        assert_non_null(strstr(fail.text, kernel->name));
        fastest = kernel;
    }
    assert_ptr_equal(kernel_choose(NULL), fastest);
    assert_null(kernel_choose("abacus"));
    assert_string_equal(kernel_at(0)->name, "scalar");
    assert_ptr_equal(kernel_option("SCALAR", &fail), kernel_at(0));
    assert_ptr_equal(kernel_option(NULL, &fail), fastest);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_int_equal(strncmp(fail.text, "--kernel abacus: this machine has no such kernel: give one of scalar", 68), 0);
}

static int prepare(void **state)
{
    (void)state;
    kernel_thread_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_scaled_by_its_largest_value_and_rounded_to_even),
        cmocka_unit_test(quantised_values_are_within_half_a_step),
        cmocka_unit_test(a_tiny_block_is_zero),
        cmocka_unit_test(a_block_with_a_non_finite_value_says_so_and_where),
        cmocka_unit_test(every_kernel_quantises_to_the_same_bytes),
        cmocka_unit_test(a_sum_of_squares_has_the_order_of_the_specification),
        cmocka_unit_test(elementwise_functions_are_the_same_in_every_kernel),
        cmocka_unit_test(swiglu_scale_and_times_may_write_over_their_inputs),
        cmocka_unit_test(times_and_add_are_one_operation_each),
        cmocka_unit_test(swiglu_and_rope_are_their_formulas),
        cmocka_unit_test(a_kernel_is_chosen_by_name_or_the_fastest),
    };

    return cmocka_run_group_tests(tests, prepare, NULL);
}
