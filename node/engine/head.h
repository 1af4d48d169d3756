/* Candidate messages: see head.c. */
#ifndef NODE_HEAD_H
#define NODE_HEAD_H

#include "engine_state.h"

struct head_summary {
    uint64_t digest;
    struct engine_fault fault;
};

enum { HEAD_FEW_MAX = 1 << 18, HEAD_FEW_BLOCK_BYTES = 64, HEAD_MANY_BLOCK_BYTES = MESH_BLOCK_BYTES_MAX };

/* Number of candidates of a token with this sampling: of one rank, and of all together. */
uint32_t head_rank_candidates(const struct rowmap *map, uint16_t rank, const struct sampling *sampling);
uint32_t head_candidates(const struct rowmap *map, const struct sampling *sampling);

/* Block size when all ranks together send this many candidates. For more than HEAD_FEW_MAX, small blocks would be more than a gather can
 * count. */
uint32_t head_block_bytes(uint32_t candidates);

/* Blocks of that size that hold a rank's summaries and candidates of all parts. */
uint32_t head_blocks(uint32_t parts, uint32_t candidates, uint32_t block_bytes);

/* The candidate gather of the open step among the ranks of a map: where each rank's blocks begin, (rank_count + 1), and the size of a
 * block. */
void head_shape(struct engine *e, const struct rowmap *map, uint16_t *first, uint32_t *block_bytes);

/* The message that a rank of another map sends, when all logits of the open step are here, as on an only rank. bytes: of its blocks. */
void head_write_other(struct engine *e, const struct rowmap *map, uint16_t rank, uint8_t *message, size_t bytes);

/* Read a rank's message: the summary of one of its parts; or candidates, `before` of which precede these. */
void head_read_summary(const uint8_t *message, uint32_t part, struct head_summary *summary);
void head_read_candidates(const uint8_t *message, uint32_t parts, uint32_t before, uint32_t count, struct candidate *candidates);

#endif
