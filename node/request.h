/* A generation request, as every node knows it. */
#ifndef NODE_REQUEST_H
#define NODE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "sampler.h"

struct request {
    uint64_t id;               /* not 0; given by who submits it, and of no other request of the cluster, ever */
    const uint32_t *prompt;    /* (prompt_count): all tokens so far */
    uint32_t prompt_count;     /* ≥ 1 */
    uint32_t generated_before; /* so many at the end of the prompt were generated, in an epoch before this one */
    uint32_t predict;          /* tokens to generate at most, those before included: more than generated_before */
    struct sampling sampling;
    bool ignore_end;
    bool want_digest; /* logits digest of every generated token */
    uint16_t origin;  /* the rank that it was submitted on; set by the engine */
};

/* Has the prompt of a command at least one token, and no more than the context holds? If not, -1 with EXIT_USAGE. model_ctx: what the
 * model was made for. */
int request_check_size(size_t prompt_count, uint32_t ctx, uint32_t model_ctx, const char *command, struct fail *fail);

/* Can it be generated with so many positions and token ids? If not, -1 with EXIT_USAGE. */
int request_check(const struct request *request, uint32_t ctx, uint32_t vocab, struct fail *fail);

#endif
