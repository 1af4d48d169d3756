#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mesh/program/text_decode.h"
#include "node/tokenizer/word.h"

/* The words of a text, between bars, with "_" for the space that is_spaced represents. */
static void check_words(const char *text, bool is_prefixed, const char *expected)
{
    struct word word;
    char found[256] = "|";
    size_t at = 0, end = 1;

    while (word_next(text, strlen(text), is_prefixed, &at, &word)) {
        if (word.is_spaced)
            found[end++] = '_';
        memcpy(found + end, word.text, word.size);
        end += word.size;
        found[end++] = '|';
    }
    found[end] = '\0';
    assert_string_equal(found, expected);
    assert_int_equal(at, strlen(text));
}

static void words_begin_at_runs_of_spaces(void **state)
{
    (void)state;
    check_words("one two   three ", false, "|one|_two|_  three|_|");
    check_words(" one", false, "|_one|");
    check_words("a\tb\vc", false, "|a\tb\vc|");
}

static void runs_of_newlines_are_words(void **state)
{
    (void)state;
    check_words("a\nb\n\n c \n", false, "|a|\n|b|\n\n|_c|_|\n|");
}

static void the_first_word_can_get_a_space_of_its_own(void **state)
{
    (void)state;
    check_words("a b", true, "|_a|_b|");
    check_words(" a", true, "|_ a|");
    check_words("\na", true, "|_\n|a|");
    check_words("", true, "|");
}

static void a_broken_character_keeps_what_it_swallows(void **state)
{
    (void)state;
    check_words("\xc3 a b", false, "|\xc3 a|_b|");
    check_words("\xf0 \n b", false, "|\xf0 |\n|_b|"); /* takes only the three bytes of the escaped space */
    check_words("\xf0\n\n\n\nb", false, "|\xf0\n\n\n|\n|b|");
    check_words("\xe3", false, "|\xe3|");
}

static void a_space_mark_of_the_text_and_a_space_after_it_are_one_word(void **state)
{
    (void)state;
    check_words("a\xe2\x96\x81 b", false, "|a\xe2\x96\x81 b|");
}

static void check_character(const char *text, size_t size, uint32_t code_point)
{
    uint32_t found;

    assert_int_equal(word_character(text, strlen(text), &found), size);
    assert_int_equal(found, code_point);
}

static void characters_have_the_size_of_the_tokenizers_symbols(void **state)
{
    (void)state;
    check_character("ab", 1, 'a');
    check_character("\xc3\xa4z", 2, 0xe4);
    check_character("\xf0\x9f\x98\x80z", 4, 0x1f600);
    check_character("\x80z", 1, TEXT_DECODE_INVALID);
    check_character("\xed\xa0\x80z", 3, TEXT_DECODE_INVALID); /* a surrogate */
    check_character("\xf0zy", 3, TEXT_DECODE_INVALID);
    check_character("\xe2 z", 2, TEXT_DECODE_INVALID);
    check_character("\xe2z  y", 3, TEXT_DECODE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_begin_at_runs_of_spaces),
        cmocka_unit_test(runs_of_newlines_are_words),
        cmocka_unit_test(the_first_word_can_get_a_space_of_its_own),
        cmocka_unit_test(a_broken_character_keeps_what_it_swallows),
        cmocka_unit_test(a_space_mark_of_the_text_and_a_space_after_it_are_one_word),
        cmocka_unit_test(characters_have_the_size_of_the_tokenizers_symbols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
