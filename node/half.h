/* f16 bits to f32, exact for all 65536 inputs, without depending on hardware; and little-endian f16 at any alignment. */
#ifndef NODE_HALF_H
#define NODE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_to_float(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = (bits >> 10) & 31u;
    const uint32_t mantissa = bits & 1023u;
    float value;
    uint32_t word;

    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact */
        value = (float)mantissa * 0x1p-24f;
        memcpy(&word, &value, sizeof word);
        word |= sign;
    } else if (exponent == 31) {
        word = sign | 0x7f800000u | mantissa << 13;
    } else {
        word = sign | (exponent + 112u) << 23 | mantissa << 13;
    }
    memcpy(&value, &word, sizeof value);
    return value;
}

static inline float half_load(const uint8_t *packed)
{
    return half_to_float((uint16_t)(packed[0] | packed[1] << 8));
}

#endif
