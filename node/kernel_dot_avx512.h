/* What kernel_dot.h needs of AVX-512 with VNNI: 16 rows in a register, four unsigned by signed products per lane in one instruction. */
#ifndef NODE_KERNEL_DOT_AVX512_H
#define NODE_KERNEL_DOT_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernel.h"
#include "kernel_dot_inline.h"
#include "panel.h"

enum { DOT_LANES = 16, DOT_TOKENS = 8, DOT_VECTORS = 2, DOT_FLOAT_PANELS = 4, DOT_DECODE_PANELS = 2 };

typedef uint32_t dot_words __attribute__((vector_size(64)));
typedef int32_t dot_ints __attribute__((vector_size(64)));
typedef float dot_floats __attribute__((vector_size(64)));
typedef uint16_t dot_shorts __attribute__((vector_size(32)));

/* Whether one token's weights are best prefetched once, in the order of memory, rather than block by block and twice: measured on Zen 5,
 * where that reads Q6_K 1.5, Q4_0 1.2 and Q8_0 1.1 times as fast. */
DOT_INLINE bool dot_reads_in_order(void)
{
    return __builtin_cpu_is("amd");
}

/* a * b + c, rounded once */
DOT_INLINE dot_floats dot_fma(dot_floats a, dot_floats b, dot_floats c)
{
    return (dot_floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

/* c - a * b, rounded once */
DOT_INLINE dot_floats dot_nfma(dot_floats a, dot_floats b, dot_floats c)
{
    return (dot_floats)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

DOT_INLINE dot_floats dot_load_f16(const void *p)
{
    return (dot_floats)_mm512_cvtph_ps(_mm256_loadu_si256(p));
}

/* out[t * vectors + v] = sum over `groups` groups of (weight[v] - zero) * q, of `tokens` slices from column `first`, 16 or 32 columns;
 * weight < 2^bits. Tokens inside, so that what follows an instruction does not wait for it. */
DOT_INLINE void dot_columns(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride, size_t tokens,
                            size_t first, int zero, int bits, dot_ints *out)
{
    const struct act_slice *slice;
    int32_t four;

    (void)bits;
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        slice = (const void *)(x + i / vectors * x_stride);
        out[i] = (dot_ints)_mm512_set1_epi32(-zero * (slice->sum[first / 16] + (groups == 8 ? slice->sum[first / 16 + 1] : 0)));
    }
    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            slice = (const void *)(x + i / vectors * x_stride);
            memcpy(&four, slice->q + first + 4 * g, sizeof four);
            out[i] = (dot_ints)_mm512_dpbusd_epi32((__m512i)out[i], (__m512i)weight[i % vectors][g], _mm512_set1_epi32(four));
        }
    }
}

#endif
