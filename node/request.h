/* A generation request, as every node knows it. */
#ifndef NODE_REQUEST_H
#define NODE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler.h"

struct request {
    uint32_t id;           /* given by the sequencer, from 1 */
    uint32_t *prompt;      /* (prompt_count) */
    uint32_t prompt_count; /* ≥ 1 */
    uint32_t predict;      /* tokens to generate at most, ≥ 1 */
    struct sampling sampling;
    bool ignore_end;
    bool want_digest; /* logits digest of every generated token */
};

#endif
