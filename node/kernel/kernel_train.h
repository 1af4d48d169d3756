/* What training computes beyond inference, one table per instruction set, all giving the same bits; docs/TRAINING.md describes it.
 *
 * A lane is always one result: its chain of operations has a fixed order, however wide the registers and whatever tile it is in. Sums over
 * a vector go by sixteen interleaved chains and the fixed tree of lanes_sum. Pure functions of their arguments; any thread. Rounding must
 * be to nearest, subnormals kept (kernel_thread_init). */
#ifndef NODE_KERNEL_TRAIN_H
#define NODE_KERNEL_TRAIN_H

#include <stdbool.h>
#include <stddef.h>

enum { TILE_ROWS_MAX = 12, TILE_COLUMNS_MAX = 32 };

/* One step of AdamW (Loshchilov and Hutter 2019) for weights of one kind. */
struct kernel_adamw {
    float gradient_scale;           /* factor by which clipping scales the gradient */
    float keep1, keep2;             /* beta1, beta2 */
    float correction1, correction2; /* 1 / (1 - beta^step) */
    float rate, decay, epsilon;
};

struct kernel_train {
    size_t tile_rows, tile_columns; /* what `tile` computes at once */

    /* Panels for `tile`: out[k * width + i] = from[i * stride + k * k_stride], +0 where i >= count; width is tile_rows or tile_columns. */
    void (*pack_a)(const float *from, size_t stride, size_t k_stride, size_t count, size_t k_count, float *out);
    void (*pack_b)(const float *from, size_t stride, size_t k_stride, size_t count, size_t k_count, float *out);

    /* c(rows, columns) = a·b, or chains continued from what is in c: for each element acc = fma(a[k][row], b[k][column], acc), k upwards.
     * a: (k_count, tile_rows), b: (k_count, tile_columns), packed. */
    void (*tile)(size_t k_count, const float *a, const float *b, float *c, size_t c_stride, bool accumulate);

    /* Sum of a[i] * b[i]: lane l is the chain of fma over i = l modulo 16; any count. */
    float (*dot)(const float *a, const float *b, size_t count);

    /* x[i] becomes exp(x[i] - max), the rest up to a multiple of 16 +0 (there must be room); returns the sum. */
    float (*exp_sum)(float *x, size_t count, float *max);

    /* x[i] *= factor */
    void (*multiply)(float *x, float factor, size_t count);

    /* ds[i] = p[i] * (dp[i] - mean) * scale, in place of dp: the derivative of softmax */
    void (*softmax_back)(const float *p, float *dp, float mean, float scale, size_t count);

    /* out[i] = x[i] * factor * w[i] */
    void (*norm)(const float *x, float factor, const float *w, size_t count, float *out);

    /* dx[i] = fma(-along, x[i], dy[i] * w[i] * factor), added to dx where accumulate */
    void (*norm_back)(const float *dy, const float *x, const float *w, float factor, float along, size_t count, float *dx, bool accumulate);

    /* dw[i] = fma(dy[i] * factor, x[i], dw[i]) */
    void (*norm_weight_back)(const float *dy, const float *x, float factor, size_t count, float *dw);

    /* Of out = silu(gate) * up: the gradients of gate and up from that of out. */
    void (*swiglu_back)(const float *gate, const float *up, const float *dout, size_t count, float *dgate, float *dup);

    /* rounds * peak_flops operations (a fused multiply-add counts as two) on registers alone: the machine's peak */
    float (*peak)(size_t rounds);
    size_t peak_flops;

    void (*adamw)(const struct kernel_adamw *step, const float *gradient, float *weights, float *momentum, float *spread, size_t count);
};

#endif
