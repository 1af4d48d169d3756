/* Words: the tables are complete and in ASCII, and there are enough of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/stories/stories_words.h"

enum { TABLE_COUNT = 10 };

static const struct stories_table *const tables[TABLE_COUNT] = {
    &stories_beasts, &stories_elders, &stories_crafts, &stories_traits, &stories_towns,
    &stories_spots,  &stories_days,   &stories_things, &stories_foods,  &stories_ingredients,
};

static void check_ascii(const char *text)
{
    for (; *text != 0; text++)
        assert_in_range(*text, ' ', '~');
}

static void every_row_has_all_columns(void **state)
{
    (void)state;
    for (size_t t = 0; t < TABLE_COUNT; t++)
        for (size_t r = 0; r < tables[t]->row_count; r++)
            for (size_t c = 0; c < STORIES_COLUMNS_MAX; c++) {
                const char *text = tables[t]->rows[r].texts[c];
                const bool wanted = c == 0 || (tables[t]->columns[c - 1] != NULL && tables[t]->columns[c] != NULL);

                if ((text != NULL) != wanted)
                    fail_msg("%s: row %u, column %u", tables[t]->columns[0], (unsigned)r, (unsigned)c);
                if (text == NULL)
                    break;
                check_ascii(text);
            }
}

static void no_row_is_in_a_table_twice(void **state)
{
    (void)state;
    for (size_t t = 0; t < TABLE_COUNT; t++)
        for (size_t r = 0; r < tables[t]->row_count; r++)
            for (size_t i = 0; i < r; i++)
                assert_string_not_equal(tables[t]->rows[r].texts[0], tables[t]->rows[i].texts[0]);
}

static size_t collect(const char *const *names, const char **all, size_t count)
{
    for (; *names != NULL; names++) {
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(*names, all[i]);
        assert_in_range(**names, 'A', 'Z');
        check_ascii(*names);
        all[count++] = *names;
    }
    return count;
}

static void every_name_has_one_gender_and_one_age(void **state)
{
    const char *all[6 * 64];
    size_t count = 0;

    (void)state;
    for (size_t gender = 0; gender < 2; gender++) {
        count = collect(stories_names_human[gender], all, count);
        count = collect(stories_names_animal[gender], all, count);
        count = collect(stories_names_old[gender], all, count);
    }
    assert_true(count >= 60);
}

static void there_are_many_places_and_things(void **state)
{
    (void)state;
    assert_true(stories_towns.row_count >= 60);
    assert_true(stories_spots.row_count >= 40);
    assert_true(stories_things.row_count >= 50);
}

/* Every place of a story has at least four spots, since a plot may need that many. */
static void every_town_has_spots(void **state)
{
    (void)state;
    for (size_t t = 0; t < stories_towns.row_count; t++) {
        size_t count = 0;

        for (size_t s = 0; s < stories_spots.row_count; s++)
            count += stories_table_fits(stories_spots.rows[s].when, stories_towns.rows[t].tags);
        if (count < 6)
            fail_msg("%s has %u", stories_towns.rows[t].texts[0], (unsigned)count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_all_columns),
        cmocka_unit_test(no_row_is_in_a_table_twice),
        cmocka_unit_test(every_name_has_one_gender_and_one_age),
        cmocka_unit_test(there_are_many_places_and_things),
        cmocka_unit_test(every_town_has_spots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
