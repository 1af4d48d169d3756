#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/layout.h"

static const struct layout_findings none;

static bool overlap(struct area a, struct area b)
{
    return a.width > 0 && a.height > 0 && b.width > 0 && b.height > 0 && a.x < b.x + b.width && b.x < a.x + a.width &&
           a.y < b.y + b.height && b.y < a.y + a.height;
}

static void check(const struct layout *l, int width, int height)
{
    for (int i = 0; i < PARTS; i++) {
        const struct area a = l->part[i];

        assert_true(a.x >= 0 && a.y >= 0 && a.width >= 0 && a.height >= 0);
        assert_true(a.x + a.width <= width && a.y + a.height <= height);
        for (int k = 0; k < i; k++)
            assert_false(overlap(a, l->part[k]));
    }
}

static void at_every_size_no_part_overlaps_another_or_leaves_the_terminal(void **state)
{
    static const int rows[] = {1, 2, 5, 17, 65};

    (void)state;
    for (int screen = 0; screen < SCREENS; screen++)
        for (int width = 1; width <= 300; width++)
            for (int height = 1; height <= 100; height++)
                for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                    const int screen_lines = height * (width % 3) / 2; /* none, some, more than there are */
                    const struct layout_findings lines = {screen_lines * (width % 2), screen_lines};
                    const struct layout l = layout_make((enum screen)screen, width, height, rows[i], lines);

                    check(&l, width, height);
                }
}

static void from_40_by_10_on_what_matters_is_there(void **state)
{
    static const struct layout_findings many = {40, 48};

    (void)state;
    for (int screen = 0; screen < SCREENS; screen++)
        for (int width = 40; width <= 300; width += 7)
            for (int height = 10; height <= 100; height++) {
                const struct layout l = layout_make((enum screen)screen, width, height, 5, width % 2 == 0 ? none : many);

                assert_int_equal(l.part[PART_TITLE].height, 1);
                assert_int_equal(l.part[PART_TABS].height, 1);
                assert_int_equal(l.part[PART_KEYS].height, 1);
                assert_true(l.part[PART_MAIN].height >= 3);
                assert_true(l.part[PART_MAIN].width >= 40 || width < 100);
                if (screen == SCREEN_OVERVIEW)
                    assert_true(l.part[PART_FINDINGS].height >= 2);
            }
}

static void nothing_is_left_unused_on_the_overview(void **state)
{
    (void)state;
    for (int height = 12; height <= 100; height++) {
        for (int bad = 0; bad <= height; bad++) {
            const struct layout l = layout_make(SCREEN_OVERVIEW, 100, height, 5, (struct layout_findings){bad, bad + bad / 2});
            int used = 0;

            for (int i = 0; i < PARTS; i++)
                used += l.part[i].height;
            assert_int_equal(used, height);
        }
    }
}

static void bad_findings_go_before_the_curve_and_the_events_and_others_have_what_is_free(void **state)
{
    struct layout l = layout_make(SCREEN_OVERVIEW, 80, 24, 4, (struct layout_findings){0, 9});

    (void)state;
    assert_int_equal(l.part[PART_FINDINGS].height, 6); /* the table needs four of the six rows left over */
    assert_true(l.part[PART_CURVE].height > 0 && l.part[PART_EVENTS].height > 0);
    assert_int_equal(l.part[PART_CURVE].y, l.part[PART_FINDINGS].y + 6);
    l = layout_make(SCREEN_OVERVIEW, 80, 24, 4, (struct layout_findings){7, 9});
    assert_int_equal(l.part[PART_FINDINGS].height, 9);
    assert_true(l.part[PART_CURVE].height == 0 && l.part[PART_EVENTS].height > 0);
    l = layout_make(SCREEN_OVERVIEW, 80, 24, 4, (struct layout_findings){15, 15});
    assert_int_equal(l.part[PART_FINDINGS].height, 15);
    assert_int_equal(l.part[PART_MAIN].height, 6);
}

/* The smallest terminal in use: the details of the selected link or node have room beside the matrix or the workers. */
static void on_80_by_24_the_details_of_a_link_and_of_a_node_have_room(void **state)
{
    (void)state;
    for (int rows = 3; rows <= 65; rows++) {
        const struct layout links = layout_make(SCREEN_LINKS, 80, 24, rows, none), node = layout_make(SCREEN_NODE, 80, 24, rows, none);

        assert_true(links.part[PART_SIDE].height >= 9);
        assert_true(links.part[PART_MAIN].height >= (rows < 10 ? rows + 1 : 10));
        assert_true(node.part[PART_SIDE].height >= 9);
        assert_true(node.part[PART_MAIN].height >= (rows < 10 ? rows : 10));
        assert_int_equal(node.part[PART_CURVE].height > 0, rows <= 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_size_no_part_overlaps_another_or_leaves_the_terminal),
        cmocka_unit_test(from_40_by_10_on_what_matters_is_there),
        cmocka_unit_test(on_80_by_24_the_details_of_a_link_and_of_a_node_have_room),
        cmocka_unit_test(nothing_is_left_unused_on_the_overview),
        cmocka_unit_test(bad_findings_go_before_the_curve_and_the_events_and_others_have_what_is_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
