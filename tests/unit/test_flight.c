#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "net.h"

static struct net_gather gather;

static struct net *setup_tokens(uint16_t tokens)
{
    struct net *net = net_new(2);

    net_up(net);
    net_gather_init(net, &gather, 1, 0, tokens, 40);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gather, rank), 0);
    return net;
}

static struct net *setup(void)
{
    return setup_tokens(1);
}

static void finish(struct net *net)
{
    net_gather_release(net, &gather);
    net_free(net);
}

static void publish(struct net *net, unsigned block_first, unsigned blocks)
{
    assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 0, 0, 1, (uint16_t)block_first, (uint16_t)blocks), 0);
    net_flush(net); /* a separate datagram */
}

static uint64_t resent(struct net *net)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    return stats.resent;
}

static bool is_tile(const struct mesh_message *message)
{
    return message->header.type == MESH_TYPE_TILE;
}

/* The first tile is slow: it arrives after the reorder delay, when it already counts as lost. */
static uint64_t slow_first_tile(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)from, (void)to;
    return is_tile(message) && message->as.tile.block_first == 0 && !(message->header.flags & MESH_FLAG_RESEND) ? 300 * NET_US : 0;
}

static void a_tile_whose_later_one_was_seen_counts_as_lost_and_is_resent(void **state)
{
    struct net *net = setup();

    (void)state;
    net->delay = slow_first_tile;
    publish(net, 0, 10);
    publish(net, 10, 10);
    net_run(net, 5 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(resent(net), 1);
    finish(net);
}

/* All tiles take longer than the waiting time of a peer without measurements, so that its NAK crosses them. */
static uint64_t slow_tiles(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)from, (void)to;
    return is_tile(message) ? 2000 * NET_US : 0;
}

static void a_question_that_crosses_the_tiles_is_not_answered_with_them_again(void **state)
{
    struct net *net = setup();

    (void)state;
    assert_int_equal(net_gather_publish(net, &gather, 1), 0); /* rank 1 has published and waits for rank 0's blocks */
    net_flush(net);
    net_run(net, 1900 * NET_US);
    net->delay = slow_tiles;
    publish(net, 0, 20);
    net_run(net, 250 * NET_US); /* rank 1 has asked by now, the tile is in flight */
    assert_true(net->sent[1][MESH_TYPE_NAK] >= 1);
    assert_int_equal(resent(net), 0);
    assert_true(net->sent[0][MESH_TYPE_NOT_YET] >= 1);
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

static bool drop_first_tile(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    unsigned *left = net->app;

    (void)from, (void)to, (void)bytes;
    return is_tile(message) && *left > 0 && (*left)-- > 0;
}

static void a_lost_tile_that_looked_as_if_it_were_on_its_way_is_resent_when_asked_again(void **state)
{
    struct net *net = setup();
    unsigned left = 1;

    (void)state;
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    net_flush(net);
    net_run(net, 1900 * NET_US);
    net->drop = drop_first_tile;
    net->app = &left;
    publish(net, 0, 20);
    net_run(net, 20 * NET_MS);
    assert_int_equal(left, 0);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

static bool drop_of_rank_2(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)message, (void)bytes;
    return from == 2 || to == 2;
}

/* Rank 2 has stopped, so nothing more goes to everybody: for a while rank 1's question finds the tile as good as sent. */
static void what_waits_for_another_reader_goes_to_the_one_that_asks(void **state)
{
    static struct net_gather gathers[6];
    struct net *net = net_new(3);

    (void)state;
    net_up(net);
    net->drop = drop_of_rank_2;
    for (unsigned i = 0; i < 6; i++) {
        net_gather_init(net, &gathers[i], 1 + i / 5, (uint16_t)(i % 5), 1, 30);
        gathers[i].first[1] = gathers[i].first[2] = 30; /* all of rank 0 */
        net_gather_fill(net, &gathers[i], 0);
        for (uint16_t rank = 0; rank < 3; rank++)
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
    }
    net_run(net, 200 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 6);
    assert_int_equal(net->events[2][MESH_EVENT_COMPLETE], 0);
    for (unsigned i = 0; i < 6; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

static bool share_a_block(const struct mesh_range *a, const struct mesh_range *b)
{
    for (unsigned token = a->token_first; token < (unsigned)a->token_first + a->token_count; token++)
        for (unsigned block = a->block_first; block < (unsigned)a->block_first + a->block_count; block++)
            if (token >= b->token_first && token - b->token_first < b->token_count && block >= b->block_first &&
                block - b->block_first < b->block_count)
                return true;
    return false;
}

static bool is_what_both_have(const struct mesh_range *a, const struct mesh_range *b, const struct mesh_range *both)
{
    for (unsigned token = 0; token < 8; token++)
        for (unsigned block = 0; block < 8; block++) {
            const struct mesh_range one = {(uint16_t)token, 1, (uint16_t)block, 1};

            if ((share_a_block(&one, a) && share_a_block(&one, b)) != share_a_block(&one, both))
                return false;
        }
    return true;
}

/* Until the peer reports its number, or has had the time to. */
static void of_what_is_asked_for_all_is_on_its_way_that_shares_a_block_with_a_tile_sent_just_now(void **state)
{
    static const struct mesh_range sent = {1, 2, 2, 3};
    struct net *net = net_new(2);
    const struct mesh_slot *slot;
    struct mesh_range part;
    struct mesh_peer *peer;
    struct mesh *mesh;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 5, 14);
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    mesh = net->mesh[0];
    peer = &mesh->peers[1];
    slot = mesh_slot_find(mesh, mesh_end_of(mesh, 1, 0));
    peer->number++;
    mesh_flight_note(mesh, slot, &sent, peer);
    for (uint16_t token = 0; token < 5; token++)
        for (uint16_t tokens = 1; tokens <= 5 - token; tokens++)
            for (uint16_t block = 0; block < 7; block++)
                for (uint16_t blocks = 1; blocks <= 7 - block; blocks++) {
                    const struct mesh_range range = {token, tokens, block, blocks};
                    const bool shares = share_a_block(&range, &sent);

                    assert_int_equal(mesh_flight_find(mesh, slot, peer, &range, &part), shares ? MESH_WAY_SENT : MESH_WAY_NONE);
                    assert_true(!shares || is_what_both_have(&range, &sent, &part));
                }
    peer->reported[0] = peer->number - 1;
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &sent, &part), MESH_WAY_SENT);
    peer->reported[0]++;
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &sent, &part), MESH_WAY_NONE);
    peer->reported[0]--;
    mesh->now_ns += mesh_peer_flight_ns(peer);
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &sent, &part), MESH_WAY_LATE);
    finish(net);
}

/* Tiles to everybody and to one peer have numbers of their own, but one order. */
static void a_tile_counts_as_lost_when_one_that_was_sent_later_has_been_seen(void **state)
{
    static const struct mesh_range first = {0, 1, 0, 3}, second = {0, 1, 3, 4};
    struct net *net = setup();
    struct mesh *mesh = net->mesh[0];
    struct mesh_peer *peer = &mesh->peers[1];
    const struct mesh_slot *slot = mesh_slot_find(mesh, mesh_end_of(mesh, 1, 0));
    struct mesh_range part;

    (void)state;
    mesh->number_all++;
    mesh_flight_note(mesh, slot, &first, NULL);
    peer->number++;
    mesh_flight_note(mesh, slot, &second, peer);
    mesh->now_ns += 1000 * mesh_peer_flight_ns(peer);
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &first, &part), MESH_WAY_LATE);
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &second, &part), MESH_WAY_LATE);
    peer->reported[0] = peer->number;
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &first, &part), MESH_WAY_NONE);
    assert_int_equal(mesh_flight_find(mesh, slot, peer, &second, &part), MESH_WAY_NONE);
    finish(net);
}

static enum mesh_way find(const struct net *net, uint16_t to, unsigned block, unsigned blocks)
{
    const struct mesh *mesh = net->mesh[0];
    const struct mesh_range range = {0, 1, (uint16_t)block, (uint16_t)blocks};
    struct mesh_range part;

    return mesh_flight_find(mesh, mesh_slot_find(net->mesh[0], mesh_end_of(mesh, 1, 0)), &mesh->peers[to], &range, &part);
}

/* A range that has waited for longer waits for another reader. */
static void what_waits_to_be_sent_is_as_good_as_sent_for_four_timeouts(void **state)
{
    struct net *net = setup();
    struct mesh *mesh = net->mesh[0];
    const uint64_t timeout_ns = mesh_peer_timeout_ns(&mesh->peers[1]);

    (void)state;
    assert_int_equal(mesh_publish(mesh, net->now_ns, 1, 0, 0, 1, 0, 2), 0);
    assert_int_equal(mesh_publish(mesh, net->now_ns, 1, 0, 0, 1, 4, 2), 0);
    assert_int_equal(find(net, 1, 1, 2), MESH_WAY_SENT);
    assert_int_equal(find(net, 1, 2, 2), MESH_WAY_NONE);
    assert_int_equal(find(net, 1, 3, 2), MESH_WAY_SENT);
    mesh->now_ns += 4 * timeout_ns - 1;
    assert_int_equal(find(net, 1, 1, 2), MESH_WAY_SENT);
    mesh->now_ns++;
    assert_int_equal(find(net, 1, 1, 2), MESH_WAY_NONE);
    assert_int_equal(find(net, 1, 3, 2), MESH_WAY_NONE);
    finish(net);
}

static void what_is_being_sent_is_as_good_as_sent_to_those_that_have_not_got_it_yet(void **state)
{
    struct net *net = net_new(3);
    struct mesh *mesh;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 1, 40);
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    mesh = net->mesh[0];
    mesh->current.end = mesh_end_of(mesh, 1, 0);
    mesh->current.range = (struct mesh_range){0, 1, 2, 3};
    mesh->current_ranks = UINT64_C(1) << 2;
    assert_int_equal(find(net, 2, 4, 2), MESH_WAY_SENT);
    assert_int_equal(find(net, 2, 5, 2), MESH_WAY_NONE);
    assert_int_equal(find(net, 1, 4, 2), MESH_WAY_NONE);
    mesh->current.end++;
    assert_int_equal(find(net, 2, 4, 2), MESH_WAY_NONE);
    mesh->current_ranks = 0;
    finish(net);
}

static void a_tile_to_another_peer_is_not_on_its_way_to_this_one(void **state)
{
    static const struct mesh_range sent = {0, 1, 0, 3};
    struct net *net = net_new(3);
    struct mesh *mesh;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 1, 40);
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    mesh = net->mesh[0];
    mesh->peers[2].number++;
    mesh_flight_note(mesh, mesh_slot_find(mesh, mesh_end_of(mesh, 1, 0)), &sent, &mesh->peers[2]);
    assert_int_equal(find(net, 2, 0, 1), MESH_WAY_SENT);
    assert_int_equal(find(net, 1, 0, 1), MESH_WAY_NONE);
    finish(net);
}

static void as_many_tiles_are_remembered_as_there_is_room_for(void **state)
{
    struct net *net = setup();
    struct mesh *mesh = net->mesh[0];
    struct mesh_peer *peer = &mesh->peers[1];

    (void)state;
    for (unsigned i = 0; i <= MESH_FLIGHTS; i++) {
        const struct mesh_range sent = {0, 1, i < 2 ? (uint16_t)i : 2, 1};

        peer->number++;
        mesh_flight_note(mesh, mesh_slot_find(mesh, mesh_end_of(mesh, 1, 0)), &sent, peer);
    }
    assert_int_equal(find(net, 1, 0, 1), MESH_WAY_NONE);
    assert_int_equal(find(net, 1, 1, 1), MESH_WAY_SENT);
    finish(net);
}

enum { TOKENS = 8 };

/* A tile per token; two of them do not fit into a resend. */
static void publish_tokens(struct net *net)
{
    for (uint16_t token = 0; token < TOKENS; token++) {
        assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 0, token, 1, 0, 20), 0);
        net_flush(net);
    }
}

/* A queue has become so long that all that rank 0 sends takes fifty times as long as a round trip did. */
static uint64_t slow_path(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)to, (void)message;
    return from == 0 ? 10 * NET_MS : 0;
}

static void what_waits_in_a_queue_is_not_sent_again_however_long_it_waits(void **state)
{
    struct net *net = setup_tokens(TOKENS);

    (void)state;
    net->delay = slow_path;
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    publish_tokens(net);
    net_run(net, 9 * NET_MS);
    assert_true(net->sent[1][MESH_TYPE_NAK] >= 3);
    assert_in_range(resent(net), 1, net->sent[1][MESH_TYPE_NAK]); /* one per NAK, to find out */
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

static void when_all_tiles_are_lost_one_of_them_is_sent_again_and_tells_of_the_others(void **state)
{
    struct net *net = setup_tokens(TOKENS);
    unsigned left = TOKENS;

    (void)state;
    assert_int_equal(net_gather_publish(net, &gather, 1), 0);
    net_flush(net);
    net->drop = drop_first_tile;
    net->app = &left;
    publish_tokens(net);
    net_run(net, 5 * NET_MS); /* before any ping tells of them */
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 2);
    assert_int_equal(resent(net), TOKENS);
    finish(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tile_whose_later_one_was_seen_counts_as_lost_and_is_resent),
        cmocka_unit_test(a_question_that_crosses_the_tiles_is_not_answered_with_them_again),
        cmocka_unit_test(a_lost_tile_that_looked_as_if_it_were_on_its_way_is_resent_when_asked_again),
        cmocka_unit_test(what_waits_for_another_reader_goes_to_the_one_that_asks),
        cmocka_unit_test(of_what_is_asked_for_all_is_on_its_way_that_shares_a_block_with_a_tile_sent_just_now),
        cmocka_unit_test(a_tile_counts_as_lost_when_one_that_was_sent_later_has_been_seen),
        cmocka_unit_test(what_waits_to_be_sent_is_as_good_as_sent_for_four_timeouts),
        cmocka_unit_test(what_is_being_sent_is_as_good_as_sent_to_those_that_have_not_got_it_yet),
        cmocka_unit_test(a_tile_to_another_peer_is_not_on_its_way_to_this_one),
        cmocka_unit_test(as_many_tiles_are_remembered_as_there_is_room_for),
        cmocka_unit_test(what_waits_in_a_queue_is_not_sent_again_however_long_it_waits),
        cmocka_unit_test(when_all_tiles_are_lost_one_of_them_is_sent_again_and_tells_of_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
