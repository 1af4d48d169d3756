/* Which chunks of the model's file a node reads: those that hold its rows, and those that every node reads.
 *
 * A set of chunks is a byte per chunk, 1 for members: (model_chunk_count of the file). */
#ifndef NODE_MODEL_NEEDS_H
#define NODE_MODEL_NEEDS_H

#include "node/model/model.h"
#include "node/model/model_parts.h"
#include "node/model/rowmap.h"

/* Add what every node reads: what stands before the tensors, token embedding, norms. */
void model_needs_common(const struct model *model, uint8_t *chunks);

/* Add those of this rank's rows. */
void model_needs_rows(const struct model *model, const struct rowmap *map, uint16_t rank, uint8_t *chunks);

/* The least number of disks that hold a chunk, over all chunks: bit r of whole says that rank r has the whole file; other ranks have what
 * they need by this map. 0: some chunk has no known holder, or there is no memory to count. */
uint32_t model_needs_disks(const struct model *model, const struct rowmap *map, uint64_t whole);

#endif
