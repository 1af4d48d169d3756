/* Random weights of a given standard deviation in any tensor type, made with integers only.
 *
 * A row depends on its key alone, so rows may be made in any order. Weights are uniform with mean zero: where a type's integers are not
 * symmetric, signs of scales alternate at random or the minimum cancels the mean, since a common bias of all rows would grow from layer to
 * layer. */
#ifndef NODE_SYNTH_WEIGHTS_H
#define NODE_SYNTH_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "node/gguf/tensor_type.h"

/* One row of `columns` weights (a multiple of the type's block) with standard deviation sigma_q31 * 2^-31, as the file stores them. */
void synth_weights_row(enum tensor_type type, uint64_t key, uint32_t sigma_q31, size_t columns, uint8_t *out);

/* `columns` f32 weights between 0.75 and 1.25, for norms. */
void synth_weights_norm(uint64_t key, size_t columns, uint8_t *out);

#endif
