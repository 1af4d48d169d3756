/* Tensor types of GGUF: numbers, names, sizes, dequantisation.
 *
 * The numbers are those of the file format. Dequantisation is exact: each value is the fixed sequence of
 * IEEE-754 single operations that docs/ARITHMETIC.md gives for its type. */
#ifndef NODE_TENSOR_TYPE_H
#define NODE_TENSOR_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tensor_type {
    TYPE_F32 = 0,
    TYPE_F16 = 1,
    TYPE_Q4_0 = 2,
    TYPE_Q4_1 = 3,
    TYPE_Q5_0 = 6,
    TYPE_Q5_1 = 7,
    TYPE_Q8_0 = 8,
    TYPE_Q2_K = 10,
    TYPE_Q3_K = 11,
    TYPE_Q4_K = 12,
    TYPE_Q5_K = 13,
    TYPE_Q6_K = 14,
    TYPE_BF16 = 30,
    TYPE_COUNT = 31
};

struct tensor_type_info {
    const char *name;      /* lower case, e.g. "q4_k"; NULL: not supported */
    uint16_t block_values; /* values that share a scale: 1, 32 or 256 */
    uint16_t block_bytes;
    bool is_float; /* F32, F16, BF16: reads f32 activations instead of quantised blocks */
};

/* NULL for a number that is not supported. */
const struct tensor_type_info *tensor_type_info(uint32_t type);

/* The name of any type number that GGUF knows, also of those not supported ("iq2_xxs"); "unknown" otherwise. */
const char *tensor_type_name(uint32_t type);

/* The type with this name in any letter case, or -1. */
int tensor_type_from_name(const char *name);

/* All names, for messages and help texts. */
#define TENSOR_TYPE_NAMES "f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k"

/* The number that general.file_type has for a file whose matrices are of this type. */
uint32_t tensor_type_file_number(enum tensor_type type);

/* Bytes of `values` consecutive values; values must be a multiple of block_values (asserted). */
size_t tensor_type_bytes(enum tensor_type type, size_t values);

/* out[0..values-1] from packed data of any alignment; values a multiple of block_values. */
void tensor_type_dequantise(enum tensor_type type, const void *packed, size_t values, float *out);

#endif
