/* Dot products of a prompt's tokens from a token panel (token_panel.h). Included after kernel_dot.h, on instruction sets with enough
 * registers.
 *
 * A pass is two panels of weights by five tokens: ten sums, each a chain of eight instructions per block, so that two can issue in every
 * cycle although each takes four. Weights are unpacked again for every pass, since unpacking uses execution units that do not multiply. The
 * K types use kernel_dot_tokens_k.h. */
#ifndef NODE_KERNEL_DOT_TOKENS_H
#define NODE_KERNEL_DOT_TOKENS_H

#include "token_panel.h"

enum { DOT_PASS_PANELS = 2, DOT_PASS_SUMS = DOT_PASS_PANELS * TOKEN_GROUP };

/* Block b of a group of `tokens` tokens times `panels` blocks of weights (both constants); isum[token * panels + panel]. */
DOT_INLINE void dot_group_isums(struct dot_type type, const uint8_t *const *block, size_t panels, const uint32_t *x, size_t tokens,
                                dot_ints *isum)
{
    dot_words weight[DOT_PASS_PANELS];

    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++)
        isum[i] = (dot_ints)dot_splat_word(type.zero == 0 ? 0 : x[(TOKEN_WORDS + 1) * tokens + i / panels]) * type.zero;
    DOT_UNROLL_ALL
    for (int g = 0; g < TOKEN_WORDS; g++) {
        DOT_UNROLL_ALL
        for (size_t p = 0; p < panels; p++)
            weight[p] = dot_unpack_group(type, block[p], g);
        DOT_UNROLL_ALL
        for (size_t t = 0; t < tokens; t++) {
            const dot_words four = dot_keep(dot_splat_word(x[(size_t)g * tokens + t]));

            DOT_UNROLL_ALL
            for (size_t p = 0; p < panels; p++)
                isum[t * panels + p] = dot_four(isum[t * panels + p], weight[p], four);
        }
    }
}

DOT_INLINE dot_floats dot_splat_float(const uint32_t *x)
{
    return (dot_floats)dot_splat_word(*x);
}

/* What dot_step does, for block b of a group. */
DOT_INLINE void dot_group_step(struct dot_type type, const uint8_t *const *panel, size_t panels, size_t blocks, size_t b, const uint32_t *x,
                               size_t tokens, dot_floats *acc)
{
    const size_t block_bytes = (size_t)(type.low_bits + type.high_bits) * PANEL_VECTOR_BYTES;
    const uint8_t *block[DOT_PASS_PANELS];
    dot_floats d[DOT_PASS_PANELS], m[DOT_PASS_PANELS];
    dot_ints isum[DOT_PASS_SUMS];

    DOT_UNROLL_ALL
    for (size_t p = 0; p < panels; p++) {
        block[p] = panel[p] + dot_head_bytes(type, blocks) + b * block_bytes;
        d[p] = dot_load_f16(panel[p] + b * PANEL_HALF_ROWS_BYTES);
        if (type.minimum)
            m[p] = dot_load_f16(panel[p] + (blocks + b) * PANEL_HALF_ROWS_BYTES);
    }
    dot_group_isums(type, block, panels, x, tokens, isum);
    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++) {
        const dot_floats scale = dot_splat_float(&x[TOKEN_WORDS * tokens + i / panels]);

        acc[i] = dot_fma(dot_from_ints(isum[i]), d[i % panels] * scale, acc[i]);
        if (type.minimum)
            acc[i] = dot_fma(dot_sum(-(int32_t)x[(TOKEN_WORDS + 1) * tokens + i / panels]), m[i % panels] * scale, acc[i]);
    }
}

DOT_INLINE void dot_fetch(const uint8_t *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PANEL_VECTOR_BYTES)
        __builtin_prefetch(from + at, 0, 3);
}

/* A group of `tokens` tokens and `panels` panels (both constants). */
DOT_INLINE void dot_group(struct dot_type type, const uint8_t *panels_from, size_t panel_bytes, size_t panels, size_t blocks,
                          const uint8_t *x, size_t tokens, float *out, size_t out_stride, bool accumulate)
{
    dot_floats acc[DOT_PASS_SUMS] = {{0}};
    const uint8_t *panel[DOT_PASS_PANELS];

    DOT_UNROLL_ALL
    for (size_t p = 0; p < panels; p++)
        panel[p] = panels_from + p * panel_bytes;
    for (size_t b = 0; b < blocks; b++) {
        dot_fetch(x + (tokens * TOKEN_SLICE_BYTES) + b * tokens * TOKEN_BLOCK_BYTES, tokens * TOKEN_BLOCK_BYTES);
        dot_group_step(type, panel, panels, blocks, b, (const void *)(x + b * tokens * TOKEN_BLOCK_BYTES), tokens, acc);
    }
    DOT_UNROLL_ALL
    for (size_t i = 0; i < panels * tokens; i++)
        dot_put(out + i / panels * out_stride + i % panels * PANEL_ROWS, acc[i], accumulate);
}

/* `panels` (a constant) panels and all groups. Each group prefetches a share of the next panels. */
DOT_INLINE void dot_groups(struct dot_type type, const uint8_t *panel, size_t panel_bytes, size_t panels, size_t blocks, const uint8_t *x,
                           size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t lines = panels * panel_bytes / (token_count / TOKEN_GROUP + 1) / PANEL_VECTOR_BYTES + 1;
    const uint8_t *next = panel + panels * panel_bytes;
    size_t t = 0;

    for (; token_count - t >= TOKEN_GROUP; t += TOKEN_GROUP, x += TOKEN_GROUP * TOKEN_SLICE_BYTES, out += TOKEN_GROUP * out_stride) {
        dot_fetch(next, lines * PANEL_VECTOR_BYTES);
        next += lines * PANEL_VECTOR_BYTES;
        dot_group(type, panel, panel_bytes, panels, blocks, x, TOKEN_GROUP, out, out_stride, accumulate);
    }
    if (token_count - t >= 4) {
        dot_group(type, panel, panel_bytes, panels, blocks, x, 4, out, out_stride, accumulate);
        t += 4, x += 4 * TOKEN_SLICE_BYTES, out += 4 * out_stride;
    }
    if (token_count - t >= 2) {
        dot_group(type, panel, panel_bytes, panels, blocks, x, 2, out, out_stride, accumulate);
        t += 2, x += 2 * TOKEN_SLICE_BYTES, out += 2 * out_stride;
    }
    if (token_count > t)
        dot_group(type, panel, panel_bytes, panels, blocks, x, 1, out, out_stride, accumulate);
}

DOT_INLINE void dot_token_panel(struct dot_type type, const uint8_t *panel, size_t panel_count, size_t columns, const uint8_t *x,
                                size_t token_count, float *out, size_t out_stride, bool accumulate)
{
    const size_t panel_bytes = kernel_panel_bytes(type.type, columns), blocks = columns / BLOCK_COLUMNS;

    for (; panel_count >= DOT_PASS_PANELS;
         panel_count -= DOT_PASS_PANELS, panel += DOT_PASS_PANELS * panel_bytes, out += DOT_PASS_PANELS * PANEL_ROWS)
        dot_groups(type, panel, panel_bytes, DOT_PASS_PANELS, blocks, x, token_count, out, out_stride, accumulate);
    if (panel_count > 0)
        dot_groups(type, panel, panel_bytes, 1, blocks, x, token_count, out, out_stride, accumulate);
}

#include "kernel_dot_tokens_k.h"

/* ---- filling a panel ---- */

/* A block of token i of a group of n; half: minus of the first halves, or NULL. -128 is read as in kernel_unpack.c. */
DOT_INLINE void dot_put_block(const uint8_t *wire, uint32_t *to, int32_t *half, size_t n, size_t i)
{
    int32_t minus = 0;

    for (size_t g = 0; g < TOKEN_WORDS; g++) {
        int8_t q[4];

        for (size_t k = 0; k < 4; k++) {
            const int8_t value = (int8_t)wire[4 + 4 * g + k];

            q[k] = value == -128 ? -127 : value;
            minus -= q[k];
        }
        memcpy(&to[g * n + i], q, sizeof q);
        if (half != NULL && g == TOKEN_WORDS / 2 - 1)
            half[i] = minus;
    }
    memcpy(&to[TOKEN_WORDS * n + i], wire, sizeof *to);
    memcpy(&to[(TOKEN_WORDS + 1) * n + i], &minus, sizeof minus);
}

/* Block b of tokens place.i .. place.i + count - 1 of a group: all of them, or one. */
DOT_INLINE void dot_put_tokens(const struct kernel_tokens_wire *wire, size_t b, uint8_t *panel, size_t tokens, struct token_place place,
                               size_t count)
{
    const uint8_t *from = wire->data + b * wire->block_stride;
    const size_t block = wire->block_first + b;
    uint32_t *to = (void *)(panel + place.first * TOKEN_SLICE_BYTES + block * place.n * TOKEN_BLOCK_BYTES);
    int32_t *half = wire->with_halves ? token_halves(panel, tokens, place, block) : NULL;
    float *sumsq = token_sumsq(panel, place, block);

    if (count == TOKEN_GROUP)
        dot_put_group(from, wire->token_stride, to, half);
    else
        dot_put_block(from, to, half, place.n, place.i);
    for (size_t t = 0; t < count; t++) {
        if (wire->with_sumsq)
            memcpy(&sumsq[t], from + t * wire->token_stride + BLOCK_WIRE_BYTES, sizeof *sumsq);
        else
            sumsq[t] = 0;
    }
}

/* A prompt's panels were last used some gathers ago, and are in no near cache. */
DOT_INLINE void dot_fetch_for_writing(const uint8_t *to, size_t bytes)
{
    for (size_t at = 0; at < bytes + PANEL_VECTOR_BYTES - 1; at += PANEL_VECTOR_BYTES)
        __builtin_prefetch(to + at, 1);
}

static void dot_tokens_put(const struct kernel_tokens_wire *wire, uint8_t *panel, size_t tokens, size_t token, size_t count)
{
    struct kernel_tokens_wire rest = *wire;

    for (size_t t = token, done; t < token + count; t += done, rest.data += done * wire->token_stride) {
        const struct token_place place = token_place(tokens, t);
        const bool is_whole = place.n == TOKEN_GROUP && place.i == 0 && t + TOKEN_GROUP <= token + count;

        done = is_whole ? TOKEN_GROUP : 1;
        if (is_whole && place.first + 2 * TOKEN_GROUP <= tokens)
            dot_fetch_for_writing(panel + (place.first + TOKEN_GROUP) * TOKEN_SLICE_BYTES +
                                      wire->block_first * TOKEN_GROUP * TOKEN_BLOCK_BYTES,
                                  wire->blocks * TOKEN_GROUP * TOKEN_BLOCK_BYTES);
        for (size_t b = 0; b < wire->blocks; b++)
            dot_put_tokens(&rest, b, panel, tokens, place, done);
    }
}

#define DOT_TOKENS_FUNCTION(name, template, ...)                                                                                    \
    static void name(const void *panels, size_t panel_count, size_t columns, const uint8_t *tokens, size_t token_count, float *out, \
                     size_t out_stride, bool accumulate)                                                                            \
    {                                                                                                                               \
        template(__VA_ARGS__, panels, panel_count, columns, tokens, token_count, out, out_stride, accumulate);                      \
    }

DOT_TOKENS_FUNCTION(dot_tokens_q8_0, dot_token_panel, DOT_Q8_0)
DOT_TOKENS_FUNCTION(dot_tokens_q4_0, dot_token_panel, DOT_Q4_0)
DOT_TOKENS_FUNCTION(dot_tokens_q4_1, dot_token_panel, DOT_Q4_1)
DOT_TOKENS_FUNCTION(dot_tokens_q5_0, dot_token_panel, DOT_Q5_0)
DOT_TOKENS_FUNCTION(dot_tokens_q5_1, dot_token_panel, DOT_Q5_1)
DOT_TOKENS_FUNCTION(dot_tokens_q2_k, dot_token_panel_k, DOT_Q2_K)
DOT_TOKENS_FUNCTION(dot_tokens_q3_k, dot_token_panel_k, DOT_Q3_K)
DOT_TOKENS_FUNCTION(dot_tokens_q4_k, dot_token_panel_k, DOT_Q4_K)
DOT_TOKENS_FUNCTION(dot_tokens_q5_k, dot_token_panel_k, DOT_Q5_K)
DOT_TOKENS_FUNCTION(dot_tokens_q6_k, dot_token_panel_k, DOT_Q6_K)

static const struct kernel_tokens dot_tokens_kernel = {
    .put = dot_tokens_put,
    .dot = {[TYPE_Q8_0] = dot_tokens_q8_0,
            [TYPE_Q4_0] = dot_tokens_q4_0,
            [TYPE_Q4_1] = dot_tokens_q4_1,
            [TYPE_Q5_0] = dot_tokens_q5_0,
            [TYPE_Q5_1] = dot_tokens_q5_1,
            [TYPE_Q2_K] = dot_tokens_q2_k,
            [TYPE_Q3_K] = dot_tokens_q3_k,
            [TYPE_Q4_K] = dot_tokens_q4_k,
            [TYPE_Q5_K] = dot_tokens_q5_k,
            [TYPE_Q6_K] = dot_tokens_q6_k},
    .reads_halves = {[TYPE_Q2_K] = true, [TYPE_Q3_K] = true, [TYPE_Q6_K] = true},
};

#endif
