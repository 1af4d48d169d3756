#include "plainmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/canon.h"
#include "node/kernel/kernel_list.h"

enum { LANES = 16, ATTEND_POSITIONS = 256 };

struct plainmodel {
    const struct model *model;
    enum kv_type kv_type;
    uint32_t positions, count; /* capacity; tokens processed */
    float *k, *v;              /* (layers, positions, kv_heads, head_dim) as read back from the cache */
    float *x, *normed, *q, *z, *h, *gate, *sum;
    float *score; /* (positions) */
    struct act_slice *slice_q;
    struct act_slice_f32 *slice_f;
};

static void *zeros(size_t count, size_t size)
{
    void *memory = aligned_alloc(64, (count * size + 127) / 64 * 64);

    assert_non_null(memory);
    memset(memory, 0, (count * size + 127) / 64 * 64);
    return memory;
}

/* ---- section 3: activations ---- */

/* q and d of up to 32 values; the values are finite. */
static float quantise_values(const float *x, uint32_t count, int8_t *q)
{
    float amax = 0;

    memset(q, 0, BLOCK_COLUMNS);
    for (uint32_t i = 0; i < count; i++)
        amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
    if (amax < 0x1p-100f)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        q[i] = (int8_t)nearbyintf(x[i] * (127.0f / amax));
    return amax / 127.0f;
}

/* The sum of 16 values, by halving as a tree. */
static float tree16(float s[LANES])
{
    for (uint32_t w = 8; w > 0; w /= 2)
        for (uint32_t l = 0; l < w; l++)
            s[l] = s[l] + s[l + w];
    return s[0];
}

/* 1 / sqrt(mean of squares + eps) of count values, blocks of 32 in their order. */
static float norm_factor(const struct plainmodel *p, const float *x, uint32_t count)
{
    float sum = 0;

    for (uint32_t first = 0; first < count; first += BLOCK_COLUMNS) {
        float block[BLOCK_COLUMNS] = {0}, s[LANES];

        for (uint32_t i = 0; i < BLOCK_COLUMNS && first + i < count; i++)
            block[i] = x[first + i];
        for (uint32_t l = 0; l < LANES; l++)
            s[l] = fmaf(block[l + 16], block[l + 16], block[l] * block[l]);
        sum = sum + tree16(s);
    }
    return 1.0f / sqrtf(sum / (float)count + p->model->norm_eps);
}

static void slice_activations(struct plainmodel *p, const float *x, uint32_t first, uint32_t columns)
{
    memset(p->slice_q, 0, sizeof *p->slice_q);
    memset(p->slice_f, 0, sizeof *p->slice_f);
    memcpy(p->slice_f->v, x + first, columns * sizeof *x);
    for (uint32_t b = 0; b * BLOCK_COLUMNS < columns; b++) {
        const uint32_t left = columns - b * BLOCK_COLUMNS;
        int8_t *q = p->slice_q->q + b * BLOCK_COLUMNS;

        p->slice_q->d[b] = quantise_values(x + first + b * BLOCK_COLUMNS, left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS, q);
        for (uint32_t i = 0; i < BLOCK_COLUMNS; i++) {
            p->slice_q->sum[2 * b + i / 16] += q[i];
            p->slice_q->minus[b] -= q[i];
        }
    }
}

/* ---- section 4: dot products ---- */

/* out: (rows), padded to 16. */
static void multiply(struct plainmodel *p, const struct gguf_tensor *w, const float *x, float *out)
{
    const enum tensor_type type = (enum tensor_type)w->type;
    const size_t row_bytes = model_row_bytes(w);
    static uint8_t panel[SLICE_COLUMNS * PANEL_ROWS * sizeof(float)] __attribute__((aligned(64)));

    for (uint32_t first = 0; first < w->dims[0]; first += SLICE_COLUMNS) {
        const uint32_t left = (uint32_t)w->dims[0] - first, columns = left < SLICE_COLUMNS ? left : SLICE_COLUMNS;
        const bool is_float = tensor_type_info(type)->is_float;

        slice_activations(p, x, first, columns);
        for (uint32_t row = 0; row < w->dims[1]; row += PANEL_ROWS) {
            const size_t rest = (size_t)w->dims[1] - row;

            kernel_panel_pack(type, w->data + row * row_bytes, row_bytes, rest < PANEL_ROWS ? rest : PANEL_ROWS, first, columns, panel);
            kernel_scalar.dot[type](panel, 1, columns, is_float ? (const void *)p->slice_f : (const void *)p->slice_q, 0, 1, out + row, 0,
                                    first > 0);
        }
    }
}

static void times(float factor, float *x, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        x[i] = factor * x[i];
}

/* ---- section 7: attention ---- */

/* A head's values after storage in the cache. */
static void through_cache(enum kv_type type, const float *from, uint32_t count, float *to)
{
    for (uint32_t first = 0; first < count; first += BLOCK_COLUMNS) {
        const uint32_t left = count - first, block = left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS;
        int8_t q[BLOCK_COLUMNS];
        const float scale = canon_f16_to_f32(canon_f32_to_f16(quantise_values(from + first, block, q)));

        for (uint32_t i = 0; i < block; i++) {
            if (type == KV_Q8_0)
                to[first + i] = (float)q[i] * scale;
            else
                to[first + i] = type == KV_F32 ? from[first + i] : canon_f16_to_f32(canon_f32_to_f16(from[first + i]));
        }
    }
}

static void rotate(const struct plainmodel *p, float *head)
{
    const struct rope_config *rope = &p->model->rope;

    for (uint32_t i = 0; i < rope->pairs; i++) {
        const bool is_split = p->model->architecture->turns_halves;
        float *first = is_split ? head + i : head + 2 * i, *second = is_split ? head + rope->pairs + i : first + 1;
        const float x0 = *first, x1 = *second;
        float sine, cosine;

        canon_sincos((double)p->count * rope->frequency[i], &sine, &cosine);
        cosine = cosine * rope->magnitude;
        sine = sine * rope->magnitude;
        *first = fmaf(x0, cosine, -(x1 * sine));
        *second = fmaf(x0, sine, x1 * cosine);
    }
}

static size_t head_at(const struct plainmodel *p, uint32_t layer, uint32_t position, uint32_t kv_head)
{
    return (((size_t)layer * p->positions + position) * p->model->kv_heads + kv_head) * p->model->head_dim;
}

static void attend(struct plainmodel *p, uint32_t layer, uint32_t head)
{
    const struct model *m = p->model;
    const uint32_t kv_head = head / (m->heads / m->kv_heads), n = p->count + 1;
    const float *q = p->q + (size_t)head * m->head_dim;
    float *z = p->z + (size_t)head * m->head_dim, total = 0, largest = -INFINITY;

    for (uint32_t j = 0; j < n; j++) {
        const float *k = p->k + head_at(p, layer, j, kv_head);
        float a = 0;

        for (uint32_t i = 0; i < m->head_dim; i++)
            a = fmaf(q[i], k[i], a);
        p->score[j] = a * (1.0f / sqrtf((float)m->head_dim));
        largest = p->score[j] > largest ? p->score[j] : largest;
    }
    for (uint32_t first = 0; first < n; first += ATTEND_POSITIONS) {
        const uint32_t end = n - first < ATTEND_POSITIONS ? n : first + ATTEND_POSITIONS;
        float s[LANES] = {0};

        for (uint32_t j = first; j < end; j++) {
            p->score[j] = canon_expf(p->score[j] - largest);
            s[j % LANES] = s[j % LANES] + p->score[j];
        }
        const float sum = tree16(s);
        total = first == 0 ? sum : total + sum;
        for (uint32_t i = 0; i < m->head_dim; i++) {
            float a = 0;

            for (uint32_t j = first; j < end; j++)
                a = fmaf(p->score[j], p->v[head_at(p, layer, j, kv_head) + i], a);
            z[i] = first == 0 ? a : z[i] + a;
        }
    }
    times(1.0f / total, z, m->head_dim);
}

/* ---- section 5: one token through the model ---- */

static float normalise(struct plainmodel *p, const struct gguf_tensor *norm)
{
    float *weights = p->sum;

    model_read_vector(norm, p->model->dim, weights);
    for (uint32_t i = 0; i < p->model->dim; i++)
        p->normed[i] = weights[i] * p->x[i];
    return norm_factor(p, p->x, p->model->dim);
}

/* f · (W·x), and the bias, if there is one. */
static void project(struct plainmodel *p, const struct gguf_tensor *w, const struct gguf_tensor *bias, float factor, float *out)
{
    const uint32_t rows = (uint32_t)w->dims[1];

    multiply(p, w, p->normed, out);
    times(factor, out, rows);
    for (uint32_t i = 0; bias != NULL && i < rows; i++) {
        float value;

        memcpy(&value, bias->data + i * sizeof value, sizeof value);
        out[i] = out[i] + value;
    }
}

/* Of a head by itself, if the model has such norms. */
static void normalise_head(struct plainmodel *p, const struct gguf_tensor *norm, float *head)
{
    const uint32_t count = p->model->head_dim;

    if (norm == NULL)
        return;
    times(norm_factor(p, head, count), head, count);
    for (uint32_t i = 0; i < count; i++) {
        float weight;

        memcpy(&weight, norm->data + i * sizeof weight, sizeof weight);
        head[i] = weight * head[i];
    }
}

static void attention(struct plainmodel *p, uint32_t layer)
{
    const struct model *m = p->model;
    const struct model_layer *w = &m->layer[layer];
    const float f = normalise(p, w->attn_norm);

    project(p, w->k, w->k_bias, f, p->gate);
    project(p, w->v, w->v_bias, f, p->sum);
    for (uint32_t head = 0; head < m->kv_heads; head++) {
        const size_t at = head_at(p, layer, p->count, head), of = (size_t)head * m->head_dim;

        normalise_head(p, w->k_norm, p->gate + of);
        rotate(p, p->gate + of);
        through_cache(p->kv_type, p->gate + of, m->head_dim, p->k + at);
        through_cache(p->kv_type, p->sum + of, m->head_dim, p->v + at);
    }
    project(p, w->q, w->q_bias, f, p->q);
    for (uint32_t head = 0; head < m->heads; head++) {
        normalise_head(p, w->q_norm, p->q + (size_t)head * m->head_dim);
        rotate(p, p->q + (size_t)head * m->head_dim);
        attend(p, layer, head);
    }
    multiply(p, w->wo, p->z, p->sum);
    for (uint32_t i = 0; i < m->dim; i++)
        p->x[i] = p->x[i] + p->sum[i];
}

static void feed_forward(struct plainmodel *p, uint32_t layer)
{
    const struct model *m = p->model;
    const struct model_layer *w = &m->layer[layer];
    const float f = normalise(p, w->ffn_norm);

    multiply(p, w->gate, p->normed, p->gate);
    multiply(p, w->up, p->normed, p->h);
    for (uint32_t i = 0; i < m->hidden; i++)
        p->h[i] = canon_siluf(f * p->gate[i]) * (f * p->h[i]);
    multiply(p, w->down, p->h, p->sum);
    for (uint32_t i = 0; i < m->dim; i++)
        p->x[i] = p->x[i] + p->sum[i];
}

void plainmodel_step(struct plainmodel *p, uint32_t token, float *logits)
{
    const struct model *m = p->model;
    const struct gguf_tensor *embd = m->token_embd;

    assert_true(token < m->vocab && p->count < p->positions);
    tensor_type_dequantise((enum tensor_type)embd->type, embd->data + token * model_row_bytes(embd), m->dim, p->x);
    for (uint32_t layer = 0; layer < m->layers; layer++) {
        attention(p, layer);
        feed_forward(p, layer);
    }
    p->count++;
    if (logits == NULL)
        return;
    const float f = normalise(p, m->output_norm);
    multiply(p, m->output, p->normed, p->sum);
    for (uint32_t i = 0; i < m->vocab; i++)
        logits[i] = f * p->sum[i];
}

struct plainmodel *plainmodel_open(const struct model *m, enum kv_type kv_type, uint32_t positions)
{
    struct plainmodel *p = zeros(1, sizeof *p);
    const size_t cache = (size_t)m->layers * positions * m->kv_heads * m->head_dim, heads = (size_t)m->heads * m->head_dim;
    const size_t most = (size_t)m->vocab + m->dim + m->hidden + heads + PANEL_ROWS;

    p->model = m;
    p->kv_type = kv_type;
    p->positions = positions;
    p->k = zeros(cache, sizeof *p->k);
    p->v = zeros(cache, sizeof *p->v);
    p->score = zeros(positions, sizeof *p->score);
    p->slice_q = zeros(1, sizeof *p->slice_q);
    p->slice_f = zeros(1, sizeof *p->slice_f);
    float **const vectors[] = {&p->x, &p->normed, &p->q, &p->z, &p->h, &p->gate, &p->sum};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = zeros(most, sizeof **vectors[i]);
    return p;
}

void plainmodel_close(struct plainmodel *p)
{
    void *const memory[] = {p->k, p->v, p->score, p->slice_q, p->slice_f, p->x, p->normed, p->q, p->z, p->h, p->gate, p->sum};

    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    free(p);
}
