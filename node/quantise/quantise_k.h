/* Quantisers of the K types: super-blocks of 256 values, packed as dequantise_k.h reads them. */
#ifndef NODE_QUANTISE_K_H
#define NODE_QUANTISE_K_H

#include <stddef.h>
#include <stdint.h>

/* 256 * blocks values to packed super-blocks, at any alignment. */
void quantise_k_q2(const float *values, size_t blocks, uint8_t *packed);
void quantise_k_q3(const float *values, size_t blocks, uint8_t *packed);
void quantise_k_q4(const float *values, size_t blocks, uint8_t *packed);
void quantise_k_q5(const float *values, size_t blocks, uint8_t *packed);
void quantise_k_q6(const float *values, size_t blocks, uint8_t *packed);

#endif
