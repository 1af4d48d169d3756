/* Tiles that were recorded, and the same blocks computed once more. */
#ifndef REPLAY_COMPUTE_TILES_H
#define REPLAY_COMPUTE_TILES_H

#include "mesh/tape.h"
#include "node/recompute/recompute.h"

enum { COMPUTE_BLOCK_BYTES_MAX = MESH_BLOCK_BYTES_MAX };

/* A tile as a node has published or received it. */
struct compute_tile {
    struct compute_tile *next;
    size_t source; /* the recording it is from: the caller's number */
    uint64_t call, at_ns;
    uint64_t step;
    uint16_t phase, token_first, token_count, block_first, block_count, rank; /* rank: the one that computed it */
    uint32_t compared;                                                        /* blocks of tokens */
    uint32_t bytes;
    uint8_t data[];
};

/* The lowest place at which a recorded tile differs from the computed values. */
struct compute_difference {
    bool is_set, is_shape; /* shape: its size is not that of such a tile */
    uint64_t call, at_ns, step;
    size_t source;
    uint16_t phase, token, block, rank;
    uint32_t block_bytes;
    uint8_t expected[COMPUTE_BLOCK_BYTES_MAX], actual[COMPUTE_BLOCK_BYTES_MAX]; /* the block: recorded, computed */
};

struct compute_tiles {
    struct compute_tile *pending; /* of later steps, the latest first */
    struct compute_tile **phase;  /* (phase_count) of the present step */
    uint16_t phase_count;
    uint64_t step; /* the present one */
    struct compute_difference difference;
    uint64_t tiles, blocks;          /* compared; each recorded one counts */
    uint64_t not_computed, too_late; /* tiles left out: nothing was computed for them; their step was over */
};

/* phases: of a step. -1: out of memory. */
int compute_tiles_open(struct compute_tiles *tiles, uint16_t phases);
void compute_tiles_close(struct compute_tiles *tiles);

/* The place of the tile that a call of an endpoint's tape, whose rank is `own`, publishes or receives: all members but call, time and data.
 * False: it is no tile. */
bool compute_tile_of(const struct mesh_tape_entry *entry, uint16_t own, struct compute_tile *tile);

/* Take a call of an endpoint's tape, whose rank is `own`. 0, also if it is no tile; -1: out of memory. */
int compute_tiles_take(struct compute_tiles *tiles, const struct mesh_tape_entry *entry, uint16_t own, size_t source, uint64_t call);

/* All tiles of this step are taken, as far as they were recorded: now compute it, and pass the results to compare. */
void compute_tiles_begin(struct compute_tiles *tiles, uint64_t step);
void compute_tiles_compare(struct compute_tiles *tiles, const struct recompute_blocks *blocks);
void compute_tiles_end(struct compute_tiles *tiles);

#endif
