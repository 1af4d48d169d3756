#include "train_export.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/program/replace_file.h"
#include "node/common/canon_inline.h"
#include "node/gguf/gguf_write.h"
#include "node/quantise/quantise.h"
#include "node/quantise/quantise_file.h"

static void write_values(const struct train_state *state, const struct train_layout *layout, const struct vocab *vocab,
                         enum tensor_type type, const char *name, struct gguf_write *writer)
{
    const struct train_setup *setup = &state->setup;
    char made[160];

    snprintf(made, sizeof made,
             "made by mesh-node train: seed %" PRIu64 ", %" PRIu64 " of %" PRIu64 " steps, text of %" PRIu64 " bytes with hash %016" PRIx64,
             setup->seed, state->step, setup->steps, setup->text_bytes, setup->text_hash);
    gguf_write_string(writer, "general.architecture", "llama");
    gguf_write_string(writer, "general.name", name);
    gguf_write_string(writer, "general.description", made);
    gguf_write_u32(writer, "general.file_type", tensor_type_file_number(type));
    gguf_write_u32(writer, "general.quantization_version", 2);
    gguf_write_u32(writer, "llama.vocab_size", setup->vocab);
    gguf_write_u32(writer, "llama.context_length", setup->ctx);
    gguf_write_u32(writer, "llama.embedding_length", setup->dim);
    gguf_write_u32(writer, "llama.block_count", setup->layers);
    gguf_write_u32(writer, "llama.feed_forward_length", setup->hidden);
    gguf_write_u32(writer, "llama.attention.head_count", setup->heads);
    gguf_write_u32(writer, "llama.attention.head_count_kv", setup->kv_heads);
    gguf_write_f32(writer, "llama.attention.layer_norm_rms_epsilon", canon_bits(TRAIN_NORM_EPSILON));
    gguf_write_u32(writer, "llama.rope.dimension_count", layout->head_dim);
    gguf_write_f32(writer, "llama.rope.freq_base", canon_bits(TRAIN_ROPE_BASE));
    vocab_write(vocab, writer);
}

/* With the type that `quantize` would choose. */
static struct gguf_tensor description_of(const struct train_tensor *tensor, enum tensor_type type)
{
    struct gguf_tensor description = {.dim_count = tensor->is_norm ? 1 : 2, .dims = {tensor->columns, tensor->rows, 1, 1}};

    description.type = quantise_file_type(&description, type);
    return description;
}

uint32_t train_export_others(const struct train_layout *layout, enum tensor_type type)
{
    uint32_t others = 0;

    for (size_t t = 0; t < layout->tensors; t++)
        others += !layout->tensor[t].is_norm && (enum tensor_type)description_of(&layout->tensor[t], type).type != type;
    return others;
}

static void write_tensors(const struct train_layout *layout, enum tensor_type type, struct gguf_write *writer)
{
    for (size_t t = 0; t < layout->tensors; t++) {
        const struct train_tensor *tensor = &layout->tensor[t];
        const struct gguf_tensor description = description_of(tensor, type);

        gguf_write_tensor(writer, tensor->name, (enum tensor_type)description.type, description.dims, description.dim_count);
    }
}

static int write_data(const struct train_state *state, const struct train_layout *layout, enum tensor_type type,
                      const struct gguf_write *writer, struct replace_file *file, struct fail *fail)
{
    static const uint8_t zeros[GGUF_WRITE_ALIGNMENT];

    for (size_t t = 0; t < layout->tensors; t++) {
        const struct train_tensor *tensor = &layout->tensor[t];
        const size_t count = (size_t)tensor->rows * tensor->columns;
        const enum tensor_type kind = (enum tensor_type)description_of(tensor, type).type;
        const size_t bytes = tensor_type_bytes(kind, count);
        void *packed = malloc(bytes);
        int result = -1;

        if (packed == NULL) {
            fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        } else {
            quantise(kind, state->weights + tensor->first, count, packed);
            result = replace_file_write(file, packed, bytes, fail);
        }
        free(packed);
        if (result < 0 || replace_file_write(file, zeros, gguf_write_padding(writer, bytes), fail) < 0)
            return -1;
    }
    return 0;
}

static int check_finite(const struct train_state *state, const struct train_layout *layout, struct fail *fail)
{
    const size_t first = quantise_first_not_finite(state->weights, state->count);

    for (size_t t = 0; t < layout->tensors; t++)
        if (first >= layout->tensor[t].first &&
            first < layout->tensor[t].first + (size_t)layout->tensor[t].rows * layout->tensor[t].columns)
            return fail_set(fail, EXIT_DIFFERENCE, "%s: a weight is not finite: train again with a smaller --lr", layout->tensor[t].name);
    return 0;
}

int train_export_write(const struct train_state *state, const struct train_layout *layout, const struct vocab *vocab, enum tensor_type type,
                       const char *name, const char *path, struct fail *fail)
{
    struct gguf_write writer;
    struct replace_file file;
    int result;

    assert(state->count == layout->count && vocab->count == state->setup.vocab);
    if (check_finite(state, layout, fail) < 0)
        return -1;
    gguf_write_init(&writer);
    write_values(state, layout, vocab, type, name, &writer);
    write_tensors(layout, type, &writer);
    result = gguf_write_finish(&writer, fail);
    if (result == 0)
        result = replace_file_open(&file, path, fail);
    if (result == 0) {
        result = replace_file_write(&file, writer.bytes, writer.size, fail);
        if (result == 0)
            result = write_data(state, layout, type, &writer, &file, fail);
        result = replace_file_end(&file, result, fail);
    }
    gguf_write_release(&writer);
    return result;
}
