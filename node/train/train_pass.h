/* Loss and gradient of a model over a batch of token rows, in f32.
 *
 * Each result is one chain of operations, in an order that the shape alone fixes: sums over a matrix product's inner dimension from 0
 * upwards, over tokens in the order of the batch; so the same bits for any number of threads and any instruction set. Attention's
 * probabilities are recomputed for the gradient instead of kept (Dao et al. 2022), which saves ctx floats per token, head and layer. */
#ifndef NODE_TRAIN_PASS_H
#define NODE_TRAIN_PASS_H

#include <stddef.h>
#include <stdint.h>

#include "node/kernel/gemm.h"
#include "node/kernel/kernel.h"
#include "node/kernel/team.h"
#include "train_layout.h"

enum { TRAIN_IGNORED = UINT32_MAX, TRAIN_BLOCK = 128 /* tokens of a task, positions of attention at once */ };

/* What a layer keeps for its gradient. (tokens, ...) */
struct train_kept {
    float *x;                        /* (dim) residual at its beginning */
    float *attn_in;                  /* (dim) normed */
    float *qkv;                      /* (qkv_dim) q and k rotated */
    float *attended;                 /* (dim) */
    float *middle;                   /* (dim) residual after attention */
    float *ffn_in;                   /* (dim) normed */
    float *gate_up;                  /* (2 * hidden) */
    float *hidden;                   /* (hidden) */
    float *attn_factor, *ffn_factor; /* of the norms */
};

struct train_pass {
    const struct train_layout *layout;
    const struct kernel *kernel;
    struct team *team;
    uint32_t rows;               /* of the batch */
    size_t tokens;               /* rows * ctx */
    const float *weights;        /* (count), borrowed */
    float *gradient;             /* (count) */
    const uint32_t *id, *target; /* (tokens), borrowed during a call */
    float loss_scale;            /* 1 / tokens with a target */

    struct train_kept kept[TRAIN_LAYERS_MAX];
    float *x, *normed, *factor; /* (tokens, dim), (tokens, dim), (tokens): after the last layer */
    float *logits;              /* (tokens, logits_row); in the backward pass their gradient */
    size_t logits_row;
    double *token_loss; /* (tokens) */

    float *dx, *dnormed, *dqkv, *dgate_up, *dhidden; /* gradients on their way down */
    float *cosine, *sine;                            /* (ctx, head_dim / 2) */
    float **scratch;                                 /* (threads), GEMM_SCRATCH + attention's floats each */
    size_t scratch_floats;
    uint8_t *memory;
    size_t memory_bytes;
};

/* Bytes that train_pass_open would take. */
uint64_t train_pass_bytes(const struct train_layout *layout, uint32_t rows, uint16_t threads);

/* Everything is borrowed until train_pass_close. -1: out of memory. */
int train_pass_open(struct train_pass *pass, const struct train_layout *layout, const struct kernel *kernel, struct team *team,
                    uint32_t rows, const float *weights, struct fail *fail);
void train_pass_close(struct train_pass *pass);

/* Mean loss (natural logarithm) over the tokens that have a target. id, target: (rows, ctx), target TRAIN_IGNORED for none; at least one
 * has. Not finite when the weights have diverged. */
float train_pass_forward(struct train_pass *pass, const uint32_t *id, const uint32_t *target);

/* After train_pass_forward with the same arguments: pass->gradient of that loss. */
void train_pass_backward(struct train_pass *pass);

/* ---- shared by train_pass.c, train_forward.c, train_backward.c and train_attention.c ---- */
void train_pass_gemm(struct train_pass *pass, const struct gemm *gemm);
size_t train_pass_blocks(const struct train_pass *pass); /* tasks of TRAIN_BLOCK tokens */
void train_pass_block(const struct train_pass *pass, size_t task, size_t *first, size_t *last);
size_t train_attention_floats(const struct train_layout *layout); /* scratch of a thread, beyond GEMM_SCRATCH */
void train_attention_forward(struct train_pass *pass, uint32_t layer);
void train_attention_backward(struct train_pass *pass, uint32_t layer); /* from dnormed (gradient of attended) to dqkv */
void train_rope(struct train_pass *pass, float *qkv, bool back);        /* (tokens, qkv_dim), in place */

#endif
