/* The functions of struct kernel that are the same C for every instruction set: only how wide they run differs.
 *
 * Each kernel_ISA.c includes this with its own compiler flags and puts KERNEL_COMMON into its struct kernel. The operations and their order
 * are those of docs/ARITHMETIC.md; loops run across independent results only. */
#ifndef NODE_KERNEL_COMMON_H
#define NODE_KERNEL_COMMON_H

#include "kernel.h"
#include "kernel_attend.h"
#include "kernel_lanes.h"
#include "kernel_list.h"
#include "kernel_train_lanes.h"

/* clang-format off */
#define KERNEL_COMMON                                                                                                                  \
    .quantise = common_quantise,                                                                                                       \
    .sumsq = common_sumsq,                                                                                                             \
    .scale = common_scale,                                                                                                             \
    .times = common_times,                                                                                                             \
    .add = common_add,                                                                                                                 \
    .swiglu = common_swiglu,                                                                                                           \
    .rope = common_rope,                                                                                                               \
    .rope_halves = common_rope_halves,                                                                                                 \
    .attend = attend_heads,                                                                                                            \
    .train = &train_functions
/* clang-format on */

KERNEL_INLINE void common_put_le32(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
    p[2] = (uint8_t)(x >> 16);
    p[3] = (uint8_t)(x >> 24);
}

/* False when a value is not finite. */
KERNEL_INLINE bool common_quantise_block(const float *x, uint8_t *wire)
{
    int32_t top = 0; /* the largest magnitude: the bits of f32 are ordered as the numbers are */
    int8_t q[BLOCK_COLUMNS];
    float d, inverse;

    for (int i = 0; i < BLOCK_COLUMNS; i++) {
        int32_t magnitude = (int32_t)(canon_bits(x[i]) & 0x7fffffffu);

        top = magnitude > top ? magnitude : top;
    }
    if (top >= 0x7f800000 || top < 0x0d800000) { /* 2^-100 */
        common_put_le32(wire, top >= 0x7f800000 ? CANON_NAN_BITS : 0);
        memset(wire + 4, 0, BLOCK_COLUMNS);
        return top < 0x7f800000;
    }
    d = canon_from_bits((uint32_t)top) / 127.0f;
    inverse = 127.0f / canon_from_bits((uint32_t)top);
    /* Adding 1.5 * 2^23 rounds to an integer, ties to even, and leaves it in the low bits. */
    for (int i = 0; i < BLOCK_COLUMNS; i++)
        q[i] = (int8_t)(canon_bits(x[i] * inverse + 0x1.8p+23f) - 0x4b400000u);
    common_put_le32(wire, canon_bits(d));
    memcpy(wire + 4, q, BLOCK_COLUMNS);
    return true;
}

static int64_t common_quantise(const float *x, size_t blocks, uint8_t *wire, size_t wire_stride)
{
    int64_t first = -1;

    for (size_t b = 0; b < blocks; b++) {
        const float *block = x + b * BLOCK_COLUMNS;

        if (common_quantise_block(block, wire + b * wire_stride) || first >= 0)
            continue;
        for (first = (int64_t)(b * BLOCK_COLUMNS); (canon_bits(x[first]) & 0x7fffffffu) < 0x7f800000u;)
            first++;
    }
    return first;
}

static float common_sumsq(const float *x)
{
    struct lanes lo = lanes_load(x);
    struct lanes hi = lanes_load(x + LANES);

    return lanes_sum(lanes_fma(hi, hi, lanes_mul(lo, lo)));
}

static void common_scale(const float *w, const float *x, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = w[i] * x[i];
}

static void common_times(float factor, const float *x, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = factor * x[i];
}

static void common_add(float *restrict x, const float *restrict y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] += y[i];
}

/* 16 at a time through a local array, so that out may be gate or up. */
KERNEL_INLINE void common_swiglu_lanes(const float *gate, const float *up, float *out)
{
    float y[LANES];

    for (int l = 0; l < LANES; l++)
        y[l] = canon_siluf(gate[l]) * up[l];
    memcpy(out, y, sizeof y);
}

static void common_swiglu(const float *gate, const float *up, size_t count, float *out)
{
    size_t whole = count / LANES * LANES;
    size_t rest = count - whole;
    float last_gate[LANES] = {0}, last_up[LANES] = {0}, last_out[LANES];

    for (size_t i = 0; i < whole; i += LANES)
        common_swiglu_lanes(gate + i, up + i, out + i);
    if (rest == 0)
        return;
    memcpy(last_gate, gate + whole, rest * sizeof(float));
    memcpy(last_up, up + whole, rest * sizeof(float));
    common_swiglu_lanes(last_gate, last_up, last_out);
    memcpy(out + whole, last_out, rest * sizeof(float));
}

static void common_rope(float *x, const float *cos, const float *sin, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        float x0 = x[2 * i];
        float x1 = x[2 * i + 1];

        x[2 * i] = __builtin_fmaf(x0, cos[i], -(x1 * sin[i]));
        x[2 * i + 1] = __builtin_fmaf(x0, sin[i], x1 * cos[i]);
    }
}

static void common_rope_halves(float *x, const float *cos, const float *sin, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        float x0 = x[i];
        float x1 = x[pairs + i];

        x[i] = __builtin_fmaf(x0, cos[i], -(x1 * sin[i]));
        x[pairs + i] = __builtin_fmaf(x0, sin[i], x1 * cos[i]);
    }
}

#endif
