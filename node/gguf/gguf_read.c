/* The parser: turns the bytes of a file into the tables of struct gguf, or reports which field is wrong and where.
 *
 * Everything is taken through gguf_take(), which compares with what is left of the file before it moves; sizes are compared by subtraction
 * and division, so no product or sum of the file's numbers can overflow. Counts are checked against what the file could hold before
 * anything is allocated for them: tables take at most a few times the file's size. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_reader.h"
#include "tensor_type.h"

enum {
    VALUE_BYTES_MIN = 8 + 1 + 4 + 1,         /* key length, key, type, value */
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8 /* name length, name, dimension count, one dimension, type, offset */
};

/* Downloads often end in something else. */
static const char *what_to_get(const uint8_t magic[4])
{
    if (memcmp(magic, "vers", 4) == 0)
        return "it may be a pointer of git-lfs: run git lfs pull";
    if (magic[0] == '<')
        return "it may be a web page: download the file itself";
    return "convert it first";
}

static int read_magic(struct gguf_reader *reader)
{
    const uint8_t *magic = gguf_take(reader, "magic", 4);

    if (magic == NULL)
        return -1;
    if (memcmp(magic, "GGUF", 4) != 0)
        return gguf_refuse(reader, "magic at offset 0 is %02x %02x %02x %02x, expected 47 47 55 46 (GGUF): not a GGUF file: %s", magic[0],
                           magic[1], magic[2], magic[3], what_to_get(magic));
    return 0;
}

static int read_version(struct gguf_reader *reader)
{
    uint32_t version = 0;

    if (gguf_take_u32(reader, "version", &version) < 0)
        return -1;
    if (version != 0 && (version & 0xffff) == 0)
        return gguf_refuse(reader, "version at offset 4 is 0x%08x: a big-endian file: only little-endian ones are read: convert it",
                           version);
    if (version != 2 && version != 3)
        return gguf_refuse(reader, "version at offset 4 is %u: versions 2 and 3 are supported: convert the file with a current tool",
                           version);
    reader->gguf->version = version;
    return 0;
}

static int read_count(struct gguf_reader *reader, const char *field, size_t bytes_min, size_t max, size_t *out)
{
    const size_t start = reader->at;
    uint64_t count = 0;

    if (gguf_take_u64(reader, field, &count) < 0)
        return -1;
    if (count > max)
        return gguf_refuse(reader, "%s at offset %zu is %" PRIu64 ": at most %zu are read: the file is damaged", field, start, count, max);
    if (count > gguf_left(reader) / bytes_min)
        return gguf_refuse(reader,
                           "%s at offset %zu is %" PRIu64
                           ", which needs more than the %zu bytes that follow: the file is truncated: copy it again",
                           field, start, count, gguf_left(reader));
    *out = (size_t)count;
    return 0;
}

static int read_header(struct gguf_reader *reader)
{
    struct gguf *gguf = reader->gguf;
    size_t tensor_count = 0;
    size_t value_count = 0;

    if (read_magic(reader) < 0 || read_version(reader) < 0 ||
        read_count(reader, "tensor count", TENSOR_BYTES_MIN, GGUF_TENSORS_MAX, &tensor_count) < 0 ||
        read_count(reader, "metadata count", VALUE_BYTES_MIN, GGUF_VALUES_MAX, &value_count) < 0)
        return -1;
    gguf->values = calloc(value_count + 1, sizeof *gguf->values);
    gguf->value_order = calloc(value_count + 1, sizeof *gguf->value_order);
    gguf->tensors = calloc(tensor_count + 1, sizeof *gguf->tensors);
    gguf->tensor_order = calloc(tensor_count + 1, sizeof *gguf->tensor_order);
    if (gguf->values == NULL || gguf->value_order == NULL || gguf->tensors == NULL || gguf->tensor_order == NULL)
        return fail_set(reader->fail, EXIT_ENVIRONMENT, "%s: out of memory for %zu tensors and %zu metadata values: close other programs",
                        gguf_shown_path(gguf), tensor_count, value_count);
    gguf->tensor_count = tensor_count;
    gguf->value_count = value_count;
    return 0;
}

/* Bools are the only scalars with invalid values. */
static int check_bools(const struct gguf_reader *reader, const uint8_t *data, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (data[i] > 1)
            return gguf_refuse(reader, "value at offset %zu is %u, expected 0 or 1 for a bool: the file is damaged",
                               (size_t)(data - reader->gguf->data) + i, data[i]);
    }
    return 0;
}

static int read_array_data(struct gguf_reader *reader, struct gguf_value *value)
{
    const size_t element_bytes = gguf_scalar_bytes(value->element_type);
    const size_t bytes_min = element_bytes > 0 ? element_bytes : 8; /* a string has at least its length */
    struct gguf_string ignored;

    if (value->count > gguf_left(reader) / bytes_min)
        return gguf_refuse(
            reader, "array length is %" PRIu64 ", which needs more than the %zu bytes that follow: the file is truncated: copy it again",
            value->count, gguf_left(reader));
    value->data = reader->gguf->data + reader->at;
    if (element_bytes > 0) {
        reader->at += (size_t)value->count * element_bytes;
    } else {
        for (uint64_t i = 0; i < value->count; i++) {
            if (gguf_take_string(reader, "string of the array", &ignored) < 0)
                return -1;
        }
    }
    value->data_size = reader->at - (size_t)(value->data - reader->gguf->data);
    return value->element_type == GGUF_BOOL ? check_bools(reader, value->data, value->data_size) : 0;
}

static int read_array(struct gguf_reader *reader, struct gguf_value *value)
{
    const size_t start = reader->at;
    uint32_t element_type = 0;

    if (gguf_take_u32(reader, "array element type", &element_type) < 0)
        return -1;
    if (element_type == GGUF_ARRAY)
        return gguf_refuse(reader, "array element type at offset %zu is array: arrays of arrays are not supported", start);
    if (gguf_value_type_name(element_type) == NULL)
        return gguf_refuse(reader,
                           "array element type at offset %zu is %u, expected 0 to %d: the file is damaged or newer than this program",
                           start, element_type, GGUF_F64);
    value->element_type = (enum gguf_value_type)element_type;
    if (gguf_take_u64(reader, "array length", &value->count) < 0)
        return -1;
    return read_array_data(reader, value);
}

static int read_scalar(struct gguf_reader *reader, struct gguf_value *value)
{
    struct gguf_string text = {0};

    value->count = 1;
    value->element_type = value->type;
    if (value->type == GGUF_STRING) {
        if (gguf_take_string(reader, "string value", &text) < 0)
            return -1;
        value->data = (const uint8_t *)text.text;
        value->data_size = text.size;
        return 0;
    }
    value->data_size = gguf_scalar_bytes(value->type);
    value->data = gguf_take(reader, "value", value->data_size);
    if (value->data == NULL)
        return -1;
    return value->type == GGUF_BOOL ? check_bools(reader, value->data, 1) : 0;
}

static int read_value(struct gguf_reader *reader, struct gguf_value *value)
{
    uint32_t type = 0;

    if (gguf_take_name(reader, "key", GGUF_KEY_MAX, &value->key) < 0)
        return -1;

    const size_t start = reader->at;

    if (gguf_take_u32(reader, "value type", &type) < 0)
        return -1;
    if (gguf_value_type_name(type) == NULL)
        return gguf_refuse(reader, "value type at offset %zu is %u, expected 0 to %d: the file is damaged or newer than this program",
                           start, type, GGUF_F64);
    value->type = (enum gguf_value_type)type;
    return value->type == GGUF_ARRAY ? read_array(reader, value) : read_scalar(reader, value);
}

static int read_dims(struct gguf_reader *reader, struct gguf_tensor *tensor)
{
    const size_t start = reader->at;
    uint64_t product = 1;

    if (gguf_take_u32(reader, "dimension count", &tensor->dim_count) < 0)
        return -1;
    if (tensor->dim_count < 1 || tensor->dim_count > GGUF_DIMS_MAX)
        return gguf_refuse(reader, "dimension count at offset %zu is %u, expected 1 to %d", start, tensor->dim_count, GGUF_DIMS_MAX);
    for (uint32_t i = 0; i < GGUF_DIMS_MAX; i++) {
        const size_t dim_start = reader->at;

        tensor->dims[i] = 1;
        if (i < tensor->dim_count && gguf_take_u64(reader, "dimension", &tensor->dims[i]) < 0)
            return -1;
        if (tensor->dims[i] == 0)
            return gguf_refuse(reader, "dimension %u at offset %zu is 0, expected at least 1", i, dim_start);
        if (__builtin_mul_overflow(product, tensor->dims[i], &product) || product > INT64_MAX)
            return gguf_refuse(
                reader, "dimension %u at offset %zu is %" PRIu64 ": the tensor would have more than 2^63 values: the file is damaged", i,
                dim_start, tensor->dims[i]);
    }
    return 0;
}

/* name, dims, type; the offset goes to *offset, relative to the start of tensor data that is not known yet. */
static int read_tensor(struct gguf_reader *reader, struct gguf_tensor *tensor, uint64_t *offset)
{
    if (gguf_take_name(reader, "name", GGUF_NAME_MAX, &tensor->name) < 0 || read_dims(reader, tensor) < 0 ||
        gguf_take_u32(reader, "type", &tensor->type) < 0)
        return -1;
    return gguf_take_u64(reader, "offset", offset);
}

static int compare_values(const void *a, const void *b, void *context)
{
    const struct gguf_value *values = context;

    return gguf_string_compare(&values[*(const uint32_t *)a].key, &values[*(const uint32_t *)b].key);
}

static int compare_tensors(const void *a, const void *b, void *context)
{
    const struct gguf_tensor *tensors = context;

    return gguf_string_compare(&tensors[*(const uint32_t *)a].name, &tensors[*(const uint32_t *)b].name);
}

static int refuse_twice(struct gguf_reader *reader, const char *field, uint32_t first, uint32_t second, const struct gguf_string *name)
{
    reader->index = first < second ? second : first;
    reader->name = *name;
    return gguf_refuse(reader, "the same %s as number %u: each may appear once: the file is damaged", field,
                       first < second ? first : second);
}

static int sort_values(struct gguf_reader *reader)
{
    struct gguf *gguf = reader->gguf;
    uint32_t *order = gguf->value_order;

    for (uint32_t i = 0; i < gguf->value_count; i++)
        order[i] = i;
    qsort_r(order, gguf->value_count, sizeof *order, compare_values, gguf->values);
    for (size_t i = 1; i < gguf->value_count; i++) {
        if (compare_values(&order[i - 1], &order[i], gguf->values) == 0)
            return refuse_twice(reader, "key", order[i - 1], order[i], &gguf->values[order[i]].key);
    }
    return 0;
}

static int sort_tensors(struct gguf_reader *reader)
{
    struct gguf *gguf = reader->gguf;
    uint32_t *order = gguf->tensor_order;

    for (uint32_t i = 0; i < gguf->tensor_count; i++)
        order[i] = i;
    qsort_r(order, gguf->tensor_count, sizeof *order, compare_tensors, gguf->tensors);
    for (size_t i = 1; i < gguf->tensor_count; i++) {
        if (compare_tensors(&order[i - 1], &order[i], gguf->tensors) == 0)
            return refuse_twice(reader, "name", order[i - 1], order[i], &gguf->tensors[order[i]].name);
    }
    return 0;
}

static int read_values(struct gguf_reader *reader)
{
    reader->part = GGUF_PART_VALUE;
    for (size_t i = 0; i < reader->gguf->value_count; i++) {
        reader->index = i;
        reader->name = (struct gguf_string){0};
        if (read_value(reader, &reader->gguf->values[i]) < 0)
            return -1;
    }
    return sort_values(reader);
}

static int read_tensors(struct gguf_reader *reader, uint64_t *offsets)
{
    reader->part = GGUF_PART_TENSOR;
    for (size_t i = 0; i < reader->gguf->tensor_count; i++) {
        reader->index = i;
        reader->name = (struct gguf_string){0};
        if (read_tensor(reader, &reader->gguf->tensors[i], &offsets[i]) < 0)
            return -1;
    }
    return sort_tensors(reader);
}

static int read_alignment(const struct gguf_reader *reader, uint64_t *out)
{
    *out = GGUF_ALIGNMENT_DEFAULT;
    if (gguf_get_uint(reader->gguf, "general.alignment", GGUF_ALIGNMENT_MAX, out, reader->fail) < 0)
        return -1;
    if (*out == 0 || (*out & (*out - 1)) != 0)
        return fail_set(reader->fail, EXIT_BAD_FILE,
                        "%s: metadata 'general.alignment': found %" PRIu64
                        ", expected a power of two up to %d: get another copy of the file",
                        gguf_shown_path(reader->gguf), *out, GGUF_ALIGNMENT_MAX);
    return 0;
}

/* Bytes required by shape and type. */
static int tensor_bytes(const struct gguf_reader *reader, const struct gguf_tensor *tensor, uint64_t *out)
{
    const struct tensor_type_info *info = tensor_type_info(tensor->type);
    const uint64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3]; /* read_dims has checked the product */

    if (tensor->dims[0] % info->block_values != 0)
        return gguf_refuse(reader, "dimension 0 is %" PRIu64 ", expected a multiple of %u, the block of type %s", tensor->dims[0],
                           info->block_values, info->name);
    if (__builtin_mul_overflow(tensor->dims[0] / info->block_values * rows, (uint64_t)info->block_bytes, out))
        return gguf_refuse(reader, "its %" PRIu64 " rows of %" PRIu64 " values of type %s take more than 2^64 bytes: the file is damaged",
                           rows, tensor->dims[0], info->name);
    return 0;
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* How many of the sorted offsets are at most this one. */
static size_t count_up_to(const uint64_t *sorted, size_t count, uint64_t offset)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (sorted[middle] <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The smallest of the sorted offsets above this one; `end` when there is none. */
static uint64_t next_offset(const uint64_t *sorted, size_t count, uint64_t offset, uint64_t end)
{
    const size_t next = count_up_to(sorted, count, offset);

    return next < count && sorted[next] < end ? sorted[next] : end;
}

static int place_tensor(const struct gguf_reader *reader, struct gguf_tensor *tensor, uint64_t offset, uint64_t alignment,
                        const uint64_t *sorted)
{
    const struct gguf *gguf = reader->gguf;
    const uint64_t available = gguf->size - gguf->data_start;

    if (offset % alignment != 0)
        return gguf_refuse(reader, "offset %" PRIu64 " is not a multiple of general.alignment (%" PRIu64 ")", offset, alignment);
    if (tensor_type_info(tensor->type) == NULL)
        tensor->data_size = offset < available ? next_offset(sorted, gguf->tensor_count, offset, available) - offset : 0;
    else if (tensor_bytes(reader, tensor, &tensor->data_size) < 0)
        return -1;
    if (offset > available || tensor->data_size > available - offset)
        return gguf_refuse(reader,
                           "offset %zu + %" PRIu64 " + %" PRIu64
                           " bytes is beyond the end of the file (%zu bytes): it is truncated: copy it again",
                           gguf->data_start, offset, tensor->data_size, gguf->size);
    tensor->data = gguf->data + gguf->data_start + offset;
    tensor->gguf = gguf;
    return 0;
}

/* No two tensors share bytes: so what is made for each of them takes a few times the file's size at most. */
static int check_apart(const struct gguf_reader *reader, const struct gguf_tensor *tensor, uint64_t offset, const uint64_t *sorted)
{
    const struct gguf *gguf = reader->gguf;
    const size_t up_to = count_up_to(sorted, gguf->tensor_count, offset);
    const uint64_t next = next_offset(sorted, gguf->tensor_count, offset, gguf->size - gguf->data_start);

    if (up_to > 1 && sorted[up_to - 2] == offset)
        return gguf_refuse(reader, "offset %" PRIu64 " is that of another tensor, too: the file is damaged", offset);
    if (tensor->data_size > next - offset)
        return gguf_refuse(reader,
                           "its %" PRIu64 " bytes at offset %" PRIu64 " reach into those of another tensor, which begin at %" PRIu64
                           ": the file is damaged",
                           tensor->data_size, offset, next);
    return 0;
}

static int place_tensors(struct gguf_reader *reader, const uint64_t *offsets, uint64_t *sorted)
{
    struct gguf *gguf = reader->gguf;
    uint64_t alignment;

    if (read_alignment(reader, &alignment) < 0)
        return -1;

    const uint64_t start = (reader->at + alignment - 1) / alignment * alignment;

    gguf->data_start = start < gguf->size ? (size_t)start : gguf->size;
    memcpy(sorted, offsets, gguf->tensor_count * sizeof *sorted);
    qsort(sorted, gguf->tensor_count, sizeof *sorted, compare_u64);
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        reader->index = i;
        reader->name = gguf->tensors[i].name;
        if (place_tensor(reader, &gguf->tensors[i], offsets[i], alignment, sorted) < 0)
            return -1;
    }
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        reader->index = i;
        reader->name = gguf->tensors[i].name;
        if (check_apart(reader, &gguf->tensors[i], offsets[i], sorted) < 0)
            return -1;
    }
    return 0;
}

int gguf_read(struct gguf *gguf, struct fail *fail)
{
    struct gguf_reader reader = {.gguf = gguf, .fail = fail};

    if (read_header(&reader) < 0 || read_values(&reader) < 0)
        return -1;

    uint64_t *offsets = calloc(2 * gguf->tensor_count + 1, sizeof *offsets);

    if (offsets == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: out of memory for %zu tensors: close other programs", gguf_shown_path(gguf),
                        gguf->tensor_count);

    int result = read_tensors(&reader, offsets);

    if (result == 0)
        result = place_tensors(&reader, offsets, offsets + gguf->tensor_count);
    free(offsets);
    return result;
}
