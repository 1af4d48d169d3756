/* Uses everything that a parsed GGUF file hands out, so that a sanitizer sees any pointer or size that is wrong.
 *
 * Functions in a header, because unit tests and fuzz programs are not linked with the same files. */
#ifndef TESTS_GGUF_WALK_H
#define TESTS_GGUF_WALK_H

#include <assert.h>
#include <string.h>

#include "node/gguf/gguf.h"
#include "node/gguf/tensor_type.h"

static uint64_t sum_bytes(const void *data, uint64_t size)
{
    const uint8_t *bytes = data;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < size; i++)
        sum += bytes[i];
    return sum;
}

static uint64_t walk_value(const struct gguf *gguf, const struct gguf_value *value)
{
    uint64_t sum = sum_bytes(value->key.text, value->key.size) + sum_bytes(value->data, value->data_size);
    struct gguf_string text;
    char key[64];
    struct fail fail;
    uint64_t number = 0;
    uint64_t strings = 0;
    bool flag = false;
    float real = 0;
    size_t cursor = 0;

    assert(gguf_value_type_name(value->type) != NULL);
    if (value->type == GGUF_ARRAY && value->element_type == GGUF_STRING) {
        while (gguf_array_next_string(value, &cursor, &text)) {
            sum += sum_bytes(text.text, text.size);
            strings++;
        }
        assert(strings == value->count);
    }
    if (value->key.size < sizeof key && memchr(value->key.text, 0, value->key.size) == NULL) {
        memcpy(key, value->key.text, value->key.size);
        key[value->key.size] = 0;
        assert(gguf_find(gguf, key) == value);
        gguf_get_uint(gguf, key, UINT64_MAX, &number, &fail);
        gguf_get_float(gguf, key, &real, &fail);
        gguf_get_bool(gguf, key, &flag, &fail);
        gguf_get_string(gguf, key, &text, &fail);
    }
    return sum + number + flag;
}

static uint64_t walk_tensor(const struct gguf *gguf, const struct gguf_tensor *tensor)
{
    const struct tensor_type_info *info = tensor_type_info(tensor->type);
    char name[GGUF_NAME_MAX + 1];
    float values[256] = {0};

    if (memchr(tensor->name.text, 0, tensor->name.size) == NULL) {
        memcpy(name, tensor->name.text, tensor->name.size);
        name[tensor->name.size] = 0;
        assert(gguf_find_tensor(gguf, name) == tensor);
    }
    if (info != NULL)
        tensor_type_dequantise((enum tensor_type)tensor->type, tensor->data, info->block_values, values);
    return sum_bytes(tensor->data, tensor->data_size) + sum_bytes(tensor->name.text, tensor->name.size) + (values[0] > 0);
}

/* A sum that depends on every reachable byte. */
static uint64_t gguf_walk(const struct gguf *gguf)
{
    uint8_t fingerprint[32];
    uint64_t sum = 0;

    for (size_t i = 0; i < gguf_value_count(gguf); i++)
        sum += walk_value(gguf, gguf_value_at(gguf, i));
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++)
        sum += walk_tensor(gguf, gguf_tensor_at(gguf, i));
    gguf_fingerprint(gguf, fingerprint);
    return sum + fingerprint[0];
}

#endif
