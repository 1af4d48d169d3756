/* A trigram language model over token ids: the baseline that a trained network has to beat.
 *
 * Interpolated modified Kneser-Ney (Chen, Goodman 1998), the strongest smoothing of n-grams in their comparison, ahead of Witten-Bell in
 * particular: a discount per level for what occurred once, twice and more often, and below the trigrams the number of different contexts
 * of a token instead of its number of occurrences. The lowest level is interpolated with the uniform distribution, so that every token has
 * a probability above 0. Contexts begin at BOS and do not cross documents. Plain double arithmetic: for tests. */
#ifndef TESTS_TRIGRAM_H
#define TESTS_TRIGRAM_H

#include "node/train/corpus.h"

struct trigram;

enum { TRIGRAM_DISCOUNTS = 3 }; /* for counts of 1, of 2, of 3 and more */

/* From the training documents; every id is below vocabulary, which is below 2^21 (asserted). Running out of memory is asserted. */
struct trigram *trigram_train(const struct corpus *corpus, uint32_t vocabulary);
void trigram_free(struct trigram *trigram);

/* The probability of `next` after two tokens. `before` does not matter when `last` is BOS: nothing precedes a document. */
double trigram_probability(const struct trigram *trigram, uint32_t before, uint32_t last, uint32_t next);

/* Mean of -ln(probability) over all tokens of the held-out documents except BOS; EOS is included. */
double trigram_held_out_loss(const struct trigram *trigram, const struct corpus *corpus);

/* The discounts that follow from how many n-grams occurred once, twice, three and four times; 0.5, 1 and 1.5 where that gives none. */
void trigram_discounts(const uint64_t occurring[4], double discounts[TRIGRAM_DISCOUNTS]);

#endif
