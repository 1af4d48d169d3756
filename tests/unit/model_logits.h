/* Logits of a model after every token of a text, computed on the simulator. */
#ifndef TESTS_MODEL_LOGITS_H
#define TESTS_MODEL_LOGITS_H

#include <stdint.h>

#include "node/kernel/kernel.h"
#include "node/model/model.h"

/* out: (count, vocab). ids must outlive the call. A failure ends the test. */
void model_logits(const struct model *model, uint16_t ranks, enum kv_type kv_type, uint32_t *ids, uint32_t count, float *out);

#endif
