/* What `run` prints: text as it is generated, ids, or JSON; the digest line; the figures at the end. */
#ifndef NODE_OUTPUT_H
#define NODE_OUTPUT_H

#include <stdint.h>

#include "member.h"
#include "mesh/program/fail.h"
#include "mesh/program/json.h"
#include "node/tokenizer/tokenizer.h"
#include "run_options.h"

struct output {
    const struct run_options *options;
    const struct tokenizer *tokenizer;
    struct utf8_stream utf8;
    struct json json;
    uint64_t ids_digest, logits_digest;
    uint32_t tokens;
};

/* has_prompt: text precedes, so a leading space is kept. */
void output_begin(struct output *output, const struct run_options *options, const struct tokenizer *tokenizer, bool has_prompt);

/* -1: stdout cannot be written. */
int output_token(struct output *output, const struct member_token *token, struct fail *fail);

/* The rest of the text, the digest line. */
int output_end(struct output *output, struct fail *fail);

/* Figures: on stderr for people, or the JSON summary on stdout. reports: (ranks). */
struct output_figures {
    uint32_t prompt_tokens;
    uint32_t threads;
    const char *kernel, *cipher;
    const struct member_outcome *outcome;
    const struct member_report *reports;
    uint16_t ranks;
};
int output_figures(struct output *output, const struct output_figures *figures, struct fail *fail);

/* -1 with fail set if the request ended with an error. model: its file. */
int output_check(const struct member_outcome *outcome, const char *model, struct fail *fail);

#endif
