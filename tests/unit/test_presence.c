#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/serve/presence.h"

#define S UINT64_C(1000000000)

static struct presence presence;
static const uint8_t a[16] = {1}, b[16] = {2}, c[16] = {3};

static int forget(void **state)
{
    (void)state;
    presence = (struct presence){0};
    return 0;
}

static struct mesh_addr address(uint16_t port)
{
    return (struct mesh_addr){.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = port};
}

static const struct mesh_addr at = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = 1};

static bool is_twins(uint64_t now_ns)
{
    return presence_is_duplicate(&presence.entry[0], now_ns);
}

static void lose_and_regain(uint64_t now_ns, const uint8_t incarnation[16])
{
    presence_lost(&presence, now_ns, &at, false);
    presence_joined(&presence, now_ns, &at, incarnation);
}

static void who_is_lost_three_times_in_ten_minutes_is_lost_too_often(void **state)
{
    (void)state;
    presence_joined(&presence, S, &at, a);
    lose_and_regain(10 * S, a);
    lose_and_regain(20 * S, a);
    assert_int_equal(presence_losses(&presence.entry[0], 20 * S), 0);
    lose_and_regain(30 * S, a);
    assert_int_equal(presence_losses(&presence.entry[0], 30 * S), 3);
    assert_int_equal(presence_restarts(&presence.entry[0]), 0);
    assert_false(is_twins(30 * S));
    assert_int_equal(presence_losses(&presence.entry[0], 10 * S + PRESENCE_WINDOW_NS - 1), 3);
    assert_int_equal(presence_losses(&presence.entry[0], 10 * S + PRESENCE_WINDOW_NS), 0);
}

/* One cause is named: a member that a black hole excludes again and again is not said to flap, too. */
static void losses_with_a_known_cause_are_not_too_often(void **state)
{
    (void)state;
    lose_and_regain(10 * S, a);
    lose_and_regain(20 * S, a);
    presence_lost(&presence, 30 * S, &at, true);
    presence_joined(&presence, 31 * S, &at, a);
    assert_int_equal(presence_losses(&presence.entry[0], 32 * S), 0);
    lose_and_regain(40 * S, a);
    assert_int_equal(presence_losses(&presence.entry[0], 42 * S), 0);
    assert_int_equal(presence_losses(&presence.entry[0], 30 * S + PRESENCE_WINDOW_NS - 1), 0);
}

static void a_process_that_is_started_anew_each_time_is_known_for_that_and_is_no_twin(void **state)
{
    (void)state;
    presence_joined(&presence, S, &at, a);
    lose_and_regain(10 * S, b);
    lose_and_regain(20 * S, c);
    assert_int_equal(presence_restarts(&presence.entry[0]), 2);
    assert_false(is_twins(20 * S));
}

/* It was started anew in order, and after one loss of three; a restart before these is none of them. */
static void only_losses_after_which_another_process_came_back_are_restarts(void **state)
{
    static const uint8_t d[16] = {4};

    (void)state;
    presence_joined(&presence, S, &at, a);
    lose_and_regain(5 * S, b);
    lose_and_regain(10 * S, b);
    presence_joined(&presence, 15 * S, &at, c);
    lose_and_regain(20 * S, c);
    lose_and_regain(30 * S, d);
    assert_int_equal(presence_losses(&presence.entry[0], 30 * S), 3);
    assert_int_equal(presence_restarts(&presence.entry[0]), 1);
}

static void who_is_there_again_after_another_one_was_has_a_twin(void **state)
{
    (void)state;
    presence_joined(&presence, S, &at, a);
    lose_and_regain(10 * S, b);
    assert_false(is_twins(10 * S));
    lose_and_regain(20 * S, a);
    assert_true(is_twins(20 * S));
    assert_true(is_twins(20 * S + PRESENCE_DUPLICATE_NS - 1));
    assert_false(is_twins(20 * S + PRESENCE_DUPLICATE_NS));
}

static void who_speaks_from_a_member_s_address_for_seconds_is_its_twin(void **state)
{
    (void)state;
    presence_joined(&presence, S, &at, a);
    presence_heard(&presence, 2 * S, &at, a, true);
    presence_heard(&presence, 2 * S, &at, b, true);
    presence_heard(&presence, 2 * S + PRESENCE_APART_NS - 1, &at, b, true);
    assert_false(is_twins(4 * S));
    presence_heard(&presence, 2 * S + PRESENCE_APART_NS, &at, b, true);
    assert_true(is_twins(4 * S));
}

static void a_member_that_speaks_from_another_s_address_is_no_twin(void **state)
{
    const struct mesh_addr other = address(2);

    (void)state;
    presence_joined(&presence, S, &at, a);
    presence_joined(&presence, S, &other, b);
    presence_heard(&presence, 2 * S, &at, b, true);
    presence_heard(&presence, 2 * S + PRESENCE_APART_NS, &at, b, true);
    assert_false(is_twins(4 * S));
    presence_lost(&presence, 5 * S, &other, false); /* it has changed its address to one already taken */
    presence_heard(&presence, 6 * S, &at, b, true);
    presence_heard(&presence, 6 * S + PRESENCE_APART_NS, &at, b, true);
    assert_true(is_twins(8 * S));
}

static void who_is_started_anew_speaks_before_the_old_process_is_lost_and_is_no_twin(void **state)
{
    (void)state;
    presence_joined(&presence, S, &at, a);
    presence_heard(&presence, 2 * S, &at, b, true); /* a has been heard a moment ago */
    presence_heard(&presence, 4 * S, &at, b, false);
    presence_lost(&presence, 5 * S, &at, false);
    presence_heard(&presence, 6 * S, &at, b, false);
    presence_joined(&presence, 7 * S, &at, b);
    presence_heard(&presence, 9 * S, &at, b, true);
    assert_false(is_twins(9 * S));
}

static void who_is_lost_lacks_until_it_is_back_speaks_or_is_given_up(void **state)
{
    const struct mesh_addr other = address(2);

    (void)state;
    presence_joined(&presence, S, &at, a);
    presence_joined(&presence, S, &other, b);
    assert_null(presence_missing(&presence, S, S));
    presence_lost(&presence, 2 * S, &other, false);
    assert_int_equal(presence_missing(&presence, 2 * S, 2 * S)->at.port, 2);
    assert_null(presence_missing(&presence, 2 * S + PRESENCE_WINDOW_NS, 2 * S));
    presence_heard(&presence, 3 * S, &other, b, false);
    assert_null(presence_missing(&presence, 4 * S, 2 * S));
    assert_non_null(presence_missing(&presence, 4 * S, 4 * S));
    presence_joined(&presence, 5 * S, &other, b);
    assert_null(presence_missing(&presence, 5 * S, 5 * S));
}

static void the_address_that_was_heard_of_longest_ago_gives_its_place(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= PRESENCE_MAX + 1; port++) {
        const struct mesh_addr where = address(port);

        presence_joined(&presence, port * S, &where, a);
    }
    assert_int_equal(presence.count, PRESENCE_MAX);
    assert_int_equal(presence.entry[0].at.port, PRESENCE_MAX + 1);
    assert_int_equal(presence.entry[1].at.port, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_is_lost_three_times_in_ten_minutes_is_lost_too_often, forget),
        cmocka_unit_test_setup(losses_with_a_known_cause_are_not_too_often, forget),
        cmocka_unit_test_setup(only_losses_after_which_another_process_came_back_are_restarts, forget),
        cmocka_unit_test_setup(a_process_that_is_started_anew_each_time_is_known_for_that_and_is_no_twin, forget),
        cmocka_unit_test_setup(who_is_there_again_after_another_one_was_has_a_twin, forget),
        cmocka_unit_test_setup(who_speaks_from_a_member_s_address_for_seconds_is_its_twin, forget),
        cmocka_unit_test_setup(a_member_that_speaks_from_another_s_address_is_no_twin, forget),
        cmocka_unit_test_setup(who_is_started_anew_speaks_before_the_old_process_is_lost_and_is_no_twin, forget),
        cmocka_unit_test_setup(who_is_lost_lacks_until_it_is_back_speaks_or_is_given_up, forget),
        cmocka_unit_test_setup(the_address_that_was_heard_of_longest_ago_gives_its_place, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
