#include "quantise_k.h"

#include <string.h>

#include "node/common/half.h"
#include "quantise_k_search.h"

enum { VALUES = QUANTISE_K_VALUES, HALF = 128, Q2_BYTES = 84, Q3_BYTES = 110, Q4_BYTES = 144, Q5_BYTES = 176, Q6_BYTES = 210 };

/* Add bits to a byte whose bits there are still 0. */
static void add_bits(uint8_t *out, uint32_t bits, int at)
{
    *out = (uint8_t)(*out | bits << at);
}

/* Two bits of every level, from bit `first` on, to 64 bytes: a half of 128 values takes 32 bytes, bits 0-1 of them hold its first 32
 * values, bits 2-3 the next, and so on. */
static void add_pairs(uint8_t *out, const uint8_t level[VALUES], int first)
{
    for (int i = 0; i < VALUES; i++)
        add_bits(out + i / HALF * 32 + i % 32, level[i] >> first & 3, i % HALF / 32 * 2);
}

void quantise_k_q2(const float *values, size_t blocks, uint8_t *packed)
{
    struct quantise_k_block block;

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q2_BYTES) {
        quantise_k_search_q2(values, &block);
        memset(packed, 0, Q2_BYTES);
        for (int j = 0; j < 16; j++)
            packed[j] = (uint8_t)(block.scale[j] | block.minimum[j] << 4);
        add_pairs(packed + 16, block.level, 0);
        half_store(packed + 80, block.d);
        half_store(packed + 82, block.dmin);
    }
}

/* 16 scales of 6 bits, 32 added: low 4 bits in the nibbles of bytes 0-7, high 2 bits in bytes 8-11. */
static void add_q3_scales(uint8_t *out, const int scale[16])
{
    for (int j = 0; j < 16; j++) {
        const uint32_t bits = (uint32_t)(scale[j] + 32);

        add_bits(out + j % 8, bits & 15, j / 8 * 4);
        add_bits(out + 8 + j % 4, bits >> 4, j / 4 * 2);
    }
}

void quantise_k_q3(const float *values, size_t blocks, uint8_t *packed)
{
    struct quantise_k_block block;

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q3_BYTES) {
        quantise_k_search_q3(values, &block);
        memset(packed, 0, Q3_BYTES);
        for (int i = 0; i < VALUES; i++)
            add_bits(packed + i % 32, block.level[i] >> 2, i / 32);
        add_pairs(packed + 32, block.level, 0);
        add_q3_scales(packed + 96, block.scale);
        half_store(packed + 108, block.d);
    }
}

/* 8 scales and 8 minima of 6 bits in 12 bytes: the first four of each whole, the others in two pieces. */
static void add_q45_scales(uint8_t *out, const struct quantise_k_block *block)
{
    for (int j = 0; j < 4; j++) {
        add_bits(out + j, (uint32_t)block->scale[j], 0);
        add_bits(out + j, (uint32_t)block->scale[j + 4] >> 4, 6);
        add_bits(out + 4 + j, (uint32_t)block->minimum[j], 0);
        add_bits(out + 4 + j, (uint32_t)block->minimum[j + 4] >> 4, 6);
        add_bits(out + 8 + j, (uint32_t)block->scale[j + 4] & 15, 0);
        add_bits(out + 8 + j, (uint32_t)block->minimum[j + 4] & 15, 4);
    }
}

/* Low four bits of 8 groups of 32: a pair of groups takes 32 bytes, the first group in the low nibbles. */
static void add_q45_nibbles(uint8_t *out, const uint8_t level[VALUES])
{
    for (int i = 0; i < VALUES; i++)
        add_bits(out + i / 64 * 32 + i % 32, level[i] & 15, i / 32 % 2 * 4);
}

void quantise_k_q4(const float *values, size_t blocks, uint8_t *packed)
{
    struct quantise_k_block block;

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q4_BYTES) {
        quantise_k_search_q4(values, &block);
        memset(packed, 0, Q4_BYTES);
        half_store(packed, block.d);
        half_store(packed + 2, block.dmin);
        add_q45_scales(packed + 4, &block);
        add_q45_nibbles(packed + 16, block.level);
    }
}

void quantise_k_q5(const float *values, size_t blocks, uint8_t *packed)
{
    struct quantise_k_block block;

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q5_BYTES) {
        quantise_k_search_q5(values, &block);
        memset(packed, 0, Q5_BYTES);
        half_store(packed, block.d);
        half_store(packed + 2, block.dmin);
        add_q45_scales(packed + 4, &block);
        for (int i = 0; i < VALUES; i++)
            add_bits(packed + 16 + i % 32, block.level[i] >> 4, i / 32);
        add_q45_nibbles(packed + 48, block.level);
    }
}

void quantise_k_q6(const float *values, size_t blocks, uint8_t *packed)
{
    struct quantise_k_block block;

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q6_BYTES) {
        quantise_k_search_q6(values, &block);
        memset(packed, 0, Q6_BYTES);
        for (int i = 0; i < VALUES; i++)
            add_bits(packed + i / HALF * 64 + i % 64, block.level[i] & 15, i % HALF / 64 * 4);
        add_pairs(packed + 128, block.level, 4);
        for (int j = 0; j < 16; j++)
            packed[192 + j] = (uint8_t)block.scale[j];
        half_store(packed + 208, block.d);
    }
}
