#include "dot_case.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "node/common/hash.h"

const enum tensor_type dot_case_types[DOT_CASE_TYPES] = {
    TYPE_F32,  TYPE_F16,  TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_1, TYPE_Q5_0,
    TYPE_Q5_1, TYPE_Q2_K, TYPE_Q3_K, TYPE_Q4_K, TYPE_Q5_K, TYPE_Q6_K,
};

/* Offsets of the f16 numbers in a quantised type's block; -1: there is no second one. */
static const int f16_offsets[TYPE_COUNT][2] = {
    [TYPE_Q8_0] = {0, -1},  [TYPE_Q4_0] = {0, -1},   [TYPE_Q4_1] = {0, 2}, [TYPE_Q5_0] = {0, -1}, [TYPE_Q5_1] = {0, 2},
    [TYPE_Q2_K] = {80, 82}, [TYPE_Q3_K] = {108, -1}, [TYPE_Q4_K] = {0, 2}, [TYPE_Q5_K] = {0, 2},  [TYPE_Q6_K] = {208, -1},
};

struct random {
    uint64_t seed, counter;
};

static uint64_t next(struct random *random)
{
    return hash_words3(random->seed, random->counter++, 0);
}

/* Finite f16 bits. */
static uint16_t random_f16(struct random *random, enum dot_flavour flavour)
{
    static const uint16_t exponents[DOT_FLAVOURS][2] = {{12, 6}, {10, 10}, {0, 1}, {28, 3}}; /* first, how many */
    const uint64_t bits = next(random);

    return (uint16_t)((bits & 0x83ffu) | (exponents[flavour][0] + (bits >> 32) % exponents[flavour][1]) << 10);
}

static float random_f32(struct random *random, enum dot_flavour flavour)
{
    static const int scale[DOT_FLAVOURS] = {0, 4, -70, 58};
    const uint64_t bits = next(random);
    const float mantissa = (float)((int64_t)(bits & 0xffffffu) - 0x800000) * 0x1p-23f;

    if (flavour == DOT_EXTREME)
        return bits & 1 ? 0x1.fffffep4f : -0x1.fffffep4f;
    return ldexpf(mantissa, scale[flavour] - (int)((bits >> 32) % 6));
}

static void store_le16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static void make_float_row(struct random *random, enum tensor_type type, enum dot_flavour flavour, size_t columns, uint8_t *row)
{
    for (size_t c = 0; c < columns; c++) {
        const float value = random_f32(random, flavour);
        uint32_t word;

        memcpy(&word, &value, sizeof word);
        if (type == TYPE_F16) {
            store_le16(row + 2 * c, random_f16(random, flavour));
        } else if (type == TYPE_BF16) {
            store_le16(row + 2 * c, (uint16_t)(word >> 16));
        } else {
            store_le16(row + 4 * c, (uint16_t)word);
            store_le16(row + 4 * c + 2, (uint16_t)(word >> 16));
        }
    }
}

static void make_quantised_row(struct random *random, enum tensor_type type, enum dot_flavour flavour, size_t columns, uint8_t *row)
{
    static const uint8_t extremes[4] = {0x00, 0xff, 0x80, 0x7f};
    const struct tensor_type_info *info = tensor_type_info(type);

    for (size_t b = 0; b < columns / info->block_values; b++, row += info->block_bytes) {
        const uint8_t extreme = extremes[next(random) % 4];

        for (size_t i = 0; i < info->block_bytes; i++)
            row[i] = flavour == DOT_EXTREME ? extreme : (uint8_t)next(random);
        for (int i = 0; i < 2 && f16_offsets[type][i] >= 0; i++)
            store_le16(row + f16_offsets[type][i], random_f16(random, flavour));
    }
}

static void make_rows(struct dot_case *c, struct random *random, enum dot_flavour flavour)
{
    const struct tensor_type_info *info = tensor_type_info(c->type);

    for (size_t r = 0; r < c->row_count; r++) {
        if (info->is_float)
            make_float_row(random, c->type, flavour, c->columns, c->rows + r * c->row_bytes);
        else
            make_quantised_row(random, c->type, flavour, c->columns, c->rows + r * c->row_bytes);
    }
    for (size_t p = 0; p < dot_case_panel_count(c); p++) {
        const size_t left = c->row_count - p * PANEL_ROWS;

        kernel_panel_pack(c->type, c->rows + p * PANEL_ROWS * c->row_bytes, c->row_bytes, left < PANEL_ROWS ? left : PANEL_ROWS, 0,
                          c->columns, c->panels + p * kernel_panel_bytes(c->type, c->columns));
    }
}

static void make_slice(struct random *random, enum dot_flavour flavour, size_t columns, struct act_slice *x)
{
    static const float scale[DOT_FLAVOURS] = {0x1p-7f, 1, 0x1p-128f, 0x1p80f};

    memset(x, 0, sizeof *x);
    for (size_t b = 0; b < columns / BLOCK_COLUMNS; b++) {
        const int8_t extreme = next(random) & 1 ? 127 : -127;

        for (size_t i = b * BLOCK_COLUMNS; i < (b + 1) * BLOCK_COLUMNS; i++) {
            x->q[i] = flavour == DOT_EXTREME ? extreme : (int8_t)((int)(next(random) % 255) - 127);
            x->sum[i / 16] += x->q[i];
            x->minus[b] -= x->q[i];
        }
        x->d[b] = scale[flavour] * (1 + (float)(next(random) % 4096) * 0x1p-12f);
    }
}

void dot_case_make(struct dot_case *c, enum tensor_type type, enum dot_flavour flavour, size_t row_count, size_t columns,
                   size_t token_count, uint64_t seed)
{
    struct random random = {.seed = seed};

    assert(row_count <= DOT_CASE_ROWS && columns <= SLICE_COLUMNS && token_count <= DOT_CASE_TOKENS);
    c->type = type;
    c->row_count = row_count;
    c->columns = columns;
    c->token_count = token_count;
    c->row_bytes = tensor_type_bytes(type, columns);
    make_rows(c, &random, flavour);
    for (size_t t = 0; t < token_count; t++) {
        make_slice(&random, flavour, columns, &c->x[t]);
        memset(&c->x_f32[t], 0, sizeof c->x_f32[t]);
        for (size_t i = 0; i < columns; i++)
            c->x_f32[t].v[i] = random_f32(&random, flavour);
    }
}

size_t dot_case_panel_count(const struct dot_case *c)
{
    return (c->row_count + PANEL_ROWS - 1) / PANEL_ROWS;
}

void dot_case_run(const struct dot_case *c, const struct kernel *kernel, float *out, size_t out_stride, bool accumulate)
{
    const bool is_float = tensor_type_info(c->type)->is_float;
    const void *x = is_float ? (const void *)c->x_f32 : (const void *)c->x;
    const size_t x_stride = is_float ? sizeof c->x_f32[0] : sizeof c->x[0];

    kernel->dot[c->type](c->panels, dot_case_panel_count(c), c->columns, x, x_stride, c->token_count, out, out_stride, accumulate);
}

float dot_case_sumsq(size_t token, size_t block)
{
    return (float)(token * 10 + block);
}

struct kernel_tokens_wire dot_case_wire(struct dot_case *c)
{
    const size_t blocks = c->columns / BLOCK_COLUMNS;

    for (size_t t = 0; t < c->token_count; t++) {
        for (size_t b = 0; b < blocks; b++) {
            uint8_t *to = c->wire + (t * blocks + b) * BLOCK_WIRE_BYTES_NORM;
            const float sumsq = dot_case_sumsq(t, b);

            memcpy(to, &c->x[t].d[b], 4);
            memcpy(to + 4, c->x[t].q + b * BLOCK_COLUMNS, BLOCK_COLUMNS);
            memcpy(to + BLOCK_WIRE_BYTES, &sumsq, sizeof sumsq);
        }
    }
    return (struct kernel_tokens_wire){.data = c->wire,
                                       .token_stride = blocks * BLOCK_WIRE_BYTES_NORM,
                                       .block_stride = BLOCK_WIRE_BYTES_NORM,
                                       .blocks = blocks,
                                       .with_sumsq = true,
                                       .with_halves = true};
}
