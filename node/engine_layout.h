/* How the engine lays out a node's share: phases, tiles, sizes of all buffers. Nothing is loaded here. */
#ifndef NODE_ENGINE_LAYOUT_H
#define NODE_ENGINE_LAYOUT_H

#include "engine_state.h"

int engine_layout(struct engine *e, struct fail *fail);
void engine_layout_release(struct engine *e);

/* The most candidates of a step, all ranks and sampled tokens together: at least those of one token, however it is drawn. A step has only
 * as many sampled tokens as have room. */
uint64_t engine_candidates_max(const struct engine *e);

/* The most blocks that a candidate gather has, whatever the sampling; and the most bytes. */
uint32_t engine_candidate_blocks_max(const struct engine *e);
size_t engine_candidate_bytes_max(const struct engine *e);

/* How many rows a tile of a phase's matrix has on a node with so many of them; a multiple of 32. Larger tiles cost less: each is claimed,
 * is a multiplication per slice, and may be a datagram to every peer. Smaller ones leave sooner, and several workers share them evenly. The
 * first is worth more where the next matrix has enough to do until they are there, which is Wo's case: gate and up follow. */
uint32_t engine_tile_rows(enum phase_kind kind, uint32_t rows, uint16_t worker_count, uint16_t rank_count);

/* Into how many runs of tiles a worker should cut its part of a phase, for sending. A run costs a datagram per peer (d); its blocks reach
 * the peers L later, and meanwhile these have their own slices and the runs before to work on in the next phase. With k runs, compute time
 * c of that and N nodes this costs k * d * (N-1) and a wait of max(0, L - c * (1/N + (1 - 1/N) * (1 - 1/k))): the k with the least sum.
 * Only how finely things are sent depends on it, never a result. */
uint32_t engine_send_runs(uint64_t compute_ns, uint64_t latency_ns, uint16_t rank_count);

/* Set the phases' send_blocks: as long as nothing is measured; and now and then, by the shortest round trips and the speed of the workers
 * so far. serial: of the step that begins. (owner) */
void engine_set_runs(struct engine *e);
void engine_refine_runs(struct engine *e, uint64_t serial);

#endif
