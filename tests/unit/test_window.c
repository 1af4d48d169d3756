/* The window of received numbers: what is a duplicate, what is lost, late or only reordered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "libmesh/core/mix.h"
#include "net.h"

static struct net *net;
static struct mesh *mesh;
static struct mesh_peer *peer;

static int begin(void **state)
{
    (void)state;
    net = net_new(2);
    net_start(net);
    mesh = net->mesh[0];
    peer = &mesh->peers[1];
    peer->state = MESH_PEER_UP;
    mesh_window_reset(peer);
    return 0;
}

static int end(void **state)
{
    (void)state;
    net_free(net);
    return 0;
}

static bool has(uint64_t number)
{
    return mesh_window_has(&peer->seen[1], number);
}

static void add(uint64_t number)
{
    assert_false(has(number));
    mesh_window_add(mesh, peer, true, number);
    assert_true(has(number));
}

static void wait_ns(uint64_t span_ns)
{
    mesh->now_ns += span_ns;
    mesh_window_tick(mesh, peer);
}

static void each_number_is_taken_once_in_any_order(void **state)
{
    static const uint64_t order[] = {1, 4, 2, 3, 64, 63, 65, 5, 129, 128};

    (void)state;
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        add(order[i]);
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        assert_true(has(order[i]));
    assert_false(has(6));
    assert_false(has(62));
    assert_false(has(66));
    assert_false(has(130));
    assert_false(mesh_window_has(&peer->seen[0], 1)); /* each space has its own */
    assert_int_equal(peer->stats.reordered, 5);
}

/* Steps forward and back, of up to more than the window, compared with a list of all numbers. */
static void the_window_agrees_with_a_list_of_numbers(void **state)
{
    enum { NUMBERS = 20000 };
    static bool taken[2 * NUMBERS];
    const struct mesh_window *window = &peer->seen[1];

    (void)state;
    memset(taken, 0, sizeof taken);
    for (uint64_t i = 0; window->highest < NUMBERS; i++) {
        const uint64_t span = mesh_draw_below(mesh_draw(1, 0, i), 40) == 0 ? 3 * MESH_NUMBERS : 80;
        const uint64_t next = window->highest + mesh_draw_below(mesh_draw(1, 1, i), span) + 1, back = span / 2;
        const uint64_t number = next > back ? next - back : 1;

        if (!has(number)) {
            add(number);
            taken[number] = true;
        }
        for (uint64_t at = window->highest + 10; at > 0 && at + MESH_NUMBERS + 10 > window->highest; at--)
            if (has(at) != (taken[at] || at + MESH_NUMBERS <= window->highest))
                fail_msg("after %u: number %u, highest %u", (unsigned)i, (unsigned)at, (unsigned)window->highest);
    }
}

static void what_is_too_old_to_tell_is_taken_for_a_duplicate(void **state)
{
    (void)state;
    add(1);
    add(MESH_NUMBERS + 2); /* 1 and 2 are as far back as the window goes, and further */
    assert_true(has(1));
    assert_true(has(2));
    assert_false(has(3));
    add(3);
    add(MESH_NUMBERS + 3);
    assert_true(has(3));
    assert_false(has(4));
}

/* After a jump of the whole window and more, nothing of what it held is left. */
static void a_jump_forgets_what_the_window_held(void **state)
{
    static const uint64_t jumps[] = {MESH_NUMBERS - 1, MESH_NUMBERS, MESH_NUMBERS + 1, 10 * MESH_NUMBERS + 7};

    (void)state;
    for (unsigned i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        mesh_window_reset(peer);
        for (uint64_t number = 1; number <= MESH_NUMBERS; number++)
            add(number);
        add(MESH_NUMBERS + 1 + jumps[i]);
        const uint64_t before = MESH_NUMBERS + jumps[i], oldest = before + 2 - MESH_NUMBERS;

        for (uint64_t number = oldest > MESH_NUMBERS ? oldest : MESH_NUMBERS + 1; number <= before; number++)
            assert_false(has(number));
    }
}

static void what_is_missing_for_the_reorder_delay_is_lost_and_late_when_it_comes(void **state)
{
    const uint64_t delay_ns = mesh->config.reorder_delay_ns;

    (void)state;
    add(1);
    add(5);
    assert_true(mesh_timeout(mesh) <= mesh->now_ns + delay_ns);
    add(3);
    wait_ns(delay_ns - 1);
    assert_int_equal(peer->stats.lost, 0);
    wait_ns(1);
    assert_int_equal(peer->stats.lost, 2);
    wait_ns(10 * delay_ns);
    assert_int_equal(peer->stats.lost, 2);
    add(2);
    assert_int_equal(peer->stats.lost, 1);
    assert_int_equal(peer->stats.late, 1);
    assert_int_equal(peer->stats.reordered, 2);
    add(10); /* the next gap is judged, too */
    wait_ns(delay_ns);
    assert_int_equal(peer->stats.lost, 5);
}

/* Missing numbers that were skipped after the delay had begun are judged a delay later. */
static void each_gap_has_the_whole_delay(void **state)
{
    const uint64_t delay_ns = mesh->config.reorder_delay_ns;

    (void)state;
    add(1);
    add(3);
    wait_ns(delay_ns / 2);
    add(8);
    add(6);
    wait_ns(delay_ns - delay_ns / 2);
    assert_int_equal(peer->stats.lost, 1);
    add(7);
    wait_ns(delay_ns - 1);
    assert_int_equal(peer->stats.lost, 1);
    wait_ns(1);
    assert_int_equal(peer->stats.lost, 3);
    assert_int_equal(peer->stats.late, 0);
}

static void what_fills_a_gap_that_is_not_judged_yet_is_not_lost(void **state)
{
    const uint64_t delay_ns = mesh->config.reorder_delay_ns;

    (void)state;
    add(1);
    add(3);
    add(5);
    add(4);
    wait_ns(delay_ns);
    wait_ns(delay_ns);
    assert_int_equal(peer->stats.lost, 1);
    assert_int_equal(peer->stats.late, 0);
}

static void numbers_from_before_a_peer_was_up_are_not_lost(void **state)
{
    (void)state;
    peer->state = MESH_PEER_ASKED;
    add(1000);
    assert_true(has(999));
    assert_true(has(1));
    peer->state = MESH_PEER_UP;
    add(1002);
    wait_ns(mesh->config.reorder_delay_ns);
    assert_int_equal(peer->stats.lost, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_number_is_taken_once_in_any_order, begin, end),
        cmocka_unit_test_setup_teardown(the_window_agrees_with_a_list_of_numbers, begin, end),
        cmocka_unit_test_setup_teardown(what_is_too_old_to_tell_is_taken_for_a_duplicate, begin, end),
        cmocka_unit_test_setup_teardown(a_jump_forgets_what_the_window_held, begin, end),
        cmocka_unit_test_setup_teardown(what_is_missing_for_the_reorder_delay_is_lost_and_late_when_it_comes, begin, end),
        cmocka_unit_test_setup_teardown(each_gap_has_the_whole_delay, begin, end),
        cmocka_unit_test_setup_teardown(what_fills_a_gap_that_is_not_judged_yet_is_not_lost, begin, end),
        cmocka_unit_test_setup_teardown(numbers_from_before_a_peer_was_up_are_not_lost, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
