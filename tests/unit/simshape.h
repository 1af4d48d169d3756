/* What is exchanged in a test: the gathers of every step, the producers and readers of each, and the bytes of every block.
 *
 * All of it follows from a seed, so every rank knows what any other should have sent. No test library is used here. */
#ifndef SIMSHAPE_H
#define SIMSHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum { SIMSHAPE_PHASES_MAX = 12 };

struct simshape_phase {
    uint16_t block_count;
    uint32_t block_bytes, last_block_bytes;
    uint16_t first[MESH_RANKS_MAX + 1];
    uint64_t readers;
};

struct simshape {
    uint64_t seed, step_count;
    uint16_t rank_count, phase_count;
    uint16_t prompt_tokens; /* of step 0; later steps have one token, now and then two or three */
    bool leaves_out_phases; /* about every eighth (step, phase) is not exchanged */
    uint16_t records;       /* from every rank to every other */
    struct simshape_phase phases[SIMSHAPE_PHASES_MAX];
};

/* Every phase has blocks of every rank (blocks_of_rank each), read by all. */
void simshape_even(struct simshape *shape, uint16_t rank_count, uint16_t phase_count, uint16_t blocks_of_rank, uint32_t block_bytes);

/* A random shape: unequal and empty shares, phases some ranks do not read, short last blocks. About blocks_max blocks at most. */
void simshape_random(struct simshape *shape, uint64_t seed, uint16_t rank_count, uint16_t phase_count, uint16_t blocks_max);

uint16_t simshape_tokens(const struct simshape *shape, uint64_t step);
uint16_t simshape_tokens_max(const struct simshape *shape);
uint16_t simshape_blocks_max(const struct simshape *shape);

/* The gather with this number among all (step * phase_count + phase); false when it is left out. */
bool simshape_is_exchanged(const struct simshape *shape, uint64_t gather);

size_t simshape_token_stride(const struct simshape_phase *phase);

/* Write the bytes of a block of a token of a gather to out, or compare them with it. */
void simshape_fill(const struct simshape *shape, uint64_t gather, uint16_t token, uint16_t block, uint8_t *out);
bool simshape_matches(const struct simshape *shape, uint64_t gather, uint16_t token, uint16_t block, const uint8_t *data);

/* The record with this number (from 0) of a pair: its size and bytes (out NULL: size only). */
size_t simshape_record(const struct simshape *shape, uint16_t from, uint16_t to, uint16_t number, uint8_t *out);

#endif
