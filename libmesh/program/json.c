/* One value after another; commas and escapes. */
#include "mesh/program/json.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/text_decode.h"

void json_init(struct json *json, FILE *out)
{
    *json = (struct json){.out = out};
}

/* Printable ASCII that stands for itself. */
static size_t plain_run(const char *bytes, size_t size)
{
    size_t i = 0;

    while (i < size && bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '"' && bytes[i] != '\\')
        i++;
    return i;
}

/* Bytes are held back until the outermost value ends: a call of the stream costs more than they do. */
static void write_out(struct json *json)
{
    fwrite(json->bytes, 1, json->size, json->out);
    json->size = 0;
}

static void put(struct json *json, const char *bytes, size_t size)
{
    if (size > sizeof json->bytes - json->size)
        write_out(json);
    if (size > sizeof json->bytes) {
        fwrite(bytes, 1, size, json->out);
        return;
    }
    memcpy(json->bytes + json->size, bytes, size);
    json->size += size;
}

static void put_text(struct json *json, const char *text)
{
    put(json, text, strlen(text));
}

static void put_escaped(struct json *json, uint32_t c)
{
    char text[8];

    if (c == '"' || c == '\\')
        snprintf(text, sizeof text, "\\%c", (int)c);
    else if (c == '\n')
        snprintf(text, sizeof text, "\\n");
    else
        snprintf(text, sizeof text, "\\u%04x", c & 0xffff);
    put_text(json, text);
}

static void put_string(struct json *json, const char *bytes, size_t size)
{
    put(json, "\"", 1);
    while (size > 0) {
        uint32_t c = ' ';
        const size_t plain = plain_run(bytes, size);
        const size_t length = plain > 0 ? plain : text_decode(bytes, size, &c);

        if (c == TEXT_DECODE_INVALID)
            put_text(json, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\' || c < 0x20 || c == 0x7f)
            put_escaped(json, c);
        else
            put(json, bytes, length);
        bytes += length;
        size -= length;
    }
    put(json, "\"", 1);
}

static void put_uint(struct json *json, uint64_t value)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(json, digits + first, sizeof digits - first);
}

/* A value begins: the comma after the one before it, and the key. */
static void value_begin(struct json *json, const char *key)
{
    const bool in_object = json->depth > 0 && json->closers[json->depth - 1] == '}';

    assert(in_object == (key != NULL));
    if (json->needs_comma)
        put(json, ",", 1);
    json->needs_comma = json->depth > 0;
    if (key != NULL) {
        put_string(json, key, strlen(key));
        put(json, ":", 1);
    }
}

static void value_end(struct json *json)
{
    if (json->depth == 0)
        write_out(json);
}

/* A value that is a word. */
static void value(struct json *json, const char *key, const char *word)
{
    value_begin(json, key);
    put_text(json, word);
    value_end(json);
}

static void begin(struct json *json, const char *key, char opener, char closer)
{
    value_begin(json, key);
    put(json, &opener, 1);
    assert(json->depth < JSON_DEPTH_MAX);
    json->closers[json->depth++] = closer;
    json->needs_comma = false;
}

static void end(struct json *json, char closer)
{
    assert(json->depth > 0 && json->closers[json->depth - 1] == closer);
    json->depth--;
    json->needs_comma = json->depth > 0;
    put(json, &closer, 1);
    value_end(json);
}

void json_object_begin(struct json *json, const char *key)
{
    begin(json, key, '{', '}');
}

void json_object_end(struct json *json)
{
    end(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
    begin(json, key, '[', ']');
}

void json_array_end(struct json *json)
{
    end(json, ']');
}

void json_event_begin(struct json *json, const char *event)
{
    assert(json->depth == 0);
    json_object_begin(json, NULL);
    json_uint(json, "schema_version", 1);
    json_text(json, "event", event);
}

void json_event_end(struct json *json)
{
    json_object_end(json);
    assert(json->depth == 0);
    fputc('\n', json->out);
    if (!json->is_lazy)
        fflush(json->out);
}

void json_text(struct json *json, const char *key, const char *text)
{
    json_string(json, key, text, strlen(text));
}

void json_string(struct json *json, const char *key, const char *bytes, size_t size)
{
    value_begin(json, key);
    put_string(json, bytes, size);
    value_end(json);
}

void json_hex(struct json *json, const char *key, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *byte = bytes;

    value_begin(json, key);
    put(json, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        put(json, &digits[byte[i] >> 4], 1);
        put(json, &digits[byte[i] & 15], 1);
    }
    put(json, "\"", 1);
    value_end(json);
}

void json_uint(struct json *json, const char *key, uint64_t number)
{
    value_begin(json, key);
    put_uint(json, number);
    value_end(json);
}

void json_int(struct json *json, const char *key, int64_t number)
{
    value_begin(json, key);
    if (number < 0)
        put(json, "-", 1);
    put_uint(json, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
    value_end(json);
}

void json_float_text(float value, char out[JSON_NUMBER_MAX])
{
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, JSON_NUMBER_MAX, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value)
            return;
    }
}

void json_double_text(double value, char out[JSON_NUMBER_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, JSON_NUMBER_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

void json_float(struct json *json, const char *key, float number)
{
    char text[JSON_NUMBER_MAX];

    json_float_text(number, text);
    value(json, key, isfinite(number) ? text : "null");
}

void json_double(struct json *json, const char *key, double number)
{
    char text[JSON_NUMBER_MAX];

    json_double_text(number, text);
    value(json, key, isfinite(number) ? text : "null");
}

void json_null(struct json *json, const char *key)
{
    value(json, key, "null");
}

void json_bool(struct json *json, const char *key, bool is_true)
{
    value(json, key, is_true ? "true" : "false");
}
