#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net.h"

/* Rank 1 of two with an open gather of 2 tokens, 40 blocks; tiles of rank 0 are made by hand. */
static struct net_gather gathers[2];

static struct net *setup(void)
{
    struct net *net = net_new(2);

    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 2, 40);
    assert_int_equal(net_gather_open(net, &gathers[0], 1), 0);
    return net;
}

static void finish(struct net *net)
{
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

struct tile {
    uint64_t number;
    uint64_t step;
    uint16_t phase, token_first, token_count, block_first, block_count;
    size_t extra_bytes;
};

static int feed(struct net *net, const struct tile *tile, uint8_t fill)
{
    uint8_t data[8000], packet[9000];
    struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC,
                   .version = MESH_WIRE_VERSION,
                   .type = MESH_TYPE_TILE,
                   .flags = MESH_FLAG_ALL,
                   .src = 0,
                   .dst = MESH_DST_ALL,
                   .epoch = 7,
                   .number = tile->number,
                   .have_step = MESH_STEP_NONE,
                   .sent_ns = net->now_ns},
        .as.tile = {tile->step, net->now_ns, tile->phase, tile->token_first, tile->token_count, tile->block_first, tile->block_count},
        .data = data,
        .data_bytes = (size_t)tile->token_count * tile->block_count * 36 + tile->extra_bytes};
    size_t bytes;

    memset(data, fill, sizeof data);
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    return mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, bytes);
}

static struct mesh_event next_event(struct net *net)
{
    struct mesh_event event = {0};

    if (!mesh_next_event(net->mesh[1], &event))
        event.type = MESH_EVENT_NONE;
    return event;
}

static void a_tile_is_copied_to_its_place_and_reported_once(void **state)
{
    struct net *net = setup();
    struct mesh_event event;

    (void)state;
    assert_int_equal(feed(net, &(struct tile){1, 1, 0, 1, 1, 4, 3, 0}, 0xee), 0);
    event = next_event(net);
    assert_int_equal(event.type, MESH_EVENT_ARRIVED);
    assert_int_equal(event.rank, 0);
    assert_int_equal(event.step, 1);
    assert_int_equal(event.token_first, 1);
    assert_int_equal(event.token_count, 1);
    assert_int_equal(event.block_first, 4);
    assert_int_equal(event.block_count, 3);
    assert_int_equal(next_event(net).type, MESH_EVENT_NONE);
    assert_int_equal(gathers[0].data[1][40 * 36 + 4 * 36 - 1], 0);
    assert_int_equal(gathers[0].data[1][40 * 36 + 4 * 36], 0xee);
    assert_int_equal(gathers[0].data[1][40 * 36 + 7 * 36 - 1], 0xee);
    assert_int_equal(gathers[0].data[1][40 * 36 + 7 * 36], 0);
    finish(net);
}

static void a_number_seen_twice_is_dropped_without_a_trace(void **state)
{
    struct net *net = setup();
    uint32_t hash;

    (void)state;
    assert_int_equal(feed(net, &(struct tile){1, 1, 0, 0, 1, 0, 3, 0}, 1), 0);
    next_event(net);
    hash = mesh_state_hash(net->mesh[1]);
    assert_int_equal(feed(net, &(struct tile){1, 1, 0, 0, 1, 0, 3, 0}, 2), MESH_EDUPLICATE);
    assert_int_equal(hash, mesh_state_hash(net->mesh[1]));
    assert_int_equal(next_event(net).type, MESH_EVENT_NONE);
    assert_int_equal(gathers[0].data[1][0], 1);
    finish(net);
}

static void of_an_overlapping_tile_only_what_is_new_is_written_and_reported(void **state)
{
    struct net *net = setup();
    struct mesh_peer_stats stats;
    struct mesh_event event;

    (void)state;
    assert_int_equal(feed(net, &(struct tile){1, 1, 0, 0, 2, 5, 2, 0}, 1), 0);
    next_event(net);
    assert_int_equal(feed(net, &(struct tile){2, 1, 0, 0, 1, 0, 20, 0}, 2), 0);
    event = next_event(net);
    assert_int_equal(event.block_first, 0);
    assert_int_equal(event.block_count, 5);
    event = next_event(net);
    assert_int_equal(event.block_first, 7);
    assert_int_equal(event.block_count, 13);
    assert_int_equal(next_event(net).type, MESH_EVENT_NONE);
    assert_int_equal(gathers[0].data[1][5 * 36 - 1], 2);
    assert_int_equal(gathers[0].data[1][5 * 36], 1);
    assert_int_equal(gathers[0].data[1][7 * 36 - 1], 1);
    assert_int_equal(gathers[0].data[1][7 * 36], 2);
    assert_int_equal(feed(net, &(struct tile){3, 1, 0, 0, 1, 0, 20, 0}, 3), 0);
    assert_int_equal(next_event(net).type, MESH_EVENT_NONE);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_int_equal(stats.duplicate, 1);
    finish(net);
}

/* Here of a step before the first that was opened. */
static void a_tile_that_comes_too_late_is_superfluous_not_early(void **state)
{
    struct net *net = setup();
    struct mesh_peer_stats peer;
    struct mesh_stats stats;

    (void)state;
    assert_int_equal(feed(net, &(struct tile){1, 0, 0, 0, 1, 0, 3, 0}, 1), 0);
    mesh_get_stats(net->mesh[1], &stats);
    mesh_get_peer_stats(net->mesh[1], 0, &peer);
    assert_int_equal(stats.early, 0);
    assert_int_equal(peer.duplicate, 1);
    finish(net);
}

static void tiles_that_do_not_fit_the_gather_are_dropped_without_a_trace(void **state)
{
    static const struct {
        struct tile tile;
        int err;
    } cases[] = {
        {{1, 1, 0, 0, 1, 19, 2, 0}, MESH_ERANGE},    /* into the receiver's own blocks */
        {{1, 1, 0, 0, 3, 0, 1, 0}, MESH_ERANGE},     /* tokens beyond the step's */
        {{1, 1, 0, 0, 1, 0, 3, 1}, MESH_ETRUNCATED}, /* a byte too many */
        {{1, 1, 5, 0, 1, 0, 3, 0}, MESH_ERANGE},     /* no such phase */
    };
    struct net *net = setup();

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t hash = mesh_state_hash(net->mesh[1]);

        assert_int_equal(feed(net, &cases[i].tile, 1), cases[i].err);
        assert_int_equal(hash, mesh_state_hash(net->mesh[1]));
        assert_int_equal(next_event(net).type, MESH_EVENT_NONE);
    }
    finish(net);
}

static void an_early_tile_counts_as_seen_but_leaves_its_data_to_a_later_question(void **state)
{
    struct net *net = setup();
    struct mesh_stats stats;
    struct mesh_peer_stats peer;

    (void)state;
    assert_int_equal(feed(net, &(struct tile){1, 2, 0, 0, 1, 0, 3, 0}, 1), 0);
    assert_int_equal(feed(net, &(struct tile){2, 1, 0, 0, 1, 0, 3, 0}, 1), 0);
    mesh_get_stats(net->mesh[1], &stats);
    assert_int_equal(stats.early, 1);
    net_run(net, 200 * NET_US);
    mesh_get_peer_stats(net->mesh[1], 0, &peer);
    assert_int_equal(peer.lost, 0);
    finish(net);
}

static void without_room_for_events_a_tile_is_left_to_the_caller(void **state)
{
    struct net *net = net_new(2);
    struct mesh_event event;
    uint64_t number = 0;
    unsigned events = 0;
    int err = 0;

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 64, 300);
    assert_int_equal(net_gather_open(net, &gathers[0], 1), 0);
    for (uint16_t token = 0; token < 64 && !err; token++)
        for (uint16_t block = 0; block < 150 && !err; block++)
            err = feed(net, &(struct tile){++number, 1, 0, token, 1, block, 1, 0}, 1);
    assert_int_equal(err, MESH_AGAIN);
    while (mesh_next_event(net->mesh[1], &event))
        events++;
    assert_int_equal(events, number - 1);
    assert_int_equal(feed(net, &(struct tile){number, 1, 0, 63, 1, 0, 1, 0}, 1), 0);
    finish(net);
}

static void strangers_and_other_epochs_are_dropped(void **state)
{
    struct net *net = setup();
    uint8_t packet[200] = {0x44, 0x6d, 1, MESH_TYPE_PING, 0, 0, 0, 0, 1, 0, 0, 0, 7};

    (void)state;
    packet[16] = 100;
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(5), packet, 64), MESH_ESENDER);
    packet[8] = 3; /* for another rank */
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, 64), MESH_ESENDER);
    packet[8] = 1;
    packet[12] = 8;
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, 64), MESH_EEPOCH);
    packet[12] = 7;
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, 64), 0);
    packet[6] = 1; /* claims to be the receiver */
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, 64), MESH_ESENDER);
    packet[6] = 200;
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, 64), MESH_ESENDER);
    finish(net);
}

/* A datagram of rank 0 in the space for rank 1 alone. */
static void feed_alone(struct net *net, uint64_t number)
{
    const struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                                    .version = MESH_WIRE_VERSION,
                                                    .type = MESH_TYPE_STATUS,
                                                    .dst = 1,
                                                    .epoch = 7,
                                                    .number = number,
                                                    .have_step = MESH_STEP_NONE},
                                         .as.status = {.window_bytes = 100000}};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, mesh_wire_encode(&message, packet, sizeof packet)), 0);
}

/* The reorder delay is 50 us. A gap among the numbers for rank 1 begins at 0, one among those for everybody at 40 us. */
static void a_gap_in_one_space_leaves_the_other_its_reorder_delay(void **state)
{
    struct net *net = setup();
    struct mesh_peer_stats before, stats;
    uint64_t number = 1000;

    (void)state;
    mesh_tick(net->mesh[1], net->now_ns);
    mesh_get_peer_stats(net->mesh[1], 0, &before);
    feed_alone(net, number); /* those up to it are missing */
    net->now_ns += 40 * NET_US;
    assert_int_equal(feed(net, &(struct tile){2, 1, 0, 0, 1, 3, 3, 0}, 1), 0);
    net->now_ns += 10 * NET_US;
    mesh_tick(net->mesh[1], net->now_ns);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_true(stats.lost > before.lost);
    before = stats;
    net->now_ns += 39 * NET_US;
    mesh_tick(net->mesh[1], net->now_ns);
    assert_int_equal(feed(net, &(struct tile){1, 1, 0, 0, 1, 0, 3, 0}, 1), 0);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_int_equal(stats.late, before.late);
    assert_int_equal(stats.lost, before.lost);
    assert_int_equal(stats.reordered, before.reordered + 1);
    finish(net);
}

/* And one that stays missing is lost after it. */
static void a_gap_in_either_space_is_judged_in_its_time(void **state)
{
    struct net *net = setup();
    struct mesh_peer_stats before, stats;

    (void)state;
    feed_alone(net, 1000);
    net->now_ns += 40 * NET_US;
    assert_int_equal(feed(net, &(struct tile){2, 1, 0, 0, 1, 3, 3, 0}, 1), 0);
    net->now_ns += 10 * NET_US;
    mesh_tick(net->mesh[1], net->now_ns);
    mesh_get_peer_stats(net->mesh[1], 0, &before);
    assert_true(mesh_timeout(net->mesh[1]) <= net->now_ns + 40 * NET_US);
    net->now_ns += 40 * NET_US;
    mesh_tick(net->mesh[1], net->now_ns);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_int_equal(stats.lost, before.lost + 1);
    finish(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tile_is_copied_to_its_place_and_reported_once),
        cmocka_unit_test(a_number_seen_twice_is_dropped_without_a_trace),
        cmocka_unit_test(of_an_overlapping_tile_only_what_is_new_is_written_and_reported),
        cmocka_unit_test(a_tile_that_comes_too_late_is_superfluous_not_early),
        cmocka_unit_test(tiles_that_do_not_fit_the_gather_are_dropped_without_a_trace),
        cmocka_unit_test(an_early_tile_counts_as_seen_but_leaves_its_data_to_a_later_question),
        cmocka_unit_test(a_gap_in_one_space_leaves_the_other_its_reorder_delay),
        cmocka_unit_test(a_gap_in_either_space_is_judged_in_its_time),
        cmocka_unit_test(without_room_for_events_a_tile_is_left_to_the_caller),
        cmocka_unit_test(strangers_and_other_epochs_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
