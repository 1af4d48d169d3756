#include "vocab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf_writer.h"

static void write_arrays(struct gguf_writer *w, const struct vocab *v)
{
    uint32_t count = FIRST;
    char text[8];

    while (v->extra[count - FIRST].text)
        count++;
    gguf_writer_array(w, "tokenizer.ggml.tokens", GGUF_STRING, count);
    gguf_writer_text(w, "<unk>", 5);
    gguf_writer_text(w, "<s>", 3);
    gguf_writer_text(w, "</s>", 4);
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", v->byte_missing && byte == 0xe4 ? 0 : byte);
        gguf_writer_text(w, text, 6);
    }
    for (uint32_t i = FIRST; i < count; i++)
        gguf_writer_text(w, v->extra[i - FIRST].text, strlen(v->extra[i - FIRST].text));
    if (!v->no_scores) {
        gguf_writer_array(w, "tokenizer.ggml.scores", GGUF_F32, count - v->scores_missing);
        for (uint32_t i = 0; i < count - v->scores_missing; i++)
            gguf_writer_float(w, i < FIRST ? 0 : v->extra[i - FIRST].score);
    }
    if (!v->no_types) {
        gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, count - v->types_missing);
        for (uint32_t i = 0; i < count - v->types_missing; i++)
            gguf_writer_le(w, (uint32_t)(i == UNKNOWN ? 2 : i < BYTES ? CONTROL : i < FIRST ? 6 : v->extra[i - FIRST].type), 4);
    }
}

struct tokenizer *vocab_try_open(const struct vocab *v, struct fail *fail)
{
    struct gguf_writer w;
    struct gguf *gguf;
    struct tokenizer *t;

    gguf_writer_init(&w);
    if (v->model)
        gguf_writer_string(&w, "tokenizer.ggml.model", v->model);
    write_arrays(&w, v);
    if (!v->no_unknown)
        gguf_writer_u32(&w, "tokenizer.ggml.unknown_token_id", UNKNOWN);
    else
        gguf_writer_u32(&w, "tokenizer.ggml.unknown_token_id", UINT32_MAX);
    if (!v->no_bos_key)
        gguf_writer_u32(&w, "tokenizer.ggml.bos_token_id", BOS);
    gguf_writer_u32(&w, "tokenizer.ggml.eos_token_id", EOS);
    if (v->flag)
        gguf_writer_bool(&w, v->flag, v->flag_value);
    if (v->chat != NULL)
        gguf_writer_string(&w, "tokenizer.chat_template", v->chat);
    if (v->id_key)
        gguf_writer_u32(&w, v->id_key, v->id_value);
    gguf = gguf_writer_parse(&w, fail);
    assert_non_null(gguf);
    t = v->rows > 0 ? tokenizer_open_for(gguf, v->rows, fail) : tokenizer_open(gguf, fail);
    gguf_close(gguf);
    memset(w.data, 0xee, w.size); /* the tokenizer must have copied what it needs */
    gguf_writer_release(&w);
    return t;
}

struct tokenizer *vocab_open(const struct vocab *v)
{
    struct fail fail;
    struct tokenizer *t = vocab_try_open(v, &fail);

    if (!t)
        fail_msg("%s", fail.text);
    return t;
}

size_t vocab_encodes_in_turns(const struct tokenizer *t, const char *text, size_t size, bool special, size_t work, const uint32_t *expected,
                              size_t expected_count)
{
    struct fail fail;
    struct tokenizer_encoding *encoding = tokenizer_encoding_open(t, text, size, special, &fail);
    size_t turns = 0, count, left;
    uint32_t *ids;
    int result;

    assert_non_null(encoding);
    do {
        left = work;
        result = tokenizer_encoding_run(encoding, &left, &fail);
        assert_in_range(result, 0, 1);
        assert_in_range(left, 0, work);
        assert_true(result == 1 || left == 0);
        turns++;
    } while (result == 0);
    tokenizer_encoding_take(encoding, &ids, &count);
    tokenizer_encoding_close(encoding);
    assert_int_equal(count, expected_count);
    if (count > 0)
        assert_memory_equal(ids, expected, count * sizeof *ids);
    free(ids);
    return turns;
}

void vocab_encodes(const struct tokenizer *t, const char *text, size_t size, bool special, const int64_t *expected)
{
    uint32_t *ids;
    size_t count;
    struct fail fail;

    assert_int_equal(tokenizer_encode(t, text, size, special, &ids, &count, &fail), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids[i], expected[i]);
    assert_int_equal(expected[count], -1);
    for (size_t work = 1; work < 200; work = 5 * work + 1)
        vocab_encodes_in_turns(t, text, size, special, work, ids, count);
    free(ids);
}
