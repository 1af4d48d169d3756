/* Text to ids by merging alone, little by little: what stands between user-defined pieces, or one word.
 *
 * The merging is that of SentencePiece's BPE (Kudo, Richardson 2018): symbols start as characters; of all neighbours that together are a
 * piece, those with the best score are joined, the leftmost first. A heap of such pairs, in which outdated ones are skipped when they come
 * up, makes it O(n log n). For tokenizer.c only. */
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

/* Starts as {.tokenizer}; may begin with one text after another, and keeps its memory in between. */
struct merger {
    const struct tokenizer *tokenizer;
    char *text; /* (text_size) escaped */
    struct merge_symbol *symbols;
    struct merge_pair *heap;     /* the best pair first */
    size_t text_room, heap_room; /* bytes; pairs */
    size_t heap_count;
    uint32_t text_size, offset; /* so much of it is symbols */
    uint32_t count;             /* symbols that it becomes */
    uint32_t at;                /* the next one of this stage */
    enum merge_stage { MERGE_DONE, MERGE_SPLIT, MERGE_JOIN, MERGE_WRITE } stage;
};

/* A copy of the text, at most TOKENIZER_TEXT_MAX bytes, with a space before it if `is_prefixed`; one of them there has to be (asserted).
 * The one before is done. -1: no memory, with fail set. */
int merger_begin(struct merger *merger, const char *text, size_t size, bool is_prefixed, struct fail *fail);

/* Goes on; the ids are appended to out. *work is how many symbols may be looked at or joined, and what is left of it. 1: done, 0: no work
 * is left, -1: no memory, with fail set. */
int merger_run(struct merger *merger, size_t *work, struct merge_ids *out, struct fail *fail);

void merger_release(struct merger *merger);

#endif
