#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/tokenizer/vocab.h"

static struct vocab make(void)
{
    struct vocab vocab;
    struct fail fail;

    if (vocab_init(&vocab, VOCAB_MIN + 3, &fail) < 0)
        fail_msg("%s", fail.text);
    return vocab;
}

static void check_piece(const struct vocab *vocab, uint32_t id, const char *text, uint32_t type, uint32_t score_bits)
{
    const struct vocab_piece *piece = &vocab->pieces[id];

    assert_int_equal(piece->size, strlen(text));
    assert_memory_equal(piece->text, text, piece->size);
    assert_int_equal(piece->type, type);
    assert_int_equal(piece->score_bits, score_bits);
}

static void every_vocabulary_has_special_tokens_bytes_space_and_newlines(void **state)
{
    struct vocab vocab = make();

    (void)state;
    assert_int_equal(vocab.count, VOCAB_MIN);
    check_piece(&vocab, VOCAB_UNKNOWN, "<unk>", 2, 0);
    check_piece(&vocab, VOCAB_BOS, "<s>", 3, 0);
    check_piece(&vocab, VOCAB_EOS, "</s>", 3, 0);
    check_piece(&vocab, VOCAB_BYTES, "<0x00>", 6, 0);
    check_piece(&vocab, VOCAB_BYTES + 0xe9, "<0xE9>", 6, 0);
    check_piece(&vocab, VOCAB_BYTES + 255, "<0xFF>", 6, 0);
    check_piece(&vocab, VOCAB_SPACE, "\xe2\x96\x81", 1, 0);
    check_piece(&vocab, VOCAB_NEWLINE, "\n", 1, 0xbf800000);    /* -1.0f */
    check_piece(&vocab, VOCAB_NEWLINES, "\n\n", 1, 0xc0000000); /* -2.0f */
    vocab_release(&vocab);
}

static void scores_fall_by_one_from_piece_to_piece(void **state)
{
    struct vocab vocab = make();

    (void)state;
    assert_int_equal(vocab_add(&vocab, "a", 1), VOCAB_MIN);
    assert_int_equal(vocab_add(&vocab, "ab", 2), VOCAB_MIN + 1);
    check_piece(&vocab, VOCAB_MIN, "a", 1, 0xc0400000);      /* -3.0f */
    check_piece(&vocab, VOCAB_MIN + 1, "ab", 1, 0xc0800000); /* -4.0f */
    vocab_release(&vocab);
}

static void names_of_tokens_that_are_no_text_are_reserved(void **state)
{
    (void)state;
    assert_true(vocab_is_reserved("<unk>", 5));
    assert_true(vocab_is_reserved("</s>", 4));
    assert_true(vocab_is_reserved("<0x0A>", 6));
    assert_false(vocab_is_reserved("<0x0a>", 6));
    assert_false(vocab_is_reserved("<b>", 3));
    assert_false(vocab_is_reserved("<s", 2));
    assert_false(vocab_is_reserved(">", 1));
    assert_false(vocab_is_reserved("", 0));
}

static void check_flag(const struct gguf *gguf, const char *key, bool expected)
{
    struct fail fail;
    bool value;

    assert_int_equal(gguf_get_bool(gguf, key, &value, &fail), 1);
    assert_int_equal(value, expected);
}

static void check_id(const struct gguf *gguf, const char *key, uint64_t expected)
{
    struct fail fail;
    uint64_t value;

    assert_int_equal(gguf_get_uint(gguf, key, UINT32_MAX, &value, &fail), 1);
    assert_int_equal(value, expected);
}

static void check_array(const struct gguf *gguf, const char *key, enum gguf_value_type type)
{
    const struct gguf_value *value = gguf_find(gguf, key);

    assert_non_null(value);
    assert_int_equal(value->type, GGUF_ARRAY);
    assert_int_equal(value->element_type, type);
    assert_int_equal(value->count, VOCAB_MIN);
}

static void a_file_says_all_that_tokenizers_ask_for(void **state)
{
    struct vocab vocab = make();
    struct gguf_write writer;
    struct gguf_string model;
    struct fail fail;
    struct gguf *gguf;

    (void)state;
    gguf_write_init(&writer);
    vocab_write(&vocab, &writer);
    assert_int_equal(gguf_write_finish(&writer, &fail), 0);
    gguf = gguf_parse("test", writer.bytes, writer.size, &fail);
    assert_non_null(gguf);
    assert_int_equal(gguf_get_string(gguf, "tokenizer.ggml.model", &model, &fail), 1);
    assert_int_equal(model.size, 5);
    assert_memory_equal(model.text, "llama", 5);
    check_array(gguf, "tokenizer.ggml.tokens", GGUF_STRING);
    check_array(gguf, "tokenizer.ggml.scores", GGUF_F32);
    check_array(gguf, "tokenizer.ggml.token_type", GGUF_I32);
    check_id(gguf, "tokenizer.ggml.bos_token_id", 1);
    check_id(gguf, "tokenizer.ggml.eos_token_id", 2);
    check_id(gguf, "tokenizer.ggml.unknown_token_id", 0);
    check_flag(gguf, "tokenizer.ggml.add_bos_token", true);
    check_flag(gguf, "tokenizer.ggml.add_eos_token", false);
    check_flag(gguf, "tokenizer.ggml.add_space_prefix", true);
    gguf_close(gguf);
    gguf_write_release(&writer);
    vocab_release(&vocab);
}

static void a_tokenizer_outlives_the_vocabulary_it_was_made_of(void **state)
{
    static const uint32_t expected[] = {VOCAB_BOS, VOCAB_SPACE, VOCAB_MIN + 1, VOCAB_NEWLINES, VOCAB_BYTES + 'b'};
    struct vocab vocab = make();
    struct tokenizer *tokenizer;
    struct fail fail;
    uint32_t *ids;
    size_t count;

    (void)state;
    vocab_add(&vocab, "a", 1);
    vocab_add(&vocab, "aa", 2);
    tokenizer = vocab_tokenizer(&vocab, &fail);
    vocab_release(&vocab);
    assert_non_null(tokenizer);
    assert_int_equal(tokenizer_bos(tokenizer), VOCAB_BOS);
    assert_int_equal(tokenizer_eos(tokenizer), VOCAB_EOS);
    for (unsigned byte = 0x80; byte < 256; byte++) {
        const char text = (char)byte;

        assert_int_equal(tokenizer_encode(tokenizer, &text, 1, true, &ids, &count, &fail), 0);
        assert_int_equal(ids[count - 1], VOCAB_BYTES + byte);
        free(ids);
    }
    assert_int_equal(tokenizer_encode(tokenizer, "aa\n\nb", 5, true, &ids, &count, &fail), 0);
    assert_int_equal(count, sizeof expected / sizeof expected[0]);
    assert_memory_equal(ids, expected, sizeof expected);
    free(ids);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vocabulary_has_special_tokens_bytes_space_and_newlines),
        cmocka_unit_test(scores_fall_by_one_from_piece_to_piece),
        cmocka_unit_test(names_of_tokens_that_are_no_text_are_reserved),
        cmocka_unit_test(a_file_says_all_that_tokenizers_ask_for),
        cmocka_unit_test(a_tokenizer_outlives_the_vocabulary_it_was_made_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
