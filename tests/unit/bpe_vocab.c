#include "bpe_vocab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

size_t bpe_vocab_character(unsigned char byte, char out[BPE_BYTE_CHARACTERS])
{
    unsigned character = byte, others = 0;

    for (unsigned b = 0; b <= byte; b++) {
        const bool is_printable = (b > ' ' && b < 0x7f) || (b > 0xa0 && b != 0xad);

        if (b == byte && !is_printable)
            character = 0x100 + others;
        others += !is_printable;
    }
    memset(out, 0, BPE_BYTE_CHARACTERS);
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    out[0] = (char)(0xc0 | character >> 6);
    out[1] = (char)(0x80 | (character & 0x3f));
    return 2;
}

static void write_tokens(struct gguf_writer *w, const struct bpe_vocab *v)
{
    uint32_t count = BPE_FIRST;
    char text[BPE_BYTE_CHARACTERS];

    while (v->extra[count - BPE_FIRST].text != NULL)
        count++;
    gguf_writer_array(w, "tokenizer.ggml.tokens", GGUF_STRING, count);
    for (unsigned byte = 0; byte < BPE_FIRST; byte++)
        gguf_writer_text(w, text, bpe_vocab_character((unsigned char)byte, text));
    for (uint32_t i = BPE_FIRST; i < count; i++)
        gguf_writer_text(w, v->extra[i - BPE_FIRST].text, strlen(v->extra[i - BPE_FIRST].text));
    if (v->no_types)
        return;
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, count);
    for (uint32_t i = 0; i < count; i++)
        gguf_writer_le(w,
                       (uint32_t)(i >= BPE_FIRST                                      ? v->extra[i - BPE_FIRST].type
                                  : v->missing_byte && i == (uint32_t)v->missing_byte ? BPE_CONTROL
                                                                                      : BPE_NORMAL),
                       4);
}

static void write_merges(struct gguf_writer *w, const struct bpe_vocab *v)
{
    uint32_t count = 0;

    if (v->no_merges)
        return;
    if (v->merges_of_numbers) {
        gguf_writer_array(w, "tokenizer.ggml.merges", GGUF_U8, 1);
        gguf_writer_le(w, 1, 1);
        return;
    }
    while (v->merges[count] != NULL)
        count++;
    gguf_writer_array(w, "tokenizer.ggml.merges", GGUF_STRING, count);
    for (uint32_t i = 0; i < count; i++)
        gguf_writer_text(w, v->merges[i], strlen(v->merges[i]));
}

struct tokenizer *bpe_vocab_try_open(const struct bpe_vocab *v, struct fail *fail)
{
    struct gguf_writer w;
    struct tokenizer *t;
    struct gguf *gguf;

    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "gpt2");
    if (v->pre != NULL)
        gguf_writer_string(&w, "tokenizer.ggml.pre", v->pre);
    write_tokens(&w, v);
    write_merges(&w, v);
    if (v->flag != NULL)
        gguf_writer_bool(&w, v->flag, v->flag_value);
    if (v->chat != NULL)
        gguf_writer_string(&w, "tokenizer.chat_template", v->chat);
    for (size_t i = 0; i < 2; i++)
        if (v->id_key[i] != NULL)
            gguf_writer_u32(&w, v->id_key[i], v->id_value[i]);
    gguf = gguf_writer_parse(&w, fail);
    assert_non_null(gguf);
    t = tokenizer_open(gguf, fail);
    gguf_close(gguf);
    memset(w.data, 0xee, w.size); /* the tokenizer must have copied what it needs */
    gguf_writer_release(&w);
    return t;
}

struct tokenizer *bpe_vocab_open(const struct bpe_vocab *v)
{
    struct fail fail;
    struct tokenizer *t = bpe_vocab_try_open(v, &fail);

    if (t == NULL)
        fail_msg("%s", fail.text);
    return t;
}
