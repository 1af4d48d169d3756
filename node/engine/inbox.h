/* The inputs of a phase: the data of a gather, and which slices of it have arrived.
 *
 * A gather's blocks stand in wire form in `wire` (own ones for sending again, arrived ones as the endpoint wrote them) and unpacked, as
 * kernels read them, in `q` or `f`. A slice of a sub-batch of tokens is ready when its counter of missing blocks is 0; the thread that
 * brings a block (a worker or the owner of the port) first unpacks and then counts it, so a reader that sees 0 sees the values. */
#ifndef NODE_INBOX_H
#define NODE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "node/kernel/kernel.h"
#include "node/kernel/token_panel.h"

enum {
    INBOX_SUB_TOKENS = 64,        /* tokens of a sub-batch */
    INBOX_FLOAT_BLOCK_BYTES = 128 /* 32 f32; with norm a f32 sum of squares before them */
};

/* The shape of a gather; the same on every node. */
struct gather_form {
    uint32_t columns, slices;
    uint16_t block_count; /* per token */
    uint32_t block_bytes, last_block_bytes;
    const uint16_t *first;   /* (rank_count + 1) of the row map */
    bool is_float;           /* f32 on the wire */
    bool feeds_norm;         /* blocks carry their sum of squares */
    bool unpack_q, unpack_f; /* the forms this node's readers want */
    bool unpack_panels;      /* of many tokens: token panels instead of q */
    bool unpack_halves;      /* in panels: the sums of half blocks, too */
};

struct inbox {
    uint8_t *wire;
    size_t wire_token_stride;
    struct act_slice *q;                           /* (tokens, slices), or NULL; of a sub-batch also (slices) token panels */
    struct act_slice_f32 *f;                       /* (tokens, slices), or NULL */
    _Atomic uint32_t *missing;                     /* (sub-batches, slices) blocks */
    _Atomic uint64_t *sent;                        /* (sub-batches, slices) see engine_time.c; 0: nothing to measure */
    _Atomic uint32_t rank_missing[MESH_RANKS_MAX]; /* blocks of each rank; the own rank's is never counted down */
    _Atomic uint32_t *norm;                        /* (tokens) bits of the norm factor; 0: not computed yet */
    const struct gather_form *form;
    uint16_t token_count;
    _Atomic uint64_t gather; /* number of this gather, counted from 1 over all steps; 0: none. Set last when opening */
    uint64_t step;
    uint16_t phase;
    bool is_free;                  /* owner of the port only: may be used for another gather */
    bool is_consumed, is_released; /* likewise: the two halves of that */
    uint8_t releases_left;         /* likewise: endpoint gathers still open for this one */
    /* likewise, engine_star.c: only `up` is open; there is a `down`; what this rank reads is complete; rank 0 still has to pass on what
     * came up */
    bool is_half_open, has_down, is_complete, is_owed;
};

/* Memory for any of the forms. tokens: the largest token_count. */
struct inbox_limits {
    uint32_t tokens, slices;
    size_t wire_bytes; /* of all tokens */
    bool q, f;
};
size_t inbox_bytes(const struct inbox_limits *limits);
int inbox_init(struct inbox *inbox, const struct inbox_limits *limits, struct fail *fail);
void inbox_release(struct inbox *inbox);

/* Begin a gather: all missing. The caller stores inbox->gather afterwards. */
void inbox_begin(struct inbox *inbox, const struct gather_form *form, uint16_t token_count);

/* Blocks have arrived in wire: unpack and count them. Any thread, each block once. */
void inbox_take(struct inbox *inbox, const struct kernel *kernel, uint16_t token_first, uint16_t token_count, uint16_t block_first,
                uint16_t block_count);

static inline uint8_t *inbox_block(const struct inbox *inbox, uint32_t token, uint32_t block)
{
    return inbox->wire + token * inbox->wire_token_stride + (size_t)block * inbox->form->block_bytes;
}

static inline bool inbox_is_ready(const struct inbox *inbox, uint32_t sub, uint32_t slice)
{
    return atomic_load_explicit(&inbox->missing[sub * inbox->form->slices + slice], memory_order_acquire) == 0;
}

/* Tokens of the sub-batch that `token` belongs to. */
static inline uint32_t inbox_sub_tokens(const struct inbox *inbox, uint32_t token)
{
    const uint32_t left = inbox->token_count - token / INBOX_SUB_TOKENS * INBOX_SUB_TOKENS;

    return left < INBOX_SUB_TOKENS ? left : INBOX_SUB_TOKENS;
}

/* The token panel of a slice of the sub-batch that `token` belongs to, or NULL where its tokens stand in slices of their own. */
static inline uint8_t *inbox_panel(const struct inbox *inbox, uint32_t token, uint32_t slice)
{
    const uint32_t tokens = inbox_sub_tokens(inbox, token);

    if (!inbox->form->unpack_panels || tokens < TOKEN_PANEL_MIN)
        return NULL;
    return (uint8_t *)&inbox->q[(size_t)(token - token % INBOX_SUB_TOKENS) * inbox->form->slices + (size_t)slice * tokens];
}

/* Are all slices of a sub-batch ready? */
bool inbox_sub_is_ready(const struct inbox *inbox, uint32_t sub);

/* 1 / sqrt(mean of squares + eps) of a token, all of whose slices are ready: block sums added in block order. */
float inbox_norm_factor(struct inbox *inbox, uint32_t token, float eps);

#endif
