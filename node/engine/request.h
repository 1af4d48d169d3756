/* A generation request, as every node knows it. */
#ifndef NODE_REQUEST_H
#define NODE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "sampler.h"

struct request {
    uint64_t id;               /* not 0; chosen by the submitter, and never used for another request of the cluster */
    const uint32_t *prompt;    /* (prompt_count): all tokens so far */
    uint32_t prompt_count;     /* ≥ 1 */
    uint32_t generated_before; /* tokens at the end of the prompt that were generated in an earlier epoch */
    uint32_t predict;          /* limit of generated tokens, including earlier ones: more than generated_before */
    struct sampling sampling;
    bool ignore_end;
    bool want_digest; /* logits digest of every generated token */
    uint16_t origin;  /* the rank that it was submitted on; set by the engine */
};

/* Check that the prompt of a command has at least one token, and no more than the context holds; otherwise -1 with EXIT_USAGE. model_ctx:
 * the context the model was made for. */
int request_check_size(size_t prompt_count, uint32_t ctx, uint32_t model_ctx, const char *command, struct fail *fail);

/* The same for a prompt that is not tokenised yet, but will be at least `least` tokens. */
int request_check_least(size_t least, uint32_t ctx, uint32_t model_ctx, const char *command, struct fail *fail);

/* Check that it can be generated with this many positions and token ids; otherwise -1 with EXIT_USAGE. */
int request_check(const struct request *request, uint32_t ctx, uint32_t vocab, struct fail *fail);

#endif
