#include "corpus.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/tokenizer/documents.h"
#include "node/tokenizer/tokenizer_words.h"

enum { MARK_COUNT = 2, HELD_OUT_STREAM = 0x68656c64 /* apart from other uses of the same seed */ };

struct builder {
    struct corpus *corpus;
    uint32_t bos, eos;
    size_t id_room;
    uint32_t document_room; /* starts has one more */
};

static int fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "text: out of memory for its tokens: give a shorter one");
}

static bool make_room(struct builder *builder, size_t id_count)
{
    struct corpus *corpus = builder->corpus;

    if (id_count > builder->id_room - corpus->token_count) {
        const size_t room = 2 * builder->id_room + id_count + 1024;
        uint32_t *ids = realloc(corpus->ids, room * sizeof *ids);

        if (ids == NULL)
            return false;
        corpus->ids = ids;
        builder->id_room = room;
    }
    if (corpus->document_count == builder->document_room) {
        const uint32_t room = 2 * builder->document_room + 64;
        size_t *starts = realloc(corpus->starts, (room + (size_t)1) * sizeof *starts);

        if (starts == NULL)
            return false;
        corpus->starts = starts;
        builder->document_room = room;
    }
    return true;
}

static int append_document(struct builder *builder, const uint32_t *ids, size_t count, struct fail *fail)
{
    struct corpus *corpus = builder->corpus;

    if (!make_room(builder, count + MARK_COUNT))
        return fail_memory(fail);
    corpus->starts[corpus->document_count++] = corpus->token_count;
    corpus->ids[corpus->token_count] = builder->bos;
    memcpy(corpus->ids + corpus->token_count + 1, ids, count * sizeof *ids);
    corpus->ids[corpus->token_count + 1 + count] = builder->eos;
    corpus->token_count += count + MARK_COUNT;
    corpus->starts[corpus->document_count] = corpus->token_count;
    return 0;
}

static int append_documents(struct builder *builder, const struct documents *documents, struct tokenizer_words *words, struct fail *fail)
{
    struct document document;
    size_t at = 0;

    while (documents_next(documents, &at, &document)) {
        const uint32_t *ids;
        size_t count;

        if (tokenizer_words_encode(words, document.text, document.size, &ids, &count, fail) < 0 ||
            append_document(builder, ids, count, fail) < 0)
            return -1;
    }
    return 0;
}

/* ---- what is held out ---- */

/* The last tokens of the only document become one of their own: its BOS and the first one's EOS go between. */
static int divide(struct builder *builder, uint32_t held_out_permille, struct fail *fail)
{
    struct corpus *corpus = builder->corpus;
    const size_t text_count = corpus->token_count - MARK_COUNT;
    const size_t share = (size_t)((uint64_t)text_count * held_out_permille / 1000);
    const size_t held_count = share > 0 ? share : 1;

    if (text_count < 2)
        return 0;
    if (!make_room(builder, MARK_COUNT))
        return fail_memory(fail);

    const size_t cut = corpus->token_count - 1 - held_count;

    memmove(corpus->ids + cut + MARK_COUNT, corpus->ids + cut, (held_count + 1) * sizeof *corpus->ids);
    corpus->ids[cut] = builder->eos;
    corpus->ids[cut + 1] = builder->bos;
    corpus->token_count += MARK_COUNT;
    corpus->document_count = 2;
    corpus->starts[1] = cut + 1;
    corpus->starts[2] = corpus->token_count;
    return 0;
}

/* The lowest draw is held out and the highest is not, whatever the share, unless the share is 0. */
static void draw(struct corpus *corpus, uint64_t seed, uint32_t held_out_permille)
{
    uint64_t lowest = UINT64_MAX, highest = 0;
    uint32_t lowest_document = 0, highest_document = 0;

    for (uint32_t i = 0; i < corpus->document_count; i++) {
        const uint64_t drawn = hash_words3(seed, HELD_OUT_STREAM, i);

        corpus->held_out[i] = (drawn >> 32) * 1000 >> 32 < held_out_permille;
        if (drawn < lowest) {
            lowest = drawn;
            lowest_document = i;
        }
        if (drawn >= highest) {
            highest = drawn;
            highest_document = i;
        }
    }
    corpus->held_out[lowest_document] = true;
    corpus->held_out[highest_document] = false;
}

static int split(struct builder *builder, uint64_t seed, uint32_t held_out_permille, struct fail *fail)
{
    struct corpus *corpus = builder->corpus;
    const bool is_single = corpus->document_count == 1;

    if (is_single && held_out_permille > 0 && divide(builder, held_out_permille, fail) < 0)
        return -1;
    corpus->held_out = calloc(corpus->document_count, sizeof *corpus->held_out);
    if (corpus->held_out == NULL)
        return fail_memory(fail);
    if (!is_single && held_out_permille > 0)
        draw(corpus, seed, held_out_permille);
    else if (corpus->document_count == 2)
        corpus->held_out[1] = true;
    for (uint32_t i = 0; i < corpus->document_count; i++) {
        if (!corpus->held_out[i])
            continue;
        corpus->held_out_document_count++;
        corpus->held_out_token_count += corpus->starts[i + 1] - corpus->starts[i];
    }
    return 0;
}

static int encode(struct builder *builder, const struct tokenizer *tokenizer, const char *text, size_t text_size, struct fail *fail)
{
    struct documents documents;
    struct tokenizer_words *words;
    int result = -1;

    if (documents_init(&documents, text, text_size, fail) < 0)
        return -1;
    words = tokenizer_words_open(tokenizer, fail);
    if (words != NULL)
        result = append_documents(builder, &documents, words, fail);
    tokenizer_words_close(words);
    documents_release(&documents);
    return result;
}

int corpus_init(struct corpus *corpus, const struct tokenizer *tokenizer, const char *text, size_t text_size, uint64_t seed,
                uint32_t held_out_permille, struct fail *fail)
{
    const int64_t bos = tokenizer_bos(tokenizer), eos = tokenizer_eos(tokenizer);
    struct builder builder = {.corpus = corpus, .bos = (uint32_t)bos, .eos = (uint32_t)eos};

    assert(held_out_permille <= 999);
    *corpus = (struct corpus){0};
    if (bos < 0 || eos < 0)
        return fail_set(fail, EXIT_BAD_FILE, "tokenizer: has no token for the %s of a text: give a model whose vocabulary has one",
                        bos < 0 ? "beginning" : "end");
    if (encode(&builder, tokenizer, text, text_size, fail) < 0 || split(&builder, seed, held_out_permille, fail) < 0) {
        corpus_release(corpus);
        return -1;
    }
    return 0;
}

void corpus_release(struct corpus *corpus)
{
    free(corpus->ids);
    free(corpus->starts);
    free(corpus->held_out);
    *corpus = (struct corpus){0};
}

bool corpus_is_held_out(const struct corpus *corpus, uint32_t document)
{
    assert(document < corpus->document_count);
    return corpus->held_out[document];
}
