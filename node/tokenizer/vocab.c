#include "vocab.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/synth_number.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_BYTE = 6, NAME_MAX_SIZE = 8 };

static const char *const space_mark = "\xe2\x96\x81";

/* The name of a token that is not text; returns its size. */
static size_t special_name(uint32_t id, char out[NAME_MAX_SIZE])
{
    static const char *const names[VOCAB_BYTES] = {"<unk>", "<s>", "</s>"};

    if (id < VOCAB_BYTES)
        return (size_t)snprintf(out, NAME_MAX_SIZE, "%s", names[id]);
    return (size_t)snprintf(out, NAME_MAX_SIZE, "<0x%02X>", (unsigned char)(id - VOCAB_BYTES));
}

bool vocab_is_reserved(const char *text, size_t size)
{
    char name[NAME_MAX_SIZE];

    if (size == 0 || text[0] != '<' || text[size - 1] != '>')
        return false;
    for (uint32_t id = 0; id < VOCAB_TEXT; id++)
        if (special_name(id, name) == size && memcmp(name, text, size) == 0)
            return true;
    return false;
}

static uint32_t special_type(uint32_t id)
{
    return id == VOCAB_UNKNOWN ? TYPE_UNKNOWN : id < VOCAB_BYTES ? TYPE_CONTROL : TYPE_BYTE;
}

static void add_special(struct vocab *vocab)
{
    struct vocab_piece *piece = &vocab->pieces[vocab->count];
    char name[NAME_MAX_SIZE];

    *piece = (struct vocab_piece){.size = (uint32_t)special_name(vocab->count, name), .type = special_type(vocab->count)};
    memcpy(piece->text, name, piece->size);
    vocab->count++;
}

uint32_t vocab_add(struct vocab *vocab, const char *text, size_t size)
{
    const uint32_t id = vocab->count;
    struct vocab_piece *piece = &vocab->pieces[id];

    assert(id < vocab->room && size > 0 && size <= VOCAB_PIECE_SIZE_MAX && !vocab_is_reserved(text, size));
    *piece = (struct vocab_piece){
        .size = (uint32_t)size, .score_bits = id == VOCAB_TEXT ? 0 : synth_number_f32(true, id - VOCAB_TEXT, 0), .type = TYPE_NORMAL};
    memcpy(piece->text, text, size);
    vocab->count++;
    return id;
}

int vocab_init(struct vocab *vocab, uint32_t room, struct fail *fail)
{
    assert(room >= VOCAB_MIN && room <= VOCAB_MAX);
    *vocab = (struct vocab){.room = room, .pieces = malloc(room * sizeof *vocab->pieces)};
    if (vocab->pieces == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "vocabulary: out of memory for %u tokens: close other programs", room);
    while (vocab->count < VOCAB_TEXT)
        add_special(vocab);
    vocab_add(vocab, space_mark, strlen(space_mark));
    vocab_add(vocab, "\n", 1);
    vocab_add(vocab, "\n\n", 2);
    return 0;
}

void vocab_release(struct vocab *vocab)
{
    free(vocab->pieces);
    *vocab = (struct vocab){0};
}

void vocab_write(const struct vocab *vocab, struct gguf_write *writer)
{
    gguf_write_string(writer, "tokenizer.ggml.model", "llama");
    gguf_write_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, vocab->count);
    for (uint32_t id = 0; id < vocab->count; id++)
        gguf_write_element_string(writer, vocab->pieces[id].text, vocab->pieces[id].size);
    gguf_write_array(writer, "tokenizer.ggml.scores", GGUF_F32, vocab->count);
    for (uint32_t id = 0; id < vocab->count; id++)
        gguf_write_element_u32(writer, vocab->pieces[id].score_bits);
    gguf_write_array(writer, "tokenizer.ggml.token_type", GGUF_I32, vocab->count);
    for (uint32_t id = 0; id < vocab->count; id++)
        gguf_write_element_u32(writer, vocab->pieces[id].type);
    gguf_write_u32(writer, "tokenizer.ggml.bos_token_id", VOCAB_BOS);
    gguf_write_u32(writer, "tokenizer.ggml.eos_token_id", VOCAB_EOS);
    gguf_write_u32(writer, "tokenizer.ggml.unknown_token_id", VOCAB_UNKNOWN);
    gguf_write_bool(writer, "tokenizer.ggml.add_bos_token", true);
    gguf_write_bool(writer, "tokenizer.ggml.add_eos_token", false);
    gguf_write_bool(writer, "tokenizer.ggml.add_space_prefix", true);
}

struct tokenizer *vocab_tokenizer(const struct vocab *vocab, struct fail *fail)
{
    struct gguf_write writer;
    struct gguf *gguf = NULL;
    struct tokenizer *tokenizer = NULL;

    gguf_write_init(&writer);
    vocab_write(vocab, &writer);
    if (gguf_write_finish(&writer, fail) == 0)
        gguf = gguf_parse("vocabulary", writer.bytes, writer.size, fail);
    if (gguf != NULL)
        tokenizer = tokenizer_open(gguf, fail);
    gguf_close(gguf);
    gguf_write_release(&writer);
    return tokenizer;
}
