/* The tokenizer on any vocabulary and any text.
 *
 * An input that begins with "GGUF" is a whole file, whose tokenizer must open or refuse it. Any other input describes pieces that are added
 * to the byte tokens, each as (size, type, score, text), then a zero, then the text; its decoded ids must be that text again. In turns,
 * and word by word where the vocabulary allows it, the ids must be the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_turns.h"
#include "node/tokenizer/chat_turns.h"
#include "node/tokenizer/tokenizer.h"
#include "tests/unit/gguf_writer.h"

enum { PIECES_MAX = 64, TEXT_MAX = 15, FIRST = 259 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *open_tokenizer(struct gguf *gguf)
{
    struct fail fail;
    struct tokenizer *t = gguf ? tokenizer_open(gguf, &fail) : NULL;

    gguf_close(gguf);
    return t;
}

/* Reads the description; returns how many bytes of the input it used. */
static size_t write_pieces(struct gguf_writer *w, const uint8_t *data, size_t size)
{
    const uint8_t *pieces[PIECES_MAX];
    uint32_t count = 0;
    size_t at = 0;
    char byte_text[8];

    while (count < PIECES_MAX && at + 3 <= size && (data[at] & TEXT_MAX) != 0 && at + 3 + (data[at] & TEXT_MAX) <= size) {
        pieces[count++] = data + at;
        at += 3 + (size_t)(data[at] & TEXT_MAX);
    }
    gguf_writer_array(w, "tokenizer.ggml.tokens", GGUF_STRING, FIRST + count);
    gguf_writer_text(w, "<unk>", 5);
    gguf_writer_text(w, "<s>", 3);
    gguf_writer_text(w, "</s>", 4);
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(byte_text, sizeof byte_text, "<0x%02X>", byte);
        gguf_writer_text(w, byte_text, 6);
    }
    for (uint32_t i = 0; i < count; i++)
        gguf_writer_text(w, (const char *)pieces[i] + 3, pieces[i][0] & TEXT_MAX);
    gguf_writer_array(w, "tokenizer.ggml.scores", GGUF_F32, FIRST + count);
    for (uint32_t i = 0; i < FIRST + count; i++)
        gguf_writer_float(w, i < FIRST ? 0 : (float)(int8_t)pieces[i - FIRST][2]);
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_U8, FIRST + count);
    for (uint32_t i = 0; i < FIRST + count; i++)
        gguf_writer_le(w, i == 0 ? 2 : i < 3 ? 3 : i < FIRST ? 6 : 1 + pieces[i - FIRST][1] % 5u, 1);
    return at < size ? at + 1 : at;
}

/* Both spellings of a space are the same after encoding. */
static size_t normalise(char *text, size_t size)
{
    size_t written = 0;

    for (size_t i = 0; i < size; written++) {
        bool mark = size - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;

        text[written] = mark ? ' ' : text[i];
        i += mark ? 3 : 1;
    }
    return written;
}

/* Turns, if the vocabulary comes with a form for them: those in the text, and the text as a question. With little work at a time, the ids
 * are the same. */
static void check_packed(const struct tokenizer *t, const char *packed, size_t size)
{
    struct tokenizer_encoding *encoding;
    size_t count, again_count;
    uint32_t *ids, *again;
    struct fail fail;

    if (tokenizer_check_turns(t, packed, size, &fail) < 0 || tokenizer_encode_chat(t, packed, size, &ids, &count, &fail) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        assert(ids[i] < tokenizer_count(t));
    encoding = tokenizer_encoding_open_chat(t, packed, size, &fail);
    assert(encoding);
    for (size_t work = 3; tokenizer_encoding_run(encoding, &work, &fail) == 0;)
        work = 3;
    tokenizer_encoding_take(encoding, &again, &again_count);
    tokenizer_encoding_close(encoding);
    assert(again_count == count && memcmp(again, ids, count * sizeof *ids) == 0);
    free(again);
    free(ids);
}

static void check_chat(const struct tokenizer *t, const char *text, size_t size)
{
    const struct chat_turn question = {.role = CHAT_USER, .text = text, .text_size = size};
    char *packed = malloc(CHAT_TURN_OVERHEAD + size);
    size_t packed_size = 0;

    assert(packed && chat_turns_put(packed, CHAT_TURN_OVERHEAD + size, &packed_size, &question));
    check_packed(t, packed, packed_size);
    check_packed(t, text, size);
    free(packed);
}

static void check_text(const struct tokenizer *t, const uint8_t *data, size_t size, bool comes_back)
{
    uint32_t *ids;
    size_t count, at = 0, expected_size;
    char *text, *expected;
    struct fail fail;

    if (tokenizer_encode(t, (const char *)data, size, true, &ids, &count, &fail))
        return;
    assert(count <= size * 4 + 5);
    check_turns(t, (const char *)data, size, ids, count);
    check_chat(t, (const char *)data, size);
    text = malloc(size * 4 + 16);
    expected = malloc(size + 1);
    assert(text && expected);
    for (size_t i = 0; i < count; i++) {
        size_t piece_size;
        const char *piece;

        assert(ids[i] < tokenizer_count(t));
        piece = tokenizer_piece(t, ids[i], &piece_size);
        if (comes_back) {
            assert(at + piece_size <= 3 * size); /* a space may come back as the bytes of U+2581 */
            memcpy(text + at, piece, piece_size);
            at += piece_size;
        }
    }
    if (comes_back) {
        if (size > 0)
            memcpy(expected, data, size);
        expected_size = normalise(expected, size);
        assert(normalise(text, at) == expected_size && memcmp(text, expected, expected_size) == 0);
    }
    free(expected);
    free(text);
    free(ids);
}

/* Forms with all that a form can have: spaces left out on either side, a system text before the first or the last question, BOS again. */
static const char *const templates[] = {
    "loop.last and system_message '[INST]' '[/INST]' trim + eos_token .split('</think>')[-1]",
    "<<SYS>> bos_token + '[INST] ' + content.strip() + ' [/INST]' + ' ' + eos_token .split('</think>')[-1].lstrip('\\n')"};

static void check_vocabulary(const uint8_t *data, size_t size, bool is_prefixed)
{
    struct gguf_writer w;
    struct fail fail;
    struct tokenizer *t;
    size_t used;

    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "llama");
    gguf_writer_string(&w, "tokenizer.chat_template", templates[is_prefixed]);
    gguf_writer_bool(&w, "tokenizer.ggml.add_space_prefix", is_prefixed);
    used = write_pieces(&w, data, size);
    t = open_tokenizer(gguf_writer_parse(&w, &fail));
    gguf_writer_release(&w);
    assert(t);
    check_text(t, data + used, size - used, !is_prefixed);
    tokenizer_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fail fail;
    struct tokenizer *t;

    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        t = open_tokenizer(gguf_parse("fuzz.gguf", data, size, &fail));
        if (t)
            check_text(t, data, size, false);
        tokenizer_close(t);
        return 0;
    }
    check_vocabulary(data, size, false);
    check_vocabulary(data, size, true);
    return 0;
}
