/* What kernel_dot.h needs of AVX2 with FMA and F16C: 8 rows in a register. */
#ifndef NODE_KERNEL_DOT_AVX2_H
#define NODE_KERNEL_DOT_AVX2_H

#include <assert.h>
#include <immintrin.h>
#include <string.h>

#include "kernel.h"
#include "kernel_dot_inline.h"
#include "panel.h"

enum { DOT_LANES = 8, DOT_TOKENS = 4, DOT_VECTORS = 1, DOT_FLOAT_PANELS = 2, DOT_DECODE_PANELS = 1 };

typedef uint32_t dot_words __attribute__((vector_size(32)));
typedef int32_t dot_ints __attribute__((vector_size(32)));
typedef float dot_floats __attribute__((vector_size(32)));
typedef uint16_t dot_shorts __attribute__((vector_size(16)));

DOT_INLINE bool dot_reads_in_order(void)
{
    return false;
}

/* a * b + c, rounded once */
DOT_INLINE dot_floats dot_fma(dot_floats a, dot_floats b, dot_floats c)
{
    return (dot_floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

/* c - a * b, rounded once */
DOT_INLINE dot_floats dot_nfma(dot_floats a, dot_floats b, dot_floats c)
{
    return (dot_floats)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

DOT_INLINE dot_floats dot_load_f16(const void *p)
{
    return (dot_floats)_mm256_cvtph_ps(_mm_loadu_si128(p));
}

DOT_INLINE __m256i dot_splat_four(const int8_t *q)
{
    int32_t four;

    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

/* Weights of 8 bits, for which maddubs would saturate: |w| times x with the sign of w. Neither pair exceeds 2 * 128 * 127 < 2^15, and x is
 * never -128, so its sign can be changed. */
DOT_INLINE __m256i dot_columns_8bit(const dot_words *weight, size_t groups, const int8_t *q)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();

    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        const __m256i w = _mm256_xor_si256((__m256i)weight[g], _mm256_set1_epi8(-128));
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(dot_splat_four(q + 4 * g), w));

        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    return sum;
}

/* Weights of fewer bits as they are. As many pairs are added in 16 bits as cannot overflow: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127 and
 * 2 * 2 * 63 * 127 are all below 2^15. */
DOT_INLINE __m256i dot_columns_few_bits(const dot_words *weight, size_t groups, const int8_t *q, int bits)
{
    const size_t batch = bits <= 4 ? groups : bits == 5 ? 4 : 2;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();

    DOT_UNROLL
    for (size_t first = 0; first < groups; first += batch) {
        __m256i pairs = _mm256_maddubs_epi16((__m256i)weight[first], dot_splat_four(q + 4 * first));

        DOT_UNROLL
        for (size_t g = first + 1; g < first + batch; g++)
            pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16((__m256i)weight[g], dot_splat_four(q + 4 * g)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    return sum;
}

/* As in kernel_dot_avx512.h, with one vector: out[t] = sum over `groups` groups of (weight - zero) * q, of `tokens` slices from column
 * `first`, 16 or 32 columns; weight < 2^bits. */
DOT_INLINE void dot_columns(const dot_words *const *weights, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride,
                            size_t tokens, size_t first, int zero, int bits, dot_ints *out)
{
    const dot_words *weight = weights[0];

    assert(vectors == 1);
    DOT_UNROLL
    for (size_t t = 0; t < tokens; t++) {
        const struct act_slice *slice = (const void *)(x + t * x_stride);
        const int32_t minus = groups == 8 ? slice->minus[first / BLOCK_COLUMNS] : -slice->sum[first / 16];

        if (bits == 8)
            out[t] = (dot_ints)dot_columns_8bit(weight, groups, slice->q + first);
        else
            out[t] = (dot_ints)dot_columns_few_bits(weight, groups, slice->q + first, bits) + zero * minus;
    }
}

#endif
