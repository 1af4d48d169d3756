/* Pieces of text: the spaces, capitals, articles and quotation marks between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/stories/stories_text.h"

static char bytes[200];
static struct stories_text text;

static void put(const char *piece)
{
    stories_text_put(&text, piece, piece + strlen(piece));
}

/* The pieces, one after the other, as text. "~" is an article. */
static const char *joined(const char *const *pieces)
{
    stories_text_begin(&text, bytes, sizeof bytes - 1);
    for (; *pieces != NULL; pieces++) {
        if (strcmp(*pieces, "~") == 0)
            stories_text_article(&text);
        else
            put(*pieces);
    }
    stories_text_end(&text);
    assert_false(text.truncated);
    bytes[text.size] = 0;
    return bytes;
}
#define JOINED(...) joined((const char *const[]){__VA_ARGS__, NULL})

static void a_sentence_begins_with_a_capital(void **state)
{
    (void)state;
    assert_string_equal(JOINED("one. ", "two! three? ", "four"), "One. Two! Three? Four");
    assert_string_equal(JOINED("one.\n", "two"), "One.\n\nTwo");
    assert_string_equal(JOINED("the ^sea, ^", "mia"), "The Sea, Mia");
}

static void speech_goes_on_after_a_question_and_ends_with_a_statement(void **state)
{
    (void)state;
    assert_string_equal(JOINED("\"why?\" asked Mia."), "\"Why?\" asked Mia.");
    assert_string_equal(JOINED("\"why?\" ^he laughed."), "\"Why?\" He laughed.");
    assert_string_equal(JOINED("\"look,\" said Mia. \"there.\" he looked."), "\"Look,\" said Mia. \"There.\" He looked.");
}

static void spaces_become_one_and_none_is_left_at_the_edges(void **state)
{
    (void)state;
    assert_string_equal(JOINED(" a ", " b  c ", " "), "A b c");
    assert_string_equal(JOINED("one. ", " \n ", " two"), "One.\n\nTwo");
    assert_string_equal(JOINED("one.", "\n", "\n", "two"), "One.\n\nTwo");
    assert_string_equal(JOINED("\" go. \" he went."), "\"Go.\" He went.");
    assert_string_equal(JOINED("\" go? \" asked Mia."), "\"Go?\" asked Mia.");
}

static void an_article_is_what_the_next_word_wants(void **state)
{
    (void)state;
    assert_string_equal(JOINED("~", " kite, ", "~", " ", "owl"), "A kite, an owl");
    assert_string_equal(JOINED("~", " honest boy, ", "~", " useful owl, ", "~", "  one-eared bear"),
                        "An honest boy, a useful owl, a one-eared bear");
    assert_string_equal(JOINED("~", " ^Owl, ", "~", " hour"), "An Owl, an hour");
    assert_string_equal(JOINED("banana apple"), "Banana apple");
}

static void text_without_room_is_marked_and_stays_within(void **state)
{
    (void)state;
    memset(bytes, '#', sizeof bytes);
    stories_text_begin(&text, bytes, 10);
    put("a long sentence. ");
    stories_text_article(&text);
    put(" owl");
    stories_text_end(&text);
    assert_true(text.truncated);
    assert_true(text.size <= 10);
    assert_int_equal(bytes[10], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_begins_with_a_capital),
        cmocka_unit_test(speech_goes_on_after_a_question_and_ends_with_a_statement),
        cmocka_unit_test(spaces_become_one_and_none_is_left_at_the_edges),
        cmocka_unit_test(an_article_is_what_the_next_word_wants),
        cmocka_unit_test(text_without_room_is_marked_and_stays_within),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
