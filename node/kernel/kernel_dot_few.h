/* Dot products of a few tokens, several requests that generate together, and of many where that is faster. Part of kernel_dot.h, which
 * includes this.
 *
 * A pass takes DOT_FEW_TOKENS tokens, which have an accumulator for each of DOT_PANELS panels: weights are unpacked into registers and used
 * at once, while a loaded activation serves all panels. Unpacking to memory first would take longer than the products of few tokens. Only
 * the integer scales of the K types go through memory, as they are few. */
#ifndef NODE_KERNEL_DOT_FEW_H
#define NODE_KERNEL_DOT_FEW_H

enum {
    DOT_FEW_TOKENS = DOT_TOKENS / DOT_VECTORS,     /* of a pass */
    FEW_PREFETCH_BYTES = 2 * PANEL_PREFETCH_BYTES, /* as two panels are read at once */
    FEW_PREFETCH_PAST_BYTES = 10 << 10             /* past the second level: dot_prefetch_step */
};
_Static_assert(DOT_FEW_TOKENS == 4, "what is left of four is taken by two and one");

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

/* What is the same for all passes over the tokens. The passes share the prefetching, of as many bytes as the panels in hand have. */
struct dot_few_job {
    size_t panel_bytes, blocks;
    size_t x_stride, out_stride;
    size_t passes, share; /* bytes to prefetch with each block of such parts */
    bool reads_in_order;  /* dot_reads_in_order */
    bool is_in_order;     /* dot_few_in_order */
    bool in_fours;        /* passes of DOT_FEW_TOKENS, and what is left */
    bool accumulate;
};

/* DOT_PARTS_AT_ONCE parts, from `part` on, of `panels` panels, `tokens` tokens (both constants); ahead: these parts' share of what is
 * prefetched, less the distance. */
DOT_INLINE void dot_few_parts(struct dot_type type, const struct dot_few_job *job, const uint8_t *panel, size_t panels, size_t part,
                              const uint8_t *x, size_t tokens, const uint8_t *ahead, float *out)
{
    const size_t vectors = panels * DOT_PARTS_AT_ONCE;
    dot_floats acc[DOT_TOKENS] = {{0}};
    struct dot_block scales[DOT_VECTORS][SLICE_BLOCKS];
    struct dot_head head[DOT_VECTORS];

    DOT_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        const uint8_t *at = panel + v / DOT_PARTS_AT_ONCE * job->panel_bytes;
        const size_t p = part + v % DOT_PARTS_AT_ONCE;

        dot_load_head(type, at + p * DOT_PART_BYTES, at + p * DOT_PART_BYTES / 2, &head[v]);
        if (!dot_is_k(type))
            continue;
        DOT_UNROLL
        for (size_t b = 0; b < SLICE_BLOCKS; b++)
            dot_load_scales(type, &head[v], b, &scales[v][b]);
    }
    for (size_t b = 0; b < job->blocks; b++) {
        struct dot_block w[(DOT_VECTORS - 1) * SLICE_BLOCKS + 1];

        if (job->reads_in_order && (job->is_in_order || job->passes == 1))
            dot_prefetch_step(ahead, job->blocks * job->share, job->blocks, b, FEW_PREFETCH_PAST_BYTES);
        else if (job->reads_in_order)
            dot_prefetch_once(ahead + b * job->share, job->share, FEW_PREFETCH_BYTES);
        else
            dot_prefetch(ahead + b * job->share, job->share, PANEL_PREFETCH_BYTES);
        DOT_UNROLL
        for (size_t v = 0; v < vectors; v++)
            dot_load_few(type, panel + v / DOT_PARTS_AT_ONCE * job->panel_bytes, part + v % DOT_PARTS_AT_ONCE, &head[v], job->blocks, b,
                         scales[v], &w[v * SLICE_BLOCKS]);
        dot_step(type, w, vectors, x, job->x_stride, tokens, b, acc);
    }
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        const size_t v = i % vectors;

        dot_put(out + i / vectors * job->out_stride + v / DOT_PARTS_AT_ONCE * PANEL_ROWS + (part + v % DOT_PARTS_AT_ONCE) * DOT_LANES,
                acc[i], job->accumulate);
    }
}

/* A pass. Returns where the next pass goes on prefetching. */
DOT_INLINE const uint8_t *dot_few_pass(struct dot_type type, const struct dot_few_job *job, const uint8_t *panel, size_t panels,
                                       const uint8_t *x, size_t tokens, const uint8_t *ahead, float *out)
{
    for (size_t part = 0; part < DOT_PARTS; part += DOT_PARTS_AT_ONCE, ahead += job->blocks * job->share)
        dot_few_parts(type, job, panel, panels, part, x, tokens, ahead, out);
    return ahead;
}

/* The first pass over four tokens, which reads the panels first, is code of its own: processors learn from each instruction's addresses
 * what to prefetch, and passes that go back to the same panels would mislead them. */
DOT_INLINE void dot_few_panels(struct dot_type type, const struct dot_few_job *job, const uint8_t *panel, size_t panels, const uint8_t *x,
                               size_t token_count, float *out)
{
    const uint8_t *ahead = panel;
    size_t t = 0;

    if (token_count == 3 && job->passes == 1) {
        dot_few_pass(type, job, panel, panels, x, 3, ahead, out);
        return;
    }
    if (job->in_fours) {
        ahead = dot_few_pass(type, job, panel, panels, x, DOT_FEW_TOKENS, ahead, out);
        t = DOT_FEW_TOKENS;
        for (; token_count - t >= DOT_FEW_TOKENS; t += DOT_FEW_TOKENS)
            ahead = dot_few_pass(type, job, panel, panels, x + t * job->x_stride, DOT_FEW_TOKENS, ahead, out + t * job->out_stride);
    }
    for (; token_count - t >= 2; t += 2)
        ahead = dot_few_pass(type, job, panel, panels, x + t * job->x_stride, 2, ahead, out + t * job->out_stride);
    if (token_count > t)
        dot_few_pass(type, job, panel, panels, x + t * job->x_stride, 1, ahead, out + t * job->out_stride);
}

/* Where reading in order is faster, tokens so few that the processor waits for memory take panels one by one, as they stand: two at once
 * share activations, but are two streams. Measured on Zen 5, whole steps: two to six tokens of Q8_0 take 0.87 to 0.93 of the time; two of
 * types with four low bits 0.85 to 0.93, three of them 1.0 to 1.2; two of Q2_K and Q3_K 1.08. */
DOT_INLINE bool dot_few_in_order(struct dot_type type, size_t token_count)
{
    return dot_reads_in_order() && token_count <= (type.low_bits == 8 ? 6 : type.low_bits == 4 ? 2 : 1);
}

/* How tokens are divided into passes. In order no pass has to be large, and smaller ones wait for memory less often. */
DOT_INLINE void dot_few_cut(struct dot_few_job *job, size_t token_count)
{
    job->in_fours = token_count > DOT_FEW_TOKENS || (token_count == DOT_FEW_TOKENS && !job->is_in_order);
    if (job->in_fours)
        job->passes = token_count / DOT_FEW_TOKENS + (token_count % DOT_FEW_TOKENS + 1) / 2;
    else
        job->passes = job->is_in_order ? (token_count + 1) / 2 : 1;
}

DOT_INLINE void dot_few(struct dot_type type, const uint8_t *panel, size_t panel_count, size_t columns, const void *x, size_t x_stride,
                        size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    struct dot_few_job job = {
        .panel_bytes = kernel_panel_bytes(type.type, columns),
        .blocks = columns / BLOCK_COLUMNS,
        .x_stride = x_stride,
        .out_stride = out_stride,
        .reads_in_order = dot_reads_in_order(),
        .is_in_order = dot_few_in_order(type, token_count),
        .accumulate = accumulate,
    };

    dot_few_cut(&job, token_count);
    job.share = DOT_PANELS * job.panel_bytes / (job.passes * (DOT_PARTS / DOT_PARTS_AT_ONCE) * job.blocks);
    for (; !job.is_in_order && panel_count >= DOT_PANELS;
         panel_count -= DOT_PANELS, panel += DOT_PANELS * job.panel_bytes, out += DOT_PANELS * PANEL_ROWS)
        dot_few_panels(type, &job, panel, DOT_PANELS, x, token_count, out);
    job.share = job.panel_bytes / (job.passes * (DOT_PARTS / DOT_PARTS_AT_ONCE) * job.blocks);
    for (; (DOT_PANELS > 1 || job.is_in_order) && panel_count > 0; panel_count--, panel += job.panel_bytes, out += PANEL_ROWS)
        dot_few_panels(type, &job, panel, 1, x, token_count, out);
}

#endif
