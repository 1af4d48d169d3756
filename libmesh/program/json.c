/* One value after another; commas and escapes. */
#include "mesh/program/json.h"

#include <assert.h>
#include <inttypes.h>
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

static void put_string(FILE *out, const char *bytes, size_t size)
{
    fputc('"', out);
    while (size > 0) {
        uint32_t c = ' ';
        const size_t plain = plain_run(bytes, size);
        const size_t length = plain > 0 ? plain : text_decode(bytes, size, &c);

        if (c == TEXT_DECODE_INVALID)
            fputs("\xef\xbf\xbd", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", (int)c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fwrite(bytes, 1, length, out);
        bytes += length;
        size -= length;
    }
    fputc('"', out);
}

/* What stands before a value: the comma after the one before it, and the key. */
static void put_prefix(struct json *json, const char *key)
{
    const bool in_object = json->depth > 0 && json->closers[json->depth - 1] == '}';

    assert(in_object == (key != NULL));
    if (json->needs_comma)
        fputc(',', json->out);
    json->needs_comma = json->depth > 0;
    if (key != NULL) {
        put_string(json->out, key, strlen(key));
        fputc(':', json->out);
    }
}

static void begin(struct json *json, const char *key, char opener, char closer)
{
    put_prefix(json, key);
    assert(json->depth < JSON_DEPTH_MAX);
    json->closers[json->depth++] = closer;
    json->needs_comma = false;
    fputc(opener, json->out);
}

static void end(struct json *json, char closer)
{
    assert(json->depth > 0 && json->closers[json->depth - 1] == closer);
    json->depth--;
    json->needs_comma = json->depth > 0;
    fputc(closer, json->out);
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
    put_prefix(json, key);
    put_string(json->out, bytes, size);
}

void json_uint(struct json *json, const char *key, uint64_t value)
{
    put_prefix(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void json_int(struct json *json, const char *key, int64_t value)
{
    put_prefix(json, key);
    fprintf(json->out, "%" PRId64, value);
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

void json_float(struct json *json, const char *key, float value)
{
    char text[JSON_NUMBER_MAX];

    json_float_text(value, text);
    put_prefix(json, key);
    fputs(isfinite(value) ? text : "null", json->out);
}

void json_double(struct json *json, const char *key, double value)
{
    char text[JSON_NUMBER_MAX];

    json_double_text(value, text);
    put_prefix(json, key);
    fputs(isfinite(value) ? text : "null", json->out);
}

void json_bool(struct json *json, const char *key, bool value)
{
    put_prefix(json, key);
    fputs(value ? "true" : "false", json->out);
}
