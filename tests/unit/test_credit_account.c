/* Credit as an account: what is spent, reported, granted, and limited by a queue on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libmesh/core/core.h"
#include "net.h"

/* Rank 1, as rank 0 knows it, with nothing on its way. */
static struct mesh_peer *peer_at_rest(struct net *net)
{
    struct mesh *mesh = net->mesh[0];
    struct mesh_peer *peer = &mesh->peers[1];

    mesh_credit_spend(mesh, peer, 0);
    mesh_credit_spend_all(mesh, 0);
    mesh_credit_report(mesh, peer, mesh->number_all, peer->number);
    peer->waits = false;
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 0);
    return peer;
}

static void send_one(struct net *net, uint32_t cost)
{
    net->mesh[0]->peers[1].number++;
    mesh_credit_spend(net->mesh[0], &net->mesh[0]->peers[1], cost);
}

static void what_was_sent_counts_until_a_report_covers_it(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer *peer;
    struct mesh *mesh;

    (void)state;
    net_up(net);
    mesh = net->mesh[0];
    peer = peer_at_rest(net);
    send_one(net, 1000);
    send_one(net, 500);
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 1500);
    mesh->number_all++;
    mesh_credit_spend_all(mesh, 700);
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 2200);
    mesh_credit_report(mesh, peer, mesh->number_all, peer->number - 1);
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 500);
    mesh_credit_report(mesh, peer, mesh->number_all - 1, peer->number - 2); /* overtaken on the way */
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 500);
    mesh_credit_report(mesh, peer, mesh->number_all, peer->number);
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 0);
    assert_int_equal(mesh_credit_check(mesh, peer, mesh->number_all, peer->number), 0);
    assert_int_equal(mesh_credit_check(mesh, peer, mesh->number_all + 1, peer->number), MESH_ERANGE);
    assert_int_equal(mesh_credit_check(mesh, peer, mesh->number_all, peer->number + 1), MESH_ERANGE);
    net_free(net);
}

static bool allows(struct net *net, uint32_t window_bytes, uint32_t queue_bytes)
{
    struct mesh_peer *peer = &net->mesh[0]->peers[1];

    peer->window_bytes = window_bytes;
    peer->queue_bytes = queue_bytes;
    return mesh_credit_allows(net->mesh[0], peer, 1200);
}

static void the_window_and_the_queue_on_the_way_are_limits(void **state)
{
    struct net *net = net_new(2);
    uint64_t waits;

    (void)state;
    net_up(net);
    waits = peer_at_rest(net)->stats.credit_waits;
    assert_true(allows(net, 1, 0)); /* one may always go */
    send_one(net, 500);
    assert_true(allows(net, 500 + 2304, 0));
    assert_true(allows(net, 100000, 500 + 2304));
    assert_true(allows(net, 500 + 2304, 100000));
    assert_int_equal(net->mesh[0]->peers[1].stats.credit_waits, waits);
    assert_false(allows(net, 500 + 2303, 0));
    assert_false(allows(net, 100000, 500 + 2303));
    assert_int_equal(net->mesh[0]->peers[1].stats.credit_waits, waits + 1);
    assert_true(allows(net, 100000, 0));
    assert_false(allows(net, 500 + 2303, 100000));
    assert_int_equal(net->mesh[0]->peers[1].stats.credit_waits, waits + 2);
    net_free(net);
}

static void a_quarter_of_what_was_granted_is_reported_when_it_has_been_read(void **state)
{
    struct net *net = net_new(2);
    uint8_t bytes[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_packet packet = {.bytes = bytes, .capacity = sizeof bytes};
    struct mesh_peer *peer;
    struct mesh *mesh;

    (void)state;
    net_up(net);
    mesh = net->mesh[0];
    peer = peer_at_rest(net);
    mesh->grant_bytes = 4 * (2304 + 768) + 3;
    peer->consumed_bytes = 0;
    peer->pending = 0;
    mesh_credit_consume(mesh, peer, 1200);
    mesh_credit_consume(mesh, peer, 64);
    assert_int_equal(peer->consumed_bytes, 2304 + 768);
    assert_false(peer->pending & MESH_PENDING_STATUS);
    mesh_credit_consume(mesh, peer, 64);
    assert_true(peer->pending & MESH_PENDING_STATUS);
    peer->seen[0].highest = 55;
    peer->seen[1].highest = 66;
    assert_true(mesh_status_write(mesh, peer, &packet));
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 0); /* it needs no credit */
    assert_int_equal(peer->consumed_bytes, 0);
    assert_int_equal(packet.message.as.status.seen_peer, 55);
    assert_int_equal(packet.message.as.status.seen_all, 66);
    assert_int_equal(packet.message.as.status.window_bytes, mesh->grant_bytes);
    assert_int_equal(packet.message.as.status.lost, peer->stats.lost);
    net_free(net);
}

static void a_report_that_cannot_be_true_is_refused_and_another_is_taken(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_STATUS};
    struct mesh_status *status = &message.as.status;
    struct net *net = net_new(2);
    struct mesh_peer *peer;
    struct mesh *mesh;

    (void)state;
    net_up(net);
    mesh = net->mesh[0];
    peer = peer_at_rest(net);
    send_one(net, 500);
    *status = (struct mesh_status){
        .seen_all = mesh->number_all + 1, .seen_peer = peer->number, .window_bytes = 12345, .lost = peer->queue_lost + 3};
    assert_int_equal(mesh_status_check(mesh, peer, &message), MESH_ERANGE);
    status->seen_all--;
    assert_int_equal(mesh_status_check(mesh, peer, &message), 0);
    mesh_status_apply(mesh, peer, &message);
    assert_int_equal(mesh_credit_in_flight(mesh, peer), 0);
    assert_int_equal(peer->window_bytes, 12345);
    assert_int_equal(peer->queue_lost, status->lost);
    assert_int_equal(peer->group_seen, mesh->number_all);
    net_free(net);
}

/* Round trips take 3 ms, the shortest took 1 ms. */
static void report_loss(struct net *net)
{
    struct mesh_peer *peer = &net->mesh[0]->peers[1];

    peer->stats.rtt_ns_min = NET_MS;
    peer->rtt_ns = 3 * NET_MS;
    mesh_credit_lost(net->mesh[0], peer, peer->queue_lost + 1);
}

/* Half of it, but not below what the peer reports at once and two datagrams. */
static void a_full_queue_is_halved_down_to_a_quarter_of_the_window_and_two_datagrams(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer *peer;

    (void)state;
    net_up(net);
    peer = &net->mesh[0]->peers[1];
    peer->window_bytes = 48000;
    for (unsigned i = 0; i < 3; i++) {
        report_loss(net);
        assert_int_equal(peer->queue_bytes, i == 0 ? 24000 : 12000 + 2 * 2304);
        assert_int_equal(peer->queue_at_ns, net->mesh[0]->now_ns + 3 * NET_MS);
        net->mesh[0]->now_ns += 3 * NET_MS;
    }
    peer->queue_bytes = 48000 - 2304;
    peer->rtt_ns = NET_MS;
    mesh_credit_lost(net->mesh[0], peer, peer->queue_lost + 1); /* not in a queue */
    assert_int_equal(peer->queue_bytes, 0);                     /* as much as is granted */
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent_counts_until_a_report_covers_it),
        cmocka_unit_test(the_window_and_the_queue_on_the_way_are_limits),
        cmocka_unit_test(a_quarter_of_what_was_granted_is_reported_when_it_has_been_read),
        cmocka_unit_test(a_report_that_cannot_be_true_is_refused_and_another_is_taken),
        cmocka_unit_test(a_full_queue_is_halved_down_to_a_quarter_of_the_window_and_two_datagrams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
