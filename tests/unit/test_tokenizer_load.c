/* Reading a vocabulary: what the keys mean, and every refusal with its message. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf_writer.h"
#include "vocab.h"

static void refuses(const struct vocab *v, const char *message)
{
    struct fail fail;

    assert_null(vocab_try_open(v, &fail));
    assert_string_equal(fail.text, message);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
}

static void ends_are_what_the_file_names(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){"<turn>", 0, CONTROL};
    v.id_key = "tokenizer.ggml.eot_token_id";
    v.id_value = FIRST;
    t = vocab_open(&v);
    assert_true(tokenizer_is_end(t, EOS));
    assert_true(tokenizer_is_end(t, FIRST));
    assert_false(tokenizer_is_end(t, BOS));
    tokenizer_close(t);
    v.id_key = "tokenizer.ggml.eom_token_id";
    t = vocab_open(&v);
    assert_true(tokenizer_is_end(t, FIRST));
    tokenizer_close(t);
    v.id_value = UINT32_MAX; /* how converters write "none" */
    t = vocab_open(&v);
    assert_false(tokenizer_is_end(t, FIRST));
    tokenizer_close(t);
}

static void assert_shown(const struct tokenizer *t, uint32_t id, const char *expected, size_t expected_size)
{
    size_t size;
    const char *piece = tokenizer_piece(t, id, &size);

    assert_int_equal(size, expected_size);
    assert_memory_equal(piece, expected, size);
}

static void pieces_are_shown_as_text(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.extra[0] = (struct vocab_entry){SPACE SPACE "a" SPACE, 0, NORMAL};
    v.extra[1] = (struct vocab_entry){"<|im_end|>", 0, CONTROL};
    v.extra[2] = (struct vocab_entry){"", 0, NORMAL};
    v.extra[3] = (struct vocab_entry){"\xe2\x96", 0, NORMAL};
    t = vocab_open(&v);
    assert_int_equal(tokenizer_count(t), FIRST + 4);
    assert_shown(t, FIRST, "  a ", 4);
    assert_shown(t, FIRST + 1, "", 0);
    assert_shown(t, FIRST + 2, "", 0);
    assert_shown(t, FIRST + 3, "\xe2\x96", 2);
    assert_shown(t, BOS, "", 0);
    assert_shown(t, UNKNOWN, "", 0);
    assert_shown(t, BYTES, "\0", 1);
    assert_shown(t, BYTES + 0xff, "\xff", 1);
    tokenizer_close(t);
}

static void without_types_bytes_and_ids_are_known_by_other_keys(void **state)
{
    struct vocab v = {.model = "llama"};
    struct tokenizer *t;

    (void)state;
    v.no_types = true;
    v.extra[0] = (struct vocab_entry){SPACE, 0, NORMAL};
    t = vocab_open(&v);
    ENCODES(t, "a", true, BOS, FIRST, BYTES + 'a');
    assert_shown(t, BOS, "", 0);
    assert_shown(t, EOS, "", 0);
    assert_shown(t, UNKNOWN, "", 0);
    tokenizer_close(t);
}

static void a_vocabulary_has_no_more_tokens_than_the_model_has_rows(void **state)
{
    struct vocab v = {.model = "llama", .rows = FIRST + 1};

    (void)state;
    v.extra[0] = (struct vocab_entry){SPACE, 0, NORMAL};
    tokenizer_close(vocab_open(&v));
    v.rows++; /* some models have more */
    tokenizer_close(vocab_open(&v));
    v.rows = FIRST;
    refuses(&v, "test.gguf: the tokenizer has 260 tokens, the model 259: convert the file again");
    v.model = "gpt-2";
    refuses(&v, "test.gguf: tokenizer.ggml.model is 'gpt-2', which is not supported: "
                "give a model whose tokenizer is 'llama' (SentencePiece) or 'gpt2' (byte-level BPE)");
}

static void a_bad_vocabulary_is_refused_naming_the_key(void **state)
{
    struct vocab v = {.model = "llama"};

    (void)state;
    v.model = NULL;
    refuses(&v, "test.gguf: tokenizer.ggml.model is missing: the file has no vocabulary: give a complete model");
    v.model = "gpt-2";
    refuses(&v, "test.gguf: tokenizer.ggml.model is 'gpt-2', which is not supported: "
                "give a model whose tokenizer is 'llama' (SentencePiece) or 'gpt2' (byte-level BPE)");
    v.model = "\033[2J";
    refuses(&v, "test.gguf: tokenizer.ggml.model is '?[2J', which is not supported: "
                "give a model whose tokenizer is 'llama' (SentencePiece) or 'gpt2' (byte-level BPE)");
    v.model = "bert";
    refuses(&v, "test.gguf: tokenizer.ggml.model is 'bert', which is not supported: "
                "give a model whose tokenizer is 'llama' (SentencePiece) or 'gpt2' (byte-level BPE)");
    v = (struct vocab){.model = "llama"};
    v.scores_missing = 1;
    refuses(&v, "test.gguf: tokenizer.ggml.scores has 258 entries for 259 tokens: get another copy of the model");
    v.scores_missing = 0;
    v.no_scores = true;
    refuses(&v, "test.gguf: tokenizer.ggml.scores is missing: give a complete model");
    v = (struct vocab){.model = "llama"};
    v.types_missing = 2;
    refuses(&v, "test.gguf: tokenizer.ggml.token_type has 257 entries for 259 tokens: get another copy of the model");
    v = (struct vocab){.model = "llama"};
    v.extra[0] = (struct vocab_entry){"a", NAN, NORMAL};
    refuses(&v, "test.gguf: tokenizer.ggml.scores: entry 259 is not a finite number: get another copy of the model");
    v.extra[0] = (struct vocab_entry){"a", 0, 7};
    refuses(&v, "test.gguf: tokenizer.ggml.token_type: entry 259 is 7, 1 to 6 are known: get another copy of the model");
    v.extra[0] = (struct vocab_entry){"<0xZZ>", 0, 6};
    refuses(&v, "test.gguf: tokenizer.ggml.token_type: entry 259 says byte, but the token is '<0xZZ>', not <0x00> to <0xFF>: "
                "get another copy of the model");
    v.extra[0] = (struct vocab_entry){"\033[2J\x9a", 0, 6};
    refuses(&v, "test.gguf: tokenizer.ggml.token_type: entry 259 says byte, but the token is '?[2J?', not <0x00> to <0xFF>: "
                "get another copy of the model");
    v = (struct vocab){.model = "llama"};
    v.id_key = "tokenizer.ggml.eot_token_id";
    v.id_value = 259;
    refuses(&v, "test.gguf: tokenizer.ggml.eot_token_id is 259, but there are only 259 tokens: get another copy of the model");
    v = (struct vocab){.model = "llama"};
    v.no_bos_key = true;
    v.no_types = true;
    v.flag = "tokenizer.ggml.add_bos_token";
    v.flag_value = true;
    refuses(&v,
            "test.gguf: tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing: get another copy of the model");
    v = (struct vocab){.model = "llama"};
    v.byte_missing = true;
    v.no_unknown = true;
    refuses(&v,
            "test.gguf: tokenizer.ggml.tokens: 1 of the 256 byte tokens are missing (the first is <0xE4>) and there is no unknown token: "
            "some text could not be encoded: get another copy of the model");
}

/* A file with only the two keys under test. */
static void refuses_tokens_of(enum gguf_value_type type, uint64_t count, const char *message)
{
    struct gguf_writer w;
    struct gguf *gguf;
    struct fail fail;

    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "llama");
    if (type == GGUF_U32)
        gguf_writer_u32(&w, "tokenizer.ggml.tokens", 5);
    else
        gguf_writer_array(&w, "tokenizer.ggml.tokens", type, count);
    if (type == GGUF_F32)
        gguf_writer_float(&w, 1);
    gguf = gguf_writer_parse(&w, &fail);
    assert_non_null(gguf);
    assert_null(tokenizer_open(gguf, &fail));
    assert_string_equal(fail.text, message);
    gguf_close(gguf);
    gguf_writer_release(&w);
}

static void tokens_of_the_wrong_type_are_refused(void **state)
{
    (void)state;
    refuses_tokens_of(GGUF_U32, 0, "test.gguf: tokenizer.ggml.tokens is not an array: get another copy of the model");
    refuses_tokens_of(GGUF_STRING, 0,
                      "test.gguf: tokenizer.ggml.tokens has 0 entries, 1 to 16777216 are possible: get another copy of the model");
    refuses_tokens_of(GGUF_F32, 1,
                      "test.gguf: tokenizer.ggml.tokens has elements of the wrong type, expected string: get another copy of the model");
}

/* A model is mapped into memory, where another process may change it between parsing and reading the vocabulary. */
static void a_file_overwritten_since_it_was_parsed_is_refused(void **state)
{
    static const uint64_t lengths[] = {1, 7, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct gguf_writer w;
        struct gguf *gguf;
        struct fail fail;

        gguf_writer_init(&w);
        gguf_writer_string(&w, "tokenizer.ggml.model", "llama");
        gguf_writer_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 2);
        gguf_writer_text(&w, "ab", 2);
        gguf_writer_text(&w, "cd", 2);
        gguf = gguf_writer_parse(&w, &fail);
        assert_non_null(gguf);
        for (size_t b = 0; b < 8; b++)
            w.data[w.size - 20 + b] = (uint8_t)(lengths[i] >> 8 * b); /* of "ab" */
        assert_null(tokenizer_open(gguf, &fail));
        assert_string_equal(fail.text, "test.gguf: tokenizer.ggml.tokens: the file was overwritten while it was read: try again");
        assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
        gguf_close(gguf);
        gguf_writer_release(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_what_the_file_names),
        cmocka_unit_test(pieces_are_shown_as_text),
        cmocka_unit_test(without_types_bytes_and_ids_are_known_by_other_keys),
        cmocka_unit_test(a_vocabulary_has_no_more_tokens_than_the_model_has_rows),
        cmocka_unit_test(a_bad_vocabulary_is_refused_naming_the_key),
        cmocka_unit_test(tokens_of_the_wrong_type_are_refused),
        cmocka_unit_test(a_file_overwritten_since_it_was_parsed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
