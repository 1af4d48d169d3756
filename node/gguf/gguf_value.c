/* Typed access to the metadata values of a parsed file. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "gguf_internal.h"
#include "node/common/bytes.h"

static const struct {
    const char *name;
    size_t bytes;
} value_types[] = {
    [GGUF_U8] = {"u8", 1},   [GGUF_I8] = {"i8", 1},   [GGUF_U16] = {"u16", 2},   [GGUF_I16] = {"i16", 2},       [GGUF_U32] = {"u32", 4},
    [GGUF_I32] = {"i32", 4}, [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0}, [GGUF_ARRAY] = {"array", 0},
    [GGUF_U64] = {"u64", 8}, [GGUF_I64] = {"i64", 8}, [GGUF_F64] = {"f64", 8},
};

enum { VALUE_TYPE_COUNT = sizeof value_types / sizeof value_types[0] };

size_t gguf_scalar_bytes(uint32_t type)
{
    return type < VALUE_TYPE_COUNT ? value_types[type].bytes : 0;
}

const char *gguf_value_type_name(uint32_t type)
{
    return type < VALUE_TYPE_COUNT ? value_types[type].name : NULL;
}

static bool is_signed(enum gguf_value_type type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

static bool is_integer(enum gguf_value_type type)
{
    return is_signed(type) || type == GGUF_U8 || type == GGUF_U16 || type == GGUF_U32 || type == GGUF_U64;
}

/* Two's complement of the type's width; a u64 above INT64_MAX comes out negative. */
static int64_t load_int(enum gguf_value_type type, const uint8_t *data)
{
    const size_t bytes = gguf_scalar_bytes(type);
    const uint64_t bits = bytes_load(data, bytes);
    const uint64_t sign = is_signed(type) ? (uint64_t)1 << (8 * bytes - 1) : 0;

    return (int64_t)((bits ^ sign) - sign);
}

static float load_f32(const uint8_t *data)
{
    const uint32_t bits = (uint32_t)bytes_load(data, 4);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static double load_f64(const uint8_t *data)
{
    const uint64_t bits = bytes_load(data, 8);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static int refuse_type(const struct gguf *gguf, const struct gguf_value *value, const char *expected, struct fail *fail)
{
    return fail_set(fail, EXIT_BAD_FILE, "%s: metadata '%.*s': its type is %s, expected %s: get another copy of the file",
                    gguf_shown_path(gguf), (int)value->key.size, value->key.text, gguf_value_type_name(value->type), expected);
}

int gguf_get_uint(const struct gguf *gguf, const char *key, uint64_t max, uint64_t *out, struct fail *fail)
{
    const struct gguf_value *value = gguf_find(gguf, key);

    if (value == NULL)
        return 0;
    if (!is_integer(value->type))
        return refuse_type(gguf, value, "an integer", fail);

    const int64_t number = load_int(value->type, value->data);

    if (is_signed(value->type) && number < 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: metadata '%s': found %lld, expected 0 to %llu: get another copy of the file",
                        gguf_shown_path(gguf), key, (long long)number, (unsigned long long)max);
    if ((uint64_t)number > max)
        return fail_set(fail, EXIT_BAD_FILE, "%s: metadata '%s': found %llu, expected at most %llu: get another copy of the file",
                        gguf_shown_path(gguf), key, (unsigned long long)number, (unsigned long long)max);
    *out = (uint64_t)number;
    return 1;
}

int gguf_get_float(const struct gguf *gguf, const char *key, float *out, struct fail *fail)
{
    const struct gguf_value *value = gguf_find(gguf, key);
    float number;

    if (value == NULL)
        return 0;
    if (value->type == GGUF_F32)
        number = load_f32(value->data);
    else if (value->type == GGUF_F64)
        number = (float)load_f64(value->data);
    else if (value->type == GGUF_U64)
        number = (float)bytes_load(value->data, 8);
    else if (is_integer(value->type))
        number = (float)load_int(value->type, value->data);
    else
        return refuse_type(gguf, value, "a number", fail);
    if (!isfinite(number))
        return fail_set(fail, EXIT_BAD_FILE, "%s: metadata '%s': found %g, expected a finite f32: get another copy of the file",
                        gguf_shown_path(gguf), key, (double)number);
    *out = number;
    return 1;
}

int gguf_get_bool(const struct gguf *gguf, const char *key, bool *out, struct fail *fail)
{
    const struct gguf_value *value = gguf_find(gguf, key);

    if (value == NULL)
        return 0;
    if (value->type != GGUF_BOOL)
        return refuse_type(gguf, value, "a bool", fail);
    *out = value->data[0] != 0;
    return 1;
}

int gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *out, struct fail *fail)
{
    const struct gguf_value *value = gguf_find(gguf, key);

    if (value == NULL)
        return 0;
    if (value->type != GGUF_STRING)
        return refuse_type(gguf, value, "a string", fail);
    *out = (struct gguf_string){(const char *)value->data, value->data_size};
    return 1;
}

float gguf_array_float(const struct gguf_value *array, uint64_t index)
{
    assert(array->type == GGUF_ARRAY && array->element_type == GGUF_F32 && index < array->count);
    return load_f32(array->data + 4 * index);
}

int64_t gguf_array_int(const struct gguf_value *array, uint64_t index)
{
    assert(array->type == GGUF_ARRAY && is_integer(array->element_type) && index < array->count);
    return load_int(array->element_type, array->data + gguf_scalar_bytes(array->element_type) * index);
}

bool gguf_array_next_string(const struct gguf_value *array, size_t *cursor, struct gguf_string *out)
{
    assert(array->type == GGUF_ARRAY && array->element_type == GGUF_STRING && *cursor <= array->data_size);
    if (*cursor == array->data_size)
        return false;

    const uint8_t *at = array->data + *cursor;
    const size_t left = array->data_size - *cursor, size = left < 8 ? 0 : (size_t)bytes_load(at, 8);

    if (left < 8 || size > left - 8)
        return false; /* the parser has checked all lengths, but the file may have been overwritten since */
    *out = (struct gguf_string){(const char *)at + 8, size};
    *cursor += 8 + size;
    return true;
}
