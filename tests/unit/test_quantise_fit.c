#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "node/quantise/quantise_fit.h"

static const float eight[8] = {-3, -1.5f, 0, 1.5f, 3, 4.5f, 6, 0.1f};

static void numbers_are_rounded_to_the_nearest_and_ties_to_even(void **state)
{
    (void)state;
    assert_true(fit_round(2.5f) == 2);
    assert_true(fit_round(3.5f) == 4);
    assert_true(fit_round(-2.5f) == -2);
    assert_true(fit_round(-0.51f) == -1);
    assert_true(fit_round(127.49f) == 127);
}

static void sums_are_those_of_the_nearest_q(void **state)
{
    const struct fit_grid grid = {.scale = 1.5f, .offset = -3, .lowest = 0, .highest = 5};
    const struct fit_sums sums = fit_sums(eight, 8, &grid);
    uint8_t levels[8];

    (void)state;
    fit_levels(eight, 8, &grid, levels); /* 0 1 2 3 4 5 5 2: values above the highest level are clipped */
    assert_memory_equal(levels, "\0\1\2\3\4\5\5\2", 8);
    assert_true(sums.q == 22);
    assert_true(sums.qq == 84);
    assert_true(sums.xq == -1.5f + 4.5f + 12 + 22.5f + 30 + 0.2f);
    assert_true(sums.error == 2.25f + 0.1f * 0.1f);
    assert_true(fit_error(eight, 8, &grid) == sums.error);
    assert_true(fit_total(eight, 8) == 10.6f);
}

static void a_grid_without_scale_is_its_offset(void **state)
{
    const struct fit_grid grid = {.scale = 0, .offset = 0, .lowest = -8, .highest = 7};
    uint8_t levels[8];

    (void)state;
    fit_levels(eight, 8, &grid, levels);
    assert_memory_equal(levels, "\x8\x8\x8\x8\x8\x8\x8\x8", 8);
    assert_true(fit_least(eight, 8) == -3);
    assert_true(fit_greatest(eight, 8) == 6);
    assert_true(fit_extreme(eight, 8) == 6);
    assert_true(fit_extreme(eight, 5) == 3); /* of two equal ones, the positive one */
}

static void divisors_are_found_one_after_another(void **state)
{
    const float multiples[8] = {0, 2, 4, 6, 12, 8, 0, 2};

    (void)state;
    assert_int_equal(fit_next_divisor(multiples, 8, 0, 12, 1, 31), 6);
    assert_int_equal(fit_next_divisor(multiples, 8, 0, 12, 7, 31), 12);
    assert_int_equal(fit_next_divisor(multiples, 8, 0, 12, 13, 15), 16);
    assert_int_equal(fit_next_divisor(multiples, 8, -2, 14, 1, 31), 7);
    assert_int_equal(fit_next_divisor(eight, 8, -3, 9, 1, 31), 32);
}

static void halves_are_finite_and_zero_has_no_sign(void **state)
{
    (void)state;
    assert_int_equal(fit_half(1e30f), 0x7bff);
    assert_int_equal(fit_half(-1e30f), 0xfbff);
    assert_int_equal(fit_half(-1e-20f), 0);
    assert_int_equal(fit_half(-0.0f), 0);
    assert_int_equal(fit_scale_half(-1e-20f), 0x8001);
    assert_int_equal(fit_scale_half(FLT_TRUE_MIN), 0x0001);
    assert_int_equal(fit_scale_half(0), 0);
    assert_true(fit_as_half(0.1f) == 0x1.998p-4f);
}

static void loaded_values_have_finite_squares(void **state)
{
    const float values[2] = {FLT_MAX, -FLT_MAX};
    float x[2];

    (void)state;
    fit_load(values, 2, x);
    assert_true(isfinite(x[0] * x[0] * 1000));
    assert_true(x[1] == -x[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rounded_to_the_nearest_and_ties_to_even),
        cmocka_unit_test(sums_are_those_of_the_nearest_q),
        cmocka_unit_test(a_grid_without_scale_is_its_offset),
        cmocka_unit_test(divisors_are_found_one_after_another),
        cmocka_unit_test(halves_are_finite_and_zero_has_no_sign),
        cmocka_unit_test(loaded_values_have_finite_squares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
