/* The backward pass: from the gradient of the logits down to that of every weight. */
#include <assert.h>
#include <string.h>

#include "train_pass.h"

enum { COLUMNS = 32 /* of a task that goes over all tokens in order */ };

/* dx (tokens, columns) = dy (tokens, rows) · w (rows, columns) */
static void back_to_input(struct train_pass *pass, const float *dy, size_t dy_row, const float *w, size_t rows, size_t columns, float *dx)
{
    const struct gemm gemm = {
        .rows = pass->tokens,
        .columns = columns,
        .k_count = rows,
        .a = dy,
        .a_row = dy_row,
        .a_k = 1,
        .b = w,
        .b_k = columns,
        .b_column = 1,
        .c = dx,
        .c_row = columns,
    };

    train_pass_gemm(pass, &gemm);
}

/* dw (rows, columns) = dy (tokens, rows) transposed · x (tokens, columns): token by token in the order of the batch */
static void back_to_weights(struct train_pass *pass, const float *dy, size_t dy_row, const float *x, size_t rows, size_t columns, float *dw)
{
    const struct gemm gemm = {
        .rows = rows,
        .columns = columns,
        .k_count = pass->tokens,
        .a = dy,
        .a_row = 1,
        .a_k = dy_row,
        .b = x,
        .b_k = columns,
        .b_column = 1,
        .c = dw,
        .c_row = columns,
    };

    train_pass_gemm(pass, &gemm);
}

/* ---- norms ---- */

struct norm_work {
    struct train_pass *pass;
    const float *dy, *x, *w, *factor;
    float *dx, *dw;
    bool accumulate;
};

/* y = x · f · w with f = 1 / sqrt(x·x / n + e), so dx = f · w · dy - x · f³ / n · (x·w·dy). */
static void norm_work(void *app, size_t task, uint16_t thread)
{
    const struct norm_work *work = app;
    const struct kernel_train *train = work->pass->kernel->train;
    const size_t dim = work->pass->layout->shape.dim;
    float *weighted = work->pass->scratch[thread];
    size_t first, last;

    train_pass_block(work->pass, task, &first, &last);
    for (size_t t = first; t < last; t++) {
        const float *dy = work->dy + t * dim, *x = work->x + t * dim;
        const float f = work->factor[t];

        train->norm(dy, 1.0f, work->w, dim, weighted);
        float along = train->dot(weighted, x, dim) * (f * f * f) / (float)dim;
        train->norm_back(dy, x, work->w, f, along, dim, work->dx + t * dim, work->accumulate);
    }
}

static void norm_weight_work(void *app, size_t task, uint16_t thread)
{
    const struct norm_work *work = app;
    const size_t dim = work->pass->layout->shape.dim, first = task * COLUMNS;
    const size_t count = dim - first < COLUMNS ? dim - first : COLUMNS;

    (void)thread;
    memset(work->dw + first, 0, count * sizeof *work->dw);
    for (size_t t = 0; t < work->pass->tokens; t++)
        work->pass->kernel->train->norm_weight_back(work->dy + t * dim + first, work->x + t * dim + first, work->factor[t], count,
                                                    work->dw + first);
}

static void back_norm(struct train_pass *pass, const float *x, size_t w, const float *factor, bool accumulate)
{
    const size_t columns = (pass->layout->shape.dim + COLUMNS - 1) / COLUMNS;
    struct norm_work work = {pass, pass->dnormed, x, pass->weights + w, factor, pass->dx, pass->gradient + w, accumulate};

    team_run(pass->team, columns, norm_weight_work, &work);
    team_run(pass->team, train_pass_blocks(pass), norm_work, &work);
}

/* ---- the rest, row by row ---- */

struct swiglu_work {
    struct train_pass *pass;
    const struct train_kept *kept;
};

static void swiglu_work(void *app, size_t task, uint16_t thread)
{
    const struct swiglu_work *work = app;
    const size_t hidden = work->pass->layout->shape.hidden;
    size_t first, last;

    (void)thread;
    train_pass_block(work->pass, task, &first, &last);
    for (size_t t = first; t < last; t++) {
        const float *gate = work->kept->gate_up + t * 2 * hidden;
        float *dgate = work->pass->dgate_up + t * 2 * hidden;

        work->pass->kernel->train->swiglu_back(gate, gate + hidden, work->pass->dhidden + t * hidden, hidden, dgate, dgate + hidden);
    }
}

/* The tokens' rows of the embedding's gradient, added to its gradient as the output matrix: some columns per task, all tokens in order. */
static void embed_work(void *app, size_t task, uint16_t thread)
{
    struct train_pass *pass = app;
    const size_t dim = pass->layout->shape.dim, first = task * COLUMNS;
    const size_t last = dim - first < COLUMNS ? dim : first + COLUMNS;

    (void)thread;
    for (size_t t = 0; t < pass->tokens; t++) {
        float *row = pass->gradient + pass->layout->token_embd + pass->id[t] * dim;

        for (size_t i = first; i < last; i++)
            row[i] += pass->dx[t * dim + i];
    }
}

/* ---- all of it ---- */

static void back_layer(struct train_pass *pass, uint32_t l)
{
    const struct train_layout *layout = pass->layout;
    const struct train_layer *layer = &layout->layer[l];
    const size_t dim = layout->shape.dim, hidden = layout->shape.hidden, qkv = layout->qkv_dim;
    const struct train_kept *kept = &pass->kept[l];
    struct swiglu_work swiglu = {pass, kept};

    back_to_input(pass, pass->dx, dim, pass->weights + layer->down, dim, hidden, pass->dhidden);
    back_to_weights(pass, pass->dx, dim, kept->hidden, dim, hidden, pass->gradient + layer->down);
    team_run(pass->team, train_pass_blocks(pass), swiglu_work, &swiglu);
    back_to_weights(pass, pass->dgate_up, 2 * hidden, kept->ffn_in, 2 * hidden, dim, pass->gradient + layer->gate_up);
    back_to_input(pass, pass->dgate_up, 2 * hidden, pass->weights + layer->gate_up, 2 * hidden, dim, pass->dnormed);
    back_norm(pass, kept->middle, layer->ffn_norm, kept->ffn_factor, true);

    back_to_weights(pass, pass->dx, dim, kept->attended, dim, dim, pass->gradient + layer->wo);
    back_to_input(pass, pass->dx, dim, pass->weights + layer->wo, dim, dim, pass->dnormed);
    train_attention_backward(pass, l);
    train_rope(pass, pass->dqkv, true);
    back_to_weights(pass, pass->dqkv, qkv, kept->attn_in, qkv, dim, pass->gradient + layer->qkv);
    back_to_input(pass, pass->dqkv, qkv, pass->weights + layer->qkv, qkv, dim, pass->dnormed);
    back_norm(pass, kept->x, layer->attn_norm, kept->attn_factor, true);
}

void train_pass_backward(struct train_pass *pass)
{
    const struct train_layout *layout = pass->layout;
    const size_t dim = layout->shape.dim, vocab = layout->shape.vocab;

    assert(pass->id != NULL); /* forward was called */
    back_to_weights(pass, pass->logits, pass->logits_row, pass->normed, vocab, dim, pass->gradient + layout->token_embd);
    back_to_input(pass, pass->logits, pass->logits_row, pass->weights + layout->token_embd, vocab, dim, pass->dnormed);
    back_norm(pass, pass->x, layout->output_norm, pass->factor, false);
    for (uint32_t l = layout->shape.layers; l-- > 0;)
        back_layer(pass, l);
    team_run(pass->team, (dim + COLUMNS - 1) / COLUMNS, embed_work, pass);
    pass->id = pass->target = NULL;
}
