/* Small byte-level BPE vocabularies for tests and fuzz targets: written as a GGUF file in memory, opened as a tokenizer.
 *
 * The ids 0 to 255 are the bytes; the others follow. */
#ifndef TESTS_BPE_VOCAB_H
#define TESTS_BPE_VOCAB_H

#include "gguf_writer.h"
#include "node/tokenizer/tokenizer.h"

enum { BPE_FIRST = 256, BPE_EXTRA_MAX = 96, BPE_MERGES_MAX = 128, BPE_BYTE_CHARACTERS = 3 };
enum { BPE_NORMAL = 1, BPE_CONTROL = 3, BPE_USER_DEFINED = 4 };

struct bpe_token {
    const char *text; /* as in the file */
    int32_t type;
};

/* The contents of a vocabulary file; a test changes the fields it examines. */
struct bpe_vocab {
    const char *pre;                        /* NULL: no such key */
    struct bpe_token extra[BPE_EXTRA_MAX];  /* from id BPE_FIRST on; ends at text NULL */
    const char *merges[BPE_MERGES_MAX + 1]; /* ends at NULL */
    bool no_merges, no_types, merges_of_numbers;
    int missing_byte; /* not 0: this byte has no token, but a control token in its place */
    const char *flag; /* a key set to flag_value */
    bool flag_value;
    const char *chat;      /* tokenizer.chat_template, or NULL */
    const char *id_key[2]; /* or NULL */
    uint32_t id_value[2];
};

/* A byte as its character in the file; returns its size. out is terminated. */
size_t bpe_vocab_character(unsigned char byte, char out[BPE_BYTE_CHARACTERS]);

struct tokenizer *bpe_vocab_try_open(const struct bpe_vocab *vocab, struct fail *fail); /* NULL and fail set when it is refused */
struct tokenizer *bpe_vocab_open(const struct bpe_vocab *vocab);                        /* a refusal fails the test */

#endif
