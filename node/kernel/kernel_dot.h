/* The dot products of kernel_scalar.c on vectors whose lanes are rows, for any instruction set.
 *
 * Included by one kernel_ISA.c after its kernel_dot_ISA.h, which defines what C lacks (dot_columns, dot_fma, dot_nfma, dot_load_f16,
 * dot_load_bf16); the rest is the compiler's vector arithmetic. A panel is read in DOT_PARTS parts of DOT_LANES rows. The header also says
 * what suits the registers:
 *
 *     DOT_VECTORS DOT_TOKENS             a tile of several tokens has DOT_VECTORS parts and DOT_TOKENS sums
 *     DOT_FLOAT_PANELS DOT_FLOAT_TOKENS  panels of one token, tokens of one panel at once, of float weights
 *     DOT_DECODE_PANELS                  panels at once of one token, where they are not read in the order of memory
 *     DOT_DECODE_PARTS                   parts of these at once; but see dot_decode_parts
 *     DOT_DECODE_TOGETHER                does one step compute all of these?
 *     DOT_DECODE_UNROLLS_K               are a K type's blocks of one token unrolled, where not in the order of memory?
 *     DOT_FEW                            most tokens that go to kernel_dot_few.h
 *     DOT_SIGNED_BYTES                   are weights of 8 bits made signed when they are unpacked?
 *
 * Every lane does what the scalar kernel does for its row; integer results may be computed differently, as all of them are exact: products
 * with integer scales are computed in f32, where |isum| < 2^24 keeps them exact (bounds in kernel_scalar.c).
 *
 * For one token (kernel_dot_decode.h) computing and unpacking alternate, at the speed of memory; also for a few tokens (kernel_dot_few.h),
 * and for any number of them where dot_is_always_few. Otherwise more tokens share DOT_PANELS panels unpacked to dot_blocks, in tiles of
 * DOT_VECTORS parts by DOT_TOKENS / DOT_VECTORS tokens. Prompt tokens that stand side by side use kernel_dot_tokens.h. */
#ifndef NODE_KERNEL_DOT_H
#define NODE_KERNEL_DOT_H

enum {
    DOT_PARTS = PANEL_ROWS / DOT_LANES,
    DOT_PART_BYTES = 4 * DOT_LANES,
    DOT_PANELS = DOT_VECTORS > DOT_PARTS ? DOT_VECTORS / DOT_PARTS : 1, /* unpacked at once */
    DOT_PARTS_AT_ONCE = DOT_VECTORS / DOT_PANELS                        /* of each */
};

enum dot_scales { DOT_PER_BLOCK, DOT_6BIT_MINIMA, DOT_6BIT, DOT_8BIT, DOT_4BIT_MINIMA };

/* The constants of a type. Always a compile-time constant here. */
struct dot_type {
    enum tensor_type type;
    int low_bits, high_bits, zero;
    bool minimum; /* f16 m or dmin */
    bool halves;  /* a scale for each 16 columns */
    enum dot_scales scales;
};

/* Numbers that a panel has once, for one part. */
struct dot_head {
    dot_words scale[4];
    dot_floats d, m;
    dot_floats block_d[SLICE_BLOCKS], block_m[SLICE_BLOCKS]; /* dot_decode_head: the blocks' of the other types */
};

/* A part of a block, unpacked. Fields that the type lacks are not set. */
struct dot_block {
    dot_words weight[8]; /* by group, zero point still added but for DOT_SIGNED_BYTES */
    dot_floats d, m;
    dot_floats scale[2], min[2]; /* of the halves, or [0] of the block */
};

DOT_INLINE dot_words dot_load_words(const void *p)
{
    dot_words v;

    memcpy(&v, p, sizeof v);
    return v;
}

DOT_INLINE dot_words dot_splat_word(uint32_t x)
{
    return x - (dot_words){0};
}

DOT_INLINE dot_floats dot_splat(float x)
{
    return x - (dot_floats){0};
}

DOT_INLINE dot_floats dot_from_ints(dot_ints v)
{
    return __builtin_convertvector(v, dot_floats);
}

DOT_INLINE dot_floats dot_sum(int32_t sum)
{
    return dot_from_ints((dot_ints)dot_splat_word((uint32_t)sum));
}

/* ---- unpacking ---- */

/* The bits of `mask`, moved from bit `from` of each byte to bit `to`; none cross into another byte. */
DOT_INLINE dot_words dot_bits(dot_words v, int from, int to, uint8_t mask)
{
    return (from > to ? v >> (from - to) : v << (to - from)) & dot_splat_word(0x01010101u * mask << to);
}

/* Group g (0..7) of a block. */
DOT_INLINE dot_words dot_unpack_group(struct dot_type type, const uint8_t *block, int g)
{
    const uint8_t *low = block + type.high_bits * PANEL_VECTOR_BYTES;
    dot_words weight;

    if (type.low_bits == 8)
        weight = dot_load_words(low + g * PANEL_VECTOR_BYTES) ^ dot_splat_word(DOT_SIGNED_BYTES ? 0x80808080u : 0);
    else if (type.low_bits == 4)
        weight = dot_bits(dot_load_words(low + g % 4 * PANEL_VECTOR_BYTES), g / 4 * 4, 0, 15);
    else
        weight = dot_bits(dot_load_words(low + g / 4 * PANEL_VECTOR_BYTES), g % 4 * 2, 0, 3);
    if (type.high_bits == 1)
        weight |= dot_bits(dot_load_words(block), g, type.low_bits, 1);
    else if (type.high_bits == 2)
        weight |= dot_bits(dot_load_words(block + g / 4 * PANEL_VECTOR_BYTES), g % 4 * 2, type.low_bits, 3);
    return weight;
}

DOT_INLINE void dot_unpack(struct dot_type type, const uint8_t *block, struct dot_block *out)
{
    DOT_UNROLL
    for (int g = 0; g < 8; g++)
        out->weight[g] = dot_unpack_group(type, block, g);
}

DOT_INLINE bool dot_is_k(struct dot_type type)
{
    return type.scales != DOT_PER_BLOCK;
}

DOT_INLINE size_t dot_head_bytes(struct dot_type type, size_t blocks)
{
    if (!dot_is_k(type))
        return panel_head_bytes(blocks, type.minimum ? 2 : 1);
    return type.scales == DOT_6BIT || type.scales == DOT_6BIT_MINIMA ? PANEL_K_HEAD_6BIT : PANEL_K_HEAD_8BIT;
}

/* part: the first byte of the part in the panel's first vector. halves: its first f16. */
DOT_INLINE void dot_load_head(struct dot_type type, const uint8_t *part, const uint8_t *halves, struct dot_head *head)
{
    const uint8_t *vectors = part + PANEL_K_SCALES;

    if (!dot_is_k(type))
        return;
    head->d = dot_load_f16(halves);
    if (type.minimum)
        head->m = dot_load_f16(halves + PANEL_HALF_ROWS_BYTES);
    for (int v = 0; v < 3; v++)
        head->scale[v] = dot_load_words(vectors + v * PANEL_VECTOR_BYTES);
    if (type.scales == DOT_8BIT || type.scales == DOT_4BIT_MINIMA) {
        head->scale[3] = dot_load_words(vectors + 3 * PANEL_VECTOR_BYTES);
    } else {
        head->scale[3] = dot_bits(head->scale[0], 6, 0, 3) | dot_bits(head->scale[1], 6, 2, 3) | dot_bits(head->scale[2], 6, 4, 3);
        for (int v = 0; v < 3; v++)
            head->scale[v] &= dot_splat_word(0x3f3f3f3fu);
    }
}

/* Byte k of each word as a number. */
DOT_INLINE dot_floats dot_byte(dot_words v, size_t k)
{
    return dot_from_ints((dot_ints)(v >> (int)(8 * k) & dot_splat_word(255)));
}

DOT_INLINE dot_floats dot_signed_byte(dot_words v, size_t k)
{
    return dot_from_ints((dot_ints)(v << (int)(24 - 8 * k)) >> 24);
}

/* Scales of block b, a constant or not; panel.h has the bytes' order. */
DOT_INLINE void dot_load_scales(struct dot_type type, const struct dot_head *head, size_t b, struct dot_block *out)
{
    if (type.scales == DOT_6BIT_MINIMA) {
        out->scale[0] = dot_byte(head->scale[b / 4], b % 4);
        out->min[0] = dot_byte(head->scale[2 + b / 4], b % 4);
        return;
    }
    for (size_t h = 0; h < 2; h++) {
        const dot_words words = head->scale[b / 2];
        const size_t k = b % 2 + 2 * h;

        if (type.scales == DOT_8BIT) {
            out->scale[h] = dot_signed_byte(words, k);
        } else if (type.scales == DOT_6BIT) {
            out->scale[h] = dot_byte(words, k) - dot_splat(32);
        } else {
            out->scale[h] = dot_byte(words & dot_splat_word(0x0f0f0f0fu), k);
            out->min[h] = dot_byte(words >> 4 & dot_splat_word(0x0f0f0f0fu), k);
        }
    }
}

/* Block b of a part of a panel. */
DOT_INLINE void dot_load_block(struct dot_type type, const uint8_t *panel, size_t part, const struct dot_head *head, size_t blocks,
                               size_t b, struct dot_block *out)
{
    const uint8_t *halves = panel + part * DOT_PART_BYTES / 2 + b * PANEL_HALF_ROWS_BYTES;
    const size_t block_bytes = (size_t)(type.low_bits + type.high_bits) * PANEL_VECTOR_BYTES;

    dot_unpack(type, panel + dot_head_bytes(type, blocks) + b * block_bytes + part * DOT_PART_BYTES, out);
    if (dot_is_k(type)) {
        out->d = head->d;
        if (type.minimum)
            out->m = head->m;
        dot_load_scales(type, head, b, out);
    } else {
        out->d = dot_load_f16(halves);
        if (type.minimum)
            out->m = dot_load_f16(halves + blocks * PANEL_HALF_ROWS_BYTES);
    }
}

/* ---- computing ---- */

/* Block b's products summed, with integer scales applied: kernel_scalar.c's isum, of `tokens` slices with `vectors` parts of rows (both
 * constants). Vector v's part is w[v * SLICE_BLOCKS]; its isum of token t is isum[t * vectors + v]. */
DOT_INLINE void dot_isums(struct dot_type type, const struct dot_block *w, size_t vectors, const uint8_t *x, size_t x_stride, size_t tokens,
                          size_t b, dot_floats *isum)
{
    const int bits = type.low_bits + type.high_bits;
    const dot_words *low[DOT_TOKENS], *high[DOT_TOKENS];
    dot_ints first[DOT_TOKENS], second[DOT_TOKENS];

    DOT_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        low[v] = w[v * SLICE_BLOCKS].weight;
        high[v] = low[v] + 4;
    }
    dot_columns(low, vectors, type.halves ? 4 : 8, x, x_stride, tokens, b * BLOCK_COLUMNS, type.zero, bits, first);
    if (type.halves)
        dot_columns(high, vectors, 4, x, x_stride, tokens, b * BLOCK_COLUMNS + 16, type.zero, bits, second);
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        const dot_floats *scale = w[i % vectors * SLICE_BLOCKS].scale;

        isum[i] = dot_from_ints(first[i]);
        if (dot_is_k(type))
            isum[i] *= scale[0];
        if (type.halves)
            isum[i] = dot_fma(scale[1], dot_from_ints(second[i]), isum[i]);
    }
}

/* Block b's minima with activations, for the types that have them, added to or taken from acc. */
DOT_INLINE dot_floats dot_minima(struct dot_type type, const struct dot_block *w, const int16_t sum[2], dot_floats d, dot_floats acc)
{
    if (!dot_is_k(type))
        return dot_fma(dot_sum(sum[0] + sum[1]), w->m * d, acc);
    if (!type.halves)
        return dot_nfma(w->min[0] * dot_sum(sum[0] + sum[1]), w->m * d, acc);
    return dot_nfma(dot_fma(w->min[1], dot_sum(sum[1]), w->min[0] * dot_sum(sum[0])), w->m * d, acc);
}

/* Add block b of `tokens` slices with `vectors` parts to acc, which is laid out as isum in dot_isums. */
DOT_INLINE void dot_step(struct dot_type type, const struct dot_block *w, size_t vectors, const uint8_t *x, size_t x_stride, size_t tokens,
                         size_t b, dot_floats *acc)
{
    dot_floats isum[DOT_TOKENS];

    dot_isums(type, w, vectors, x, x_stride, tokens, b, isum);
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        const struct dot_block *part = w + i % vectors * SLICE_BLOCKS;
        const struct act_slice *slice = dot_slice(x, x_stride, i / vectors);
        const dot_floats d = dot_splat(slice->d[b]);

        acc[i] = dot_fma(isum[i], part->d * d, acc[i]);
        if (type.minimum)
            acc[i] = dot_minima(type, part, slice->sum + 2 * b, d, acc[i]);
    }
}

DOT_INLINE void dot_put(float *out, dot_floats acc, bool accumulate)
{
    dot_floats old;

    if (accumulate) {
        memcpy(&old, out, sizeof old);
        acc = old + acc;
    }
    memcpy(out, &acc, sizeof acc);
}

/* Prefetch twice: far ahead into the second-level cache, since the first level allows too few requests in flight to keep memory busy; then
 * from there into the first level shortly before use, since loads that wait for the second level delay later prefetches. */
DOT_INLINE void dot_prefetch(const uint8_t *from, size_t bytes, size_t ahead)
{
    enum { NEAR_BYTES = 1024 };

    for (size_t i = 0; i < bytes; i += PANEL_VECTOR_BYTES) {
        __builtin_prefetch(from + i + ahead, 0, 2);
        __builtin_prefetch(from + i + NEAR_BYTES, 0, 3);
    }
}

DOT_INLINE void dot_prefetch_once(const uint8_t *from, size_t bytes, size_t ahead)
{
    for (size_t i = 0; i < bytes; i += PANEL_VECTOR_BYTES)
        __builtin_prefetch(from + i + ahead, 0, 3);
}

/* Block b's share of prefetching a panel in memory order, each line once, for weights that are read once. These lines bypass the
 * second-level cache, which keeps activations and results. */
DOT_INLINE void dot_prefetch_step(const uint8_t *panel, size_t panel_bytes, size_t blocks, size_t b, size_t ahead)
{
    const size_t share = panel_bytes / blocks, line = PANEL_VECTOR_BYTES;
    const size_t from = b * share / line * line, to = (b + 1) * share / line * line;

    for (size_t at = from; at < to; at += line)
        __builtin_prefetch(panel + at + ahead, 0, 0);
}

#include "kernel_dot_decode.h"
#include "kernel_dot_few.h"
#include "kernel_dot_many.h"

/* Does a step of this type take DOT_VECTORS parts straight from the registers that they are unpacked to? Then unpacking again for every
 * DOT_FEW_TOKENS tokens is cheaper than going through memory. Where a vector is part of a panel, there are too few registers for that. */
DOT_INLINE bool dot_is_always_few(struct dot_type type)
{
    return DOT_PARTS == 1 && DOT_VECTORS > 1 && !dot_is_k(type);
}

DOT_INLINE bool dot_is_few(struct dot_type type, size_t token_count)
{
    return token_count > 1 && (token_count <= DOT_FEW || dot_is_always_few(type));
}

DOT_INLINE void dot_quantised(struct dot_type type, const uint8_t *panel, size_t panel_count, size_t columns, const void *x,
                              size_t x_stride, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t panel_bytes = kernel_panel_bytes(type.type, columns);
    const size_t blocks = columns / BLOCK_COLUMNS;

    if (token_count == 1 && dot_reads_in_order()) {
        dot_decode_panels(type, true, panel, panel_bytes, panel_count, blocks, x, out, accumulate);
        return;
    }
    if (token_count == 1) {
        dot_decode_panels(type, false, panel, panel_bytes, panel_count, blocks, x, out, accumulate);
        return;
    }
    if (dot_is_always_few(type))
        return;
    for (; DOT_PANELS > 1 && panel_count >= DOT_PANELS;
         panel_count -= DOT_PANELS, panel += DOT_PANELS * panel_bytes, out += DOT_PANELS * PANEL_ROWS)
        dot_panels(type, panel, panel_bytes, DOT_PANELS, columns, x, x_stride, token_count, out, out_stride, accumulate);
    for (; panel_count > 0; panel_count--, panel += panel_bytes, out += PANEL_ROWS)
        dot_panels(type, panel, panel_bytes, 1, columns, x, x_stride, token_count, out, out_stride, accumulate);
}

/* ---- one function per type ---- */

#include "kernel_dot_float.h"

#define DOT_FUNCTION(name, template, ...)                                                                                        \
    static void name(const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride, size_t token_count, \
                     float *out, size_t out_stride, bool accumulate)                                                             \
    {                                                                                                                            \
        template(__VA_ARGS__, panels, panel_count, columns, x, x_stride, token_count, out, out_stride, accumulate);              \
    }

/* A function of its own for few tokens, so that register allocation of the others ignores it. */
#define DOT_QUANTISED(name, ...)                                                                                                        \
    static kernel_dot_fn name##_few __attribute__((noinline)), name##_other __attribute__((noinline));                                  \
    DOT_FUNCTION(name##_few, dot_few, __VA_ARGS__)                                                                                      \
    DOT_FUNCTION(name##_other, dot_quantised, __VA_ARGS__)                                                                              \
    static void name(const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride, size_t token_count,        \
                     float *out, size_t out_stride, bool accumulate)                                                                    \
    {                                                                                                                                   \
        (dot_is_few(__VA_ARGS__, token_count) ? name##_few : name##_other)(panels, panel_count, columns, x, x_stride, token_count, out, \
                                                                           out_stride, accumulate);                                     \
    }

#define DOT_TYPE(type, low_bits, high_bits, zero, minimum, halves, scales) \
    ((struct dot_type){type, low_bits, high_bits, zero, minimum, halves, scales})

#define DOT_Q8_0 DOT_TYPE(TYPE_Q8_0, 8, 0, 128, false, false, DOT_PER_BLOCK)
#define DOT_Q4_0 DOT_TYPE(TYPE_Q4_0, 4, 0, 8, false, false, DOT_PER_BLOCK)
#define DOT_Q4_1 DOT_TYPE(TYPE_Q4_1, 4, 0, 0, true, false, DOT_PER_BLOCK)
#define DOT_Q5_0 DOT_TYPE(TYPE_Q5_0, 4, 1, 16, false, false, DOT_PER_BLOCK)
#define DOT_Q5_1 DOT_TYPE(TYPE_Q5_1, 4, 1, 0, true, false, DOT_PER_BLOCK)
#define DOT_Q2_K DOT_TYPE(TYPE_Q2_K, 2, 0, 0, true, true, DOT_4BIT_MINIMA)
#define DOT_Q3_K DOT_TYPE(TYPE_Q3_K, 2, 1, 4, false, true, DOT_6BIT)
#define DOT_Q4_K DOT_TYPE(TYPE_Q4_K, 4, 0, 0, true, false, DOT_6BIT_MINIMA)
#define DOT_Q5_K DOT_TYPE(TYPE_Q5_K, 4, 1, 0, true, false, DOT_6BIT_MINIMA)
#define DOT_Q6_K DOT_TYPE(TYPE_Q6_K, 4, 2, 32, false, true, DOT_8BIT)

DOT_FUNCTION(dot_f32, dot_float, TYPE_F32)
DOT_FUNCTION(dot_f16, dot_float, TYPE_F16)
DOT_FUNCTION(dot_bf16, dot_float, TYPE_BF16)
DOT_QUANTISED(dot_q8_0, DOT_Q8_0)
DOT_QUANTISED(dot_q4_0, DOT_Q4_0)
DOT_QUANTISED(dot_q4_1, DOT_Q4_1)
DOT_QUANTISED(dot_q5_0, DOT_Q5_0)
DOT_QUANTISED(dot_q5_1, DOT_Q5_1)
DOT_QUANTISED(dot_q2_k, DOT_Q2_K)
DOT_QUANTISED(dot_q3_k, DOT_Q3_K)
DOT_QUANTISED(dot_q4_k, DOT_Q4_K)
DOT_QUANTISED(dot_q5_k, DOT_Q5_K)
DOT_QUANTISED(dot_q6_k, DOT_Q6_K)

/* Initialiser of struct kernel's dot. */
#define DOT_TABLE                                                                                                               \
    {                                                                                                                           \
        [TYPE_F32] = dot_f32, [TYPE_F16] = dot_f16, [TYPE_BF16] = dot_bf16, [TYPE_Q8_0] = dot_q8_0, [TYPE_Q4_0] = dot_q4_0,     \
        [TYPE_Q4_1] = dot_q4_1, [TYPE_Q5_0] = dot_q5_0, [TYPE_Q5_1] = dot_q5_1, [TYPE_Q2_K] = dot_q2_k, [TYPE_Q3_K] = dot_q3_k, \
        [TYPE_Q4_K] = dot_q4_k, [TYPE_Q5_K] = dot_q5_k, [TYPE_Q6_K] = dot_q6_k,                                                 \
    }

#endif
