/* Questions that clients ask simulated nodes, and the right answers: those of one engine alone, with no other request and no fault.
 *
 * They are a fixed catalogue, a few models and many questions of each, so that the answers are computed once per process. */
#ifndef TESTS_SIMQUESTION_H
#define TESTS_SIMQUESTION_H

#include "node/client/client_message.h"
#include "node/tokenizer/tokenizer.h"
#include "simcluster.h"

enum { SIMQUESTION_MODELS = 4, SIMQUESTIONS = 24, SIMQUESTION_CTX = 96, SIMQUESTION_TEXT_MAX = 80 };

struct simquestion {
    struct client_message ask; /* as a client sends it; its text is below */
    char text[SIMQUESTION_TEXT_MAX];
    uint32_t prompt_count;
    struct simcluster_result alone;
};

struct simquestion_model {
    const struct model *model;
    const struct tokenizer *tokenizer;
    enum kv_type kv_type;
};

const struct simquestion_model *simquestion_model(unsigned model);
const struct simquestion *simquestion(unsigned model, unsigned index);

#endif
