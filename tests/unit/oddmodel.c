#include "oddmodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dot_case.h"
#include "node/common/hash.h"
#include "node/gguf/gguf_write.h"
#include "node/quantise/quantise.h"

enum { NAME_BYTES = 64, LAYER_TENSORS = 9, LAYER_VECTORS = 3 /* biases or norms of heads */ };

struct tensor {
    char name[NAME_BYTES];
    uint64_t columns, rows; /* rows 0: a vector */
    enum tensor_type type;
};

enum tensor_type oddmodel_any_type(const char *name, uint64_t columns, uint64_t seed)
{
    uint64_t draw = hash_bytes(seed, name, strlen(name));
    enum tensor_type type;

    do {
        draw = hash_mix64(draw);
        type = dot_case_types[draw % DOT_CASE_TYPES];
    } while (columns % tensor_type_info(type)->block_values != 0);
    return type;
}

static void name_tensor(struct tensor *t, const char *name, uint64_t columns, uint64_t rows)
{
    snprintf(t->name, sizeof t->name, "%s", name);
    t->columns = columns;
    t->rows = rows;
}

static const struct architecture *architecture_of(const struct oddmodel_shape *s)
{
    const char *name = s->architecture == NULL ? "llama" : s->architecture;

    return architecture_find(name, strlen(name));
}

static uint32_t list_vectors(const struct oddmodel_shape *s, uint32_t layer, struct tensor *list)
{
    static const char *const names[][LAYER_VECTORS] = {{"attn_q.bias", "attn_k.bias", "attn_v.bias"},
                                                       {"attn_q_norm.weight", "attn_k_norm.weight"}};
    const bool has_biases = architecture_of(s)->has_biases;
    uint32_t count = has_biases ? 3 : architecture_of(s)->has_head_norms ? 2 : 0;

    for (uint32_t i = 0; i < count; i++) {
        char name[NAME_BYTES];

        snprintf(name, sizeof name, "blk.%u.%s", layer, names[has_biases ? 0 : 1][i]);
        name_tensor(&list[i], name, (uint64_t)(has_biases ? i == 0 ? s->heads : s->kv_heads : 1) * s->head_dim, 0);
    }
    return count;
}

static uint32_t list_tensors(const struct oddmodel_shape *s, struct tensor *list)
{
    static const char *const names[LAYER_TENSORS] = {"attn_norm", "attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_norm",  "ffn_gate", "ffn_up", "ffn_down"};
    const uint64_t z = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    const uint64_t columns[LAYER_TENSORS] = {s->dim, s->dim, s->dim, s->dim, z, s->dim, s->dim, s->dim, s->hidden};
    const uint64_t rows[LAYER_TENSORS] = {0, z, kv, kv, s->dim, 0, s->hidden, s->hidden, s->dim};
    uint32_t count = 0;

    name_tensor(&list[count++], "token_embd.weight", s->dim, s->vocab);
    name_tensor(&list[count++], "output_norm.weight", s->dim, 0);
    if (!s->is_tied)
        name_tensor(&list[count++], "output.weight", s->dim, s->vocab);
    for (uint32_t i = 0; i < s->layers * LAYER_TENSORS; i++) {
        char name[NAME_BYTES];

        snprintf(name, sizeof name, "blk.%u.%s.weight", i / LAYER_TENSORS, names[i % LAYER_TENSORS]);
        name_tensor(&list[count++], name, columns[i % LAYER_TENSORS], rows[i % LAYER_TENSORS]);
    }
    for (uint32_t i = 0; i < s->layers; i++)
        count += list_vectors(s, i, &list[count]);
    return count;
}

static void write_values(struct gguf_write *w, const struct oddmodel_shape *s)
{
    const struct {
        const char *name;
        uint32_t value;
    } values[] = {
        {"embedding_length", s->dim},
        {"feed_forward_length", s->hidden},
        {"block_count", s->layers},
        {"attention.head_count", s->heads},
        {"attention.head_count_kv", s->kv_heads},
        {"attention.key_length", s->head_dim},
        {"attention.value_length", s->head_dim},
        {"context_length", s->ctx},
        {"rope.dimension_count", s->rope_dims},
    };
    char key[ARCHITECTURE_KEY_BYTES];

    gguf_write_string(w, "general.architecture", architecture_of(s)->name);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        gguf_write_u32(w, architecture_key(architecture_of(s), values[i].name, key), values[i].value);
}

/* Uniform, so that a row of inputs near 1 gives a result near 1; norms are near 1 themselves, biases near 0. */
static void fill(const struct tensor *t, uint64_t seed, uint8_t *data)
{
    const uint64_t count = t->columns * (t->rows > 0 ? t->rows : 1), key = hash_bytes(seed, t->name, strlen(t->name));
    const bool is_norm = t->rows == 0 && strstr(t->name, ".bias") == NULL;
    const double spread = is_norm ? 0.25 : t->rows == 0 ? 1 : sqrt(3.0 / (double)t->columns), mean = is_norm ? 1 : 0;
    float *values = malloc(count * sizeof *values);

    assert_non_null(values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)(mean + spread * ((double)(hash_words3(key, i, 0) >> 11) * 0x1p-52 - 1));
    quantise(t->type, values, count, data);
    free(values);
}

void oddmodel_open(struct oddmodel *odd, const struct oddmodel_shape *shape, oddmodel_type_fn *type_of)
{
    struct tensor *list = calloc(3 + shape->layers * (LAYER_TENSORS + LAYER_VECTORS), sizeof *list);
    const uint32_t count = list_tensors(shape, list);
    struct gguf_write w;
    struct fail fail = {0};

    gguf_write_init(&w);
    write_values(&w, shape);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t dims[] = {list[i].columns, list[i].rows};

        list[i].type = list[i].rows == 0 ? TYPE_F32 : type_of(list[i].name, list[i].columns, shape->seed);
        gguf_write_tensor(&w, list[i].name, list[i].type, dims, list[i].rows == 0 ? 1 : 2);
    }
    assert_int_equal(gguf_write_finish(&w, &fail), 0);
    odd->bytes = calloc(1, w.size + (size_t)w.data_size);
    assert_non_null(odd->bytes);
    memcpy(odd->bytes, w.bytes, w.size);
    odd->gguf = gguf_parse("odd.gguf", odd->bytes, w.size + (size_t)w.data_size, &fail);
    gguf_write_release(&w);
    for (uint32_t i = 0; odd->gguf != NULL && i < count; i++) {
        const uint64_t at = gguf_offset(odd->gguf, gguf_find_tensor(odd->gguf, list[i].name)->data);

        fill(&list[i], shape->seed, odd->bytes + at);
    }
    free(list);
    odd->model = odd->gguf == NULL ? NULL : model_open(odd->gguf, &fail);
    if (odd->model == NULL)
        fail_msg("%s", fail.text);
}

void oddmodel_close(struct oddmodel *odd)
{
    model_close(odd->model);
    gguf_close(odd->gguf);
    free(odd->bytes);
}
