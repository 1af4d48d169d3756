/* The turns of a conversation, laid out in the model's form: one text, and tokens between its stretches.
 *
 * What touches without a token between is one stretch, whoever says it. For tokenizer.c only. */
#ifndef NODE_TOKENIZER_TURNS_H
#define NODE_TOKENIZER_TURNS_H

#include "tokenizer_vocab.h"

/* A stretch of a text, or a token. */
struct tokenizer_fragment {
    size_t offset, size; /* of a token, 0 */
    int64_t id;          /* -1: text */
};

struct tokenizer_layout {
    char *text; /* (size) the caller frees it with free, as the fragments */
    size_t size;
    struct tokenizer_fragment *fragments; /* (count) with room for size + count: each byte might become one */
    size_t count;
};

/* tokenizer_check_turns has to hold (asserted). -1: no memory, with fail set and nothing to free. */
int tokenizer_turns_lay_out(const struct tokenizer *tokenizer, const char *packed, size_t size, struct tokenizer_layout *layout,
                            struct fail *fail);

/* Is it a token of the form? Those in what is said stay text. */
bool tokenizer_turns_is_form(const struct tokenizer_chat *chat, uint32_t id);

#endif
