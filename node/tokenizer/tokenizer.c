/* Text to ids: user-defined pieces are cut out of the raw text first; what lies between is merged (tokenizer_merge.c), word by word for
 * byte-level BPE. Without such pieces, and if no piece spans two words, tokenizer_encoding merges everything word by word. */
#include "tokenizer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_merge.h"
#include "tokenizer_turns.h"

struct tokenizer_encoding {
    const struct tokenizer *tokenizer;
    const char *text;
    size_t size;
    char *owned;                                  /* of a conversation: what `text` is then */
    bool is_chat;                                 /* a conversation */
    bool is_special, is_by_word, is_after_text;   /* is_after_text: else a space goes before the text */
    size_t at;                                    /* the next fragment */
    struct tokenizer_cursor words;                /* of the text (by word), or of the fragment that was begun (byte-level BPE) */
    struct tokenizer_fragment *fragments, *other; /* (fragment_room) */
    size_t fragment_count, fragment_room;         /* each is at least a byte, a piece found there, or a token of the form */
    uint32_t user_defined;                        /* how many have been searched for */
    struct merger merger;
    struct merge_ids out;
};

enum { COPIED_PER_WORK = 8, SEARCHED_PER_WORK = 256, FRAGMENTS_PER_WORK = 4 /* that cost as much as a symbol */ };

/* Cut every occurrence of one piece out of the fragments that are still text: from `from` to `to`, which has room for all. */
static size_t cut_piece(const struct piece *piece, uint32_t id, const char *text, const struct tokenizer_fragment *from, size_t count,
                        struct tokenizer_fragment *to)
{
    size_t written = 0;

    for (size_t i = 0; i < count; i++) {
        struct tokenizer_fragment rest = from[i];
        const char *found;

        while (rest.id < 0 && (found = memmem(text + rest.offset, rest.size, piece->text, piece->text_size))) {
            size_t ahead = (size_t)(found - (text + rest.offset));

            if (ahead > 0)
                to[written++] = (struct tokenizer_fragment){.offset = rest.offset, .size = ahead, .id = -1};
            to[written++] = (struct tokenizer_fragment){.id = id};
            rest.offset += ahead + piece->text_size;
            rest.size -= ahead + piece->text_size;
        }
        if (rest.id >= 0 || rest.size > 0)
            to[written++] = rest;
    }
    return written;
}

static void spend(size_t *work, size_t amount)
{
    *work -= amount < *work ? amount : *work;
}

/* Searches for the next user-defined piece, the longest first, and cuts it out. */
static int cut_next(struct tokenizer_encoding *e, size_t *work, struct fail *fail)
{
    const uint32_t id = e->tokenizer->user_defined[e->user_defined++];
    const struct piece *piece = &e->tokenizer->pieces[id];
    struct tokenizer_fragment *cut;

    spend(work, 1 + e->size / SEARCHED_PER_WORK);
    if ((e->is_chat && tokenizer_turns_is_form(&e->tokenizer->chat, id)) || !memmem(e->text, e->size, piece->text, piece->text_size))
        return 1;
    if (!e->other && !(e->other = malloc(e->fragment_room * sizeof *e->other)))
        return merge_fail_memory(fail);
    spend(work, e->fragment_count / FRAGMENTS_PER_WORK);
    e->fragment_count = cut_piece(piece, id, e->text, e->fragments, e->fragment_count, e->other);
    cut = e->other;
    e->other = e->fragments;
    e->fragments = cut;
    return 1;
}

struct tokenizer_cursor tokenizer_cursor_begin(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    return (struct tokenizer_cursor){.tokenizer = tokenizer, .cut = {.rule = tokenizer->rule, .text = text, .size = size}};
}

bool tokenizer_cursor_next(struct tokenizer_cursor *cursor, struct word *word)
{
    struct pretoken_cut *cut = &cursor->cut;
    const size_t start = cut->at;

    if (cut->rule == NULL)
        return word_next(cut->text, cut->size, cursor->tokenizer->add_space_prefix, &cut->at, word);
    if (!pretoken_next(cut))
        return false;
    *word = (struct word){.text = cut->text + start, .size = (uint32_t)(cut->at - start)};
    return true;
}

/* Appends the id of a word that is taken as a whole, or begins to merge it. */
static int merge_word(struct merger *merger, const struct word *word, struct merge_ids *out, struct fail *fail)
{
    const struct tokenizer *t = merger->tokenizer;
    const int64_t id = t->is_whole_first ? tokenizer_find(t, word->text, word->size) : -1;

    return id >= 0 ? merge_ids_append(out, (uint32_t)id, fail) : merger_begin(merger, word->text, word->size, word->is_spaced, fail);
}

static int begin_word(struct tokenizer_encoding *e, size_t *work, struct fail *fail)
{
    struct word word;

    if (!tokenizer_cursor_next(&e->words, &word))
        return 0;
    spend(work, e->tokenizer->is_bpe + word.size / COPIED_PER_WORK);
    return merge_word(&e->merger, &word, &e->out, fail) < 0 ? -1 : 1;
}

static int begin_fragment(struct tokenizer_encoding *e, size_t *work, struct fail *fail)
{
    const struct tokenizer_fragment *fragment = &e->fragments[e->at];
    const bool is_prefixed = e->tokenizer->add_space_prefix && !e->is_after_text;

    if (e->at == e->fragment_count)
        return 0;
    e->at++;
    e->is_after_text = fragment->id < 0;
    spend(work, 1 + fragment->size / COPIED_PER_WORK);
    if (fragment->id >= 0)
        return merge_ids_append(&e->out, (uint32_t)fragment->id, fail) < 0 ? -1 : 1;
    if (e->tokenizer->is_bpe) {
        e->words = tokenizer_cursor_begin(e->tokenizer, e->text + fragment->offset, fragment->size);
        return 1;
    }
    return merger_begin(&e->merger, e->text + fragment->offset, fragment->size, is_prefixed, fail) < 0 ? -1 : 1;
}

/* 1: there is more to do, 0: that was all, -1 with fail set. */
static int begin_next(struct tokenizer_encoding *e, size_t *work, struct fail *fail)
{
    if (e->is_by_word)
        return begin_word(e, work, fail);
    if (e->user_defined < e->tokenizer->user_defined_count && e->size > 0)
        return cut_next(e, work, fail);
    if (e->tokenizer->is_bpe) {
        const int result = begin_word(e, work, fail);

        if (result != 0)
            return result;
    }
    return begin_fragment(e, work, fail);
}

/* What stands before the text. */
static int begin(struct tokenizer_encoding *e, struct fail *fail)
{
    const struct tokenizer *t = e->tokenizer;

    e->merger.tokenizer = t;
    e->words = tokenizer_cursor_begin(t, e->text, e->is_by_word ? e->size : 0);
    e->out = (struct merge_ids){.room = 64, .ids = malloc(64 * sizeof *e->out.ids)};
    if (!e->out.ids)
        return merge_fail_memory(fail);
    if (!e->is_by_word && !e->is_chat) {
        e->fragment_room = e->size + 1;
        e->fragments = malloc(e->fragment_room * sizeof *e->fragments);
        if (!e->fragments)
            return merge_fail_memory(fail);
        e->fragments[0] = (struct tokenizer_fragment){.size = e->size, .id = -1};
        e->fragment_count = e->size > 0;
    }
    return e->is_special && t->add_bos && t->bos >= 0 ? merge_ids_append(&e->out, (uint32_t)t->bos, fail) : 0;
}

/* What stands after the text. */
static int end(struct tokenizer_encoding *e, struct fail *fail)
{
    const struct tokenizer *t = e->tokenizer;

    return e->is_special && !e->is_chat && t->add_eos && t->eos >= 0 ? merge_ids_append(&e->out, (uint32_t)t->eos, fail) : 0;
}

static int check_size(size_t size, struct fail *fail)
{
    if (size > TOKENIZER_TEXT_MAX)
        return fail_set(fail, EXIT_USAGE, "prompt: %zu bytes, at most %d are possible: give a shorter one", size, TOKENIZER_TEXT_MAX);
    return 0;
}

static struct tokenizer_encoding *open_encoding(const struct tokenizer_encoding *like, struct fail *fail)
{
    struct tokenizer_encoding *e;

    if (check_size(like->size, fail) < 0)
        return NULL;
    e = malloc(sizeof *e);
    if (!e) {
        merge_fail_memory(fail);
        return NULL;
    }
    *e = *like;
    if (begin(e, fail) < 0) {
        tokenizer_encoding_close(e);
        return NULL;
    }
    return e;
}

struct tokenizer_encoding *tokenizer_encoding_open(const struct tokenizer *tokenizer, const char *text, size_t text_size, bool special,
                                                   struct fail *fail)
{
    const struct tokenizer_encoding like = {
        .tokenizer = tokenizer, .text = text, .size = text_size, .is_special = special, .is_by_word = tokenizer->is_by_word};

    return open_encoding(&like, fail);
}

struct tokenizer_encoding *tokenizer_encoding_open_chat(const struct tokenizer *tokenizer, const char *packed, size_t size,
                                                        struct fail *fail)
{
    struct tokenizer_encoding like = {.tokenizer = tokenizer, .is_special = true, .is_chat = true}, *e;
    struct tokenizer_layout turns;

    if (check_size(size, fail) < 0 || tokenizer_turns_lay_out(tokenizer, packed, size, &turns, fail) < 0)
        return NULL;
    like.text = turns.text;
    like.size = turns.size;
    e = open_encoding(&like, fail);
    if (e == NULL) {
        free(turns.text);
        free(turns.fragments);
        return NULL;
    }
    e->owned = turns.text;
    e->fragments = turns.fragments;
    e->fragment_count = turns.count;
    e->fragment_room = turns.count + turns.size;
    return e;
}

int tokenizer_encoding_run(struct tokenizer_encoding *encoding, size_t *work, struct fail *fail)
{
    int result;

    do {
        result = merger_run(&encoding->merger, work, &encoding->out, fail);
        if (result <= 0)
            return result;
        if (*work == 0)
            return 0;
        result = begin_next(encoding, work, fail);
    } while (result > 0);
    if (result == 0)
        result = end(encoding, fail);
    return result < 0 ? -1 : 1;
}

void tokenizer_encoding_take(struct tokenizer_encoding *encoding, uint32_t **ids, size_t *count)
{
    *ids = encoding->out.ids;
    *count = encoding->out.count;
    encoding->out = (struct merge_ids){0};
}

void tokenizer_encoding_close(struct tokenizer_encoding *encoding)
{
    if (!encoding)
        return;
    merger_release(&encoding->merger);
    free(encoding->fragments);
    free(encoding->other);
    free(encoding->out.ids);
    free(encoding->owned);
    free(encoding);
}

/* Closes the encoding, which is NULL with fail set if it could not be opened. */
static int encode_all(struct tokenizer_encoding *encoding, uint32_t **ids, size_t *count, struct fail *fail)
{
    size_t work = SIZE_MAX;
    int result;

    if (!encoding)
        return -1;
    result = tokenizer_encoding_run(encoding, &work, fail);
    assert(result != 0);
    if (result > 0)
        tokenizer_encoding_take(encoding, ids, count);
    tokenizer_encoding_close(encoding);
    return result > 0 ? 0 : -1;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t text_size, bool special, uint32_t **ids, size_t *count,
                     struct fail *fail)
{
    const struct tokenizer_encoding like = {.tokenizer = tokenizer, .text = text, .size = text_size, .is_special = special};

    return encode_all(open_encoding(&like, fail), ids, count, fail);
}

int tokenizer_encode_chat(const struct tokenizer *tokenizer, const char *packed, size_t size, uint32_t **ids, size_t *count,
                          struct fail *fail)
{
    return encode_all(tokenizer_encoding_open_chat(tokenizer, packed, size, fail), ids, count, fail);
}

int tokenizer_encode_word(const struct tokenizer *tokenizer, const struct word *word, uint32_t **ids, size_t *count, struct fail *fail)
{
    struct merger merger = {.tokenizer = tokenizer};
    struct merge_ids list = {0};
    size_t work = SIZE_MAX;
    int result;

    if (word->size > TOKENIZER_TEXT_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "text: a word has %u bytes: at most %d are possible: give a text that has spaces", word->size,
                        TOKENIZER_TEXT_MAX);
    result = merge_word(&merger, word, &list, fail);
    if (result == 0)
        result = merger_run(&merger, &work, &list, fail);
    merger_release(&merger);
    if (result < 0) {
        free(list.ids);
        return fail_set(fail, EXIT_ENVIRONMENT, "text: out of memory for a word of %u bytes: close other programs", word->size);
    }
    *ids = list.ids;
    *count = list.count;
    return 0;
}

size_t tokenizer_ids_min(const struct tokenizer *tokenizer, size_t text_size)
{
    const size_t longest = tokenizer->text_size_max > 4 ? tokenizer->text_size_max : 4; /* a character without byte tokens has 4 */

    return (text_size + longest - 1) / longest;
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
    for (uint32_t i = 0; i < tokenizer->end_count; i++)
        if (id == tokenizer->ends[i])
            return true;
    return id == tokenizer->eos || id == tokenizer->eot || id == tokenizer->eom;
}

bool tokenizer_puts_space(const struct tokenizer *tokenizer)
{
    return tokenizer->add_space_prefix;
}

const char *tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id, size_t *size)
{
    assert(id < tokenizer->count);
    *size = tokenizer->pieces[id].shown_size;
    return tokenizer->pieces[id].shown;
}
