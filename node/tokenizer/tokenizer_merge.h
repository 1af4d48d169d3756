/* Text to ids by merging, in bounded pieces of work: the text between user-defined pieces, or one word.
 *
 * The merging is that of SentencePiece's BPE (Kudo, Richardson 2018): symbols start as characters; of all neighbours that form a piece, the
 * pair with the best score is joined, the leftmost first. Byte-level BPE starts with bytes; neighbours are joined if the vocabulary lists
 * them as a merge, the earliest of the list first. A heap of pairs, in which outdated ones are skipped, makes it O(n log n).
 * For tokenizer.c only. */
#ifndef NODE_TOKENIZER_MERGE_H
#define NODE_TOKENIZER_MERGE_H

#include "tokenizer_vocab.h"

struct merge_ids {
    uint32_t *ids; /* (count) */
    size_t count, room;
};

int merge_ids_append(struct merge_ids *list, uint32_t id, struct fail *fail); /* -1: no memory, with fail set */
int merge_fail_memory(struct fail *fail);                                     /* -1 */

struct merge_symbol;
struct merge_pair;

/* Starts as {.tokenizer}; takes one text after another and reuses its memory. */
struct merger {
    const struct tokenizer *tokenizer;
    char *text; /* (text_size) a copy; of SentencePiece, escaped */
    struct merge_symbol *symbols;
    struct merge_pair *heap;     /* the best pair first */
    size_t text_room, heap_room; /* bytes; pairs */
    size_t heap_count;
    uint32_t text_size, offset; /* offset: bytes that are symbols already */
    uint32_t count;             /* symbols of the text */
    uint32_t at;                /* the next symbol of this stage */
    enum merge_stage { MERGE_DONE, MERGE_SPLIT, MERGE_JOIN, MERGE_WRITE } stage;
};

/* Copies the text, at most TOKENIZER_TEXT_MAX bytes, with a space before it if is_prefixed (SentencePiece only); the two together are not
 * empty, and the text before is done (asserted). -1: no memory, with fail set. */
int merger_begin(struct merger *merger, const char *text, size_t size, bool is_prefixed, struct fail *fail);

/* Continues, and appends the ids to out. *work: symbols that may be read or joined, and what is left of them. 1: done, 0: *work is used up,
 * -1: no memory, with fail set. */
int merger_run(struct merger *merger, size_t *work, struct merge_ids *out, struct fail *fail);

void merger_release(struct merger *merger);

#endif
