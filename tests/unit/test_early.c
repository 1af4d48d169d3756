#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net.h"

static struct net_gather gathers[2];

/* Rank 0 is ahead: it has published its part of both gathers before rank 1 opens them. */
static struct net *setup(void)
{
    struct net *net = net_new(2);

    net_up(net);
    for (uint16_t phase = 0; phase < 2; phase++) {
        net_gather_init(net, &gathers[phase], 1, phase, 1, 40);
        assert_int_equal(net_gather_open(net, &gathers[phase], 0), 0);
        assert_int_equal(net_gather_publish(net, &gathers[phase], 0), 0);
    }
    net_run(net, 4 * NET_MS);
    return net;
}

static void finish(struct net *net)
{
    net_gather_release(net, &gathers[0]);
    net_gather_release(net, &gathers[1]);
    net_free(net);
}

static void tiles_that_come_early_are_there_when_their_gather_is_opened(void **state)
{
    struct net *net = setup();

    (void)state;
    for (uint16_t phase = 0; phase < 2; phase++) {
        assert_int_equal(net_gather_open(net, &gathers[phase], 1), 0);
        net_flush(net);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], phase + 1);
    }
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 0);
    finish(net);
}

static void an_early_tile_of_a_phase_that_is_left_out_here_is_forgotten(void **state)
{
    struct net *net = setup();

    (void)state;
    /* Only the second gather is opened; the tile of the first must not end up in it. */
    assert_int_equal(net_gather_open(net, &gathers[1], 1), 0);
    net_flush(net);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 1);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    finish(net);
}

/* Two gathers a step, all of rank 0's blocks; rank 1 leaves the first out. There is room for 32 tiles. */
static void early_tiles_of_gathers_that_are_left_out_leave_room_for_others(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (uint64_t step = 1; step <= 40; step++) {
        for (uint16_t phase = 0; phase < 2; phase++) {
            net_gather_init(net, &gathers[phase], step, phase, 1, 20);
            gathers[phase].first[1] = 20;
            net_gather_fill(net, &gathers[phase], 0);
            assert_int_equal(net_gather_open(net, &gathers[phase], 0), 0);
            assert_int_equal(net_gather_publish(net, &gathers[phase], 0), 0);
            mesh_consume(net->mesh[0], net->now_ns, step, phase);
        }
        net_run(net, 2 * NET_MS);
        assert_int_equal(net_gather_open(net, &gathers[1], 1), 0);
        net_flush(net);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], step);
        mesh_consume(net->mesh[1], net->now_ns, step, 1);
        net_run(net, 5 * NET_MS);
        assert_int_equal(net->events[0][MESH_EVENT_FREED], 2 * step);
        net_gather_release(net, &gathers[0]);
        net_gather_release(net, &gathers[1]);
    }
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 0);
    net_free(net);
}

/* The gather is smaller here than the peer's tile says: such a tile belongs to no gather. */
static void an_early_tile_that_does_not_fit_its_gather_is_dropped(void **state)
{
    struct net *net = setup();

    (void)state;
    gathers[0].gather[1].block_bytes = 35;
    assert_int_equal(net_gather_open(net, &gathers[0], 1), 0);
    net_flush(net);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 0);
    finish(net);
}

/* A datagram of rank 0 to rank 1. */
static void receive(struct net *net, struct mesh_message *message, uint8_t type, uint16_t flags)
{
    static uint64_t number = 1000000; /* above all that rank 0 has sent by itself */
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    message->header = (struct mesh_header){.magic = MESH_WIRE_MAGIC,
                                           .version = MESH_WIRE_VERSION,
                                           .type = type,
                                           .flags = flags,
                                           .dst = 1,
                                           .epoch = net->config[1].epoch,
                                           .number = ++number,
                                           .have_step = MESH_STEP_NONE};
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, mesh_wire_encode(message, packet, sizeof packet)), 0);
}

/* Other datagrams come between a tile and its copy, and leave other bytes behind in the receiver's memory. */
static void receive_status(struct net *net, uint64_t lost)
{
    struct mesh_message message = {.as.status = {.window_bytes = 100000, .lost = lost}};

    receive(net, &message, MESH_TYPE_STATUS, 0);
}

/* There is room for 32 tiles, and no more. */
static void a_copy_of_an_early_tile_takes_no_second_place(void **state)
{
    static const uint8_t block[36];
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (uint16_t i = 0; i < 32; i++) {
        struct mesh_message tile = {
            .as.tile = {.step = 1, .token_count = 1, .block_first = i, .block_count = 1}, .data = block, .data_bytes = sizeof block};

        receive_status(net, 0);
        receive(net, &tile, MESH_TYPE_TILE, 0);
        receive_status(net, UINT64_MAX);
        receive(net, &tile, MESH_TYPE_TILE, MESH_FLAG_COPY);
    }
    net_gather_init(net, &gathers[0], 1, 0, 1, 64);
    assert_int_equal(net_gather_open(net, &gathers[0], 1), 0);
    net_flush(net);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 32);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(net->sent[1][MESH_TYPE_NAK], 0);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

/* The tile of which it is the copy was lost, and another one of the same gather has come. */
static void a_copy_whose_tile_did_not_come_is_kept(void **state)
{
    static const struct mesh_tile tiles[] = {
        {.step = 1, .token_count = 1, .block_first = 4, .block_count = 2},
        {.step = 1, .token_count = 1, .block_first = 6, .block_count = 2},
        {.step = 1, .token_count = 1, .block_first = 0, .block_count = 4},
        {.step = 1, .token_first = 1, .token_count = 1, .block_first = 4, .block_count = 2},
        {.step = 1, .token_first = 2, .token_count = 2, .block_first = 4, .block_count = 2},
    };
    static const uint8_t blocks[4 * 36];
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        struct mesh_message message = {
            .as.tile = tiles[i], .data = blocks, .data_bytes = (size_t)tiles[i].token_count * tiles[i].block_count * 36};

        receive(net, &message, MESH_TYPE_TILE, i > 0 ? MESH_FLAG_COPY : 0);
    }
    net_gather_init(net, &gathers[0], 1, 0, 4, 40);
    assert_int_equal(net_gather_open(net, &gathers[0], 1), 0);
    net_flush(net);
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], sizeof tiles / sizeof *tiles);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_that_come_early_are_there_when_their_gather_is_opened),
        cmocka_unit_test(an_early_tile_of_a_phase_that_is_left_out_here_is_forgotten),
        cmocka_unit_test(early_tiles_of_gathers_that_are_left_out_leave_room_for_others),
        cmocka_unit_test(an_early_tile_that_does_not_fit_its_gather_is_dropped),
        cmocka_unit_test(a_copy_of_an_early_tile_takes_no_second_place),
        cmocka_unit_test(a_copy_whose_tile_did_not_come_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
