#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "node/tokenizer/word_table.h"

enum { WORDS = 5000, WORD_BYTES = 12 };

static struct word_table_entry *find(struct word_table *table, const char *text, bool is_spaced)
{
    struct word_table_entry *entry =
        word_table_find(table, &(struct word){.text = text, .size = (uint32_t)strlen(text), .is_spaced = is_spaced});

    assert_non_null(entry);
    return entry;
}

static void a_word_keeps_its_value(void **state)
{
    struct word_table table = {0};

    (void)state;
    find(&table, "one", false)->value = 7;
    assert_int_equal(find(&table, "two", false)->value, 0);
    assert_int_equal(find(&table, "one", false)->value, 7);
    assert_int_equal(table.count, 2);
    word_table_release(&table);
}

static void the_space_before_it_makes_another_word(void **state)
{
    struct word_table table = {0};

    (void)state;
    find(&table, "one", false)->value = 7;
    assert_int_equal(find(&table, "one", true)->value, 0);
    assert_int_equal(find(&table, "", true)->value, 0);
    assert_int_equal(table.count, 3);
    word_table_release(&table);
}

static void words_stay_in_the_order_in_which_they_came(void **state)
{
    static char texts[WORDS][WORD_BYTES];
    struct word_table table = {0};

    (void)state;
    for (uint32_t i = 0; i < WORDS; i++) {
        snprintf(texts[i], sizeof texts[i], "%u", i * 7919 % WORDS);
        find(&table, texts[i], i % 2)->value = i;
    }
    assert_int_equal(table.count, WORDS);
    for (uint32_t i = 0; i < WORDS; i++) {
        assert_ptr_equal(table.entries[i].word.text, texts[i]);
        assert_int_equal(find(&table, texts[i], i % 2)->value, i);
    }
    assert_int_equal(table.count, WORDS);
    word_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_keeps_its_value),
        cmocka_unit_test(the_space_before_it_makes_another_word),
        cmocka_unit_test(words_stay_in_the_order_in_which_they_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
