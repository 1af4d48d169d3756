#include "inspect.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "mesh/program/json.h"
#include "mesh/program/text_decode.h"
#include "node/common/bytes.h"
#include "node/gguf/tensor_type.h"

enum {
    TEXT_ELEMENTS_MAX = 6, /* shown of an array */
    JSON_ELEMENTS_MAX = 16,
    TEXT_STRING_MAX = 200, /* bytes shown of a string in a text line */
    TYPES_SHOWN_MAX = 64   /* type numbers with a line of their own in the totals; the others share one line */
};

struct totals {
    uint64_t tensors;
    uint64_t values; /* UINT64_MAX: too many to count, which types without a known size may claim */
    uint64_t bytes;
};

/* A value of the file in the form it is printed in. */
struct number {
    enum { NUMBER_INT, NUMBER_UINT, NUMBER_FLOAT, NUMBER_DOUBLE, NUMBER_BOOL } kind;
    int64_t integer;
    uint64_t natural;
    double real;
};

static struct number load_real(const uint8_t *data, bool is_double)
{
    const uint64_t bits = bytes_load(data, is_double ? 8 : 4);
    const uint32_t short_bits = (uint32_t)bits;
    double wide;
    float narrow;

    memcpy(&wide, &bits, sizeof wide);
    memcpy(&narrow, &short_bits, sizeof narrow);
    return (struct number){.kind = is_double ? NUMBER_DOUBLE : NUMBER_FLOAT, .real = is_double ? wide : (double)narrow};
}

/* Element `index` of consecutive values of `type`; not of strings. */
static struct number load_number(enum gguf_value_type type, const uint8_t *data, uint64_t index)
{
    switch (type) {
    case GGUF_U8:
        return (struct number){.kind = NUMBER_UINT, .natural = data[index]};
    case GGUF_I8:
        return (struct number){.kind = NUMBER_INT, .integer = (int8_t)data[index]};
    case GGUF_U16:
        return (struct number){.kind = NUMBER_UINT, .natural = bytes_load(data + 2 * index, 2)};
    case GGUF_I16:
        return (struct number){.kind = NUMBER_INT, .integer = (int16_t)bytes_load(data + 2 * index, 2)};
    case GGUF_U32:
        return (struct number){.kind = NUMBER_UINT, .natural = bytes_load(data + 4 * index, 4)};
    case GGUF_I32:
        return (struct number){.kind = NUMBER_INT, .integer = (int32_t)bytes_load(data + 4 * index, 4)};
    case GGUF_U64:
        return (struct number){.kind = NUMBER_UINT, .natural = bytes_load(data + 8 * index, 8)};
    case GGUF_I64:
        return (struct number){.kind = NUMBER_INT, .integer = (int64_t)bytes_load(data + 8 * index, 8)};
    case GGUF_F32:
        return load_real(data + 4 * index, false);
    case GGUF_F64:
        return load_real(data + 8 * index, true);
    case GGUF_BOOL:
        return (struct number){.kind = NUMBER_BOOL, .natural = data[index]};
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
    assert(!"a value that is no number");
    return (struct number){0};
}

/* ---- text ---- */

static void print_string(FILE *out, const char *bytes, size_t size)
{
    size_t shown = size < TEXT_STRING_MAX ? size : TEXT_STRING_MAX;

    /* Do not cut inside a character. */
    while (shown > 0 && shown < size && ((uint8_t)bytes[shown] & 0xc0) == 0x80)
        shown--;
    fputc('"', out);
    text_decode_print(out, bytes, shown);
    fputc('"', out);
    if (shown < size)
        fprintf(out, "... (%zu bytes)", size);
}

static void print_number(FILE *out, const struct number *number)
{
    char text[JSON_NUMBER_MAX];

    switch (number->kind) {
    case NUMBER_INT:
        fprintf(out, "%" PRId64, number->integer);
        break;
    case NUMBER_UINT:
        fprintf(out, "%" PRIu64, number->natural);
        break;
    case NUMBER_BOOL:
        fputs(number->natural != 0 ? "true" : "false", out);
        break;
    case NUMBER_FLOAT:
        json_float_text((float)number->real, text);
        fputs(text, out);
        break;
    case NUMBER_DOUBLE:
        json_double_text(number->real, text);
        fputs(text, out);
        break;
    }
}

static void print_array(FILE *out, const struct gguf_value *array)
{
    const uint64_t shown = array->count < TEXT_ELEMENTS_MAX ? array->count : TEXT_ELEMENTS_MAX;
    struct gguf_string text;
    size_t cursor = 0;

    fputc('[', out);
    for (uint64_t i = 0; i < shown; i++) {
        fputs(i > 0 ? ", " : "", out);
        if (array->element_type == GGUF_STRING) {
            if (gguf_array_next_string(array, &cursor, &text))
                print_string(out, text.text, text.size);
        } else {
            const struct number number = load_number(array->element_type, array->data, i);

            print_number(out, &number);
        }
    }
    fputs(shown < array->count ? ", ...]" : "]", out);
}

static void print_value(FILE *out, const struct gguf_value *value)
{
    char type[40];

    if (value->type == GGUF_ARRAY)
        snprintf(type, sizeof type, "%s[%" PRIu64 "]", gguf_value_type_name(value->element_type), value->count);
    else
        snprintf(type, sizeof type, "%s", gguf_value_type_name(value->type));
    fprintf(out, "  %-14s ", type);
    text_decode_print(out, value->key.text, value->key.size);
    fputs(" = ", out);
    if (value->type == GGUF_ARRAY) {
        print_array(out, value);
    } else if (value->type == GGUF_STRING) {
        print_string(out, (const char *)value->data, value->data_size);
    } else {
        const struct number number = load_number(value->type, value->data, 0);

        print_number(out, &number);
    }
    fputc('\n', out);
}

/* "q4_k", or "type 99" for a number without a name. */
static const char *tensor_type_label(uint32_t type, char buffer[24])
{
    const char *name = tensor_type_name(type);

    if (strcmp(name, "unknown") != 0)
        return name;
    snprintf(buffer, 24, "type %u", type);
    return buffer;
}

static void print_tensor(FILE *out, const struct gguf_tensor *tensor)
{
    char label[24];
    char shape[96];
    size_t used = 0;

    for (uint32_t i = 0; i < tensor->dim_count; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%" PRIu64, i > 0 ? " x " : "", tensor->dims[i]);
    fprintf(out, "  %-9s %-16s %14" PRIu64 "  ", tensor_type_label(tensor->type, label), shape, tensor->data_size);
    text_decode_print(out, tensor->name.text, tensor->name.size);
    fputc('\n', out);
}

static struct totals add_up(const struct gguf *gguf, uint32_t first_type, uint32_t last_type)
{
    struct totals totals = {0};

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);

        if (tensor->type < first_type || tensor->type > last_type)
            continue;
        totals.tensors++;
        if (__builtin_add_overflow(totals.values, tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3], &totals.values))
            totals.values = UINT64_MAX;
        totals.bytes += tensor->data_size;
    }
    return totals;
}

static void print_totals(FILE *out, const char *label, const struct totals *totals, bool is_supported)
{
    if (totals->tensors > 0)
        fprintf(out, "  %-9s %6" PRIu64 " tensors %16" PRIu64 " values %16" PRIu64 " bytes%s\n", label, totals->tensors, totals->values,
                totals->bytes, is_supported ? "" : "  (type not supported)");
}

static void print_text(const struct gguf *gguf, FILE *out)
{
    text_decode_print(out, gguf_path(gguf), strlen(gguf_path(gguf)));
    fprintf(out, ": GGUF version %" PRIu32 ", %" PRIu64 " bytes\n", gguf_version(gguf), gguf_file_bytes(gguf));
    fprintf(out, "\nmetadata: %zu values\n", gguf_value_count(gguf));
    for (size_t i = 0; i < gguf_value_count(gguf); i++)
        print_value(out, gguf_value_at(gguf, i));
    fprintf(out, "\ntensors: %zu (type, columns x rows, bytes, name)\n", gguf_tensor_count(gguf));
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++)
        print_tensor(out, gguf_tensor_at(gguf, i));
    fputs("\ntotals:\n", out);
    for (uint32_t type = 0; type < TYPES_SHOWN_MAX; type++) {
        const struct totals totals = add_up(gguf, type, type);
        char label[24];

        print_totals(out, tensor_type_label(type, label), &totals, tensor_type_info(type) != NULL);
    }

    const struct totals others = add_up(gguf, TYPES_SHOWN_MAX, UINT32_MAX);
    const struct totals all = add_up(gguf, 0, UINT32_MAX);

    print_totals(out, "unknown", &others, false);
    print_totals(out, "all", &all, true);
}

/* ---- JSON ---- */

static void write_number(struct json *json, const char *key, const struct number *number)
{
    switch (number->kind) {
    case NUMBER_INT:
        json_int(json, key, number->integer);
        break;
    case NUMBER_UINT:
        json_uint(json, key, number->natural);
        break;
    case NUMBER_BOOL:
        json_bool(json, key, number->natural != 0);
        break;
    case NUMBER_FLOAT:
        json_float(json, key, (float)number->real);
        break;
    case NUMBER_DOUBLE:
        json_double(json, key, number->real);
        break;
    }
}

static void write_array(struct json *json, const struct gguf_value *array)
{
    const uint64_t shown = array->count < JSON_ELEMENTS_MAX ? array->count : JSON_ELEMENTS_MAX;
    struct gguf_string text;
    size_t cursor = 0;

    json_text(json, "element_type", gguf_value_type_name(array->element_type));
    json_uint(json, "count", array->count);
    json_bool(json, "shortened", shown < array->count);
    json_array_begin(json, "value");
    for (uint64_t i = 0; i < shown; i++) {
        if (array->element_type == GGUF_STRING) {
            if (gguf_array_next_string(array, &cursor, &text))
                json_string(json, NULL, text.text, text.size);
        } else {
            const struct number number = load_number(array->element_type, array->data, i);

            write_number(json, NULL, &number);
        }
    }
    json_array_end(json);
}

static void write_value(struct json *json, const struct gguf_value *value)
{
    json_event_begin(json, "metadata");
    json_string(json, "key", value->key.text, value->key.size);
    json_text(json, "type", gguf_value_type_name(value->type));
    if (value->type == GGUF_ARRAY) {
        write_array(json, value);
    } else if (value->type == GGUF_STRING) {
        json_string(json, "value", (const char *)value->data, value->data_size);
    } else {
        const struct number number = load_number(value->type, value->data, 0);

        write_number(json, "value", &number);
    }
    json_event_end(json);
}

static void write_tensor(struct json *json, const struct gguf_tensor *tensor)
{
    json_event_begin(json, "tensor");
    json_string(json, "name", tensor->name.text, tensor->name.size);
    json_text(json, "type", tensor_type_name(tensor->type));
    json_uint(json, "type_number", tensor->type);
    json_bool(json, "supported", tensor_type_info(tensor->type) != NULL);
    json_array_begin(json, "shape");
    for (uint32_t i = 0; i < tensor->dim_count; i++)
        json_uint(json, NULL, tensor->dims[i]);
    json_array_end(json);
    json_uint(json, "bytes", tensor->data_size);
    json_event_end(json);
}

static void write_json(const struct gguf *gguf, FILE *out)
{
    const struct totals all = add_up(gguf, 0, UINT32_MAX);
    struct json json;

    json_init(&json, out);
    json_event_begin(&json, "file");
    json_text(&json, "path", gguf_path(gguf));
    json_uint(&json, "version", gguf_version(gguf));
    json_uint(&json, "file_bytes", gguf_file_bytes(gguf));
    json_event_end(&json);
    for (size_t i = 0; i < gguf_value_count(gguf); i++)
        write_value(&json, gguf_value_at(gguf, i));
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++)
        write_tensor(&json, gguf_tensor_at(gguf, i));
    json_event_begin(&json, "summary");
    json_uint(&json, "metadata", gguf_value_count(gguf));
    json_uint(&json, "tensors", all.tensors);
    json_uint(&json, "values", all.values);
    json_uint(&json, "tensor_bytes", all.bytes);
    json_uint(&json, "file_bytes", gguf_file_bytes(gguf));
    json_event_end(&json);
}

void inspect_print(const struct gguf *gguf, bool json, FILE *out)
{
    if (json)
        write_json(gguf, out);
    else
        print_text(gguf, out);
}

int inspect_run(const char *path, bool json, FILE *out, struct fail *fail)
{
    struct gguf *gguf = gguf_open(path, fail);

    if (gguf == NULL)
        return -1;
    inspect_print(gguf, json, out);
    gguf_close(gguf);
    if (fflush(out) != 0 || ferror(out))
        return fail_output(fail, "stdout");
    return 0;
}
