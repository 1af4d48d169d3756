/* Distinct words in order of first appearance, each with a number of the caller's: a hash table.
 *
 * The order depends on the words alone, never on addresses or the size of the table. Starts as {0}. Texts are borrowed until
 * word_table_release. */
#ifndef NODE_WORD_TABLE_H
#define NODE_WORD_TABLE_H

#include "word.h"

struct word_table_entry {
    struct word word;
    uint32_t hash;
    uint64_t value; /* the caller's; 0 when the word is new */
};

struct word_table {
    struct word_table_entry *entries; /* (count) in order of first appearance */
    uint32_t count, room;
    uint64_t seed;
    uint32_t *slots; /* (slot_mask + 1) index of the entry + 1, 0 is free; at most half are taken */
    uint32_t slot_mask;
};

/* The entry of a word, added when it is new (count grows by one); NULL without memory. Valid until the next call. */
struct word_table_entry *word_table_find(struct word_table *table, const struct word *word);
void word_table_release(struct word_table *table);

#endif
