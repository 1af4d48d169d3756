/* Models of random weights for tests: written to a temporary file by synth, opened, and removed again. */
#ifndef TESTS_SIMMODEL_H
#define TESTS_SIMMODEL_H

#include "node/model/model.h"
#include "node/synth/synth.h"

struct simmodel {
    struct gguf *gguf;
    struct model *model;
};

/* The file is unlinked at once; its mapping remains. Ends the process with a message when that fails. */
void simmodel_open(struct simmodel *synth, const struct synth_options *options);
void simmodel_close(struct simmodel *synth);

#endif
