/* Byte-pair encoding by its definition, in the slowest form, to compare vocab_learn.c and tokenizer.c with.
 *
 * One array of symbols over a whole text, all pairs counted anew for every piece; texts are encoded by applying the learnt pairs one after
 * the other. Texts are made of a few letters, so that counts are plain arrays; they have no two blank lines and no newline at the ends. */
#ifndef TESTS_SLOW_BPE_H
#define TESTS_SLOW_BPE_H

#include <stddef.h>
#include <stdint.h>

enum { SLOW_BPE_TEXT_MAX = 400, SLOW_BPE_PIECES_MAX = 128, SLOW_BPE_PIECE_BYTES = 80, SLOW_BPE_LETTERS = 14 };
enum { SLOW_BPE_SPACE, SLOW_BPE_NEWLINE, SLOW_BPE_OTHERS }; /* indices of letters */

struct slow_bpe_letter {
    const char *text;
    uint32_t code_point; /* 0: not a character */
};

extern const struct slow_bpe_letter slow_bpe_letters[SLOW_BPE_LETTERS];

struct slow_bpe_merge {
    int left, right, result;
};

struct slow_bpe {
    char pieces[SLOW_BPE_PIECES_MAX][SLOW_BPE_PIECE_BYTES]; /* (piece_count) from id VOCAB_TEXT on */
    int characters[SLOW_BPE_PIECES_MAX];
    int piece_count;
    int letter_piece[SLOW_BPE_LETTERS]; /* or -1 */
    struct slow_bpe_merge merges[SLOW_BPE_PIECES_MAX];
    int merge_count;
};

/* Learns up to `room` pieces beyond those of every vocabulary; text is indices of letters, count < SLOW_BPE_TEXT_MAX. */
void slow_bpe_learn(struct slow_bpe *slow, const int *text, int count, int room);

/* Writes up to 4 * (count + 1) ids, without BOS; returns their number. */
size_t slow_bpe_encode(const struct slow_bpe *slow, const int *text, int count, uint32_t *ids);

#endif
