/* A trained model as a GGUF file, with metadata on how it was made. */
#ifndef NODE_TRAIN_EXPORT_H
#define NODE_TRAIN_EXPORT_H

#include "mesh/program/fail.h"
#include "node/gguf/tensor_type.h"
#include "node/tokenizer/vocab.h"
#include "train_layout.h"
#include "train_state.h"

/* Matrices in `type` (or, where their rows do not allow it, what quantise_file_type says), norms in f32. Replaces what is at path once it
 * is complete. name: general.name. EXIT_DIFFERENCE when a weight is not finite. */
int train_export_write(const struct train_state *state, const struct train_layout *layout, const struct vocab *vocab, enum tensor_type type,
                       const char *name, const char *path, struct fail *fail);

/* Matrices that will not be in `type`. */
uint32_t train_export_others(const struct train_layout *layout, enum tensor_type type);

#endif
