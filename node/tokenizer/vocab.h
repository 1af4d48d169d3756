/* A vocabulary in memory, as mesh-node makes it: SentencePiece style with byte fallback, for the project's tokenizer and GGUF files.
 *
 * Ids 0-2 are <unk> <s> </s>, 3-258 the bytes <0x00> to <0xFF>, then text: the space mark, one newline, two newlines, and what was added.
 * No two pieces have the same text. The score of text is minus its place among the text, so that earlier pieces merge first. */
#ifndef NODE_VOCAB_H
#define NODE_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/gguf/gguf_write.h"
#include "tokenizer.h"

enum {
    VOCAB_UNKNOWN = 0,
    VOCAB_BOS = 1,
    VOCAB_EOS = 2,
    VOCAB_BYTES = 3, /* id of byte 0 */
    VOCAB_TEXT = VOCAB_BYTES + 256,
    VOCAB_SPACE = VOCAB_TEXT,
    VOCAB_NEWLINE,
    VOCAB_NEWLINES, /* two of them */
    VOCAB_MIN,      /* tokens of every vocabulary; the id of the first piece that is added */
    VOCAB_MAX = 1 << 20,
    VOCAB_PIECE_CHARACTERS_MAX = 16,
    VOCAB_PIECE_SIZE_MAX = 4 * VOCAB_PIECE_CHARACTERS_MAX
};

struct vocab_piece {
    char text[VOCAB_PIECE_SIZE_MAX]; /* U+2581 for a space; not terminated */
    uint32_t size;
    uint32_t score_bits; /* of an f32 */
    uint32_t type;       /* as tokenizer.ggml.token_type counts: 1 normal, 2 unknown, 3 control, 6 byte */
};

struct vocab {
    struct vocab_piece *pieces; /* (count), room for more */
    uint32_t count;
    uint32_t room;
};

/* The pieces that every vocabulary has, and room for `room` in all, VOCAB_MIN to VOCAB_MAX (asserted). */
int vocab_init(struct vocab *vocab, uint32_t room, struct fail *fail);
void vocab_release(struct vocab *vocab);

/* Add text that no piece has yet, 1 to VOCAB_PIECE_SIZE_MAX bytes, while there is room (asserted). Returns the id. */
uint32_t vocab_add(struct vocab *vocab, const char *text, size_t size);

/* Is this the name of a token that is not text, such as <s> or <0x0A>? It cannot be added. */
bool vocab_is_reserved(const char *text, size_t size);

/* All tokenizer.ggml.* values: BOS is put before a text, EOS not after it, a space before it. Errors are kept by the writer. */
void vocab_write(const struct vocab *vocab, struct gguf_write *writer);

/* A tokenizer for it, made through a GGUF file in memory. NULL without memory. The vocabulary may be released. */
struct tokenizer *vocab_tokenizer(const struct vocab *vocab, struct fail *fail);

#endif
