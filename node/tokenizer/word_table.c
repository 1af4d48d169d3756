#include "word_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"

enum { ENTRIES_AT_FIRST = 1024, ENTRIES_MAX = 1 << 30 };

static bool is_same(const struct word_table_entry *entry, uint32_t hash, const struct word *word)
{
    return entry->hash == hash && entry->word.size == word->size && entry->word.is_spaced == word->is_spaced &&
           memcmp(entry->word.text, word->text, word->size) == 0;
}

static uint32_t *free_slot(uint32_t *slots, uint32_t mask, uint32_t hash)
{
    uint32_t at = hash & mask;

    while (slots[at] != 0)
        at = (at + 1) & mask;
    return &slots[at];
}

static bool grow(struct word_table *table)
{
    const uint32_t room = table->room != 0 ? 2 * table->room : ENTRIES_AT_FIRST;
    struct word_table_entry *entries = realloc(table->entries, room * sizeof *entries);
    uint32_t *slots;

    assert(room <= ENTRIES_MAX);
    if (entries == NULL)
        return false;
    table->entries = entries;
    slots = calloc(2 * (size_t)room, sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < table->count; i++)
        *free_slot(slots, 2 * room - 1, entries[i].hash) = i + 1;
    free(table->slots);
    table->slots = slots;
    table->slot_mask = 2 * room - 1;
    table->room = room;
    return true;
}

struct word_table_entry *word_table_find(struct word_table *table, const struct word *word)
{
    uint32_t hash;

    if (table->room == 0)
        table->seed = hash_random_seed();
    if (table->count == table->room && !grow(table))
        return NULL;
    hash = (uint32_t)hash_bytes(table->seed ^ word->is_spaced, word->text, word->size);
    for (uint32_t at = hash & table->slot_mask; table->slots[at] != 0; at = (at + 1) & table->slot_mask)
        if (is_same(&table->entries[table->slots[at] - 1], hash, word))
            return &table->entries[table->slots[at] - 1];
    table->entries[table->count] = (struct word_table_entry){.word = *word, .hash = hash};
    *free_slot(table->slots, table->slot_mask, hash) = table->count + 1;
    return &table->entries[table->count++];
}

void word_table_release(struct word_table *table)
{
    free(table->entries);
    free(table->slots);
    *table = (struct word_table){0};
}
