/* GGUF v2/v3 files, read from memory.
 *
 * Every count, offset, length and type is checked against the size of the file before it is used, so any
 * bytes may be given; a message names the field and the offset. The file stays mapped (read-only) until
 * gguf_close; all pointers handed out point into it and are valid until then. Values are little-endian at
 * any alignment. Immutable after opening: any thread may read. */
#ifndef NODE_GGUF_H
#define NODE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

enum { GGUF_DIMS_MAX = 4, GGUF_NAME_MAX = 256, GGUF_SHOWN_NAME_BYTES = 84 };

enum gguf_value_type {
    GGUF_U8 = 0,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

struct gguf_string {
    const char *text; /* not terminated */
    size_t size;
};

struct gguf_value {
    struct gguf_string key;
    enum gguf_value_type type;
    enum gguf_value_type element_type; /* of an array */
    uint64_t count;                    /* of an array; else 1 */
    const uint8_t *data;               /* first value; a string's text; strings of an array, each after its length of 8 bytes */
    size_t data_size;
};

struct gguf;

struct gguf_tensor {
    struct gguf_string name;
    uint32_t type; /* a number of the format; see tensor_type_info */
    uint32_t dim_count;
    uint64_t dims[GGUF_DIMS_MAX]; /* dims[0] is the row length (columns), dims[1] the rows; unused ones are 1 */
    const uint8_t *data;          /* dims[3]*dims[2]*dims[1] rows of tensor_type_bytes(type, dims[0]) bytes */
    uint64_t data_size;           /* of a type that is not supported: up to the next tensor or the end of the file */
    const struct gguf *gguf;      /* that it belongs to; NULL: of no file */
};

/* Map and parse. The file must be a regular one. Errors: EXIT_ENVIRONMENT for a file that cannot be opened (no such file,
 * no permission), EXIT_BAD_FILE for anything wrong inside. NULL on failure. */
struct gguf *gguf_open(const char *path, struct fail *fail);

/* The same over borrowed memory; name is for messages. */
struct gguf *gguf_parse(const char *name, const uint8_t *data, size_t size, struct fail *fail);
void gguf_close(struct gguf *gguf); /* NULL is fine */

/* The tensors have been read: give the pages of the mapping back. They are read again from the file when touched. */
void gguf_release_pages(const struct gguf *gguf);

/* data[at .. at + size - 1] of a tensor, read from the file into buffer (size): faster than touching as many new pages of the mapping,
 * which would count as this process's memory. Without a file or a buffer (NULL) it returns the place in data itself; also after a failed
 * read, if nobody guards the file (gguf_guard.h). Any thread. */
const uint8_t *gguf_tensor_bytes(const struct gguf_tensor *tensor, uint64_t at, size_t size, uint8_t *buffer);

/* These bytes are wanted soon: the system starts to read those that it does not have in memory. */
void gguf_tensor_ahead(const struct gguf_tensor *tensor, uint64_t at, uint64_t size);

const char *gguf_path(const struct gguf *gguf);

/* Another descriptor of the open file, which stays the same file when its name is given to another one; to be closed by the caller, also
 * after gguf_close. -1: see errno. Not for a file that was given as memory (asserted). */
int gguf_duplicate(const struct gguf *gguf);
uint32_t gguf_version(const struct gguf *gguf);
uint64_t gguf_file_bytes(const struct gguf *gguf);
size_t gguf_value_count(const struct gguf *gguf);
const struct gguf_value *gguf_value_at(const struct gguf *gguf, size_t index);
size_t gguf_tensor_count(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index);

/* "u32", "string", ...; NULL for a number that is no value type. */
const char *gguf_value_type_name(uint32_t type);

/* A key or name for messages: its beginning, in printable ASCII; anything else in a hostile file must not reach a terminal. */
void gguf_show_name(const struct gguf_string *name, char out[GGUF_SHOWN_NAME_BYTES]);

/* By key or name; NULL when absent. */
const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);

/* Typed access. 1: present and written; 0: absent, *out untouched; -1: wrong type or out of range, fail set.
 * gguf_get_uint takes any integer type that is not negative, gguf_get_float f32, f64 or an integer. */
int gguf_get_uint(const struct gguf *gguf, const char *key, uint64_t max, uint64_t *out, struct fail *fail);
int gguf_get_float(const struct gguf *gguf, const char *key, float *out, struct fail *fail);
int gguf_get_bool(const struct gguf *gguf, const char *key, bool *out, struct fail *fail);
int gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *out, struct fail *fail);

/* Array elements, index < count (asserted). */
float gguf_array_float(const struct gguf_value *array, uint64_t index); /* GGUF_F32 */
int64_t gguf_array_int(const struct gguf_value *array, uint64_t index); /* any integer type */

/* Walk an array of strings: *cursor starts at 0 and is advanced; false after the last, or before, where the file has been overwritten since
 * it was parsed. */
bool gguf_array_next_string(const struct gguf_value *array, size_t *cursor, struct gguf_string *out);

/* 32 bytes that tell models apart: a hash over all bytes before the tensor data, the file's size, and 64 bytes at each of
 * up to 4096 places spread evenly over the tensor data. Costs a few milliseconds, any file size. */
void gguf_fingerprint(const struct gguf *gguf, uint8_t out[32]);

/* Fix the file's fingerprint: computed now when known is NULL, else as given, for a file of which only parts are there. Before other
 * threads read. */
void gguf_keep_fingerprint(struct gguf *gguf, const uint8_t known[32]);

/* False: the file, opened by gguf_open, has been written to since then, and has another size or fingerprint now than the one given, so what
 * is read from it is of no model. Only a file that was written to is read. *seen_ns: 0 at first, then of the last call. One thread at a
 * time. */
bool gguf_is_intact(const struct gguf *gguf, const uint8_t fingerprint[32], int64_t *seen_ns);

/* Where the tensor data begins, and where a byte of it stands: file offsets. */
uint64_t gguf_data_start(const struct gguf *gguf);
uint64_t gguf_offset(const struct gguf *gguf, const uint8_t *data);

#endif
