/* Writing GGUF v3 files: the part before the tensor data is built in memory; the caller writes the data itself.
 *
 *     gguf_write_init(&w); gguf_write_string(&w, ...); ... all values; gguf_write_tensor(&w, ...); ... all tensors;
 *     gguf_write_finish(&w);  then w.bytes[0..w.size-1] is the beginning of the file, and tensor data starts right after it.
 *
 * Tensor data must follow in the order of the tensors, each padded by gguf_write_padding. Running out of memory is remembered and
 * reported once, by gguf_write_finish. Names are the program's own or come from a file that was read, so their sizes are asserted. One
 * thread per writer. */
#ifndef NODE_GGUF_WRITE_H
#define NODE_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gguf.h"
#include "tensor_type.h"

enum { GGUF_WRITE_ALIGNMENT = 32 };

struct gguf_write {
    uint8_t *bytes; /* owned */
    size_t size;
    size_t capacity;
    bool is_out_of_memory;
    uint32_t alignment;
    uint64_t value_count;
    uint64_t tensor_count;
    uint64_t data_size; /* of all tensors, padding included */
};

void gguf_write_init(struct gguf_write *writer);
void gguf_write_release(struct gguf_write *writer);

/* Align tensor data to a power of two (asserted) other than GGUF_WRITE_ALIGNMENT; not after the first tensor (asserted). The caller also
 * writes it as general.alignment. */
void gguf_write_align(struct gguf_write *writer, uint32_t alignment);

/* One metadata value each; not after the first tensor (asserted). Floats are given as bits, so that writing needs no arithmetic. */
void gguf_write_u32(struct gguf_write *writer, const char *key, uint32_t value);
void gguf_write_f32(struct gguf_write *writer, const char *key, uint32_t bits);
void gguf_write_bool(struct gguf_write *writer, const char *key, bool value);
void gguf_write_string(struct gguf_write *writer, const char *key, const char *text);
void gguf_write_value(struct gguf_write *writer, const struct gguf_value *value); /* as it stands in the file that was read */

/* An array: this, and then its elements one by one with the functions below. */
void gguf_write_array(struct gguf_write *writer, const char *key, enum gguf_value_type element_type, uint64_t count);
void gguf_write_element_string(struct gguf_write *writer, const char *text, size_t size);
void gguf_write_element_u32(struct gguf_write *writer, uint32_t bits); /* u32, i32, or the bits of an f32 */

/* dims[0] is the row length. dims[0] must be a multiple of the type's block (asserted). Returns the tensor's bytes without padding. */
uint64_t gguf_write_tensor(struct gguf_write *writer, const char *name, enum tensor_type type, const uint64_t *dims, uint32_t dim_count);

/* The same with name and dims of a tensor of another file. */
uint64_t gguf_write_tensor_like(struct gguf_write *writer, const struct gguf_tensor *tensor, enum tensor_type type);

/* Bytes of padding after size bytes of tensor data. */
size_t gguf_write_padding(const struct gguf_write *writer, uint64_t size);

/* Fill in the counts and pad. */
int gguf_write_finish(struct gguf_write *writer, struct fail *fail);

#endif
