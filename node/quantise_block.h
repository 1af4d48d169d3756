/* Quantisers of the types whose blocks are 32 values with a scale, and for some a minimum, of their own.
 *
 * Values that are such a block already come back exactly. Where there is a minimum, the scale must not be negative for that, and the
 * minimum 0 or no less than a hundredth of it. */
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
