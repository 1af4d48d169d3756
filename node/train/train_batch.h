/* Rows of tokens for a training step, and for evaluation on held-out text.
 *
 * A document of n tokens gives n - 1 pairs of a token and its target; pairs of several documents fill a row. A step's rows are a function
 * of (seed, step) alone, so a run can go on from any step. */
#ifndef NODE_TRAIN_BATCH_H
#define NODE_TRAIN_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct train_text {
    const uint32_t *id;
    const size_t *start;      /* of each document in id; the one after the last, too */
    const uint32_t *document; /* (count) which of them belong here */
    size_t count;
};

/* Draw rows for a step: each is filled with documents drawn at random, from their beginning; the last is cut off at the row's end. A
 * document longer than a row is taken from a random place when a row begins with it. id, target: (rows, ctx). */
void train_batch_draw(const struct train_text *text, uint64_t seed, uint64_t step, uint32_t rows, uint32_t ctx, uint32_t *id,
                      uint32_t *target);

struct train_cursor {
    size_t document, pair; /* next to be taken */
};

/* The next rows of held-out text: whole documents while they fit, longer ones in pieces; the rest has no target (TRAIN_IGNORED). Returns
 * the number of pairs; 0 when the text is at its end. The cursor begins as {0}. */
size_t train_batch_next(const struct train_text *text, struct train_cursor *cursor, uint32_t rows, uint32_t ctx, uint32_t *id,
                        uint32_t *target);

#endif
