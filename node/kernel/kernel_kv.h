/* Layout of the KV cache of one KV head, for any instruction set.
 *
 * K: tiles of 16 positions, each (head_dim, 16), so that a lane is a position. V: one row of head_dim values per position, padded with
 * zeros to a multiple of 16, so that a lane is a column. Q8_0 has a half scale for every 32 values of one position: in a K tile, before
 * each 32 lines of values, a line of 16 halves; in V, before the row, a half per 32 columns. */
#ifndef NODE_KERNEL_KV_H
#define NODE_KERNEL_KV_H

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

enum {
    KV_TILE_POSITIONS = 16, /* of K */
    KV_BLOCK = 32,          /* values that share a scale in Q8_0 */
    KV_TILE_SCALES_BYTES = 2 * KV_TILE_POSITIONS
};

static inline size_t kv_blocks(uint32_t head_dim)
{
    return ((size_t)head_dim + KV_BLOCK - 1) / KV_BLOCK;
}

static inline size_t kv_value_bytes(enum kv_type type)
{
    return type == KV_F32 ? 4 : type == KV_F16 ? 2 : 1;
}

static inline size_t kv_k_tile_bytes(enum kv_type type, uint32_t head_dim)
{
    return KV_TILE_POSITIONS * kv_value_bytes(type) * head_dim + (type == KV_Q8_0 ? KV_TILE_SCALES_BYTES * kv_blocks(head_dim) : 0);
}

/* Line `column` of a tile: 16 values. */
static inline size_t kv_k_line(enum kv_type type, size_t column)
{
    return KV_TILE_POSITIONS * kv_value_bytes(type) * column + (type == KV_Q8_0 ? KV_TILE_SCALES_BYTES * (column / KV_BLOCK + 1) : 0);
}

/* The scales of the block that `column` (a multiple of 32) opens; Q8_0 only. */
static inline size_t kv_k_scales(size_t column)
{
    return kv_k_line(KV_Q8_0, column) - KV_TILE_SCALES_BYTES;
}

static inline size_t kv_v_columns(uint32_t head_dim)
{
    return ((size_t)head_dim + 15) / 16 * 16;
}

static inline size_t kv_v_scales_bytes(enum kv_type type, uint32_t head_dim)
{
    return type == KV_Q8_0 ? 2 * kv_blocks(head_dim) : 0;
}

static inline size_t kv_v_row_bytes(enum kv_type type, uint32_t head_dim)
{
    return kv_v_scales_bytes(type, head_dim) + kv_value_bytes(type) * kv_v_columns(head_dim);
}

/* Floats from one head's scores to the next in the scratch of attention: whole tiles, and one more so that heads do not share cache
 * sets. */
static inline size_t kernel_attend_stride(uint32_t positions)
{
    return ((size_t)positions + KV_TILE_POSITIONS - 1) / KV_TILE_POSITIONS * KV_TILE_POSITIONS + KV_TILE_POSITIONS;
}

#endif
