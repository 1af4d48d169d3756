/* Writes JSON, one value after another, to a stream.
 *
 * The caller opens and closes objects and arrays in pairs (asserted) and gives a key inside an object, NULL inside an array and at the
 * top. The result is strict JSON whatever bytes the strings hold: what is not UTF-8 becomes U+FFFD, control characters are escaped, a
 * number that is not finite becomes null. The stream gets a value when the outermost one ends, parts of long ones before. Errors of the
 * stream are the caller's to check (ferror). One thread per writer. */
#ifndef MESH_PROGRAM_JSON_H
#define MESH_PROGRAM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_DEPTH_MAX = 16, JSON_NUMBER_MAX = 32, JSON_BUFFER_BYTES = 1024 };

struct json {
    FILE *out;
    unsigned depth;
    bool needs_comma, is_lazy;    /* lazy: events are not flushed, which the caller sees to; json_init says no */
    char closers[JSON_DEPTH_MAX]; /* (depth) what ends each open object or array */
    size_t size;
    char bytes[JSON_BUFFER_BYTES]; /* (size) not written yet */
};

void json_init(struct json *json, FILE *out);

void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);

/* Begin and end one line of output: {"schema_version":1,"event":EVENT, ... }. The end writes a newline and flushes, unless the
 * writer is lazy. */
void json_event_begin(struct json *json, const char *event);
void json_event_end(struct json *json);

void json_text(struct json *json, const char *key, const char *text);
void json_string(struct json *json, const char *key, const char *bytes, size_t size);
void json_hex(struct json *json, const char *key, const void *bytes, size_t size); /* a string of hexadecimal digits */
void json_uint(struct json *json, const char *key, uint64_t number);
void json_int(struct json *json, const char *key, int64_t number);
void json_float(struct json *json, const char *key, float number);   /* reads back as the same float */
void json_double(struct json *json, const char *key, double number); /* reads back as the same double */
void json_bool(struct json *json, const char *key, bool is_true);
void json_null(struct json *json, const char *key);

/* The shortest decimal text (of those printf's %g makes) that reads back as the same number; "nan", "inf" or "-inf" for the others. */
void json_float_text(float value, char out[JSON_NUMBER_MAX]);
void json_double_text(double value, char out[JSON_NUMBER_MAX]);

#endif
