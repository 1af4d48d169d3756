/* Candidate messages: see head.c. */
#ifndef NODE_HEAD_H
#define NODE_HEAD_H

#include "engine_state.h"

struct head_summary {
    uint64_t digest;
    struct engine_fault fault;
};

/* Blocks that hold so many candidates of one token. */
uint32_t head_candidate_blocks(uint32_t candidates);

/* A rank's blocks for one token. */
void head_read(const uint8_t *block, uint32_t count, struct head_summary *summary, struct candidate *candidates);

#endif
