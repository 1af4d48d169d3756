/* dot_columns by instructions that add four unsigned by signed products to each lane (VNNI), of any width. Part of a kernel_dot_ISA.h that
 * has them as dot_four. */
#ifndef NODE_KERNEL_DOT_VNNI_H
#define NODE_KERNEL_DOT_VNNI_H

/* out[t * vectors + v] = sum over `groups` groups of (weight[v] - zero) * q, of `tokens` slices from column `first`, 16 or 32 columns;
 * weight < 2^bits. Tokens are the inner loop, so that consecutive instructions do not depend on one another. */
DOT_INLINE void dot_columns(const dot_words *const *weight, size_t vectors, size_t groups, const uint8_t *x, size_t x_stride, size_t tokens,
                            size_t first, int zero, int bits, dot_ints *out)
{
    (void)bits;
    DOT_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) {
        const struct act_slice *slice = dot_slice(x, x_stride, i / vectors);

        out[i] = (dot_ints){0} + (groups == 8 ? slice->minus[first / BLOCK_COLUMNS] : -slice->sum[first / 16]) * zero;
    }
    DOT_UNROLL
    for (size_t g = 0; g < groups; g++) {
        DOT_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            uint32_t four;

            memcpy(&four, dot_slice(x, x_stride, i / vectors)->q + first + 4 * g, sizeof four);
            out[i] = dot_four(out[i], weight[i % vectors][g], four - (dot_words){0});
        }
    }
}

#endif
