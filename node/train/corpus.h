/* A text as token documents for training, some of them held out for evaluation.
 *
 * Documents are those of documents.h; each is BOS, the ids that tokenizer_encode gives for it, EOS. Which ones are held out is decided by a
 * hash of the seed and the document's number, not by the text; of two or more documents at least one is held out and at least one is not. A
 * single document is divided: the same share of its tokens, from the end, becomes a held-out document (number 1) with BOS and EOS of its
 * own; both parts have at least one token of text. Nothing is held out if a single document has one token, or if the share is 0.
 * Immutable. */
#ifndef NODE_CORPUS_H
#define NODE_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/tokenizer/tokenizer.h"

enum { CORPUS_HELD_OUT_PERMILLE = 50 }; /* the usual share */

struct corpus {
    uint32_t *ids;  /* (token_count) */
    size_t *starts; /* (document_count + 1) of document i in ids; the last one is token_count */
    bool *held_out; /* (document_count) */
    size_t token_count;
    uint32_t document_count;
    size_t held_out_token_count;
    uint32_t held_out_document_count;
};

/* held_out_permille is 0 to 999 (asserted). Refuses what documents.h refuses, and a tokenizer without BOS or EOS (EXIT_BAD_FILE). */
int corpus_init(struct corpus *corpus, const struct tokenizer *tokenizer, const char *text, size_t text_size, uint64_t seed,
                uint32_t held_out_permille, struct fail *fail);
void corpus_release(struct corpus *corpus);

/* document < document_count (asserted). */
bool corpus_is_held_out(const struct corpus *corpus, uint32_t document);

#endif
