/* The vocabulary of synthetic models: SentencePiece style with byte fallback, the same for every model of the same size.
 *
 * Ids 0-2 are <unk> <s> </s>, 3-258 the bytes, then the space mark, letters, signs, syllables and made-up words of two to
 * four syllables, all different. A word's beginning is always a piece too, so that merging reaches it. */
#ifndef NODE_SYNTH_VOCAB_H
#define NODE_SYNTH_VOCAB_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYNTH_VOCAB_UNKNOWN = 0,
    SYNTH_VOCAB_BOS = 1,
    SYNTH_VOCAB_EOS = 2,
    SYNTH_VOCAB_BYTES = 3,          /* id of byte 0 */
    SYNTH_VOCAB_TEXT = 3 + 256,     /* the first id that is text */
    SYNTH_VOCAB_MIN = 3 + 256 + 27, /* with the space mark and 26 letters */
    SYNTH_VOCAB_MAX = 1 << 19,
    SYNTH_VOCAB_PIECE_MAX = 16
};

/* The text of a token, without a NUL; returns its size. id < SYNTH_VOCAB_MAX (asserted). */
size_t synth_vocab_piece(uint32_t id, char out[SYNTH_VOCAB_PIECE_MAX]);

/* As tokenizer.ggml.token_type counts: 1 normal, 2 unknown, 3 control, 6 byte. */
uint32_t synth_vocab_type(uint32_t id);

/* f32 bits of the score: 0 for what is not text, else minus the place in the list, so that earlier pieces merge first. */
uint32_t synth_vocab_score(uint32_t id);

#endif
