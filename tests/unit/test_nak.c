#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net.h"

/* Two ranks with an open gather of 40 blocks: 20 of each. */
static struct net_gather gathers[4];

static struct net *setup(uint16_t tokens)
{
    struct net *net = net_new(2);

    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, tokens, 40);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
    return net;
}

static void publish(struct net *net, unsigned block_first, unsigned blocks)
{
    assert_int_equal(
        mesh_publish(net->mesh[0], net->now_ns, 1, 0, 0, gathers[0].gather[0].token_count, (uint16_t)block_first, (uint16_t)blocks), 0);
    net_flush(net); /* a separate datagram */
}

static void finish(struct net *net)
{
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static struct mesh_peer_stats stats_of(struct net *net, uint16_t rank)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(net->mesh[rank], (uint16_t)(1 - rank), &stats);
    return stats;
}

/* Loses the original tiles whose bit is set in the mask. */
static bool drop_mask(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    uint64_t *mask = net->app;
    bool is_lost;

    (void)from, (void)to, (void)bytes;
    if (message->header.type != MESH_TYPE_TILE)
        return false;
    is_lost = *mask & 1;
    *mask >>= 1;
    return is_lost;
}

static void a_single_lost_tile_costs_one_nak_after_the_reorder_delay(void **state)
{
    struct net *net = setup(1);
    uint64_t mask = 4;

    (void)state;
    net->drop = drop_mask;
    net->app = &mask;
    for (unsigned block = 0; block < 20; block += 5)
        publish(net, block, 5);
    net_run(net, 149 * NET_US); /* the one-way delay and not quite the reorder delay */
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 0);
    net_run(net, 2 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
    net_run(net, 200 * NET_US);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 4);
    assert_int_equal(stats_of(net, 0).resent, 1);
    assert_int_equal(stats_of(net, 1).lost, 1);
    net_run(net, 20 * NET_MS);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
    finish(net);
}

/* A millisecond after rank 1 had the first gather it tells that; a moment before, it finds a gap in the second one. */
static void a_gap_is_noticed_in_time_by_who_has_something_else_to_do_before(void **state)
{
    struct net *net = setup(1);
    uint64_t mask = 2;

    (void)state;
    net->drop = drop_mask;
    net->app = &mask;
    net_gather_init(net, &gathers[1], 1, 1, 1, 40);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gathers[1], rank), 0);
    publish(net, 0, 20);
    net_run(net, 980 * NET_US);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    for (uint16_t block = 0; block < 20; block += 10) {
        assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 1, 0, 1, block, 10), 0);
        net_flush(net);
    }
    net_run(net, 140 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 0);
    assert_int_equal(net->sent[1][MESH_TYPE_STATUS], 1);
    net_run(net, 20 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
    net_gather_release(net, &gathers[1]);
    finish(net);
}

static uint64_t delay_first(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)from, (void)to;
    return message->header.type == MESH_TYPE_TILE && message->as.tile.block_first == 0 ? 30 * NET_US : 0;
}

static void reordering_within_the_delay_costs_no_nak(void **state)
{
    struct net *net = setup(1);

    (void)state;
    net->delay = delay_first;
    publish(net, 0, 10);
    publish(net, 10, 10);
    net_run(net, 20 * NET_MS);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 0);
    assert_int_equal(stats_of(net, 1).reordered, 1);
    assert_int_equal(stats_of(net, 1).lost, 0);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

static void a_lost_last_tile_is_asked_for_when_it_is_late(void **state)
{
    struct net *net = setup(1);
    uint64_t mask = 2;

    (void)state;
    net->drop = drop_mask;
    net->app = &mask;
    publish(net, 0, 10);
    publish(net, 10, 10);
    net_run(net, 3 * NET_MS);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

/* Usual times include waiting for repairs of others. If NAKs were delayed by all of that, each would lengthen the next delay. */
static void after_slow_gathers_a_lost_tile_is_asked_for_within_ten_milliseconds(void **state)
{
    struct net *net = net_new(2);
    uint64_t mask = 0;

    (void)state;
    net_up(net);
    for (uint64_t step = 0; step < 4; step++) {
        net_gather_init(net, &gathers[step], step, 0, 1, 40);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[step], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[step], 1), 0);
        if (step < 3)
            net_run(net, 900 * NET_MS);
        mask = step == 3;
        net->drop = drop_mask;
        net->app = &mask;
        assert_int_equal(net_gather_publish(net, &gathers[step], 0), 0);
        net_run(net, step < 3 ? 5 * NET_MS : 12 * NET_MS);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], step + 1);
        for (uint16_t rank = 0; rank < 2; rank++)
            mesh_consume(net->mesh[rank], net->now_ns, step, 0);
    }
    assert_int_equal(stats_of(net, 0).resent, 1);
    for (unsigned i = 0; i < 4; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

static void not_yet_puts_the_question_off(void **state)
{
    struct net *net = setup(1);
    unsigned naks;

    (void)state;
    net_run(net, 100 * NET_MS); /* nothing is published */
    naks = net->sent[1][MESH_TYPE_NAK];
    assert_in_range(naks, 4, 16);
    assert_int_equal(net->sent[0][MESH_TYPE_NOT_YET], naks);
    publish(net, 0, 20);
    net_run(net, 10 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(stats_of(net, 0).resent, 0);
    finish(net);
}

/* Rank 0 computes for a second each time, as it tells; it could also be dead since. */
static void a_rank_that_computes_for_long_is_asked_several_times_a_second(void **state)
{
    struct net *net = net_new(2);
    unsigned naks = 0;

    (void)state;
    net_up(net);
    for (uint64_t step = 0; step < 4; step++) {
        net_gather_init(net, &gathers[step], step, 0, 1, 40);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[step], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[step], 1), 0);
        naks = net->sent[1][MESH_TYPE_NAK];
        net_run(net, 1000 * NET_MS);
        naks = net->sent[1][MESH_TYPE_NAK] - naks;
        assert_int_equal(net_gather_publish(net, &gathers[step], 0), 0);
        net_run(net, 5 * NET_MS);
        for (uint16_t rank = 0; rank < 2; rank++)
            mesh_consume(net->mesh[rank], net->now_ns, step, 0);
    }
    assert_in_range(naks, 8, 12);
    for (unsigned i = 0; i < 4; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

static bool drop_naks(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    uint64_t *times = net->app;

    (void)to, (void)bytes;
    if (from == 1 && message->header.type == MESH_TYPE_NAK && times[0] < 9)
        times[++times[0]] = net->now_ns;
    return message->header.type == MESH_TYPE_NAK || message->header.type == MESH_TYPE_TILE;
}

static void unanswered_naks_are_repeated_with_a_delay_that_doubles_to_ten_milliseconds(void **state)
{
    struct net *net = setup(1);
    uint64_t times[10] = {0};

    (void)state;
    net->drop = drop_naks;
    net->app = times;
    publish(net, 0, 20);
    net_run(net, 80 * NET_MS);
    assert_int_equal(times[0], 9);
    for (unsigned i = 3; i <= 9; i++) {
        uint64_t before = times[i - 1] - times[i - 2], gap = times[i] - times[i - 1];

        assert_int_equal(gap, before * 2 < 10 * NET_MS ? before * 2 : 10 * NET_MS);
    }
    finish(net);
}

static void many_lost_tiles_are_asked_for_in_one_nak(void **state)
{
    struct net *net = setup(8);
    uint64_t mask = 0x2aa;

    (void)state;
    net->drop = drop_mask;
    net->app = &mask;
    for (unsigned block = 0; block < 20; block += 2)
        publish(net, block, 2);
    net_run(net, 900 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
    net_run(net, 5 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_in_range(net->sent[1][MESH_TYPE_NAK], 1, 2); /* the last tile, because it is late */
    finish(net);
}

static bool is_odd(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    const struct mesh_tile *tile = &message->as.tile;

    (void)net, (void)from, (void)to, (void)bytes;
    return message->header.type == MESH_TYPE_TILE && !(message->header.flags & MESH_FLAG_RESEND) &&
           (tile->token_first + tile->block_first) % 2;
}

/* Every second block of every second token: no two of them make a rectangle, and a NAK has room for 64. The usual time of the gather, which
 * is unknown, has not come yet. */
static void what_a_nak_has_no_room_for_is_asked_for_when_that_is_answered(void **state)
{
    struct net *net = setup(14);

    (void)state;
    net->drop = is_odd;
    for (uint16_t token = 0; token < 14; token++)
        for (uint16_t block = 0; block < 20; block++) {
            assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 0, token, 1, block, 1), 0);
            net_flush(net);
        }
    net_run(net, 1500 * NET_US);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(stats_of(net, 0).resent, 140);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 3);
    finish(net);
}

static bool drop_second_gather(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    unsigned *naks = net->app;

    (void)from, (void)to, (void)bytes;
    if (message->header.type == MESH_TYPE_NAK && message->as.nak.phase == 1)
        return (*naks)++ == 0; /* the first question is lost, too */
    return message->header.type == MESH_TYPE_TILE && !(message->header.flags & MESH_FLAG_RESEND) && message->as.tile.phase == 1 &&
           message->as.tile.block_first == 0;
}

/* The gather before, whose end makes this one the one that is waited for, must not put the question off. */
static void a_question_of_a_later_gather_is_repeated_in_its_own_time(void **state)
{
    struct net *net = setup(1);
    unsigned naks = 0;

    (void)state;
    net->drop = drop_second_gather;
    net->app = &naks;
    net_gather_init(net, &gathers[1], 1, 1, 1, 40);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gathers[1], rank), 0);
    for (uint16_t block = 0; block < 20; block += 10) {
        assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 1, 0, 1, block, 10), 0);
        net_flush(net);
    }
    net_run(net, 300 * NET_US);
    assert_int_equal(naks, 1);
    publish(net, 0, 20);
    net_run(net, 200 * NET_US);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    net_run(net, 700 * NET_US);
    assert_int_equal(naks, 2);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 2);
    net_gather_release(net, &gathers[1]);
    finish(net);
}

/* A gather so large that there is no room for its early tiles. */
static void what_came_too_early_and_was_not_kept_is_asked_for_at_once(void **state)
{
    struct net *net = net_new(2);
    struct mesh_stats stats;

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 64, 40);
    assert_int_equal(net_gather_open(net, &gathers[0], 0), 0);
    assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
    net_run(net, 4 * NET_MS);
    mesh_get_stats(net->mesh[1], &stats);
    assert_true(stats.early > 0);
    assert_int_equal(net_gather_open(net, &gathers[0], 1), 0);
    net_run(net, NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

/* Two ranks that wait for each other, gather by gather; returns the duration of the last one at rank 1. */
static uint64_t exchange(struct net *net, unsigned from, unsigned count)
{
    static struct net_gather gather;
    uint64_t start_ns = 0;

    for (unsigned i = from; i < from + count; i++) {
        const unsigned before = net->events[1][MESH_EVENT_COMPLETE];

        net_gather_init(net, &gather, 2 + i / 5, (uint16_t)(i % 5), 1, 40);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gather, rank), 0);
        start_ns = net->now_ns;
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_publish(net, &gather, rank), 0);
        while (net->events[1][MESH_EVENT_COMPLETE] == before && net->now_ns - start_ns < 100 * NET_MS)
            net_run(net, 10 * NET_US);
        start_ns = net->now_ns - start_ns;
        for (uint16_t rank = 0; rank < 2; rank++) {
            net_run(net, 5 * NET_MS);
            mesh_consume(net->mesh[rank], net->now_ns, 2 + i / 5, (uint16_t)(i % 5));
        }
        net_run(net, 5 * NET_MS); /* until both know that the other holds it */
        net_gather_release(net, &gather);
    }
    return start_ns;
}

/* The asked rank must not take the tile for one in flight, or each loss costs half a millisecond. */
static void a_lost_last_tile_is_repaired_two_round_trips_after_its_time(void **state)
{
    struct net *net = net_new(2);
    uint64_t mask = 1;

    (void)state;
    net_up(net);
    assert_in_range(exchange(net, 0, 60), 100 * NET_US, 110 * NET_US);
    net->drop = drop_mask;
    net->app = &mask;
    assert_in_range(exchange(net, 60, 1), 300 * NET_US, 500 * NET_US);
    assert_int_equal(stats_of(net, 0).resent + stats_of(net, 1).resent, 1);
    net_free(net);
}

/* Otherwise a lossy path would be asked ever later. */
static void repairs_do_not_count_as_the_usual_time(void **state)
{
    struct net *net = net_new(2);
    uint64_t mask, last_ns = 0;

    (void)state;
    net_up(net);
    exchange(net, 0, 60);
    net->drop = drop_mask;
    net->app = &mask;
    for (unsigned i = 0; i < 60; i++) {
        mask = 3; /* both ranks' tiles */
        last_ns = exchange(net, 60 + i, 1);
    }
    assert_in_range(last_ns, 300 * NET_US, 500 * NET_US);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_lost_tile_costs_one_nak_after_the_reorder_delay),
        cmocka_unit_test(a_gap_is_noticed_in_time_by_who_has_something_else_to_do_before),
        cmocka_unit_test(reordering_within_the_delay_costs_no_nak),
        cmocka_unit_test(a_lost_last_tile_is_asked_for_when_it_is_late),
        cmocka_unit_test(a_lost_last_tile_is_repaired_two_round_trips_after_its_time),
        cmocka_unit_test(repairs_do_not_count_as_the_usual_time),
        cmocka_unit_test(after_slow_gathers_a_lost_tile_is_asked_for_within_ten_milliseconds),
        cmocka_unit_test(not_yet_puts_the_question_off),
        cmocka_unit_test(a_rank_that_computes_for_long_is_asked_several_times_a_second),
        cmocka_unit_test(unanswered_naks_are_repeated_with_a_delay_that_doubles_to_ten_milliseconds),
        cmocka_unit_test(many_lost_tiles_are_asked_for_in_one_nak),
        cmocka_unit_test(what_a_nak_has_no_room_for_is_asked_for_when_that_is_answered),
        cmocka_unit_test(a_question_of_a_later_gather_is_repeated_in_its_own_time),
        cmocka_unit_test(what_came_too_early_and_was_not_kept_is_asked_for_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
