/* Which chunks of the model's file a node reads: those that its rows are in, and those that every node reads.
 *
 * Sets of chunks are bytes, 1 for those that belong to it: (model_chunk_count of the file). */
#ifndef NODE_MODEL_NEEDS_H
#define NODE_MODEL_NEEDS_H

#include "model.h"
#include "model_parts.h"
#include "rowmap.h"

/* Add what every node reads: what stands before the tensors, token embedding, norms. */
void model_needs_common(const struct model *model, uint8_t *chunks);

/* Add those of this rank's rows. */
void model_needs_rows(const struct model *model, const struct rowmap *map, uint16_t rank, uint8_t *chunks);

/* Disks that the rarest chunk is on at least: bit r of whole says that rank r has the whole file; the others have what they need by this
 * map. 0: of some chunk nothing is known, or there is no memory to count. */
uint32_t model_needs_disks(const struct model *model, const struct rowmap *map, uint64_t whole);

#endif
