#include "model.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/gguf/tensor_type.h"

size_t model_row_bytes(const struct gguf_tensor *tensor)
{
    return tensor_type_bytes((enum tensor_type)tensor->type, tensor->dims[0]);
}

void model_read_vector(const struct gguf_tensor *tensor, uint32_t count, float *out)
{
    const uint8_t *bytes = gguf_tensor_bytes(tensor, 0, count * sizeof *out, (uint8_t *)out);

    if (bytes != (uint8_t *)out)
        memcpy(out, bytes, count * sizeof *out);
}

static int read_architecture(const struct gguf *gguf, const struct architecture **out, struct fail *fail)
{
    struct gguf_string arch;
    char shown[GGUF_SHOWN_NAME_BYTES];
    uint64_t split_count = 1;

    int found = gguf_get_string(gguf, "general.architecture", &arch, fail);
    if (found < 0)
        return -1;
    if (found == 0)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: no general.architecture: the file holds no model: give a GGUF model of architecture " ARCHITECTURE_NAMES,
                        gguf_path(gguf));
    *out = architecture_find(arch.text, arch.size);
    if (*out == NULL) {
        gguf_show_name(&arch, shown);
        return fail_set(fail, EXIT_BAD_FILE, "%s: architecture '%s': not supported: use a model of architecture " ARCHITECTURE_NAMES,
                        gguf_path(gguf), shown);
    }
    if (gguf_get_uint(gguf, "split.count", UINT16_MAX, &split_count, fail) < 0)
        return -1;
    if (split_count > 1)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: split.count is %" PRIu64 ": files split into parts are not supported: join the parts into one file first",
                        gguf_path(gguf), split_count);
    return 0;
}

/* A dimension from the metadata, 1..max; *out keeps its value as the default when the key is absent and is_required is false. */
static int read_dimension(const struct model *m, const char *name, uint64_t max, bool is_required, uint32_t *out, struct fail *fail)
{
    char key[ARCHITECTURE_KEY_BYTES];
    uint64_t value = *out;

    int found = gguf_get_uint(m->gguf, architecture_key(m->architecture, name, key), max, &value, fail);
    if (found < 0)
        return -1;
    if (found == 0 && is_required)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is missing: the file is no complete model: convert it again", gguf_path(m->gguf), key);
    if (value == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is 0: must be 1 to %" PRIu64 ": convert the file again", gguf_path(m->gguf), key, max);
    *out = (uint32_t)value;
    return 0;
}

static int read_heads(struct model *m, struct fail *fail)
{
    const char *path = gguf_path(m->gguf), *architecture = m->architecture->name;
    uint32_t value_length;

    m->kv_heads = m->heads;
    if (read_dimension(m, "attention.head_count_kv", MODEL_DIM_MAX, false, &m->kv_heads, fail) < 0)
        return -1;
    m->head_dim = m->dim / m->heads;
    if (m->head_dim == 0)
        m->head_dim = 1;
    if (read_dimension(m, "attention.key_length", 4096, false, &m->head_dim, fail) < 0)
        return -1;
    value_length = m->head_dim;
    if (read_dimension(m, "attention.value_length", 4096, false, &value_length, fail) < 0)
        return -1;
    if (value_length != m->head_dim)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: %s.attention.value_length %u differs from key_length %u: not supported: use another model", path, architecture,
                        value_length, m->head_dim);
    if (m->heads % m->kv_heads != 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s.attention.head_count %u is no multiple of head_count_kv %u: convert the file again",
                        path, architecture, m->heads, m->kv_heads);
    if ((uint64_t)m->heads * m->head_dim > MODEL_DIM_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %u heads of %u values: more than %d: convert the file again", path, m->heads, m->head_dim,
                        MODEL_DIM_MAX);
    return 0;
}

static int read_epsilon(struct model *m, struct fail *fail)
{
    char key[ARCHITECTURE_KEY_BYTES];

    m->norm_eps = 1e-5f;
    if (gguf_get_float(m->gguf, architecture_key(m->architecture, "attention.layer_norm_rms_epsilon", key), &m->norm_eps, fail) < 0)
        return -1;
    if (!(m->norm_eps >= 0.0f && m->norm_eps < 1.0f))
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is %g: must be 0 to 1: convert the file again", gguf_path(m->gguf), key,
                        (double)m->norm_eps);
    return 0;
}

static int read_dimensions(struct model *m, struct fail *fail)
{
    if (read_dimension(m, "embedding_length", MODEL_DIM_MAX, true, &m->dim, fail) < 0 ||
        read_dimension(m, "feed_forward_length", MODEL_DIM_MAX, true, &m->hidden, fail) < 0 ||
        read_dimension(m, "block_count", MODEL_LAYERS_MAX, true, &m->layers, fail) < 0 ||
        read_dimension(m, "attention.head_count", MODEL_DIM_MAX, true, &m->heads, fail) < 0 ||
        read_dimension(m, "context_length", MODEL_CTX_MAX, true, &m->ctx, fail) < 0)
        return -1;
    return read_heads(m, fail) < 0 ? -1 : read_epsilon(m, fail);
}

/* What would be computed as if it were not there: the text would silently be another one. A window as long as the context leaves nothing
 * out. Embedding models may let a position attend to later ones. */
static int check_kind(const struct model *m, struct fail *fail)
{
    char experts_key[ARCHITECTURE_KEY_BYTES], window_key[ARCHITECTURE_KEY_BYTES], causal_key[ARCHITECTURE_KEY_BYTES],
        sections_key[ARCHITECTURE_KEY_BYTES];
    const char *path = gguf_path(m->gguf);
    uint64_t experts = 0, window = 0;
    bool is_causal = true;

    if (gguf_get_uint(m->gguf, architecture_key(m->architecture, "expert_count", experts_key), UINT32_MAX, &experts, fail) < 0 ||
        gguf_get_uint(m->gguf, architecture_key(m->architecture, "attention.sliding_window", window_key), UINT32_MAX, &window, fail) < 0 ||
        gguf_get_bool(m->gguf, architecture_key(m->architecture, "attention.causal", causal_key), &is_causal, fail) < 0)
        return -1;
    if (experts > 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is %" PRIu64 ": mixtures of experts are not supported: use a dense model", path,
                        experts_key, experts);
    if (window > 0 && window < m->ctx)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is %" PRIu64 ": sliding windows are not supported: use another model", path,
                        window_key, window);
    if (!is_causal)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is false: not supported: use a model that generates text", path, causal_key);
    if (gguf_find(m->gguf, architecture_key(m->architecture, "rope.dimension_sections", sections_key)) != NULL)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is there: rope in sections is not supported: use a model for text alone", path,
                        sections_key);
    return 0;
}

static int check_shape(const struct gguf *gguf, const char *name, const struct gguf_tensor *t, uint64_t columns, uint64_t rows,
                       struct fail *fail)
{
    if (t->dims[0] != columns || t->dims[1] != rows || t->dims[2] != 1 || t->dims[3] != 1)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: tensor '%s': shape %" PRIu64 " x %" PRIu64 " x %" PRIu64 ", expected %" PRIu64 " x %" PRIu64
                        ": tensors and metadata disagree: convert the file again",
                        gguf_path(gguf), name, t->dims[0], t->dims[1], t->dims[2], columns, rows);
    return 0;
}

static int find_tensor(const struct model *m, const char *name, uint64_t columns, uint64_t rows, const struct gguf_tensor **out,
                       struct fail *fail)
{
    const struct gguf *gguf = m->gguf;
    const struct gguf_tensor *t = gguf_find_tensor(gguf, name);

    if (t == NULL)
        return fail_set(fail, EXIT_BAD_FILE, "%s: tensor '%s' is missing: the file is no complete %s model: convert it again",
                        gguf_path(gguf), name, m->architecture->name);
    if (check_shape(gguf, name, t, columns, rows, fail) < 0)
        return -1;
    if (tensor_type_info(t->type) == NULL)
        return fail_set(fail, EXIT_BAD_FILE, "%s: tensor '%s': type %s (%u) is not supported: quantise the model to one of %s",
                        gguf_path(gguf), name, tensor_type_name(t->type), t->type, TENSOR_TYPE_NAMES);
    *out = t;
    return 0;
}

/* what: "norm weights" or "biases". */
static int find_vector(const struct model *m, const char *name, uint64_t count, const char *what, const struct gguf_tensor **out,
                       struct fail *fail)
{
    if (find_tensor(m, name, count, 1, out, fail) < 0)
        return -1;
    if ((*out)->type != TYPE_F32)
        return fail_set(fail, EXIT_BAD_FILE, "%s: tensor '%s': %s of type %s: must be f32: convert the file again", gguf_path(m->gguf),
                        name, what, tensor_type_name((*out)->type));
    return 0;
}

/* What only some architectures have. */
static int find_more(struct model *m, uint32_t index, struct fail *fail)
{
    struct model_layer *layer = &m->layer[index];
    const uint64_t z = (uint64_t)m->heads * m->head_dim, kv = (uint64_t)m->kv_heads * m->head_dim;
    const bool has_biases = m->architecture->has_biases, has_head_norms = m->architecture->has_head_norms;
    const struct {
        bool is_wanted;
        const char *name, *what;
        uint64_t count;
        const struct gguf_tensor **out;
    } vectors[] = {
        {has_biases, "attn_q.bias", "biases", z, &layer->q_bias},
        {has_biases, "attn_k.bias", "biases", kv, &layer->k_bias},
        {has_biases, "attn_v.bias", "biases", kv, &layer->v_bias},
        {has_head_norms, "attn_q_norm.weight", "norm weights", m->head_dim, &layer->q_norm},
        {has_head_norms, "attn_k_norm.weight", "norm weights", m->head_dim, &layer->k_norm},
    };
    char name[64];

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        snprintf(name, sizeof name, "blk.%u.%s", index, vectors[i].name);
        if (vectors[i].is_wanted && find_vector(m, name, vectors[i].count, vectors[i].what, vectors[i].out, fail) < 0)
            return -1;
    }
    return 0;
}

static int find_layer(struct model *m, uint32_t index, struct fail *fail)
{
    struct model_layer *layer = &m->layer[index];
    uint64_t dim = m->dim, hidden = m->hidden;
    uint64_t z = (uint64_t)m->heads * m->head_dim, kv = (uint64_t)m->kv_heads * m->head_dim;
    const struct {
        const char *stem;
        uint64_t columns, rows; /* rows 0: a norm vector */
        const struct gguf_tensor **out;
    } wanted[] = {
        {"attn_norm", dim, 0, &layer->attn_norm}, {"attn_q", dim, z, &layer->q},       {"attn_k", dim, kv, &layer->k},
        {"attn_v", dim, kv, &layer->v},           {"attn_output", z, dim, &layer->wo}, {"ffn_norm", dim, 0, &layer->ffn_norm},
        {"ffn_gate", dim, hidden, &layer->gate},  {"ffn_up", dim, hidden, &layer->up}, {"ffn_down", hidden, dim, &layer->down},
    };
    char name[64];

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        snprintf(name, sizeof name, "blk.%u.%s.weight", index, wanted[i].stem);
        int err = wanted[i].rows == 0 ? find_vector(m, name, m->dim, "norm weights", wanted[i].out, fail)
                                      : find_tensor(m, name, wanted[i].columns, wanted[i].rows, wanted[i].out, fail);
        if (err < 0)
            return -1;
    }
    return find_more(m, index, fail);
}

static bool is_text(const char *text, size_t size, const char *expected)
{
    return size == strlen(expected) && memcmp(text, expected, size) == 0;
}

static bool is_in(const char *text, size_t size, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_text(text, size, list[i]))
            return true;
    return false;
}

#define IS_IN(text, size, list) is_in(text, size, list, sizeof(list) / sizeof *(list))

/* The name of a layer's tensor, without the layer. */
static bool is_of_layer(const struct architecture *architecture, const char *text, size_t size)
{
    static const char *const all[] = {"attn_norm.weight", "attn_q.weight",   "attn_k.weight", "attn_v.weight",  "attn_output.weight",
                                      "ffn_norm.weight",  "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"};
    static const char *const biases[] = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
    static const char *const head_norms[] = {"attn_q_norm.weight", "attn_k_norm.weight"};
    /* Rope tensors that some converters write: computed here instead. */
    static const char *const unused[] = {"attn_rot_embd", "attn_rot_embd.weight"};

    return IS_IN(text, size, all) || IS_IN(text, size, unused) || (architecture->has_biases && IS_IN(text, size, biases)) ||
           (architecture->has_head_norms && IS_IN(text, size, head_norms));
}

/* Is it one of the tensors that a model of this architecture has? *layer: its layer, if each layer has one. */
static bool is_of_model(const struct architecture *architecture, const struct gguf_string *name, uint64_t *layer)
{
    static const char *const names[] = {"token_embd.weight", "output_norm.weight", "output.weight"};
    size_t at = 4;

    *layer = 0;
    if (IS_IN(name->text, name->size, names))
        return true;
    for (; at < name->size && name->text[at] >= '0' && name->text[at] <= '9' && at < 4 + 9; at++)
        *layer = 10 * *layer + (uint64_t)(name->text[at] - '0');
    if (at == name->size || name->text[at] != '.' || at == 4 || (name->text[4] == '0' && at > 5))
        return false;
    at++;
    return is_of_layer(architecture, name->text + at, name->size - at);
}

static bool begins_with(const struct gguf_string *name, const char *text)
{
    return name->size >= strlen(text) && memcmp(name->text, text, strlen(text)) == 0;
}

/* Tensors that would not be used: the text would silently be another one. */
static int check_unused(const struct model *m, struct fail *fail)
{
    static const char *const parts[] = {"blk.", "output.", "output_norm.", "token_embd.", "rope_factors_"};
    char shown[GGUF_SHOWN_NAME_BYTES];

    for (size_t i = 0; i < gguf_tensor_count(m->gguf); i++) {
        const struct gguf_string *name = &gguf_tensor_at(m->gguf, i)->name;
        bool is_part = false;
        uint64_t layer;

        for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
            is_part = is_part || begins_with(name, parts[part]);
        if (!is_part || (is_of_model(m->architecture, name, &layer) && layer < m->layers))
            continue;
        gguf_show_name(name, shown);
        if (name->size > 5 && memcmp(name->text + name->size - 5, ".bias", 5) == 0)
            return fail_set(fail, EXIT_BAD_FILE,
                            "%s: tensor '%s': biases are not supported, but for q, k and v of qwen2: use another model", gguf_path(m->gguf),
                            shown);
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: tensor '%s': not part of a %s model of %u layers, so its text would be wrong: use another model, or "
                        "convert it again",
                        gguf_path(m->gguf), shown, m->architecture->name, m->layers);
    }
    return 0;
}

static int find_tensors(struct model *m, struct fail *fail)
{
    const struct gguf_tensor *embd = gguf_find_tensor(m->gguf, "token_embd.weight");

    if (embd == NULL)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: tensor 'token_embd.weight' is missing: the file holds no complete model: convert it again",
                        gguf_path(m->gguf));
    if (embd->dims[1] == 0 || embd->dims[1] > MODEL_VOCAB_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%s: tensor 'token_embd.weight': %" PRIu64 " rows: must be 1 to %d: convert the file again",
                        gguf_path(m->gguf), embd->dims[1], MODEL_VOCAB_MAX);
    m->vocab = (uint32_t)embd->dims[1];
    if (find_tensor(m, "token_embd.weight", m->dim, m->vocab, &m->token_embd, fail) < 0 ||
        find_vector(m, "output_norm.weight", m->dim, "norm weights", &m->output_norm, fail) < 0)
        return -1;
    m->output = m->token_embd;
    if (gguf_find_tensor(m->gguf, "output.weight") != NULL && find_tensor(m, "output.weight", m->dim, m->vocab, &m->output, fail) < 0)
        return -1;
    for (uint32_t i = 0; i < m->layers; i++)
        if (find_layer(m, i, fail) < 0)
            return -1;
    return check_unused(m, fail);
}

struct model *model_open(const struct gguf *gguf, struct fail *fail)
{
    struct model *m = calloc(1, sizeof *m);

    if (m == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    m->gguf = gguf;
    if (read_architecture(gguf, &m->architecture, fail) < 0 || read_dimensions(m, fail) < 0 || check_kind(m, fail) < 0)
        goto failed;
    m->layer = calloc(m->layers, sizeof *m->layer);
    if (m->layer == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        goto failed;
    }
    if (find_tensors(m, fail) < 0 || rope_config_from_gguf(gguf, m->architecture, m->head_dim, &m->rope, fail) < 0)
        goto failed;
    return m;
failed:
    model_close(m);
    return NULL;
}

void model_close(struct model *model)
{
    if (model == NULL)
        return;
    free(model->layer);
    free(model);
}
