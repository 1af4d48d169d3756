/* The arithmetic as digests, one line each: of every tensor type's dot products, of those of prompts, whose tokens some kernels read side
 * by side, and of every other function of struct kernel, over inputs made from a seed. Each kernel that this CPU supports must give the
 * same bits; the lines are the same on every machine, so cmp can compare two machines. The program needs neither the test library nor any
 * file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/kernel/team.h"
#include "node/kernel/token_panel.h"
#include "node/quantise/quantise.h"
#include "node/train/train_optimiser.h"
#include "node/train/train_pass.h"
#include "tests/unit/dot_case.h"
#include "tests/unit/odd_float.h"

enum {
    VALUES = 1 << 12,
    OUT_STRIDE = DOT_CASE_ROWS,
    HEADS = 3,
    HEAD_DIM = 72, /* no multiple of 16 */
    POSITIONS = 301
};

static struct dot_case a_case;
static uint8_t token_panel[DOT_CASE_TOKENS * sizeof(struct act_slice)] __attribute__((aligned(64)));
static float out[DOT_CASE_TOKENS * OUT_STRIDE];
static float a[VALUES], b[VALUES], result[VALUES];

/* -2 to 2, or with `wide` over all magnitudes that stay finite when squared. */
static void fill(float *values, size_t count, uint64_t seed, bool wide)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = hash_words3(seed, i, 0);
        const uint32_t exponent = (uint32_t)(wide ? 64 + (bits >> 40) % 120 : 112 + (bits >> 40) % 16);
        const uint32_t word = (uint32_t)(bits & 0x807fffffu) | exponent << 23;

        memcpy(&values[i], &word, sizeof word);
    }
}

static uint64_t digest_dot(const struct kernel *kernel, enum tensor_type type)
{
    static const size_t token_counts[] = {1, 3, 8, 13};
    uint64_t digest = 0;

    for (uint64_t i = 0; i < 4 * (uint64_t)DOT_FLAVOURS; i++) {
        const size_t columns = tensor_type_info(type)->block_values == SLICE_COLUMNS ? SLICE_COLUMNS : SLICE_COLUMNS - 32 * (i % 3);

        dot_case_make(&a_case, type, (enum dot_flavour)(i % DOT_FLAVOURS), DOT_CASE_ROWS, columns, token_counts[i / DOT_FLAVOURS], i);
        fill(out, sizeof out / sizeof out[0], i, false);
        dot_case_run(&a_case, kernel, out, OUT_STRIDE, i % 2 == 0);
        digest = hash_bytes(digest, out, sizeof out);
    }
    return digest;
}

/* The case's activations from their wire form, with a value in each token that no quantiser produces: in a token panel if the kernel
 * multiplies this type side by side, otherwise in slices. Then the dot products, and the sums of squares that came with the activations. */
static uint64_t digest_wire(const struct kernel *kernel, bool accumulate, uint64_t digest)
{
    struct dot_case *c = &a_case;
    const bool beside = kernel->tokens != NULL && kernel->tokens->dot[c->type] != NULL;
    struct kernel_tokens_wire wire;

    for (size_t t = 0; t < c->token_count; t++)
        c->x[t].q[t * 5 % c->columns] = -128;
    wire = dot_case_wire(c);
    if (beside) {
        kernel->tokens->put(&wire, token_panel, c->token_count, 0, c->token_count);
        kernel->tokens->dot[c->type](c->panels, dot_case_panel_count(c), c->columns, token_panel, c->token_count, out, OUT_STRIDE,
                                     accumulate);
    } else {
        for (size_t t = 0; t < c->token_count; t++)
            kernel_unpack(wire.data + t * wire.token_stride, wire.block_stride, 0, wire.blocks, wire.with_sumsq, &c->x[t]);
        dot_case_run(c, kernel, out, OUT_STRIDE, accumulate);
    }
    for (size_t t = 0; t < c->token_count; t++) {
        for (size_t i = 0; i < wire.blocks; i++) {
            const float *sumsq = beside ? token_sumsq(token_panel, token_place(c->token_count, t), i) : &c->x[t].sumsq[i];

            digest = hash_bytes(digest, sumsq, sizeof *sumsq);
        }
    }
    return hash_bytes(digest, out, sizeof out);
}

/* Tokens of a prompt, as many as make groups of every size. */
static uint64_t digest_prompt(const struct kernel *kernel, int type)
{
    static const size_t token_counts[] = {9, 11, 13, 64};
    uint64_t digest = 0;

    for (uint64_t i = 0; i < 4 * (uint64_t)DOT_FLAVOURS; i++) {
        const size_t columns = tensor_type_info((enum tensor_type)type)->block_values == SLICE_COLUMNS ? SLICE_COLUMNS : 32 * (8 - i % 3);
        const size_t rows = DOT_CASE_ROWS - PANEL_ROWS * (i % 2);

        dot_case_make(&a_case, (enum tensor_type)type, (enum dot_flavour)(i % DOT_FLAVOURS), rows, columns, token_counts[i / DOT_FLAVOURS],
                      i);
        fill(out, sizeof out / sizeof out[0], i, false);
        digest = digest_wire(kernel, i % 3 == 0, digest);
    }
    return digest;
}

static uint64_t digest_quantise(const struct kernel *kernel, int wide)
{
    static uint8_t wire[VALUES / BLOCK_COLUMNS * BLOCK_WIRE_BYTES];

    fill(a, VALUES, 1, wide != 0);
    if (kernel->quantise(a, VALUES / BLOCK_COLUMNS, wire, BLOCK_WIRE_BYTES) != -1)
        return 0;
    return hash_bytes(0, wire, sizeof wire);
}

/* Weights converted to every type, as by `mesh-node quantize`; no kernel takes part. */
static uint64_t digest_pack(const struct kernel *kernel, int wide)
{
    static uint8_t packed[VALUES * sizeof(float)];
    uint64_t digest = 0;

    (void)kernel;
    fill(a, VALUES, 2, wide != 0);
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        quantise(dot_case_types[i], a, VALUES, packed);
        digest = hash_bytes(digest, packed, tensor_type_bytes(dot_case_types[i], VALUES));
    }
    return digest;
}

static uint64_t digest_sumsq(const struct kernel *kernel, int wide)
{
    fill(a, VALUES, 2, wide != 0);
    for (size_t i = 0; i < VALUES / BLOCK_COLUMNS; i++)
        result[i] = kernel->sumsq(a + i * BLOCK_COLUMNS);
    return hash_bytes(0, result, VALUES / BLOCK_COLUMNS * sizeof result[0]);
}

static uint64_t digest_scale(const struct kernel *kernel, int wide)
{
    fill(a, VALUES, 3, wide != 0);
    fill(b, VALUES, 4, wide != 0);
    kernel->scale(a, b, VALUES, result);
    return hash_bytes(0, result, sizeof result);
}

static uint64_t digest_swiglu(const struct kernel *kernel, int wide)
{
    fill(a, VALUES, 5, wide != 0);
    fill(b, VALUES, 6, false);
    kernel->swiglu(a, b, VALUES - 3, result);
    return hash_bytes(0, result, (VALUES - 3) * sizeof result[0]);
}

static uint64_t digest_rope(const struct kernel *kernel, int halves)
{
    fill(result, VALUES, 7, false);
    fill(a, VALUES / 2, 8, false);
    fill(b, VALUES / 2, 9, false);
    (halves != 0 ? kernel->rope_halves : kernel->rope)(result, a, b, VALUES / 2);
    return hash_bytes(0, result, sizeof result);
}

static uint64_t digest_attend(const struct kernel *kernel, int type)
{
    const size_t bytes = kernel_kv_bytes((enum kv_type)type, HEAD_DIM, POSITIONS);
    struct attend attend = {.q = a, .out = result, .heads = HEADS, .head_dim = HEAD_DIM, .scale = 0.125f, .type = (enum kv_type)type};
    void *k = aligned_alloc(64, bytes), *v = aligned_alloc(64, bytes);
    uint64_t digest = 0;

    attend.scratch = malloc(kernel_attend_scratch_floats(HEADS, POSITIONS) * sizeof(float));
    if (k == NULL || v == NULL || attend.scratch == NULL)
        abort();
    memset(k, 0, bytes);
    memset(v, 0, bytes);
    attend.k = k;
    attend.v = v;
    for (uint32_t position = 0; position < POSITIONS; position++) {
        fill(a, HEAD_DIM, 10 + 2 * (uint64_t)position, false);
        fill(b, HEAD_DIM, 11 + 2 * (uint64_t)position, false);
        kernel_kv_store((enum kv_type)type, HEAD_DIM, position, a, b, k, v);
        if (position % 50 != 0 && position != POSITIONS - 1)
            continue;
        attend.positions = position + 1;
        fill(a, (size_t)HEADS * HEAD_DIM, position, false);
        kernel->attend(&attend);
        digest = hash_bytes(digest, result, HEADS * HEAD_DIM * sizeof result[0]);
    }
    free(k);
    free(v);
    free(attend.scratch);
    return digest;
}

/* Three steps of training a tiny model: all of its computations. */
static uint64_t digest_train(const struct kernel *kernel, int variant)
{
    static const struct train_shape shape = {.dim = 40, .hidden = 56, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 50, .ctx = 33};
    static struct train_layout layout;
    static struct train_pass pass;
    struct train_state state = {.setup = {.steps = 10, .warmup = 2, .rate = 0.01f, .decay = 0.1f, .clip = 1.0f}};
    struct fail fail = {0};
    struct team *team = team_open(2, &fail);
    uint32_t id[2 * 33], target[2 * 33];
    uint64_t digest = 0;

    (void)variant;
    if (team == NULL || train_layout_init(&layout, &shape, &fail) < 0)
        abort();
    state.count = layout.count;
    state.weights = calloc(state.count, sizeof(float));
    state.momentum = calloc(state.count, sizeof(float));
    state.spread = calloc(state.count, sizeof(float));
    if (state.weights == NULL || state.momentum == NULL || state.spread == NULL)
        abort();
    train_layout_draw(&layout, 1, state.weights);
    if (train_pass_open(&pass, &layout, kernel, team, 2, state.weights, &fail) < 0)
        abort();
    for (size_t i = 0; i < 2 * 33; i++) {
        id[i] = (uint32_t)(hash_words3(1, i, 0) % shape.vocab);
        target[i] = (uint32_t)(hash_words3(2, i, 0) % shape.vocab);
    }
    for (; state.step < 3; state.step++) {
        float loss = train_pass_forward(&pass, id, target);

        train_pass_backward(&pass);
        digest = hash_bytes(digest, &loss, sizeof loss);
        digest = hash_bytes(digest, pass.gradient, state.count * sizeof(float));
        train_optimiser_step(&state, &layout, kernel, team, pass.gradient, train_gradient_norm(kernel, team, pass.gradient, state.count));
    }
    digest = hash_bytes(digest, state.weights, state.count * sizeof(float));
    train_pass_close(&pass);
    team_close(team);
    free(state.weights);
    free(state.momentum);
    free(state.spread);
    return digest;
}

typedef uint64_t digest_function(const struct kernel *kernel, int variant);

/* Prints the digest that all kernels agree on; otherwise each kernel's, to stderr, and returns false. */
static bool print_digest(const char *name, digest_function *digest, int variant)
{
    const uint64_t expected = digest(kernel_choose("scalar"), variant);
    const struct kernel *kernel;
    bool same = true;

    for (size_t i = 0; (kernel = kernel_at(i)) != NULL; i++) {
        const uint64_t found = kernel->supported() ? digest(kernel, variant) : expected;

        if (found != expected)
            fprintf(stderr, "%s: kernel %s gives %016llx, scalar %016llx\n", name, kernel->name, (unsigned long long)found,
                    (unsigned long long)expected);
        same = same && found == expected;
    }
    printf("%-13s %016llx\n", name, (unsigned long long)expected);
    return same;
}

static uint64_t digest_type(const struct kernel *kernel, int type)
{
    return digest_dot(kernel, (enum tensor_type)type);
}

int main(void)
{
    static const struct {
        const char *name;
        digest_function *digest;
        int variant;
    } functions[] = {
        {"quantise", digest_quantise, 0},
        {"quantise_wide", digest_quantise, 1},
        {"pack", digest_pack, 0},
        {"pack_wide", digest_pack, 1},
        {"sumsq", digest_sumsq, 0},
        {"sumsq_wide", digest_sumsq, 1},
        {"scale", digest_scale, 0},
        {"scale_wide", digest_scale, 1},
        {"swiglu", digest_swiglu, 0},
        {"swiglu_wide", digest_swiglu, 1},
        {"rope", digest_rope, 0},
        {"rope_halves", digest_rope, 1},
        {"attend_f16", digest_attend, KV_F16},
        {"attend_f32", digest_attend, KV_F32},
        {"attend_q8_0", digest_attend, KV_Q8_0},
        {"train", digest_train, 0},
    };
    bool same = true;

    odd_float_set(); /* which must have no effect */
    kernel_thread_init();
    for (size_t i = 0; i < DOT_CASE_TYPES; i++)
        same &= print_digest(tensor_type_name(dot_case_types[i]), digest_type, (int)dot_case_types[i]);
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        const struct tensor_type_info *info = tensor_type_info(dot_case_types[i]);
        char name[32];

        snprintf(name, sizeof name, "%s_prompt", info->name);
        same &= info->is_float || print_digest(name, digest_prompt, (int)dot_case_types[i]);
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        same &= print_digest(functions[i].name, functions[i].digest, functions[i].variant);
    return same ? 0 : 1;
}
