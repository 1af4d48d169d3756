/* Byte-level BPE with any merges and any text.
 *
 * The first byte of an input chooses the rule by which texts are cut. Pairs of bytes follow, each a merge of two pieces that are there
 * already, each so many places before the end of the list, up to a pair of zeros. With an odd first byte "ab" is user-defined.
 * The rest is the text. Decoded ids must be that text again, and in turns and word by word the ids must be the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_turns.h"
#include "node/tokenizer/tokenizer.h"
#include "node/tokenizer/tokenizer_words.h"
#include "tests/unit/gguf_writer.h"

enum { BYTES = 256, MERGES_MAX = 100, PIECE_MAX = 32 };

static const char *const names[] = {"llama-bpe", "qwen2",  "seed-coder",   "tekken",         "gpt-4o", "smollm",
                                    "gpt-2",     "falcon", "deepseek-llm", "deepseek-coder", "default"};

struct piece {
    char text[2 * PIECE_MAX]; /* as in the file */
    size_t size, bytes;
};

static struct piece pieces[BYTES + MERGES_MAX];
static uint8_t merges[MERGES_MAX][2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_bytes(void)
{
    unsigned others = 0x100;

    for (unsigned byte = 0; byte < BYTES; byte++) {
        const bool is_printable = (byte > ' ' && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        const unsigned character = is_printable ? byte : others++;

        pieces[byte] = (struct piece){.size = character < 0x80 ? 1 : 2, .bytes = 1};
        pieces[byte].text[0] = (char)(character < 0x80 ? character : 0xc0 | character >> 6);
        pieces[byte].text[1] = (char)(0x80 | (character & 0x3f));
    }
}

/* Reads the merges; returns how many bytes of the input they used. */
static size_t make_merges(const uint8_t *data, size_t size, uint32_t *count)
{
    size_t at = 0;

    for (*count = 0; at + 2 <= size && *count < MERGES_MAX && (data[at] | data[at + 1]) != 0; at += 2) {
        const struct piece *left = &pieces[*count + BYTES - 1 - data[at]], *right = &pieces[*count + BYTES - 1 - data[at + 1]];
        struct piece *made = &pieces[BYTES + *count];

        if (left->bytes + right->bytes > PIECE_MAX)
            continue;
        memcpy(made->text, left->text, left->size);
        memcpy(made->text + left->size, right->text, right->size);
        made->size = left->size + right->size;
        made->bytes = left->bytes + right->bytes;
        memcpy(merges[(*count)++], data + at, 2);
    }
    return at + 2 < size ? at + 2 : size;
}

static void write_file(struct gguf_writer *w, uint8_t rule, uint32_t count, bool has_user_defined)
{
    gguf_writer_init(w);
    gguf_writer_string(w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_string(w, "tokenizer.ggml.pre", names[rule % (sizeof names / sizeof names[0])]);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_writer_array(w, "tokenizer.ggml.tokens", GGUF_STRING, BYTES + count + has_user_defined);
    for (uint32_t i = 0; i < BYTES + count; i++)
        gguf_writer_text(w, pieces[i].text, pieces[i].size);
    if (has_user_defined)
        gguf_writer_text(w, "ab", 2);
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_U8, BYTES + count + has_user_defined);
    for (uint32_t i = 0; i < BYTES + count + has_user_defined; i++)
        gguf_writer_le(w, i < BYTES + count ? 1 : 4, 1);
    gguf_writer_array(w, "tokenizer.ggml.merges", GGUF_STRING, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct piece *left = &pieces[i + BYTES - 1 - merges[i][0]], *right = &pieces[i + BYTES - 1 - merges[i][1]];

        gguf_writer_le(w, left->size + 1 + right->size, 8);
        gguf_writer_bytes(w, left->text, left->size);
        gguf_writer_bytes(w, " ", 1);
        gguf_writer_bytes(w, right->text, right->size);
    }
}

static void check_text(const struct tokenizer *t, const char *text, size_t size)
{
    struct fail fail;
    struct tokenizer_words *words = tokenizer_words_open(t, &fail);
    const uint32_t *by_word;
    uint32_t *ids;
    size_t count, by_word_count, at = 0;
    const int result = tokenizer_encode(t, text, size, true, &ids, &count, &fail);

    assert(result == 0 && words);
    for (size_t i = 0; i < count; i++) {
        size_t piece_size;
        const char *piece = tokenizer_piece(t, ids[i], &piece_size);

        assert(piece_size > 0 && piece_size <= size - at && memcmp(text + at, piece, piece_size) == 0);
        at += piece_size;
    }
    assert(at == size);
    check_turns(t, text, size, ids, count);
    if (tokenizer_words_encode(words, text, size, &by_word, &by_word_count, &fail) == 0)
        assert(by_word_count == count && (count == 0 || memcmp(by_word, ids, count * sizeof *ids) == 0));
    tokenizer_words_close(words);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t;
    struct gguf_writer w;
    struct gguf *gguf;
    struct fail fail;
    uint32_t count;
    size_t used;

    if (size < 3)
        return 0;
    make_bytes();
    used = 1 + make_merges(data + 1, size - 1, &count);
    if (count == 0)
        return 0;
    write_file(&w, data[0] >> 1, count, data[0] & 1);
    gguf = gguf_writer_parse(&w, &fail);
    assert(gguf);
    t = tokenizer_open(gguf, &fail);
    assert(t);
    gguf_close(gguf);
    gguf_writer_release(&w);
    check_text(t, (const char *)data + used, size - used);
    tokenizer_close(t);
    return 0;
}
