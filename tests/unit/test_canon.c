/* Canonical mathematics against libm's double functions, against the hardware's half conversions, and against bit patterns that every
 * machine must give. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/canon.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Distance of y from the true value, in units in the last place of a float of that size. */
static double ulps(float y, double exact)
{
    double unit;

    if ((double)y == exact)
        return 0.0;
    unit = ldexp(1.0, ilogb(exact) < -126 ? -149 : ilogb(exact) - 23);
    return fabs((double)y - exact) / unit;
}

static void exp_is_within_1_5_ulp(void **state)
{
    double worst = 0.0;

    (void)state;
    for (uint32_t bits = 0; bits < 0x42b17218u; bits += 97) {
        double u = ulps(canon_expf(canon_from_bits(bits)), exp((double)canon_from_bits(bits)));

        worst = u > worst ? u : worst;
    }
    for (uint32_t bits = 0x80000000u; bits <= 0xc2aeac4fu; bits += 97) {
        double u = ulps(canon_expf(canon_from_bits(bits)), exp((double)canon_from_bits(bits)));

        worst = u > worst ? u : worst;
    }
    assert_true(worst < 1.5);
}

static void exp_has_defined_ends(void **state)
{
    (void)state;
    assert_int_equal(canon_bits(canon_expf(0.0f)), 0x3f800000);
    assert_int_equal(canon_bits(canon_expf(-0.0f)), 0x3f800000);
    assert_true(canon_expf(-0x1.5d589ep+6f) >= 0x1p-126f);
    assert_int_equal(canon_bits(canon_expf(-0x1.5d58ap+6f)), 0);
    assert_int_equal(canon_bits(canon_expf(-INFINITY)), 0);
    assert_int_equal(canon_bits(canon_expf(-0x1.fffffep+127f)), 0);
    assert_true(isfinite(canon_expf(0x1.62e42ep+6f)));
    assert_true(isinf(canon_expf(0x1.62e43p+6f)));
    assert_true(isinf(canon_expf(INFINITY)));
    assert_int_equal(canon_bits(canon_expf(-NAN)), CANON_NAN_BITS);
}

/* Where n changes (odd multiples of ln 2 / 2) two polynomials meet. */
static void exp_never_decreases_where_reductions_meet(void **state)
{
    (void)state;
    for (int k = -251; k <= 253; k += 2) {
        float x = (float)(k * 0.34657359027997264);
        float before;

        for (int step = 0; step < 2000; step++)
            x = nextafterf(x, -INFINITY);
        before = canon_expf(x);
        for (int step = 0; step < 4000; step++) {
            float y;

            x = nextafterf(x, INFINITY);
            y = canon_expf(x);
            assert_true(y >= before);
            before = y;
        }
    }
}

static void silu_is_within_3_ulp(void **state)
{
    (void)state;
    for (float x = -87.0f; x < 200.0f; x += 0.00037f)
        assert_true(ulps(canon_siluf(x), (double)x / (1.0 + exp(-(double)x))) < 3.0);
    assert_int_equal(canon_bits(canon_siluf(0.0f)), 0);
    assert_int_equal(canon_bits(canon_siluf(-1000.0f)), 0x80000000);
    assert_int_equal(canon_bits(canon_siluf(-INFINITY)), CANON_NAN_BITS);
    assert_int_equal(canon_bits(canon_siluf(NAN)), CANON_NAN_BITS);
    assert_true(isinf(canon_siluf(INFINITY)));
}

static void log_is_correctly_rounded_but_for_near_ties(void **state)
{
    (void)state;
    for (uint32_t bits = 1; bits < 0x7f800000u; bits += 1013)
        assert_true(ulps(canon_logf(canon_from_bits(bits)), log((double)canon_from_bits(bits))) < 0.501);
    for (uint32_t bits = 0x3f7f0000u; bits < 0x3f810000u; bits++)
        assert_true(ulps(canon_logf(canon_from_bits(bits)), log((double)canon_from_bits(bits))) < 0.501);
    assert_true(isinf(canon_logf(INFINITY)));
    assert_true(isinf(canon_logf(0.0f)));
    assert_int_equal(canon_bits(canon_logf(-1.0f)), CANON_NAN_BITS);
}

static void pow_is_good_to_1e_15(void **state)
{
    static const double bases[] = {1e-300, 0x1p-1030, 0.1, 0.5, 0.7071067811865475, 0.9999999, 1.0, 1.5, 10000.0, 500000.0, 1e6, 1e300};

    (void)state;
    for (size_t i = 0; i < COUNT(bases); i++)
        for (int step = -500; step <= 500; step++) {
            double exponent = step / 509.0;
            double exact = pow(bases[i], exponent);

            assert_true(fabs(canon_pow(bases[i], exponent) - exact) <= 1e-15 * exact);
        }
    assert_true(canon_pow(12345.0, 0.0) == 1.0);
    assert_true(canon_pow(10.0, 400.0) == (double)INFINITY);
    assert_true(canon_pow(10.0, -400.0) == 0.0);
}

static void assert_sincos(double x)
{
    float sine, cosine;

    canon_sincos(x, &sine, &cosine);
    assert_true(ulps(sine, sin(x)) < 0.501);
    assert_true(ulps(cosine, cos(x)) < 0.501);
}

static void sine_and_cosine_are_correctly_rounded_but_for_near_ties(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++)
        assert_sincos(i * 1.0e-3 - 200.0);
    for (int i = 0; i < 400000; i++)
        assert_sincos(i * 41.943039999 - 8388607.25);
    for (double x = 0x1p24 - 1.0; x > 1e-30; x *= 0.9973)
        assert_sincos(-x);
    for (int k = 1; k < 10000000; k = k + k / 100 + 1) /* next to the zeros */
        for (int step = -3; step <= 3; step++)
            assert_sincos((double)k * 1.5707963267948966 * (1.0 + step * 0x1p-52));
}

static double half_value(uint16_t half)
{
    int exponent = (half >> 10) & 31;
    double value = exponent == 0 ? ldexp(half & 1023, -24) : ldexp((half & 1023) + 1024, exponent - 25);

    return half & 0x8000u ? -value : value;
}

static void every_half_has_its_value_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000u; half++) {
        float x = canon_f16_to_f32((uint16_t)half);

        if ((half & 0x7fffu) > 0x7c00u) {
            assert_int_equal(canon_bits(x), (half & 0x8000u) << 16 | 0x7fc00000u | (half & 0x3ffu) << 13);
            assert_int_equal(canon_f32_to_f16(x), 0x7e00);
            continue;
        }
        if ((half & 0x7fffu) == 0x7c00u)
            assert_true(isinf(x) && !signbit(x) == !(half & 0x8000u));
        else
            assert_true((double)x == half_value((uint16_t)half) && !signbit(x) == !(half & 0x8000u));
        assert_int_equal(canon_f32_to_f16(x), half);
    }
}

/* Between two neighbouring halves, and around the midpoint. */
static void conversion_to_half_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x7bffu; half++) {
        double middle = (half_value((uint16_t)half) + half_value((uint16_t)(half + 1))) / 2;
        float tie = (float)middle;
        uint32_t even = half + (half & 1u);

        assert_true((double)tie == middle);
        assert_int_equal(canon_f32_to_f16(tie), even);
        assert_int_equal(canon_f32_to_f16(-tie), even | 0x8000u);
        assert_int_equal(canon_f32_to_f16(nextafterf(tie, 0.0f)), half);
        assert_int_equal(canon_f32_to_f16(nextafterf(tie, INFINITY)), half + 1);
    }
    assert_int_equal(canon_f32_to_f16(nextafterf(65520.0f, 0.0f)), 0x7bff);
    assert_int_equal(canon_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(canon_f32_to_f16(-0x1.fffffep+127f), 0xfc00);
    assert_int_equal(canon_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(canon_f32_to_f16(0x1p-149f), 0);
    assert_int_equal(canon_f32_to_f16(-0x1p-25f), 0x8000);
    assert_int_equal(canon_f32_to_f16(0x1.000002p-25f), 1);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("f16c"))) static void compare_with_f16c(void)
{
    for (uint32_t half = 0; half < 0x10000u; half++)
        assert_int_equal(canon_bits(canon_f16_to_f32((uint16_t)half)), canon_bits(_cvtsh_ss((uint16_t)half)));
    for (uint64_t bits = 0; bits < 0x100000000u; bits += 251) {
        float x = canon_from_bits((uint32_t)bits);

        if (x == x && canon_f32_to_f16(x) != _cvtss_sh(x, 0))
            fail_msg("bits 0x%08x", (unsigned)bits);
    }
}
#endif

static void half_conversions_agree_with_the_hardware(void **state)
{
    (void)state;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) { /* clang 14 cannot ask for f16c; every CPU with AVX2 has it */
        compare_with_f16c();
        return;
    }
#endif
    skip();
}

/* Results on x86-64, recorded when this was written; other machines must give the same. */
static const struct {
    uint32_t x, exp, silu, log;
} golden[] = {
    {0x00000000, 0x3f800000, 0x00000000, 0xff800000}, {0x80000000, 0x3f800000, 0x80000000, 0xff800000},
    {0x00000001, 0x3f800000, 0x00000000, 0xc2ce8ed0}, {0x00800000, 0x3f800000, 0x00400000, 0xc2aeac50},
    {0x3eb1719f, 0x3fb504c8, 0x3e4fe359, 0xbf87a348}, {0x3eb172ef, 0x3fb5053f, 0x3e4fe51a, 0xbf87a256},
    {0x3f000000, 0x3fd3094c, 0x3e9f597f, 0xbf317218}, {0x3f3504f3, 0x4001cca3, 0x3ef27ac6, 0xbeb17219},
    {0x3f3504f3, 0x4001cca3, 0x3ef27ac6, 0xbeb17219}, {0x3f800000, 0x402df854, 0x3f3b26a8, 0x00000000},
    {0xbf800000, 0x3ebc5ab2, 0xbe89b2b1, 0x7fc00000}, {0x40000000, 0x40ec7326, 0x3fe17bea, 0x3f317218},
    {0x40490fdb, 0x41b92024, 0x4040bbb1, 0x3f928683}, {0xc0e80000, 0x3a3a2aff, 0xbba89850, 0x7fc00000},
    {0x41200000, 0x46ac14ef, 0x411ffe24, 0x40135d8e}, {0xc1851592, 0x337fffff, 0xb5851592, 0x7fc00000},
    {0x42280000, 0x5dc1192b, 0x42280000, 0x406f35fb}, {0xc22e0000, 0x20177507, 0xa2cde316, 0x7fc00000},
    {0x42ae999a, 0x7e76d06e, 0x42ae999a, 0x408f04eb}, {0xc2ae999a, 0x0084c38b, 0x83b51923, 0x7fc00000},
    {0x42b17217, 0x7f7fff84, 0x42b17217, 0x408f895b}, {0x42b175c3, 0x7f800000, 0x42b175c3, 0x408f8a05},
    {0xc2b00000, 0x00000000, 0x83354ddc, 0x7fc00000}, {0x501502f9, 0x7f800000, 0x501502f9, 0x41b834f1},
    {0xd01502f9, 0x00000000, 0x80000000, 0x7fc00000}, {0x7f800000, 0x7f800000, 0x7f800000, 0x7f800000},
    {0xff800000, 0x00000000, 0x7fc00000, 0x7fc00000}, {0xffc12345, 0x7fc00000, 0x7fc00000, 0x7fc00000},
};

static void values_are_the_golden_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(golden); i++) {
        float x = canon_from_bits(golden[i].x);

        assert_int_equal(canon_bits(canon_expf(x)), golden[i].exp);
        assert_int_equal(canon_bits(canon_siluf(x)), golden[i].silu);
        assert_int_equal(canon_bits(canon_logf(x)), golden[i].log);
    }
}

/* One sum over many results, for a dense comparison with other machines. */
static void dense_results_have_the_golden_sum(void **state)
{
    uint64_t sum = 0;

    (void)state;
    for (uint64_t bits = 0; bits < 0x100000000u; bits += 4093) {
        float x = canon_from_bits((uint32_t)bits);
        float sine = 0.0f, cosine = 0.0f;
        double power = 0.0;
        uint64_t power_bits;

        if (x > -0x1p24f && x < 0x1p24f)
            canon_sincos((double)x, &sine, &cosine);
        if (x > 0.0f && x < 0x1p100f)
            power = canon_pow((double)x, -0.3125);
        memcpy(&power_bits, &power, sizeof power_bits);
        sum = sum * 0x9e3779b97f4a7c15u + canon_bits(canon_expf(x));
        sum = sum * 0x9e3779b97f4a7c15u + canon_bits(canon_siluf(x));
        sum = sum * 0x9e3779b97f4a7c15u + canon_bits(canon_logf(x));
        sum = sum * 0x9e3779b97f4a7c15u + canon_bits(sine);
        sum = sum * 0x9e3779b97f4a7c15u + canon_bits(cosine);
        sum = sum * 0x9e3779b97f4a7c15u + power_bits;
        sum = sum * 0x9e3779b97f4a7c15u + canon_f32_to_f16(x);
    }
    if (sum != 0xdf1adb30ef5ddf65u)
        fail_msg("sum is 0x%016llx", (unsigned long long)sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_1_5_ulp),
        cmocka_unit_test(exp_has_defined_ends),
        cmocka_unit_test(exp_never_decreases_where_reductions_meet),
        cmocka_unit_test(silu_is_within_3_ulp),
        cmocka_unit_test(log_is_correctly_rounded_but_for_near_ties),
        cmocka_unit_test(pow_is_good_to_1e_15),
        cmocka_unit_test(sine_and_cosine_are_correctly_rounded_but_for_near_ties),
        cmocka_unit_test(every_half_has_its_value_and_comes_back),
        cmocka_unit_test(conversion_to_half_rounds_to_nearest_even),
        cmocka_unit_test(half_conversions_agree_with_the_hardware),
        cmocka_unit_test(values_are_the_golden_bits),
        cmocka_unit_test(dense_results_have_the_golden_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
