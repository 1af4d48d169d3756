/* A vocabulary learnt from a text: byte-pair encoding over its words (Gage 1994; Sennrich, Haddow, Birch 2016).
 *
 * Documents and words are those of documents.h and word.h, the first word of a document with the space that is put before a text. First
 * every sufficiently frequent character becomes a piece: one that is at least 1 in 64 * (count - VOCAB_MIN) of all characters, and occurs
 * twice; the most frequent ones if they would fill more than half of the room. Other characters fall back to bytes and are never part of a
 * piece. Then the most frequent pair of neighbours becomes a piece, again and again, until there are `count` tokens or no pair occurs
 * twice. Of equal pairs the one with the lower left id comes first, then the one with the lower right id; of equal characters the lower
 * code point.
 *
 * A piece has 16 characters at most. Pieces are in the order in which they were made, and their scores are minus their place in it, so that
 * the tokenizer repeats the same merges. Integers only: the same text gives the same vocabulary on any machine. Memory is bounded by the
 * distinct words, apart from one copy of the text. */
#ifndef NODE_VOCAB_LEARN_H
#define NODE_VOCAB_LEARN_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "vocab.h"

/* count is of all tokens, VOCAB_MIN to VOCAB_MAX (otherwise EXIT_USAGE); out->count is less where too little of the text repeats. A text
 * that is empty or has a NUL: EXIT_BAD_FILE. Give *out to vocab_release after success. */
int vocab_learn(struct vocab *out, const char *text, size_t text_size, uint32_t count, struct fail *fail);

#endif
