/* Dot products with weights of F32, F16 and BF16. Part of kernel_dot.h, which includes this. */
#ifndef NODE_KERNEL_DOT_FLOAT_H
#define NODE_KERNEL_DOT_FLOAT_H

enum {
    DOT_FLOAT_TILE = (int)DOT_FLOAT_TOKENS * (int)DOT_PANELS,
    DOT_FLOAT_SUMS = (int)DOT_FLOAT_TILE > (int)DOT_FLOAT_PANELS ? (int)DOT_FLOAT_TILE : (int)DOT_FLOAT_PANELS
};

DOT_INLINE dot_floats dot_load_weight(enum tensor_type type, const uint8_t *panel, size_t column, size_t part)
{
    const size_t bytes = type == TYPE_F32 ? 4 : 2;
    const uint8_t *p = panel + (column * PANEL_ROWS + part * DOT_LANES) * bytes;

    if (type == TYPE_F16)
        return dot_load_f16(p);
    return type == TYPE_BF16 ? dot_load_bf16(p) : (dot_floats)dot_load_words(p);
}

/* With two bytes a weight, a line of each panel in hand is read for every second column. Fetch as many lines of the panels behind them: in
 * the order of memory, or, where processors follow several streams better, each panel's place in the one that takes its turn. */
DOT_INLINE void dot_float_prefetch(bool in_order, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t column)
{
    const uint8_t *next = panel + panels * panel_bytes;

    DOT_UNROLL
    for (size_t i = 0; i < panels; i++) {
        if (in_order)
            __builtin_prefetch(next + (column / 2 * panels + i) * PANEL_VECTOR_BYTES, 0, 0);
        else
            dot_prefetch(panel + i * panel_bytes + column * PANEL_ROWS * 2, 1, panels * panel_bytes);
    }
}

/* `panels` by `tokens` at once: each is a chain of dependent additions, so one alone would stall. in_order: how to prefetch for one token;
 * 4-byte weights need no help. Constants. */
DOT_INLINE void dot_float_tile(enum tensor_type type, bool in_order, const uint8_t *panel, size_t panel_bytes, size_t panels,
                               size_t columns, const uint8_t *x, size_t x_stride, size_t tokens, float *out, size_t out_stride,
                               bool accumulate)
{
    dot_floats acc[DOT_FLOAT_SUMS][DOT_PARTS] = {{{0}}}; /* (tokens, panels) */

    for (size_t c = 0; c < columns; c++) {
        if (tokens == 1 && panels > 1 && type != TYPE_F32 && c % 2 == 0)
            dot_float_prefetch(in_order, panel, panel_bytes, panels, c);
        DOT_UNROLL_ALL
        for (size_t i = 0; i < panels * tokens; i++) {
            const uint8_t *weights = panel + i % panels * panel_bytes;
            const struct act_slice_f32 *slice = (const void *)(x + i / panels * x_stride);

            for (size_t part = 0; part < DOT_PARTS; part++)
                acc[i][part] = dot_fma(dot_load_weight(type, weights, c, part), dot_splat(slice->v[c]), acc[i][part]);
        }
    }
    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++) {
        for (size_t part = 0; part < DOT_PARTS; part++)
            dot_put(out + i / panels * out_stride + i % panels * PANEL_ROWS + part * DOT_LANES, acc[i][part], accumulate);
    }
}

/* One token, several panels at once; what is left of these is not done. In the order of memory two panels suffice. Returns how many panels
 * are done. */
DOT_INLINE size_t dot_float_decode(enum tensor_type type, bool in_order, const uint8_t *panel, size_t panel_bytes, size_t panel_count,
                                   size_t columns, const uint8_t *x, float *out, bool accumulate)
{
    const size_t panels = in_order && type != TYPE_F32 ? 2 : DOT_FLOAT_PANELS;
    size_t done = 0;

    for (; panel_count - done >= panels; done += panels)
        dot_float_tile(type, in_order, panel + done * panel_bytes, panel_bytes, panels, columns, x, 0, 1, out + done * PANEL_ROWS, 0,
                       accumulate);
    return done;
}

/* `panels` (a constant) panels, any number of tokens. */
DOT_INLINE void dot_float_panels(enum tensor_type type, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t columns,
                                 const uint8_t *x, size_t x_stride, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    size_t t = 0;

    for (; token_count - t >= DOT_FLOAT_TOKENS; t += DOT_FLOAT_TOKENS)
        dot_float_tile(type, false, panel, panel_bytes, panels, columns, x + t * x_stride, x_stride, DOT_FLOAT_TOKENS, out + t * out_stride,
                       out_stride, accumulate);
    for (; t < token_count; t++)
        dot_float_tile(type, false, panel, panel_bytes, panels, columns, x + t * x_stride, x_stride, 1, out + t * out_stride, out_stride,
                       accumulate);
}

DOT_INLINE void dot_float(enum tensor_type type, const uint8_t *panel, size_t panel_count, size_t columns, const uint8_t *x,
                          size_t x_stride, size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t bytes = kernel_panel_bytes(type, columns);
    size_t done = 0;

    if (token_count == 1 && dot_reads_in_order())
        done = dot_float_decode(type, true, panel, bytes, panel_count, columns, x, out, accumulate);
    else if (token_count == 1)
        done = dot_float_decode(type, false, panel, bytes, panel_count, columns, x, out, accumulate);
    for (; DOT_PANELS > 1 && token_count > 1 && panel_count - done >= DOT_PANELS; done += DOT_PANELS)
        dot_float_panels(type, panel + done * bytes, bytes, DOT_PANELS, columns, x, x_stride, token_count, out + done * PANEL_ROWS,
                         out_stride, accumulate);
    for (; done < panel_count; done++)
        dot_float_panels(type, panel + done * bytes, bytes, 1, columns, x, x_stride, token_count, out + done * PANEL_ROWS, out_stride,
                         accumulate);
}

#endif
