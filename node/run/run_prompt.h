/* The prompt of `mesh-node run` as token ids: of a text, a file, or a question with or without a system text. */
#ifndef NODE_RUN_PROMPT_H
#define NODE_RUN_PROMPT_H

#include "node/tokenizer/tokenizer.h"
#include "run_options.h"

struct run_prompt {
    uint32_t *ids; /* (count) the caller frees it with free, also after a failure */
    size_t count;
    bool has_text; /* else the text that follows is the first */
};

/* ctx: tokens of the context; of ids in a file, at most one more is read, so that too many are noticed. */
int run_prompt_make(const struct run_options *options, const struct tokenizer *tokenizer, uint32_t ctx, struct run_prompt *prompt,
                    struct fail *fail);

#endif
