/* The forward pass: tokens to loss, keeping what the gradient needs. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "node/common/canon.h"
#include "train_pass.h"

/* out (tokens, rows) = x (tokens, columns) · w (rows, columns) transposed */
static void multiply(struct train_pass *pass, const float *x, const float *w, size_t rows, size_t columns, float *out, size_t out_row,
                     bool accumulate)
{
    const struct gemm gemm = {
        .rows = pass->tokens,
        .columns = rows,
        .k_count = columns,
        .a = x,
        .a_row = columns,
        .a_k = 1,
        .b = w,
        .b_k = 1,
        .b_column = columns,
        .c = out,
        .c_row = out_row,
        .accumulate = accumulate,
    };

    train_pass_gemm(pass, &gemm);
}

/* ---- row by row ---- */

struct norm_work {
    struct train_pass *pass;
    const float *x, *w;
    float *factor, *out;
};

static void norm_work(void *app, size_t task, uint16_t thread)
{
    const struct norm_work *work = app;
    const struct kernel_train *train = work->pass->kernel->train;
    const size_t dim = work->pass->layout->shape.dim;
    size_t first, last;

    (void)thread;
    train_pass_block(work->pass, task, &first, &last);
    for (size_t t = first; t < last; t++) {
        const float *x = work->x + t * dim;

        work->factor[t] = 1.0f / sqrtf(train->dot(x, x, dim) / (float)dim + TRAIN_NORM_EPSILON);
        train->norm(x, work->factor[t], work->w, dim, work->out + t * dim);
    }
}

static void norm(struct train_pass *pass, const float *x, size_t w, float *factor, float *out)
{
    struct norm_work work = {pass, x, pass->weights + w, factor, out};

    team_run(pass->team, train_pass_blocks(pass), norm_work, &work);
}

static void embed_work(void *app, size_t task, uint16_t thread)
{
    struct train_pass *pass = app;
    const size_t dim = pass->layout->shape.dim;
    float *x = pass->layout->shape.layers > 0 ? pass->kept[0].x : pass->x;
    size_t first, last;

    (void)thread;
    train_pass_block(pass, task, &first, &last);
    for (size_t t = first; t < last; t++) {
        assert(pass->id[t] < pass->layout->shape.vocab);
        memcpy(x + t * dim, pass->weights + pass->layout->token_embd + pass->id[t] * dim, dim * sizeof *x);
    }
}

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

        work->pass->kernel->swiglu(gate, gate + hidden, hidden, work->kept->hidden + t * hidden);
    }
}

/* Cross entropy; the row of logits becomes the gradient of the mean loss. */
static double judge(const struct train_pass *pass, float *logits, uint32_t target)
{
    const size_t vocab = pass->layout->shape.vocab;
    float wanted, max, sum;

    if (target == TRAIN_IGNORED) {
        memset(logits, 0, pass->logits_row * sizeof *logits);
        return 0.0;
    }
    assert(target < vocab);
    wanted = logits[target];
    sum = pass->kernel->train->exp_sum(logits, vocab, &max);
    pass->kernel->train->multiply(logits, 1.0f / sum * pass->loss_scale, vocab);
    logits[target] -= pass->loss_scale;
    return (double)canon_logf(sum) + (double)max - (double)wanted;
}

static void judge_work(void *app, size_t task, uint16_t thread)
{
    struct train_pass *pass = app;
    size_t first, last;

    (void)thread;
    train_pass_block(pass, task, &first, &last);
    for (size_t t = first; t < last; t++)
        pass->token_loss[t] = judge(pass, pass->logits + t * pass->logits_row, pass->target[t]);
}

/* ---- all of it ---- */

static void forward_layer(struct train_pass *pass, uint32_t l)
{
    const struct train_layout *layout = pass->layout;
    const struct train_layer *layer = &layout->layer[l];
    const size_t dim = layout->shape.dim, hidden = layout->shape.hidden;
    struct train_kept *kept = &pass->kept[l];
    float *next = l + 1 < layout->shape.layers ? pass->kept[l + 1].x : pass->x;
    struct swiglu_work swiglu = {pass, kept};

    norm(pass, kept->x, layer->attn_norm, kept->attn_factor, kept->attn_in);
    multiply(pass, kept->attn_in, pass->weights + layer->qkv, layout->qkv_dim, dim, kept->qkv, layout->qkv_dim, false);
    train_rope(pass, kept->qkv, false);
    train_attention_forward(pass, l);
    memcpy(kept->middle, kept->x, pass->tokens * dim * sizeof *kept->x);
    multiply(pass, kept->attended, pass->weights + layer->wo, dim, dim, kept->middle, dim, true);
    norm(pass, kept->middle, layer->ffn_norm, kept->ffn_factor, kept->ffn_in);
    multiply(pass, kept->ffn_in, pass->weights + layer->gate_up, 2 * hidden, dim, kept->gate_up, 2 * hidden, false);
    team_run(pass->team, train_pass_blocks(pass), swiglu_work, &swiglu);
    memcpy(next, kept->middle, pass->tokens * dim * sizeof *next);
    multiply(pass, kept->hidden, pass->weights + layer->down, dim, hidden, next, dim, true);
}

float train_pass_forward(struct train_pass *pass, const uint32_t *id, const uint32_t *target)
{
    const struct train_layout *layout = pass->layout;
    size_t targets = 0;
    double loss = 0.0;

    for (size_t t = 0; t < pass->tokens; t++)
        targets += target[t] != TRAIN_IGNORED;
    assert(targets > 0);
    pass->id = id;
    pass->target = target;
    pass->loss_scale = 1.0f / (float)targets;
    team_run(pass->team, train_pass_blocks(pass), embed_work, pass);
    for (uint32_t l = 0; l < layout->shape.layers; l++)
        forward_layer(pass, l);
    norm(pass, pass->x, layout->output_norm, pass->factor, pass->normed);
    multiply(pass, pass->normed, pass->weights + layout->token_embd, layout->shape.vocab, layout->shape.dim, pass->logits, pass->logits_row,
             false);
    team_run(pass->team, train_pass_blocks(pass), judge_work, pass);
    for (size_t t = 0; t < pass->tokens; t++)
        loss += pass->token_loss[t];
    return (float)(loss / (double)targets);
}
