/* What a model is trained on: a text file, the vocabulary learnt from it, and its documents, some of them held out. */
#ifndef NODE_TRAIN_SOURCE_H
#define NODE_TRAIN_SOURCE_H

#include "corpus.h"
#include "mesh/program/fail.h"
#include "node/tokenizer/vocab.h"
#include "train_batch.h"
#include "train_state.h"

struct train_source {
    struct vocab vocab;
    struct corpus corpus;
    struct train_text learn, judge;
    uint32_t *document; /* (documents) those of learn, then those of judge */
    size_t tokens;
};

/* Reads the file and fills in setup's text_bytes and text_hash; setup->vocab becomes smaller when the text has no more to learn.
 * EXIT_ENVIRONMENT: it cannot be read. EXIT_BAD_FILE: it is empty or binary, or shorter than a row of setup->ctx tokens. */
int train_source_open(struct train_source *source, const char *path, struct train_setup *setup, struct fail *fail);
void train_source_close(struct train_source *source);

#endif
