/* Byte-level BPE: what becomes of a text and of ids, and every refusal of a vocabulary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bpe_vocab.h"
#include "vocab.h"

#define SPACE_AS "\xc4\xa0" /* a space, as it is written in the file */
enum { T = BPE_FIRST };

/* "the", " the", "he" and what they are made of. */
static struct bpe_vocab the_vocab(const char *pre)
{
    struct bpe_vocab v = {.pre = pre, .merges = {"h e", "t h", SPACE_AS " t", "t he", SPACE_AS "t he"}};
    const char *const pieces[] = {"he", "th", "the", SPACE_AS "t", SPACE_AS "the"};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        v.extra[i] = (struct bpe_token){pieces[i], BPE_NORMAL};
    return v;
}

static void merges_apply_in_the_order_of_their_list(void **state)
{
    struct bpe_vocab v = the_vocab("gpt-2");
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    ENCODES(t, "", true);
    ENCODES(t, "the", true, T + 2); /* h e first, then t he */
    ENCODES(t, " the", true, T + 4);
    ENCODES(t, "th", true, T + 1);
    ENCODES(t, "thx the", true, T + 1, 'x', T + 4);
    ENCODES(t, "\xff\xc3\xa9", true, 0xff, 0xc3, 0xa9);
    tokenizer_close(t);
    v.merges[0] = "t h"; /* now it goes ahead of h e */
    v.merges[1] = "h e";
    t = bpe_vocab_open(&v);
    ENCODES(t, "the", true, T + 1, 'e');
    tokenizer_close(t);
}

static void the_leftmost_of_equal_pairs_is_merged_first(void **state)
{
    struct bpe_vocab v = {.pre = "gpt-2", .extra = {{"aa", BPE_NORMAL}}, .merges = {"a a", "a a"}};
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    ENCODES(t, "aaaaa", true, T, T, 'a');
    tokenizer_close(t);
}

static void nothing_is_merged_across_words(void **state)
{
    struct bpe_vocab v = {.pre = "qwen2", .extra = {{"12", BPE_NORMAL}, {"a.", BPE_NORMAL}}, .merges = {"1 2", "a ."}};
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    ENCODES(t, "12a.", true, '1', '2', 'a', '.');
    tokenizer_close(t);
    v.pre = "gpt-2";
    t = bpe_vocab_open(&v);
    ENCODES(t, "12a.", true, T, 'a', '.');
    tokenizer_close(t);
}

static void a_word_that_is_a_token_is_taken_whole_where_the_model_wants_it(void **state)
{
    struct bpe_vocab v = {.pre = "llama-bpe",
                          .extra = {{"abc", BPE_NORMAL}, {"bc", BPE_NORMAL}, {"ab", BPE_NORMAL}, {"<s>", BPE_CONTROL}},
                          .merges = {"a b", "b c"},
                          .id_key = {"tokenizer.ggml.bos_token_id"},
                          .id_value = {T + 3}};
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    ENCODES(t, "abc", false, T);
    ENCODES(t, "abcabc", false, T + 2, 'c', T + 2, 'c');
    tokenizer_close(t);
    v.pre = "qwen2";
    t = bpe_vocab_open(&v);
    ENCODES(t, "abc", false, T + 2, 'c');
    tokenizer_close(t);
}

static void shows(const struct tokenizer *t, uint32_t id, const char *expected)
{
    size_t size;
    const char *piece = tokenizer_piece(t, id, &size);

    assert_int_equal(size, strlen(expected));
    assert_memory_equal(piece, expected, size);
}

static void pieces_are_shown_as_the_bytes_for_which_they_stand(void **state)
{
    struct bpe_vocab v = the_vocab("gpt-2");
    struct tokenizer *t;

    (void)state;
    v.extra[5] = (struct bpe_token){"\xc4\xa0\xc3\xa3\xc4\xb2\xc4\xa4", BPE_NORMAL}; /* space, e3 90 82 */
    v.extra[6] = (struct bpe_token){"\xc3\xa9 <x>", BPE_USER_DEFINED};
    v.extra[7] = (struct bpe_token){"<|end|>", BPE_CONTROL};
    v.extra[8] = (struct bpe_token){"\xe5\xa5\xbd", BPE_NORMAL}; /* stands for no bytes */
    t = bpe_vocab_open(&v);
    shows(t, T + 4, " the");
    shows(t, T + 5, " \xe3\x90\x82");
    shows(t, T + 6, "\xc3\xa9 <x>");
    shows(t, T + 7, "");
    shows(t, T + 8, "\xe5\xa5\xbd");
    for (unsigned byte = 1; byte < 256; byte++)
        shows(t, byte, (const char[]){(char)byte, 0});
    ENCODES(t, "\xe5\xa5\xbd", true, 0xe5, 0xa5, 0xbd);
    ENCODES(t, "<|end|>", true, '<', '|', 'e', 'n', 'd', '|', '>'); /* control tokens are never made from text */
    assert_false(tokenizer_puts_space(t));
    tokenizer_close(t);
}

static void user_defined_pieces_are_cut_out_of_the_text_first(void **state)
{
    struct bpe_vocab v = the_vocab("gpt-2");
    struct tokenizer *t;

    (void)state;
    v.extra[5] = (struct bpe_token){"\xc3\xb5", BPE_USER_DEFINED}; /* a character, not the byte f5 */
    v.extra[6] = (struct bpe_token){"e ", BPE_USER_DEFINED};
    t = bpe_vocab_open(&v);
    ENCODES(t, "th\xc3\xb5 the the", true, T + 1, T + 5, ' ', T + 1, T + 6, T + 2);
    ENCODES(t, "\xf5", true, 0xf5);
    tokenizer_close(t);
}

static void a_text_begins_with_bos_if_the_rule_or_the_file_says_so(void **state)
{
    struct bpe_vocab v = {.pre = "gpt-2",
                          .extra = {{"ab", BPE_NORMAL}, {"<s>", BPE_CONTROL}},
                          .merges = {"a b"},
                          .id_key = {"tokenizer.ggml.bos_token_id"},
                          .id_value = {T + 1}};
    struct tokenizer *t = bpe_vocab_open(&v);
    struct fail fail;

    (void)state;
    ENCODES(t, "ab", true, T);
    tokenizer_close(t);
    v.flag = "tokenizer.ggml.add_bos_token";
    v.flag_value = true;
    t = bpe_vocab_open(&v);
    ENCODES(t, "ab", true, T + 1, T);
    ENCODES(t, "ab", false, T);
    tokenizer_close(t);
    v.flag = NULL;
    v.pre = "llama-bpe";
    t = bpe_vocab_open(&v);
    ENCODES(t, "ab", true, T + 1, T);
    tokenizer_close(t);
    v.id_key[0] = NULL;
    assert_null(bpe_vocab_try_open(&v, &fail));
    assert_string_equal(fail.text, "test.gguf: tokenizer.ggml.add_bos_token is true by tokenizer.ggml.pre, but "
                                   "tokenizer.ggml.bos_token_id is missing: get another copy of the model");
    v.flag = "tokenizer.ggml.add_bos_token";
    v.flag_value = false;
    t = bpe_vocab_open(&v);
    ENCODES(t, "ab", true, T);
    tokenizer_close(t);
}

static void ends_are_known_by_their_names(void **state)
{
    struct bpe_vocab v = {.pre = "qwen2",
                          .extra = {{"</s>", BPE_NORMAL},
                                    {"<|im_end|>", BPE_CONTROL},
                                    {"<|eot_id|>", BPE_USER_DEFINED},
                                    {"<|im_start|>", BPE_CONTROL},
                                    {"<e>", BPE_CONTROL},
                                    {"<\uff5cend\u2581of\u2581sentence\uff5c>", BPE_CONTROL},
                                    {"ab", BPE_NORMAL}},
                          .merges = {"a b"},
                          .id_key = {"tokenizer.ggml.eos_token_id"},
                          .id_value = {T + 4}};
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    assert_true(tokenizer_is_end(t, T + 4));
    assert_true(tokenizer_is_end(t, T + 5));
    assert_false(tokenizer_is_end(t, T)); /* could be HTML */
    assert_true(tokenizer_is_end(t, T + 1));
    assert_true(tokenizer_is_end(t, T + 2));
    assert_false(tokenizer_is_end(t, T + 3));
    shows(t, T + 2, "");
    tokenizer_close(t);
    v.no_types = true;
    t = bpe_vocab_open(&v);
    assert_true(tokenizer_is_end(t, T));
    tokenizer_close(t);
}

static void a_byte_that_no_text_has_needs_no_token(void **state)
{
    struct bpe_vocab v = {.pre = "gpt-2",
                          .extra = {{"ab", BPE_NORMAL}, {"\xc3\xaf\xc2\xbf", BPE_NORMAL}, {"\xc3\xaf\xc2\xbf\xc2\xbd", BPE_NORMAL}},
                          .merges = {"a b", "\xc3\xaf \xc2\xbf", "\xc3\xaf\xc2\xbf \xc2\xbd"},
                          .missing_byte = 0xf5};
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    ENCODES(t, "ab\xf5", true, T, T + 2); /* as U+FFFD */
    tokenizer_close(t);
    v.extra[2] = (struct bpe_token){"<?>", 2};
    v.merges[2] = NULL;
    t = bpe_vocab_open(&v);
    ENCODES(t, "ab\xf5", true, T, 0xef, 0xbf, 0xbd);
    tokenizer_close(t);
    v.id_key[0] = "tokenizer.ggml.unknown_token_id";
    v.id_value[0] = T + 2;
    t = bpe_vocab_open(&v);
    ENCODES(t, "ab\xf5", true, T, T + 2);
    tokenizer_close(t);
    v.missing_byte = 'z';
    t = bpe_vocab_open(&v);
    ENCODES(t, "abz", true, T, T + 2);
    tokenizer_close(t);
}

static void an_id_stands_for_no_more_bytes_than_the_longest_piece(void **state)
{
    const struct bpe_vocab v = the_vocab("gpt-2");
    struct tokenizer *t = bpe_vocab_open(&v);

    (void)state;
    assert_int_equal(tokenizer_ids_min(t, 8), 2);
    assert_int_equal(tokenizer_ids_min(t, 9), 3);
    tokenizer_close(t);
}

/* ---- refusals ---- */

static void refuses(const struct bpe_vocab *v, const char *message)
{
    struct fail fail;

    assert_null(bpe_vocab_try_open(v, &fail));
    assert_string_equal(fail.text, message);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
}

static void an_unknown_way_to_cut_texts_is_refused_by_its_name(void **state)
{
    struct bpe_vocab v = the_vocab("kimi-k2\033");

    (void)state;
    refuses(&v, "test.gguf: tokenizer.ggml.pre is 'kimi-k2?', which is not supported: give a model whose text is cut like that of one of "
                "these: llama-bpe, qwen2, seed-coder, tekken, gpt-4o, smollm, gpt-2, deepseek-llm, deepseek-coder, falcon, default");
    v.pre = NULL; /* stands for "default" */
    tokenizer_close(bpe_vocab_open(&v));
}

static void bad_merges_are_refused(void **state)
{
    struct bpe_vocab v = the_vocab("gpt-2");

    (void)state;
#define BAD(text, why)  \
    v.merges[1] = text; \
    refuses(&v, "test.gguf: tokenizer.ggml.merges: entry 1 is " why ": get another copy of the model")
    BAD("th", "'th', expected two pieces with a space between them");
    BAD("", "'', expected two pieces with a space between them");
    BAD(" ", "' ', expected two pieces with a space between them");
    BAD("t ", "'t ', expected two pieces with a space between them");
    BAD(" h", "' h', expected two pieces with a space between them");
    BAD("t h e", "'t h e', which has characters that stand for no byte");
    BAD("\xff h", "'? h', which has characters that stand for no byte");
    BAD("t \xe5\xa5\xbd", "'t \?\?\?', which has characters that stand for no byte");
    BAD("x y", "'x y', but no token is what that makes");
    BAD("t the", "'t the', but no token is what that makes");
    BAD(SPACE_AS "th e", "'\?\?th e', of which one is no token");
    BAD("tttttttttttttttt h", "'tttttttttttttttt h', which is longer than any two pieces");
#undef BAD
    v.no_merges = true;
    refuses(&v, "test.gguf: tokenizer.ggml.merges is missing: give a complete model");
    v.no_merges = false;
    v.merges_of_numbers = true;
    refuses(&v, "test.gguf: tokenizer.ggml.merges has elements of the wrong type, expected string: get another copy of the model");
}

static void millions_of_merges_are_refused_before_they_are_read(void **state)
{
    enum { MERGES = (1 << 22) + 1 };
    struct gguf_writer w;
    struct gguf *gguf;
    struct fail fail;
    char *empty = calloc(MERGES, 8);

    (void)state;
    assert_non_null(empty);
    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_string(&w, "tokenizer.ggml.pre", "gpt-2");
    gguf_writer_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 256);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[BPE_BYTE_CHARACTERS];

        gguf_writer_text(&w, text, bpe_vocab_character((unsigned char)byte, text));
    }
    gguf_writer_array(&w, "tokenizer.ggml.merges", GGUF_STRING, MERGES);
    gguf_writer_bytes(&w, empty, (size_t)MERGES * 8);
    gguf = gguf_writer_parse(&w, &fail);
    assert_non_null(gguf);
    assert_null(tokenizer_open(gguf, &fail));
    assert_string_equal(fail.text,
                        "test.gguf: tokenizer.ggml.merges has 4194305 entries, at most 4194304 are possible: get another copy of "
                        "the model");
    gguf_close(gguf);
    gguf_writer_release(&w);
    free(empty);
}

static void a_byte_of_text_without_a_token_is_refused(void **state)
{
    struct bpe_vocab v = the_vocab("gpt-2");

    (void)state;
    v.missing_byte = 'z';
    refuses(&v,
            "test.gguf: tokenizer.ggml.tokens: 1 bytes of text have no token (the first is 0x7A) and there is no unknown token: some text "
            "could not be encoded: get another copy of the model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_apply_in_the_order_of_their_list),
        cmocka_unit_test(the_leftmost_of_equal_pairs_is_merged_first),
        cmocka_unit_test(nothing_is_merged_across_words),
        cmocka_unit_test(a_word_that_is_a_token_is_taken_whole_where_the_model_wants_it),
        cmocka_unit_test(pieces_are_shown_as_the_bytes_for_which_they_stand),
        cmocka_unit_test(user_defined_pieces_are_cut_out_of_the_text_first),
        cmocka_unit_test(a_text_begins_with_bos_if_the_rule_or_the_file_says_so),
        cmocka_unit_test(ends_are_known_by_their_names),
        cmocka_unit_test(a_byte_that_no_text_has_needs_no_token),
        cmocka_unit_test(an_id_stands_for_no_more_bytes_than_the_longest_piece),
        cmocka_unit_test(an_unknown_way_to_cut_texts_is_refused_by_its_name),
        cmocka_unit_test(bad_merges_are_refused),
        cmocka_unit_test(millions_of_merges_are_refused_before_they_are_read),
        cmocka_unit_test(a_byte_of_text_without_a_token_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
