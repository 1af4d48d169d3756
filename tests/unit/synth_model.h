/* Models of random weights for tests: written to a temporary file by synth, opened, and removed again. */
#ifndef TESTS_SYNTH_MODEL_H
#define TESTS_SYNTH_MODEL_H

#include "node/model.h"
#include "node/synth.h"

struct synth_model {
    struct gguf *gguf;
    struct model *model;
};

/* The file is unlinked at once; its mapping stays. Ends the process with a message when that fails. */
void synth_model_open(struct synth_model *synth, const struct synth_options *options);
void synth_model_close(struct synth_model *synth);

#endif
