/* What kernel_dot.h needs of AVX-512 with VNNI: 16 rows in a register, four unsigned by signed products per lane in one instruction. */
#ifndef NODE_KERNEL_DOT_AVX512_H
#define NODE_KERNEL_DOT_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernel.h"
#include "kernel_dot_inline.h"
#include "panel.h"

enum {
    DOT_LANES = 16,
    DOT_TOKENS = 8,
    DOT_VECTORS = 2,
    DOT_FLOAT_PANELS = 4,
    DOT_FLOAT_TOKENS = 8,
    DOT_DECODE_PANELS = 2,
    DOT_DECODE_PARTS = 1,
    DOT_DECODE_TOGETHER = false,
    DOT_DECODE_UNROLLS_K = true,
    DOT_FEW = 8,
    DOT_SIGNED_BYTES = false
};

typedef uint32_t dot_words __attribute__((vector_size(64)));
typedef int32_t dot_ints __attribute__((vector_size(64)));
typedef float dot_floats __attribute__((vector_size(64)));

/* Whether one token's weights are best prefetched once, in the order of memory, rather than block by block and twice: measured on Zen 5,
 * where this reads Q6_K 1.5, Q4_0 1.2 and Q8_0 1.1 times as fast. */
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

DOT_INLINE dot_floats dot_load_bf16(const void *p)
{
    return (dot_floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16);
}

/* acc + the products of four columns */
DOT_INLINE dot_ints dot_four(dot_ints acc, dot_words weight, dot_words four)
{
    return (dot_ints)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)weight, (__m512i)four);
}

/* Keep x in a register: an instruction that broadcasts its operand from memory takes longer than two that share a register. */
DOT_INLINE dot_words dot_keep(dot_words x)
{
    __asm__("" : "+v"(x));
    return x;
}

/* The words q, d and minus of a block of a group of five tokens (token_panel.h), whose wire form is `stride` bytes apart; and if half is
 * not NULL, minus of the block's first half. */
DOT_INLINE void dot_put_group(const uint8_t *wire, size_t stride, uint32_t *to, int32_t *half)
{
    /* Word w is word w / 5 of token w % 5: of tokens 0 to 3 from two registers, of token 4 from the third. */
    const __m512i from[3] = {_mm512_setr_epi32(0, 8, 16, 24, 0, 1, 9, 17, 25, 0, 2, 10, 18, 26, 0, 3),
                             _mm512_setr_epi32(11, 19, 27, 0, 4, 12, 20, 28, 0, 5, 13, 21, 29, 0, 6, 14),
                             _mm512_setr_epi32(22, 30, 0, 7, 15, 23, 31, 0, 0, 0, 0, 0, 0, 0, 0, 0)};
    const __m512i last[3] = {_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0),
                             _mm512_setr_epi32(0, 0, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 5, 0, 0),
                             _mm512_setr_epi32(0, 0, 6, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0)};
    const __mmask16 is_last[3] = {0x4210, 0x2108, 0x0084};
    __m256i q[6];
    __m512i pair[3], words[3];

    q[5] = _mm256_setzero_si256();
    DOT_UNROLL
    for (size_t t = 0; t < 5; t++) {
        q[t] = _mm256_max_epi8(_mm256_loadu_si256((const void *)(wire + t * stride + 4)), _mm256_set1_epi8(-127));
        const __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), q[t]);
        const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));

        memcpy(&to[40 + t], wire + t * stride, sizeof *to);
        to[45 + t] = (uint32_t)-_mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
        if (half != NULL) {
            const __m128i low = _mm256_castsi256_si128(sums), low_two = _mm_add_epi32(low, _mm_shuffle_epi32(low, 0x4e));

            half[t] = -_mm_cvtsi128_si32(_mm_add_epi32(low_two, _mm_shuffle_epi32(low_two, 0xb1)));
        }
    }
    DOT_UNROLL
    for (size_t i = 0; i < 3; i++) {
        pair[i] = _mm512_inserti64x4(_mm512_castsi256_si512(q[2 * i]), q[2 * i + 1], 1);
    }
    DOT_UNROLL
    for (size_t i = 0; i < 3; i++)
        words[i] = _mm512_mask_permutexvar_epi32(_mm512_permutex2var_epi32(pair[0], from[i], pair[1]), is_last[i], last[i], pair[2]);
    _mm512_storeu_si512(to, words[0]);
    _mm512_storeu_si512(to + 16, words[1]);
    _mm256_storeu_si256((void *)(to + 32), _mm512_castsi512_si256(words[2]));
}

#include "kernel_dot_vnni.h"

#endif
