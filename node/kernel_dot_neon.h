/* What kernel_dot.h needs of NEON: 4 rows in a register. With the dot product instructions when the file is compiled for them. */
#ifndef NODE_KERNEL_DOT_NEON_H
#define NODE_KERNEL_DOT_NEON_H

#include <arm_neon.h>
#include <assert.h>
#include <string.h>

#include "kernel.h"
#include "kernel_dot_inline.h"
#include "panel.h"

enum { DOT_LANES = 4, DOT_TOKENS = 4, DOT_VECTORS = 1, DOT_FLOAT_PANELS = 1, DOT_FLOAT_TOKENS = 4, DOT_DECODE_PANELS = 1 };

typedef uint32_t dot_words __attribute__((vector_size(16)));
typedef int32_t dot_ints __attribute__((vector_size(16)));
typedef float dot_floats __attribute__((vector_size(16)));

DOT_INLINE bool dot_reads_in_order(void)
{
    return false;
}

/* a * b + c, rounded once */
DOT_INLINE dot_floats dot_fma(dot_floats a, dot_floats b, dot_floats c)
{
    return (dot_floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}

/* c - a * b, rounded once */
DOT_INLINE dot_floats dot_nfma(dot_floats a, dot_floats b, dot_floats c)
{
    return (dot_floats)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}

DOT_INLINE dot_floats dot_load_f16(const void *p)
{
    float16x4_t halves;

    memcpy(&halves, p, sizeof halves);
    return (dot_floats)vcvt_f32_f16(halves);
}

DOT_INLINE dot_floats dot_load_bf16(const void *p)
{
    return (dot_floats)vshll_n_u16(vld1_u16(p), 16);
}

/* acc + weight * q over the four groups of 16 columns. Weights are signed here. */
#if defined(__ARM_FEATURE_DOTPROD)

DOT_INLINE int32x4_t dot_16(int32x4_t acc, const int8x16_t weight[4], const int8_t *q)
{
    const int8x16_t x = vld1q_s8(q);

    acc = vdotq_laneq_s32(acc, weight[0], x, 0);
    acc = vdotq_laneq_s32(acc, weight[1], x, 1);
    acc = vdotq_laneq_s32(acc, weight[2], x, 2);
    return vdotq_laneq_s32(acc, weight[3], x, 3);
}

#else

DOT_INLINE int32x4_t dot_16(int32x4_t acc, const int8x16_t weight[4], const int8_t *q)
{
    int32x4_t low = vdupq_n_s32(0), high = low; /* two sums for each of rows 0 and 1, 2 and 3 */

    DOT_UNROLL
    for (size_t g = 0; g < 4; g++) {
        int32_t four;
        int8x16_t x;

        memcpy(&four, q + 4 * g, sizeof four);
        x = vreinterpretq_s8_s32(vdupq_n_s32(four));
        low = vpadalq_s16(low, vmull_s8(vget_low_s8(weight[g]), vget_low_s8(x)));
        high = vpadalq_s16(high, vmull_high_s8(weight[g], x));
    }
    return vaddq_s32(acc, vpaddq_s32(low, high));
}

#endif

/* As in kernel_dot_vnni.h, with one vector: out[t] = sum over `groups` groups of (weight - zero) * q, of `tokens` slices from column
 * `first`, 16 or 32 columns; weight < 2^bits.
 * Weights of 8 bits are made signed, which subtracts their zero point 128; others are small enough to be signed as they are. */
DOT_INLINE void dot_columns(const dot_words *const *weights, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride,
                            size_t tokens, size_t first, int zero, int bits, dot_ints *out)
{
    const dot_words *weight = weights[0];
    int8x16_t w[8];

    assert(vectors == 1);
    DOT_UNROLL
    for (size_t g = 0; g < groups; g++)
        w[g] = (int8x16_t)(bits == 8 ? weight[g] ^ 0x80808080u : weight[g]);
    DOT_UNROLL
    for (size_t t = 0; t < tokens; t++) {
        const struct act_slice *slice = (const void *)(x + t * x_stride);
        const int32_t minus = groups == 8 ? slice->minus[first / BLOCK_COLUMNS] : -slice->sum[first / 16];
        int32x4_t acc = vdupq_n_s32(bits == 8 ? 0 : zero * minus);

        acc = dot_16(acc, w, slice->q + first);
        if (groups == 8)
            acc = dot_16(acc, w + 4, slice->q + first + 16);
        out[t] = (dot_ints)acc;
    }
}

#endif
