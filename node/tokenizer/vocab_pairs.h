/* Pairs of neighbouring symbols in a sequence: how often each occurs, where, and which one is the most frequent.
 *
 * The sequence is appended symbol by symbol, with gaps where nothing may be joined; at first a symbol is a character's piece, and counts as
 * often as its weight says. Then call vocab_pairs_count, and in turn vocab_pairs_next, which takes out the most frequent pair, and
 * vocab_pairs_merge, which merges its two symbols into one everywhere. Only the places of a merged pair are visited, and counts are exact
 * at all times; overlapping pairs count ("aaa" has two). One thread. */
#ifndef NODE_VOCAB_PAIRS_H
#define NODE_VOCAB_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/program/fail.h"

struct vocab_pairs;

enum { VOCAB_PAIRS_COUNT_MIN = 2 }; /* rarer pairs are never taken out */

struct vocab_pair {
    uint32_t index; /* names it to vocab_pairs_merge */
    uint32_t left, right;
    uint32_t count;      /* occurrences, at least VOCAB_PAIRS_COUNT_MIN */
    uint32_t characters; /* of both */
};

/* For place_count appended symbols and gaps of pieces below piece_count. The weights of all symbols add up to less than 2^32. */
struct vocab_pairs *vocab_pairs_open(uint32_t place_count, uint32_t piece_count, struct fail *fail);
void vocab_pairs_close(struct vocab_pairs *pairs); /* NULL is fine */

void vocab_pairs_append(struct vocab_pairs *pairs, uint32_t piece, uint32_t weight);
void vocab_pairs_append_gap(struct vocab_pairs *pairs);

/* After all symbols. */
int vocab_pairs_count(struct vocab_pairs *pairs, struct fail *fail);

/* The most frequent pair not taken out before; of equally frequent pairs the one with the lower left id, then with the lower right id.
 * False when there is none. */
bool vocab_pairs_next(struct vocab_pairs *pairs, struct vocab_pair *best);

/* Merge a pair into a new piece: its occurrences from left to right, of overlapping ones the first. piece is above all earlier ones. */
int vocab_pairs_merge(struct vocab_pairs *pairs, const struct vocab_pair *pair, uint32_t piece, struct fail *fail);

#endif
