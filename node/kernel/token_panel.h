/* One slice of the tokens of a prompt, side by side: the fastest form for products of many tokens, since a step reads consecutive memory
 * and tokens do not compete for the same cache sets.
 *
 * Tokens stand in groups of five; those left over in groups of four, two and one. A group of n tokens has for each block of 32 columns
 *
 *     q      8 x n words: word (g, i) is columns 4g..4g+3 of the group's token i
 *     d      n f32
 *     minus  n i32: the sum of the block's q, negated
 *
 * and behind all blocks sumsq, (SLICE_BLOCKS, n) f32. Behind all groups stands, for types that read it (reads_halves of kernel.h), group by
 * group minus of the first halves of blocks, (SLICE_BLOCKS, n) i32. Blocks that a short slice lacks are left alone. It holds what struct
 * act_slice holds of each token, and is no larger. For inbox.c and the kernels. Numbers are in the machine's byte order. */
#ifndef NODE_TOKEN_PANEL_H
#define NODE_TOKEN_PANEL_H

#include "kernel.h"

enum {
    TOKEN_GROUP = 5,
    TOKEN_WORDS = BLOCK_COLUMNS / 4,                            /* of q, in a block of a token */
    TOKEN_BLOCK_BYTES = 4 * (TOKEN_WORDS + 2),                  /* of a token */
    TOKEN_SLICE_BYTES = SLICE_BLOCKS * (TOKEN_BLOCK_BYTES + 4), /* likewise, with sumsq */
    TOKEN_HALVES_BYTES = 4 * SLICE_BLOCKS,                      /* likewise, behind all groups */
    TOKEN_PANEL_MIN = 9                                         /* fewer tokens are read from their slices */
};
_Static_assert(TOKEN_SLICE_BYTES + TOKEN_HALVES_BYTES <= sizeof(struct act_slice), "a panel stands where the slices of its tokens would");

/* Where a token stands: number i of a group of n that begins with token `first`. */
struct token_place {
    size_t first, n, i;
};

/* Tokens of the group that begins when `left` are left. */
static inline size_t token_group(size_t left)
{
    return left >= TOKEN_GROUP ? TOKEN_GROUP : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static inline struct token_place token_place(size_t tokens, size_t token)
{
    const size_t whole = tokens / TOKEN_GROUP * TOKEN_GROUP;
    struct token_place place = {.first = token < whole ? token / TOKEN_GROUP * TOKEN_GROUP : whole};

    while (place.n = token_group(tokens - place.first), token >= place.first + place.n)
        place.first += place.n;
    place.i = token - place.first;
    return place;
}

/* A token's sum of squares of a block. */
static inline float *token_sumsq(uint8_t *panel, struct token_place place, size_t block)
{
    uint8_t *group = panel + place.first * TOKEN_SLICE_BYTES;

    return (float *)(void *)(group + place.n * SLICE_BLOCKS * TOKEN_BLOCK_BYTES) + block * place.n + place.i;
}

/* Minus of the first halves of a block, of all tokens of a group. */
static inline int32_t *token_halves(uint8_t *panel, size_t tokens, struct token_place place, size_t block)
{
    return (int32_t *)(void *)(panel + tokens * TOKEN_SLICE_BYTES + place.first * TOKEN_HALVES_BYTES) + block * place.n;
}

#endif
