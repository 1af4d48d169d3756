/* Dot products with weights of F32, F16 and BF16. Part of kernel_dot.h, which includes this. */
#ifndef NODE_KERNEL_DOT_FLOAT_H
#define NODE_KERNEL_DOT_FLOAT_H

DOT_INLINE dot_floats dot_load_weight(enum tensor_type type, const uint8_t *panel, size_t column, size_t part)
{
    const size_t bytes = type == TYPE_F32 ? 4 : 2;
    const uint8_t *p = panel + (column * PANEL_ROWS + part * DOT_LANES) * bytes;
    dot_shorts shorts;

    if (type == TYPE_F16)
        return dot_load_f16(p);
    if (type == TYPE_F32)
        return (dot_floats)dot_load_words(p);
    memcpy(&shorts, p, sizeof shorts);
    return (dot_floats)(__builtin_convertvector(shorts, dot_words) << 16);
}

/* `panels` by `tokens` (constants) at once: each is a chain of dependent additions, so one alone would stall. Panels read together are
 * separate streams: for 2-byte weights the next panels are prefetched; 4-byte weights need no help. */
DOT_INLINE void dot_float_tile(enum tensor_type type, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t columns,
                               const uint8_t *x, size_t x_stride, size_t tokens, float *out, size_t out_stride, bool accumulate)
{
    dot_floats acc[DOT_TOKENS][DOT_PARTS] = {{{0}}}; /* by panel or token: one of the two is 1 */

    for (size_t c = 0; c < columns; c++) {
        DOT_UNROLL
        for (size_t i = 0; i < panels * tokens; i++) {
            const uint8_t *weights = panel + (panels == 1 ? 0 : i) * panel_bytes;
            const struct act_slice_f32 *slice = (const void *)(x + (panels == 1 ? i : 0) * x_stride);

            if (panels > 1 && type != TYPE_F32 && c % 2 == 0)
                dot_prefetch(weights + c * PANEL_ROWS * 2, 1, panels * panel_bytes);
            for (size_t part = 0; part < DOT_PARTS; part++)
                acc[i][part] = dot_fma(dot_load_weight(type, weights, c, part), dot_splat(slice->v[c]), acc[i][part]);
        }
    }
    DOT_UNROLL
    for (size_t i = 0; i < panels * tokens; i++) {
        for (size_t part = 0; part < DOT_PARTS; part++)
            dot_put(out + (panels == 1 ? i * out_stride : i * PANEL_ROWS) + part * DOT_LANES, acc[i][part], accumulate);
    }
}

DOT_INLINE void dot_float(enum tensor_type type, const uint8_t *panel, size_t panel_count, size_t columns, const uint8_t *x,
                          size_t x_stride, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t bytes = kernel_panel_bytes(type, columns);

    if (token_count == 1) {
        for (; panel_count >= DOT_FLOAT_PANELS;
             panel_count -= DOT_FLOAT_PANELS, panel += DOT_FLOAT_PANELS * bytes, out += DOT_FLOAT_PANELS * PANEL_ROWS)
            dot_float_tile(type, panel, bytes, DOT_FLOAT_PANELS, columns, x, x_stride, 1, out, out_stride, accumulate);
    }
    for (; panel_count > 0; panel_count--, panel += bytes, out += PANEL_ROWS) {
        size_t t = 0;

        for (; token_count - t >= DOT_TOKENS; t += DOT_TOKENS)
            dot_float_tile(type, panel, bytes, 1, columns, x + t * x_stride, x_stride, DOT_TOKENS, out + t * out_stride, out_stride,
                           accumulate);
        for (; t < token_count; t++)
            dot_float_tile(type, panel, bytes, 1, columns, x + t * x_stride, x_stride, 1, out + t * out_stride, out_stride, accumulate);
    }
}

#endif
