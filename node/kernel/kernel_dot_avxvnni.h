/* What kernel_dot.h needs of AVX-VNNI beside AVX2: four unsigned by signed products per lane in one instruction. */
#ifndef NODE_KERNEL_DOT_AVXVNNI_H
#define NODE_KERNEL_DOT_AVXVNNI_H

#include "kernel_dot_256.h"

/* acc + the products of four columns */
DOT_INLINE dot_ints dot_four(dot_ints acc, dot_words weight, dot_words four)
{
    return (dot_ints)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)weight, (__m256i)four);
}

#include "kernel_dot_vnni.h"

#endif
