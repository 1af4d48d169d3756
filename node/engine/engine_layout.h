/* How the engine lays out a node's share: phases, tiles, sizes of all buffers. Nothing is loaded here. */
#ifndef NODE_ENGINE_LAYOUT_H
#define NODE_ENGINE_LAYOUT_H

#include "engine_state.h"

int engine_layout(struct engine *e, struct fail *fail);
void engine_layout_release(struct engine *e);

/* Upper limit on the candidates of a step, over all ranks and sampled tokens: at least those of one token, however it is drawn. A step has
 * only as many sampled tokens as fit within it. */
uint64_t engine_candidates_max(const struct engine *e);

/* The most blocks, and bytes, of a candidate gather, whatever the sampling. */
uint32_t engine_candidate_blocks_max(const struct engine *e);
size_t engine_candidate_bytes_max(const struct engine *e);

/* Rows of a tile of a phase's matrix on a node with `rows` of them; a multiple of 32. Larger tiles cost less: each tile is claimed, is one
 * multiplication per slice, and may be one datagram to every peer. Smaller tiles leave sooner, and workers share them more evenly. Low cost
 * matters more where the next matrix has enough work until the tile arrives, as with Wo, which gate and up follow. */
uint32_t engine_tile_rows(enum phase_kind kind, uint32_t rows, uint16_t worker_count, uint16_t rank_count);

/* The number of runs of tiles in which a worker should send its part of a phase. A run costs a datagram per peer (d); its blocks reach the
 * peers L later, and meanwhile the peers have their own slices and earlier runs to work on in the next phase. With k runs, compute time c
 * of that and N nodes this costs k * d * (N-1) and a wait of max(0, L - c * (1/N + (1 - 1/N) * (1 - 1/k))): the k with the least sum. Only
 * the granularity of sending depends on it, never a result. */
uint32_t engine_send_runs(uint64_t compute_ns, uint64_t latency_ns, uint16_t rank_count);

/* Set the phases' send_blocks: before anything is measured; and from time to time, by the shortest round trips and the workers' speed so
 * far. serial: of the step that begins. (owner) */
void engine_set_runs(struct engine *e);
void engine_refine_runs(struct engine *e, uint64_t serial);

#endif
