/* Floating-point bit patterns made with integers only, so that every machine makes the same.
 *
 * A number is a sign and magnitude * 2^-fraction_bits. */
#ifndef NODE_SYNTH_NUMBER_H
#define NODE_SYNTH_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The largest integer whose square is not above x. */
static inline uint32_t synth_number_root(uint64_t x)
{
    uint64_t root = 0;

    for (uint64_t bit = (uint64_t)1 << 31; bit > 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= x)
            root += bit;
    }
    return (uint32_t)root;
}

/* f32 bits, rounded towards zero. The result must be a normal number or zero, which any magnitude with fraction_bits <= 100 is. */
static inline uint32_t synth_number_f32(bool is_negative, uint64_t magnitude, int fraction_bits)
{
    const uint32_t sign = is_negative ? 0x80000000u : 0;

    if (magnitude == 0)
        return sign;

    const int top = 63 - __builtin_clzll(magnitude);
    const uint64_t mantissa = magnitude << (63 - top) >> 40; /* 24 bits, the first of them set */

    return sign | (((uint32_t)(top - fraction_bits + 126) << 23) + (uint32_t)mantissa);
}

/* f16 bits, rounded to nearest, ties away from zero; larger values become the largest number. fraction_bits > 24. */
static inline uint16_t synth_number_f16(bool is_negative, uint64_t magnitude, int fraction_bits)
{
    const uint32_t sign = is_negative ? 0x8000u : 0;

    if (magnitude == 0)
        return (uint16_t)sign;

    const int top = 63 - __builtin_clzll(magnitude);
    const int exponent = top - fraction_bits + 15;
    uint64_t bits;

    if (exponent <= 0) /* in units of 2^-24 */
        bits = ((magnitude >> (fraction_bits - 25)) + 1) >> 1;
    else if (exponent >= 31)
        bits = 0x7bff;
    else
        bits = ((uint64_t)(exponent - 1) << 10) + (((magnitude << (63 - top) >> 52) + 1) >> 1);
    return (uint16_t)(sign | (bits > 0x7bff ? 0x7bff : bits));
}

#endif
