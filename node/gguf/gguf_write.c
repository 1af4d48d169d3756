#include "gguf_write.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/bytes.h"

enum { VERSION = 3, TENSOR_COUNT_AT = 8, VALUE_COUNT_AT = 16, KEY_MAX = 65535 };

static void put(struct gguf_write *writer, const void *bytes, size_t size)
{
    if (writer->is_out_of_memory)
        return;
    if (size > writer->capacity - writer->size) {
        const size_t capacity = 2 * writer->capacity + size + 4096;
        uint8_t *grown = realloc(writer->bytes, capacity);

        if (grown == NULL) {
            writer->is_out_of_memory = true;
            return;
        }
        writer->bytes = grown;
        writer->capacity = capacity;
    }
    memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

static void put_uint(struct gguf_write *writer, size_t size, uint64_t value)
{
    uint8_t bytes[8];

    bytes_store(bytes, value, size);
    put(writer, bytes, size);
}

static void put_padding(struct gguf_write *writer, size_t size)
{
    static const uint8_t zeros[GGUF_WRITE_ALIGNMENT] = {0};

    for (; size > sizeof zeros; size -= sizeof zeros)
        put(writer, zeros, sizeof zeros);
    put(writer, zeros, size);
}

static void put_string(struct gguf_write *writer, const char *text, size_t size)
{
    put_uint(writer, 8, size);
    put(writer, text, size);
}

void gguf_write_init(struct gguf_write *writer)
{
    *writer = (struct gguf_write){.alignment = GGUF_WRITE_ALIGNMENT};
    put(writer, "GGUF", 4);
    put_uint(writer, 4, VERSION);
    put_uint(writer, 8, 0);
    put_uint(writer, 8, 0);
}

void gguf_write_release(struct gguf_write *writer)
{
    free(writer->bytes);
    *writer = (struct gguf_write){0};
}

void gguf_write_align(struct gguf_write *writer, uint32_t alignment)
{
    assert(alignment > 0 && (alignment & (alignment - 1)) == 0 && writer->tensor_count == 0);
    writer->alignment = alignment;
}

static void put_sized_key(struct gguf_write *writer, const char *key, size_t size, enum gguf_value_type type)
{
    assert(size > 0 && size <= KEY_MAX && writer->tensor_count == 0);
    put_string(writer, key, size);
    put_uint(writer, 4, type);
    writer->value_count++;
}

static void put_key(struct gguf_write *writer, const char *key, enum gguf_value_type type)
{
    put_sized_key(writer, key, strlen(key), type);
}

void gguf_write_u32(struct gguf_write *writer, const char *key, uint32_t value)
{
    put_key(writer, key, GGUF_U32);
    put_uint(writer, 4, value);
}

void gguf_write_f32(struct gguf_write *writer, const char *key, uint32_t bits)
{
    put_key(writer, key, GGUF_F32);
    put_uint(writer, 4, bits);
}

void gguf_write_bool(struct gguf_write *writer, const char *key, bool value)
{
    put_key(writer, key, GGUF_BOOL);
    put_uint(writer, 1, value);
}

void gguf_write_string(struct gguf_write *writer, const char *key, const char *text)
{
    put_key(writer, key, GGUF_STRING);
    put_string(writer, text, strlen(text));
}

void gguf_write_value(struct gguf_write *writer, const struct gguf_value *value)
{
    put_sized_key(writer, value->key.text, value->key.size, value->type);
    if (value->type == GGUF_ARRAY) {
        put_uint(writer, 4, value->element_type);
        put_uint(writer, 8, value->count);
    } else if (value->type == GGUF_STRING) {
        put_uint(writer, 8, value->data_size);
    }
    put(writer, value->data, value->data_size);
}

void gguf_write_array(struct gguf_write *writer, const char *key, enum gguf_value_type element_type, uint64_t count)
{
    put_key(writer, key, GGUF_ARRAY);
    put_uint(writer, 4, element_type);
    put_uint(writer, 8, count);
}

void gguf_write_element_string(struct gguf_write *writer, const char *text, size_t size)
{
    put_string(writer, text, size);
}

void gguf_write_element_u32(struct gguf_write *writer, uint32_t bits)
{
    put_uint(writer, 4, bits);
}

static uint64_t put_tensor(struct gguf_write *writer, const struct gguf_string *name, enum tensor_type type, const uint64_t *dims,
                           uint32_t dim_count)
{
    uint64_t values = 1;

    assert(name->size > 0 && name->size <= GGUF_NAME_MAX && dim_count >= 1 && dim_count <= GGUF_DIMS_MAX);
    put_string(writer, name->text, name->size);
    put_uint(writer, 4, dim_count);
    for (uint32_t i = 0; i < dim_count; i++) {
        put_uint(writer, 8, dims[i]);
        values *= dims[i];
    }
    put_uint(writer, 4, type);
    put_uint(writer, 8, writer->data_size);
    writer->tensor_count++;

    const uint64_t size = tensor_type_bytes(type, (size_t)values);

    writer->data_size += size + gguf_write_padding(writer, size);
    return size;
}

uint64_t gguf_write_tensor(struct gguf_write *writer, const char *name, enum tensor_type type, const uint64_t *dims, uint32_t dim_count)
{
    const struct gguf_string sized = {name, strlen(name)};

    return put_tensor(writer, &sized, type, dims, dim_count);
}

uint64_t gguf_write_tensor_like(struct gguf_write *writer, const struct gguf_tensor *tensor, enum tensor_type type)
{
    return put_tensor(writer, &tensor->name, type, tensor->dims, tensor->dim_count);
}

size_t gguf_write_padding(const struct gguf_write *writer, uint64_t size)
{
    return (size_t)(-size & (writer->alignment - 1));
}

int gguf_write_finish(struct gguf_write *writer, struct fail *fail)
{
    put_padding(writer, gguf_write_padding(writer, writer->size));
    if (writer->is_out_of_memory)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the description of %llu tensors: close other programs",
                        (unsigned long long)writer->tensor_count);
    bytes_store(writer->bytes + TENSOR_COUNT_AT, writer->tensor_count, 8);
    bytes_store(writer->bytes + VALUE_COUNT_AT, writer->value_count, 8);
    return 0;
}
