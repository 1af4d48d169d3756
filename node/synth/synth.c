#include "synth.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/progress.h"
#include "mesh/program/replace_file.h"
#include "node/common/hash.h"
#include "node/common/synth_number.h"
#include "node/gguf/gguf_write.h"
#include "node/model/architecture.h"
#include "node/model/rope.h"
#include "synth_vocab.h"
#include "synth_weights.h"

enum {
    LAYER_TENSORS = 9, /* of every architecture */
    BEFORE_MORE = 4,   /* of these: before those of some architectures */
    BUFFER_BYTES = 1 << 20,
    SMALL_ROW_DIVISOR = 16
};

struct tensor {
    char name[48];
    enum tensor_type type;
    bool is_norm, is_vector; /* a norm is a vector of values near 1 */
    uint64_t dims[2];        /* columns, rows */
    uint32_t sigma_q31;
    uint64_t small_rows; /* the first rows, whose weights are SMALL_ROW_DIVISOR times smaller */
};

struct output {
    struct replace_file file;
    uint8_t *buffer; /* (buffer_capacity) */
    size_t buffer_capacity;
    size_t buffer_size;
    uint64_t written_bytes;
    uint64_t total_bytes;
    struct progress progress;
};

static int check_range(const char *option, uint32_t value, uint32_t min, uint32_t max, struct fail *fail)
{
    if (value < min || value > max)
        return fail_set(fail, EXIT_USAGE, "--%s %u: not possible: give a number from %u to %u", option, value, min, max);
    return 0;
}

static int check_multiple(const char *option, uint32_t value, const struct tensor_type_info *info, struct fail *fail)
{
    const uint32_t block = info->block_values;
    const uint32_t below = value / block * block;

    if (value % block == 0)
        return 0;
    if (below == 0)
        return fail_set(fail, EXIT_USAGE, "--%s %u: type %s needs a multiple of %u: use %u", option, value, info->name, block, block);
    return fail_set(fail, EXIT_USAGE, "--%s %u: type %s needs a multiple of %u: use %u or %u", option, value, info->name, block, below,
                    below + block);
}

/* NULL: there is no such architecture. */
static const struct architecture *architecture_of(const struct synth_options *options)
{
    const char *name = options->architecture != NULL ? options->architecture : "llama";

    return architecture_find(name, strlen(name));
}

static int check_options(const struct synth_options *options, struct fail *fail)
{
    const struct tensor_type_info *info = tensor_type_info(options->type);

    if (info == NULL)
        return fail_set(fail, EXIT_USAGE, "--type %s: is not supported: use one of %s", tensor_type_name(options->type), TENSOR_TYPE_NAMES);
    if (architecture_of(options) == NULL)
        return fail_set(fail, EXIT_USAGE, "--arch %s: no such architecture: give " ARCHITECTURE_NAMES, options->architecture);
    if (check_range("dim", options->dim, 2, SYNTH_DIM_MAX, fail) < 0 ||
        check_range("hidden", options->hidden, 2, SYNTH_DIM_MAX, fail) < 0 ||
        check_range("layers", options->layers, 1, SYNTH_LAYERS_MAX, fail) < 0 ||
        check_range("heads", options->heads, 1, options->dim / 2, fail) < 0 ||
        check_range("kv-heads", options->kv_heads, 1, options->heads, fail) < 0 ||
        check_range("vocab", options->vocab, SYNTH_VOCAB_MIN, SYNTH_VOCAB_MAX, fail) < 0 ||
        check_range("ctx", options->context, 1, SYNTH_CONTEXT_MAX, fail) < 0)
        return -1;
    if (options->dim % (2 * options->heads) != 0)
        return fail_set(fail, EXIT_USAGE, "--dim %u: heads must have an even size: with --heads %u use a multiple of %u", options->dim,
                        options->heads, 2 * options->heads);
    if (options->dim / options->heads > 2 * ROPE_PAIRS_MAX)
        return fail_set(fail, EXIT_USAGE, "--heads %u: heads of %u columns, of at most %d possible: give more heads, or a smaller --dim",
                        options->heads, options->dim / options->heads, 2 * ROPE_PAIRS_MAX);
    if (options->heads % options->kv_heads != 0)
        return fail_set(fail, EXIT_USAGE, "--kv-heads %u: must divide --heads %u: use a divisor of it", options->kv_heads, options->heads);
    if (check_multiple("dim", options->dim, info, fail) < 0)
        return -1;
    return check_multiple("hidden", options->hidden, info, fail);
}

/* 1/sqrt(n) with 31 bits after the point. */
static uint32_t inverse_root_q31(uint64_t n)
{
    return synth_number_root(((uint64_t)1 << 62) / n);
}

static struct tensor matrix(const struct synth_options *options, uint64_t columns, uint64_t rows, uint32_t sigma_q31)
{
    return (struct tensor){.type = options->type, .dims = {columns, rows}, .sigma_q31 = sigma_q31};
}

static struct tensor norm(uint64_t count)
{
    return (struct tensor){.type = TYPE_F32, .is_norm = true, .is_vector = true, .dims = {count, 1}};
}

/* With a standard deviation of 1/2. */
static struct tensor bias(uint64_t count)
{
    return (struct tensor){.type = TYPE_F32, .is_vector = true, .dims = {count, 1}, .sigma_q31 = (uint32_t)1 << 30};
}

/* Tensors of a layer that only some architectures have. */
static uint32_t more_tensors(const struct synth_options *options)
{
    return (architecture_of(options)->has_biases ? 3u : 0u) + (architecture_of(options)->has_head_norms ? 2u : 0u);
}

static void describe_more(const struct synth_options *options, uint32_t layer, uint32_t index, struct tensor *tensor)
{
    static const char *const biases[] = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
    static const char *const norms[] = {"attn_q_norm.weight", "attn_k_norm.weight"};
    const uint32_t count = architecture_of(options)->has_biases ? sizeof biases / sizeof *biases : 0;
    const uint64_t head_dim = options->dim / options->heads;

    if (index < count)
        *tensor = bias(index == 0 ? options->dim : head_dim * options->kv_heads);
    else
        *tensor = norm(head_dim);
    snprintf(tensor->name, sizeof tensor->name, "blk.%u.%s", layer, index < count ? biases[index] : norms[index - count]);
}

static void describe_layer_tensor(const struct synth_options *options, uint32_t layer, uint32_t index, struct tensor *tensor)
{
    static const char *const names[LAYER_TENSORS] = {"attn_norm", "attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_norm",  "ffn_gate", "ffn_up", "ffn_down"};
    const uint64_t dim = options->dim;
    const uint64_t hidden = options->hidden;
    const uint64_t kv_dim = dim / options->heads * options->kv_heads;
    const uint64_t additions = 2 * (uint64_t)options->layers;
    const uint32_t plain = inverse_root_q31(dim);

    if (index >= BEFORE_MORE && index - BEFORE_MORE < more_tensors(options)) {
        describe_more(options, layer, index - BEFORE_MORE, tensor);
        return;
    }
    index -= index < BEFORE_MORE ? 0 : more_tensors(options);
    switch (index) {
    case 0:
    case 5:
        *tensor = norm(options->dim);
        break;
    case 1:
        *tensor = matrix(options, dim, dim, plain);
        break;
    case 2:
    case 3:
        *tensor = matrix(options, dim, kv_dim, plain);
        break;
    case 4:
        *tensor = matrix(options, dim, dim, inverse_root_q31(dim * additions));
        break;
    case 6:
    case 7:
        *tensor = matrix(options, dim, hidden, plain);
        break;
    default:
        *tensor = matrix(options, hidden, dim, inverse_root_q31(hidden * additions));
    }
    snprintf(tensor->name, sizeof tensor->name, "blk.%u.%s.weight", layer, names[index]);
}

static uint32_t tensor_count(const struct synth_options *options)
{
    return 3 + options->layers * (LAYER_TENSORS + more_tensors(options));
}

/* Tensors in the order of the file. */
static void describe_tensor(const struct synth_options *options, uint32_t index, struct tensor *tensor)
{
    const uint32_t per_layer = LAYER_TENSORS + more_tensors(options), in_layers = options->layers * per_layer;

    assert(index < tensor_count(options));
    if (index == 0) {
        *tensor = matrix(options, options->dim, options->vocab, (uint32_t)1 << 31);
        snprintf(tensor->name, sizeof tensor->name, "token_embd.weight");
    } else if (index <= in_layers) {
        describe_layer_tensor(options, (index - 1) / per_layer, (index - 1) % per_layer, tensor);
    } else if (index == in_layers + 1) {
        *tensor = norm(options->dim);
        snprintf(tensor->name, sizeof tensor->name, "output_norm.weight");
    } else { /* logits with a standard deviation of sqrt(6) */
        *tensor = matrix(options, options->dim, options->vocab, synth_number_root(((uint64_t)1 << 62) / options->dim * 6));
        tensor->small_rows = SYNTH_VOCAB_TEXT;
        snprintf(tensor->name, sizeof tensor->name, "output.weight");
    }
}

static void write_model_values(const struct synth_options *options, struct gguf_write *writer)
{
    const struct architecture *architecture = architecture_of(options);
    const uint32_t head_dim = options->dim / options->heads;
    const struct {
        const char *name;
        uint32_t value;
        bool is_float, is_left_out;
    } values[] = {
        {.name = "vocab_size", .value = options->vocab},
        {.name = "context_length", .value = options->context},
        {.name = "embedding_length", .value = options->dim},
        {.name = "block_count", .value = options->layers},
        {.name = "feed_forward_length", .value = options->hidden},
        {.name = "attention.head_count", .value = options->heads},
        {.name = "attention.head_count_kv", .value = options->kv_heads},
        {.name = "attention.layer_norm_rms_epsilon", .value = 0x3727c5ac, .is_float = true}, /* 1e-5 */
        {.name = "attention.key_length", .value = head_dim, .is_left_out = !architecture->has_head_norms},
        {.name = "attention.value_length", .value = head_dim, .is_left_out = !architecture->has_head_norms},
        {.name = "rope.dimension_count", .value = head_dim},
        {.name = "rope.freq_base", .value = 0x461c4000, .is_float = true}, /* 10000 */
    };
    char key[ARCHITECTURE_KEY_BYTES];

    gguf_write_string(writer, "general.architecture", architecture->name);
    gguf_write_string(writer, "general.name", "synthetic model of random weights");
    gguf_write_u32(writer, "general.file_type", tensor_type_file_number(options->type));
    gguf_write_u32(writer, "general.quantization_version", 2);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i].is_left_out)
            continue;
        architecture_key(architecture, values[i].name, key);
        if (values[i].is_float)
            gguf_write_f32(writer, key, values[i].value);
        else
            gguf_write_u32(writer, key, values[i].value);
    }
}

static void write_vocab_values(const struct synth_options *options, struct gguf_write *writer)
{
    char piece[SYNTH_VOCAB_PIECE_MAX];

    gguf_write_string(writer, "tokenizer.ggml.model", "llama");
    gguf_write_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, options->vocab);
    for (uint32_t id = 0; id < options->vocab; id++)
        gguf_write_element_string(writer, piece, synth_vocab_piece(id, piece));
    gguf_write_array(writer, "tokenizer.ggml.scores", GGUF_F32, options->vocab);
    for (uint32_t id = 0; id < options->vocab; id++)
        gguf_write_element_u32(writer, synth_vocab_score(id));
    gguf_write_array(writer, "tokenizer.ggml.token_type", GGUF_I32, options->vocab);
    for (uint32_t id = 0; id < options->vocab; id++)
        gguf_write_element_u32(writer, synth_vocab_type(id));
    gguf_write_u32(writer, "tokenizer.ggml.bos_token_id", SYNTH_VOCAB_BOS);
    gguf_write_u32(writer, "tokenizer.ggml.eos_token_id", SYNTH_VOCAB_EOS);
    gguf_write_u32(writer, "tokenizer.ggml.unknown_token_id", SYNTH_VOCAB_UNKNOWN);
    gguf_write_bool(writer, "tokenizer.ggml.add_bos_token", true);
    gguf_write_bool(writer, "tokenizer.ggml.add_eos_token", false);
}

static int build_description(const struct synth_options *options, struct gguf_write *writer, struct fail *fail)
{
    struct tensor tensor;

    write_model_values(options, writer);
    write_vocab_values(options, writer);
    for (uint32_t i = 0; i < tensor_count(options); i++) {
        describe_tensor(options, i, &tensor);
        gguf_write_tensor(writer, tensor.name, tensor.type, tensor.dims, tensor.is_vector ? 1 : 2);
    }
    return gguf_write_finish(writer, fail);
}

static void show_progress(struct output *output)
{
    if (progress_is_due(&output->progress))
        fprintf(stderr, "\rwriting %s: %3.0f %%, %.0f MB/s ", output->file.path,
                100.0 * (double)output->written_bytes / (double)output->total_bytes,
                1e-6 * (double)output->written_bytes / progress_elapsed_s(&output->progress));
}

static int flush_buffer(struct output *output, struct fail *fail)
{
    if (replace_file_write(&output->file, output->buffer, output->buffer_size, fail) < 0)
        return -1;
    output->written_bytes += output->buffer_size;
    output->buffer_size = 0;
    show_progress(output);
    return 0;
}

/* Room for size bytes, which is at most the buffer's capacity; NULL when writing failed. */
static uint8_t *reserve(struct output *output, size_t size, struct fail *fail)
{
    assert(size <= output->buffer_capacity);
    if (size > output->buffer_capacity - output->buffer_size && flush_buffer(output, fail) < 0)
        return NULL;
    output->buffer_size += size;
    return output->buffer + output->buffer_size - size;
}

static int write_tensor(const struct tensor *tensor, const struct gguf_write *description, uint64_t key, struct output *output,
                        struct fail *fail)
{
    const size_t row_bytes = tensor_type_bytes(tensor->type, (size_t)tensor->dims[0]);
    const size_t padding = gguf_write_padding(description, row_bytes * tensor->dims[1]);

    for (uint64_t row = 0; row < tensor->dims[1]; row++) {
        const uint32_t sigma_q31 = row < tensor->small_rows ? tensor->sigma_q31 / SMALL_ROW_DIVISOR : tensor->sigma_q31;
        uint8_t *out = reserve(output, row_bytes, fail);

        if (out == NULL)
            return -1;
        if (tensor->is_norm)
            synth_weights_norm(hash_words3(key, row, 0), (size_t)tensor->dims[0], out);
        else
            synth_weights_row(tensor->type, hash_words3(key, row, 0), sigma_q31, (size_t)tensor->dims[0], out);
    }

    uint8_t *zeros = reserve(output, padding, fail);

    if (zeros == NULL)
        return -1;
    for (size_t i = 0; i < padding; i++)
        zeros[i] = 0;
    return 0;
}

static int write_file(const struct synth_options *options, const struct gguf_write *description, struct output *output, struct fail *fail)
{
    struct tensor tensor;

    if (replace_file_write(&output->file, description->bytes, description->size, fail) < 0)
        return -1;
    output->written_bytes = description->size;
    for (uint32_t i = 0; i < tensor_count(options); i++) {
        describe_tensor(options, i, &tensor);
        if (write_tensor(&tensor, description, hash_words3(options->seed, i, 0), output, fail) < 0)
            return -1;
    }
    return flush_buffer(output, fail);
}

static int write_described(const struct synth_options *options, const struct gguf_write *description, const char *path, struct fail *fail)
{
    struct output output = {
        .buffer_capacity = BUFFER_BYTES + 4 * (size_t)SYNTH_DIM_MAX,
        .total_bytes = description->size + description->data_size,
    };

    progress_begin(&output.progress);
    if (replace_file_open(&output.file, path, fail) < 0)
        return -1;
    output.buffer = malloc(output.buffer_capacity);

    int result = output.buffer == NULL
                     ? fail_set(fail, EXIT_ENVIRONMENT, "memory: no %zu bytes for a buffer: close other programs", output.buffer_capacity)
                     : write_file(options, description, &output, fail);

    progress_end(&output.progress);
    assert(result < 0 || output.written_bytes == output.total_bytes);
    result = replace_file_end(&output.file, result, fail);
    free(output.buffer);
    return result;
}

int synth_describe(const struct synth_options *options, struct gguf_write *description, struct fail *fail)
{
    gguf_write_init(description);
    return check_options(options, fail) < 0 ? -1 : build_description(options, description, fail);
}

int synth_write(const struct synth_options *options, const char *path, struct fail *fail)
{
    struct gguf_write description;
    int result = synth_describe(options, &description, fail);

    if (result == 0)
        result = write_described(options, &description, path, fail);
    gguf_write_release(&description);
    return result;
}
