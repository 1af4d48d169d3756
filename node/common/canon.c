#include "canon.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* log x = exponent * ln 2 + log m, m in [1/sqrt 2, sqrt 2), and log m = 2 atanh(s) with s = (m - 1) / (m + 1). */
struct reduced {
    double exponent;
    double m_minus_1;
};

static uint64_t bits_of(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static struct reduced reduce_log(double x)
{
    bool subnormal = x < 0x1p-1022;
    uint64_t bits = bits_of(subnormal ? x * 0x1p54 : x);
    /* Counting from the bits of 1/sqrt 2 makes the exponent change there. */
    uint64_t shifted = bits - 0x3fe6a09e667f3bcdu;
    int64_t exponent = (int64_t)shifted >> 52;

    return (struct reduced){
        .exponent = (double)(exponent - (subnormal ? 54 : 0)),
        .m_minus_1 = from_bits(bits - ((uint64_t)exponent << 52)) - 1.0,
    };
}

/* Horner's rule: coefficients from that of z^0 on. */
static double polynomial(double z, const double *coefficients, int count)
{
    double sum = coefficients[count - 1];

    for (int k = count - 2; k >= 0; k--)
        sum = sum * z + coefficients[k];
    return sum;
}

/* (atanh(s) - s) / s^3 in s^2 */
static const double atanh_tail[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13,
                                    1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23, 1.0 / 25};

/* (sin(r) - r) / r^3 and (cos(r) - 1) / r^2 in r^2 */
static const double sin_tail[] = {-1.0 / 6,        1.0 / 120,          -1.0 / 5040,           1.0 / 362880,
                                  -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
static const double cos_tail[] = {-1.0 / 2,       1.0 / 24,        -1.0 / 720,           1.0 / 40320,
                                  -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};

float canon_logf(float x)
{
    struct reduced reduced;
    double s, s_squared, log_m;

    if (!(x > 0.0f) || x > 0x1.fffffep+127f) {
        float below = x == 0.0f ? -__builtin_inff() : canon_from_bits(CANON_NAN_BITS);

        return x > 0.0f ? x : below;
    }
    reduced = reduce_log((double)x);
    s = reduced.m_minus_1 / (2.0 + reduced.m_minus_1);
    s_squared = s * s;
    log_m = 2.0 * (s + s * s_squared * polynomial(s_squared, atanh_tail, 7));
    return (float)(reduced.exponent * 0x1.62e42fefa39efp-1 + log_m);
}

/* e^(hi + lo), |lo| far below |hi|: to about 1 ulp */
static double exp_double(double hi, double lo)
{
    double n = hi * 0x1.71547652b82fep+0 + 0x1.8p52 - 0x1.8p52;
    /* The high part of ln 2 has 40 bits, so that its product with n is exact. */
    double r = hi - n * 0x1.62e42fefa2p-1 + (lo - n * 0x1.9ef35793c7673p-41);
    double sum = 1.0;
    int64_t exponent;

    if (hi > 709.0)
        return (double)__builtin_inff();
    if (hi < -708.0)
        return 0.0;
    for (int k = 14; k >= 1; k--)
        sum = 1.0 + sum * r / (double)k;
    exponent = (int64_t)n;
    return sum * from_bits((uint64_t)(exponent + 1023) << 52);
}

double canon_pow(double base, double exponent)
{
    struct reduced reduced;
    double f, s, s_low, s_squared, tail, hi, lo, head, product, product_low;

    assert(base > 0.0 && base <= 0x1.fffffffffffffp+1023);
    assert(exponent == exponent);
    reduced = reduce_log(base);
    f = reduced.m_minus_1;
    /* s + s_low = f / (2 + f) with about 100 bits, log m = 2 s + 2 s_low + 2 s^3 tail, all as hi + lo */
    hi = 2.0 + f;
    lo = f - (hi - 2.0);
    s = f / hi;
    s_low = (fma(-s, hi, f) - s * lo) / hi;
    s_squared = s * s;
    tail = s * s_squared * polynomial(s_squared, atanh_tail, 12);
    head = reduced.exponent * 0x1.62e42fefa2p-1;
    hi = head + 2.0 * s;
    lo = 2.0 * s - (hi - head);
    lo += 2.0 * (s_low + tail) + reduced.exponent * 0x1.9ef35793c7673p-41;
    product = exponent * hi;
    product_low = fma(exponent, hi, -product) + exponent * lo;
    return exp_double(product, product_low);
}

void canon_sincos(double x, float *sin_out, float *cos_out)
{
    double n, r, z, mid, difference, rest;
    double sine, cosine;
    unsigned quadrant;

    assert(x > -0x1p24 && x < 0x1p24);
    n = x * 0x1.45f306dc9c883p-1 + 0x1.8p52 - 0x1.8p52;
    /* pi/2 in parts of 28, 28 and 53 bits (Cody and Waite): the products with the first two are exact, and so is the first difference;
     * what the second one rounds off is kept in `rest`. */
    r = x - n * 0x1.921fb54p+0;
    mid = n * 0x1.10b461p-30;
    difference = r - mid;
    rest = (r - (difference + mid)) - (mid - ((difference + mid) - difference)) - n * 0x1.a62633145c06ep-58;
    r = difference + rest;
    z = r * r;
    sine = r + r * z * polynomial(z, sin_tail, 7);
    cosine = 1.0 + z * polynomial(z, cos_tail, 8);
    quadrant = (unsigned)(int32_t)n & 3u;
    *sin_out = (float)((quadrant & 1u ? cosine : sine) * (quadrant & 2u ? -1.0 : 1.0));
    *cos_out = (float)((quadrant & 1u ? sine : cosine) * (quadrant == 1u || quadrant == 2u ? -1.0 : 1.0));
}
