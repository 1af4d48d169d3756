/* The specification of the dot products, in the simplest C; docs/ARITHMETIC.md describes them in words.
 *
 * One weight row and one slice at a time. The integer sums are exact: |isum| stays below 2^24 for every type, whatever the bytes (bounds
 * beside each function), so the conversion to f32 is exact as well and only the fmaf and the product of the scales round. */
#define KERNEL_PLAIN_LANES

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernel.h"
#include "kernel_common.h"
#include "node/common/half.h"
#include "panel.h"

/* The dot product of `count` weights less their zero point with activations. */
static int32_t dot(const uint8_t *weight, int zero, const int8_t *q, size_t count)
{
    int32_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (weight[i] - zero) * q[i];
    return sum;
}

static int32_t block_sum(const struct act_slice *x, size_t block)
{
    return x->sum[2 * block] + x->sum[2 * block + 1];
}

/* Q8_0, Q4_0, Q5_0: a scale per block. |isum| ≤ 32 · 128 · 127. */
static float dot_signed(const struct panel_row *row, int zero, size_t blocks, const struct act_slice *x)
{
    float acc = 0;

    for (size_t b = 0; b < blocks; b++) {
        const int32_t isum = dot(row->weight + b * BLOCK_COLUMNS, zero, x->q + b * BLOCK_COLUMNS, BLOCK_COLUMNS);

        acc = fmaf((float)isum, half_to_float(row->d[b]) * x->d[b], acc);
    }
    return acc;
}

/* Q4_1, Q5_1: a scale and a minimum per block. |isum| ≤ 32 · 31 · 127, |block_sum| ≤ 32 · 127. */
static float dot_minimum(const struct panel_row *row, size_t blocks, const struct act_slice *x)
{
    float acc = 0;

    for (size_t b = 0; b < blocks; b++) {
        const int32_t isum = dot(row->weight + b * BLOCK_COLUMNS, 0, x->q + b * BLOCK_COLUMNS, BLOCK_COLUMNS);

        acc = fmaf((float)isum, half_to_float(row->d[b]) * x->d[b], acc);
        acc = fmaf((float)block_sum(x, b), half_to_float(row->m[b]) * x->d[b], acc);
    }
    return acc;
}

/* Q4_K, Q5_K: integer scale and minimum per block. |isum| ≤ 63 · 32 · 31 · 127 < 2^23, |imin| ≤ 63 · 32 · 127. */
static float dot_k_minima(const struct panel_row *row, const struct act_slice *x)
{
    float acc = 0;

    for (size_t b = 0; b < SLICE_BLOCKS; b++) {
        const int32_t isum = row->scale[b] * dot(row->weight + b * BLOCK_COLUMNS, 0, x->q + b * BLOCK_COLUMNS, BLOCK_COLUMNS);
        const int32_t imin = row->min[b] * block_sum(x, b);

        acc = fmaf((float)isum, half_to_float(row->d[0]) * x->d[b], acc);
        acc = fmaf(-(float)imin, half_to_float(row->m[0]) * x->d[b], acc);
    }
    return acc;
}

/* The two halves of a block, each with its integer scale; scale: the slice's first. */
static int32_t dot_halves(const struct panel_row *row, int zero, const int scale[SLICE_COLUMNS / 16], const struct act_slice *x,
                          size_t block)
{
    const uint8_t *weight = row->weight + block * BLOCK_COLUMNS;
    const int8_t *q = x->q + block * BLOCK_COLUMNS;

    return scale[2 * block] * dot(weight, zero, q, 16) + scale[2 * block + 1] * dot(weight + 16, zero, q + 16, 16);
}

/* Q6_K: scales are signed bytes. |isum| ≤ 128 · 32 · 32 · 127 = 16646144 < 2^24.
 * Q3_K: scales are 6 bits less 32. |isum| ≤ 32 · 32 · 4 · 127. */
static float dot_k_signed(const struct panel_row *row, int zero, bool six_bits, const struct act_slice *x)
{
    int scale[SLICE_COLUMNS / 16];
    float acc = 0;

    for (size_t j = 0; j < SLICE_COLUMNS / 16; j++)
        scale[j] = six_bits ? row->scale[j] - 32 : (int8_t)row->scale[j];
    for (size_t b = 0; b < SLICE_BLOCKS; b++) {
        const int32_t isum = dot_halves(row, zero, scale, x, b);

        acc = fmaf((float)isum, half_to_float(row->d[0]) * x->d[b], acc);
    }
    return acc;
}

/* Q2_K: scale and minimum of 4 bits per half block. |isum| ≤ 15 · 32 · 3 · 127, |imin| ≤ 15 · 32 · 127. */
static float dot_k_halves_minima(const struct panel_row *row, const struct act_slice *x)
{
    int scale[SLICE_COLUMNS / 16];
    float acc = 0;

    for (size_t j = 0; j < SLICE_COLUMNS / 16; j++)
        scale[j] = row->scale[j];
    for (size_t b = 0; b < SLICE_BLOCKS; b++) {
        const int32_t isum = dot_halves(row, 0, scale, x, b);
        const int32_t imin = row->min[2 * b] * x->sum[2 * b] + row->min[2 * b + 1] * x->sum[2 * b + 1];

        acc = fmaf((float)isum, half_to_float(row->d[0]) * x->d[b], acc);
        acc = fmaf(-(float)imin, half_to_float(row->m[0]) * x->d[b], acc);
    }
    return acc;
}

static float dot_row(enum tensor_type type, const struct panel_row *row, size_t columns, const struct act_slice *x)
{
    switch (type) {
    case TYPE_Q8_0:
        return dot_signed(row, 128, columns / BLOCK_COLUMNS, x);
    case TYPE_Q5_0:
        return dot_signed(row, 16, columns / BLOCK_COLUMNS, x);
    case TYPE_Q4_0:
        return dot_signed(row, 8, columns / BLOCK_COLUMNS, x);
    case TYPE_Q4_1:
    case TYPE_Q5_1:
        return dot_minimum(row, columns / BLOCK_COLUMNS, x);
    case TYPE_Q4_K:
    case TYPE_Q5_K:
        return dot_k_minima(row, x);
    case TYPE_Q6_K:
        return dot_k_signed(row, 32, false, x);
    case TYPE_Q3_K:
        return dot_k_signed(row, 4, true, x);
    case TYPE_Q2_K:
        return dot_k_halves_minima(row, x);
    default:
        assert(!"a type that is not quantised, or has no dot product here");
        return 0;
    }
}

/* The one place where a slice's result is stored or added. */
static void put(float *out, float result, bool accumulate)
{
    *out = accumulate ? *out + result : result;
}

static void dot_quantised(enum tensor_type type, const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride,
                          size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const uint8_t *panel = panels;
    struct panel_row row;

    for (size_t p = 0; p < panel_count; p++, panel += kernel_panel_bytes(type, columns)) {
        for (size_t r = 0; r < PANEL_ROWS; r++) {
            panel_row_read(type, panel, columns, r, &row);
            for (size_t t = 0; t < token_count; t++) {
                const struct act_slice *slice = (const void *)((const uint8_t *)x + t * x_stride);

                put(&out[t * out_stride + p * PANEL_ROWS + r], dot_row(type, &row, columns, slice), accumulate);
            }
        }
    }
}

/* Weight `index` of a float panel. */
static float float_weight(enum tensor_type type, const void *panel, size_t index)
{
    uint32_t word;
    float value;

    if (type == TYPE_F16)
        return half_to_float(((const uint16_t *)panel)[index]);
    word = type == TYPE_BF16 ? (uint32_t)((const uint16_t *)panel)[index] << 16 : ((const uint32_t *)panel)[index];
    memcpy(&value, &word, sizeof value);
    return value;
}

/* F32, F16, BF16: column by column. */
static void dot_float(enum tensor_type type, const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride,
                      size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const uint8_t *panel = panels;

    for (size_t p = 0; p < panel_count; p++, panel += kernel_panel_bytes(type, columns)) {
        for (size_t t = 0; t < token_count; t++) {
            const struct act_slice_f32 *slice = (const void *)((const uint8_t *)x + t * x_stride);

            for (size_t r = 0; r < PANEL_ROWS; r++) {
                float acc = 0;

                for (size_t c = 0; c < columns; c++)
                    acc = fmaf(float_weight(type, panel, c * PANEL_ROWS + r), slice->v[c], acc);
                put(&out[t * out_stride + p * PANEL_ROWS + r], acc, accumulate);
            }
        }
    }
}

#define DOT_FUNCTION(name, dot, type)                                                                                            \
    static void name(const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride, size_t token_count, \
                     float *out, size_t out_stride, bool accumulate)                                                             \
    {                                                                                                                            \
        dot(type, panels, panel_count, columns, x, x_stride, token_count, out, out_stride, accumulate);                          \
    }

DOT_FUNCTION(dot_f32, dot_float, TYPE_F32)
DOT_FUNCTION(dot_f16, dot_float, TYPE_F16)
DOT_FUNCTION(dot_bf16, dot_float, TYPE_BF16)
DOT_FUNCTION(dot_q8_0, dot_quantised, TYPE_Q8_0)
DOT_FUNCTION(dot_q4_0, dot_quantised, TYPE_Q4_0)
DOT_FUNCTION(dot_q4_1, dot_quantised, TYPE_Q4_1)
DOT_FUNCTION(dot_q5_0, dot_quantised, TYPE_Q5_0)
DOT_FUNCTION(dot_q5_1, dot_quantised, TYPE_Q5_1)
DOT_FUNCTION(dot_q2_k, dot_quantised, TYPE_Q2_K)
DOT_FUNCTION(dot_q3_k, dot_quantised, TYPE_Q3_K)
DOT_FUNCTION(dot_q4_k, dot_quantised, TYPE_Q4_K)
DOT_FUNCTION(dot_q5_k, dot_quantised, TYPE_Q5_K)
DOT_FUNCTION(dot_q6_k, dot_quantised, TYPE_Q6_K)

static bool always(void)
{
    return true;
}

const struct kernel kernel_scalar = {
    .name = "scalar",
    .supported = always,
    .dot =
        {
            [TYPE_F32] = dot_f32,
            [TYPE_F16] = dot_f16,
            [TYPE_BF16] = dot_bf16,
            [TYPE_Q8_0] = dot_q8_0,
            [TYPE_Q4_0] = dot_q4_0,
            [TYPE_Q4_1] = dot_q4_1,
            [TYPE_Q5_0] = dot_q5_0,
            [TYPE_Q5_1] = dot_q5_1,
            [TYPE_Q2_K] = dot_q2_k,
            [TYPE_Q3_K] = dot_q3_k,
            [TYPE_Q4_K] = dot_q4_k,
            [TYPE_Q5_K] = dot_q5_k,
            [TYPE_Q6_K] = dot_q6_k,
        },
    KERNEL_COMMON,
};
