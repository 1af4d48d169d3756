/* Logits of models of each architecture, with weights in f32, against those of another implementation: in double precision, from the
 * definitions in the papers, one token and one head after the other, with the file's tensors found by their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_logits.h"
#include "oddmodel.h"

enum { POSITIONS = 14, VALUES_MAX = 1024, VOCAB = 130, LAYERS = 2 };

/* What the reference computes: what the architecture is said to have, or something else. */
struct definition {
    bool has_biases, has_head_norms, turns_halves;
};

static uint32_t ids[POSITIONS] = {1, 64, 17, 129, 63, 5, 88, 31, 45, 102, 9, 70, 33, 120};

struct reference {
    const struct oddmodel_shape *shape;
    const struct gguf *gguf;
    struct definition as;
    double k[LAYERS][POSITIONS][VALUES_MAX], v[LAYERS][POSITIONS][VALUES_MAX];
};

/* The values of a tensor: of a layer, or, with -1, of the model. */
static const float *values_of(const struct reference *r, int layer, const char *name)
{
    char full[64];

    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    const struct gguf_tensor *tensor = gguf_find_tensor(r->gguf, full);
    assert_non_null(tensor);
    assert_int_equal(tensor->type, TYPE_F32);
    return (const float *)(const void *)tensor->data;
}

/* y = W x, W of `rows` rows. */
static void multiply(const float *w, const double *x, uint32_t columns, uint32_t rows, double *y)
{
    for (uint32_t row = 0; row < rows; row++) {
        y[row] = 0;
        for (uint32_t i = 0; i < columns; i++)
            y[row] += (double)w[(size_t)row * columns + i] * x[i];
    }
}

/* RMSNorm (Zhang and Sennrich 2019): x divided by the root of its mean square, times weights. */
static void normalise(const float *weights, const double *x, uint32_t count, double *y)
{
    double squares = 0;

    for (uint32_t i = 0; i < count; i++)
        squares += x[i] * x[i];
    for (uint32_t i = 0; i < count; i++)
        y[i] = (double)weights[i] * x[i] / sqrt(squares / count + 1e-5);
}

/* Rotary embedding (Su et al. 2021) of a head's first n columns: neighbours form pairs, or columns half of n apart. */
static void rotate(const struct reference *r, double *head, uint32_t position)
{
    const uint32_t n = r->shape->rope_dims;

    for (uint32_t i = 0; i < n / 2; i++) {
        const double angle = position * pow(10000, -2.0 * i / n);
        double *a = r->as.turns_halves ? &head[i] : &head[2 * i], *b = r->as.turns_halves ? &head[i + n / 2] : &head[2 * i + 1];
        const double x = *a, y = *b;

        *a = x * cos(angle) - y * sin(angle);
        *b = x * sin(angle) + y * cos(angle);
    }
}

/* which: "q", "k" or "v". */
static void project(const struct reference *r, int layer, const char *which, const double *x, uint32_t heads, double *y)
{
    const uint32_t rows = heads * r->shape->head_dim;
    char name[32];

    snprintf(name, sizeof name, "attn_%s.weight", which);
    multiply(values_of(r, layer, name), x, r->shape->dim, rows, y);
    snprintf(name, sizeof name, "attn_%s.bias", which);
    for (uint32_t i = 0; r->as.has_biases && i < rows; i++)
        y[i] += (double)values_of(r, layer, name)[i];
}

static void turn_heads(const struct reference *r, int layer, const char *which, uint32_t position, uint32_t heads, double *y)
{
    char name[32];

    snprintf(name, sizeof name, "attn_%s_norm.weight", which);
    for (uint32_t head = 0; head < heads; head++, y += r->shape->head_dim) {
        if (r->as.has_head_norms)
            normalise(values_of(r, layer, name), y, r->shape->head_dim, y);
        rotate(r, y, position);
    }
}

/* Of one head, over the positions so far. */
static void attend(const struct reference *r, int layer, uint32_t position, uint32_t head, const double *q, double *z)
{
    const uint32_t size = r->shape->head_dim, at = head / (r->shape->heads / r->shape->kv_heads) * size;
    double weight[POSITIONS], sum = 0;

    for (uint32_t j = 0; j <= position; j++) {
        weight[j] = 0;
        for (uint32_t i = 0; i < size; i++)
            weight[j] += q[i] * r->k[layer][j][at + i];
        weight[j] = exp(weight[j] / sqrt(size));
        sum += weight[j];
    }
    for (uint32_t i = 0; i < size; i++) {
        z[i] = 0;
        for (uint32_t j = 0; j <= position; j++)
            z[i] += weight[j] / sum * r->v[layer][j][at + i];
    }
}

static void run_layer(struct reference *r, int layer, uint32_t position, double *x)
{
    const struct oddmodel_shape *s = r->shape;
    static double normed[VALUES_MAX], q[VALUES_MAX], z[VALUES_MAX], gate[VALUES_MAX], up[VALUES_MAX], more[VALUES_MAX];

    normalise(values_of(r, layer, "attn_norm.weight"), x, s->dim, normed);
    project(r, layer, "q", normed, s->heads, q);
    project(r, layer, "k", normed, s->kv_heads, r->k[layer][position]);
    project(r, layer, "v", normed, s->kv_heads, r->v[layer][position]);
    turn_heads(r, layer, "q", position, s->heads, q);
    turn_heads(r, layer, "k", position, s->kv_heads, r->k[layer][position]);
    for (uint32_t head = 0; head < s->heads; head++)
        attend(r, layer, position, head, q + head * s->head_dim, z + head * s->head_dim);
    multiply(values_of(r, layer, "attn_output.weight"), z, s->heads * s->head_dim, s->dim, more);
    for (uint32_t i = 0; i < s->dim; i++)
        x[i] += more[i];
    normalise(values_of(r, layer, "ffn_norm.weight"), x, s->dim, normed);
    multiply(values_of(r, layer, "ffn_gate.weight"), normed, s->dim, s->hidden, gate);
    multiply(values_of(r, layer, "ffn_up.weight"), normed, s->dim, s->hidden, up);
    for (uint32_t i = 0; i < s->hidden; i++)
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    multiply(values_of(r, layer, "ffn_down.weight"), gate, s->hidden, s->dim, more);
    for (uint32_t i = 0; i < s->dim; i++)
        x[i] += more[i];
}

/* logits: (POSITIONS, VOCAB) */
static void compute(const struct oddmodel *odd, const struct oddmodel_shape *shape, struct definition as, double logits[POSITIONS][VOCAB])
{
    static struct reference r;
    double x[VALUES_MAX], normed[VALUES_MAX];

    r = (struct reference){.shape = shape, .gguf = odd->gguf, .as = as};
    for (uint32_t position = 0; position < POSITIONS; position++) {
        for (uint32_t i = 0; i < shape->dim; i++)
            x[i] = (double)values_of(&r, -1, "token_embd.weight")[ids[position] * shape->dim + i];
        for (int layer = 0; layer < LAYERS; layer++)
            run_layer(&r, layer, position, x);
        normalise(values_of(&r, -1, "output_norm.weight"), x, shape->dim, normed);
        multiply(values_of(&r, -1, shape->is_tied ? "token_embd.weight" : "output.weight"), normed, shape->dim, VOCAB, logits[position]);
    }
}

/* Root of (sum of squared differences / sum of squared references). */
static double distance(const float *ours, double expected[POSITIONS][VOCAB])
{
    double difference = 0, total = 0;

    for (size_t i = 0; i < (size_t)POSITIONS * VOCAB; i++) {
        const double value = expected[i / VOCAB][i % VOCAB];

        difference += ((double)ours[i] - value) * ((double)ours[i] - value);
        total += value * value;
    }
    return sqrt(difference / total);
}

static enum tensor_type always_f32(const char *name, uint64_t columns, uint64_t seed)
{
    (void)name;
    (void)columns;
    (void)seed;
    return TYPE_F32;
}

/* The engine's logits are those of the definition to within rounding, and far from those of another definition. */
static void check(struct oddmodel_shape shape, struct definition as, const struct definition *others, size_t other_count)
{
    static double expected[POSITIONS][VOCAB];
    static float ours[POSITIONS * VOCAB], three[POSITIONS * VOCAB];
    struct oddmodel odd;

    shape.layers = LAYERS;
    shape.vocab = VOCAB;
    shape.ctx = 64;
    oddmodel_open(&odd, &shape, always_f32);
    model_logits(odd.model, 1, KV_F32, ids, POSITIONS, ours);
    model_logits(odd.model, 3, KV_F32, ids, POSITIONS, three);
    assert_memory_equal(ours, three, sizeof ours);
    compute(&odd, &shape, as, expected);
    print_message("%s, heads of %u: %.2g\n", shape.architecture, shape.head_dim, distance(ours, expected));
    assert_true(distance(ours, expected) < 2e-6);
    for (size_t i = 0; i < other_count; i++) {
        compute(&odd, &shape, others[i], expected);
        assert_true(distance(ours, expected) > 0.01);
    }
    oddmodel_close(&odd);
}

static const struct oddmodel_shape shapes[] = {
    {.dim = 96, .hidden = 160, .heads = 4, .kv_heads = 2, .head_dim = 24, .rope_dims = 24, .seed = 1},
    {.dim = 64, .hidden = 96, .heads = 6, .kv_heads = 2, .head_dim = 128, .rope_dims = 128, .is_tied = true, .seed = 2},
    {.dim = 100, .hidden = 130, .heads = 3, .kv_heads = 1, .head_dim = 40, .rope_dims = 12, .seed = 3},
};

static void check_shapes(const char *architecture, struct definition as, const struct definition *others, size_t other_count)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct oddmodel_shape shape = shapes[i];

        shape.architecture = architecture;
        check(shape, as, others, other_count);
    }
}

static void llama_turns_neighbours(void **state)
{
    static const struct definition others[] = {{.turns_halves = true}};

    (void)state;
    check_shapes("llama", (struct definition){0}, others, 1);
}

static void qwen2_adds_biases_and_turns_halves(void **state)
{
    static const struct definition others[] = {{.turns_halves = true}, {.has_biases = true}};

    (void)state;
    check_shapes("qwen2", (struct definition){.has_biases = true, .turns_halves = true}, others, 2);
}

static void qwen3_normalises_heads_before_it_turns_halves(void **state)
{
    static const struct definition others[] = {{.turns_halves = true}, {.has_head_norms = true}};

    (void)state;
    check_shapes("qwen3", (struct definition){.has_head_norms = true, .turns_halves = true}, others, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_turns_neighbours),
        cmocka_unit_test(qwen2_adds_biases_and_turns_halves),
        cmocka_unit_test(qwen3_normalises_heads_before_it_turns_halves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
