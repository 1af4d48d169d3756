/* How well a grid fits a few values: the basis of all searches for scales.
 *
 * A grid is the numbers scale * q + offset for the whole q from lowest to highest, computed in f32 as readers do. Sums over values are
 * eight running sums, added pairwise at the end: compilers vectorise them, and every machine computes the same bits. The number of values
 * is a multiple of FIT_LANES and a constant where these are called, so that the loops unroll. */
#ifndef NODE_QUANTISE_FIT_H
#define NODE_QUANTISE_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "node/common/canon_inline.h"

#define FIT_INLINE static inline __attribute__((always_inline))

enum { FIT_LANES = 8 };

struct fit_grid {
    float scale;
    float offset;
    float lowest;
    float highest;
};

/* Sums over values x and the numbers q that they are rounded to. */
struct fit_sums {
    float error; /* (x - scale * q - offset)^2 */
    float q;
    float qq;
    float xq;
};

/* To the nearest whole number, ties to even; |value| < 2^22. */
FIT_INLINE float fit_round(float value)
{
    return (value + 0x1.8p23f) - 0x1.8p23f;
}

FIT_INLINE float fit_clamp(float value, float lowest, float highest)
{
    value = value < lowest ? lowest : value;
    return value > highest ? highest : value;
}

/* Values as the searches see them: clamped so that sums of squares do not overflow; those larger than any type can hold stay so. */
FIT_INLINE void fit_load(const float *values, int count, float *x)
{
    for (int i = 0; i < count; i++)
        x[i] = fit_clamp(values[i], -0x1p30f, 0x1p30f);
}

FIT_INLINE float fit_inverse(float scale)
{
    return scale == 0 ? 0 : 1 / scale;
}

/* The q of the grid that is nearest to x. */
FIT_INLINE float fit_q(float x, const struct fit_grid *grid, float inverse)
{
    return fit_round(fit_clamp((x - grid->offset) * inverse, grid->lowest, grid->highest));
}

FIT_INLINE float fit_tree(float sums[FIT_LANES])
{
    for (int width = FIT_LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++)
            sums[l] += sums[l + width];
    }
    return sums[0];
}

FIT_INLINE float fit_error(const float *x, int count, const struct fit_grid *grid)
{
    const float inverse = fit_inverse(grid->scale);
    float sums[FIT_LANES] = {0};

    for (int i = 0; i < count; i += FIT_LANES) {
        for (int l = 0; l < FIT_LANES; l++) {
            const float error = x[i + l] - (grid->scale * fit_q(x[i + l], grid, inverse) + grid->offset);

            sums[l] += error * error;
        }
    }
    return fit_tree(sums);
}

FIT_INLINE struct fit_sums fit_sums(const float *x, int count, const struct fit_grid *grid)
{
    const float inverse = fit_inverse(grid->scale);
    float errors[FIT_LANES] = {0};
    float q[FIT_LANES] = {0};
    float qq[FIT_LANES] = {0};
    float xq[FIT_LANES] = {0};

    for (int i = 0; i < count; i += FIT_LANES) {
        for (int l = 0; l < FIT_LANES; l++) {
            const float nearest = fit_q(x[i + l], grid, inverse);
            const float error = x[i + l] - (grid->scale * nearest + grid->offset);

            errors[l] += error * error;
            q[l] += nearest;
            qq[l] += nearest * nearest;
            xq[l] += x[i + l] * nearest;
        }
    }
    return (struct fit_sums){fit_tree(errors), fit_tree(q), fit_tree(qq), fit_tree(xq)};
}

/* q - lowest of every value. */
FIT_INLINE void fit_levels(const float *x, int count, const struct fit_grid *grid, uint8_t *levels)
{
    const float inverse = fit_inverse(grid->scale);

    for (int i = 0; i < count; i++)
        levels[i] = (uint8_t)(int)(fit_q(x[i], grid, inverse) - grid->lowest);
}

FIT_INLINE float fit_total(const float *x, int count)
{
    float sums[FIT_LANES] = {0};

    for (int i = 0; i < count; i += FIT_LANES) {
        for (int l = 0; l < FIT_LANES; l++)
            sums[l] += x[i + l];
    }
    return fit_tree(sums);
}

FIT_INLINE float fit_least(const float *x, int count)
{
    float least = x[0];

    for (int i = 1; i < count; i++)
        least = x[i] < least ? x[i] : least;
    return least;
}

FIT_INLINE float fit_greatest(const float *x, int count)
{
    float greatest = x[0];

    for (int i = 1; i < count; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    return greatest;
}

/* The value that is farthest from 0; the positive one of two. */
FIT_INLINE float fit_extreme(const float *x, int count)
{
    const float least = fit_least(x, count);
    const float greatest = fit_greatest(x, count);

    return -least > greatest ? least : greatest;
}

/* The next number n from `first` on for which all values are whole multiples of range / n away from origin; above `last` when there is
 * none. This recognises values that were quantised before; for others it usually fails after one or two values. */
FIT_INLINE int fit_next_divisor(const float *x, int count, float origin, float range, int first, int last)
{
    for (int n = first; n <= last; n++) {
        const float inverse = (float)n / range;
        int i = 0;

        for (; i < count; i++) {
            const float multiple = (x[i] - origin) * inverse;
            const float off = multiple - fit_round(multiple);

            if (!(off < 0x1p-6f && off > -0x1p-6f))
                break;
        }
        if (i == count)
            return n;
    }
    return last + 1;
}

/* The nearest half; numbers too large become the largest half; zero has no sign. */
FIT_INLINE uint16_t fit_half(float x)
{
    const uint16_t half = canon_f32_to_f16(fit_clamp(x, -65504.0f, 65504.0f));

    return half == 0x8000 ? 0 : half;
}

/* The same for a scale: a scale that is not zero does not become zero, which would fit no value. */
FIT_INLINE uint16_t fit_scale_half(float x)
{
    const uint16_t half = fit_half(x);
    const uint16_t smallest = x < 0 ? 0x8001 : 0x0001;

    return half == 0 && x != 0 ? smallest : half;
}

/* x rounded to a half. */
FIT_INLINE float fit_as_half(float x)
{
    return canon_f16_to_f32(fit_half(x));
}

#endif
