/* The analysis of datagrams that rank 0 sends to a multicast group, which rank 1 receives or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/analysis.h"

static struct analysis analysis;
static uint64_t now_ns, back_number, lost_number;
static bool lost_is_all;
static uint16_t lost_dst;

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    lost_number = loss->entry ? loss->entry->number : 0;
    lost_is_all = loss->is_all;
    lost_dst = loss->link->dst;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    now_ns = 1000000;
    back_number = lost_number = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

static const struct frame_address hosts[] = {{.ip = {[15] = 1}, .port = 1}, {.ip = {[15] = 2}, .port = 2}};
static const struct frame_address group = {.ip = {[10] = 0xff, [11] = 0xff, 239, 255, 77, 13}, .port = 7413};

/* 1 ms later than the one before. */
static void add(unsigned src, const struct frame_address *to, struct mesh_message message)
{
    const struct frame frame = {.src = hosts[src], .dst = *to};
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frame, .size = 100, .message = message};

    packet.message.header.magic = MESH_WIRE_MAGIC;
    packet.message.header.version = 1;
    packet.message.header.epoch = 1;
    packet.message.header.src = (uint16_t)src;
    now_ns += 1000000;
    analysis_add(&analysis, &packet);
}

static void tile(uint64_t number, uint16_t block, uint16_t flags, const struct frame_address *to)
{
    const bool is_all = (flags & MESH_FLAG_ALL) != 0;

    add(0, to,
        (struct mesh_message){
            .header =
                {.type = MESH_TYPE_TILE, .number = number, .flags = flags, .dst = is_all ? MESH_DST_ALL : 1, .have_step = MESH_STEP_NONE},
            .as.tile = {.step = 1, .token_count = 1, .block_first = block, .block_count = 1}});
}

static void status(uint64_t seen_all, uint64_t lost)
{
    add(1, &hosts[0],
        (struct mesh_message){.header = {.type = MESH_TYPE_STATUS, .number = ++back_number, .have_step = MESH_STEP_NONE},
                              .as.status = {.seen_all = seen_all, .seen_peer = 1, .window_bytes = 1, .lost = lost}});
}

static void nak(uint16_t block)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_NAK, .number = ++back_number, .have_step = MESH_STEP_NONE},
                                   .as.nak = {.step = 1, .range_count = 1}};

    message.ranges[0] = (struct mesh_range){.token_count = 1, .block_first = block, .block_count = 1};
    add(1, &hosts[0], message);
}

static void what_goes_to_a_group_is_lost_for_the_receiver_that_counts_it(void **state)
{
    (void)state;
    tile(1, 0, 0, &hosts[1]);
    tile(1, 1, MESH_FLAG_ALL, &group);
    tile(3, 3, MESH_FLAG_ALL, &group);
    status(3, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(lost_number, 2);
    assert_true(lost_is_all);
    assert_int_equal(lost_dst, 1);
    assert_int_equal(analysis.links.count, 2); /* the group is no receiver */
}

static void what_is_seen_on_its_way_to_a_group_and_has_to_be_resent_is_lost(void **state)
{
    (void)state;
    tile(1, 0, 0, &hosts[1]);
    tile(1, 1, MESH_FLAG_ALL, &group);
    tile(2, 2, MESH_FLAG_ALL, &group);
    status(2, 1);
    nak(1);
    tile(2, 1, MESH_FLAG_RESEND, &hosts[1]);
    status(2, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(lost_number, 1);
    assert_true(lost_is_all);
}

static void what_goes_to_a_group_and_to_a_receiver_alone_is_one_datagram_for_it(void **state)
{
    (void)state;
    tile(1, 0, 0, &hosts[1]);
    tile(1, 1, MESH_FLAG_ALL, &group);
    tile(1, 1, MESH_FLAG_ALL, &hosts[1]);
    tile(2, 2, MESH_FLAG_ALL, &hosts[1]); /* and in the other order */
    tile(2, 2, MESH_FLAG_ALL, &group);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.duplicate, 0);
    assert_int_equal(analysis.sum.tiles, 3);
    assert_int_equal(analysis.sum.lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_to_a_group_is_lost_for_the_receiver_that_counts_it, start, stop),
        cmocka_unit_test_setup_teardown(what_is_seen_on_its_way_to_a_group_and_has_to_be_resent_is_lost, start, stop),
        cmocka_unit_test_setup_teardown(what_goes_to_a_group_and_to_a_receiver_alone_is_one_datagram_for_it, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
