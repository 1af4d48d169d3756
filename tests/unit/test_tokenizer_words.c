/* Encoding word by word, at once and in turns, against encoding a text as a whole, on vocabularies made here and on a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "model_folder.h"
#include "node/common/hash.h"
#include "node/tokenizer/tokenizer_words.h"
#include "vocab.h"

static struct tokenizer_words *open_words(const struct tokenizer *tokenizer, bool is_fast)
{
    struct fail fail;
    struct tokenizer_words *words = tokenizer_words_open(tokenizer, &fail);

    assert_non_null(words);
    assert_int_equal(tokenizer_words_is_fast(words), is_fast);
    return words;
}

static void check(const struct tokenizer *tokenizer, struct tokenizer_words *words, const char *text, size_t size)
{
    struct fail fail;
    uint32_t *expected;
    const uint32_t *found;
    size_t expected_count, found_count;

    assert_int_equal(tokenizer_encode(tokenizer, text, size, false, &expected, &expected_count, &fail), 0);
    assert_int_equal(tokenizer_words_encode(words, text, size, &found, &found_count, &fail), 0);
    assert_int_equal(found_count, expected_count);
    if (found_count > 0)
        assert_memory_equal(found, expected, found_count * sizeof *found);
    vocab_encodes_in_turns(tokenizer, text, size, false, 1 + size % 50, expected, expected_count);
    free(expected);
}

/* Texts with repeated words, and with broken characters, space marks and NUL among them. */
static void check_random_texts(const struct tokenizer *tokenizer, bool is_fast)
{
    static const char *const parts[] = {" ",    "\n",   "a",    "b",    "ab",       "ba",   "  a", " b", "\n\n",
                                        "\xc3", "\xe2", "\xf0", "\x96", "\xe2\x96", "\x81", SPACE, "\t", "\xc3\xa9"};
    enum { TEXTS = 300, PARTS = sizeof parts / sizeof parts[0], TEXT_BYTES = 300 };
    char(*texts)[TEXT_BYTES] = calloc(TEXTS, sizeof *texts);
    struct tokenizer_words *words = open_words(tokenizer, is_fast);

    assert_non_null(texts);
    for (uint64_t seed = 0; seed < TEXTS; seed++) {
        size_t size = 0;

        for (uint64_t i = 0; i < hash_words3(seed, 0, 0) % 60; i++) {
            const uint64_t drawn = hash_words3(seed, 1, i);

            if (drawn % 40 == 0)
                texts[seed][size++] = '\0';
            else
                size = (size_t)(stpcpy(texts[seed] + size, parts[(drawn >> 8) % PARTS]) - texts[seed]);
        }
        check(tokenizer, words, texts[seed], size);
    }
    check(tokenizer, words, texts[0], 0);
    tokenizer_words_close(words);
    free(texts);
}

static struct vocab letters_and_words(void)
{
    struct vocab v = {.model = "llama"};
    static const char *const pieces[] = {SPACE,           "a",   "b",        "ab", SPACE "a", SPACE SPACE,
                                         SPACE SPACE "a", "aba", SPACE "ab", "\n", "\n\n",    "\xc3\xa9"};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        v.extra[i] = (struct vocab_entry){pieces[i], -(float)i, NORMAL};
    return v;
}

static void add_piece(struct vocab *v, const char *text, int32_t type)
{
    size_t i = 0;

    while (v->extra[i].text != NULL)
        i++;
    v->extra[i] = (struct vocab_entry){text, 1, type};
}

static void the_ids_are_those_of_the_whole_text(void **state)
{
    struct vocab v = letters_and_words();
    struct tokenizer *tokenizer = vocab_open(&v);

    (void)state;
    check_random_texts(tokenizer, true);
    tokenizer_close(tokenizer);
}

static void a_vocabulary_without_a_space_before_the_text_works_too(void **state)
{
    struct vocab v = letters_and_words();
    struct tokenizer *tokenizer;

    (void)state;
    v.flag = "tokenizer.ggml.add_space_prefix";
    tokenizer = vocab_open(&v);
    check_random_texts(tokenizer, true);
    tokenizer_close(tokenizer);
}

static void pieces_that_cross_words_are_respected(void **state)
{
    static const char *const crossing[] = {"b" SPACE, "b" SPACE "a", "\n" SPACE, SPACE "\n", "a\n", "\na", "\xf0" SPACE, "\x81" SPACE};

    (void)state;
    for (size_t i = 0; i < sizeof crossing / sizeof crossing[0]; i++) {
        struct vocab v = letters_and_words();
        struct tokenizer *tokenizer;

        add_piece(&v, crossing[i], NORMAL);
        tokenizer = vocab_open(&v);
        check_random_texts(tokenizer, false);
        tokenizer_close(tokenizer);
    }
}

static void user_defined_pieces_are_respected(void **state)
{
    struct vocab v = letters_and_words();
    struct tokenizer *tokenizer;

    (void)state;
    add_piece(&v, "ab", USER_DEFINED);
    tokenizer = vocab_open(&v);
    check_random_texts(tokenizer, false);
    tokenizer_close(tokenizer);
}

static void control_tokens_may_look_like_anything(void **state)
{
    struct vocab v = letters_and_words();
    struct tokenizer *tokenizer;

    (void)state;
    add_piece(&v, "a" SPACE "b\n", CONTROL);
    tokenizer = vocab_open(&v);
    check_random_texts(tokenizer, true);
    tokenizer_close(tokenizer);
}

static void a_word_of_more_than_16_mb_is_refused_and_a_longer_text_is_not(void **state)
{
    enum { SIZE = (1 << 24) + 1 };
    struct vocab v = letters_and_words();
    struct tokenizer *tokenizer = vocab_open(&v);
    struct tokenizer_words *words = open_words(tokenizer, true);
    char *text = malloc(SIZE);
    const uint32_t *ids;
    size_t count;
    struct fail fail;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', SIZE);
    assert_int_equal(tokenizer_words_encode(words, text, SIZE, &ids, &count, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(fail.text, "text: a word has 16777217 bytes: at most 16777216 are possible"));
    for (size_t i = 0; i < SIZE; i += 64)
        text[i] = ' ';
    assert_int_equal(tokenizer_words_encode(words, text, SIZE, &ids, &count, &fail), 0);
    assert_in_range(count, SIZE / 4, SIZE);
    tokenizer_words_close(words);
    tokenizer_close(tokenizer);
    free(text);
}

static void the_real_llama_vocabulary_is_encoded_by_word(void **state)
{
    char path[MODEL_PATH_MAX];
    struct fail fail;
    struct gguf *gguf;
    struct tokenizer *tokenizer;

    (void)state;
    if (!model_folder_path("ggml-vocab-llama-spm.gguf", path))
        skip();
    gguf = gguf_open(path, &fail);
    assert_non_null(gguf);
    tokenizer = tokenizer_open(gguf, &fail);
    assert_non_null(tokenizer);
    check_random_texts(tokenizer, true);
    tokenizer_close(tokenizer);
    gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ids_are_those_of_the_whole_text),
        cmocka_unit_test(a_vocabulary_without_a_space_before_the_text_works_too),
        cmocka_unit_test(pieces_that_cross_words_are_respected),
        cmocka_unit_test(user_defined_pieces_are_respected),
        cmocka_unit_test(control_tokens_may_look_like_anything),
        cmocka_unit_test(a_word_of_more_than_16_mb_is_refused_and_a_longer_text_is_not),
        cmocka_unit_test(the_real_llama_vocabulary_is_encoded_by_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
