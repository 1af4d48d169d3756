/* What kernel_dot.h needs of NEON: 4 rows in a register. With the dot product instructions when the file is compiled for them.
 *
 * Cortex-A53 and A55, which most small boards have, execute in the order of the program: sums that do not depend on one another stand side
 * by side, of all parts of a panel for one token (two parts where a block has two sums), and of two parts for four tokens. The Makefile
 * keeps gcc from making chains of them. */
#ifndef NODE_KERNEL_DOT_NEON_H
#define NODE_KERNEL_DOT_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernel.h"
#include "kernel_dot_inline.h"
#include "panel.h"

enum {
    DOT_LANES = 4,
    DOT_TOKENS = 8,
    DOT_VECTORS = 2,
    DOT_FLOAT_PANELS = 2,
    DOT_FLOAT_TOKENS = 4,
    DOT_DECODE_PANELS = 1,
    DOT_DECODE_PARTS = 4,
    DOT_DECODE_TOGETHER = true,
    DOT_DECODE_UNROLLS_K = false,
    DOT_FEW = 4,
    DOT_SIGNED_BYTES = true
};

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

#if defined(__ARM_FEATURE_DOTPROD)

/* acc + each row's products with columns 4 * lane to 4 * lane + 3 of x. */
DOT_INLINE int32x4_t dot_lane(int32x4_t acc, int8x16_t weight, int8x16_t x, size_t lane)
{
    switch (lane) {
    case 0:
        return vdotq_laneq_s32(acc, weight, x, 0);
    case 1:
        return vdotq_laneq_s32(acc, weight, x, 1);
    case 2:
        return vdotq_laneq_s32(acc, weight, x, 2);
    default:
        return vdotq_laneq_s32(acc, weight, x, 3);
    }
}

/* What dot_columns does, added to out, with weights as they are. */
DOT_INLINE void dot_products(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride,
                             size_t tokens, size_t first, int bits, int32x4_t *out)
{
    int8x16_t q[DOT_TOKENS][2];

    (void)bits;
    DOT_UNROLL
    for (size_t t = 0; t < tokens; t++) {
        DOT_UNROLL
        for (size_t half = 0; half < groups / 4; half++)
            q[t][half] = vld1q_s8(dot_slice(x, x_stride, t)->q + first + 16 * half);
    }
    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++)
            out[i] = dot_lane(out[i], (int8x16_t)weight[i % vectors][g], q[i / vectors][g / 4], g % 4);
    }
}

#else

DOT_INLINE int8x16_t dot_splat_four(const int8_t *q)
{
    int32_t four;

    memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* What dot_columns does, added to out, with weights as they are. As many products are added in 16 bits as cannot overflow: 8 * 31 * 127,
 * 4 * 63 * 127 and 2 * 128 * 127 are all below 2^15. */
DOT_INLINE void dot_products(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride,
                             size_t tokens, size_t first, int bits, int32x4_t *out)
{
    const size_t batch = bits == 8 ? 2 : groups;
    int16x8_t low[DOT_TOKENS], high[DOT_TOKENS]; /* two sums for each of rows 0 and 1, 2 and 3 */
    int32x4_t low_sum[DOT_TOKENS], high_sum[DOT_TOKENS];

    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            const int8x16_t w = (int8x16_t)weight[i % vectors][g];
            const int8x16_t q = dot_splat_four(dot_slice(x, x_stride, i / vectors)->q + first + 4 * g);

            if (g % batch == 0) {
                low[i] = vmull_s8(vget_low_s8(w), vget_low_s8(q));
                high[i] = vmull_high_s8(w, q);
            } else {
                low[i] = vmlal_s8(low[i], vget_low_s8(w), vget_low_s8(q));
                high[i] = vmlal_high_s8(high[i], w, q);
            }
            if (g + 1 == batch) {
                low_sum[i] = vpaddlq_s16(low[i]);
                high_sum[i] = vpaddlq_s16(high[i]);
            } else if ((g + 1) % batch == 0) {
                low_sum[i] = vpadalq_s16(low_sum[i], low[i]);
                high_sum[i] = vpadalq_s16(high_sum[i], high[i]);
            }
        }
    }
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++)
        out[i] = vaddq_s32(out[i], vpaddq_s32(low_sum[i], high_sum[i]));
}

#endif

/* As in kernel_dot_vnni.h. Weights of 8 bits are signed already (DOT_SIGNED_BYTES), so nothing is to be subtracted for their zero point;
 * others are small enough to be signed as they are. */
DOT_INLINE void dot_columns(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride, size_t tokens,
                            size_t first, int zero, int bits, dot_ints *out)
{
    int32x4_t sum[DOT_TOKENS];

    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        const struct act_slice *slice = dot_slice(x, x_stride, i / vectors);
        const int32_t minus = groups == 8 ? slice->minus[first / BLOCK_COLUMNS] : -slice->sum[first / 16];

        sum[i] = vdupq_n_s32(bits == 8 ? 0 : zero * minus);
    }
    dot_products(weight, vectors, groups, x, x_stride, tokens, first, bits, sum);
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++)
        out[i] = (dot_ints)sum[i];
}

#endif
