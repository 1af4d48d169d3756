/* Runs one token after the other through a model, as docs/ARITHMETIC.md specifies: no tiles, nodes, batches, slots or threads. Dot products
 * are those of the scalar kernel, which has tests of its own; everything else is implemented here a second time, in loops. */
#ifndef TESTS_PLAINMODEL_H
#define TESTS_PLAINMODEL_H

#include "node/kernel/kernel.h"
#include "node/model/model.h"

struct plainmodel;

/* For at most `positions` tokens. A failure ends the test. */
struct plainmodel *plainmodel_open(const struct model *model, enum kv_type kv_type, uint32_t positions);
void plainmodel_close(struct plainmodel *plain);

/* The next token of the text. logits: (vocab), or NULL where they are not needed. */
void plainmodel_step(struct plainmodel *plain, uint32_t token, float *logits);

#endif
