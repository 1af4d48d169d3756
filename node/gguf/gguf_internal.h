/* The parsed file, shared by the files that make up the reader (gguf*.c); nobody else includes this.
 *
 * Once gguf_read has succeeded, every pointer and size in values[] and tensors[] lies inside data[0..size-1], keys and names are
 * unique, and the two orders are sorted by (size, bytes), which is what lookups search. A sorted order rather than a hash table: no
 * choice of names in a hostile file makes it slow. */
#ifndef NODE_GGUF_INTERNAL_H
#define NODE_GGUF_INTERNAL_H

#include <sys/stat.h>

#include "gguf.h"

enum {
    GGUF_VALUES_MAX = 1 << 20,
    GGUF_TENSORS_MAX = 1 << 20,
    GGUF_KEY_MAX = 65535, /* the format's own limit */
    GGUF_ALIGNMENT_DEFAULT = 32,
    GGUF_ALIGNMENT_MAX = 1 << 20,
    GGUF_SHOWN_PATH_MAX = 160 /* of a path in a message: its end */
};

struct gguf {
    char *path;
    const uint8_t *data;
    size_t size;
    bool is_mapped;
    int file;            /* open for reading while is_mapped */
    int64_t modified_ns; /* when it was last written to, at its opening */
    uint32_t version;
    size_t data_start; /* where tensor data begins; the file's size when there is none */
    struct gguf_value *values;
    size_t value_count;
    struct gguf_tensor *tensors;
    size_t tensor_count;
    uint32_t *value_order;  /* (value_count) */
    uint32_t *tensor_order; /* (tensor_count) */
    bool has_fingerprint;
    uint8_t fingerprint[32];
};

/* Parse gguf->data into the other members. On failure members may be half filled: gguf_close frees them. */
int gguf_read(struct gguf *gguf, struct fail *fail);

/* The same for any bytes of the file as gguf_tensor_bytes and gguf_tensor_ahead for a tensor's. */
const uint8_t *gguf_bytes(const struct gguf *gguf, uint64_t offset, size_t size, uint8_t *buffer);
void gguf_ahead(const struct gguf *gguf, uint64_t offset, uint64_t size);

/* (size, bytes) order of two strings. */
int gguf_string_compare(const struct gguf_string *a, const struct gguf_string *b);

/* Bytes of one value of this type; 0 for strings, arrays and numbers that are no type. */
size_t gguf_scalar_bytes(uint32_t type);

/* The path as messages show it: its beginning cut off when long. */
const char *gguf_shown_path(const struct gguf *gguf);

int64_t gguf_modified_ns(const struct stat *status); /* when the file was last written to */

#endif
