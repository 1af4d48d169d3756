#include "tokenizer_merge.h"

#include <assert.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

struct merge_symbol {
    uint32_t offset, size;  /* in the merger's text; size 0: merged into the one before */
    uint32_t before, after; /* neighbours; NONE at the ends */
    uint32_t id;            /* NONE: it is no piece */
};
#define NONE UINT32_MAX

struct merge_pair {
    float score;
    uint32_t left, right; /* symbols */
    uint32_t size;        /* of both when the pair was found; if it differs now, the pair is outdated */
    uint32_t id;          /* of the piece that they form */
};

enum { SPACE_SIZE = 3, PAIRS_PER_SYMBOL = 3 /* one per neighbour, two more per merge */ };

int merge_fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "prompt: out of memory while tokenising: give a shorter prompt");
}

int merge_ids_append(struct merge_ids *list, uint32_t id, struct fail *fail)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        uint32_t *ids = realloc(list->ids, room * sizeof *ids);

        if (!ids)
            return merge_fail_memory(fail);
        list->ids = ids;
        list->room = room;
    }
    list->ids[list->count++] = id;
    return 0;
}

/* ---- pairs ---- */

static bool comes_first(const struct merge_pair *a, const struct merge_pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void heap_push(struct merger *m, struct merge_pair pair)
{
    size_t at = m->heap_count++;

    for (; at > 0 && comes_first(&pair, &m->heap[(at - 1) / 2]); at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = pair;
}

static struct merge_pair heap_pop(struct merger *m)
{
    struct merge_pair best = m->heap[0];
    struct merge_pair last = m->heap[--m->heap_count];
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

static uint32_t id_or_none(int64_t id)
{
    return id >= 0 ? (uint32_t)id : NONE;
}

/* The id and score of the piece that two neighbours form; NONE if they form none. */
static uint32_t joined(const struct merger *m, const struct merge_symbol *left, const struct merge_symbol *right, float *score)
{
    const struct tokenizer *t = m->tokenizer;
    int64_t id;

    if (t->is_bpe) {
        const struct tokenizer_merge *merge = left->id == NONE || right->id == NONE ? NULL : tokenizer_find_merge(t, left->id, right->id);

        static_assert(TOKENIZER_MERGES_MAX <= 1 << FLT_MANT_DIG, "a rank is exact as a float");
        *score = merge != NULL ? -(float)(merge - t->merges) : 0;
        return merge != NULL ? merge->result : NONE;
    }
    id = tokenizer_find(t, m->text + left->offset, left->size + right->size);
    *score = id >= 0 ? t->pieces[id].score : 0;
    return id_or_none(id);
}

static void consider(struct merger *m, uint32_t left, uint32_t right)
{
    struct merge_pair pair = {.left = left, .right = right};

    if (left == NONE || right == NONE)
        return;
    pair.size = m->symbols[left].size + m->symbols[right].size;
    pair.id = joined(m, &m->symbols[left], &m->symbols[right], &pair.score);
    if (pair.id != NONE)
        heap_push(m, pair);
}

static void join_best(struct merger *m)
{
    const struct merge_pair pair = heap_pop(m);
    struct merge_symbol *left = &m->symbols[pair.left], *right = &m->symbols[pair.right];

    if (left->size == 0 || right->size == 0 || left->size + right->size != pair.size)
        return;
    left->size = pair.size;
    left->id = pair.id;
    left->after = right->after;
    right->size = 0;
    if (left->after != NONE)
        m->symbols[left->after].before = pair.left;
    consider(m, left->before, pair.left);
    consider(m, pair.left, left->after);
}

/* ---- the beginning ---- */

/* A character of SentencePiece, a byte of byte-level BPE. */
static uint32_t symbol_size(const struct merger *m, uint32_t offset)
{
    return m->tokenizer->is_bpe ? 1 : word_character_size((unsigned char)m->text[offset]);
}

static uint32_t escape(char *out, const char *text, size_t size, bool is_prefixed)
{
    char *end = out;

    if (is_prefixed)
        end = mempcpy(end, "\xe2\x96\x81", SPACE_SIZE);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ' ')
            end = mempcpy(end, "\xe2\x96\x81", SPACE_SIZE);
        else
            *end++ = text[i];
    }
    return (uint32_t)(end - out);
}

/* May exceed the characters of the raw text, if a broken character swallows the beginning of an escaped space. Invalid UTF-8 may be split
 * in odd ways, which ends in byte tokens. */
static uint32_t count_symbols(const struct merger *m)
{
    uint32_t count = 0;

    for (uint32_t offset = 0; offset < m->text_size; count++)
        offset += symbol_size(m, offset);
    return count;
}

static int make_text_room(struct merger *m, size_t size, struct fail *fail)
{
    if (size <= m->text_room)
        return 0;
    free(m->text);
    m->text = malloc(size);
    m->text_room = m->text != NULL ? size : 0;
    return m->text != NULL ? 0 : merge_fail_memory(fail);
}

static int make_symbol_room(struct merger *m, size_t symbols, struct fail *fail)
{
    if (PAIRS_PER_SYMBOL * symbols <= m->heap_room)
        return 0;
    free(m->symbols);
    free(m->heap);
    m->symbols = malloc(symbols * sizeof *m->symbols);
    m->heap = malloc(PAIRS_PER_SYMBOL * symbols * sizeof *m->heap);
    m->heap_room = m->symbols != NULL && m->heap != NULL ? PAIRS_PER_SYMBOL * symbols : 0;
    return m->heap_room > 0 ? 0 : merge_fail_memory(fail);
}

int merger_begin(struct merger *merger, const char *text, size_t size, bool is_prefixed, struct fail *fail)
{
    const bool is_bpe = merger->tokenizer->is_bpe;

    assert((size > 0 || is_prefixed) && size <= TOKENIZER_TEXT_MAX && merger->stage == MERGE_DONE && !(is_bpe && is_prefixed));
    if (make_text_room(merger, is_bpe ? size : SPACE_SIZE * (size + 1), fail) < 0)
        return -1;
    if (is_bpe)
        memcpy(merger->text, text, size);
    merger->text_size = is_bpe ? (uint32_t)size : escape(merger->text, text, size, is_prefixed);
    merger->count = count_symbols(merger);
    assert(merger->count > 0);
    if (make_symbol_room(merger, merger->count, fail) < 0)
        return -1;
    merger->heap_count = 0;
    merger->at = merger->offset = 0;
    merger->stage = MERGE_SPLIT;
    return 0;
}

/* ---- continuing ---- */

/* U+FFFD, for a byte without a token: the vocabulary has no unknown token, hence all bytes of text. */
static int append_replacement(const struct tokenizer *t, struct merge_ids *out, struct fail *fail)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const int64_t whole = tokenizer_find(t, replacement, sizeof replacement - 1);

    if (whole >= 0)
        return merge_ids_append(out, (uint32_t)whole, fail);
    for (const char *byte = replacement; *byte != 0; byte++)
        if (merge_ids_append(out, (uint32_t)t->byte_ids[(unsigned char)*byte], fail) < 0)
            return -1;
    return 0;
}

/* Byte tokens for a symbol that is no piece; one unknown token if a byte token is missing, and the vocabulary has an unknown token. */
static int append_bytes(const struct merger *m, const struct merge_symbol *symbol, struct merge_ids *out, struct fail *fail)
{
    const struct tokenizer *t = m->tokenizer;

    for (uint32_t i = 0; i < symbol->size; i++)
        if (t->byte_ids[(unsigned char)m->text[symbol->offset + i]] < 0)
            return t->unknown >= 0 ? merge_ids_append(out, (uint32_t)t->unknown, fail) : append_replacement(t, out, fail);
    for (uint32_t i = 0; i < symbol->size; i++)
        if (merge_ids_append(out, (uint32_t)t->byte_ids[(unsigned char)m->text[symbol->offset + i]], fail))
            return -1;
    return 0;
}

static int append_symbol(const struct merger *m, const struct merge_symbol *symbol, struct merge_ids *out, struct fail *fail)
{
    return symbol->id != NONE ? merge_ids_append(out, symbol->id, fail) : append_bytes(m, symbol, out, fail);
}

/* The next symbol, and its pair with the one before. */
static void split_next(struct merger *m)
{
    const uint32_t at = m->at++, left = m->text_size - m->offset, length = symbol_size(m, m->offset);
    struct merge_symbol *symbol = &m->symbols[at];

    assert(left > 0);
    *symbol = (struct merge_symbol){.offset = m->offset, .size = length < left ? length : left, .after = at + 1};
    symbol->before = at > 0 ? at - 1 : NONE;
    symbol->id = id_or_none(m->tokenizer->is_bpe ? m->tokenizer->byte_ids[(unsigned char)m->text[m->offset]]
                                                 : tokenizer_find(m->tokenizer, m->text + m->offset, symbol->size));
    m->offset += symbol->size;
    consider(m, symbol->before, at);
    if (m->at < m->count)
        return;
    assert(m->offset == m->text_size);
    symbol->after = NONE;
    m->stage = MERGE_JOIN;
}

int merger_run(struct merger *merger, size_t *work, struct merge_ids *out, struct fail *fail)
{
    for (; merger->stage != MERGE_DONE; --*work) {
        if (*work == 0)
            return 0;
        switch (merger->stage) {
        case MERGE_SPLIT:
            split_next(merger);
            break;
        case MERGE_JOIN:
            if (merger->heap_count > 0) {
                join_best(merger);
            } else {
                merger->at = 0;
                merger->stage = MERGE_WRITE;
            }
            break;
        default:
            if (append_symbol(merger, &merger->symbols[merger->at], out, fail) < 0)
                return -1;
            merger->at = merger->symbols[merger->at].after;
            if (merger->at == NONE)
                merger->stage = MERGE_DONE;
        }
    }
    return 1;
}

void merger_release(struct merger *merger)
{
    free(merger->text);
    free(merger->symbols);
    free(merger->heap);
}
