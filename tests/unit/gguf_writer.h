/* Writes small GGUF files (version 3, metadata only) into memory, for tests and fuzz targets. Everything is in this header. */
#ifndef TESTS_GGUF_WRITER_H
#define TESTS_GGUF_WRITER_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/gguf/gguf.h"

enum { GGUF_WRITER_VALUES_AT = 16 }; /* offset of the number of values */

struct gguf_writer {
    uint8_t *data;
    size_t size, room;
    uint64_t value_count;
};

static inline void gguf_writer_bytes(struct gguf_writer *w, const void *bytes, size_t size)
{
    if (w->size + size > w->room) {
        w->room = 2 * (w->size + size);
        w->data = realloc(w->data, w->room);
        assert(w->data);
    }
    if (size > 0)
        memcpy(w->data + w->size, bytes, size);
    w->size += size;
}

static inline void gguf_writer_le(struct gguf_writer *w, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));

        gguf_writer_bytes(w, &byte, 1);
    }
}

static inline void gguf_writer_text(struct gguf_writer *w, const char *text, size_t size)
{
    gguf_writer_le(w, size, 8);
    gguf_writer_bytes(w, text, size);
}

static inline void gguf_writer_init(struct gguf_writer *w)
{
    memset(w, 0, sizeof *w);
    gguf_writer_bytes(w, "GGUF", 4);
    gguf_writer_le(w, 3, 4);
    gguf_writer_le(w, 0, 8);
    gguf_writer_le(w, 0, 8);
}

/* The data must outlive the gguf; release after closing it. */
static inline struct gguf *gguf_writer_parse(struct gguf_writer *w, struct fail *fail)
{
    for (size_t i = 0; i < 8; i++)
        w->data[GGUF_WRITER_VALUES_AT + i] = (uint8_t)(w->value_count >> (8 * i));
    return gguf_parse("test.gguf", w->data, w->size, fail);
}

static inline void gguf_writer_release(struct gguf_writer *w)
{
    free(w->data);
}

static inline void gguf_writer_key(struct gguf_writer *w, const char *key, enum gguf_value_type type)
{
    w->value_count++;
    gguf_writer_text(w, key, strlen(key));
    gguf_writer_le(w, (uint64_t)type, 4);
}

static inline void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    gguf_writer_key(w, key, GGUF_U32);
    gguf_writer_le(w, value, 4);
}

static inline void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value)
{
    gguf_writer_key(w, key, GGUF_BOOL);
    gguf_writer_le(w, value, 1);
}

static inline void gguf_writer_string(struct gguf_writer *w, const char *key, const char *value)
{
    gguf_writer_key(w, key, GGUF_STRING);
    gguf_writer_text(w, value, strlen(value));
}

/* The elements follow: gguf_writer_text, gguf_writer_le or gguf_writer_float. */
static inline void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_value_type element_type, uint64_t count)
{
    gguf_writer_key(w, key, GGUF_ARRAY);
    gguf_writer_le(w, (uint64_t)element_type, 4);
    gguf_writer_le(w, count, 8);
}

static inline void gguf_writer_float(struct gguf_writer *w, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, 4);
    gguf_writer_le(w, bits, 4);
}

#endif
