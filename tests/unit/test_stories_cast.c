/* Casts: which characters act together, and that all choices fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/stories/stories_cast.h"
#include "node/stories/stories_words.h"

enum { CASTS = 300 };

/* The text of the slot's column, unexpanded; NULL when the column is not there. */
static const char *column(const struct stories_slot *slot, const char *name)
{
    for (size_t i = 0; slot->columns[i] != NULL; i++)
        if (strcmp(slot->columns[i], name) == 0)
            return slot->texts[i];
    return NULL;
}

static bool is_person(const struct stories_slot *slot)
{
    return column(slot, "himself") != NULL;
}

static void for_all_casts(void (*check)(const struct stories_cast *cast, const struct stories_plot *plot))
{
    for (size_t i = 0; stories_plots[i] != NULL; i++)
        for (uint64_t key = 0; key < CASTS; key++) {
            struct stories_cast cast;

            stories_cast_fill(&cast, stories_plots[i], key);
            check(&cast, stories_plots[i]);
        }
}

static void check_slots(const struct stories_cast *cast, const struct stories_plot *plot)
{
    size_t count = 0;

    for (; plot->slots[count].name != NULL; count++)
        assert_string_equal(cast->scene.slots[count].name, plot->slots[count].name);
    assert_int_equal(cast->scene.slot_count, count);
    assert_true(cast->scene.facts & plot->worlds);
    assert_int_not_equal(cast->scene.facts & TAG_WORLD, TAG_WORLD);
}

static void every_slot_of_every_plot_is_filled(void **state)
{
    (void)state;
    for_all_casts(check_slots);
}

static void check_initials(const struct stories_cast *cast, const struct stories_plot *plot)
{
    for (size_t i = 0; i < cast->person_count; i++)
        for (size_t j = 0; j < i; j++)
            if (cast->persons[i].texts[0][0] == cast->persons[j].texts[0][0])
                fail_msg("%s: %s and %s", plot->name, cast->persons[i].texts[0], cast->persons[j].texts[0]);
}

static void names_begin_with_different_letters(void **state)
{
    (void)state;
    for_all_casts(check_initials);
}

static void check_pronouns(const struct stories_cast *cast, const struct stories_plot *plot)
{
    (void)plot;
    for (size_t i = 0; i < cast->scene.slot_count; i++) {
        const struct stories_slot *slot = &cast->scene.slots[i];

        if (!is_person(slot))
            continue;

        const bool is_girl = strcmp(column(slot, "he"), "she") == 0;

        assert_string_equal(column(slot, "he"), is_girl ? "she" : "he");
        assert_string_equal(column(slot, "him"), is_girl ? "her" : "him");
        assert_string_equal(column(slot, "his"), is_girl ? "her" : "his");
        assert_string_equal(column(slot, "himself"), is_girl ? "herself" : "himself");
        assert_string_equal(column(slot, "woman"), is_girl ? "woman" : "man");
        if (strcmp(column(slot, "kind"), "girl") == 0)
            assert_true(is_girl);
        if (strcmp(column(slot, "kind"), "boy") == 0)
            assert_false(is_girl);
    }
}

static void pronouns_agree_with_the_person(void **state)
{
    (void)state;
    for_all_casts(check_pronouns);
}

static void check_rows(const struct stories_cast *cast, const struct stories_plot *plot)
{
    for (size_t i = 0; i < cast->row_count; i++) {
        assert_true(stories_table_fits(cast->rows[i]->when, cast->scene.facts));
        for (size_t j = 0; j < i; j++)
            if (cast->rows[i] == cast->rows[j])
                fail_msg("%s: %s twice", plot->name, cast->rows[i]->texts[0]);
    }
}

static void no_row_is_taken_twice_and_every_row_fits_the_facts(void **state)
{
    (void)state;
    for_all_casts(check_rows);
}

static void the_same_key_gives_the_same_cast(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 50; key++) {
        struct stories_cast a, b;

        stories_cast_fill(&a, stories_plots[0], key);
        stories_cast_fill(&b, stories_plots[0], key);
        assert_int_equal(a.row_count, b.row_count);
        for (size_t i = 0; i < a.row_count; i++)
            assert_ptr_equal(a.rows[i], b.rows[i]);
        for (size_t i = 0; i < a.person_count; i++)
            assert_ptr_equal(a.persons[i].texts[0], b.persons[i].texts[0]);
    }
}

static void what_does_not_fit_the_facts_is_seen(void **state)
{
    (void)state;
    assert_true(stories_table_fits(0, TAG_HUMAN | TAG_SEA));
    assert_true(stories_table_fits(TAG_SEA | TAG_LAKE, TAG_HUMAN | TAG_SEA));
    assert_true(stories_table_fits(TAG_SEA | TAG_HUMAN, TAG_HUMAN | TAG_SEA));
    assert_false(stories_table_fits(TAG_HILL, TAG_HUMAN | TAG_SEA));
    assert_false(stories_table_fits(TAG_SEA | TAG_ANIMAL, TAG_HUMAN | TAG_SEA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_of_every_plot_is_filled), cmocka_unit_test(names_begin_with_different_letters),
        cmocka_unit_test(pronouns_agree_with_the_person),     cmocka_unit_test(no_row_is_taken_twice_and_every_row_fits_the_facts),
        cmocka_unit_test(the_same_key_gives_the_same_cast),   cmocka_unit_test(what_does_not_fit_the_facts_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
