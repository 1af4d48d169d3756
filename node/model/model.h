/* A model of one of the architectures that run here: its dimensions and where its tensors are.
 *
 * Everything is checked when opening: every tensor exists, has the shape the dimensions ask for and a supported type.
 * Immutable afterwards: any thread may read. Pointers into the GGUF are valid until it is closed. */
#ifndef NODE_MODEL_H
#define NODE_MODEL_H

#include <stdint.h>

#include "architecture.h"
#include "node/gguf/gguf.h"
#include "rope.h"

struct model_layer {
    const struct gguf_tensor *attn_norm;                /* (dim) f32 */
    const struct gguf_tensor *q;                        /* (heads * head_dim, dim) */
    const struct gguf_tensor *k, *v;                    /* (kv_heads * head_dim, dim) */
    const struct gguf_tensor *q_bias, *k_bias, *v_bias; /* f32, a value for each row; NULL if the architecture has none */
    const struct gguf_tensor *q_norm, *k_norm;          /* (head_dim) f32; NULL if the architecture has none */
    const struct gguf_tensor *wo;                       /* (dim, heads * head_dim) */
    const struct gguf_tensor *ffn_norm;                 /* (dim) f32 */
    const struct gguf_tensor *gate, *up;                /* (hidden, dim) */
    const struct gguf_tensor *down;                     /* (dim, hidden) */
};

struct model {
    const struct gguf *gguf;
    const struct architecture *architecture;
    uint32_t dim, hidden, layers, heads, kv_heads, head_dim, vocab, ctx;
    float norm_eps;
    struct rope_config rope;
    const struct gguf_tensor *token_embd;  /* (vocab, dim) */
    const struct gguf_tensor *output_norm; /* (dim) f32 */
    const struct gguf_tensor *output;      /* (vocab, dim); token_embd when tied */
    struct model_layer *layer;             /* (layers) */
};

enum { MODEL_LAYERS_MAX = 4096, MODEL_DIM_MAX = 1 << 20, MODEL_VOCAB_MAX = 1 << 22, MODEL_CTX_MAX = 1 << 24 };

/* gguf is borrowed until model_close. NULL and fail set when it is no model that this program runs. */
struct model *model_open(const struct gguf *gguf, struct fail *fail);
void model_close(struct model *model); /* NULL is fine */

/* Rows of a matrix tensor: row r starts at tensor->data + r * model_row_bytes(tensor). */
size_t model_row_bytes(const struct gguf_tensor *tensor);

/* The values of a f32 vector tensor (norm weights, biases). */
void model_read_vector(const struct gguf_tensor *tensor, uint32_t count, float *out);

#endif
