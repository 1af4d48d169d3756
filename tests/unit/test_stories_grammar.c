/* Templates: what each form expands to, and the errors of those that cannot be expanded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/stories/stories_grammar.h"
#include "node/stories/stories_table.h"

static const char *const person[] = {"name", "any", "he", "his", "mood", "missing", NULL};
static const char *const thing[] = {"thing", "adj", "full", NULL};
static const char *const mia[] = {"Mia", "{x.name}", "she", "her", "[glad|merry|proud|happy|calm|brave]", NULL};
static const char *const tom[] = {"Tom", "{x.name}", "he", "his", "cross", NULL};
static const char *const kite[] = {"kite", "[red|blue|old|long|green]", "{x.adj} {x}"};

static const struct stories_scene scene = {
    .slots = {{"hero", person, mia, 1}, {"friend", person, tom, 2}, {"thing", thing, kite, 3}},
    .slot_count = 3,
    .facts = TAG_HUMAN | TAG_SEA,
};

static char bytes[400];

static const char *expand(const char *template, uint64_t key)
{
    struct stories_text text;

    stories_text_begin(&text, bytes, sizeof bytes - 1);
    stories_grammar_expand(&text, &scene, template, key);
    stories_text_end(&text);
    bytes[text.size] = 0;
    return bytes;
}

static bool is_right(const char *template)
{
    const char *reason;

    return stories_grammar_check(&scene, template, &reason);
}

static void references_give_texts_of_slots(void **state)
{
    (void)state;
    assert_string_equal(expand("{hero} and {friend}, {friend.his} {thing}.", 0), "Mia and Tom, his kite.");
    assert_string_equal(expand("so {he} took {his} {thing}. {friend.he} saw it.", 0), "So she took her kite. He saw it.");
    assert_string_equal(expand("\"no!\" {He} ran.", 0), "\"No!\" She ran.");
}

static void a_slots_text_is_the_same_each_time(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 20; key++) {
        char first[sizeof bytes];

        memcpy(first, expand("x {thing.full}", 0), sizeof first);
        assert_string_equal(expand("x[| ] {thing.full}", key), first);
        assert_string_equal(expand("[x|x] {thing.adj} {thing}", key), first);
    }
}

static void every_alternative_is_taken_by_some_key(void **state)
{
    unsigned taken[3] = {0};

    (void)state;
    for (uint64_t key = 0; key < 300; key++) {
        const char *text = expand("x[a|b[|]|c]", key);

        assert_in_range(text[1], 'a', 'c');
        taken[text[1] - 'a']++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(taken[i], 70, 130);
}

static void an_optional_alternative_is_there_once_in_four(void **state)
{
    unsigned there = 0;

    (void)state;
    for (uint64_t key = 0; key < 400; key++)
        there += strlen(expand("x[?a|b]", key)) > 1;
    assert_in_range(there, 70, 130);
}

static void guards_ask_for_facts(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 20; key++) {
        assert_string_equal(expand("[@sea one|@hill two|@!sea three]", key), "One");
        assert_string_equal(expand("[@sea@hill one|@sea@human two]", key), "Two");
        assert_string_equal(expand("[@river one|two]", key), "Two");
    }
}

static void phrases_speak_of_a_slot(void **state)
{
    bool first = false, last = false;

    (void)state;
    for (uint64_t key = 0; key < 50; key++) {
        const char *text = expand("\"yes,\" {says friend}.", key);

        first = first || strcmp(text, "\"Yes,\" said Tom.") == 0;
        last = last || strcmp(text, "\"Yes,\" Tom said.") == 0;
    }
    assert_true(first && last);
}

static void articles_look_at_what_is_put_in(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 20; key++) {
        const bool vowel = strstr(expand("{thing.adj}", key), "Old") == bytes;

        assert_int_equal(strncmp(expand("{a} {thing.full}", key), "An ", 3) == 0, vowel);
    }
    assert_string_equal(expand("it was {a} [?|]owl.", 0), "It was an owl.");
}

static void what_is_wrong_is_found_in_alternatives_that_are_not_taken(void **state)
{
    const char *reason;

    (void)state;
    assert_true(is_right("{hero} [a|b {says friend}|@hill {thing.adj}|[?c]] {a} {trifle}"));
    assert_false(stories_grammar_check(&scene, "[a|{nobody}]", &reason));
    assert_string_equal(reason, "nobody}]");
    assert_false(is_right("[a|@hill {thing.colour}]"));
    assert_false(is_right("{says nobody}"));
    assert_false(is_right("{friend.missing}"));
    assert_false(is_right("[@nowhere a|b]"));
    assert_false(is_right("[@hill a]"));
    assert_false(is_right("[a|b"));
    assert_false(is_right("a]"));
    assert_false(is_right("a|b"));
    assert_false(is_right("{hero"));
    assert_false(is_right("}"));
    assert_false(is_right("{}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_give_texts_of_slots),
        cmocka_unit_test(a_slots_text_is_the_same_each_time),
        cmocka_unit_test(every_alternative_is_taken_by_some_key),
        cmocka_unit_test(an_optional_alternative_is_there_once_in_four),
        cmocka_unit_test(guards_ask_for_facts),
        cmocka_unit_test(phrases_speak_of_a_slot),
        cmocka_unit_test(articles_look_at_what_is_put_in),
        cmocka_unit_test(what_is_wrong_is_found_in_alternatives_that_are_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
