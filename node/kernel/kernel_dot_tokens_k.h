/* Dot products of a prompt's tokens from a token panel, for the K types. Part of kernel_dot_tokens.h, which includes this.
 *
 * The passes are those of the other types. Scales are unpacked once for all tokens, to memory that stays in the first-level cache; so are
 * the weights of types with both a scale for each half of a block and high bits. Unpacking these again for every pass takes longer than
 * loading them; for other types it uses execution units that are otherwise idle. */
#ifndef NODE_KERNEL_DOT_TOKENS_K_H
#define NODE_KERNEL_DOT_TOKENS_K_H

_Static_assert(DOT_PARTS == 1, "a vector has all rows of a panel");

/* The panels in hand. Without dot_keeps_weights their block[][].weight is not set. */
struct dot_k_panels {
    const uint8_t *panel;
    size_t panel_bytes;
    struct dot_block block[DOT_PASS_PANELS][SLICE_BLOCKS];
};

DOT_INLINE bool dot_keeps_weights(struct dot_type type)
{
    return type.halves && type.high_bits > 0;
}

DOT_INLINE void dot_unpack_scales(struct dot_type type, const uint8_t *panel, struct dot_block *block)
{
    struct dot_head head;

    dot_load_head(type, panel, panel, &head);
    block->d = head.d;
    if (type.minimum)
        block->m = head.m;
    DOT_UNROLL
    for (size_t b = 0; b < SLICE_BLOCKS; b++)
        dot_load_scales(type, &head, b, &block[b]);
}

/* Group g of block b of panel p. */
DOT_INLINE dot_words dot_k_weight(struct dot_type type, const struct dot_k_panels *w, size_t p, size_t b, size_t g)
{
    const size_t block_bytes = (size_t)(type.low_bits + type.high_bits) * PANEL_VECTOR_BYTES;

    if (dot_keeps_weights(type))
        return w->block[p][b].weight[g];
    return dot_unpack_group(type, w->panel + p * w->panel_bytes + dot_head_bytes(type, SLICE_BLOCKS) + b * block_bytes, (int)g);
}

/* Half h of block b (all of it if the type has no halves) of a group of `tokens` tokens times `panels` panels (constants): its integer sum
 * of products times its scale, set in or added to sum[token * panels + panel]. minus: of its activations' sums. */
DOT_INLINE void dot_group_half(struct dot_type type, const struct dot_k_panels *w, size_t panels, size_t b, size_t h, const uint32_t *x,
                               size_t tokens, const dot_ints *minus, dot_floats *sum)
{
    const size_t groups = type.halves ? TOKEN_WORDS / 2 : TOKEN_WORDS;
    dot_words weight[DOT_PASS_PANELS];
    dot_ints isum[DOT_PASS_SUMS];

    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++)
        isum[i] = minus[i / panels] * type.zero;
    DOT_UNROLL_ALL
    for (size_t g = h * groups; g < (h + 1) * groups; g++) {
        DOT_UNROLL_ALL
        for (size_t p = 0; p < panels; p++)
            weight[p] = dot_k_weight(type, w, p, b, g);
        DOT_UNROLL_ALL
        for (size_t t = 0; t < tokens; t++) {
            const dot_words four = dot_keep(dot_splat_word(x[g * tokens + t]));

            DOT_UNROLL_ALL
            for (size_t p = 0; p < panels; p++)
                isum[t * panels + p] = dot_four(isum[t * panels + p], weight[p], four);
        }
    }
    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++) {
        const dot_floats scale = w->block[i % panels][b].scale[h];

        sum[i] = h == 0 ? dot_from_ints(isum[i]) * scale : dot_fma(dot_from_ints(isum[i]), scale, sum[i]);
    }
}

/* What dot_step does, for block b of a group. half: minus of the first halves' sums, of the block. */
DOT_INLINE void dot_group_step_k(struct dot_type type, const struct dot_k_panels *w, size_t panels, size_t b, const uint32_t *x,
                                 const uint32_t *half, size_t tokens, dot_floats *acc)
{
    dot_ints minus[2][TOKEN_GROUP];
    dot_floats sum[DOT_PASS_SUMS];

    DOT_UNROLL_ALL
    for (size_t t = 0; t < tokens; t++) {
        minus[0][t] = (dot_ints)dot_splat_word(type.halves ? half[t] : x[(TOKEN_WORDS + 1) * tokens + t]);
        if (type.halves)
            minus[1][t] = (dot_ints)dot_splat_word(x[(TOKEN_WORDS + 1) * tokens + t]) - minus[0][t];
    }
    dot_group_half(type, w, panels, b, 0, x, tokens, minus[0], sum);
    if (type.halves)
        dot_group_half(type, w, panels, b, 1, x, tokens, minus[1], sum);
    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++) {
        const struct dot_block *first = w->block[i % panels], *block = first + b;
        const dot_floats d = dot_splat_float(&x[TOKEN_WORDS * tokens + i / panels]);

        acc[i] = dot_fma(sum[i], first->d * d, acc[i]);
        if (type.minimum) {
            dot_floats minima = block->min[0] * dot_from_ints(minus[0][i / panels]);

            if (type.halves)
                minima = dot_fma(block->min[1], dot_from_ints(minus[1][i / panels]), minima);
            acc[i] = dot_fma(minima, first->m * d, acc[i]);
        }
    }
}

/* A group of `tokens` tokens and `panels` panels (both constants). */
DOT_INLINE void dot_group_k(struct dot_type type, const struct dot_k_panels *w, size_t panels, const uint8_t *x, const uint32_t *half,
                            size_t tokens, float *out, size_t out_stride, bool accumulate)
{
    dot_floats acc[DOT_PASS_SUMS] = {{0}};

    for (size_t b = 0; b < SLICE_BLOCKS; b++) {
        const uint8_t *block = x + b * tokens * TOKEN_BLOCK_BYTES;

        dot_fetch(block + tokens * TOKEN_SLICE_BYTES, tokens * TOKEN_BLOCK_BYTES);
        dot_group_step_k(type, w, panels, b, (const void *)block, half + b * tokens, tokens, acc);
    }
    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++)
        dot_put(out + i / panels * out_stride + i % panels * PANEL_ROWS, acc[i], accumulate);
}

/* What dot_groups does. half: the sums behind the groups. */
DOT_INLINE void dot_groups_k(struct dot_type type, const uint8_t *panel, size_t panel_bytes, size_t panels, const uint8_t *x,
                             const uint32_t *half, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t lines = panels * panel_bytes / (token_count / TOKEN_GROUP + 1) / PANEL_VECTOR_BYTES + 1;
    const uint8_t *next = panel + panels * panel_bytes;
    struct dot_k_panels w;
    size_t t = 0;

    w.panel = panel;
    w.panel_bytes = panel_bytes;
    for (size_t p = 0; p < panels; p++) {
        if (dot_keeps_weights(type))
            dot_unpack_panel(type, panel + p * panel_bytes, SLICE_BLOCKS, w.block + p);
        else
            dot_unpack_scales(type, panel + p * panel_bytes, w.block[p]);
    }
    for (; token_count - t >= TOKEN_GROUP; t += TOKEN_GROUP) {
        dot_fetch(next, lines * PANEL_VECTOR_BYTES);
        next += lines * PANEL_VECTOR_BYTES;
        dot_group_k(type, &w, panels, x + t * TOKEN_SLICE_BYTES, half + t * SLICE_BLOCKS, TOKEN_GROUP, out + t * out_stride, out_stride,
                    accumulate);
    }
    if (token_count - t >= 4) {
        dot_group_k(type, &w, panels, x + t * TOKEN_SLICE_BYTES, half + t * SLICE_BLOCKS, 4, out + t * out_stride, out_stride, accumulate);
        t += 4;
    }
    if (token_count - t >= 2) {
        dot_group_k(type, &w, panels, x + t * TOKEN_SLICE_BYTES, half + t * SLICE_BLOCKS, 2, out + t * out_stride, out_stride, accumulate);
        t += 2;
    }
    if (token_count > t)
        dot_group_k(type, &w, panels, x + t * TOKEN_SLICE_BYTES, half + t * SLICE_BLOCKS, 1, out + t * out_stride, out_stride, accumulate);
}

DOT_INLINE void dot_token_panel_k(struct dot_type type, const uint8_t *panel, size_t panel_count, size_t columns, const uint8_t *x,
                                  size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t panel_bytes = kernel_panel_bytes(type.type, columns);
    const uint32_t *half = (const void *)(x + token_count * TOKEN_SLICE_BYTES);

    for (; panel_count >= DOT_PASS_PANELS;
         panel_count -= DOT_PASS_PANELS, panel += DOT_PASS_PANELS * panel_bytes, out += DOT_PASS_PANELS * PANEL_ROWS)
        dot_groups_k(type, panel, panel_bytes, DOT_PASS_PANELS, x, half, token_count, out, out_stride, accumulate);
    if (panel_count > 0)
        dot_groups_k(type, panel, panel_bytes, 1, x, half, token_count, out, out_stride, accumulate);
}

#endif
