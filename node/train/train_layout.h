/* Where each tensor of a model in training stands in the one vector of its weights (and of its gradient, momentum and spread).
 *
 * Matrices that read the same input stand one below the other, so that one product serves them: q, k and v; gate and up. */
#ifndef NODE_TRAIN_LAYOUT_H
#define NODE_TRAIN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

enum { TRAIN_LAYERS_MAX = 64, TRAIN_TENSORS_MAX = 2 + 9 * TRAIN_LAYERS_MAX, TRAIN_NAME_MAX = 32 };

#define TRAIN_NORM_EPSILON 1e-5f
#define TRAIN_ROPE_BASE    10000.0f

struct train_shape {
    uint32_t dim, hidden, layers, heads, kv_heads, vocab, ctx;
};

struct train_layer {
    size_t attn_norm; /* (dim) */
    size_t qkv;       /* (dim + 2 * kv_dim, dim) */
    size_t wo;        /* (dim, dim) */
    size_t ffn_norm;  /* (dim) */
    size_t gate_up;   /* (2 * hidden, dim) */
    size_t down;      /* (dim, hidden) */
};

/* A tensor as a GGUF file has it. */
struct train_tensor {
    char name[TRAIN_NAME_MAX];
    size_t first; /* in the vector */
    uint32_t rows, columns;
    bool is_norm; /* one row, beginning as ones; not decayed */
    bool adds;    /* to the residual: starts smaller in a deeper model */
};

struct train_layout {
    struct train_shape shape;
    uint32_t head_dim, kv_dim, qkv_dim;
    size_t count;
    size_t token_embd; /* (vocab, dim); the output matrix, too */
    size_t output_norm;
    struct train_layer layer[TRAIN_LAYERS_MAX];
    struct train_tensor tensor[TRAIN_TENSORS_MAX]; /* in the order of the file */
    size_t tensors;
};

/* -1 with EXIT_USAGE when the numbers make no model, naming the option and what is allowed. */
int train_layout_init(struct train_layout *layout, const struct train_shape *shape, struct fail *fail);

/* Random initial weights: normal with deviation 0.02 (0.02 / sqrt(2 layers) for those that add to the residual), norms 1. */
void train_layout_draw(const struct train_layout *layout, uint64_t seed, float *weights);

#endif
