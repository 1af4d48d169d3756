/* Datagrams that are not for the epoch's endpoint: which handler gets them, with and without an endpoint, sealer and impairments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libmesh/udp/udp_parts.h"
#include "mesh/wire.h"
#include "udpbench.h"

static struct {
    unsigned count;
    uint32_t epoch;
    uint8_t packet[200];
    size_t bytes;
    struct mesh_addr from;
} taken;

static void take(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    assert_ptr_equal(app, &taken);
    assert_true(now_ns > 0);
    taken.count++;
    taken.epoch = packet[12] | (uint32_t)packet[13] << 8 | (uint32_t)packet[14] << 16 | (uint32_t)packet[15] << 24;
    taken.bytes = bytes;
    memcpy(taken.packet, packet, bytes);
    taken.from = from;
}

static struct mesh_udp *open_alone(const struct mesh_lab *lab)
{
    struct mesh_udp *udp;
    struct mesh_addr addr;
    char reason[200];

    assert_int_equal(mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason), 0);
    assert_int_equal(mesh_udp_open(&udp, addr, lab), 0);
    memset(&taken, 0, sizeof taken);
    return udp;
}

static size_t ping(uint8_t *packet, size_t capacity, uint32_t epoch)
{
    const struct mesh_message message = {
        .header =
            {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_PING, .src = 1, .epoch = epoch, .number = epoch + 1},
        .as.ping = {7}};

    return mesh_wire_encode(&message, packet, capacity);
}

static void send_ping(struct mesh_udp *from, const struct mesh_udp *to, uint32_t epoch)
{
    uint8_t packet[200];

    assert_int_equal(mesh_udp_send_to(from, mesh_udp_local(to), packet, ping(packet, sizeof packet, epoch)), 0);
}

static void a_node_that_is_alone_receives_what_is_outside(void **state)
{
    struct mesh_udp *one = open_alone(NULL), *other = open_alone(NULL);
    const struct mesh_addr at = mesh_udp_local(other);
    uint8_t packet[200];
    size_t bytes = ping(packet, sizeof packet, 0x80000005u);

    (void)state;
    mesh_udp_set_outside(one, take, &taken);
    assert_int_equal(mesh_udp_poll(one, NULL), 0);
    send_ping(other, one, 0x80000005u);
    assert_int_equal(udpbench_poll_for(one, NULL, 1), 1);
    assert_int_equal(taken.count, 1);
    assert_int_equal(taken.bytes, bytes);
    assert_memory_equal(taken.packet, packet, bytes);
    assert_memory_equal(&taken.from, &at, sizeof at);
    send_ping(other, one, 0);
    send_ping(other, one, 1); /* of an epoch that this node is not in */
    packet[0] ^= 1;           /* not of this protocol */
    assert_int_equal(mesh_udp_send_to(other, mesh_udp_local(one), packet, bytes), 0);
    assert_int_equal(mesh_udp_send_to(other, mesh_udp_local(one), packet, 3), 0);
    assert_int_equal(udpbench_poll_for(one, NULL, 4), 4);
    assert_int_equal(taken.count, 2);
    assert_int_equal(taken.epoch, 0);
    assert_int_equal(mesh_udp_flush(one, NULL), 0);
    mesh_udp_set_outside(one, NULL, NULL);
    send_ping(other, one, 0);
    assert_int_equal(udpbench_poll_for(one, NULL, 1), 1);
    assert_int_equal(taken.count, 2);
    mesh_udp_close(one);
    mesh_udp_close(other);
}

/* It comes by another system call than a batch, with the same bytes from the same place. */
static void a_polling_caller_gets_the_first_datagram_alone(void **state)
{
    static struct mesh_udp_receiver receiver;
    struct mesh_udp *other = open_alone(NULL);
    struct mesh_udp_errors errors = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t name_bytes = sizeof name;
    const struct mesh_addr at = mesh_udp_local(other);
    struct mesh_addr to = at;
    uint64_t now_ns = 1000000;

    (void)state;
    assert_int_equal(bind(errors.fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(errors.fd, (struct sockaddr *)&name, &name_bytes), 0);
    to.port = ntohs(name.sin_port);
    mesh_udp_receiver_init(&receiver, errors.fd, &(struct mesh_lab){0});
    receiver.socket_errors = &errors;
    receiver.take_outside = take;
    receiver.outside_app = &taken;
    for (int held_up = 0; held_up < 2; held_up++) {
        uint8_t packet[200];
        size_t bytes = 0;

        assert_int_equal(mesh_udp_receiver_run(&receiver, NULL, now_ns), 0);
        now_ns += held_up ? UDP_POLLING_NS : UDP_POLLING_NS - 1;
        for (uint32_t epoch = 0x80000003u; epoch > 0x80000000u; epoch--) {
            bytes = ping(packet, sizeof packet, epoch);
            assert_int_equal(mesh_udp_send_to(other, to, packet, bytes), 0);
        }
        assert_int_equal(mesh_udp_receiver_run(&receiver, NULL, now_ns), held_up ? 3 : 1);
        assert_int_equal(taken.epoch, held_up ? 0x80000001u : 0x80000003u);
        assert_int_equal(mesh_udp_receiver_run(&receiver, NULL, now_ns + 1), held_up ? 0 : 2);
        assert_int_equal(taken.bytes, bytes);
        assert_memory_equal(taken.packet, packet, bytes);
        assert_memory_equal(&taken.from, &at, sizeof at);
        now_ns += UINT64_C(10) * UDP_POLLING_NS;
    }
    assert_int_equal(receiver.received, 6);
    close(errors.fd);
    mesh_udp_close(other);
}

/* Before anything of the socket is received, too. */
static void what_the_kernel_drops_is_counted(void **state)
{
    enum { DATAGRAMS = 2000, BYTES = 60000 };
    static uint8_t datagram[BYTES];
    struct mesh_udp *one = open_alone(NULL), *other = open_alone(NULL);
    struct mesh_udp_stats stats;
    uint64_t dropped;

    (void)state;
    mesh_udp_get_stats(one, &stats);
    assert_int_equal(stats.kernel_drops, 0);
    for (int i = 0; i < DATAGRAMS; i++)
        assert_int_equal(mesh_udp_send_to(other, mesh_udp_local(one), datagram, sizeof datagram), 0);
    mesh_udp_get_stats(one, &stats);
    dropped = stats.kernel_drops;
    if (dropped == 0) {
        print_message("the system does not tell what it drops\n");
        mesh_udp_close(one);
        mesh_udp_close(other);
        skip();
    }
    assert_int_equal(udpbench_poll_for(one, NULL, DATAGRAMS - dropped), DATAGRAMS - dropped);
    mesh_udp_get_stats(one, &stats);
    assert_int_equal(stats.kernel_drops, dropped);
    assert_int_equal(stats.datagrams_received, DATAGRAMS - dropped);
    mesh_udp_close(one);
    mesh_udp_close(other);
}

static void an_address_of_another_family_cannot_be_sent_to(void **state)
{
    struct mesh_udp *udp = open_alone(NULL);
    struct mesh_addr addr = {.ip = {[15] = 1}, .port = 9};

    (void)state;
    assert_int_equal(mesh_udp_send_to(udp, addr, taken.packet, 60), MESH_EINVAL);
    mesh_udp_close(udp);
}

static void impairments_hit_what_is_outside_as_well(void **state)
{
    const struct mesh_lab lab = {.loss_ppm = 500000, .seed = 2};
    struct mesh_udp *one = open_alone(&lab), *other = open_alone(NULL);
    struct mesh_udp_stats stats;

    (void)state;
    mesh_udp_set_outside(one, take, &taken);
    for (int i = 0; i < 100; i++) {
        send_ping(other, one, 0);
        udpbench_poll_for(one, NULL, 1);
    }
    mesh_udp_get_stats(one, &stats);
    assert_int_equal(stats.datagrams_received, 100);
    assert_in_range(taken.count, 20, 80);
    assert_int_equal(stats.lab_lost, 100 - taken.count);
    mesh_udp_close(one);
    mesh_udp_close(other);
}

/* The usual exchange, with strangers' datagrams in between. */
static void neither_sealer_nor_core_see_what_is_outside(void **state)
{
    static struct udpbench bench;
    struct mesh_udp *other = open_alone(NULL);
    struct mesh_stats stats;
    struct simshape shape;

    (void)state;
    simshape_even(&shape, 2, 1, 4, 36);
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", NULL));
    if (!udpbench_seal(&bench, MESH_SECURITY_SEAL)) {
        print_message("built without libsodium\n");
        mesh_udp_close(other);
        udpbench_close(&bench);
        skip();
    }
    mesh_udp_set_outside(bench.ranks[0].udp, take, &taken);
    for (int i = 0; i < 10; i++) {
        send_ping(other, bench.ranks[0].udp, i % 2 == 0 ? 0 : 0xffffffffu);
        udpbench_poll_for(bench.ranks[0].udp, bench.ranks[0].app.mesh, 1);
    }
    assert_int_equal(taken.count, 10);
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++) {
        assert_int_equal(bench.ranks[0].sealer.refused[i], 0);
    }
    mesh_get_stats(bench.ranks[0].app.mesh, &stats);
    for (size_t i = 0; i < sizeof stats.dropped / sizeof *stats.dropped; i++) {
        assert_int_equal(stats.dropped[i], 0);
    }
    send_ping(other, bench.ranks[0].udp, 1);
    udpbench_poll_for(bench.ranks[0].udp, bench.ranks[0].app.mesh, 1);
    assert_int_equal(bench.ranks[0].sealer.refused[MESH_SEAL_PLAIN], 1);
    mesh_udp_close(other);
    udpbench_close(&bench);
}

/* ---- reported errors ---- */

enum { WAITS_MAX = 2000, WAIT_NS = 10000000 }; /* 20 s */

static struct {
    unsigned count;
    struct mesh_addr to;
} back;

static void tell(void *app, struct mesh_addr to)
{
    assert_ptr_equal(app, &back);
    back.count++;
    back.to = to;
}

static struct mesh_addr closed_port(void)
{
    struct mesh_udp *gone = open_alone(NULL);
    const struct mesh_addr at = mesh_udp_local(gone);

    mesh_udp_close(gone);
    return at;
}

static void a_port_that_is_gone_is_told_by_its_address(void **state)
{
    struct mesh_udp *one = open_alone(NULL);
    const struct mesh_addr gone = closed_port();
    struct mesh_udp_stats stats;
    uint8_t packet[200];

    (void)state;
    memset(&back, 0, sizeof back);
    mesh_udp_set_unreachable(one, tell, &back);
    assert_int_equal(mesh_udp_send_to(one, gone, packet, ping(packet, sizeof packet, 0)), 0);
    for (int i = 0; i < WAITS_MAX && back.count == 0; i++) {
        mesh_udp_wait(one, NULL, WAIT_NS);
        mesh_udp_poll(one, NULL);
    }
    assert_int_equal(back.count, 1);
    assert_memory_equal(&back.to, &gone, sizeof gone);
    mesh_udp_get_stats(one, &stats);
    assert_int_equal(stats.unreachable, 1);
    mesh_udp_poll(one, NULL);
    assert_int_equal(back.count, 1);
    mesh_udp_close(one);
}

/* The kernel reports the lost datagram as the failure of the next call, which concerns another peer. */
static void who_is_gone_costs_the_others_nothing(void **state)
{
    struct mesh_udp *one = open_alone(NULL), *other = open_alone(NULL);
    const struct mesh_addr gone = closed_port();
    uint8_t packet[200];

    (void)state;
    memset(&back, 0, sizeof back);
    mesh_udp_set_outside(other, take, &taken);
    mesh_udp_set_unreachable(one, tell, &back);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(mesh_udp_send_to(one, gone, packet, ping(packet, sizeof packet, 0)), 0);
        mesh_udp_wait(one, NULL,
                      UINT64_C(1000000000)); /* for the error report; otherwise more could come at once than the sender retries */
        send_ping(one, other, 0);
        mesh_udp_poll(one, NULL);
    }
    for (int i = 0; i < WAITS_MAX && taken.count < 50; i++) {
        mesh_udp_wait(other, NULL, WAIT_NS);
        mesh_udp_poll(other, NULL);
    }
    assert_int_equal(taken.count, 50);
    for (int i = 0; i < WAITS_MAX && back.count == 0; i++) {
        mesh_udp_wait(one, NULL, WAIT_NS);
        mesh_udp_poll(one, NULL);
    }
    assert_true(back.count > 0);
    mesh_udp_close(one);
    mesh_udp_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_is_alone_receives_what_is_outside),
        cmocka_unit_test(a_polling_caller_gets_the_first_datagram_alone),
        cmocka_unit_test(what_the_kernel_drops_is_counted),
        cmocka_unit_test(an_address_of_another_family_cannot_be_sent_to),
        cmocka_unit_test(impairments_hit_what_is_outside_as_well),
        cmocka_unit_test(neither_sealer_nor_core_see_what_is_outside),
        cmocka_unit_test(a_port_that_is_gone_is_told_by_its_address),
        cmocka_unit_test(who_is_gone_costs_the_others_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
