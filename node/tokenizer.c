/* Text to ids: user-defined pieces are cut out of the raw text first; the text between them is merged, best score first.
 *
 * The merging is that of SentencePiece's BPE (Kudo, Richardson 2018): symbols start as characters; of all neighbours that together are a
 * piece, those with the best score are joined, the leftmost first. A heap of such pairs, in which outdated ones are skipped when they come
 * up, makes it O(n log n). */
#include "tokenizer_vocab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct symbol {
    uint32_t offset, size;  /* in the escaped text; size 0: merged into the one before */
    uint32_t before, after; /* neighbours; NONE at the ends */
};
#define NONE UINT32_MAX

struct pair {
    float score;
    uint32_t left, right; /* symbols */
    uint32_t size;        /* of both when the pair was found; a different size now means that it is outdated */
};

/* A stretch of the raw text, or a user-defined piece found in it. */
struct fragment {
    size_t offset, size;
    int64_t id; /* -1: text */
};

struct id_list {
    uint32_t *ids;
    size_t count, room;
};

struct merger {
    const struct tokenizer *tokenizer;
    char *text; /* escaped */
    struct symbol *symbols;
    struct pair *heap; /* the best pair first */
    size_t heap_count;
};

static int fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "prompt: out of memory while tokenising: give a shorter prompt");
}

static int append_id(struct id_list *list, uint32_t id, struct fail *fail)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        uint32_t *ids = realloc(list->ids, room * sizeof *ids);

        if (!ids)
            return fail_memory(fail);
        list->ids = ids;
        list->room = room;
    }
    list->ids[list->count++] = id;
    return 0;
}

static bool comes_first(const struct pair *a, const struct pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void heap_push(struct merger *m, struct pair pair)
{
    size_t at = m->heap_count++;

    for (; at > 0 && comes_first(&pair, &m->heap[(at - 1) / 2]); at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = pair;
}

static struct pair heap_pop(struct merger *m)
{
    struct pair best = m->heap[0];
    struct pair last = m->heap[--m->heap_count];
    size_t at = 0;

    for (size_t child = 1; child < m->heap_count; child = 2 * at + 1) {
        if (child + 1 < m->heap_count && comes_first(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!comes_first(&m->heap[child], &last))
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return best;
}

static void consider(struct merger *m, uint32_t left, uint32_t right)
{
    uint32_t size;
    int64_t id;

    if (left == NONE || right == NONE)
        return;
    size = m->symbols[left].size + m->symbols[right].size;
    id = tokenizer_find(m->tokenizer, m->text + m->symbols[left].offset, size);
    if (id >= 0)
        heap_push(m, (struct pair){.score = m->tokenizer->pieces[id].score, .left = left, .right = right, .size = size});
}

/* There are more symbols than characters of the raw text when a broken character swallows the beginning of an escaped space. Invalid UTF-8
 * may be split in odd ways, which ends in byte tokens. */
static uint32_t count_symbols(const struct merger *m, uint32_t size)
{
    uint32_t count = 0;

    for (uint32_t offset = 0; offset < size; count++)
        offset += word_character_size((unsigned char)m->text[offset]);
    return count;
}

static uint32_t split_symbols(struct merger *m, uint32_t size)
{
    uint32_t count = 0;

    for (uint32_t offset = 0; offset < size; count++) {
        uint32_t length = word_character_size((unsigned char)m->text[offset]);

        if (length > size - offset)
            length = size - offset;
        m->symbols[count] = (struct symbol){.offset = offset, .size = length, .before = count ? count - 1 : NONE, .after = count + 1};
        offset += length;
    }
    m->symbols[count - 1].after = NONE;
    return count;
}

static void merge_symbols(struct merger *m, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++)
        consider(m, i, i + 1);
    while (m->heap_count > 0) {
        struct pair pair = heap_pop(m);
        struct symbol *left = &m->symbols[pair.left], *right = &m->symbols[pair.right];

        if (left->size == 0 || right->size == 0 || left->size + right->size != pair.size)
            continue;
        left->size = pair.size;
        left->after = right->after;
        right->size = 0;
        if (left->after != NONE)
            m->symbols[left->after].before = pair.left;
        consider(m, left->before, pair.left);
        consider(m, pair.left, left->after);
    }
}

/* Byte tokens for a symbol that is not a piece; one unknown token if a byte token is missing (the vocabulary then has one, see
 * tokenizer_load.c). */
static int append_bytes(const struct merger *m, const struct symbol *symbol, struct id_list *out, struct fail *fail)
{
    const struct tokenizer *t = m->tokenizer;

    for (uint32_t i = 0; i < symbol->size; i++)
        if (t->byte_ids[(unsigned char)m->text[symbol->offset + i]] < 0)
            return append_id(out, (uint32_t)t->unknown, fail);
    for (uint32_t i = 0; i < symbol->size; i++)
        if (append_id(out, (uint32_t)t->byte_ids[(unsigned char)m->text[symbol->offset + i]], fail))
            return -1;
    return 0;
}

static int append_symbols(const struct merger *m, struct id_list *out, struct fail *fail)
{
    for (uint32_t i = 0; i != NONE; i = m->symbols[i].after) {
        const struct symbol *symbol = &m->symbols[i];
        int64_t id = tokenizer_find(m->tokenizer, m->text + symbol->offset, symbol->size);

        if (id >= 0 ? append_id(out, (uint32_t)id, fail) : append_bytes(m, symbol, out, fail))
            return -1;
    }
    return 0;
}

static uint32_t escape(char *out, const char *text, size_t size, bool prefix)
{
    char *end = out;

    if (prefix)
        end = mempcpy(end, "\xe2\x96\x81", 3);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ' ')
            end = mempcpy(end, "\xe2\x96\x81", 3);
        else
            *end++ = text[i];
    }
    return (uint32_t)(end - out);
}

static int encode_text(const struct tokenizer *t, const char *text, size_t size, bool prefix, struct id_list *out, struct fail *fail)
{
    struct merger m = {.tokenizer = t};
    uint32_t escaped_size, symbols;
    int result = -1;

    assert((size > 0 || prefix) && size <= TOKENIZER_TEXT_MAX);
    m.text = malloc(3 * size + 3);
    if (!m.text)
        return fail_memory(fail);
    escaped_size = escape(m.text, text, size, prefix);
    symbols = count_symbols(&m, escaped_size);
    assert(symbols > 0);
    m.symbols = malloc(symbols * sizeof *m.symbols);
    m.heap = malloc(3 * (size_t)symbols * sizeof *m.heap); /* a pair per neighbour, two more per merge */
    if (m.symbols && m.heap) {
        uint32_t split = split_symbols(&m, escaped_size);

        assert(split == symbols);
        merge_symbols(&m, split);
        result = append_symbols(&m, out, fail);
    } else {
        fail_memory(fail);
    }
    free(m.heap);
    free(m.symbols);
    free(m.text);
    return result;
}

/* Cut every occurrence of one piece out of the fragments that are still text: from `from` to `to`, which has room for all. */
static size_t cut_piece(const struct piece *piece, uint32_t id, const char *text, const struct fragment *from, size_t count,
                        struct fragment *to)
{
    size_t written = 0;

    for (size_t i = 0; i < count; i++) {
        struct fragment rest = from[i];
        const char *found;

        while (rest.id < 0 && (found = memmem(text + rest.offset, rest.size, piece->text, piece->text_size))) {
            size_t ahead = (size_t)(found - (text + rest.offset));

            if (ahead > 0)
                to[written++] = (struct fragment){.offset = rest.offset, .size = ahead, .id = -1};
            to[written++] = (struct fragment){.id = id};
            rest.offset += ahead + piece->text_size;
            rest.size -= ahead + piece->text_size;
        }
        if (rest.id >= 0 || rest.size > 0)
            to[written++] = rest;
    }
    return written;
}

/* The fragments of a text, each at least one byte or one piece, so never more than bytes. NULL without memory. */
static struct fragment *partition(const struct tokenizer *t, const char *text, size_t size, size_t *count)
{
    struct fragment *fragments = malloc(size * sizeof *fragments), *other = NULL;

    if (!fragments)
        return NULL;
    fragments[0] = (struct fragment){.size = size, .id = -1};
    *count = 1;
    for (uint32_t i = 0; i < t->user_defined_count; i++) {
        const struct piece *piece = &t->pieces[t->user_defined[i]];
        struct fragment *cut;

        if (!memmem(text, size, piece->text, piece->text_size))
            continue;
        if (!other && !(other = malloc(size * sizeof *other))) {
            free(fragments);
            return NULL;
        }
        *count = cut_piece(piece, t->user_defined[i], text, fragments, *count, other);
        cut = other;
        other = fragments;
        fragments = cut;
    }
    free(other);
    return fragments;
}

static int encode_fragments(const struct tokenizer *t, const char *text, const struct fragment *fragments, size_t count,
                            struct id_list *out, struct fail *fail)
{
    bool after_text = false; /* a space goes before the text, and before text that follows a user-defined piece */

    for (size_t i = 0; i < count; i++) {
        const struct fragment *fragment = &fragments[i];
        int result;

        if (fragment->id >= 0)
            result = append_id(out, (uint32_t)fragment->id, fail);
        else
            result = encode_text(t, text + fragment->offset, fragment->size, t->add_space_prefix && !after_text, out, fail);
        if (result)
            return -1;
        after_text = fragment->id < 0;
    }
    return 0;
}

static int encode(const struct tokenizer *t, const char *text, size_t size, bool special, struct id_list *out, struct fail *fail)
{
    if (special && t->add_bos && t->bos >= 0 && append_id(out, (uint32_t)t->bos, fail))
        return -1;
    if (size > 0) {
        size_t count;
        struct fragment *fragments = partition(t, text, size, &count);
        int result = fragments ? encode_fragments(t, text, fragments, count, out, fail) : fail_memory(fail);

        free(fragments);
        if (result)
            return -1;
    }
    return special && t->add_eos && t->eos >= 0 ? append_id(out, (uint32_t)t->eos, fail) : 0;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t text_size, bool special, uint32_t **ids, size_t *count,
                     struct fail *fail)
{
    struct id_list list = {.room = 64};

    if (text_size > TOKENIZER_TEXT_MAX)
        return fail_set(fail, EXIT_USAGE, "prompt: %zu bytes, at most %d are possible: give a shorter one", text_size, TOKENIZER_TEXT_MAX);
    list.ids = malloc(list.room * sizeof *list.ids);
    if (!list.ids)
        return fail_memory(fail);
    if (encode(tokenizer, text, text_size, special, &list, fail)) {
        free(list.ids);
        return -1;
    }
    *ids = list.ids;
    *count = list.count;
    return 0;
}

int tokenizer_encode_word(const struct tokenizer *tokenizer, const struct word *word, uint32_t **ids, size_t *count, struct fail *fail)
{
    struct id_list list = {0};

    if (word->size > TOKENIZER_TEXT_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "text: a word has %u bytes: at most %d are possible: give a text that has spaces", word->size,
                        TOKENIZER_TEXT_MAX);
    if (encode_text(tokenizer, word->text, word->size, word->is_spaced, &list, fail)) {
        free(list.ids);
        return fail_set(fail, EXIT_ENVIRONMENT, "text: out of memory for a word of %u bytes: close other programs", word->size);
    }
    *ids = list.ids;
    *count = list.count;
    return 0;
}

uint32_t tokenizer_count(const struct tokenizer *tokenizer)
{
    return tokenizer->count;
}

int64_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int64_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool tokenizer_is_end(const struct tokenizer *tokenizer, uint32_t id)
{
    return id == tokenizer->eos || id == tokenizer->eot || id == tokenizer->eom;
}

uint32_t tokenizer_missing_bytes(const struct tokenizer *tokenizer)
{
    uint32_t missing = 0;

    for (size_t byte = 0; byte < 256; byte++)
        missing += tokenizer->byte_ids[byte] < 0;
    return missing;
}

const char *tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id, size_t *size)
{
    assert(id < tokenizer->count);
    *size = tokenizer->pieces[id].shown_size;
    return tokenizer->pieces[id].shown;
}
