/* The header of a checkpoint: setup, finished steps and sizes; what it looks like in a file is told in train_checkpoint.h.
 *
 * One table of the setup's fields drives writing, reading, comparing and naming. Names of files
 * are for messages, at most TRAIN_HEADER_NAME_MAX long. Part of train_checkpoint.c; pure; any thread. */
#ifndef NODE_TRAIN_HEADER_H
#define NODE_TRAIN_HEADER_H

#include <stdint.h>

#include "mesh/program/fail.h"
#include "train_checkpoint.h"

/* A name in a message leaves room for what is said about it. */
enum { TRAIN_HEADER_NAME_MAX = 160 };

struct train_header {
    struct train_setup setup;
    uint64_t step;
    uint64_t count; /* of weights */
};

void train_header_put(const struct train_header *header, uint8_t out[TRAIN_CHECKPOINT_HEADER_BYTES]);

/* From the first head_size bytes (the whole header, or all there is) of a file of file_size bytes, which must be as many as it says. */
int train_header_get(struct train_header *header, const uint8_t *head, size_t head_size, uint64_t file_size, const char *name,
                     struct fail *fail);

/* 0 when a state with this setup and count of weights can take what the file holds; else EXIT_USAGE, naming every difference. */
int train_header_compare(const struct train_header *header, const struct train_setup *setup, uint64_t count, const char *name,
                         struct fail *fail);

#endif
