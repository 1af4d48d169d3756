/* Sending to a multicast group: once for all members that hear it, separately to each that does not, and by resends to one that has ceased
 * to hear it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"
#include "simbench.h"
#include "tapes.h"

enum { RANKS = 4, PHASES = 5, BLOCKS = 32, GROUP_BYTES = 1472 };

static uint64_t step;

static void consume(struct net *net, uint16_t rank, const struct mesh_event *event)
{
    if (event->type == MESH_EVENT_COMPLETE)
        mesh_consume(net->mesh[rank], net->now_ns, event->step, event->phase);
}

static struct net *open_net(uint16_t ranks, uint32_t group_bytes, uint64_t deaf)
{
    struct net *net = net_new(ranks);

    net->group_bytes = group_bytes;
    net->deaf = deaf;
    net->on_event = consume;
    step = 0;
    net_up(net);
    return net;
}

/* Gathers one after the other, each of which must arrive whole. */
static void work(struct net *net, unsigned gathers, uint16_t tokens)
{
    struct net_gather gather;

    for (unsigned i = 0; i < gathers; i++, step++) {
        net_gather_init(net, &gather, step / PHASES, (uint16_t)(step % PHASES), tokens, BLOCKS);
        for (uint16_t rank = 0; rank < net->count; rank++)
            assert_int_equal(net_gather_open(net, &gather, rank), 0);
        for (uint16_t rank = 0; rank < net->count; rank++)
            assert_int_equal(net_gather_publish(net, &gather, rank), 0);
        net_run(net, 40 * (uint64_t)NET_MS);
        for (uint16_t rank = 0; rank < net->count; rank++)
            assert_true(net_gather_is_whole(net, &gather, rank));
        net_gather_release(net, &gather);
    }
}

static bool hears(const struct net *net, uint16_t rank, uint16_t peer)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(net->mesh[rank], peer, &stats);
    return stats.hears_group;
}

static uint64_t lost(const struct net *net, uint16_t rank, uint16_t peer)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(net->mesh[rank], peer, &stats);
    return stats.lost;
}

/* The number of datagrams with tiles that left a rank, for every tile of its own. */
static unsigned tile_sends(struct net *net, uint16_t tokens)
{
    const unsigned before = net->tile_sends[0];

    work(net, 1, tokens);
    return net->tile_sends[0] - before;
}

static void a_tile_for_all_is_sent_once_when_all_hear_the_group(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 0);

    (void)state;
    assert_int_equal(tile_sends(net, 1), 1);
    assert_int_equal(net->sent[0][MESH_TYPE_TILE], RANKS - 1);
    assert_int_equal(net->sent[0][MESH_TYPE_NAK] + net->sent[1][MESH_TYPE_NAK], 0);
    assert_int_equal(lost(net, 1, 0), 0);
    net_free(net);
}

static void without_a_group_a_tile_goes_to_each(void **state)
{
    struct net *net = open_net(RANKS, 0, 0);

    (void)state;
    assert_int_equal(tile_sends(net, 1), RANKS - 1);
    assert_false(hears(net, 0, 1));
    net_free(net);
}

static void who_does_not_hear_the_group_is_sent_to_alone(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 1 << 2);

    (void)state;
    assert_true(hears(net, 0, 1) && hears(net, 0, 3) && !hears(net, 0, 2));
    assert_int_equal(tile_sends(net, 1), 2);
    assert_int_equal(net->sent[2][MESH_TYPE_NAK], 0);
    assert_int_equal(lost(net, 2, 0), 2); /* the probes */
    assert_int_equal(lost(net, 1, 0), 0);
    net_free(net);
}

static void when_one_alone_hears_the_group_all_are_sent_to_one_by_one(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 1 << 2 | 1 << 3);

    (void)state;
    assert_true(hears(net, 0, 1));
    assert_int_equal(tile_sends(net, 1), RANKS - 1);
    net_free(net);
}

static void two_ranks_have_no_use_for_a_group(void **state)
{
    struct net *net = open_net(2, GROUP_BYTES, 0);

    (void)state;
    assert_int_equal(tile_sends(net, 1), 1);
    assert_false(hears(net, 0, 1));
    assert_int_equal(net->group_sends, 0);
    net_free(net);
}

static void what_is_too_long_for_the_group_goes_one_by_one(void **state)
{
    struct net *net = open_net(RANKS, MESH_DATAGRAM_BYTES_MIN, 0);

    (void)state;
    assert_int_equal(tile_sends(net, 1), 1);
    assert_int_equal(tile_sends(net, 4), RANKS - 1); /* 1152 bytes and headers: one datagram, if it may have 1452 */
    net_free(net);
}

static void who_ceases_to_hear_is_resent_to_and_then_sent_to_alone(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 0);

    (void)state;
    work(net, 3, 1);
    net->deaf = 1 << 2;
    work(net, 4, 1);
    assert_true(net->sent[2][MESH_TYPE_NAK] >= 4);
    assert_false(hears(net, 0, 2));
    assert_true(hears(net, 0, 1) && hears(net, 0, 3));
    work(net, 1, 1); /* later numbers reveal the losses */
    const uint64_t lost_then = lost(net, 2, 0);
    const unsigned naks_then = net->sent[2][MESH_TYPE_NAK];
    assert_int_equal(lost_then, 4);
    work(net, 10, 1);
    assert_int_equal(lost(net, 2, 0), lost_then);
    assert_int_equal(net->sent[2][MESH_TYPE_NAK], naks_then);
    assert_int_equal(lost(net, 1, 0), 0);
    net_free(net);
}

static void who_hears_again_is_found_out_and_more_seldom_each_time(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 1 << 2);

    (void)state;
    net_run(net, 4000 * (uint64_t)NET_MS);
    assert_false(hears(net, 0, 2));
    net->deaf = 0;
    net_run(net, 1000 * (uint64_t)NET_MS);
    assert_false(hears(net, 0, 2));
    net_run(net, 1500 * (uint64_t)NET_MS);
    assert_true(hears(net, 0, 2));
    assert_int_equal(tile_sends(net, 1), 1);
    assert_int_equal(lost(net, 2, 0), 4); /* two probes at first, and two after 2 s */
    net_free(net);
}

static bool all_hear(const struct net *net)
{
    for (uint16_t rank = 0; rank < net->count; rank++)
        for (uint16_t peer = 0; peer < net->count; peer++)
            if (rank != peer && !hears(net, rank, peer))
                return false;
    return true;
}

static void fall_silent_for_a_second(struct net *net, uint64_t deaf)
{
    net->deaf = deaf;
    work(net, 25, 1);
    assert_false(all_hear(net));
    net->deaf = 0;
}

static void all_who_cease_to_hear_at_once_are_asked_again_soon(void **state)
{
    struct net *net = open_net(8, GROUP_BYTES, 0);

    (void)state;
    assert_true(all_hear(net));
    fall_silent_for_a_second(net, 0xfe);
    net_run(net, 2500 * (uint64_t)NET_MS);
    assert_true(all_hear(net));
    net_free(net);
}

static void a_failure_long_after_another_is_as_short_as_the_first(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 0);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fall_silent_for_a_second(net, 1 << 2 | 1 << 3);
        net_run(net, 2500 * (uint64_t)NET_MS);
        assert_true(all_hear(net));
        net_run(net, 5000 * (uint64_t)NET_MS);
    }
    net_free(net);
}

static void who_ceases_to_hear_soon_again_is_asked_more_seldom(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 0);

    (void)state;
    fall_silent_for_a_second(net, 1 << 2);
    net_run(net, 1500 * (uint64_t)NET_MS);
    assert_true(all_hear(net));
    fall_silent_for_a_second(net, 1 << 2);
    net_run(net, 1500 * (uint64_t)NET_MS);
    assert_false(all_hear(net));
    net_run(net, 2000 * (uint64_t)NET_MS);
    assert_true(all_hear(net));
    net_free(net);
}

/* Every question whether it hears the group is a number that a rank without the group misses. */
static void a_rank_that_does_not_hear_the_group_loses_no_data(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 1 << 3);
    struct mesh_peer_stats sender, receiver;

    (void)state;
    for (unsigned second = 0; second < 100; second++) {
        net_run(net, 1000 * (uint64_t)NET_MS);
        work(net, 1, 1);
        mesh_get_peer_stats(net->mesh[0], 3, &sender);
        assert_int_equal(sender.loss_ppm, 0);
    }
    mesh_get_peer_stats(net->mesh[3], 0, &receiver);
    assert_in_range(receiver.lost, 10, 20);
    assert_int_equal(sender.probes_lost, receiver.lost);
    mesh_get_peer_stats(net->mesh[0], 1, &sender);
    assert_int_equal(sender.probes_lost, 0);
    net_free(net);
}

/* Loss alone is no reason: only a member that has to ask gather after gather is taken for deaf. */
static bool lose_some(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)bytes;
    return message->header.type == MESH_TYPE_TILE && from == 0 && to == 2 && !(message->header.flags & MESH_FLAG_RESEND) && step % 3 < 2;
}

static void who_loses_tiles_now_and_then_stays_in_the_group(void **state)
{
    struct net *net = open_net(RANKS, GROUP_BYTES, 0);

    (void)state;
    net->drop = lose_some;
    work(net, 30, 1);
    assert_true(hears(net, 0, 2));
    assert_true(net->sent[2][MESH_TYPE_NAK] >= 15);
    net_free(net);
}

/* ---- over a bad network, sealed where this build can, and run again from tapes ---- */

static struct simbench bench;
static struct tape tapes[RANKS];

static void exchange_over_a_bad_network(uint64_t seed)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    link.loss_ppm = 30000;
    link.duplicate_ppm = 20000;
    link.reorder_ppm = 20000;
    link.reorder_ns = SIM_US(300);
    simshape_random(&shape, seed, RANKS, 6, 60);
    shape.step_count = 12;
    simbench_init(&bench, &shape, seed, &link);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        tape_init(&tapes[rank]);
        bench.configs[rank].tap = &tapes[rank].tap;
    }
    simbench_start(&bench);
    simbench_seal(&bench, MESH_SECURITY_SEAL);
    for (uint16_t rank = 0; rank < RANKS; rank++)
        mesh_set_group(bench.apps[rank].mesh, 1472);
    assert_true(simbench_join(&bench, SIM_S(2)));
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(60), NULL, NULL);
    mesh_sim_set_deaf(bench.sim, (uint16_t)(seed % RANKS), true);
    if (!simbench_exchange(&bench, SIM_S(20)))
        fail_msg("seed %llu: %s", (unsigned long long)seed, bench.error);
}

static void whoever_is_deaf_everything_arrives_and_runs_again_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        exchange_over_a_bad_network(seed);
        for (uint16_t rank = 0; rank < RANKS; rank++) {
            struct mesh_rerun *rerun;

            assert_int_equal(tape_rerun(&tapes[rank], &rerun), 0);
            assert_int_equal(mesh_rerun_state_hash(rerun), mesh_state_hash(bench.apps[rank].mesh));
            mesh_rerun_close(rerun);
            tape_release(&tapes[rank]);
        }
        assert_int_equal(simbench_refused(&bench), 0);
        simbench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tile_for_all_is_sent_once_when_all_hear_the_group),
        cmocka_unit_test(without_a_group_a_tile_goes_to_each),
        cmocka_unit_test(who_does_not_hear_the_group_is_sent_to_alone),
        cmocka_unit_test(when_one_alone_hears_the_group_all_are_sent_to_one_by_one),
        cmocka_unit_test(two_ranks_have_no_use_for_a_group),
        cmocka_unit_test(what_is_too_long_for_the_group_goes_one_by_one),
        cmocka_unit_test(who_ceases_to_hear_is_resent_to_and_then_sent_to_alone),
        cmocka_unit_test(who_hears_again_is_found_out_and_more_seldom_each_time),
        cmocka_unit_test(all_who_cease_to_hear_at_once_are_asked_again_soon),
        cmocka_unit_test(a_failure_long_after_another_is_as_short_as_the_first),
        cmocka_unit_test(who_ceases_to_hear_soon_again_is_asked_more_seldom),
        cmocka_unit_test(who_loses_tiles_now_and_then_stays_in_the_group),
        cmocka_unit_test(a_rank_that_does_not_hear_the_group_loses_no_data),
        cmocka_unit_test(whoever_is_deaf_everything_arrives_and_runs_again_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
