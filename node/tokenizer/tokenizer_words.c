#include "tokenizer_words.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_vocab.h"
#include "word_table.h"

struct ids {
    uint32_t *ids; /* (count) */
    size_t count, room;
};

/* An entry's value is the offset of a word's ids in `known`, and their count. A word of 16 MB has up to 48 million. */
enum { COUNT_BITS = 26, COUNT_MASK = (1 << COUNT_BITS) - 1 };

struct tokenizer_words {
    const struct tokenizer *tokenizer;
    struct word_table table;
    struct ids known; /* of all words in the table, in its order */
    struct ids text;  /* of the last text */
};

static int append(struct ids *list, const uint32_t *ids, size_t count, struct fail *fail)
{
    if (count > list->room - list->count) {
        const size_t room = 2 * list->room + count + 1024;
        uint32_t *grown = realloc(list->ids, room * sizeof *grown);

        if (grown == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "text: out of memory for %zu tokens: give a shorter one", room);
        list->ids = grown;
        list->room = room;
    }
    if (count > 0)
        memcpy(list->ids + list->count, ids, count * sizeof *ids);
    list->count += count;
    return 0;
}

struct tokenizer_words *tokenizer_words_open(const struct tokenizer *tokenizer, struct fail *fail)
{
    struct tokenizer_words *words = calloc(1, sizeof *words);

    if (words == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "tokenizer: out of memory: close other programs");
        return NULL;
    }
    words->tokenizer = tokenizer;
    return words;
}

void tokenizer_words_close(struct tokenizer_words *words)
{
    if (words == NULL)
        return;
    word_table_release(&words->table);
    free(words->known.ids);
    free(words->text.ids);
    free(words);
}

bool tokenizer_words_is_fast(const struct tokenizer_words *words)
{
    return words->tokenizer->is_by_word;
}

static int learn_word(struct tokenizer_words *words, struct word_table_entry *entry, struct fail *fail)
{
    uint32_t *ids;
    size_t count;

    if (tokenizer_encode_word(words->tokenizer, &entry->word, &ids, &count, fail) < 0)
        return -1;
    assert(count > 0 && count <= COUNT_MASK);

    const uint64_t value = (uint64_t)words->known.count << COUNT_BITS | count;
    const int result = append(&words->known, ids, count, fail);

    if (result == 0)
        entry->value = value;
    free(ids);
    return result;
}

static int encode_words(struct tokenizer_words *words, const char *text, size_t size, struct fail *fail)
{
    struct tokenizer_cursor cursor = tokenizer_cursor_begin(words->tokenizer, text, size);
    struct word word;

    while (tokenizer_cursor_next(&cursor, &word)) {
        struct word_table_entry *entry = word_table_find(&words->table, &word);

        if (entry == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "text: out of memory for its words: give a shorter one");
        if (entry->value == 0 && learn_word(words, entry, fail) < 0)
            return -1;
        if (append(&words->text, words->known.ids + (entry->value >> COUNT_BITS), entry->value & COUNT_MASK, fail) < 0)
            return -1;
    }
    return 0;
}

static int encode_whole(struct tokenizer_words *words, const char *text, size_t size, struct fail *fail)
{
    uint32_t *ids;
    size_t count;

    if (size > TOKENIZER_TEXT_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "text: a document has %zu bytes: at most %d are possible with this vocabulary: divide it",
                        size, TOKENIZER_TEXT_MAX);
    if (tokenizer_encode(words->tokenizer, text, size, false, &ids, &count, fail) < 0)
        return -1;

    const int result = append(&words->text, ids, count, fail);

    free(ids);
    return result;
}

int tokenizer_words_encode(struct tokenizer_words *words, const char *text, size_t size, const uint32_t **ids, size_t *count,
                           struct fail *fail)
{
    words->text.count = 0;
    if ((words->tokenizer->is_by_word ? encode_words(words, text, size, fail) : encode_whole(words, text, size, fail)) < 0)
        return -1;
    *ids = words->text.ids;
    *count = words->text.count;
    return 0;
}
