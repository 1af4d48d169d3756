/* A training run from a text file to a GGUF model: what `mesh-node train` does.
 *
 * The vocabulary is learnt from the text, the text divided into documents of which some are held out, and the model trained step by step,
 * with checkpoints. The model file is a function of the text and struct train_setup; see train_state.h. */
#ifndef NODE_TRAIN_H
#define NODE_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/gguf/tensor_type.h"
#include "train_state.h"

struct train_options {
    struct train_setup setup; /* text_bytes and text_hash are filled in */
    const char *text, *output;
    const char *checkpoint;  /* where it is written and read */
    uint64_t every;          /* steps between checkpoints, and between looks at the held-out text */
    const char *curve, *log; /* SVG and CSV to write at the end, or NULL */
    enum tensor_type type;
    const char *name; /* general.name of the file */
    uint16_t threads;
    const char *kernel; /* NULL: the fastest */
    bool resume, json;
};

int train_run(struct train_options *options, struct fail *fail);

#endif
