#include "train_layout.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "node/common/canon.h"
#include "node/common/hash.h"
#include "node/model/rope.h"

enum kind { MATRIX, ADDING_MATRIX, NORM };

enum { DIM_MAX = 8192, HIDDEN_MAX = 32768, VOCAB_MAX = 1 << 17, CTX_MAX = 8192 };

static size_t add(struct train_layout *layout, const char *name, uint32_t rows, uint32_t columns, enum kind kind)
{
    const size_t first = layout->count;
    struct train_tensor *tensor = &layout->tensor[layout->tensors++];

    assert(layout->tensors <= TRAIN_TENSORS_MAX);
    *tensor =
        (struct train_tensor){.first = first, .rows = rows, .columns = columns, .is_norm = kind == NORM, .adds = kind == ADDING_MATRIX};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    layout->count += (size_t)rows * columns;
    return first;
}

static size_t add_block(struct train_layout *layout, uint32_t layer, const char *name, uint32_t rows, uint32_t columns, enum kind kind)
{
    char full[TRAIN_NAME_MAX];

    snprintf(full, sizeof full, "blk.%u.%s.weight", layer, name);
    return add(layout, full, rows, columns, kind);
}

static int check(const struct train_shape *shape, struct fail *fail)
{
    const struct {
        const char *name;
        uint32_t value, max;
    } numbers[] = {{"dim", shape->dim, DIM_MAX},     {"hidden", shape->hidden, HIDDEN_MAX},  {"layers", shape->layers, TRAIN_LAYERS_MAX},
                   {"heads", shape->heads, DIM_MAX}, {"kv-heads", shape->kv_heads, DIM_MAX}, {"vocab", shape->vocab, VOCAB_MAX},
                   {"ctx", shape->ctx, CTX_MAX}};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value == 0 || numbers[i].value > numbers[i].max)
            return fail_set(fail, EXIT_USAGE, "--%s %u: out of range: give 1 to %u", numbers[i].name, numbers[i].value, numbers[i].max);
    if (shape->dim % shape->heads != 0 || shape->dim / shape->heads % 2 != 0 || shape->dim / shape->heads > 2 * ROPE_PAIRS_MAX)
        return fail_set(fail, EXIT_USAGE, "--heads %u: does not divide --dim %u into heads of an even size up to %d: give another number",
                        shape->heads, shape->dim, 2 * ROPE_PAIRS_MAX);
    if (shape->heads % shape->kv_heads != 0)
        return fail_set(fail, EXIT_USAGE, "--kv-heads %u: --heads %u is no multiple of it: give a divisor", shape->kv_heads, shape->heads);
    return 0;
}

int train_layout_init(struct train_layout *layout, const struct train_shape *shape, struct fail *fail)
{
    const uint32_t dim = shape->dim, hidden = shape->hidden;

    if (check(shape, fail) < 0)
        return -1;
    memset(layout, 0, sizeof *layout);
    layout->shape = *shape;
    layout->head_dim = dim / shape->heads;
    layout->kv_dim = layout->head_dim * shape->kv_heads;
    layout->qkv_dim = dim + 2 * layout->kv_dim;
    layout->token_embd = add(layout, "token_embd.weight", shape->vocab, dim, MATRIX);
    for (uint32_t i = 0; i < shape->layers; i++) {
        struct train_layer *layer = &layout->layer[i];

        layer->attn_norm = add_block(layout, i, "attn_norm", 1, dim, NORM);
        layer->qkv = add_block(layout, i, "attn_q", dim, dim, MATRIX);
        add_block(layout, i, "attn_k", layout->kv_dim, dim, MATRIX);
        add_block(layout, i, "attn_v", layout->kv_dim, dim, MATRIX);
        layer->wo = add_block(layout, i, "attn_output", dim, dim, ADDING_MATRIX);
        layer->ffn_norm = add_block(layout, i, "ffn_norm", 1, dim, NORM);
        layer->gate_up = add_block(layout, i, "ffn_gate", hidden, dim, MATRIX);
        add_block(layout, i, "ffn_up", hidden, dim, MATRIX);
        layer->down = add_block(layout, i, "ffn_down", dim, hidden, ADDING_MATRIX);
    }
    layout->output_norm = add(layout, "output_norm.weight", 1, dim, NORM);
    return 0;
}

/* Above 0, up to 1. */
static float draw_unit(uint64_t seed, uint64_t tensor, uint64_t index)
{
    return (float)((hash_words3(seed, tensor, index) >> 40) + 1) * 0x1p-24f;
}

/* Box and Muller's method. */
static float draw_normal(uint64_t seed, uint64_t tensor, uint64_t index)
{
    const float radius = sqrtf(-2.0f * canon_logf(draw_unit(seed, tensor, 2 * index)));
    float sine, cosine;

    canon_sincos(6.283185307179586 * (double)draw_unit(seed, tensor, 2 * index + 1), &sine, &cosine);
    return radius * cosine;
}

void train_layout_draw(const struct train_layout *layout, uint64_t seed, float *weights)
{
    const float adds = 1.0f / sqrtf(2.0f * (float)layout->shape.layers);

    for (size_t t = 0; t < layout->tensors; t++) {
        const struct train_tensor *tensor = &layout->tensor[t];
        const size_t count = (size_t)tensor->rows * tensor->columns;

        for (size_t i = 0; i < count; i++)
            weights[tensor->first + i] = tensor->is_norm ? 1.0f : draw_normal(seed, t, i) * (tensor->adds ? 0.02f * adds : 0.02f);
    }
}
