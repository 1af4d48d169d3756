/* Little-endian f16 at any alignment, as the scales of quantised blocks are stored. */
#ifndef NODE_HALF_H
#define NODE_HALF_H

#include <stdint.h>

#include "canon_inline.h"

static inline float half_to_float(uint16_t bits)
{
    return canon_f16_to_f32(bits);
}

static inline float half_load(const uint8_t *packed)
{
    return canon_f16_to_f32((uint16_t)(packed[0] | packed[1] << 8));
}

static inline void half_store(uint8_t *packed, uint16_t bits)
{
    packed[0] = (uint8_t)bits;
    packed[1] = (uint8_t)(bits >> 8);
}

#endif
