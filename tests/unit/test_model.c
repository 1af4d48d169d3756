/* Opening models: what is read from the file, and every refusal, with the key or tensor that it names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf_case.h"
#include "node/gguf/gguf_write.h"
#include "node/model/model.h"

enum { DIM = 64, HIDDEN = 96, LAYERS = 2, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, VOCAB = 40, NAME_BYTES = 64 };

/* How the file of a test differs from a good one. */
struct change {
    const char *no_key, *key; /* key left out; key with another number */
    uint32_t number;
    const char *architecture; /* NULL: llama; "": none */
    uint32_t eps_bits;        /* 0: the key is left out */
    const char *attention;    /* llama.attention.causal: "true", "false"; NULL: the key is left out */
    const char *no_tensor, *tensor, *more_tensor;
    uint64_t columns, rows;     /* of tensor; 0: the right ones */
    enum tensor_type norm_type; /* of tensor, when it is a norm */
    bool is_type_changed;       /* of tensor, to an unsupported one */
};

/* What a layer has beside llama's tensors. */
static const struct {
    const char *architecture, *name;
    uint64_t count;
} vectors[] = {
    {"qwen2", "attn_q.bias", HEADS *HEAD_DIM}, {"qwen2", "attn_k.bias", KV_HEADS *HEAD_DIM}, {"qwen2", "attn_v.bias", KV_HEADS *HEAD_DIM},
    {"qwen3", "attn_q_norm.weight", HEAD_DIM}, {"qwen3", "attn_k_norm.weight", HEAD_DIM},
};
enum { VECTORS = sizeof vectors / sizeof *vectors };

static struct {
    uint8_t *bytes;
    struct gguf *gguf;
    struct fail fail;
} file;

static bool is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The architecture's own key in place of llama's. */
static const char *key_of(const struct change *c, const char *llama_key)
{
    static char key[NAME_BYTES];

    if (!is_same(c->architecture, "qwen2") && !is_same(c->architecture, "qwen3"))
        return llama_key;
    snprintf(key, sizeof key, "%s%s", c->architecture, strchr(llama_key, '.'));
    return key;
}

static void write_number(struct gguf_write *w, const struct change *c, const char *llama_key, uint32_t number)
{
    const char *key = key_of(c, llama_key);

    if (!is_same(c->no_key, key))
        gguf_write_u32(w, key, is_same(c->key, key) ? c->number : number);
}

static void write_values(struct gguf_write *w, const struct change *c)
{
    static const char *const optional[] = {"llama.expert_count", "llama.attention.key_length", "llama.attention.value_length",
                                           "llama.attention.sliding_window", "llama.rope.dimension_sections"};

    if (c->architecture == NULL || c->architecture[0] != '\0')
        gguf_write_string(w, "general.architecture", c->architecture == NULL ? "llama" : c->architecture);
    write_number(w, c, "llama.embedding_length", DIM);
    write_number(w, c, "llama.feed_forward_length", HIDDEN);
    write_number(w, c, "llama.block_count", LAYERS);
    write_number(w, c, "llama.attention.head_count", HEADS);
    write_number(w, c, "llama.attention.head_count_kv", KV_HEADS);
    write_number(w, c, "llama.context_length", 512);
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (is_same(c->key, key_of(c, optional[i])))
            gguf_write_u32(w, c->key, c->number);
    if (is_same(c->key, "split.count"))
        gguf_write_u32(w, c->key, c->number);
    if (c->eps_bits != 0)
        gguf_write_f32(w, key_of(c, "llama.attention.layer_norm_rms_epsilon"), c->eps_bits);
    if (c->attention != NULL)
        gguf_write_bool(w, "llama.attention.causal", is_same(c->attention, "true"));
}

static void write_tensor(struct gguf_write *w, const struct change *c, const char *name, uint64_t columns, uint64_t rows)
{
    bool is_norm = rows == 1, is_changed = is_same(c->tensor, name);
    enum tensor_type type = is_norm ? TYPE_F32 : TYPE_Q8_0;

    if (is_same(c->no_tensor, name))
        return;
    if (is_changed) {
        columns = c->columns != 0 ? c->columns : columns;
        rows = c->rows != 0 ? c->rows : rows;
        type = is_norm ? c->norm_type : type;
    }
    gguf_write_tensor(w, name, type, (const uint64_t[]){columns, rows}, is_norm && rows == 1 ? 1 : 2);
}

static void write_layer(struct gguf_write *w, const struct change *c, unsigned layer)
{
    static const struct {
        const char *stem;
        uint64_t columns, rows;
    } tensors[] = {
        {"attn_norm", DIM, 1},
        {"attn_q", DIM, HEADS * HEAD_DIM},
        {"attn_k", DIM, KV_HEADS * HEAD_DIM},
        {"attn_v", DIM, KV_HEADS * HEAD_DIM},
        {"attn_output", HEADS * HEAD_DIM, DIM},
        {"ffn_norm", DIM, 1},
        {"ffn_gate", DIM, HIDDEN},
        {"ffn_up", DIM, HIDDEN},
        {"ffn_down", HIDDEN, DIM},
    };

    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[NAME_BYTES];

        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, tensors[i].stem);
        write_tensor(w, c, name, tensors[i].columns, tensors[i].rows);
    }
    for (size_t i = 0; i < VECTORS; i++) {
        char name[NAME_BYTES];

        snprintf(name, sizeof name, "blk.%u.%s", layer, vectors[i].name);
        if (is_same(c->architecture, vectors[i].architecture))
            write_tensor(w, c, name, vectors[i].count, 1);
    }
}

/* Replaces a tensor's type number: it follows the name, the number of dimensions, and two dimensions. */
static void break_type(const char *name, size_t size)
{
    size_t at = gguf_case_find(file.bytes, size, name) + strlen(name) + 4 + 16;

    assert_int_equal(file.bytes[at], TYPE_Q8_0);
    gguf_case_store(file.bytes + at, 4, 16); /* iq2_xxs */
}

static struct model *open_changed(const struct change *c)
{
    struct gguf_write w;

    gguf_write_init(&w);
    write_values(&w, c);
    write_tensor(&w, c, "token_embd.weight", DIM, VOCAB);
    write_tensor(&w, c, "output_norm.weight", DIM, 1);
    write_tensor(&w, c, "output.weight", DIM, VOCAB);
    for (unsigned layer = 0; layer < LAYERS; layer++)
        write_layer(&w, c, layer);
    if (c->more_tensor != NULL)
        gguf_write_tensor(&w, c->more_tensor, TYPE_F32, (const uint64_t[]){DIM}, 1);
    assert_int_equal(gguf_write_finish(&w, &file.fail), 0);
    file.bytes = calloc(1, w.size + (size_t)w.data_size);
    assert_non_null(file.bytes);
    memcpy(file.bytes, w.bytes, w.size);
    if (c->is_type_changed)
        break_type(c->tensor, w.size);
    file.gguf = gguf_parse("test.gguf", file.bytes, w.size + (size_t)w.data_size, &file.fail);
    gguf_write_release(&w);
    assert_non_null(file.gguf);
    return model_open(file.gguf, &file.fail);
}

static void close_file(struct model *model)
{
    model_close(model);
    gguf_close(file.gguf);
    free(file.bytes);
}

static void accepted(const struct change *c)
{
    struct model *model = open_changed(c);

    assert_non_null(model);
    close_file(model);
}

/* Refused as a bad file, and the message contains both. */
static void refused(const struct change *c, const char *name, const char *why)
{
    assert_null(open_changed(c));
    assert_int_equal(file.fail.exit_code, EXIT_BAD_FILE);
    assert_true(strncmp(file.fail.text, "test.gguf", 9) == 0);
    if (strstr(file.fail.text, name) == NULL || strstr(file.fail.text, why) == NULL)
        fail_msg("'%s' does not say '%s' and '%s'", file.fail.text, name, why);
    close_file(NULL);
}
#define REFUSED(name, why, ...) refused(&(const struct change){__VA_ARGS__}, name, why)

static void a_whole_model_is_opened(void **state)
{
    const struct change none = {0};
    struct model *m = open_changed(&none);

    (void)state;
    assert_non_null(m);
    assert_int_equal(m->dim, DIM);
    assert_int_equal(m->hidden, HIDDEN);
    assert_int_equal(m->layers, LAYERS);
    assert_int_equal(m->heads, HEADS);
    assert_int_equal(m->kv_heads, KV_HEADS);
    assert_int_equal(m->head_dim, HEAD_DIM);
    assert_int_equal(m->vocab, VOCAB);
    assert_int_equal(m->ctx, 512);
    assert_true(m->norm_eps == 1e-5f);
    assert_ptr_equal(m->output, gguf_find_tensor(file.gguf, "output.weight"));
    assert_ptr_equal(m->layer[1].down, gguf_find_tensor(file.gguf, "blk.1.ffn_down.weight"));
    assert_int_equal(model_row_bytes(m->layer[0].down), HIDDEN / 32 * 34);
    close_file(m);
}

static void without_an_output_matrix_the_embedding_is_used(void **state)
{
    const struct change tied = {.no_tensor = "output.weight"};
    struct model *m = open_changed(&tied);

    (void)state;
    assert_non_null(m);
    assert_ptr_equal(m->output, m->token_embd);
    close_file(m);
}

static void norm_weights_are_read_as_they_are(void **state)
{
    const struct change none = {0};
    struct model *m = open_changed(&none);
    float expected[DIM], got[DIM];

    (void)state;
    assert_non_null(m);
    for (int i = 0; i < DIM; i++)
        expected[i] = (float)i / 3.0f;
    memcpy(file.bytes + (m->output_norm->data - file.bytes), expected, sizeof expected);
    model_read_vector(m->output_norm, DIM, got);
    assert_memory_equal(got, expected, sizeof got);
    close_file(m);
}

static void a_file_of_something_else_is_refused(void **state)
{
    static const char *const others[] = {"gpt2", "qwen", "qwen2moe", "qwen2vl", "qwen3moe", "qwen3vl", "qwen22"};

    (void)state;
    REFUSED("general.architecture", "holds no model", .architecture = "");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        REFUSED(others[i], "use a model of architecture llama, qwen2 or qwen3", .architecture = others[i]);
    REFUSED("architecture 'llama4'", "not supported", .architecture = "llama4");
    REFUSED("architecture '?[2J'", "not supported", .architecture = "\033[2J");
    REFUSED("split.count is 3", "join the parts", .key = "split.count", .number = 3);
    REFUSED("llama.expert_count is 8", "use a dense model", .key = "llama.expert_count", .number = 8);
}

static void a_missing_or_impossible_dimension_is_named(void **state)
{
    static const char *const keys[] = {"llama.embedding_length", "llama.feed_forward_length", "llama.block_count",
                                       "llama.attention.head_count", "llama.context_length"};

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        REFUSED(keys[i], "is missing", .no_key = keys[i]);
        REFUSED(keys[i], "is 0", .key = keys[i], .number = 0);
        REFUSED(keys[i], "4294967295", .key = keys[i], .number = UINT32_MAX);
    }
    REFUSED("llama.attention.head_count_kv", "is 0", .key = "llama.attention.head_count_kv", .number = 0);
    REFUSED("llama.attention.key_length", "is 0", .key = "llama.attention.key_length", .number = 0);
}

static void heads_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    REFUSED("llama.attention.head_count 4", "no multiple of head_count_kv 3", .key = "llama.attention.head_count_kv", .number = 3);
    REFUSED("llama.attention.head_count 4", "no multiple of head_count_kv 8", .key = "llama.attention.head_count_kv", .number = 8);
    REFUSED("llama.attention.value_length 8", "differs from key_length 16", .key = "llama.attention.value_length", .number = 8);
    REFUSED("blk.0.attn_q.weight", "shape 64 x 64 x 1, expected 64 x 96", .key = "llama.attention.key_length", .number = 24);
    REFUSED("blk.0.attn_k.weight", "shape 64 x 32 x 1, expected 64 x 64", .no_key = "llama.attention.head_count_kv");
}

static void an_impossible_epsilon_is_refused(void **state)
{
    (void)state;
    REFUSED("llama.attention.layer_norm_rms_epsilon is 1", "must be 0 to 1", .eps_bits = 0x3f800000);
    REFUSED("llama.attention.layer_norm_rms_epsilon is -1e-05", "must be 0 to 1", .eps_bits = 0xb727c5ac);
    REFUSED("llama.attention.layer_norm_rms_epsilon", "found nan", .eps_bits = 0x7fc00000);
    REFUSED("llama.attention.layer_norm_rms_epsilon", "found inf", .eps_bits = 0x7f800000);
}

/* ---- tensors ---- */

static const char *const matrices[] = {
    "token_embd.weight",        "output.weight",         "blk.0.attn_q.weight", "blk.0.attn_k.weight",   "blk.1.attn_v.weight",
    "blk.1.attn_output.weight", "blk.0.ffn_gate.weight", "blk.1.ffn_up.weight", "blk.1.ffn_down.weight",
};
static const char *const norms[] = {"output_norm.weight", "blk.0.attn_norm.weight", "blk.1.ffn_norm.weight"};
enum { MATRICES = sizeof matrices / sizeof *matrices, NORMS = sizeof norms / sizeof *norms };

static void a_missing_tensor_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < MATRICES; i++)
        if (strcmp(matrices[i], "output.weight") != 0)
            REFUSED(matrices[i], "is missing", .no_tensor = matrices[i]);
    for (size_t i = 0; i < NORMS; i++)
        REFUSED(norms[i], "is missing", .no_tensor = norms[i]);
}

static void a_tensor_of_another_shape_is_named_with_both_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MATRICES; i++) {
        REFUSED(matrices[i], "shape 128 x", .tensor = matrices[i], .columns = 128);
        /* Another number of rows of the embedding means another vocabulary; then it is the output matrix that differs. */
        const char *name = i == 0 ? "output.weight" : matrices[i];
        REFUSED(name, "tensors and metadata disagree", .tensor = matrices[i], .rows = 7);
    }
    for (size_t i = 0; i < NORMS; i++)
        REFUSED(norms[i], "shape 63 x 1 x 1, expected 64 x 1", .tensor = norms[i], .columns = 63);
}

static void a_tensor_of_an_unknown_type_is_named_with_the_types_there_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < MATRICES; i++)
        REFUSED(matrices[i], "type iq2_xxs (16) is not supported: quantise the model to one of", .tensor = matrices[i],
                .is_type_changed = true);
}

static void norms_must_be_f32(void **state)
{
    (void)state;
    for (size_t i = 0; i < NORMS; i++) {
        REFUSED(norms[i], "norm weights of type f16: must be f32", .tensor = norms[i], .norm_type = TYPE_F16);
        REFUSED(norms[i], "norm weights of type q8_0: must be f32", .tensor = norms[i], .norm_type = TYPE_Q8_0);
    }
}

/* Models that make embeddings have such attention: the results here would be those of another model. */
static void attention_to_later_positions_is_refused(void **state)
{
    (void)state;
    REFUSED("llama.attention.causal is false", "not supported", .attention = "false");
    accepted(&(const struct change){.attention = "true"});
}

/* What would be computed as if it were not there: another text. A window as long as the context leaves nothing out. */
static void windows_and_rope_in_sections_are_refused(void **state)
{
    (void)state;
    REFUSED("llama.attention.sliding_window is 511", "not supported", .key = "llama.attention.sliding_window", .number = 511);
    accepted(&(const struct change){.key = "llama.attention.sliding_window", .number = 512});
    accepted(&(const struct change){.key = "llama.attention.sliding_window"});
    REFUSED("qwen2.rope.dimension_sections", "not supported", .architecture = "qwen2", .key = "qwen2.rope.dimension_sections");
}

/* ---- of one architecture ---- */

static void keys_are_those_of_the_architecture(void **state)
{
    (void)state;
    REFUSED("qwen2.block_count", "is missing", .architecture = "qwen2", .no_key = "qwen2.block_count");
    REFUSED("qwen3.attention.value_length 8", "differs from key_length 16", .architecture = "qwen3", .key = "qwen3.attention.value_length",
            .number = 8);
    REFUSED("qwen3.expert_count is 8", "use a dense model", .architecture = "qwen3", .key = "qwen3.expert_count", .number = 8);
}

static void biases_and_norms_of_heads_are_those_of_the_file(void **state)
{
    struct model *m = open_changed(&(const struct change){.architecture = "qwen2"});

    (void)state;
    assert_non_null(m);
    assert_ptr_equal(m->layer[1].q_bias, gguf_find_tensor(file.gguf, "blk.1.attn_q.bias"));
    assert_ptr_equal(m->layer[0].k_bias, gguf_find_tensor(file.gguf, "blk.0.attn_k.bias"));
    assert_ptr_equal(m->layer[0].v_bias, gguf_find_tensor(file.gguf, "blk.0.attn_v.bias"));
    assert_true(m->layer[0].q_norm == NULL && m->layer[0].k_norm == NULL);
    close_file(m);
    m = open_changed(&(const struct change){.architecture = "qwen3"});
    assert_non_null(m);
    assert_ptr_equal(m->layer[1].q_norm, gguf_find_tensor(file.gguf, "blk.1.attn_q_norm.weight"));
    assert_ptr_equal(m->layer[0].k_norm, gguf_find_tensor(file.gguf, "blk.0.attn_k_norm.weight"));
    assert_true(m->layer[0].q_bias == NULL && m->layer[0].v_bias == NULL);
    close_file(m);
}

static void a_bias_or_norm_of_heads_that_is_not_as_it_should_be_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const char *architecture = vectors[i].architecture;
        char name[NAME_BYTES], missing[NAME_BYTES], wrong[NAME_BYTES];

        snprintf(name, sizeof name, "blk.1.%s", vectors[i].name);
        snprintf(missing, sizeof missing, "no complete %s model", architecture);
        snprintf(wrong, sizeof wrong, "shape 8 x 1 x 1, expected %u x 1", (unsigned)vectors[i].count);
        REFUSED(name, missing, .architecture = architecture, .no_tensor = name);
        REFUSED(name, wrong, .architecture = architecture, .tensor = name, .columns = 8);
        REFUSED(name, "of type f16: must be f32", .architecture = architecture, .tensor = name, .norm_type = TYPE_F16);
    }
}

static void what_another_architecture_has_is_refused(void **state)
{
    (void)state;
    REFUSED("blk.0.attn_q_norm.weight", "not part of a qwen2 model", .architecture = "qwen2", .more_tensor = "blk.0.attn_q_norm.weight");
    REFUSED("blk.0.attn_q.bias", "biases are not supported", .architecture = "qwen3", .more_tensor = "blk.0.attn_q.bias");
    REFUSED("blk.1.attn_output.bias", "biases are not supported", .architecture = "qwen2", .more_tensor = "blk.1.attn_output.bias");
}

static void a_bias_is_refused(void **state)
{
    static const char *const biases[] = {"blk.0.attn_q.bias",   "blk.0.attn_k.bias", "blk.1.attn_v.bias",  "blk.1.attn_output.bias",
                                         "blk.0.ffn_gate.bias", "blk.1.ffn_up.bias", "blk.1.ffn_down.bias"};

    (void)state;
    for (size_t i = 0; i < sizeof biases / sizeof *biases; i++)
        REFUSED(biases[i], "biases are not supported", .more_tensor = biases[i]);
}

/* Nothing is left out of the computation silently. */
static void a_tensor_that_would_not_be_used_is_refused(void **state)
{
    static const char *const parts[] = {"blk.2.attn_q.weight",
                                        "blk.2.attn_rot_embd",
                                        "blk.0.attn_q_norm.weight",
                                        "blk.00.attn_q.weight",
                                        "blk.0.attn_sub_norm.weight",
                                        "blk.0",
                                        "blk.0.",
                                        "blk.attn_q.weight",
                                        "blk..attn_q.weight",
                                        "blk.99999999999999999999.attn_q.weight",
                                        "output.scale",
                                        "rope_factors_long.weight"};

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        REFUSED(parts[i], "not part of a llama model of 2 layers", .more_tensor = parts[i]);
    REFUSED("output.bias", "biases are not supported", .more_tensor = "output.bias");
    REFUSED("output_norm.bias", "biases are not supported", .more_tensor = "output_norm.bias");
}

static void what_is_no_part_of_the_model_may_be_there(void **state)
{
    static const char *const others[] = {"blk.1.attn_rot_embd", "outputs", "something.else"};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        accepted(&(const struct change){.more_tensor = others[i]});
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    model_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_model_is_opened),
        cmocka_unit_test(without_an_output_matrix_the_embedding_is_used),
        cmocka_unit_test(norm_weights_are_read_as_they_are),
        cmocka_unit_test(a_file_of_something_else_is_refused),
        cmocka_unit_test(a_missing_or_impossible_dimension_is_named),
        cmocka_unit_test(heads_that_do_not_fit_are_refused),
        cmocka_unit_test(an_impossible_epsilon_is_refused),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_tensor_of_another_shape_is_named_with_both_shapes),
        cmocka_unit_test(a_tensor_of_an_unknown_type_is_named_with_the_types_there_are),
        cmocka_unit_test(norms_must_be_f32),
        cmocka_unit_test(attention_to_later_positions_is_refused),
        cmocka_unit_test(windows_and_rope_in_sections_are_refused),
        cmocka_unit_test(keys_are_those_of_the_architecture),
        cmocka_unit_test(biases_and_norms_of_heads_are_those_of_the_file),
        cmocka_unit_test(a_bias_or_norm_of_heads_that_is_not_as_it_should_be_is_named),
        cmocka_unit_test(what_another_architecture_has_is_refused),
        cmocka_unit_test(a_bias_is_refused),
        cmocka_unit_test(a_tensor_that_would_not_be_used_is_refused),
        cmocka_unit_test(what_is_no_part_of_the_model_may_be_there),
        cmocka_unit_test(closing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
