/* Dot products of a few tokens, so few that they have an accumulator each: several requests that generate together. Part of kernel_dot.h,
 * which includes this.
 *
 * Weights go from the panel into registers and are used at once by all tokens, at nearly the speed of memory; unpacking the panel to memory
 * first, as for prompts, would take longer than the products. Only the integer scales of the K types take that way, as there are few. */
#ifndef NODE_KERNEL_DOT_FEW_H
#define NODE_KERNEL_DOT_FEW_H

/* What dot_load_block gives, with the block's scales taken from `scales`. */
DOT_INLINE void dot_load_few(struct dot_type type, const uint8_t *panel, size_t part, const struct dot_head *head, size_t blocks, size_t b,
                             const struct dot_block *scales, struct dot_block *out)
{
    const size_t block_bytes = (size_t)(type.low_bits + type.high_bits) * PANEL_VECTOR_BYTES;

    if (!dot_is_k(type)) {
        dot_load_block(type, panel, part, head, blocks, b, out);
        return;
    }
    dot_unpack(type, panel + dot_head_bytes(type, blocks) + b * block_bytes + part * DOT_PART_BYTES, out);
    out->d = head->d;
    if (type.minimum)
        out->m = head->m;
    for (size_t h = 0; h < (type.halves ? 2 : 1); h++) {
        out->scale[h] = scales[b].scale[h];
        if (type.minimum)
            out->min[h] = scales[b].min[h];
    }
}

/* `tokens` (a constant) tokens; each part prefetches its share of a later panel. */
DOT_INLINE void dot_few_part(struct dot_type type, const uint8_t *panel, size_t panel_bytes, size_t part, size_t blocks, const uint8_t *x,
                             size_t x_stride, size_t tokens, float *out, size_t out_stride, bool accumulate)
{
    const size_t share = panel_bytes / (blocks * DOT_PARTS);
    dot_floats acc[DOT_TOKENS] = {{0}};
    struct dot_block scales[SLICE_BLOCKS];
    struct dot_head head;

    dot_load_head(type, panel + part * DOT_PART_BYTES, panel + part * DOT_PART_BYTES / 2, &head);
    if (dot_is_k(type)) {
        DOT_UNROLL
        for (size_t b = 0; b < SLICE_BLOCKS; b++)
            dot_load_scales(type, &head, b, &scales[b]);
    }
    for (size_t b = 0; b < blocks; b++) {
        struct dot_block w;

        dot_prefetch(panel + (part * blocks + b) * share, share, PANEL_PREFETCH_BYTES);
        dot_load_few(type, panel, part, &head, blocks, b, scales, &w);
        dot_step(type, &w, 1, x, x_stride, tokens, b, acc);
    }
    DOT_UNROLL
    for (size_t t = 0; t < tokens; t++)
        dot_put(out + t * out_stride + part * DOT_LANES, acc[t], accumulate);
}

DOT_INLINE void dot_few_tokens(struct dot_type type, const uint8_t *panel, size_t panel_bytes, size_t blocks, const uint8_t *x,
                               size_t x_stride, size_t tokens, float *out, size_t out_stride, bool accumulate)
{
    for (size_t part = 0; part < DOT_PARTS; part++)
        dot_few_part(type, panel, panel_bytes, part, blocks, x, x_stride, tokens, out, out_stride, accumulate);
}

/* At most DOT_FEW, which is below twice DOT_TOKENS. */
DOT_INLINE void dot_few_panel(struct dot_type type, const uint8_t *panel, size_t panel_bytes, size_t blocks, const uint8_t *x,
                              size_t x_stride, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    size_t t = 0;

    if (token_count >= DOT_TOKENS) {
        dot_few_tokens(type, panel, panel_bytes, blocks, x, x_stride, DOT_TOKENS, out, out_stride, accumulate);
        t = DOT_TOKENS;
    }
    if (DOT_TOKENS > 4 && token_count - t >= 4) {
        dot_few_tokens(type, panel, panel_bytes, blocks, x + t * x_stride, x_stride, 4, out + t * out_stride, out_stride, accumulate);
        t += 4;
    }
    if (token_count - t >= 2) {
        dot_few_tokens(type, panel, panel_bytes, blocks, x + t * x_stride, x_stride, 2, out + t * out_stride, out_stride, accumulate);
        t += 2;
    }
    if (token_count > t)
        dot_few_tokens(type, panel, panel_bytes, blocks, x + t * x_stride, x_stride, 1, out + t * out_stride, out_stride, accumulate);
}

DOT_INLINE void dot_few(struct dot_type type, const uint8_t *panel, size_t panel_count, size_t columns, const void *x, size_t x_stride,
                        size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t panel_bytes = kernel_panel_bytes(type.type, columns);

    for (; panel_count > 0; panel_count--, panel += panel_bytes, out += PANEL_ROWS)
        dot_few_panel(type, panel, panel_bytes, columns / BLOCK_COLUMNS, x, x_stride, token_count, out, out_stride, accumulate);
}

#endif
