/* Dot products of many tokens, prompts, with panels that are unpacked to memory first. Part of kernel_dot.h, which includes this. */
#ifndef NODE_KERNEL_DOT_MANY_H
#define NODE_KERNEL_DOT_MANY_H

/* All parts of a panel into wide[part]. */
DOT_INLINE void dot_unpack_panel(struct dot_type type, const uint8_t *panel, size_t blocks, struct dot_block wide[][SLICE_BLOCKS])
{
    struct dot_head head;

    for (size_t part = 0; part < DOT_PARTS; part++) {
        dot_load_head(type, panel + part * DOT_PART_BYTES, panel + part * DOT_PART_BYTES / 2, &head);
        if (dot_is_k(type)) {
            DOT_UNROLL
            for (size_t b = 0; b < SLICE_BLOCKS; b++)
                dot_load_block(type, panel, part, &head, SLICE_BLOCKS, b, &wide[part][b]);
        } else {
            for (size_t b = 0; b < blocks; b++)
                dot_load_block(type, panel, part, &head, blocks, b, &wide[part][b]);
        }
    }
}

/* `tokens` tokens with the unpacked parts of `panels` panels, `vectors` parts at once (constants). An activation that is loaded serves
 * `vectors` instructions, so loads do not limit the products. */
DOT_INLINE void dot_tokens(struct dot_type type, struct dot_block wide[][SLICE_BLOCKS], size_t panels, size_t vectors, size_t blocks,
                           const uint8_t *x, size_t x_stride, size_t tokens, float *out, size_t out_stride, bool accumulate)
{
    for (size_t part = 0; part < panels * DOT_PARTS; part += vectors) {
        dot_floats acc[DOT_TOKENS] = {{0}};

        for (size_t b = 0; b < blocks; b++)
            dot_step(type, &wide[part][b], vectors, x, x_stride, tokens, b, acc);
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++)
            dot_put(out + i / vectors * out_stride + (part + i % vectors) * DOT_LANES, acc[i], accumulate);
    }
}

/* A share of the next panels, so that they are cached when their turn comes. */
DOT_INLINE void dot_prefetch_share(const uint8_t *panel, size_t bytes, size_t token, size_t tokens, size_t token_count)
{
    size_t end = bytes * (token + tokens) / token_count;

    for (size_t at = bytes * token / token_count; at < end; at += PANEL_VECTOR_BYTES)
        __builtin_prefetch(panel + at, 0, 2);
}

/* `panels` (a constant) panels and any number of tokens. */
DOT_INLINE void dot_panels(struct dot_type type, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t columns, const uint8_t *x,
                           size_t x_stride, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t blocks = columns / BLOCK_COLUMNS, vectors = panels == DOT_PANELS ? DOT_VECTORS : 1;
    const size_t most = DOT_TOKENS / vectors, half = most / 2;
    struct dot_block wide[DOT_PANELS * DOT_PARTS][SLICE_BLOCKS];
    size_t t = 0;

    for (size_t i = 0; i < panels; i++)
        dot_unpack_panel(type, panel + i * panel_bytes, blocks, wide + i * DOT_PARTS);
    for (; token_count - t >= most; t += most) {
        dot_prefetch_share(panel + panels * panel_bytes, panels * panel_bytes, t, most, token_count);
        dot_tokens(type, wide, panels, vectors, blocks, x + t * x_stride, x_stride, most, out + t * out_stride, out_stride, accumulate);
    }
    for (; token_count - t >= half; t += half)
        dot_tokens(type, wide, panels, vectors, blocks, x + t * x_stride, x_stride, half, out + t * out_stride, out_stride, accumulate);
    for (; t < token_count; t++)
        dot_tokens(type, wide, panels, vectors, blocks, x + t * x_stride, x_stride, 1, out + t * out_stride, out_stride, accumulate);
}

#endif
