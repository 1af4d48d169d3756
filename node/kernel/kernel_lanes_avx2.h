/* Sixteen lanes in two 256-bit registers; see kernel_lanes.h, which includes this. */
#include <immintrin.h>

enum { LANES_CHAINS = 4, LANES_HEADS = 4 };

struct lanes {
    __m256 lo, hi;
};

KERNEL_INLINE struct lanes lanes_set(float x)
{
    return (struct lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

KERNEL_INLINE struct lanes lanes_load(const void *p)
{
    const uint8_t *bytes = p;

    return (struct lanes){_mm256_loadu_ps((const void *)bytes), _mm256_loadu_ps((const void *)(bytes + 32))};
}

KERNEL_INLINE struct lanes lanes_load_f16(const void *p)
{
    const uint8_t *bytes = p;

    return (struct lanes){_mm256_cvtph_ps(_mm_loadu_si128((const void *)bytes)),
                          _mm256_cvtph_ps(_mm_loadu_si128((const void *)(bytes + 16)))};
}

KERNEL_INLINE struct lanes lanes_load_i8(const void *p)
{
    const uint8_t *bytes = p;

    return (struct lanes){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)bytes))),
                          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(bytes + 8))))};
}

KERNEL_INLINE void lanes_store(float *p, struct lanes a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}

KERNEL_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

KERNEL_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

/* a * b + c, rounded once */
KERNEL_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

/* a > b ? a : b */
KERNEL_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
