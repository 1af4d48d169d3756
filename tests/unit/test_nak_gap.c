/* What is asked for when a number is missing: two ranks with two open gathers of 40 blocks, of which rank 0 has 20. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net.h"

static struct net_gather gathers[2];

static void publish(struct net *net, uint16_t phase, unsigned block_first, unsigned blocks)
{
    assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, phase, 0, 1, (uint16_t)block_first, (uint16_t)blocks), 0);
    net_flush(net); /* a separate datagram */
}

struct asked {
    unsigned lost_tile; /* counted from 0 */
    unsigned tiles, naks;
    struct mesh_nak nak; /* the first, and its first range */
    struct mesh_range range;
};

static bool drop_one(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct asked *asked = net->app;

    (void)from, (void)to, (void)bytes;
    if (message->header.type == MESH_TYPE_NAK && asked->naks++ == 0) {
        asked->nak = message->as.nak;
        asked->range = message->ranges[0];
    }
    return message->header.type == MESH_TYPE_TILE && asked->tiles++ == asked->lost_tile;
}

static struct net *setup(struct asked *asked)
{
    struct net *net = net_new(2);

    net_up(net);
    for (uint16_t phase = 0; phase < 2; phase++) {
        net_gather_init(net, &gathers[phase], 1, phase, 1, 40);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[phase], rank), 0);
    }
    net->drop = drop_one;
    net->app = asked;
    return net;
}

static void finish(struct net *net)
{
    for (uint16_t phase = 0; phase < 2; phase++)
        net_gather_release(net, &gathers[phase]);
    net_free(net);
}

static void after_a_gap_only_what_should_have_come_is_asked_for(void **state)
{
    struct asked asked = {.lost_tile = 1};
    struct net *net = setup(&asked);

    (void)state;
    for (unsigned block = 0; block < 15; block += 5)
        publish(net, 0, block, 5); /* the last five blocks are not computed yet */
    net_run(net, 160 * NET_US);
    assert_int_equal(asked.naks, 1);
    assert_int_equal(asked.nak.range_count, 1);
    assert_int_equal(asked.range.block_first, 5);
    assert_int_equal(asked.range.block_count, 5);
    finish(net);
}

/* Then a tile of the next gather tells that something was lost. */
static void the_end_of_a_gather_before_the_latest_is_asked_for_too(void **state)
{
    struct asked asked = {.lost_tile = 1};
    struct net *net = setup(&asked);

    (void)state;
    publish(net, 0, 0, 15);
    publish(net, 0, 15, 5);
    publish(net, 1, 0, 10);
    net_run(net, 160 * NET_US);
    assert_int_equal(asked.naks, 1);
    assert_int_equal(asked.nak.phase, 0);
    assert_int_equal(asked.nak.range_count, 1);
    assert_int_equal(asked.range.block_first, 15);
    assert_int_equal(asked.range.block_count, 5);
    finish(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_gap_only_what_should_have_come_is_asked_for),
        cmocka_unit_test(the_end_of_a_gather_before_the_latest_is_asked_for_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
