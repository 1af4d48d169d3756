#include "kernel_kv.h"

#include <assert.h>
#include <string.h>

#include "node/common/canon.h"

static const uint16_t half_nan = 0x7e00;

size_t kernel_kv_bytes(enum kv_type type, uint32_t head_dim, uint32_t positions)
{
    size_t tiles = ((size_t)positions + KV_TILE_POSITIONS - 1) / KV_TILE_POSITIONS;
    size_t k = tiles * kv_k_tile_bytes(type, head_dim);
    size_t v = positions * kv_v_row_bytes(type, head_dim);

    assert(type < KV_TYPE_COUNT && head_dim > 0);
    return ((k > v ? k : v) + 63) / 64 * 64;
}

size_t kernel_attend_scratch_floats(uint32_t heads, uint32_t positions)
{
    return (size_t)heads * kernel_attend_stride(positions);
}

/* One value at `lane` of a line of K, or column `lane` of a row of V. */
static void store_value(enum kv_type type, uint8_t *line, size_t lane, float x)
{
    if (type == KV_F32) {
        memcpy(line + 4 * lane, &x, sizeof x);
    } else {
        uint16_t half = canon_f32_to_f16(x);

        memcpy(line + 2 * lane, &half, sizeof half);
    }
}

/* q of up to 32 values; returns the scale. As for activation blocks, except that the scale is rounded to half. */
static uint16_t quantise_block(const float *x, size_t count, int8_t *q)
{
    uint32_t top = 0;
    float amax, inverse;

    memset(q, 0, KV_BLOCK);
    for (size_t i = 0; i < count; i++) {
        uint32_t magnitude = canon_bits(x[i]) & 0x7fffffffu;

        top = magnitude > top ? magnitude : top;
    }
    if (top >= 0x7f800000u)
        return half_nan;
    amax = canon_from_bits(top);
    if (amax < 0x1p-100f)
        return 0;
    inverse = 127.0f / amax;
    for (size_t i = 0; i < count; i++)
        q[i] = (int8_t)(x[i] * inverse + 0x1.8p+23f - 0x1.8p+23f);
    return canon_f32_to_f16(amax / 127.0f);
}

static void store_q8_0(uint32_t head_dim, size_t lane, const float *k, const float *v, uint8_t *k_tile, uint8_t *v_row)
{
    uint8_t *v_values = v_row + kv_v_scales_bytes(KV_Q8_0, head_dim);
    int8_t q[KV_BLOCK];

    for (size_t column = 0; column < head_dim; column += KV_BLOCK) {
        size_t count = head_dim - column < KV_BLOCK ? head_dim - column : KV_BLOCK;
        size_t padded = (count + 15) / 16 * 16;
        uint16_t scale = quantise_block(k + column, count, q);

        memcpy(k_tile + kv_k_scales(column) + 2 * lane, &scale, sizeof scale);
        for (size_t i = 0; i < count; i++)
            memcpy(k_tile + kv_k_line(KV_Q8_0, column + i) + lane, &q[i], 1);
        scale = quantise_block(v + column, count, q);
        memcpy(v_row + column / KV_BLOCK * 2, &scale, sizeof scale);
        memcpy(v_values + column, q, padded);
    }
}

/* Each value of K goes to a line of its own, most of them in no cache: prefetch them together. */
static void prefetch_tile(enum kv_type type, uint32_t head_dim, const uint8_t *k_tile)
{
    enum { CACHE_LINE_BYTES = 64 };

    for (size_t at = 0; at < kv_k_tile_bytes(type, head_dim); at += CACHE_LINE_BYTES)
        __builtin_prefetch(k_tile + at, 1);
}

void kernel_kv_store(enum kv_type type, uint32_t head_dim, uint32_t position, const float *k, const float *v, void *k_cache, void *v_cache)
{
    size_t lane = position % KV_TILE_POSITIONS;
    uint8_t *k_tile = (uint8_t *)k_cache + position / KV_TILE_POSITIONS * kv_k_tile_bytes(type, head_dim);
    uint8_t *v_row = (uint8_t *)v_cache + position * kv_v_row_bytes(type, head_dim);

    assert(type < KV_TYPE_COUNT && head_dim > 0);
    prefetch_tile(type, head_dim, k_tile);
    if (type == KV_Q8_0) {
        store_q8_0(head_dim, lane, k, v, k_tile, v_row);
        return;
    }
    for (size_t i = 0; i < head_dim; i++)
        store_value(type, k_tile + kv_k_line(type, i), lane, k[i]);
    for (size_t i = 0; i < head_dim; i++)
        store_value(type, v_row, i, v[i]);
    for (size_t i = head_dim; i < kv_v_columns(head_dim); i++)
        store_value(type, v_row, i, 0.0f);
}
