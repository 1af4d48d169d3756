#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "net.h"

static struct net_gather gathers[8];

static int publish(struct net *net, uint16_t rank, unsigned index, unsigned token_first, unsigned tokens, unsigned block_first,
                   unsigned blocks)
{
    const struct mesh_gather *gather = &gathers[index].gather[rank];

    return mesh_publish(net->mesh[rank], net->now_ns, gather->step, gather->phase, (uint16_t)token_first, (uint16_t)tokens,
                        (uint16_t)block_first, (uint16_t)blocks);
}

static void open_everywhere(struct net *net, unsigned index, uint16_t tokens, uint16_t blocks)
{
    net_gather_init(net, &gathers[index], 1 + index / 5, (uint16_t)(index % 5), tokens, blocks);
    for (uint16_t rank = 0; rank < net->count; rank++)
        assert_int_equal(net_gather_open(net, &gathers[index], rank), 0);
}

static void adjacent_ranges_share_a_datagram_in_any_order(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    open_everywhere(net, 0, 1, 40);
    assert_int_equal(publish(net, 0, 0, 0, 1, 4, 4), 0);
    assert_int_equal(publish(net, 0, 0, 0, 1, 0, 4), 0);
    assert_int_equal(publish(net, 0, 0, 0, 1, 8, 12), 0);
    net_run(net, 500 * NET_US);
    assert_int_equal(net->sent[0][MESH_TYPE_TILE], 1);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 1);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static bool check_size(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    size_t *largest = net->app;

    (void)from, (void)to;
    if (message->header.type == MESH_TYPE_TILE && bytes > *largest)
        *largest = bytes;
    return false;
}

static void tiles_are_cut_to_what_the_path_has_proved(void **state)
{
    static const uint32_t sizes[] = {1200, 1452, 9000};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct net *net = net_new(2);
        size_t largest = 0;

        net->config[0].datagram_bytes_max = net->config[1].datagram_bytes_max = sizes[i];
        net_up(net);
        net->drop = check_size;
        net->app = &largest;
        open_everywhere(net, 0, 30, 100);
        assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
        net_run(net, 20 * NET_MS);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
        assert_in_range(largest, sizes[i] - 300 - (i == 2 ? 1900 : 0), sizes[i]);
        net_gather_release(net, &gathers[0]);
        net_free(net);
    }
}

static bool note_spaces(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    unsigned *spaces = net->app;

    (void)from, (void)to, (void)bytes;
    if (message->header.type == MESH_TYPE_TILE)
        spaces[message->header.flags & MESH_FLAG_ALL]++;
    return false;
}

static void what_everybody_reads_is_numbered_for_everybody_and_the_rest_per_peer(void **state)
{
    struct net *net = net_new(3);
    unsigned spaces[2] = {0};

    (void)state;
    net_up(net);
    net->drop = note_spaces;
    net->app = spaces;
    open_everywhere(net, 0, 1, 30);
    assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
    net_run(net, 500 * NET_US);
    assert_int_equal(spaces[0], 0);
    assert_int_equal(spaces[1], 2);
    net_gather_init(net, &gathers[1], 1, 1, 1, 30);
    for (uint16_t rank = 0; rank < 3; rank++) {
        gathers[1].gather[rank].readers = 3;
        assert_int_equal(net_gather_open(net, &gathers[1], rank), 0);
    }
    assert_int_equal(net_gather_publish(net, &gathers[1], 0), 0);
    net_run(net, 500 * NET_US);
    assert_int_equal(spaces[0], 1); /* rank 1; rank 2 does not read it */
    assert_int_equal(spaces[1], 2);
    net_gather_release(net, &gathers[0]);
    net_gather_release(net, &gathers[1]);
    net_free(net);
}

static bool drop_to_rank_1(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)message, (void)bytes;
    return to == 1;
}

static void nothing_is_sent_more_than_four_gathers_ahead_of_a_reader(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net->drop = drop_to_rank_1;
    for (unsigned i = 0; i < 7; i++)
        open_everywhere(net, i, 1, 20);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
    net_run(net, NET_MS);
    assert_int_equal(net->sent[0][MESH_TYPE_TILE], 4);
    net->drop = NULL;
    net_run(net, 100 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 7);
    for (unsigned i = 0; i < 7; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

/* Loses all that comes to rank 1 of any gather but the first; notes the last one of which a tile was sent. */
static bool drop_later_gathers(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    unsigned *latest = net->app, index;

    (void)from, (void)bytes;
    if (to != 1 || message->header.type != MESH_TYPE_TILE)
        return false;
    index = (unsigned)(message->as.tile.step - 1) * 5 + message->as.tile.phase;
    *latest = index > *latest ? index : *latest;
    return index > 0;
}

static void each_gather_that_the_reader_has_lets_one_more_be_sent(void **state)
{
    struct net *net = net_new(2);
    unsigned latest = 0;

    (void)state;
    net_up(net);
    net->drop = drop_later_gathers;
    net->app = &latest;
    for (unsigned i = 0; i < 7; i++)
        open_everywhere(net, i, 1, 20);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
    net_run(net, 20 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(latest, 4);
    for (unsigned i = 0; i < 7; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

/* Rank 2 reads nothing, so tiles go out one by one; the last gather is published long before the first. */
static void a_later_gather_for_some_readers_does_not_hold_up_an_earlier_one(void **state)
{
    struct net *net = net_new(3);
    struct mesh_peer_stats stats;

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < 5; i++) {
        net_gather_init(net, &gathers[i], 1, (uint16_t)i, 1, 20);
        gathers[i].first[1] = gathers[i].first[2] = 20; /* all of rank 0 */
        net_gather_fill(net, &gathers[i], 0);
        for (uint16_t rank = 0; rank < 3; rank++) {
            gathers[i].gather[rank].readers = 3;
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
        }
    }
    for (unsigned i = 5; i-- > 0;) {
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
        net_run(net, NET_MS);
    }
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 5);
    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    assert_int_equal(stats.resent, 0); /* no question had to bring what was held up */
    for (unsigned i = 0; i < 5; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

/* Both where all read the gather and where tiles go out one by one: rank 3 reads only the first. */
static void a_reader_that_has_left_holds_up_no_tile_for_the_others(void **state)
{
    struct net *net = net_new(4);

    (void)state;
    net_up(net);
    mesh_goodbye(net->mesh[2], net->now_ns);
    net_run(net, 5 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_GONE], 1);
    for (unsigned i = 0; i < 2; i++) {
        net_gather_init(net, &gathers[i], 1, (uint16_t)i, 1, 20);
        gathers[i].first[1] = gathers[i].first[2] = gathers[i].first[3] = 20; /* all of rank 0 */
        net_gather_fill(net, &gathers[i], 0);
        for (uint16_t rank = 0; rank < 2; rank++) {
            gathers[i].gather[rank].readers = i == 0 ? 15 : 7;
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
        }
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
        net_run(net, 500 * NET_US);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], i + 1);
    }
    for (unsigned i = 0; i < 2; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

static void a_full_send_queue_says_again(void **state)
{
    struct net *net = net_new(2);
    unsigned published = 0;
    int err = 0;

    (void)state;
    net_start(net); /* not up, so nothing leaves */
    open_everywhere(net, 0, 64, 300);
    for (unsigned token = 0; token < 64 && !err; token += 2)
        for (unsigned block = 0; block < 150 && !err; block += 2) {
            err = publish(net, 0, 0, token, 1, block, 1);
            published += !err;
        }
    assert_int_equal(err, MESH_AGAIN);
    assert_int_equal(published, 512);
    net_run(net, 20 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 512);
    assert_int_equal(publish(net, 0, 0, 63, 1, 1, 1), 0);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void blocks_of_others_and_unknown_gathers_cannot_be_published(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    open_everywhere(net, 0, 1, 20);
    assert_int_equal(publish(net, 0, 0, 0, 1, 9, 2), MESH_EINVAL);
    assert_int_equal(publish(net, 0, 0, 0, 2, 0, 1), MESH_EINVAL);
    assert_int_equal(publish(net, 0, 0, 0, 1, 0, 0), MESH_EINVAL);
    assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 77, 0, 0, 1, 0, 1), MESH_EINVAL);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

/* In the order of all gathers they would stand where the one of step 1 stands. */
static void a_phase_or_a_step_that_there_is_not_names_no_other_gather(void **state)
{
    struct net *net = net_new(2);
    const uint16_t phases = net->config[0].phase_count;

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    assert_int_equal(net_gather_open(net, &gathers[0], 0), 0);
    assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 0, phases, 0, 1, 0, 1), MESH_EINVAL);
    assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, UINT64_MAX, (uint16_t)(2 * phases), 0, 1, 0, 1), MESH_EINVAL);
    assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 0, 0, 1, 0, 1), 0);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static bool drop_first_tiles(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)to, (void)bytes;
    return message->header.type == MESH_TYPE_TILE && !(message->header.flags & MESH_FLAG_RESEND);
}

/* Blocks have 36 bytes, and about 1100 of them fit into a datagram: 30 blocks. */
static void what_is_lost_of_several_tokens_is_sent_again_once_in_full_datagrams(void **state)
{
    static const struct {
        uint16_t tokens, own_blocks;
        unsigned datagrams;
    } cases[] = {{3, 10, 1}, {7, 14, 4}, {3, 40, 6}, {4, 70, 12}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net *net = net_new(2);
        struct mesh_peer_stats stats;

        net_up(net);
        open_everywhere(net, 0, cases[i].tokens, (uint16_t)(2 * cases[i].own_blocks));
        net->drop = drop_first_tiles;
        assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
        net_flush(net);
        net->mesh[0]->ping_all = true; /* its number tells that the tiles are lost, and not late */
        net_run(net, 50 * NET_MS);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
        assert_true(net_gather_is_whole(net, &gathers[0], 1));
        assert_int_equal(net->sent[1][MESH_TYPE_NAK], 1);
        mesh_get_peer_stats(net->mesh[0], 1, &stats);
        assert_int_equal(stats.resent, cases[i].datagrams);
        mesh_get_peer_stats(net->mesh[1], 0, &stats);
        assert_int_equal(stats.duplicate, 0);
        net_gather_release(net, &gathers[0]);
        net_free(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjacent_ranges_share_a_datagram_in_any_order),
        cmocka_unit_test(tiles_are_cut_to_what_the_path_has_proved),
        cmocka_unit_test(what_everybody_reads_is_numbered_for_everybody_and_the_rest_per_peer),
        cmocka_unit_test(nothing_is_sent_more_than_four_gathers_ahead_of_a_reader),
        cmocka_unit_test(each_gather_that_the_reader_has_lets_one_more_be_sent),
        cmocka_unit_test(a_later_gather_for_some_readers_does_not_hold_up_an_earlier_one),
        cmocka_unit_test(a_reader_that_has_left_holds_up_no_tile_for_the_others),
        cmocka_unit_test(a_full_send_queue_says_again),
        cmocka_unit_test(blocks_of_others_and_unknown_gathers_cannot_be_published),
        cmocka_unit_test(what_is_lost_of_several_tokens_is_sent_again_once_in_full_datagrams),
        cmocka_unit_test(a_phase_or_a_step_that_there_is_not_names_no_other_gather),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
