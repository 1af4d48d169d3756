/* Sixteen f32 lanes in the registers of the including file's instruction set.
 *
 * Lanes never meet: each operation is the IEEE one, lane by lane, so all versions give the bits of the plain one. For the kernel_ISA.c
 * files only, each of which has its own compiler flags; kernel_scalar.c asks for the plain one. Loads and stores take any alignment.
 * LANES_CHAINS accumulators fit the registers beside their operands; attention takes up to LANES_HEADS heads at once. */
#ifndef NODE_KERNEL_LANES_H
#define NODE_KERNEL_LANES_H

#include <stdint.h>
#include <string.h>

#include "node/common/canon.h"

enum { LANES = 16 };

#define KERNEL_INLINE static inline __attribute__((always_inline))

#if defined(KERNEL_PLAIN_LANES)
#include "kernel_lanes_plain.h"
#elif defined(__AVX512F__)
#include "kernel_lanes_avx512.h"
#elif defined(__AVX2__)
#include "kernel_lanes_avx2.h"
#elif defined(__aarch64__)
#include "kernel_lanes_neon.h"
#else
#include "kernel_lanes_plain.h"
#endif

/* The half at p in every lane. */
KERNEL_INLINE struct lanes lanes_set_f16(const void *p)
{
    uint16_t half;

    memcpy(&half, p, sizeof half);
#if defined(__F16C__)
    return lanes_set(_cvtsh_ss(half));
#else
    return lanes_set(canon_f16_to_f32(half));
#endif
}

/* Sum of the lanes by the fixed tree: l + (l + 8), l + (l + 4), l + (l + 2), l + (l + 1). */
KERNEL_INLINE float lanes_sum(struct lanes a)
{
    float sum[LANES];

    lanes_store(sum, a);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            sum[l] += sum[l + width];
    return sum[0];
}

#endif
