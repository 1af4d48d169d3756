/* The functions of struct kernel_train in the lanes of the including file's instruction set; see kernel_train.h.
 *
 * Loops run across independent results only, so a compiler that makes them wider changes no bit. */
#ifndef NODE_KERNEL_TRAIN_LANES_H
#define NODE_KERNEL_TRAIN_LANES_H

#include <assert.h>

#include "kernel_attend.h"
#include "kernel_lanes.h"
#include "kernel_train.h"

/* As many accumulators as leave registers for a row of b and one value of a. */
#if defined(KERNEL_PLAIN_LANES)
enum { TILE_ROWS = 2, TILE_LANES = 1 };
#elif defined(__AVX512F__)
enum { TILE_ROWS = 12, TILE_LANES = 2 };
#else
enum { TILE_ROWS = 6, TILE_LANES = 1 };
#endif

typedef float train_quad __attribute__((vector_size(16), aligned(4), may_alias));

/* out[k * width + i] = from[i * stride + k], i and k < 4 */
KERNEL_INLINE void train_transpose(const float *from, size_t stride, size_t width, float *out)
{
    train_quad row[4], pair[4];

    for (size_t i = 0; i < 4; i++)
        row[i] = *(const train_quad *)(from + i * stride);
    pair[0] = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    pair[1] = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    pair[2] = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    pair[3] = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    *(train_quad *)out = __builtin_shufflevector(pair[0], pair[1], 0, 1, 4, 5);
    *(train_quad *)(out + width) = __builtin_shufflevector(pair[0], pair[1], 2, 3, 6, 7);
    *(train_quad *)(out + 2 * width) = __builtin_shufflevector(pair[2], pair[3], 0, 1, 4, 5);
    *(train_quad *)(out + 3 * width) = __builtin_shufflevector(pair[2], pair[3], 2, 3, 6, 7);
}

/* width is a constant where this is inlined. */
KERNEL_INLINE void train_pack(const float *from, size_t stride, size_t k_stride, size_t count, size_t k_count, size_t width, float *out)
{
    size_t k = 0;

    if (stride == 1 && count == width) {
        for (; k < k_count; k++)
            memcpy(out + k * width, from + k * k_stride, width * sizeof *out);
        return;
    }
    if (k_stride == 1 && count == width && width % 4 == 0)
        for (; k + 4 <= k_count; k += 4)
            for (size_t i = 0; i < width; i += 4)
                train_transpose(from + i * stride + k, stride, width, out + k * width + i);
    for (; k < k_count; k++)
        for (size_t i = 0; i < width; i++)
            out[k * width + i] = i < count ? from[i * stride + k * k_stride] : 0.0f;
}

static void train_pack_a(const float *from, size_t stride, size_t k_stride, size_t count, size_t k_count, float *out)
{
    train_pack(from, stride, k_stride, count, k_count, TILE_ROWS, out);
}

static void train_pack_b(const float *from, size_t stride, size_t k_stride, size_t count, size_t k_count, float *out)
{
    train_pack(from, stride, k_stride, count, k_count, (size_t)TILE_LANES * LANES, out);
}

static void train_tile(size_t k_count, const float *a, const float *b, float *c, size_t c_stride, bool accumulate)
{
    struct lanes acc[TILE_ROWS][TILE_LANES];

    for (int r = 0; r < TILE_ROWS; r++)
        for (int l = 0; l < TILE_LANES; l++)
            acc[r][l] = accumulate ? lanes_load(c + (size_t)r * c_stride + (size_t)l * LANES) : lanes_set(0.0f);
    for (size_t k = 0; k < k_count; k++, a += TILE_ROWS, b += TILE_LANES * LANES) {
        struct lanes line[TILE_LANES];

        for (int l = 0; l < TILE_LANES; l++)
            line[l] = lanes_load(b + (size_t)l * LANES);
        for (int r = 0; r < TILE_ROWS; r++) {
            struct lanes value = lanes_set(a[r]);

            for (int l = 0; l < TILE_LANES; l++)
                acc[r][l] = lanes_fma(value, line[l], acc[r][l]);
        }
    }
    for (int r = 0; r < TILE_ROWS; r++)
        for (int l = 0; l < TILE_LANES; l++)
            lanes_store(c + (size_t)r * c_stride + (size_t)l * LANES, acc[r][l]);
}

static float train_dot(const float *a, const float *b, size_t count)
{
    struct lanes acc = lanes_set(0.0f);
    const size_t whole = count / LANES * LANES;
    float last_a[LANES] = {0}, last_b[LANES] = {0};

    for (size_t i = 0; i < whole; i += LANES)
        acc = lanes_fma(lanes_load(a + i), lanes_load(b + i), acc);
    if (whole < count) {
        memcpy(last_a, a + whole, (count - whole) * sizeof *a);
        memcpy(last_b, b + whole, (count - whole) * sizeof *b);
        acc = lanes_fma(lanes_load(last_a), lanes_load(last_b), acc);
    }
    return lanes_sum(acc);
}

static float train_exp_sum(float *x, size_t count, float *max)
{
    float sum;

    assert(count > 0);
    for (size_t i = count; i % LANES != 0; i++)
        x[i] = -__builtin_inff();
    *max = attend_largest(x, count);
    sum = attend_softmax(x, count);
    return sum;
}

static void train_multiply(float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] *= factor;
}

static void train_softmax_back(const float *restrict p, float *restrict dp, float mean, float scale, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dp[i] = p[i] * (dp[i] - mean) * scale;
}

static void train_norm(const float *restrict x, float factor, const float *restrict w, size_t count, float *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = x[i] * factor * w[i];
}

static void train_norm_back(const float *restrict dy, const float *restrict x, const float *restrict w, float factor, float along,
                            size_t count, float *restrict dx, bool accumulate)
{
    if (accumulate)
        for (size_t i = 0; i < count; i++)
            dx[i] += __builtin_fmaf(-along, x[i], dy[i] * w[i] * factor);
    else
        for (size_t i = 0; i < count; i++)
            dx[i] = __builtin_fmaf(-along, x[i], dy[i] * w[i] * factor);
}

static void train_norm_weight_back(const float *restrict dy, const float *restrict x, float factor, size_t count, float *restrict dw)
{
    for (size_t i = 0; i < count; i++)
        dw[i] = __builtin_fmaf(dy[i] * factor, x[i], dw[i]);
}

static void train_swiglu_back(const float *restrict gate, const float *restrict up, const float *restrict dout, size_t count,
                              float *restrict dgate, float *restrict dup)
{
    for (size_t i = 0; i < count; i++) {
        float sigmoid = 1.0f / (1.0f + canon_expf(-gate[i]));
        float silu = gate[i] * sigmoid;

        dup[i] = dout[i] * silu;
        dgate[i] = dout[i] * up[i] * __builtin_fmaf(silu, 1.0f - sigmoid, sigmoid);
    }
}

static void train_adamw(const struct kernel_adamw *step, const float *restrict gradient, float *restrict weights, float *restrict momentum,
                        float *restrict spread, size_t count)
{
    const struct kernel_adamw s = *step;

    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * s.gradient_scale;
        float m = __builtin_fmaf(s.keep1, momentum[i], (1.0f - s.keep1) * g);
        float v = __builtin_fmaf(s.keep2, spread[i], (1.0f - s.keep2) * (g * g));
        float change = m * s.correction1 / (__builtin_sqrtf(v * s.correction2) + s.epsilon);

        momentum[i] = m;
        spread[i] = v;
        weights[i] -= s.rate * __builtin_fmaf(s.decay, weights[i], change);
    }
}

/* As many chains as attention has accumulators; values stay near 1. */
static float train_peak(size_t rounds)
{
    struct lanes acc[LANES_CHAINS];
    const struct lanes factor = lanes_set(0.999f), summand = lanes_set(0.001f);

    for (int i = 0; i < LANES_CHAINS; i++)
        acc[i] = lanes_set(1.0f + 0.01f * (float)i);
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < LANES_CHAINS; i++)
            acc[i] = lanes_fma(acc[i], factor, summand);
    for (int i = 1; i < LANES_CHAINS; i++)
        acc[0] = lanes_add(acc[0], acc[i]);
    return lanes_sum(acc[0]);
}

static const struct kernel_train train_functions = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_LANES * LANES,
    .pack_a = train_pack_a,
    .pack_b = train_pack_b,
    .tile = train_tile,
    .dot = train_dot,
    .exp_sum = train_exp_sum,
    .multiply = train_multiply,
    .softmax_back = train_softmax_back,
    .norm = train_norm,
    .norm_back = train_norm_back,
    .norm_weight_back = train_norm_weight_back,
    .swiglu_back = train_swiglu_back,
    .peak = train_peak,
    .peak_flops = (size_t)LANES_CHAINS * LANES * 2,
    .adamw = train_adamw,
};

#endif
