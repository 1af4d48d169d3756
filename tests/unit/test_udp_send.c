/* Sending to several ranks: their order; and runs of datagrams, which the kernel splits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "libmesh/udp/addr.h"
#include "libmesh/udp/udp_parts.h"
#include "net.h"

enum { RANKS = 4, GATHERS = 4, TOKENS = 10, BLOCKS = 60 };

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

/* ---- messages that the kernel splits ---- */

struct row {
    struct net *net;
    struct mesh_udp_sender *sender;
    struct net_gather gather;
    int heard; /* the socket of both receivers */
};

/* Rank 0 has many datagrams for ranks 1 and 2, which are one socket. */
static void open_row(struct row *row)
{
    const struct timeval timeout = {.tv_sec = 10};
    struct sockaddr_storage name;
    socklen_t name_bytes = sizeof name;
    struct mesh_addr addr;
    char reason[MESH_REASON_BYTES];

    assert_int_equal(mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason), 0);
    row->heard = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(setsockopt(row->heard, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    name_bytes = mesh_addr_to_sockaddr(&addr, AF_INET, &name);
    assert_int_equal(bind(row->heard, (struct sockaddr *)&name, name_bytes), 0);
    assert_int_equal(getsockname(row->heard, (struct sockaddr *)&name, &name_bytes), 0);
    mesh_addr_from_sockaddr(&name, &addr);
    row->net = net_new(3);
    net_up(row->net);
    row->sender = calloc(1, sizeof *row->sender);
    row->sender->family = AF_INET;
    row->sender->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    row->sender->segments = mesh_udp_segment_is_known(row->sender->fd);
    for (uint16_t rank = 1; rank < 3; rank++) {
        mesh_udp_sender_set_peer(row->sender, rank, &addr);
        row->sender->segment_ranks |= UINT64_C(1) << rank;
    }
    net_gather_init(row->net, &row->gather, 1, 0, TOKENS, BLOCKS);
    assert_int_equal(net_gather_open(row->net, &row->gather, 0), 0);
    assert_int_equal(net_gather_publish(row->net, &row->gather, 0), 0);
}

static void close_row(struct row *row)
{
    net_gather_release(row->net, &row->gather);
    net_free(row->net);
    close(row->sender->fd);
    close(row->heard);
    free(row->sender);
}

/* Every datagram of the batch arrives twice, once for each rank, with its bytes and size. */
static void assert_all_heard(const struct row *row)
{
    const struct mesh_udp_sender *sender = row->sender;
    const uint64_t count = sender->sent / 2; /* a batch, which is still in place */
    unsigned heard[UDP_BATCH] = {0};
    static uint8_t packet[UDP_DATAGRAM_BYTES_MAX];

    assert_in_range(count, 3, UDP_BATCH);
    assert_int_equal(sender->sent, 2 * count);
    for (unsigned i = 0; i < 2 * count; i++) {
        const ssize_t bytes = recv(row->heard, packet, sizeof packet, 0);
        unsigned k = 0;

        while (k < count && (bytes != (ssize_t)sender->iovecs[k].iov_len || memcmp(packet, sender->iovecs[k].iov_base, (size_t)bytes) != 0))
            k++;
        assert_true(k < count);
        heard[k]++;
    }
    for (unsigned k = 0; k < count; k++)
        assert_int_equal(heard[k], 2);
}

static void datagrams_in_a_row_are_one_message_for_each_rank(void **state)
{
    struct row row;

    (void)state;
    open_row(&row);
    if (!row.sender->segments)
        skip(); /* the kernel does not support it */
    mesh_udp_sender_run(row.sender, row.net->mesh[0], row.net->now_ns);
    assert_int_equal(row.sender->system_calls, 1);
    assert_true(row.sender->segments);
    assert_false(row.sender->segments_refused);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(row.sender->messages[i].msg_hdr.msg_iovlen, row.sender->sent / 2);
    assert_all_heard(&row);
    close_row(&row);
}

static void what_the_kernel_does_not_cut_is_sent_one_by_one_and_told(void **state)
{
    const int no_checksums = 1; /* without checksums it does not split: EINVAL */
    struct row row;

    (void)state;
    open_row(&row);
    if (!row.sender->segments)
        skip();
    assert_int_equal(setsockopt(row.sender->fd, SOL_SOCKET, SO_NO_CHECK, &no_checksums, sizeof no_checksums), 0);
    mesh_udp_sender_run(row.sender, row.net->mesh[0], row.net->now_ns);
    assert_false(row.sender->segments);
    assert_true(row.sender->segments_refused);
    assert_int_equal(row.sender->errors, 0);
    assert_all_heard(&row);
    close_row(&row);
}

static void a_full_queue_is_given_what_waits_one_by_one_and_later_messages_whole(void **state)
{
    struct mesh_udp_sender *sender = calloc(1, sizeof *sender);

    (void)state;
    sender->segments = true;
    sender->messages_count = 1;
    sender->messages[0].msg_hdr = (struct msghdr){.msg_iov = sender->iovecs, .msg_iovlen = 4};
    assert_true(mesh_udp_segment_split(sender, ENOBUFS));
    assert_int_equal(sender->messages_count - sender->messages_next, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_ptr_equal(sender->messages[sender->messages_next + i].msg_hdr.msg_iov, sender->iovecs + i);
        assert_int_equal(sender->messages[sender->messages_next + i].msg_hdr.msg_iovlen, 1);
    }
    assert_true(sender->segments && !sender->segments_refused);
    assert_false(mesh_udp_segment_split(sender, ENOBUFS)); /* a single one has to wait for room */
    free(sender);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_datagram_to_all_begins_with_another_rank),
        cmocka_unit_test(datagrams_in_a_row_are_one_message_for_each_rank),
        cmocka_unit_test(what_the_kernel_does_not_cut_is_sent_one_by_one_and_told),
        cmocka_unit_test(a_full_queue_is_given_what_waits_one_by_one_and_later_messages_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
