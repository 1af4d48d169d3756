/* Where the parser is in the file, and how it takes bytes from it; part of the reader (gguf*.c).
 *
 * Sizes are compared with what is left before the position moves, so it never passes the end. */
#ifndef NODE_GGUF_READER_H
#define NODE_GGUF_READER_H

#include "gguf_internal.h"

enum gguf_part { GGUF_PART_HEADER, GGUF_PART_VALUE, GGUF_PART_TENSOR };

struct gguf_reader {
    struct gguf *gguf;
    struct fail *fail;
    size_t at;
    enum gguf_part part; /* what is being read, for messages: */
    size_t index;
    struct gguf_string name; /* empty until known */
};

/* "model.gguf: tensor 3 'blk.0.attn_q.weight': " and then the text; EXIT_BAD_FILE. Returns -1. */
__attribute__((format(printf, 2, 3))) int gguf_refuse(const struct gguf_reader *reader, const char *format, ...);

size_t gguf_left(const struct gguf_reader *reader);

/* The next size bytes, or NULL. `field` names them in the message. */
const uint8_t *gguf_take(struct gguf_reader *reader, const char *field, uint64_t size);

/* 0, or -1 with *out untouched. */
int gguf_take_u32(struct gguf_reader *reader, const char *field, uint32_t *out);
int gguf_take_u64(struct gguf_reader *reader, const char *field, uint64_t *out);
int gguf_take_string(struct gguf_reader *reader, const char *field, struct gguf_string *out); /* a length and as many bytes */

/* A string of 1 to max bytes, which messages include from now on. */
int gguf_take_name(struct gguf_reader *reader, const char *field, size_t max, struct gguf_string *out);

#endif
