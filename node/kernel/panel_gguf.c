/* Rows of quantised GGUF tensors widened to one byte per weight, scales as they are. The file's layouts are those of the GGUF
 * specification; nothing is rounded here. */
#include <assert.h>
#include <string.h>

#include "panel.h"

static uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* to[i] |= (from[i] >> right & mask) << left, eight at a time: `bytes` is a multiple of 8. Bits that a shift carries into the next byte are
 * masked. */
static inline void add_bits(uint8_t *to, const uint8_t *from, size_t bytes, int right, uint64_t mask, int left)
{
    const uint64_t masks = mask * 0x0101010101010101u;

    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word, sum;

        memcpy(&word, from + i, sizeof word);
        memcpy(&sum, to + i, sizeof sum);
        sum |= (word >> right & masks) << left;
        memcpy(to + i, &sum, sizeof sum);
    }
}

/* The same with = instead of |=. */
static inline void take_bits(uint8_t *to, const uint8_t *from, size_t bytes, int right, uint64_t mask)
{
    memset(to, 0, bytes);
    add_bits(to, from, bytes, right, mask, 0);
}

/* Low nibbles are values 0-15, high nibbles 16-31. */
static inline void read_nibbles(const uint8_t *packed, uint8_t *weight)
{
    take_bits(weight, packed, 16, 0, 15);
    take_bits(weight + 16, packed, 16, 4, 15);
}

/* The fifth bits are one little-endian 32-bit word, bit i for value i. */
static inline void read_fifth_bits(const uint8_t *packed, uint8_t *weight)
{
    static const uint8_t bit[8] = {1, 2, 4, 8, 16, 32, 64, 128};

    for (int i = 0; i < BLOCK_COLUMNS; i += 8)
        for (int j = 0; j < 8; j++)
            weight[i + j] = (uint8_t)(weight[i + j] | ((packed[i / 8] & bit[j]) != 0 ? 16 : 0));
}

static void read_q8_0(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 34) {
        out->d[b] = load_le16(packed);
        for (int i = 0; i < BLOCK_COLUMNS; i++)
            out->weight[b * BLOCK_COLUMNS + (size_t)i] = packed[2 + i] ^ 0x80;
    }
}

static void read_q4_0(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 18) {
        out->d[b] = load_le16(packed);
        read_nibbles(packed + 2, out->weight + b * BLOCK_COLUMNS);
    }
}

static void read_q4_1(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 20) {
        out->d[b] = load_le16(packed);
        out->m[b] = load_le16(packed + 2);
        read_nibbles(packed + 4, out->weight + b * BLOCK_COLUMNS);
    }
}

static void read_q5_0(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 22) {
        out->d[b] = load_le16(packed);
        read_nibbles(packed + 6, out->weight + b * BLOCK_COLUMNS);
        read_fifth_bits(packed + 2, out->weight + b * BLOCK_COLUMNS);
    }
}

static void read_q5_1(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    for (size_t b = 0; b < blocks; b++, packed += 24) {
        out->d[b] = load_le16(packed);
        out->m[b] = load_le16(packed + 2);
        read_nibbles(packed + 8, out->weight + b * BLOCK_COLUMNS);
        read_fifth_bits(packed + 4, out->weight + b * BLOCK_COLUMNS);
    }
}

/* K types: blocks counts 32 columns as above, and is always 8, one super-block. Half h is columns 128h and following. */

/* Two bits of each weight: each 32 bytes hold the four blocks of a half, from the low bits up. */
static void read_pairs(const uint8_t *packed, uint8_t *weight)
{
    for (int b = 0; b < SLICE_BLOCKS; b++)
        take_bits(weight + b * BLOCK_COLUMNS, packed + b / 4 * 32, BLOCK_COLUMNS, b % 4 * 2, 3);
}

static void read_q2_k(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    const uint8_t *low = packed + 16;

    (void)blocks;
    for (int j = 0; j < 16; j++) {
        out->scale[j] = packed[j] & 15;
        out->min[j] = packed[j] >> 4;
    }
    read_pairs(low, out->weight);
    out->d[0] = load_le16(packed + 80);
    out->m[0] = load_le16(packed + 82);
}

static void read_q3_k(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    const uint8_t *high = packed;
    const uint8_t *low = packed + 32;
    const uint8_t *scales = packed + 96;

    (void)blocks;
    read_pairs(low, out->weight);
    for (int b = 0; b < SLICE_BLOCKS; b++)
        add_bits(out->weight + b * BLOCK_COLUMNS, high, BLOCK_COLUMNS, b, 1, 2);
    for (int j = 0; j < 16; j++)
        out->scale[j] = (uint8_t)((scales[j % 8] >> (j / 8 * 4) & 15) | (scales[8 + j % 4] >> (j / 4 * 2) & 3) << 4);
    out->d[0] = load_le16(packed + 108);
}

/* Eight scales and eight minima of 6 bits in 12 bytes. */
static void read_scales_minima(const uint8_t *packed, struct panel_row *out)
{
    for (int j = 0; j < 4; j++) {
        out->scale[j] = packed[j] & 63;
        out->min[j] = packed[j + 4] & 63;
        out->scale[j + 4] = (uint8_t)((packed[j + 8] & 15) | packed[j] >> 6 << 4);
        out->min[j + 4] = (uint8_t)(packed[j + 8] >> 4 | packed[j + 4] >> 6 << 4);
    }
}

/* Each 32 bytes hold the 64 columns of two blocks: the first in the low nibbles. */
static void read_nibbles_k(const uint8_t *packed, uint8_t *weight)
{
    for (int b = 0; b < SLICE_BLOCKS; b++)
        take_bits(weight + b * BLOCK_COLUMNS, packed + b / 2 * 32, BLOCK_COLUMNS, b % 2 * 4, 15);
}

static void read_q4_k(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    (void)blocks;
    out->d[0] = load_le16(packed);
    out->m[0] = load_le16(packed + 2);
    read_scales_minima(packed + 4, out);
    read_nibbles_k(packed + 16, out->weight);
}

static void read_q5_k(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    const uint8_t *high = packed + 16;

    (void)blocks;
    out->d[0] = load_le16(packed);
    out->m[0] = load_le16(packed + 2);
    read_scales_minima(packed + 4, out);
    read_nibbles_k(packed + 48, out->weight);
    for (int b = 0; b < SLICE_BLOCKS; b++)
        add_bits(out->weight + b * BLOCK_COLUMNS, high, BLOCK_COLUMNS, b, 1, 4);
}

static void read_q6_k(const uint8_t *packed, size_t blocks, struct panel_row *out)
{
    const uint8_t *low = packed;
    const uint8_t *high = packed + 128;

    (void)blocks;
    for (int b = 0; b < SLICE_BLOCKS; b++) {
        uint8_t *weight = out->weight + b * BLOCK_COLUMNS;

        take_bits(weight, low + b / 4 * 64 + b % 2 * 32, BLOCK_COLUMNS, b % 4 / 2 * 4, 15);
        add_bits(weight, high + b / 4 * 32, BLOCK_COLUMNS, b % 4 * 2, 3, 4);
    }
    memcpy(out->scale, packed + 192, sizeof out->scale);
    out->d[0] = load_le16(packed + 208);
}

void panel_row_from_gguf(enum tensor_type type, const uint8_t *packed, size_t columns, struct panel_row *out)
{
    static void (*const readers[TYPE_COUNT])(const uint8_t *packed, size_t blocks, struct panel_row *out) = {
        [TYPE_Q8_0] = read_q8_0, [TYPE_Q4_0] = read_q4_0, [TYPE_Q4_1] = read_q4_1, [TYPE_Q5_0] = read_q5_0, [TYPE_Q5_1] = read_q5_1,
        [TYPE_Q2_K] = read_q2_k, [TYPE_Q3_K] = read_q3_k, [TYPE_Q4_K] = read_q4_k, [TYPE_Q5_K] = read_q5_k, [TYPE_Q6_K] = read_q6_k,
    };

    assert(readers[type] != NULL);
    assert(columns % tensor_type_info(type)->block_values == 0 && columns <= SLICE_COLUMNS);
    readers[type](packed, columns / BLOCK_COLUMNS, out);
}
