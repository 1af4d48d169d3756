/* Attention in training: one task per row of the batch and KV head, TRAIN_BLOCK positions at a time. */
#include <math.h>
#include <string.h>

#include "node/model/rope.h"
#include "train_pass.h"

/* One row of the batch and one KV head, with its thread's buffers. */
struct part {
    struct train_pass *pass;
    const struct train_kept *kept;
    size_t first_token;
    uint32_t kv_head, group; /* query heads of a KV head */
    size_t ctx, head_dim, qkv_dim, dim;
    size_t row; /* floats from one position's probabilities to the next */
    float scale;
    float *probability, *back; /* (TRAIN_BLOCK, row) */
    float *gemm;               /* GEMM_SCRATCH */
};

static size_t row_of(const struct train_layout *layout)
{
    return (layout->shape.ctx + 15) / 16 * 16;
}

size_t train_attention_floats(const struct train_layout *layout)
{
    return 2 * TRAIN_BLOCK * row_of(layout);
}

static struct part part_of(struct train_pass *pass, const struct train_kept *kept, size_t task, uint16_t thread)
{
    const struct train_layout *layout = pass->layout;
    float *scratch = pass->scratch[thread];
    struct part part = {
        .pass = pass,
        .kept = kept,
        .first_token = task / layout->shape.kv_heads * layout->shape.ctx,
        .kv_head = (uint32_t)(task % layout->shape.kv_heads),
        .group = layout->shape.heads / layout->shape.kv_heads,
        .ctx = layout->shape.ctx,
        .head_dim = layout->head_dim,
        .qkv_dim = layout->qkv_dim,
        .dim = layout->shape.dim,
        .row = row_of(layout),
        .scale = 1.0f / sqrtf((float)layout->head_dim),
        .gemm = scratch,
    };

    part.probability = scratch + GEMM_SCRATCH;
    part.back = part.probability + TRAIN_BLOCK * part.row;
    return part;
}

/* Columns of q, k and v in a token's row of (qkv_dim). */
static size_t q_column(const struct part *part, uint32_t head)
{
    return (part->kv_head * part->group + head) * part->head_dim;
}

static size_t k_column(const struct part *part)
{
    return part->dim + part->kv_head * part->head_dim;
}

static size_t v_column(const struct part *part)
{
    return k_column(part) + (part->qkv_dim - part->dim) / 2;
}

static const float *at(const struct part *part, const float *rows, size_t stride, size_t position, size_t column)
{
    return rows + (part->first_token + position) * stride + column;
}

/* Probabilities of positions first..first+count-1, one head: (count, row), with +0 for later positions up to `seen`. */
static void attend(const struct part *part, uint32_t head, size_t first, size_t count, size_t seen)
{
    const struct kernel_train *train = part->pass->kernel->train;
    const float *qkv = part->kept->qkv;
    const struct gemm scores = {
        .rows = count,
        .columns = seen,
        .k_count = part->head_dim,
        .a = at(part, qkv, part->qkv_dim, first, q_column(part, head)),
        .a_row = part->qkv_dim,
        .a_k = 1,
        .b = at(part, qkv, part->qkv_dim, 0, k_column(part)),
        .b_k = 1,
        .b_column = part->qkv_dim,
        .c = part->probability,
        .c_row = part->row,
    };

    gemm_run(train, &scores, part->gemm);
    for (size_t i = 0; i < count; i++) {
        float *p = part->probability + i * part->row;
        const size_t positions = first + i + 1;
        float max, sum;

        train->multiply(p, part->scale, positions);
        sum = train->exp_sum(p, positions, &max);
        train->multiply(p, 1.0f / sum, positions);
        memset(p + positions, 0, (part->row - positions) * sizeof *p);
    }
}

static void forward_work(void *app, size_t task, uint16_t thread)
{
    const struct part *call = app;
    const struct part part = part_of(call->pass, call->kept, task, thread);

    for (uint32_t head = 0; head < part.group; head++) {
        for (size_t first = 0; first < part.ctx; first += TRAIN_BLOCK) {
            const size_t count = part.ctx - first < TRAIN_BLOCK ? part.ctx - first : TRAIN_BLOCK;
            const struct gemm values = {
                .rows = count,
                .columns = part.head_dim,
                .k_count = first + count,
                .a = part.probability,
                .a_row = part.row,
                .a_k = 1,
                .b = at(&part, part.kept->qkv, part.qkv_dim, 0, v_column(&part)),
                .b_k = part.qkv_dim,
                .b_column = 1,
                .c = part.kept->attended + (part.first_token + first) * part.dim + q_column(&part, head),
                .c_row = part.dim,
            };

            attend(&part, head, first, count, first + count);
            gemm_run(part.pass->kernel->train, &values, part.gemm);
        }
    }
}

void train_attention_forward(struct train_pass *pass, uint32_t layer)
{
    struct part call = {.pass = pass, .kept = &pass->kept[layer]};

    team_run(pass->team, (size_t)pass->rows * pass->layout->shape.kv_heads, forward_work, &call);
}

/* ---- back ---- */

/* From the probabilities and the gradient of a head's output to the gradient of its scores, in part->back. */
static void back_scores(const struct part *part, uint32_t head, size_t first, size_t count, size_t seen)
{
    const struct kernel_train *train = part->pass->kernel->train;
    const float *dout = at(part, part->pass->dnormed, part->dim, first, q_column(part, head));
    const float *out = at(part, part->kept->attended, part->dim, first, q_column(part, head));
    const struct gemm gemm = {
        .rows = count,
        .columns = seen,
        .k_count = part->head_dim,
        .a = dout,
        .a_row = part->dim,
        .a_k = 1,
        .b = at(part, part->kept->qkv, part->qkv_dim, 0, v_column(part)),
        .b_k = 1,
        .b_column = part->qkv_dim,
        .c = part->back,
        .c_row = part->row,
    };

    gemm_run(train, &gemm, part->gemm);
    for (size_t i = 0; i < count; i++) {
        /* The mean of dp under p is the product of the output and its gradient. */
        float mean = train->dot(dout + i * part->dim, out + i * part->dim, part->head_dim);

        train->softmax_back(part->probability + i * part->row, part->back + i * part->row, mean, part->scale, seen);
    }
}

/* dq of the block; dk and dv of all positions it sees, added in the order of blocks and heads. */
static void back_block(const struct part *part, uint32_t head, size_t first, size_t count)
{
    const struct kernel_train *train = part->pass->kernel->train;
    const size_t seen = first + count;
    float *dqkv = part->pass->dqkv + part->first_token * part->qkv_dim;
    const struct gemm dq = {
        .rows = count,
        .columns = part->head_dim,
        .k_count = seen,
        .a = part->back,
        .a_row = part->row,
        .a_k = 1,
        .b = at(part, part->kept->qkv, part->qkv_dim, 0, k_column(part)),
        .b_k = part->qkv_dim,
        .b_column = 1,
        .c = dqkv + first * part->qkv_dim + q_column(part, head),
        .c_row = part->qkv_dim,
    };
    const struct gemm dk = {
        .rows = seen,
        .columns = part->head_dim,
        .k_count = count,
        .a = part->back,
        .a_row = 1,
        .a_k = part->row,
        .b = at(part, part->kept->qkv, part->qkv_dim, first, q_column(part, head)),
        .b_k = part->qkv_dim,
        .b_column = 1,
        .c = dqkv + k_column(part),
        .c_row = part->qkv_dim,
        .accumulate = true,
    };
    struct gemm dv = dk;

    dv.a = part->probability;
    dv.b = at(part, part->pass->dnormed, part->dim, first, q_column(part, head));
    dv.b_k = part->dim;
    dv.c = dqkv + v_column(part);
    attend(part, head, first, count, seen);
    gemm_run(train, &dv, part->gemm);
    back_scores(part, head, first, count, seen);
    gemm_run(train, &dq, part->gemm);
    gemm_run(train, &dk, part->gemm);
}

static void backward_work(void *app, size_t task, uint16_t thread)
{
    const struct part *call = app;
    const struct part part = part_of(call->pass, call->kept, task, thread);
    float *dqkv = part.pass->dqkv + part.first_token * part.qkv_dim;

    for (size_t position = 0; position < part.ctx; position++) {
        memset(dqkv + position * part.qkv_dim + k_column(&part), 0, part.head_dim * sizeof *dqkv);
        memset(dqkv + position * part.qkv_dim + v_column(&part), 0, part.head_dim * sizeof *dqkv);
    }
    for (uint32_t head = 0; head < part.group; head++)
        for (size_t first = 0; first < part.ctx; first += TRAIN_BLOCK)
            back_block(&part, head, first, part.ctx - first < TRAIN_BLOCK ? part.ctx - first : TRAIN_BLOCK);
}

void train_attention_backward(struct train_pass *pass, uint32_t layer)
{
    struct part call = {.pass = pass, .kept = &pass->kept[layer]};

    team_run(pass->team, (size_t)pass->rows * pass->layout->shape.kv_heads, backward_work, &call);
}

/* ---- rope ---- */

struct rope_work {
    struct train_pass *pass;
    float *qkv;
    bool back;
};

static void rope_work(void *app, size_t task, uint16_t thread)
{
    const struct rope_work *work = app;
    const struct train_layout *layout = work->pass->layout;
    const uint32_t pairs = layout->head_dim / 2;
    float turned_back[ROPE_PAIRS_MAX];
    size_t first, last;

    (void)thread;
    train_pass_block(work->pass, task, &first, &last);
    for (size_t t = first; t < last; t++) {
        const size_t position = t % layout->shape.ctx;
        const float *sine = work->pass->sine + position * pairs;

        for (uint32_t i = 0; work->back && i < pairs; i++)
            turned_back[i] = -sine[i];
        for (uint32_t head = 0; head < layout->shape.heads + layout->shape.kv_heads; head++)
            work->pass->kernel->rope(work->qkv + t * layout->qkv_dim + head * layout->head_dim, work->pass->cosine + position * pairs,
                                     work->back ? turned_back : sine, pairs);
    }
}

void train_rope(struct train_pass *pass, float *qkv, bool back)
{
    struct rope_work work = {pass, qkv, back};

    team_run(pass->team, train_pass_blocks(pass), rope_work, &work);
}
