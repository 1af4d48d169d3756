#include "quantise.h"

#include <assert.h>
#include <stdint.h>

#include "node/common/half.h"
#include "quantise_block.h"
#include "quantise_k.h"

enum { HALF_MAX_BITS = 0x7bff, BRAIN_MAX_BITS = 0x7f7f };

static const uint32_t EXPONENT_BITS = 0x7f800000;

size_t quantise_first_not_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((canon_bits(values[i]) & EXPONENT_BITS) == EXPONENT_BITS)
            return i;
    }
    return count;
}

static void quantise_f32(const float *values, size_t count, uint8_t *packed)
{
    for (size_t i = 0; i < count; i++) {
        half_store(packed + 4 * i, (uint16_t)canon_bits(values[i]));
        half_store(packed + 4 * i + 2, (uint16_t)(canon_bits(values[i]) >> 16));
    }
}

static void quantise_f16(const float *values, size_t count, uint8_t *packed)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = canon_f32_to_f16(values[i]);

        half_store(packed + 2 * i, (uint16_t)((bits & 0x7fff) > HALF_MAX_BITS ? (bits & 0x8000) | HALF_MAX_BITS : bits));
    }
}

/* To nearest, ties to even. */
static void quantise_bf16(const float *values, size_t count, uint8_t *packed)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t whole = canon_bits(values[i]);
        const uint32_t bits = (whole + 0x7fff + (whole >> 16 & 1)) >> 16;

        half_store(packed + 2 * i, (uint16_t)((bits & 0x7fff) > BRAIN_MAX_BITS ? (bits & 0x8000) | BRAIN_MAX_BITS : bits));
    }
}

typedef void quantise_function(const float *values, size_t blocks, uint8_t *packed);

void quantise(enum tensor_type type, const float *values, size_t count, void *packed)
{
    static quantise_function *const functions[TYPE_COUNT] = {
        [TYPE_F32] = quantise_f32,         [TYPE_F16] = quantise_f16,         [TYPE_BF16] = quantise_bf16,
        [TYPE_Q8_0] = quantise_block_q8_0, [TYPE_Q4_0] = quantise_block_q4_0, [TYPE_Q4_1] = quantise_block_q4_1,
        [TYPE_Q5_0] = quantise_block_q5_0, [TYPE_Q5_1] = quantise_block_q5_1, [TYPE_Q2_K] = quantise_k_q2,
        [TYPE_Q3_K] = quantise_k_q3,       [TYPE_Q4_K] = quantise_k_q4,       [TYPE_Q5_K] = quantise_k_q5,
        [TYPE_Q6_K] = quantise_k_q6,
    };
    const struct tensor_type_info *info = tensor_type_info(type);

    assert(info != NULL && functions[type] != NULL && count % info->block_values == 0);
    functions[type](values, count / info->block_values, packed);
}
