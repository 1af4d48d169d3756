/* The UDP driver and a multicast group, on the loopback: one datagram to all members that hear it, and whole exchanges although some do
 * not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "udpbench.h"

enum { RANKS = 4 };

static struct udpbench bench;

/* The port belongs to no other process: a socket of this test has it. */
static struct mesh_addr group_of(const char *text)
{
    struct mesh_addr group;
    char reason[MESH_REASON_BYTES];

    assert_int_equal(mesh_addr_parse(text, &group, reason, sizeof reason), 0);
    group.port = mesh_udp_local(bench.ranks[0].udp).port;
    return group;
}

/* All ranks send to the group; the last rank may have another group, to which no rank sends. */
static void open_group(const char *host, const char *text, const struct mesh_lab *lab, bool has_deaf)
{
    struct simshape shape;

    simshape_even(&shape, RANKS, 4, 16, 36);
    shape.step_count = 60;
    shape.prompt_tokens = 20;
    shape.records = 3;
    if (!udpbench_open(&bench, &shape, host, lab)) {
        print_message("no %s on this system\n", host);
        skip();
    }
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        struct mesh_addr group = group_of(text);

        group.ip[15] = (uint8_t)(group.ip[15] + (has_deaf && rank == RANKS - 1));
        if (mesh_udp_set_group(bench.ranks[rank].udp, group) != 0 || mesh_udp_group_bytes(bench.ranks[rank].udp) < 1452) {
            udpbench_close(&bench);
            print_message("the loopback hears no %s\n", text);
            skip();
        }
        mesh_set_group(bench.ranks[rank].app.mesh, mesh_udp_group_bytes(bench.ranks[rank].udp));
    }
}

static bool hears(uint16_t rank, uint16_t peer)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(bench.ranks[rank].app.mesh, peer, &stats);
    return stats.hears_group;
}

static bool all_hear(uint16_t ranks)
{
    for (uint16_t rank = 0; rank < ranks; rank++) {
        for (uint16_t peer = 0; peer < ranks; peer++) {
            if (rank != peer && !hears(rank, peer)) {
                return false;
            }
        }
    }
    return true;
}

/* The exchange begins when the first `hearing` ranks know that the others hear them: however busy the machine is, they use the group. */
static void run(uint16_t hearing)
{
    const uint64_t begin_ns = mesh_udp_now_ns();

    while (!all_hear(hearing)) {
        for (uint16_t rank = 0; rank < RANKS; rank++) {
            bench.ranks[rank].app.is_started = false;
            udpbench_turn(&bench.ranks[rank]);
        }
        if (mesh_udp_now_ns() - begin_ns > 20 * UINT64_C(1000000000)) {
            fail_msg("nobody hears the group");
        }
    }
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        bench.ranks[rank].app.is_started = true;
    }
    if (!udpbench_run(&bench, 60)) {
        fail_msg("%s", bench.error);
    }
}

/* Datagrams to peers that left together with another peer's: what the group saved. The driver's count agrees. */
static uint64_t saved(uint16_t rank)
{
    struct mesh_peer_stats peer;
    struct mesh_udp_stats udp;
    uint64_t sent = 0, shared = 0;

    for (uint16_t to = 0; to < RANKS; to++) {
        mesh_get_peer_stats(bench.ranks[rank].app.mesh, to, &peer);
        sent += peer.datagrams_sent;
        shared += peer.shared_sent;
    }
    mesh_udp_get_stats(bench.ranks[rank].udp, &udp);
    assert_int_equal(sent - shared, udp.datagrams_sent);
    assert_int_equal(udp.system_calls, udp.send_calls + udp.receive_calls);
    assert_true(udp.sent_to_group > 0);
    return shared;
}

static void exchange(const char *host, const char *text)
{
    open_group(host, text, NULL, false);
    run(RANKS);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        assert_true(saved(rank) > 20);
    }
    udpbench_close(&bench);
}

static void tiles_leave_once_over_ipv4(void **state)
{
    (void)state;
    exchange("127.0.0.1", "239.255.77.13:0");
}

static void tiles_leave_once_over_ipv6(void **state)
{
    (void)state;
    exchange("[::1]", "[ff02::d10%lo]:0");
}

static void sealed_tiles_come_by_the_group_like_any_other(void **state)
{
    (void)state;
    open_group("127.0.0.1", "239.255.77.13:0", NULL, false);
    if (!udpbench_seal(&bench, MESH_SECURITY_SEAL)) {
        udpbench_close(&bench);
        skip();
    }
    run(RANKS);
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        assert_true(saved(rank) > 20);
        for (int reason = 0; reason < MESH_SEAL_REFUSALS; reason++) {
            assert_int_equal(bench.ranks[rank].sealer.refused[reason], 0); /* a rank's own datagrams come back, too, and are not refused */
        }
    }
    udpbench_close(&bench);
}

static void a_rank_that_hears_another_group_misses_nothing(void **state)
{
    (void)state;
    open_group("127.0.0.1", "239.255.77.13:0", &(struct mesh_lab){.loss_ppm = 20000, .reorder_ppm = 20000, .seed = 5}, true);
    run(RANKS - 1);
    for (uint16_t rank = 0; rank < RANKS - 1; rank++) {
        assert_false(hears(rank, RANKS - 1));
    }
    udpbench_close(&bench);
}

static void an_address_that_is_no_group_is_refused(void **state)
{
    struct simshape shape;
    struct mesh_addr addr;
    char reason[MESH_REASON_BYTES];

    (void)state;
    simshape_even(&shape, 1, 1, 1, 36);
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", NULL));
    assert_int_equal(mesh_addr_parse("127.0.0.2:0", &addr, reason, sizeof reason), 0);
    assert_int_equal(mesh_udp_set_group(bench.ranks[0].udp, addr), MESH_ESYSTEM);
    assert_int_equal(mesh_addr_parse("[ff02::1%lo]:0", &addr, reason, sizeof reason), 0);
    assert_int_equal(mesh_udp_set_group(bench.ranks[0].udp, addr), MESH_ESYSTEM); /* of an IPv4 socket */
    assert_int_equal(mesh_udp_group_bytes(bench.ranks[0].udp), 0);
    udpbench_close(&bench);
}

/* Such a socket also receives IPv4, but cannot send it. */
static void an_ipv4_group_of_a_socket_with_one_ipv6_address_is_refused(void **state)
{
    struct simshape shape;

    (void)state;
    simshape_even(&shape, 1, 1, 1, 36);
    if (!udpbench_open(&bench, &shape, "[::1]", NULL)) {
        skip();
    }
    assert_int_equal(mesh_udp_set_group(bench.ranks[0].udp, group_of("239.255.77.13:0")), MESH_ESYSTEM);
    assert_int_equal(errno, EAFNOSUPPORT);
    assert_int_equal(mesh_udp_group_bytes(bench.ranks[0].udp), 0);
    udpbench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_leave_once_over_ipv4),
        cmocka_unit_test(tiles_leave_once_over_ipv6),
        cmocka_unit_test(sealed_tiles_come_by_the_group_like_any_other),
        cmocka_unit_test(a_rank_that_hears_another_group_misses_nothing),
        cmocka_unit_test(an_address_that_is_no_group_is_refused),
        cmocka_unit_test(an_ipv4_group_of_a_socket_with_one_ipv6_address_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
