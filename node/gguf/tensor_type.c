#include "tensor_type.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "dequantise_k.h"
#include "node/common/bytes.h"
#include "node/common/half.h"

enum { BLOCK_VALUES = 32 };

static const struct tensor_type_info supported[TYPE_COUNT] = {
    [TYPE_F32] = {"f32", 1, 4, true},
    [TYPE_F16] = {"f16", 1, 2, true},
    [TYPE_BF16] = {"bf16", 1, 2, true},
    [TYPE_Q8_0] = {"q8_0", BLOCK_VALUES, 34, false},
    [TYPE_Q4_0] = {"q4_0", BLOCK_VALUES, 18, false},
    [TYPE_Q4_1] = {"q4_1", BLOCK_VALUES, 20, false},
    [TYPE_Q5_0] = {"q5_0", BLOCK_VALUES, 22, false},
    [TYPE_Q5_1] = {"q5_1", BLOCK_VALUES, 24, false},
    [TYPE_Q2_K] = {"q2_k", DEQUANTISE_K_VALUES, 84, false},
    [TYPE_Q3_K] = {"q3_k", DEQUANTISE_K_VALUES, 110, false},
    [TYPE_Q4_K] = {"q4_k", DEQUANTISE_K_VALUES, 144, false},
    [TYPE_Q5_K] = {"q5_k", DEQUANTISE_K_VALUES, 176, false},
    [TYPE_Q6_K] = {"q6_k", DEQUANTISE_K_VALUES, 210, false},
};

/* Names of the numbers that the format defines and this program does not support; 4, 5, 31-33 and 36-38 were withdrawn from it. */
static const char *const unsupported_names[] = {
    [4] = "q4_2",   [5] = "q4_3",    [9] = "q8_1",        [15] = "q8_k",       [16] = "iq2_xxs",    [17] = "iq2_xs",   [18] = "iq3_xxs",
    [19] = "iq1_s", [20] = "iq4_nl", [21] = "iq3_s",      [22] = "iq2_s",      [23] = "iq4_xs",     [24] = "i8",       [25] = "i16",
    [26] = "i32",   [27] = "i64",    [28] = "f64",        [29] = "iq1_m",      [31] = "q4_0_4_4",   [32] = "q4_0_4_8", [33] = "q4_0_8_8",
    [34] = "tq1_0", [35] = "tq2_0",  [36] = "iq4_nl_4_4", [37] = "iq4_nl_4_8", [38] = "iq4_nl_8_8", [39] = "mxfp4",
};

const struct tensor_type_info *tensor_type_info(uint32_t type)
{
    return type < TYPE_COUNT && supported[type].name != NULL ? &supported[type] : NULL;
}

const char *tensor_type_name(uint32_t type)
{
    const struct tensor_type_info *info = tensor_type_info(type);

    if (info != NULL)
        return info->name;
    if (type < sizeof unsupported_names / sizeof unsupported_names[0] && unsupported_names[type] != NULL)
        return unsupported_names[type];
    return "unknown";
}

int tensor_type_from_name(const char *name)
{
    for (int type = 0; type < TYPE_COUNT; type++) {
        if (supported[type].name != NULL && strcasecmp(supported[type].name, name) == 0)
            return type;
    }
    return -1;
}

uint32_t tensor_type_file_number(enum tensor_type type)
{
    static const uint8_t numbers[TYPE_COUNT] = {
        [TYPE_F32] = 0,   [TYPE_F16] = 1,   [TYPE_Q4_0] = 2,  [TYPE_Q4_1] = 3,  [TYPE_Q8_0] = 7,  [TYPE_Q5_0] = 8,  [TYPE_Q5_1] = 9,
        [TYPE_Q2_K] = 10, [TYPE_Q3_K] = 11, [TYPE_Q4_K] = 14, [TYPE_Q5_K] = 16, [TYPE_Q6_K] = 18, [TYPE_BF16] = 32,
    };

    assert(tensor_type_info(type) != NULL && (numbers[type] != 0 || type == TYPE_F32));
    return numbers[type];
}

size_t tensor_type_bytes(enum tensor_type type, size_t values)
{
    const struct tensor_type_info *info = tensor_type_info(type);

    assert(info != NULL && values % info->block_values == 0);
    return values / info->block_values * info->block_bytes;
}

static void dequantise_f32(const uint8_t *packed, size_t values, float *out)
{
    for (size_t i = 0; i < values; i++)
        out[i] = canon_from_bits((uint32_t)bytes_load(packed + 4 * i, 4));
}

static void dequantise_f16(const uint8_t *packed, size_t values, float *out)
{
    for (size_t i = 0; i < values; i++)
        out[i] = half_load(packed + 2 * i);
}

static void dequantise_bf16(const uint8_t *packed, size_t values, float *out)
{
    for (size_t i = 0; i < values; i++)
        out[i] = canon_from_bits((uint32_t)packed[2 * i] << 16 | (uint32_t)packed[2 * i + 1] << 24);
}

static void dequantise_q8_0(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 34) {
        const float d = half_load(packed);

        for (int i = 0; i < BLOCK_VALUES; i++)
            *out++ = d * (float)(int8_t)packed[2 + i];
    }
}

/* Value i of the 4-bit and 5-bit types: low nibbles are values 0-15, high nibbles 16-31. */
static int nibble(const uint8_t *nibbles, int i)
{
    return nibbles[i % 16] >> (i / 16 * 4) & 15;
}

static void dequantise_q4_0(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 18) {
        const float d = half_load(packed);

        for (int i = 0; i < BLOCK_VALUES; i++)
            *out++ = d * (float)(nibble(packed + 2, i) - 8);
    }
}

static void dequantise_q4_1(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 20) {
        const float d = half_load(packed);
        const float m = half_load(packed + 2);

        for (int i = 0; i < BLOCK_VALUES; i++)
            *out++ = d * (float)nibble(packed + 4, i) + m;
    }
}

/* The fifth bits are one 32-bit word, bit i for value i. */
static int five_bits(const uint8_t *word, int i)
{
    return nibble(word + 4, i) | (int)(bytes_load(word, 4) >> i & 1) << 4;
}

static void dequantise_q5_0(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 22) {
        const float d = half_load(packed);

        for (int i = 0; i < BLOCK_VALUES; i++)
            *out++ = d * (float)(five_bits(packed + 2, i) - 16);
    }
}

static void dequantise_q5_1(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 24) {
        const float d = half_load(packed);
        const float m = half_load(packed + 2);

        for (int i = 0; i < BLOCK_VALUES; i++)
            *out++ = d * (float)five_bits(packed + 4, i) + m;
    }
}

typedef void dequantise_function(const uint8_t *packed, size_t blocks, float *out);

void tensor_type_dequantise(enum tensor_type type, const void *packed, size_t values, float *out)
{
    static dequantise_function *const functions[TYPE_COUNT] = {
        [TYPE_F32] = dequantise_f32,   [TYPE_F16] = dequantise_f16,   [TYPE_BF16] = dequantise_bf16, [TYPE_Q8_0] = dequantise_q8_0,
        [TYPE_Q4_0] = dequantise_q4_0, [TYPE_Q4_1] = dequantise_q4_1, [TYPE_Q5_0] = dequantise_q5_0, [TYPE_Q5_1] = dequantise_q5_1,
        [TYPE_Q2_K] = dequantise_k_q2, [TYPE_Q3_K] = dequantise_k_q3, [TYPE_Q4_K] = dequantise_k_q4, [TYPE_Q5_K] = dequantise_k_q5,
        [TYPE_Q6_K] = dequantise_k_q6,
    };
    const struct tensor_type_info *info = tensor_type_info(type);

    assert(info != NULL && functions[type] != NULL && values % info->block_values == 0);
    functions[type](packed, values / info->block_values, out);
}
