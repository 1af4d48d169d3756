/* Gives a model a byte-level BPE vocabulary: for tests of models that have one.
 *
 * usage: bpe-model FROM TO    FROM: of mesh-node synth, with at least 322 tokens; TO: the same but for tokenizer.ggml.*
 *
 * Ids 0 to 255 are the bytes, then come <|begin_of_text|>, <|eot_id|> and pieces of a few words, each made of the one before it and a
 * letter. tokenizer.ggml.pre is llama-bpe, and the chat template that of Llama 2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/fail.h"
#include "node/gguf/gguf.h"
#include "node/gguf/gguf_write.h"

enum { BYTES = 256, BOS = BYTES, EOT, FIRST, PIECE_MAX = 16, PIECES_MAX = 64 };

static const char *const words[] = {" the", " upon", " once", "Once", " time", " said", "ing", " a"};

struct pieces {
    char text[PIECES_MAX][PIECE_MAX]; /* with a space as it is */
    uint32_t count;
};

/* A byte as the character that stands for it; returns its size. */
static size_t put_character(unsigned char byte, char *out)
{
    unsigned character = byte, others = 0;

    for (unsigned b = 0; b <= byte; b++) {
        const int stands_for_itself = (b > ' ' && b < 0x7f) || (b > 0xa0 && b != 0xad);

        if (b == byte && !stands_for_itself)
            character = 0x100 + others;
        others += !stands_for_itself;
    }
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    out[0] = (char)(0xc0 | character >> 6);
    out[1] = (char)(0x80 | (character & 0x3f));
    return 2;
}

static size_t put_text(const char *text, size_t size, char *out)
{
    size_t written = 0;

    for (size_t i = 0; i < size; i++)
        written += put_character((unsigned char)text[i], out + written);
    return written;
}

static void make_pieces(struct pieces *pieces)
{
    for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
        for (size_t size = 2; size <= strlen(words[w]); size++) {
            uint32_t i = 0;

            while (i < pieces->count && (strlen(pieces->text[i]) != size || memcmp(pieces->text[i], words[w], size) != 0))
                i++;
            if (i == pieces->count)
                memcpy(pieces->text[pieces->count++], words[w], size);
        }
}

static void write_vocabulary(struct gguf_write *writer, uint32_t count)
{
    struct pieces pieces = {.count = 0};
    char text[2 * PIECE_MAX + 2];

    make_pieces(&pieces);
    gguf_write_string(writer, "tokenizer.ggml.model", "gpt2");
    gguf_write_string(writer, "tokenizer.ggml.pre", "llama-bpe");
    gguf_write_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, count);
    for (uint32_t id = 0; id < count; id++) {
        const unsigned char byte = (unsigned char)id;

        if (id < BYTES)
            gguf_write_element_string(writer, text, put_character(byte, text));
        else if (id < FIRST)
            gguf_write_element_string(writer, id == BOS ? "<|begin_of_text|>" : "<|eot_id|>", id == BOS ? 17 : 10);
        else if (id - FIRST < pieces.count)
            gguf_write_element_string(writer, text, put_text(pieces.text[id - FIRST], strlen(pieces.text[id - FIRST]), text));
        else
            gguf_write_element_string(writer, text, (size_t)snprintf(text, sizeof text, "[PAD%u]", id));
    }
    gguf_write_array(writer, "tokenizer.ggml.token_type", GGUF_I32, count);
    for (uint32_t id = 0; id < count; id++)
        gguf_write_element_u32(writer, id == BOS || id == EOT ? 3 : id < FIRST + pieces.count ? 1 : 5);
    gguf_write_array(writer, "tokenizer.ggml.merges", GGUF_STRING, pieces.count);
    for (uint32_t i = 0; i < pieces.count; i++) {
        const size_t size = strlen(pieces.text[i]);
        size_t written = put_text(pieces.text[i], size - 1, text);

        text[written++] = ' ';
        written += put_text(pieces.text[i] + size - 1, 1, text + written);
        gguf_write_element_string(writer, text, written);
    }
    gguf_write_u32(writer, "tokenizer.ggml.bos_token_id", BOS);
    gguf_write_u32(writer, "tokenizer.ggml.eos_token_id", EOT);
    gguf_write_string(writer, "tokenizer.chat_template", "{{ '<<SYS>>' }}{{ '[INST] ' + content + ' [/INST]' }}");
}

static int write_file(const struct gguf *gguf, const struct gguf_write *writer, const char *path)
{
    static const uint8_t zeros[GGUF_WRITE_ALIGNMENT];
    FILE *file = fopen(path, "wb");

    if (file == NULL)
        return -1;
    fwrite(writer->bytes, 1, writer->size, file);
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);

        fwrite(tensor->data, 1, tensor->data_size, file);
        fwrite(zeros, 1, gguf_write_padding(writer, tensor->data_size), file);
    }
    return fclose(file);
}

int main(int argc, char **argv)
{
    struct gguf_write writer;
    struct fail fail;
    struct gguf *gguf = argc == 3 ? gguf_open(argv[1], &fail) : NULL;
    const struct gguf_value *tokens = gguf == NULL ? NULL : gguf_find(gguf, "tokenizer.ggml.tokens");

    if (tokens == NULL || tokens->count < FIRST + PIECES_MAX) {
        fputs("bpe-model: FROM TO: a model of mesh-node synth with at least 322 tokens, and a file to write\n", stderr);
        return EXIT_USAGE;
    }
    gguf_write_init(&writer);
    for (size_t i = 0; i < gguf_value_count(gguf); i++) {
        const struct gguf_value *value = gguf_value_at(gguf, i);

        if (value->key.size < 10 || memcmp(value->key.text, "tokenizer.", 10) != 0)
            gguf_write_value(&writer, value);
    }
    write_vocabulary(&writer, (uint32_t)tokens->count);
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);

        gguf_write_tensor_like(&writer, tensor, (enum tensor_type)tensor->type);
    }
    if (gguf_write_finish(&writer, &fail) < 0 || write_file(gguf, &writer, argv[2]) != 0) {
        fprintf(stderr, "bpe-model: %s: cannot be written\n", argv[2]);
        return EXIT_ENVIRONMENT;
    }
    gguf_write_release(&writer);
    gguf_close(gguf);
    return 0;
}
