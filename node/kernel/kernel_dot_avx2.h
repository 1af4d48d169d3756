/* What kernel_dot.h needs of AVX2: pairs of products in 16 bits. */
#ifndef NODE_KERNEL_DOT_AVX2_H
#define NODE_KERNEL_DOT_AVX2_H

#include "kernel_dot_256.h"

/* Keep sums in the order in which they are written: a compiler that makes trees of them has to put all products of a block into memory. */
DOT_INLINE __m256i dot_chain(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

/* Weights of 8 bits, for which maddubs would saturate: |w| times x with the sign of w. Neither pair exceeds 2 * 128 * 127 < 2^15, and x is
 * never -128, so its sign can be changed. */
DOT_INLINE void dot_columns_8bit(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride,
                                 size_t tokens, size_t first, __m256i *sum)
{
    const __m256i ones = _mm256_set1_epi16(1);

    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++)
        sum[i] = _mm256_setzero_si256();
    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        __m256i w[DOT_VECTORS], magnitude[DOT_VECTORS];

        DOT_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            w[v] = _mm256_xor_si256((__m256i)weight[v][g], _mm256_set1_epi8(-128));
            magnitude[v] = _mm256_abs_epi8(w[v]);
        }
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            const __m256i four = dot_splat_four(dot_slice(x, x_stride, i / vectors)->q + first + 4 * g);
            const __m256i pairs = _mm256_maddubs_epi16(magnitude[i % vectors], _mm256_sign_epi8(four, w[i % vectors]));

            sum[i] = dot_chain(_mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones)));
        }
    }
}

/* Weights of fewer bits as they are. As many pairs are added in 16 bits as cannot overflow: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127 and
 * 2 * 2 * 63 * 127 are all below 2^15. */
DOT_INLINE void dot_columns_few_bits(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride,
                                     size_t tokens, size_t first, int zero, int bits, __m256i *sum)
{
    const size_t batch = bits <= 4 ? groups : bits == 5 ? 4 : 2;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i pairs[DOT_TOKENS];

    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            const struct act_slice *slice = dot_slice(x, x_stride, i / vectors);
            const __m256i four = _mm256_maddubs_epi16((__m256i)weight[i % vectors][g], dot_splat_four(slice->q + first + 4 * g));

            pairs[i] = g % batch == 0 ? four : dot_chain(_mm256_add_epi16(pairs[i], four));
            if (g + 1 == batch) {
                const int32_t minus = groups == 8 ? slice->minus[first / BLOCK_COLUMNS] : -slice->sum[first / 16];

                sum[i] = _mm256_add_epi32(_mm256_set1_epi32(zero * minus), _mm256_madd_epi16(pairs[i], ones));
            } else if ((g + 1) % batch == 0) {
                sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs[i], ones));
            }
        }
    }
}

/* As in kernel_dot_vnni.h. */
DOT_INLINE void dot_columns(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride, size_t tokens,
                            size_t first, int zero, int bits, dot_ints *out)
{
    __m256i sum[DOT_TOKENS];

    if (bits == 8)
        dot_columns_8bit(weight, vectors, groups, x, x_stride, tokens, first, sum);
    else
        dot_columns_few_bits(weight, vectors, groups, x, x_stride, tokens, first, zero, bits, sum);
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++)
        out[i] = (dot_ints)sum[i];
}

#endif
