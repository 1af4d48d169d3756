/* What kernel_dot.h needs of AVX2 with FMA and F16C, but for dot_columns: 8 rows in a register. */
#ifndef NODE_KERNEL_DOT_256_H
#define NODE_KERNEL_DOT_256_H

#include <assert.h>
#include <immintrin.h>
#include <string.h>

#include "kernel.h"
#include "kernel_dot_inline.h"
#include "panel.h"

enum {
    DOT_LANES = 8,
    DOT_TOKENS = 8,
    DOT_VECTORS = 2,
    DOT_FLOAT_PANELS = 4,
    DOT_FLOAT_TOKENS = 4,
    DOT_DECODE_PANELS = 1,
    DOT_DECODE_PARTS = 2,
    DOT_DECODE_TOGETHER = false,
    DOT_DECODE_UNROLLS_K = true,
    DOT_FEW = 8,
    DOT_SIGNED_BYTES = false
};

typedef uint32_t dot_words __attribute__((vector_size(32)));
typedef int32_t dot_ints __attribute__((vector_size(32)));
typedef float dot_floats __attribute__((vector_size(32)));

DOT_INLINE bool dot_reads_in_order(void)
{
    return __builtin_cpu_is("amd");
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

DOT_INLINE dot_floats dot_load_bf16(const void *p)
{
    return (dot_floats)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16);
}

DOT_INLINE __m256i dot_splat_four(const int8_t *q)
{
    int32_t four;

    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

#endif
