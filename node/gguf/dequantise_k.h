/* Dequantisation of the K types: super-blocks of 256 values with integer scales per 16 or 32 of them.
 *
 * Every product here is of short integers and an f16, so it is exact in f32; only the subtraction of the
 * minimum (Q2_K, Q4_K, Q5_K) rounds, once. */
#ifndef NODE_DEQUANTISE_K_H
#define NODE_DEQUANTISE_K_H

#include <stddef.h>
#include <stdint.h>

enum { DEQUANTISE_K_VALUES = 256 };

/* blocks super-blocks at packed (any alignment) to 256 * blocks values at out. */
void dequantise_k_q2(const uint8_t *packed, size_t blocks, float *out);
void dequantise_k_q3(const uint8_t *packed, size_t blocks, float *out);
void dequantise_k_q4(const uint8_t *packed, size_t blocks, float *out);
void dequantise_k_q5(const uint8_t *packed, size_t blocks, float *out);
void dequantise_k_q6(const uint8_t *packed, size_t blocks, float *out);

#endif
