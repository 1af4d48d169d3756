/* Quantisers of the types whose blocks are 32 values with a scale, and for some a minimum, of their own.
 *
 * Values that such a block already represents come back exactly. For types with a minimum this requires that the scale is not negative, and
 * that the minimum is 0 or at least a hundredth of the scale. */
#ifndef NODE_QUANTISE_BLOCK_H
#define NODE_QUANTISE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* 32 * blocks values to packed blocks of the type, at any alignment. */
void quantise_block_q8_0(const float *values, size_t blocks, uint8_t *packed);
void quantise_block_q4_0(const float *values, size_t blocks, uint8_t *packed);
void quantise_block_q4_1(const float *values, size_t blocks, uint8_t *packed);
void quantise_block_q5_0(const float *values, size_t blocks, uint8_t *packed);
void quantise_block_q5_1(const float *values, size_t blocks, uint8_t *packed);

#endif
