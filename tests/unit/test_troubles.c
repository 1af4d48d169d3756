#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "node/telemetry/troubles.h"

static struct troubles troubles;

static int forget(void **state)
{
    (void)state;
    troubles = (struct troubles){0};
    return 0;
}

static struct mesh_addr address(uint16_t port)
{
    return (struct mesh_addr){.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = port};
}

static void a_trouble_begins_once_and_its_text_is_the_newest(void **state)
{
    const struct mesh_addr at = address(1);
    const struct trouble *begun = troubles_begin(&troubles, 5, TROUBLE_BLACK_HOLE, &at, "nothing large", ": see the MTU");

    (void)state;
    assert_non_null(begun);
    assert_string_equal(begun->text, "nothing large: see the MTU");
    assert_int_equal(begun->what_bytes, strlen("nothing large"));
    assert_null(troubles_begin(&troubles, 9, TROUBLE_BLACK_HOLE, &at, "nothing large", ": still"));
    assert_int_equal(troubles.count, 1);
    assert_int_equal(troubles.trouble[0].since_ns, 5);
    assert_int_equal(troubles.trouble[0].last_ns, 9);
    assert_string_equal(troubles.trouble[0].text, "nothing large: still");
}

static void those_of_a_kind_are_told_apart_by_whom_they_are_about(void **state)
{
    const struct mesh_addr a = address(1), b = address(2);

    (void)state;
    assert_non_null(troubles_begin(&troubles, 1, TROUBLE_DUPLICATE, &a, "a", ""));
    assert_non_null(troubles_begin(&troubles, 2, TROUBLE_DUPLICATE, &b, "b", ""));
    assert_non_null(troubles_begin(&troubles, 3, TROUBLE_FLAPPING, &b, "c", ""));
    assert_non_null(troubles_begin(&troubles, 4, TROUBLE_ADDRESS, NULL, "d", ""));
    assert_int_equal(troubles.count, 4);
    assert_string_equal(troubles_find(&troubles, TROUBLE_DUPLICATE, &b)->text, "b");
    assert_string_equal(troubles_find(&troubles, TROUBLE_ADDRESS, NULL)->text, "d");
    assert_null(troubles_find(&troubles, TROUBLE_FLAPPING, &a));
}

static void the_end_of_one_leaves_the_others_in_order(void **state)
{
    const struct mesh_addr a = address(1), b = address(2);
    struct trouble over;

    (void)state;
    troubles_begin(&troubles, 1, TROUBLE_ISOLATED, NULL, "a", "");
    troubles_begin(&troubles, 2, TROUBLE_MTU, &a, "what", " and why");
    troubles_begin(&troubles, 3, TROUBLE_MTU, &b, "c", "");
    assert_true(troubles_end(&troubles, TROUBLE_MTU, &a, &over));
    assert_int_equal(over.what_bytes, 4);
    assert_string_equal(over.text, "what and why");
    assert_false(troubles_end(&troubles, TROUBLE_MTU, &a, &over));
    assert_int_equal(troubles.count, 2);
    assert_string_equal(troubles.trouble[0].text, "a");
    assert_string_equal(troubles.trouble[1].text, "c");
}

/* Whoever was told of the old one, as a monitor, knows its end by its words. */
static void one_that_says_something_else_takes_the_place_of_another(void **state)
{
    const struct mesh_addr at = address(1);
    struct trouble over;

    (void)state;
    assert_false(troubles_end_other(&troubles, TROUBLE_BLACK_HOLE, &at, "between a and b", &over));
    troubles_begin(&troubles, 1, TROUBLE_BLACK_HOLE, &at, "between a and b", ": see the MTU");
    assert_false(troubles_end_other(&troubles, TROUBLE_BLACK_HOLE, &at, "between a and b", &over));
    assert_int_equal(troubles.count, 1);
    assert_true(troubles_end_other(&troubles, TROUBLE_BLACK_HOLE, &at, "between a", &over));
    assert_string_equal(over.text, "between a and b: see the MTU");
    assert_int_equal(over.what_bytes, strlen("between a and b"));
    assert_int_equal(troubles.count, 0);
}

static void there_is_a_limit_to_how_many_are_noted(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= TROUBLES_MAX; port++) {
        const struct mesh_addr at = address(port);

        assert_non_null(troubles_begin(&troubles, port, TROUBLE_FLAPPING, &at, "x", ""));
    }
    assert_null(troubles_begin(&troubles, 99, TROUBLE_ISOLATED, NULL, "y", ""));
    assert_int_equal(troubles.count, TROUBLES_MAX);
}

static void those_beyond_the_limit_are_counted_until_they_end_or_there_is_room(void **state)
{
    const struct mesh_addr first = address(1), late = address(999);

    there_is_a_limit_to_how_many_are_noted(state);
    assert_int_equal(troubles.unlisted_count, 1);
    assert_null(troubles_begin(&troubles, 100, TROUBLE_ISOLATED, NULL, "y", ""));
    assert_null(troubles_begin(&troubles, 100, TROUBLE_FLAPPING, &late, "z", ""));
    assert_int_equal(troubles.unlisted_count, 2);
    assert_int_equal(troubles_count(&troubles, TROUBLE_FLAPPING), TROUBLES_MAX + 1);
    assert_int_equal(troubles_count(&troubles, TROUBLE_ISOLATED), 1);
    assert_false(troubles_end(&troubles, TROUBLE_ISOLATED, NULL, NULL));
    assert_int_equal(troubles.unlisted_count, 1);
    assert_true(troubles_end(&troubles, TROUBLE_FLAPPING, &first, NULL));
    assert_non_null(troubles_begin(&troubles, 101, TROUBLE_FLAPPING, &late, "z", ""));
    assert_int_equal(troubles.unlisted_count, 0);
    assert_int_equal(troubles_count(&troubles, TROUBLE_FLAPPING), TROUBLES_MAX);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < TROUBLE_KINDS; kind++)
        assert_non_null(trouble_name((enum trouble_kind)kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_trouble_begins_once_and_its_text_is_the_newest, forget),
        cmocka_unit_test_setup(those_of_a_kind_are_told_apart_by_whom_they_are_about, forget),
        cmocka_unit_test_setup(the_end_of_one_leaves_the_others_in_order, forget),
        cmocka_unit_test_setup(one_that_says_something_else_takes_the_place_of_another, forget),
        cmocka_unit_test_setup(there_is_a_limit_to_how_many_are_noted, forget),
        cmocka_unit_test_setup(those_beyond_the_limit_are_counted_until_they_end_or_there_is_room, forget),
        cmocka_unit_test(every_kind_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
