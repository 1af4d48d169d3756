/* What kernel_dot.h needs of AVX-VNNI beside AVX2: four unsigned by signed products per lane in one instruction. */
#ifndef NODE_KERNEL_DOT_AVXVNNI_H
#define NODE_KERNEL_DOT_AVXVNNI_H

#include "kernel_dot_256.h"

/* As in kernel_dot_avx512.h, on vectors of half the width. */
DOT_INLINE void dot_columns(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride, size_t tokens,
                            size_t first, int zero, int bits, dot_ints *out)
{
    (void)bits;
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        const struct act_slice *slice = dot_slice(x, x_stride, i / vectors);

        out[i] = (dot_ints)_mm256_set1_epi32(groups == 8 ? slice->minus[first / BLOCK_COLUMNS] : -slice->sum[first / 16]) * zero;
    }
    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            const __m256i four = dot_splat_four(dot_slice(x, x_stride, i / vectors)->q + first + 4 * g);

            out[i] = (dot_ints)_mm256_dpbusd_avx_epi32((__m256i)out[i], (__m256i)weight[i % vectors][g], four);
        }
    }
}

#endif
