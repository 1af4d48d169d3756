/* Whole texts to ids, each distinct word only once: the ids of tokenizer_encode, many times faster when words repeat.
 *
 * Keeps the ids of every word it has met. If a vocabulary has pieces that span two words, or user-defined ones, it calls tokenizer_encode
 * instead. One thread at a time. */
#ifndef NODE_TOKENIZER_WORDS_H
#define NODE_TOKENIZER_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "tokenizer.h"

struct tokenizer_words;

/* The tokenizer must stay open. NULL without memory. */
struct tokenizer_words *tokenizer_words_open(const struct tokenizer *tokenizer, struct fail *fail);
void tokenizer_words_close(struct tokenizer_words *words); /* NULL is fine */

/* Can the text be encoded word by word? Otherwise a text may have at most 16 MB, as with tokenizer_encode. */
bool tokenizer_words_is_fast(const struct tokenizer_words *words);

/* The ids of tokenizer_encode without special ones. text is borrowed until tokenizer_words_close, size < 2^32. *ids is valid until the next
 * call. */
int tokenizer_words_encode(struct tokenizer_words *words, const char *text, size_t size, const uint32_t **ids, size_t *count,
                           struct fail *fail);

#endif
