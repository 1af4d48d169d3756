#include "vocab_learn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "documents.h"
#include "mesh/program/text_decode.h"
#include "vocab_pairs.h"
#include "word_table.h"

enum { CODE_POINTS = 0x110000, CHARACTER_SHARE = 64, CHARACTER_COUNT_MIN = 2 };

struct character {
    uint32_t code_point;
    uint32_t count;
};

struct learner {
    struct vocab *vocab;
    struct documents documents;
    struct word_table words; /* value: number of occurrences */
    uint32_t *characters;    /* (CODE_POINTS) occurrences; later the piece, or 0 */
    struct vocab_pairs *pairs;
};

static int fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "vocabulary: out of memory: give a shorter text");
}

static int count_words(struct learner *learner, struct fail *fail)
{
    struct document document;
    size_t at = 0;

    while (documents_next(&learner->documents, &at, &document)) {
        struct word word;
        size_t word_at = 0;

        while (word_next(document.text, document.size, true, &word_at, &word)) {
            struct word_table_entry *entry = word_table_find(&learner->words, &word);

            if (entry == NULL)
                return fail_memory(fail);
            entry->value++;
        }
    }
    return 0;
}

/* ---- characters ---- */

/* Newlines are pieces already, and a space mark in the text is not a space: it would make pieces span words. */
static bool may_be_piece(uint32_t code_point)
{
    return code_point != TEXT_DECODE_INVALID && code_point != ' ' && code_point != '\n' && code_point != WORD_SPACE_MARK;
}

/* Returns the number of all characters, spaces and broken ones included. */
static uint64_t count_characters(struct learner *learner)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < learner->words.count; i++) {
        const struct word_table_entry *entry = &learner->words.entries[i];
        uint32_t character;

        total += entry->word.is_spaced ? entry->value : 0;
        for (size_t at = 0; at < entry->word.size; total += entry->value) {
            at += word_character(entry->word.text + at, entry->word.size - at, &character);
            if (may_be_piece(character))
                learner->characters[character] += (uint32_t)entry->value;
        }
    }
    return total;
}

static int compare_characters(const void *a, const void *b)
{
    const struct character *left = a, *right = b;

    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return left->code_point < right->code_point ? -1 : left->code_point > right->code_point;
}

static size_t encode_utf8(uint32_t c, char out[4])
{
    const size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = size; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(size == 1 ? c : (0xf00u >> size & 0xf0u) | c);
    return size;
}

/* Turn the most frequent characters into pieces; afterwards `characters` says which. */
static int choose_characters(struct learner *learner, uint32_t room, struct fail *fail)
{
    const uint64_t total = count_characters(learner);
    struct character *chosen = malloc(CODE_POINTS * sizeof *chosen);
    uint32_t count = 0;

    if (chosen == NULL)
        return fail_memory(fail);
    for (uint32_t c = 0; c < CODE_POINTS; c++) {
        const uint32_t frequency = learner->characters[c];

        learner->characters[c] = 0;
        if (frequency < CHARACTER_COUNT_MIN || frequency * (uint64_t)CHARACTER_SHARE * room < total)
            continue;
        chosen[count] = (struct character){.code_point = c, .count = frequency};
        count++;
    }
    qsort(chosen, count, sizeof *chosen, compare_characters);
    for (uint32_t i = 0; i < count && i < (room + 1) / 2; i++) {
        char text[4];
        const size_t size = encode_utf8(chosen[i].code_point, text);

        learner->characters[chosen[i].code_point] = vocab_add(learner->vocab, text, size);
    }
    free(chosen);
    return 0;
}

/* ---- pairs ---- */

/* Symbols and gaps of all words, one gap after each. */
static uint64_t count_places(const struct word_table *words)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < words->count; i++) {
        const struct word *word = &words->entries[i].word;
        uint32_t character;

        count += word->is_spaced ? 2 : 1;
        for (size_t at = 0; at < word->size; count++)
            at += word_character(word->text + at, word->size - at, &character);
    }
    return count;
}

static void append_word(struct learner *learner, const struct word_table_entry *entry)
{
    const uint32_t weight = (uint32_t)entry->value;
    uint32_t character;

    if (entry->word.is_spaced)
        vocab_pairs_append(learner->pairs, VOCAB_SPACE, weight);
    for (size_t at = 0; at < entry->word.size;) {
        at += word_character(entry->word.text + at, entry->word.size - at, &character);
        if (character == ' ')
            vocab_pairs_append(learner->pairs, VOCAB_SPACE, weight);
        else if (may_be_piece(character) && learner->characters[character] != 0)
            vocab_pairs_append(learner->pairs, learner->characters[character], weight);
        else
            vocab_pairs_append_gap(learner->pairs);
    }
    vocab_pairs_append_gap(learner->pairs);
}

static int collect_pairs(struct learner *learner, struct fail *fail)
{
    const uint64_t places = count_places(&learner->words);

    assert(places < UINT32_MAX - 2); /* ensured by DOCUMENTS_SIZE_MAX */
    learner->pairs = vocab_pairs_open((uint32_t)places, learner->vocab->room, fail);
    if (learner->pairs == NULL)
        return -1;
    for (uint32_t i = 0; i < learner->words.count; i++)
        append_word(learner, &learner->words.entries[i]);
    return vocab_pairs_count(learner->pairs, fail);
}

static int merge_pairs(struct learner *learner, struct fail *fail)
{
    struct vocab *vocab = learner->vocab;
    struct vocab_pair pair;

    while (vocab->count < vocab->room && vocab_pairs_next(learner->pairs, &pair)) {
        const struct vocab_piece *left = &vocab->pieces[pair.left], *right = &vocab->pieces[pair.right];
        char text[2 * VOCAB_PIECE_SIZE_MAX];

        memcpy(text, left->text, left->size);
        memcpy(text + left->size, right->text, right->size);
        if (pair.characters > VOCAB_PIECE_CHARACTERS_MAX || vocab_is_reserved(text, left->size + right->size))
            continue;
        if (vocab_pairs_merge(learner->pairs, &pair, vocab_add(vocab, text, left->size + right->size), fail) < 0)
            return -1;
    }
    return 0;
}

static int learn(struct learner *learner, const char *text, size_t text_size, struct fail *fail)
{
    if (documents_init(&learner->documents, text, text_size, fail) < 0 || count_words(learner, fail) < 0)
        return -1;
    learner->characters = calloc(CODE_POINTS, sizeof *learner->characters);
    if (learner->characters == NULL)
        return fail_memory(fail);
    if (choose_characters(learner, learner->vocab->room - VOCAB_MIN, fail) < 0 || collect_pairs(learner, fail) < 0)
        return -1;
    return merge_pairs(learner, fail);
}

int vocab_learn(struct vocab *out, const char *text, size_t text_size, uint32_t count, struct fail *fail)
{
    struct vocab vocab;
    struct learner learner = {.vocab = &vocab};

    if (count < VOCAB_MIN || count > VOCAB_MAX)
        return fail_set(fail, EXIT_USAGE, "vocabulary: %u tokens: not possible: give a number from %d to %d", count, VOCAB_MIN, VOCAB_MAX);
    if (vocab_init(&vocab, count, fail) < 0)
        return -1;

    const int result = learn(&learner, text, text_size, fail);

    vocab_pairs_close(learner.pairs);
    free(learner.characters);
    word_table_release(&learner.words);
    documents_release(&learner.documents);
    if (result < 0)
        vocab_release(&vocab);
    else
        *out = vocab;
    return result;
}
