/* The canonical functions that hot loops call, inline; see canon.h.
 *
 * Every select is a ternary over values already computed, so that gcc vectorises a loop over any of these and each lane still does
 * exactly the operations written here, in this order. A multiply-add is fused only where __builtin_fmaf says so; integer arithmetic is
 * modulo 2^32. Needs round to nearest and subnormals kept (kernel_thread_init). */
#ifndef NODE_CANON_INLINE_H
#define NODE_CANON_INLINE_H

#include <stdint.h>

#define CANON_NAN_BITS 0x7fc00000u /* every NaN made here; the hardware's own differs between machines */

static inline uint32_t canon_bits(float x)
{
    union {
        float value;
        uint32_t bits;
    } u = {.value = x};

    return u.bits;
}

static inline float canon_from_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } u = {.bits = bits};

    return u.value;
}

/* Exact for every number; a NaN keeps sign and payload and becomes quiet, as the conversions of x86 and Arm do. */
static inline float canon_f16_to_f32(uint16_t half)
{
    uint32_t magnitude = half & 0x7fffu;
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t normal = (magnitude << 13) + (112u << 23);
    uint32_t special = (magnitude << 13) | 0x7f800000u | (magnitude > 0x7c00u ? 0x00400000u : 0u);
    uint32_t subnormal = canon_bits((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t finite = magnitude < 0x0400u ? subnormal : normal;

    return canon_from_bits(sign | (magnitude >= 0x7c00u ? special : finite));
}

/* To nearest, ties to even; too large is infinity with its sign; any NaN is 0x7e00. */
static inline uint16_t canon_f32_to_f16(float x)
{
    uint32_t magnitude = canon_bits(x) & 0x7fffffffu;
    uint32_t sign = (canon_bits(x) >> 16) & 0x8000u;
    uint32_t normal = ((magnitude + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13) - (112u << 10);
    /* Added to 0.5, whose last bit is worth 2^-24, a small number is rounded to a multiple of the smallest half. */
    uint32_t subnormal = canon_bits(canon_from_bits(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
    uint32_t number = sign | (magnitude >= 0x477ff000u ? 0x7c00u : finite);

    return (uint16_t)(magnitude > 0x7f800000u ? 0x7e00u : number);
}

static inline float canon_bf16_to_f32(uint16_t brain)
{
    return canon_from_bits((uint32_t)brain << 16);
}

/* e^x within 1.5 ulp. Results below the smallest normal number (x < -0x1.5d589ep+6) are +0, from 0x1.62e43p+6 on infinity.
 *
 * x = n ln 2 + r with |r| ≤ ln 2 / 2 (Cody and Waite), a polynomial in r, and n added to the exponent. */
static inline float canon_expf(float x)
{
    float shifted = __builtin_fmaf(x, 0x1.715476p+0f, 0x1.8p+23f); /* n stands in the low bits */
    float n = shifted - 0x1.8p+23f;
    float r = __builtin_fmaf(n, 0x1.05c61p-29f, __builtin_fmaf(n, -0x1.62e43p-1f, x));
    float p = __builtin_fmaf(0x1.6d110ap-10f, r, 0x1.120b6ep-7f);
    uint32_t scaled;
    float y;

    p = __builtin_fmaf(p, r, 0x1.55551ap-5f);
    p = __builtin_fmaf(p, r, 0x1.5554dcp-3f);
    p = __builtin_fmaf(p, r, 0.5f);
    p = __builtin_fmaf(p, r, 1.0f);
    p = __builtin_fmaf(p, r, 1.0f);
    scaled = canon_bits(p) + (canon_bits(shifted) << 23);
    y = canon_from_bits(scaled);
    y = x < -0x1.5d589ep+6f ? 0.0f : y;
    y = x >= 0x1.62e43p+6f ? __builtin_inff() : y;
    return x != x ? canon_from_bits(CANON_NAN_BITS) : y;
}

/* x / (1 + e^-x): within 3 ulp for x ≥ -87; -0 for any smaller number whose e^-x overflows. NaN for NaN and -infinity. */
static inline float canon_siluf(float x)
{
    float y = x / (1.0f + canon_expf(-x));

    return y != y ? canon_from_bits(CANON_NAN_BITS) : y;
}

#endif
