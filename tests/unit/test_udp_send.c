/* Sending to several ranks: who comes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "libmesh/addr.h"
#include "libmesh/udp_parts.h"
#include "net.h"

enum { RANKS = 4, GATHERS = 4 };

static uint16_t rank_of(const struct mesh_udp_sender *sender, unsigned message)
{
    const struct sockaddr_storage *to = sender->messages[message].msg_hdr.msg_name;

    assert_true(to >= sender->peers && to < sender->peers + MESH_RANKS_MAX);
    return (uint16_t)(to - sender->peers);
}

static void each_datagram_to_all_begins_with_another_rank(void **state)
{
    static const uint16_t expected[GATHERS][RANKS - 1] = {{1, 2, 3}, {2, 3, 1}, {3, 1, 2}, {1, 2, 3}};
    struct net *net = net_new(RANKS);
    struct mesh_udp_sender *sender = calloc(1, sizeof *sender);
    struct net_gather gathers[GATHERS];
    char reason[MESH_REASON_BYTES];
    struct mesh_addr nowhere;

    (void)state;
    assert_int_equal(mesh_addr_parse("127.0.0.1:9", &nowhere, reason, sizeof reason), 0);
    net_up(net);
    sender->family = AF_INET;
    sender->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(sender->fd >= 0);
    for (uint16_t rank = 1; rank < RANKS; rank++)
        mesh_udp_sender_set_peer(sender, rank, &nowhere);
    for (unsigned i = 0; i < GATHERS; i++) {
        net_gather_init(net, &gathers[i], 1, (uint16_t)i, 1, 30);
        assert_int_equal(net_gather_open(net, &gathers[i], 0), 0);
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
        mesh_udp_sender_run(sender, net->mesh[0], net->now_ns);
        for (unsigned k = 0; k < RANKS - 1; k++)
            assert_int_equal(rank_of(sender, k), expected[i][k]);
    }
    for (unsigned i = 0; i < GATHERS; i++)
        net_gather_release(net, &gathers[i]);
    close(sender->fd);
    free(sender);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_datagram_to_all_begins_with_another_rank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
