/* Candidate messages: see head.c. */
#ifndef NODE_HEAD_H
#define NODE_HEAD_H

#include "engine_state.h"

struct head_summary {
    uint64_t digest;
    struct engine_fault fault;
};

enum { HEAD_FEW_MAX = 1 << 18, HEAD_FEW_BLOCK_BYTES = 64, HEAD_MANY_BLOCK_BYTES = MESH_BLOCK_BYTES_MAX };

/* Size of a block when all ranks together send so many candidates. More than HEAD_FEW_MAX small ones would be more blocks than a gather
 * can count. */
uint32_t head_block_bytes(uint32_t candidates);

/* Blocks of that size that hold a rank's summary and candidates. */
uint32_t head_candidate_blocks(uint32_t candidates, uint32_t block_bytes);

/* A rank's blocks for one token. */
void head_read(const uint8_t *block, uint32_t count, struct head_summary *summary, struct candidate *candidates);

#endif
