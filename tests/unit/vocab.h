/* Small vocabularies for tests: described in a struct, written as a GGUF file in memory, opened as a tokenizer. */
#ifndef TESTS_VOCAB_H
#define TESTS_VOCAB_H

#include "node/tokenizer/tokenizer.h"

#define SPACE "\xe2\x96\x81" /* U+2581 */

/* Ids in every vocabulary, and numbers of types. */
enum { UNKNOWN, BOS, EOS, BYTES, FIRST = BYTES + 256, EXTRA_MAX = 64, NORMAL = 1, CONTROL = 3, USER_DEFINED = 4 };

struct vocab_entry {
    const char *text;
    float score;
    int32_t type;
};

/* The contents of a vocabulary file; a test changes the fields it examines. */
struct vocab {
    const char *model;
    struct vocab_entry extra[EXTRA_MAX];    /* from id FIRST on; ends at text NULL */
    uint32_t scores_missing, types_missing; /* at the end of the array */
    bool no_scores, no_types, no_unknown, no_bos_key, byte_missing;
    const char *flag; /* a key set to flag_value */
    bool flag_value;
    const char *chat; /* tokenizer.chat_template, or NULL */
    const char *id_key;
    uint32_t id_value;
    uint32_t rows; /* of the model, for which it is opened; 0: of none */
};

struct tokenizer *vocab_try_open(const struct vocab *vocab, struct fail *fail); /* NULL and fail set when it is refused */
struct tokenizer *vocab_open(const struct vocab *vocab);                        /* a refusal fails the test */

/* Encodes the text with so much work a turn, and fails the test unless the ids are these; returns how many turns it took. */
size_t vocab_encodes_in_turns(const struct tokenizer *tokenizer, const char *text, size_t size, bool special, size_t work,
                              const uint32_t *expected, size_t expected_count);

/* Fails the test unless the text gives these ids, as a whole and in turns; expected ends with -1. */
void vocab_encodes(const struct tokenizer *tokenizer, const char *text, size_t size, bool special, const int64_t *expected);
#define ENCODES(t, text, special, ...) vocab_encodes(t, text, sizeof(text) - 1, special, (const int64_t[]){__VA_ARGS__ __VA_OPT__(, ) - 1})

#endif
