#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libmesh/core/core.h"
#include "net.h"

/* Ranks 0, 1 and 2 with an open gather of 30 blocks, 10 of each. */
static struct net_gather gather;

static struct net *setup(void)
{
    struct net *net = net_new(3);

    net_up(net);
    net_gather_init(net, &gather, 1, 0, 1, 30);
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(net_gather_open(net, &gather, rank), 0);
    return net;
}

static void finish(struct net *net)
{
    net_gather_release(net, &gather);
    net_free(net);
}

static uint16_t dead; /* rank whose datagrams do not arrive */

static bool drop_of_the_dead(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)message, (void)bytes;
    return from == dead || to == dead;
}

static uint64_t silent(const struct net *net, uint16_t rank)
{
    return mesh_silent_ranks(net->mesh[rank], net->now_ns);
}

static void a_rank_that_owes_and_says_nothing_is_silent_after_twenty_milliseconds(void **state)
{
    struct net *net = setup();

    (void)state;
    dead = 2;
    net->drop = drop_of_the_dead;
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    net_run(net, 19 * NET_MS);
    assert_int_equal(silent(net, 0), 0);
    net_run(net, 2 * NET_MS);
    assert_int_equal(silent(net, 0), 1 << 2);
    assert_int_equal(silent(net, 1), 1 << 2);
    finish(net);
}

/* A wire that has become slow: all that the rank says is in its queue for as long as the path's last answers were. */
static void who_is_far_away_may_be_silent_for_two_round_trips(void **state)
{
    struct net *net = setup();
    struct mesh_peer_stats stats;
    uint64_t two_ns;

    (void)state;
    net->delay_ns = 40 * NET_MS;
    net_run(net, 20000 * (uint64_t)NET_MS);
    mesh_get_peer_stats(net->mesh[0], 2, &stats);
    assert_in_range(stats.rtt_ns_smoothed, 60 * NET_MS, 80 * NET_MS);
    two_ns = 2 * (net->mesh[0]->peers[2].rtt_ns + 4 * net->mesh[0]->peers[2].rtt_deviation_ns);
    assert_in_range(two_ns, 140 * NET_MS, 300 * NET_MS);
    dead = 2;
    net->drop = drop_of_the_dead;
    net_run(net, 50 * NET_MS);
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    net->mesh[0]->peers[2].heard_ns = net->now_ns;
    net_run(net, two_ns - NET_MS);
    assert_int_equal(silent(net, 0), 0);
    net_run(net, 2 * NET_MS);
    assert_int_equal(silent(net, 0), 1 << 2);
    finish(net);
}

static void a_rank_that_says_not_computed_yet_is_not_silent(void **state)
{
    struct net *net = setup();

    (void)state;
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    for (unsigned i = 0; i < 50; i++) { /* rank 2 computes for half a second */
        net_run(net, 10 * NET_MS);
        assert_int_equal(silent(net, 0) | silent(net, 1), 0);
    }
    assert_true(net->sent[2][MESH_TYPE_NOT_YET] > 0);
    finish(net);
}

/* What it owes never comes, and others have been told of that. */
static void a_rank_that_has_left_is_not_silent(void **state)
{
    struct net *net = setup();

    (void)state;
    mesh_goodbye(net->mesh[2], net->now_ns);
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    net_run(net, 500 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_GONE], 1);
    assert_int_equal(silent(net, 0) | silent(net, 1), 0);
    finish(net);
}

static void a_rank_that_owes_nothing_may_be_silent(void **state)
{
    struct net *net = setup();

    (void)state;
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(net_gather_publish(net, &gather, rank), 0);
    net_run(net, 5 * NET_MS);
    dead = 2;
    net->drop = drop_of_the_dead;
    net_run(net, 900 * NET_MS);
    assert_int_equal(silent(net, 0), 0);
    finish(net);
}

/* Its process did not get a processor, so datagrams of the others are unread. */
static void who_was_not_called_when_it_was_due_takes_nobody_for_silent(void **state)
{
    struct net *net = setup();

    (void)state;
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    net_run(net, 5 * NET_MS);
    assert_int_equal(mesh_silent_ranks(net->mesh[0], net->now_ns + 60 * NET_MS), 0);
    dead = 2;
    net->drop = drop_of_the_dead;
    net_run(net, 60 * NET_MS);
    assert_int_equal(silent(net, 0), 1 << 2);
    finish(net);
}

/* ---- heard, but nothing large passes ---- */

enum { NARROW_BYTES = 400, RECORD_BYTES = 900 };

/* Drops what rank 1 sends to rank 0, and nothing else. */
static bool drop_large(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)message;
    return from == 1 && to == 0 && bytes > NARROW_BYTES;
}

static uint64_t starved(const struct net *net, uint16_t rank)
{
    return mesh_starved_ranks(net->mesh[rank], net->now_ns);
}

static void who_lacks_what_a_heard_rank_has_sent_for_three_seconds_is_starved_by_it(void **state)
{
    struct net *net = setup();

    (void)state;
    net->drop = drop_large;
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(net_gather_publish(net, &gather, rank), 0);
    net_run(net, 2900 * (uint64_t)NET_MS);
    assert_int_equal(starved(net, 0), 0);
    net_run(net, 400 * NET_MS);
    assert_int_equal(starved(net, 0), 1 << 1);
    assert_int_equal(starved(net, 1), 1 << 0); /* the result stays the same */
    assert_int_equal(starved(net, 2), 0);
    net->drop = NULL;
    net_run(net, 50 * NET_MS);
    assert_int_equal(starved(net, 0) | starved(net, 1), 0);
    assert_true(net_gather_is_whole(net, &gather, 0));
    finish(net);
}

static bool drop_large_of_all(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)message;
    return to == 0 && bytes > NARROW_BYTES;
}

static void all_that_starve_a_rank_are_named(void **state)
{
    struct net *net = setup();

    (void)state;
    net->drop = drop_large_of_all;
    for (uint16_t rank = 1; rank < 3; rank++)
        assert_int_equal(net_gather_publish(net, &gather, rank), 0);
    net_run(net, 3300 * (uint64_t)NET_MS);
    assert_int_equal(starved(net, 0), 1 << 1 | 1 << 2);
    finish(net);
}

/* They might all be late, so that most are not sent again at once. */
static void who_lacks_several_tiles_is_starved_as_well(void **state)
{
    enum { TOKENS = 8, BLOCKS = 20 };
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, TOKENS, 2 * BLOCKS);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gather, rank), 0);
    net->drop = drop_large;
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    for (uint16_t token = 0; token < TOKENS; token++) {
        assert_int_equal(mesh_publish(net->mesh[1], net->now_ns, 1, 0, token, 1, BLOCKS, BLOCKS), 0);
        net_flush(net);
    }
    net_run(net, 3300 * (uint64_t)NET_MS);
    assert_int_equal(starved(net, 0), 1 << 1);
    finish(net);
}

static void a_rank_that_has_not_computed_yet_starves_nobody(void **state)
{
    struct net *net = setup();

    (void)state;
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 2), 0);
    net_run(net, 5000 * (uint64_t)NET_MS);
    assert_int_equal(starved(net, 0) | starved(net, 2), 0);
    finish(net);
}

static bool drop_every_third(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    unsigned *count = net->app;

    (void)message, (void)bytes;
    return from == 1 && to == 0 && ++*count % 3 == 0;
}

/* What is lost of it is not what is waited for: it says so. */
static void nor_does_one_of_which_much_is_lost(void **state)
{
    struct net *net = setup();
    struct mesh_peer_stats stats;
    unsigned count = 0;

    (void)state;
    net->drop = drop_every_third;
    net->app = &count;
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 2), 0);
    net_run(net, 8000 * (uint64_t)NET_MS);
    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    assert_true(stats.lost > 10);
    assert_int_equal(starved(net, 0), 0);
    finish(net);
}

static void a_rank_that_is_not_heard_starves_nobody(void **state)
{
    struct net *net = setup();

    (void)state;
    dead = 2;
    net->drop = drop_of_the_dead;
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(net_gather_publish(net, &gather, rank), 0);
    net_run(net, 5000 * (uint64_t)NET_MS);
    assert_int_equal(starved(net, 0), 0);
    assert_int_equal(silent(net, 0), 1 << 2);
    finish(net);
}

/* Its request is long ago, as it finds, and what has arrived meanwhile is unread. */
static void who_was_not_called_for_long_is_not_starved(void **state)
{
    struct net *net = setup();

    (void)state;
    net->drop = drop_large;
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(net_gather_publish(net, &gather, rank), 0);
    net_run(net, 20 * NET_MS);
    assert_int_equal(mesh_starved_ranks(net->mesh[0], net->now_ns + 10000 * (uint64_t)NET_MS), 0);
    finish(net);
}

static void a_large_record_that_does_not_arrive_starves_and_a_small_one_does_not(void **state)
{
    static const uint8_t record[RECORD_BYTES];
    struct net *net = setup();

    (void)state;
    net->drop = drop_large;
    assert_int_equal(mesh_send_record(net->mesh[1], net->now_ns, 0, record, sizeof record), 0);
    net_run(net, 2900 * (uint64_t)NET_MS);
    assert_int_equal(starved(net, 1), 0);
    net_run(net, 200 * NET_MS);
    assert_int_equal(starved(net, 1), 1 << 0);
    net->drop = NULL;
    net_run(net, 500 * NET_MS);
    assert_int_equal(starved(net, 1), 0);
    assert_int_equal(net->events[0][MESH_EVENT_RECORD], 1);
    finish(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_that_owes_and_says_nothing_is_silent_after_twenty_milliseconds),
        cmocka_unit_test(who_is_far_away_may_be_silent_for_two_round_trips),
        cmocka_unit_test(a_rank_that_says_not_computed_yet_is_not_silent),
        cmocka_unit_test(a_rank_that_has_left_is_not_silent),
        cmocka_unit_test(a_rank_that_owes_nothing_may_be_silent),
        cmocka_unit_test(who_was_not_called_when_it_was_due_takes_nobody_for_silent),
        cmocka_unit_test(who_lacks_what_a_heard_rank_has_sent_for_three_seconds_is_starved_by_it),
        cmocka_unit_test(all_that_starve_a_rank_are_named),
        cmocka_unit_test(who_lacks_several_tiles_is_starved_as_well),
        cmocka_unit_test(a_rank_that_has_not_computed_yet_starves_nobody),
        cmocka_unit_test(nor_does_one_of_which_much_is_lost),
        cmocka_unit_test(a_rank_that_is_not_heard_starves_nobody),
        cmocka_unit_test(who_was_not_called_for_long_is_not_starved),
        cmocka_unit_test(a_large_record_that_does_not_arrive_starves_and_a_small_one_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
