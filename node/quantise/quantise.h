/* Quantisers: f32 values into the packed blocks of every tensor type; the inverse of tensor_type_dequantise.
 *
 * Scales and minima are chosen by a small search that minimises the sum of squared errors of the values as readers will compute them. Every
 * block depends on nothing but its own values, every operation is one of IEEE-754 in a fixed order, and of candidates that are equally good
 * the first is taken: the same bytes on any machine. Values outside a type's range become the nearest representable value.
 * Pure; any thread that rounds to nearest and keeps subnormals. */
#ifndef NODE_QUANTISE_H
#define NODE_QUANTISE_H

#include <stddef.h>

#include "node/gguf/tensor_type.h"

/* values[0..count-1], all finite, to tensor_type_bytes(type, count) bytes at packed, of any alignment; count is a multiple of the type's
 * block (asserted). */
void quantise(enum tensor_type type, const float *values, size_t count, void *packed);

/* The index of the first value that is infinite or NaN; count when there is none. */
size_t quantise_first_not_finite(const float *values, size_t count);

#endif
