/* Checkpoints: the state of a training run in a file, from which the run goes on to the bit, on any machine.
 *
 * A file of version 1; numbers are little-endian, floats are their bits:
 *
 *     at    bytes      what
 *     0     8          "DmTrain" and a zero
 *     8     4          version
 *     12    92         the setup: the fields of struct train_setup in their order, without gaps
 *     104   8          finished steps, at most those of the setup
 *     112   8          count of weights
 *     120   8          hash_bytes(0, everything before this)
 *     128   16 * steps of each step: loss, held-out loss, learning rate, gradient norm
 *           4 * count  weights, then as many of momentum, then of spread
 *           8          hash of everything before this
 *
 * That last hash goes over pieces of 16384 bytes, of which the last may be shorter: each is hashed with the hash of the one before it as
 * the seed, 0 for the first. Every float is finite but for those of the steps; spread is not negative.
 *
 * A file may hold any bytes. What is no checkpoint, or a damaged one, is EXIT_BAD_FILE; what cannot be read or written is EXIT_ENVIRONMENT.
 * Memory: some 16 kB, and the records. One thread per state. */
#ifndef NODE_TRAIN_CHECKPOINT_H
#define NODE_TRAIN_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mesh/program/fail.h"
#include "train_state.h"

enum {
    TRAIN_CHECKPOINT_HEADER_BYTES = 128,
    TRAIN_CHECKPOINT_RECORD_BYTES = 16, /* of a step */
    TRAIN_CHECKPOINT_WEIGHT_BYTES = 12, /* of a weight, its momentum and its spread */
    TRAIN_CHECKPOINT_HASH_BYTES = 8,
    TRAIN_CHECKPOINT_PIECE_BYTES = 16384 /* that are hashed at a time */
};

/* Write the state. What is at path is replaced once the new file is complete and on the disk; after a failure it is as it was. A state with
 * non-finite weights cannot be continued: it is not written, EXIT_DIFFERENCE. The steps of the records are 1, 2, ... (asserted). */
int train_checkpoint_save(const struct train_state *state, const char *path, struct fail *fail);

/* Read it back. state->setup and state->count, with weights, momentum and spread allocated, say what is expected: the checkpoint of another
 * run is refused with EXIT_USAGE, naming every field that differs. Fills weights, momentum, spread, step and record, which may move. The
 * file is first checked to its end and then read a second time, so after a failure the state is unchanged (unless the file is modified
 * meanwhile, or cannot be read again: the state's values are then lost). */
int train_checkpoint_load(struct train_state *state, const char *path, struct fail *fail);

/* Setup and finished steps of a file, without looking at the weights. */
int train_checkpoint_peek(const char *path, struct train_setup *setup, uint64_t *step, struct fail *fail);

/* The same two from a stream of `size` bytes, at its beginning, that can be rewound; called `name` in messages. */
int train_checkpoint_read(struct train_state *state, FILE *file, uint64_t size, const char *name, struct fail *fail);
int train_checkpoint_read_setup(FILE *file, uint64_t size, const char *name, struct train_setup *setup, uint64_t *step, struct fail *fail);

#endif
