/* Dot products of one token. Part of kernel_dot.h, which includes this. */
#ifndef NODE_KERNEL_DOT_DECODE_H
#define NODE_KERNEL_DOT_DECODE_H

/* Block b of `parts` parts, from `part` on, of `panels` panels (both constants) for one token. The distance was measured on Zen 5: 4 KiB is
 * too late for types that compute more, 12 KiB costs 3 to 5 per cent. */
DOT_INLINE void dot_decode_block(struct dot_type type, bool in_order, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t part,
                                 size_t parts, const struct dot_head *head, size_t blocks, size_t b, const uint8_t *x, dot_floats *acc)
{
    enum { AHEAD_BYTES = 7 << 10 };
    const size_t block_bytes = (size_t)(type.low_bits + type.high_bits) * PANEL_VECTOR_BYTES;
    struct dot_block w[DOT_DECODE_TOGETHER ? (DOT_DECODE_PARTS - 1) * SLICE_BLOCKS + 1 : 1];

    DOT_UNROLL
    for (size_t i = 0; i < panels * parts; i++) {
        const uint8_t *at = panel + i / parts * panel_bytes;
        const size_t p = part + i % parts;
        struct dot_block *one = DOT_DECODE_TOGETHER ? &w[i % parts * SLICE_BLOCKS] : w;

        if (p == 0 && in_order)
            dot_prefetch_step(at, panel_bytes, blocks, b, AHEAD_BYTES);
        else if (p == 0)
            dot_prefetch(at + dot_head_bytes(type, blocks) + b * block_bytes, block_bytes, PANEL_PREFETCH_BYTES);
        dot_load_block(type, at, p, &head[i], blocks, b, one);
        if (in_order && !dot_is_k(type)) {
            one->d = head[i].block_d[b];
            if (type.minimum)
                one->m = head[i].block_m[b];
        }
        if (!DOT_DECODE_TOGETHER)
            dot_step(type, w, 1, x, 0, 1, b, &acc[i]);
        else if ((i + 1) % parts == 0)
            dot_step(type, w, parts, x, 0, 1, b, &acc[i + 1 - parts]);
    }
}

/* In order, the scales of all blocks are loaded, as they stand, before the first block: going back to them for each block costs 2 per cent
 * of a token of Q4_0 and Q8_0. */
DOT_INLINE void dot_decode_head(struct dot_type type, bool in_order, const uint8_t *panel, size_t part, size_t blocks,
                                struct dot_head *head)
{
    const uint8_t *halves = panel + part * DOT_PART_BYTES / 2;

    dot_load_head(type, panel + part * DOT_PART_BYTES, halves, head);
    if (part == 0 && !in_order)
        dot_prefetch(panel, dot_head_bytes(type, blocks), PANEL_PREFETCH_BYTES);
    for (size_t b = 0; in_order && !dot_is_k(type) && b < blocks; b++, halves += PANEL_HALF_ROWS_BYTES) {
        head->block_d[b] = dot_load_f16(halves);
        if (type.minimum)
            head->block_m[b] = dot_load_f16(halves + blocks * PANEL_HALF_ROWS_BYTES);
    }
}

/* How many parts of a panel are read together. In order, all of a line has to be read at once: read in two turns, as half lines, memory has
 * nothing to do in the second one, and Zen 5 reads Q8_0 at 0.62 instead of 0.98 of its speed. Where K types are unrolled, two parts of them
 * are more than the registers hold, and elsewhere four parts of those with two sums a block. */
DOT_INLINE size_t dot_decode_parts(struct dot_type type, bool in_order)
{
    if (in_order || !dot_is_k(type))
        return DOT_DECODE_PARTS;
    if (DOT_DECODE_UNROLLS_K)
        return 1;
    return type.halves ? DOT_DECODE_PARTS / 2 : DOT_DECODE_PARTS;
}

/* One token, `part` and the parts read together with it, of `panels` panels; in_order: how to prefetch (constants). Blocks of K types are
 * unrolled, as their scales stand at constant places; but not when reading in order, where a loop gains more by avoiding bursts of
 * prefetches (Zen 5: a token of Q4_K takes 0.92 of the time, one of Q6_K 0.93, and one of Q4_0 would take 1.10 unrolled). */
DOT_INLINE void dot_decode(struct dot_type type, bool in_order, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t part,
                           size_t blocks, const uint8_t *x, float *out, bool accumulate)
{
    const size_t parts = dot_decode_parts(type, in_order);
    dot_floats acc[DOT_DECODE_PANELS * DOT_DECODE_PARTS] = {{0}};
    struct dot_head head[DOT_DECODE_PANELS * DOT_DECODE_PARTS];

    for (size_t i = 0; i < panels * parts; i++)
        dot_decode_head(type, in_order, panel + i / parts * panel_bytes, part + i % parts, blocks, &head[i]);
    if (dot_is_k(type) && !in_order && DOT_DECODE_UNROLLS_K) {
        DOT_UNROLL
        for (size_t b = 0; b < SLICE_BLOCKS; b++)
            dot_decode_block(type, in_order, panel, panel_bytes, panels, part, parts, head, SLICE_BLOCKS, b, x, acc);
    } else {
        for (size_t b = 0; b < blocks; b++)
            dot_decode_block(type, in_order, panel, panel_bytes, panels, part, parts, head, blocks, b, x, acc);
    }
    for (size_t i = 0; i < panels * parts; i++)
        dot_put(out + i / parts * PANEL_ROWS + (part + i % parts) * DOT_LANES, acc[i], accumulate);
}

/* One token, any number of panels: DOT_DECODE_PANELS at once, or, in the order of memory, one after the other. */
DOT_INLINE void dot_decode_panels(struct dot_type type, bool in_order, const uint8_t *panel, size_t panel_bytes, size_t panel_count,
                                  size_t blocks, const uint8_t *x, float *out, bool accumulate)
{
    const size_t together = in_order ? 1 : DOT_DECODE_PANELS, parts = dot_decode_parts(type, in_order);

    for (; together > 1 && panel_count >= together;
         panel_count -= together, panel += together * panel_bytes, out += together * PANEL_ROWS) {
        for (size_t part = 0; part < DOT_PARTS; part += parts)
            dot_decode(type, in_order, panel, panel_bytes, together, part, blocks, x, out, accumulate);
    }
    for (; panel_count > 0; panel_count--, panel += panel_bytes, out += PANEL_ROWS) {
        for (size_t part = 0; part < DOT_PARTS; part += parts)
            dot_decode(type, in_order, panel, panel_bytes, 1, part, blocks, x, out, accumulate);
    }
}

#endif
