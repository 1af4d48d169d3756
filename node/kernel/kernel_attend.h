/* Attention of the query heads that share a KV head, one token, in the lanes of the including file's instruction set.
 *
 * Scores: a lane is a position, a chain over the columns. Values: a lane is a column, a chain over the positions of a block. The number of
 * heads and tiles taken together therefore only serves to keep the multipliers busy; no result's operations depend on it. */
#ifndef NODE_KERNEL_ATTEND_H
#define NODE_KERNEL_ATTEND_H

#include <assert.h>

#include "kernel.h"
#include "kernel_kv.h"
#include "kernel_lanes.h"

enum {
    ATTEND_BLOCK = 256, /* positions whose sums are finished before they are added to the others' */
    ATTEND_WIDTH = 4,   /* most tiles or groups of 16 columns at once */
    /* Rows of V that are prefetched ahead. With many positions V comes from memory, which takes longer; with few, rows beyond the last one
     * would be fetched in vain. */
    ATTEND_NEAR_ROWS = 16,
    ATTEND_FAR_ROWS = 64,
    ATTEND_MANY_POSITIONS = 512,
    ATTEND_LINE_BYTES = 64
};

/* The job of a few heads at once. */
struct attend_group {
    const struct attend *attend;
    const float *q; /* (heads, head_dim) */
    float *out;     /* (heads, head_dim) */
    float *scores;  /* (heads, stride) */
    size_t stride;
};

/* 16 values of the cache in f32; scale is for Q8_0, whose products are exact. */
KERNEL_INLINE struct lanes attend_load(enum kv_type type, const uint8_t *p, struct lanes scale)
{
    switch (type) {
    case KV_F16:
        return lanes_load_f16(p);
    case KV_F32:
        return lanes_load(p);
    default:
        return lanes_mul(lanes_load_i8(p), scale);
    }
}

/* Keys and values are read once, one after the other, so memory would idle while they are multiplied: with each line of K the line of V at
 * the same offset is prefetched, and with each line of V that line of the next K. */
KERNEL_INLINE void attend_fetch(const void *cache, size_t at)
{
    __builtin_prefetch((const uint8_t *)cache + at, 0, 2);
}

/* Scores of `tiles` K tiles from `tile` on. type, heads and tiles are constants where this is inlined. */
KERNEL_INLINE void attend_score_tiles(const struct attend_group *group, enum kv_type type, uint32_t heads, size_t tile, uint32_t tiles)
{
    const uint32_t head_dim = group->attend->head_dim;
    const size_t tile_bytes = kv_k_tile_bytes(type, head_dim);
    const uint8_t *k = (const uint8_t *)group->attend->k + tile * tile_bytes;
    const float *q = group->q;
    struct lanes acc[ATTEND_WIDTH][LANES_HEADS];
    struct lanes scale[ATTEND_WIDTH];

    for (uint32_t t = 0; t < tiles; t++) {
        scale[t] = lanes_set(0.0f);
        for (uint32_t h = 0; h < heads; h++)
            acc[t][h] = lanes_set(0.0f);
    }
    for (uint32_t column = 0; column < head_dim; column += KV_BLOCK) {
        uint32_t end = head_dim - column < KV_BLOCK ? head_dim : column + KV_BLOCK;

        if (type == KV_Q8_0)
            for (uint32_t t = 0; t < tiles; t++)
                scale[t] = lanes_load_f16(k + t * tile_bytes + kv_k_scales(column));
        for (uint32_t i = column; i < end; i++) {
            for (uint32_t t = 0; t < tiles; t++) {
                const uint8_t *p = k + t * tile_bytes + kv_k_line(type, i);
                struct lanes line = attend_load(type, p, scale[t]);

                __builtin_prefetch(p + tiles * tile_bytes);
                attend_fetch(group->attend->v, (size_t)(p - (const uint8_t *)group->attend->k));
                for (uint32_t h = 0; h < heads; h++)
                    acc[t][h] = lanes_fma(lanes_set(q[h * head_dim + i]), line, acc[t][h]);
            }
        }
    }
    for (uint32_t t = 0; t < tiles; t++)
        for (uint32_t h = 0; h < heads; h++)
            lanes_store(group->scores + h * group->stride + (tile + t) * LANES, lanes_mul(acc[t][h], lanes_set(group->attend->scale)));
}

KERNEL_INLINE void attend_scores(const struct attend_group *group, enum kv_type type, uint32_t heads, uint32_t width)
{
    const size_t tiles = (group->attend->positions + LANES - 1) / LANES;
    size_t tile = 0;

    for (; tile + width <= tiles; tile += width)
        attend_score_tiles(group, type, heads, tile, width);
    for (; tile < tiles; tile++)
        attend_score_tiles(group, type, heads, tile, 1);
}

static float attend_largest(const float *scores, size_t count)
{
    struct lanes top = lanes_set(-__builtin_inff());
    float each[LANES];
    float largest;

    for (size_t j = 0; j < count; j += LANES)
        top = lanes_max(lanes_load(scores + j), top);
    lanes_store(each, top);
    largest = each[0];
    for (int l = 1; l < LANES; l++)
        largest = each[l] > largest ? each[l] : largest;
    return largest;
}

/* Scores become exp(score - largest); returns their sum. Lanes beyond `positions` become +0. */
static float attend_softmax(float *scores, size_t positions)
{
    const size_t count = (positions + LANES - 1) / LANES * LANES;
    float total = 0.0f;
    float largest;

    for (size_t j = positions; j < count; j++)
        scores[j] = -__builtin_inff();
    largest = attend_largest(scores, count);
    for (size_t block = 0; block < count; block += ATTEND_BLOCK) {
        size_t end = count - block < ATTEND_BLOCK ? count : block + ATTEND_BLOCK;
        struct lanes sum = lanes_set(0.0f);
        float block_sum;

        for (size_t j = block; j < end; j++)
            scores[j] = canon_expf(scores[j] - largest);
        for (size_t j = block; j < end; j += LANES)
            sum = lanes_add(sum, lanes_load(scores + j));
        block_sum = lanes_sum(sum);
        total = block == 0 ? block_sum : total + block_sum;
    }
    return total;
}

/* out = a, or out += a, of the columns that exist */
KERNEL_INLINE void attend_put(float *out, struct lanes a, size_t columns, bool first)
{
    float each[LANES];

    if (columns >= LANES) {
        lanes_store(out, first ? a : lanes_add(lanes_load(out), a));
        return;
    }
    lanes_store(each, a);
    for (size_t l = 0; l < columns; l++)
        out[l] = first ? each[l] : out[l] + each[l];
}

/* Positions begin..end-1, one block, of `width` groups of 16 columns from `column` on. */
KERNEL_INLINE void attend_value_columns(const struct attend_group *group, enum kv_type type, uint32_t heads, uint32_t column,
                                        uint32_t width, size_t begin, size_t end)
{
    const uint32_t head_dim = group->attend->head_dim;
    const size_t row_bytes = kv_v_row_bytes(type, head_dim);
    const uint8_t *v = group->attend->v, *row = v + begin * row_bytes;
    const size_t values = kv_v_scales_bytes(type, head_dim) + kv_value_bytes(type) * column;
    const size_t ahead = (group->attend->positions >= ATTEND_MANY_POSITIONS ? ATTEND_FAR_ROWS : ATTEND_NEAR_ROWS) * row_bytes;
    struct lanes acc[ATTEND_WIDTH][LANES_HEADS];

    for (uint32_t g = 0; g < width; g++)
        for (uint32_t h = 0; h < heads; h++)
            acc[g][h] = lanes_set(0.0f);
    for (size_t j = begin; j < end; j++, row += row_bytes) {
        for (uint32_t g = 0; g < width; g++) {
            const uint8_t *p = row + values + g * LANES * kv_value_bytes(type);
            struct lanes scale = lanes_set(0.0f);
            struct lanes line;

            if (g * LANES * kv_value_bytes(type) % ATTEND_LINE_BYTES == 0) {
                __builtin_prefetch(p + ahead);
                if (group->attend->k_next != NULL)
                    attend_fetch(group->attend->k_next, (size_t)(p - v));
            }
            if (type == KV_Q8_0)
                scale = lanes_set_f16(row + (column + g * LANES) / KV_BLOCK * 2);
            line = attend_load(type, p, scale);
            for (uint32_t h = 0; h < heads; h++)
                acc[g][h] = lanes_fma(lanes_set(group->scores[h * group->stride + j]), line, acc[g][h]);
        }
    }
    for (uint32_t g = 0; g < width; g++)
        for (uint32_t h = 0; h < heads; h++)
            attend_put(group->out + h * head_dim + column + g * LANES, acc[g][h], head_dim - column - g * LANES, begin == 0);
}

KERNEL_INLINE void attend_values(const struct attend_group *group, enum kv_type type, uint32_t heads, uint32_t width)
{
    const uint32_t columns = (uint32_t)kv_v_columns(group->attend->head_dim);
    const size_t positions = group->attend->positions;

    for (size_t begin = 0; begin < positions; begin += ATTEND_BLOCK) {
        size_t end = positions - begin < ATTEND_BLOCK ? positions : begin + ATTEND_BLOCK;
        uint32_t column = 0;

        for (; column + width * LANES <= columns; column += width * LANES)
            attend_value_columns(group, type, heads, column, width, begin, end);
        for (; column < columns; column += LANES)
            attend_value_columns(group, type, heads, column, 1, begin, end);
    }
}

/* Everything for `heads` heads, a constant where this is inlined. */
KERNEL_INLINE void attend_group(const struct attend *attend, enum kv_type type, uint32_t first_head, uint32_t heads)
{
    const uint32_t width = LANES_CHAINS / heads < ATTEND_WIDTH ? LANES_CHAINS / heads : ATTEND_WIDTH;
    const size_t stride = kernel_attend_stride(attend->positions);
    const struct attend_group group = {
        .attend = attend,
        .q = attend->q + (size_t)first_head * attend->head_dim,
        .out = attend->out + (size_t)first_head * attend->head_dim,
        .scores = attend->scratch + first_head * stride,
        .stride = stride,
    };
    float inverse[LANES_HEADS];

    attend_scores(&group, type, heads, width);
    for (uint32_t h = 0; h < heads; h++)
        inverse[h] = 1.0f / attend_softmax(group.scores + h * stride, attend->positions);
    attend_values(&group, type, heads, width);
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t i = 0; i < attend->head_dim; i++)
            group.out[h * attend->head_dim + i] *= inverse[h];
}

/* Computes the largest number of heads from first_head on for which there is a version; returns that number. */
#define ATTEND_TYPE(name, type)                                            \
    static uint32_t name(const struct attend *attend, uint32_t first_head) \
    {                                                                      \
        uint32_t left = attend->heads - first_head;                        \
                                                                           \
        if (LANES_HEADS >= 8 && left >= 8)                                 \
            return attend_group(attend, type, first_head, 8), 8;           \
        if (LANES_HEADS >= 4 && left >= 4)                                 \
            return attend_group(attend, type, first_head, 4), 4;           \
        if (LANES_HEADS >= 2 && left >= 2)                                 \
            return attend_group(attend, type, first_head, 2), 2;           \
        return attend_group(attend, type, first_head, 1), 1;               \
    }

ATTEND_TYPE(attend_f16, KV_F16)
ATTEND_TYPE(attend_f32, KV_F32)
ATTEND_TYPE(attend_q8_0, KV_Q8_0)

static void attend_heads(const struct attend *attend)
{
    assert(attend->heads > 0 && attend->head_dim > 0 && attend->positions > 0);
    assert(attend->type < KV_TYPE_COUNT);
    for (uint32_t h = 0; h < attend->heads;) {
        if (attend->type == KV_F16)
            h += attend_f16(attend, h);
        else if (attend->type == KV_F32)
            h += attend_f32(attend, h);
        else
            h += attend_q8_0(attend, h);
    }
}

#endif
