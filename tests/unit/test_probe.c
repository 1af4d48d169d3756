#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "net.h"

static struct net_gather gathers[20];

static bool path_limit(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)from, (void)to, (void)message;
    return bytes > *(size_t *)net->app;
}

static uint32_t proved(struct net *net)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    return stats.datagram_bytes;
}

static struct net *up_with_limit(size_t *limit)
{
    struct net *net = net_new(2);

    net->config[0].datagram_bytes_max = net->config[1].datagram_bytes_max = 60000;
    net->drop = path_limit;
    net->app = limit;
    net_up(net);
    return net;
}

static void the_largest_size_that_the_path_carries_is_found(void **state)
{
    static size_t limits[] = {1200, 1451, 1452, 8951, 9000, 32000, 65535};
    static const uint32_t expected[] = {1200, 1200, 1452, 1452, 8952, 32000, 32000};

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct net *net = up_with_limit(&limits[i]);

        assert_int_equal(proved(net), expected[i]);
        net_free(net);
    }
}

static void no_probe_is_larger_than_the_drivers_can_send(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->config[0].datagram_bytes_max = 60000;
    net->config[1].datagram_bytes_max = 1452;
    net_up(net);
    assert_int_equal(proved(net), 1452);
    net_free(net);
}

/* Its number would be missing at the receiver, and counted as lost there. */
static void what_the_own_interface_cannot_carry_is_not_tried(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer_stats stats;
    size_t limit = 1472;

    (void)state;
    net->config[0].datagram_bytes_max = net->config[1].datagram_bytes_max = 60000;
    net->drop = path_limit;
    net->app = &limit;
    net->path_bytes = 1472;
    net_up(net);
    net_run(net, 5000 * (uint64_t)NET_MS);
    assert_int_equal(proved(net), 1452);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_int_equal(stats.lost, 0);
    net_free(net);
}

static void what_the_path_does_not_carry_is_tried_ever_more_seldom(void **state)
{
    size_t limit = 1472;
    struct net *net = up_with_limit(&limit);
    struct mesh_peer_stats stats;

    (void)state;
    net_run(net, 700000 * (uint64_t)NET_MS);
    assert_int_equal(proved(net), 1452);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_in_range(stats.lost, 20, 30); /* three each time: at once, after 2 s, 6 s, ... 510 s */
    net_free(net);
}

/* In its first seconds an idle path carries little else, so these few probes would be some percent of all. */
static void a_probe_that_the_path_does_not_carry_is_no_loss_of_data(void **state)
{
    size_t limit = 1472;
    struct net *net = net_new(2);
    struct mesh_peer_stats sender, receiver;

    (void)state;
    net->config[0].datagram_bytes_max = net->config[1].datagram_bytes_max = 60000;
    net->config[0].copy_loss_ppm = 1000;
    net->drop = path_limit;
    net->app = &limit;
    net_up(net);
    for (unsigned second = 0; second < 100; second++) {
        net_run(net, 1000 * (uint64_t)NET_MS);
        mesh_get_peer_stats(net->mesh[0], 1, &sender);
        assert_int_equal(sender.loss_ppm, 0);
        assert_int_equal(net->mesh[0]->copying, 0);
        assert_int_equal(net->mesh[0]->peers[1].queue_bytes, 0);
    }
    mesh_get_peer_stats(net->mesh[1], 0, &receiver);
    assert_in_range(receiver.lost, 15, 20);
    assert_int_equal(sender.probes_lost, receiver.lost);
    net_free(net);
}

struct bad_path {
    size_t limit;
    unsigned of, count; /* one datagram in so many is lost, too */
};

static bool limit_and_loss(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct bad_path *path = net->app;

    (void)to, (void)message;
    return from == 0 && (bytes > path->limit || ++path->count % path->of == 0);
}

static void what_is_lost_beside_probes_counts(void **state)
{
    struct bad_path path = {.limit = 1472, .of = 20};
    struct net *net = net_new(2);
    struct mesh_peer_stats sender, receiver;

    (void)state;
    net->config[0].datagram_bytes_max = net->config[1].datagram_bytes_max = 60000;
    net->drop = limit_and_loss;
    net->app = &path;
    net_up(net);
    net_run(net, 700000 * (uint64_t)NET_MS);
    mesh_get_peer_stats(net->mesh[0], 1, &sender);
    mesh_get_peer_stats(net->mesh[1], 0, &receiver);
    assert_in_range(sender.loss_ppm, 45000, 55000);
    assert_in_range(sender.probes_lost, 20, 30);
    assert_in_range(receiver.lost, 200, 500);
    net_free(net);
}

/* Where the path carries the size, an answered round leaves nothing behind that a later loss could be charged to. */
static void an_answered_probe_excuses_no_loss(void **state)
{
    struct bad_path path = {.limit = 65535, .of = 1000000};
    struct net *net = net_new(2);
    struct mesh_peer_stats stats;

    (void)state;
    net->config[0].datagram_bytes_max = net->config[1].datagram_bytes_max = 60000;
    net->drop = limit_and_loss;
    net->app = &path;
    net_up(net);
    assert_int_equal(proved(net), 32000);
    path.of = 20;
    net_run(net, 700000 * (uint64_t)NET_MS);
    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    assert_int_equal(stats.probes_lost, 0);
    assert_in_range(stats.loss_ppm, 45000, 55000);
    net_free(net);
}

static void a_path_that_shrinks_is_noticed_and_meanwhile_healed_by_small_resends(void **state)
{
    size_t limit = 65535;
    struct net *net = up_with_limit(&limit);

    (void)state;
    assert_int_equal(proved(net), 32000);
    limit = 1300;
    for (unsigned i = 0; i < 20; i++) {
        net_gather_init(net, &gathers[i], 1 + i / 5, (uint16_t)(i % 5), 16, 200);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_publish(net, &gathers[i], rank), 0);
        net_run(net, 50 * NET_MS);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], i + 1);
        for (uint16_t rank = 0; rank < 2; rank++)
            mesh_consume(net->mesh[rank], net->now_ns, gathers[i].gather[0].step, gathers[i].gather[0].phase);
        net_run(net, 5 * NET_MS);
        net_gather_release(net, &gathers[i]);
    }
    assert_int_equal(proved(net), 1200);
    limit = 65535;
    net_run(net, 5000 * (uint64_t)NET_MS);
    assert_int_equal(proved(net), 32000);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_size_that_the_path_carries_is_found),
        cmocka_unit_test(no_probe_is_larger_than_the_drivers_can_send),
        cmocka_unit_test(what_the_own_interface_cannot_carry_is_not_tried),
        cmocka_unit_test(what_the_path_does_not_carry_is_tried_ever_more_seldom),
        cmocka_unit_test(a_probe_that_the_path_does_not_carry_is_no_loss_of_data),
        cmocka_unit_test(what_is_lost_beside_probes_counts),
        cmocka_unit_test(an_answered_probe_excuses_no_loss),
        cmocka_unit_test(a_path_that_shrinks_is_noticed_and_meanwhile_healed_by_small_resends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
