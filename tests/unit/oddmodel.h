/* Models of shapes that synth does not make: heads of any size, a separate type for every matrix, tied embeddings. In memory. */
#ifndef TESTS_ODDMODEL_H
#define TESTS_ODDMODEL_H

#include "node/gguf/tensor_type.h"
#include "node/model/model.h"

struct oddmodel_shape {
    uint32_t dim, hidden, layers, heads, kv_heads, head_dim, vocab, ctx;
    uint32_t rope_dims; /* columns of a head that are rotated */
    bool is_tied;
    uint64_t seed;            /* of the weights */
    const char *architecture; /* NULL: llama */
};

/* The type of a matrix from its name ("blk.0.attn_q.weight") and row length, which the type's block must divide. */
typedef enum tensor_type oddmodel_type_fn(const char *name, uint64_t columns, uint64_t seed);

/* Any of the types whose block divides the columns, drawn from seed and name. */
oddmodel_type_fn oddmodel_any_type;

struct oddmodel {
    uint8_t *bytes;
    struct gguf *gguf;
    struct model *model;
};

/* A failure ends the test. */
void oddmodel_open(struct oddmodel *odd, const struct oddmodel_shape *shape, oddmodel_type_fn *type_of);
void oddmodel_close(struct oddmodel *odd);

#endif
