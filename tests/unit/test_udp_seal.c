/* Sealed datagrams through the UDP driver: opened once, refused without an answer, the same exchange. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libmesh/core/core.h"
#include "mesh/wire.h"
#include "udpbench.h"

enum { TOKENS = 64, BLOCKS = 64, BLOCK_BYTES = 36 };

static struct udpbench bench;

static void open_sealed(const struct simshape *shape, const struct mesh_lab *lab, enum mesh_security security)
{
    assert_true(udpbench_open(&bench, shape, "127.0.0.1", lab));
    if (!udpbench_seal(&bench, security)) {
        udpbench_close(&bench);
        print_message("built without libsodium\n");
        skip();
    }
}

static uint64_t refused(const struct mesh_sealer *sealer)
{
    uint64_t sum = 0;

    for (int reason = 0; reason < MESH_SEAL_REFUSALS; reason++) {
        sum += sealer->refused[reason];
    }
    return sum;
}

static void exchange(enum mesh_security security, const struct mesh_lab *lab)
{
    struct simshape shape;

    simshape_random(&shape, 77, 4, 4, 40);
    shape.step_count = 15;
    shape.prompt_tokens = 20;
    shape.records = 4;
    open_sealed(&shape, lab, security);
    if (!udpbench_run(&bench, 60)) {
        fail_msg("%s", bench.error);
    }
    for (int rank = 0; rank < 4; rank++) {
        assert_true(bench.ranks[rank].sealer.sealed > 0 && bench.ranks[rank].sealer.opened > 0);
        assert_int_equal(refused(&bench.ranks[rank].sealer), 0);
    }
    udpbench_close(&bench);
}

static void ranks_exchange_what_is_sealed(void **state)
{
    (void)state;
    exchange(MESH_SECURITY_SEAL, NULL);
}

static void ranks_exchange_what_is_authenticated(void **state)
{
    (void)state;
    exchange(MESH_SECURITY_AUTH, NULL);
}

static void ranks_exchange_what_is_sealed_despite_loss_duplicates_and_reordering(void **state)
{
    (void)state;
    exchange(MESH_SECURITY_SEAL, &(struct mesh_lab){.loss_ppm = 50000, .duplicate_ppm = 20000, .reorder_ppm = 50000, .seed = 3});
}

/* ---- two ranks by hand; the kernel delivers a datagram some time after it was sent ---- */

static uint64_t end_of_timeout_ns(void)
{
    return mesh_udp_now_ns() + UINT64_C(20000000000);
}

static void poll_both(int times)
{
    for (int i = 0; i < times; i++) {
        mesh_udp_poll(bench.ranks[0].udp, bench.ranks[0].app.mesh);
        mesh_udp_poll(bench.ranks[1].udp, bench.ranks[1].app.mesh);
    }
}

static bool is_up(uint16_t rank)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(bench.ranks[rank].app.mesh, 1 - rank, &stats);
    return stats.is_up;
}

/* ---- no room in the core ---- */

static unsigned drain(struct mesh *mesh)
{
    struct mesh_event event;
    unsigned count = 0;

    while (mesh_next_event(mesh, &event)) {
        count++;
    }
    return count;
}

/* Once the event queue of rank 1 is full, so that datagrams wait in front of it, empties the queue. */
static bool make_room(void)
{
    if (mesh_event_room(bench.ranks[1].app.mesh) > 0) {
        return false;
    }
    poll_both(10);
    drain(bench.ranks[1].app.mesh);
    return true;
}

/* More tiles than the event queue of rank 1 has room for: it stops in the middle of a batch, which must not be opened again. */
static void what_waits_for_room_is_opened_once(void **state)
{
    static uint8_t data[2][TOKENS * BLOCKS * BLOCK_BYTES];
    static const uint16_t first[] = {0, BLOCKS, BLOCKS};
    struct mesh_peer_stats stats;
    struct simshape shape;
    unsigned times_full = 0;
    uint64_t end_ns;

    (void)state;
    simshape_even(&shape, 2, 1, BLOCKS, BLOCK_BYTES);
    shape.prompt_tokens = TOKENS;
    open_sealed(&shape, NULL, MESH_SECURITY_SEAL);
    for (size_t i = 0; i < sizeof data[0]; i++) {
        data[0][i] = (uint8_t)(i * 31 + i / 4096);
    }
    for (end_ns = end_of_timeout_ns(); !(is_up(0) && is_up(1)) && mesh_udp_now_ns() < end_ns;) {
        poll_both(1);
    }
    for (int rank = 0; rank < 2; rank++) {
        const struct mesh_gather gather = {.token_count = TOKENS,
                                           .block_count = BLOCKS,
                                           .block_bytes = BLOCK_BYTES,
                                           .last_block_bytes = BLOCK_BYTES,
                                           .data = data[rank],
                                           .token_stride = BLOCKS * BLOCK_BYTES,
                                           .first = first,
                                           .readers = 3};

        drain(bench.ranks[rank].app.mesh);
        assert_int_equal(mesh_open_gather(bench.ranks[rank].app.mesh, mesh_udp_now_ns(), &gather), 0);
    }
    for (uint16_t token = 0; token < TOKENS; token++) {
        for (uint16_t block = 0; block < BLOCKS; block++) {
            while (mesh_publish(bench.ranks[0].app.mesh, mesh_udp_now_ns(), 0, 0, token, 1, block, 1) == MESH_AGAIN) {
                poll_both(1);
                times_full += make_room();
            }
            poll_both(1);
        }
    }
    for (end_ns = end_of_timeout_ns(); memcmp(data[0], data[1], sizeof data[0]) != 0 && mesh_udp_now_ns() < end_ns;) {
        poll_both(10);
        times_full += make_room();
    }
    assert_true(times_full > 0);
    assert_memory_equal(data[0], data[1], sizeof data[0]);
    assert_int_equal(refused(&bench.ranks[0].sealer), 0);
    assert_int_equal(refused(&bench.ranks[1].sealer), 0);
    mesh_get_peer_stats(bench.ranks[1].app.mesh, 0, &stats);
    assert_int_equal(stats.lost, 0);
    udpbench_close(&bench);
}

/* ---- strangers ---- */

static void plain_hellos_and_junk_are_counted_and_not_answered(void **state)
{
    const struct mesh_message hello = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_HELLO, .src = 1, .epoch = 1, .number = 1},
        .as.hello = {.rank_count = 2, .phase_count = 1, .datagram_bytes = 1200, .window_bytes = 1, .nonce = 1}};
    struct mesh_sealer *sealer = &bench.ranks[0].sealer;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int stranger = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct mesh_stats stats;
    struct simshape shape;
    uint8_t packet[1500];
    size_t bytes;

    (void)state;
    simshape_even(&shape, 2, 1, 4, 36);
    open_sealed(&shape, NULL, MESH_SECURITY_SEAL);
    to.sin_port = htons(mesh_udp_local(bench.ranks[0].udp).port);
    bytes = mesh_wire_encode(&hello, packet, sizeof packet);
    assert_int_equal(sendto(stranger, packet, bytes, 0, (struct sockaddr *)&to, sizeof to), bytes);
    packet[4] = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED;
    assert_int_equal(sendto(stranger, packet, bytes, 0, (struct sockaddr *)&to, sizeof to), bytes);
    assert_int_equal(sendto(stranger, "junk", 4, 0, (struct sockaddr *)&to, sizeof to), 4);
    udpbench_poll_for(bench.ranks[0].udp, bench.ranks[0].app.mesh, 3);
    assert_int_equal(sealer->refused[MESH_SEAL_PLAIN], 1);
    assert_int_equal(sealer->refused[MESH_SEAL_TAG], 1);
    assert_int_equal(sealer->refused[MESH_SEAL_FOREIGN], 1);
    assert_int_equal(recv(stranger, packet, sizeof packet, 0), -1);
    mesh_get_stats(bench.ranks[0].app.mesh, &stats); /* the core has not received them */
    for (size_t i = 0; i < sizeof stats.dropped / sizeof *stats.dropped; i++) {
        assert_int_equal(stats.dropped[i], 0);
    }
    close(stranger);
    udpbench_close(&bench);
}

/* A member whose datagrams come from another address than configured: its HELLO opens, but is not answered. */
static void a_member_at_another_address_is_not_answered(void **state)
{
    struct simshape shape;
    struct mesh_udp_stats stats;
    struct mesh_addr other = {.port = 9};

    (void)state;
    simshape_even(&shape, 2, 1, 4, 36);
    open_sealed(&shape, NULL, MESH_SECURITY_SEAL);
    memcpy(other.ip, mesh_udp_local(bench.ranks[1].udp).ip, sizeof other.ip);
    mesh_set_peer(bench.ranks[0].app.mesh, 1, other);
    const uint64_t end_ns = end_of_timeout_ns();

    do {
        poll_both(1);
        mesh_udp_get_stats(bench.ranks[0].udp, &stats);
    } while ((stats.send_errors == 0 || bench.ranks[0].sealer.opened == 0) && mesh_udp_now_ns() < end_ns);
    assert_true(stats.send_errors > 0);
    assert_true(bench.ranks[0].sealer.opened > 0);
    assert_int_equal(refused(&bench.ranks[1].sealer), 0);
    assert_int_equal(bench.ranks[0].app.up, 0);
    udpbench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_exchange_what_is_sealed),
        cmocka_unit_test(ranks_exchange_what_is_authenticated),
        cmocka_unit_test(ranks_exchange_what_is_sealed_despite_loss_duplicates_and_reordering),
        cmocka_unit_test(what_waits_for_room_is_opened_once),
        cmocka_unit_test(plain_hellos_and_junk_are_counted_and_not_answered),
        cmocka_unit_test(a_member_at_another_address_is_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
