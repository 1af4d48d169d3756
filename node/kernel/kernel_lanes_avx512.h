/* Sixteen lanes in one 512-bit register; see kernel_lanes.h, which includes this. */
#include <immintrin.h>

enum { LANES_CHAINS = 16, LANES_HEADS = 8 };

struct lanes {
    __m512 v;
};

KERNEL_INLINE struct lanes lanes_set(float x)
{
    return (struct lanes){_mm512_set1_ps(x)};
}

KERNEL_INLINE struct lanes lanes_load(const void *p)
{
    return (struct lanes){_mm512_loadu_ps(p)};
}

KERNEL_INLINE struct lanes lanes_load_f16(const void *p)
{
    return (struct lanes){_mm512_cvtph_ps(_mm256_loadu_si256(p))};
}

KERNEL_INLINE struct lanes lanes_load_i8(const void *p)
{
    return (struct lanes){_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)))};
}

KERNEL_INLINE void lanes_store(float *p, struct lanes a)
{
    _mm512_storeu_ps(p, a.v);
}

KERNEL_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_add_ps(a.v, b.v)};
}

KERNEL_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_mul_ps(a.v, b.v)};
}

/* a * b + c, rounded once */
KERNEL_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm512_fmadd_ps(a.v, b.v, c.v)};
}

/* a > b ? a : b */
KERNEL_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_max_ps(a.v, b.v)};
}
