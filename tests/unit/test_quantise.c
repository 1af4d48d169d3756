#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "node/quantise/quantise.h"
#include "tests/unit/quantise_case.h"
#include "tests/unit/sha256.h"
#include "tests/unit/type_rows.h"

enum { VALUES = 2048 };

static float values[VALUES], result[VALUES], again[VALUES];
static uint8_t packed[VALUES * 4 + 1], other[VALUES * 4];

static void values_that_are_not_finite_are_found(void **state)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN, -NAN};
    const float fine[] = {0, -0.0f, FLT_MAX, -FLT_MAX, FLT_TRUE_MIN, 1};

    (void)state;
    assert_int_equal(quantise_first_not_finite(fine, 6), 6);
    assert_int_equal(quantise_first_not_finite(fine, 0), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        quantise_case_fill(QUANTISE_BELL, 1, values, 100);
        values[70 + i] = bad[i];
        values[90] = NAN;
        assert_int_equal(quantise_first_not_finite(values, 100), 70 + i);
    }
}

static void floats_are_rounded_to_the_nearest_and_ties_to_even(void **state)
{
    const float ties[] = {1 + 0x1p-11f, 1 + 0x3p-11f, -1 - 0x1p-11f, 0x1p-25f, 0x1.8p-24f, 65519.0f};
    const float halves[] = {1, 1 + 0x1p-9f, -1, 0, 0x1p-23f, 65504.0f};
    const float brain_ties[] = {1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1p-8f, 1 + 0x1.1p-8f, 0x1.7fp-130f};
    const float brains[] = {1, 1 + 0x1p-6f, -1, 1 + 0x1p-7f, 0x1.8p-130f};

    (void)state;
    quantise_case_round_trip(TYPE_F16, ties, 6, result);
    for (int i = 0; i < 6; i++)
        assert_true(result[i] == halves[i]);
    quantise_case_round_trip(TYPE_BF16, brain_ties, 5, result);
    for (int i = 0; i < 5; i++)
        assert_true(result[i] == brains[i]);
    quantise_case_fill(QUANTISE_HEAVY, 1, values, VALUES);
    quantise_case_round_trip(TYPE_F32, values, VALUES, result);
    assert_memory_equal(result, values, sizeof values);
}

static void too_large_values_become_the_largest_that_a_type_has(void **state)
{
    static const struct {
        enum tensor_type type;
        float largest;
    } cases[] = {
        {TYPE_F16, 65504},
        {TYPE_BF16, 0x1.fep127f},
        {TYPE_Q8_0, 65504.0f * 127},
        {TYPE_Q4_0, 65504.0f * 8},
        {TYPE_Q5_0, 65504.0f * 16},
        {TYPE_Q4_1, 65504.0f * 15 - 65504.0f},
        {TYPE_Q5_1, 65504.0f * 31 - 65504.0f},
        {TYPE_Q2_K, 65504.0f * 15 * 3},
        {TYPE_Q3_K, 65504.0f * 32 * 4},
        {TYPE_Q4_K, 65504.0f * 63 * 15},
        {TYPE_Q5_K, 65504.0f * 63 * 31},
        {TYPE_Q6_K, 65504.0f * 128 * 32},
    };

    (void)state;
    TYPE_ROWS_EXPECT(cases, TYPE_ROWS_ROUNDED);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(values, 0, sizeof values);
        values[5] = FLT_MAX;
        quantise_case_round_trip(cases[i].type, values, 256, result);
        for (int k = 0; k < 256; k++)
            assert_true(isfinite(result[k]));
        if (!(result[5] >= cases[i].largest * 0.93f))
            fail_msg("%s: %g is not nearly %g", tensor_type_name(cases[i].type), (double)result[5], (double)cases[i].largest);
        values[5] = -FLT_MAX;
        quantise_case_round_trip(cases[i].type, values, 256, result);
        assert_true(isfinite(result[5]) && result[5] < 0);
    }
}

static void every_quantised_type_is_tested(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);
        bool is_tested = info == NULL || info->is_float;

        for (size_t i = 0; i < quantise_case_type_count; i++)
            is_tested |= quantise_case_types[i] == type;
        if (!is_tested)
            fail_msg("quantise_case_types lacks %s", info->name);
    }
}

static void zeros_are_zeros_and_their_blocks_have_no_scale(void **state)
{
    (void)state;
    memset(values, 0, sizeof values);
    values[3] = -0.0f;
    for (size_t i = 0; i < quantise_case_type_count; i++) {
        quantise_case_round_trip(quantise_case_types[i], values, 512, result);
        for (int k = 0; k < 512; k++)
            assert_true(result[k] == 0);
    }
    quantise(TYPE_Q4_0, values, 32, packed);
    assert_memory_equal(packed, "\0\0\x88\x88\x88\x88", 6);
    quantise(TYPE_Q4_K, values, 256, packed);
    for (size_t k = 0; k < tensor_type_bytes(TYPE_Q4_K, 256); k++)
        assert_int_equal(packed[k], 0);
}

static void values_below_the_smallest_scale_become_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < quantise_case_type_count; i++) {
        for (int k = 0; k < 256; k++)
            values[k] = (float)(k - 128) * 0x1p-140f;
        quantise_case_round_trip(quantise_case_types[i], values, 256, result);
        for (int k = 0; k < 256; k++)
            assert_true(result[k] == 0);
    }
}

/* Root mean square error of bell-shaped values, relative to their own: more bits, less error. The bounds are a few per cent above measured
 * errors; scales that just reach the farthest value give 5 to 30 per cent more than the bounds. */
static void errors_are_within_the_bounds_of_their_types(void **state)
{
    static const struct {
        enum tensor_type type;
        double bound;
    } cases[] = {
        {TYPE_F16, 0.00025}, {TYPE_BF16, 0.002}, {TYPE_Q8_0, 0.005}, {TYPE_Q4_0, 0.082}, {TYPE_Q4_1, 0.071}, {TYPE_Q5_0, 0.041},
        {TYPE_Q5_1, 0.035},  {TYPE_Q2_K, 0.265}, {TYPE_Q3_K, 0.147}, {TYPE_Q4_K, 0.071}, {TYPE_Q5_K, 0.035}, {TYPE_Q6_K, 0.0175},
    };

    (void)state;
    TYPE_ROWS_EXPECT(cases, TYPE_ROWS_ROUNDED);
    memset(again, 0, sizeof again);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        quantise_case_fill(QUANTISE_BELL, 2, values, VALUES);
        quantise_case_round_trip(cases[i].type, values, VALUES, result);

        const double error = sqrt(quantise_case_squares(values, result, VALUES) / quantise_case_squares(values, again, VALUES));

        if (!(error < cases[i].bound))
            fail_msg("%s: %.5f, expected less than %.5f", tensor_type_name(cases[i].type), error, cases[i].bound);
    }
}

static void a_block_depends_on_nothing_but_its_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < quantise_case_type_count; i++) {
        const enum tensor_type type = quantise_case_types[i];
        const size_t block = tensor_type_info(type)->block_values;
        const size_t bytes = tensor_type_info(type)->block_bytes;

        quantise_case_fill(QUANTISE_HEAVY, 3, values, VALUES);
        quantise(type, values, VALUES, packed + 1);
        for (size_t b = VALUES / block; b-- > 0;)
            quantise(type, values + b * block, block, other + b * bytes);
        assert_memory_equal(packed + 1, other, VALUES / block * bytes);
    }
}

static void the_same_values_give_the_same_bytes_on_every_machine(void **state)
{
    static const struct {
        enum tensor_type type;
        const char *hash; /* the beginning of SHA-256 */
    } expected[] = {
        {TYPE_F16, "7deeb45c2a632605"},  {TYPE_BF16, "b7f2af3b5325103c"}, {TYPE_Q8_0, "d4042a25947ad3d7"}, {TYPE_Q4_0, "476559cb820121b5"},
        {TYPE_Q4_1, "dc1baf75aeefb131"}, {TYPE_Q5_0, "fc0d5a61e5b773a9"}, {TYPE_Q5_1, "1ad040d5e4aefafd"}, {TYPE_Q2_K, "38b0062e771913c6"},
        {TYPE_Q3_K, "76ca5675b149e743"}, {TYPE_Q4_K, "001ddba7fecb8c5c"}, {TYPE_Q5_K, "c01bb6b62eb0521c"}, {TYPE_Q6_K, "f4d5e09867308d1a"},
    };
    char hex[65];

    (void)state;
    TYPE_ROWS_EXPECT(expected, TYPE_ROWS_ROUNDED);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const size_t bytes = tensor_type_bytes(expected[i].type, 256);

        for (int kind = 0; kind < QUANTISE_KINDS; kind++) {
            quantise_case_fill((enum quantise_kind)kind, 4, values, 256);
            quantise(expected[i].type, values, 256, packed + (size_t)kind * bytes);
        }
        sha256_hex(packed, QUANTISE_KINDS * bytes, hex);
        hex[16] = '\0';
        if (strcmp(hex, expected[i].hash) != 0)
            fail_msg("%s: %s, expected %s", tensor_type_name(expected[i].type), hex, expected[i].hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_are_not_finite_are_found),
        cmocka_unit_test(floats_are_rounded_to_the_nearest_and_ties_to_even),
        cmocka_unit_test(too_large_values_become_the_largest_that_a_type_has),
        cmocka_unit_test(every_quantised_type_is_tested),
        cmocka_unit_test(zeros_are_zeros_and_their_blocks_have_no_scale),
        cmocka_unit_test(values_below_the_smallest_scale_become_zero),
        cmocka_unit_test(errors_are_within_the_bounds_of_their_types),
        cmocka_unit_test(a_block_depends_on_nothing_but_its_values),
        cmocka_unit_test(the_same_values_give_the_same_bytes_on_every_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
