/* How the engine lays out a node's share: phases, tiles, sizes of all buffers. Nothing is loaded here. */
#ifndef NODE_ENGINE_LAYOUT_H
#define NODE_ENGINE_LAYOUT_H

#include "engine_state.h"

int engine_layout(struct engine *e, struct fail *fail);
void engine_layout_release(struct engine *e);

/* Blocks of a candidate gather if every rank sent all its rows. */
uint32_t engine_candidate_blocks_max(const struct engine *e);

/* Rows per tile that cost least: a tile's datagrams cost CPU at every peer's sender, but only after a tile is finished can others begin.
 * With k tiles a phase takes c + k * (N-1) * d + c/k for compute time c and d per datagram, least at k = sqrt(c / ((N-1) * d)).
 * weight_bytes: of the phase; a multiple of 32 rows. */
uint32_t engine_tile_rows(uint32_t rows, uint64_t weight_bytes, uint16_t rank_count, uint16_t worker_count);

#endif
