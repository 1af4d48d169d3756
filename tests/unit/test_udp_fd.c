/* The UDP driver in an event loop of the program: what its descriptor tells of, and what its timeout. */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "mesh/udp.h"
#include "mesh/wire.h"
#include "udpbench.h"

enum { TIMEOUT_MS = 20000, FDS_MAX = 64 };

static unsigned taken, told;

static void take(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    (void)app, (void)now_ns, (void)from, (void)packet, (void)bytes;
    taken++;
}

static void tell(void *app, struct mesh_addr to)
{
    (void)app, (void)to;
    told++;
}

static struct mesh_udp *open_alone(const struct mesh_lab *lab)
{
    struct mesh_udp *udp;
    struct mesh_addr addr;
    char reason[200];

    assert_int_equal(mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason), 0);
    assert_int_equal(mesh_udp_open(&udp, addr, lab), 0);
    mesh_udp_set_outside(udp, take, NULL);
    mesh_udp_set_unreachable(udp, tell, NULL);
    taken = told = 0;
    return udp;
}

static void send_ping(struct mesh_udp *from, struct mesh_addr to)
{
    const struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_PING, .src = 1, .number = 1}, .as.ping = {7}};
    uint8_t packet[200];

    assert_int_equal(mesh_udp_send_to(from, to, packet, mesh_wire_encode(&message, packet, sizeof packet)), 0);
}

static bool is_readable(const struct mesh_udp *udp, int wait_ms)
{
    struct pollfd one = {.fd = mesh_udp_fd(udp), .events = POLLIN};

    return poll(&one, 1, wait_ms) == 1 && one.revents == POLLIN;
}

static void a_datagram_makes_the_descriptor_readable_until_it_is_received(void **state)
{
    struct mesh_udp *one = open_alone(NULL), *other = open_alone(NULL);

    (void)state;
    assert_false(is_readable(one, 0));
    assert_int_equal(mesh_udp_timeout(one, NULL), UINT64_MAX);
    send_ping(other, mesh_udp_local(one));
    assert_true(is_readable(one, TIMEOUT_MS));
    assert_int_equal(mesh_udp_timeout(one, NULL), UINT64_MAX); /* does not receive */
    assert_true(is_readable(one, 0));
    assert_int_equal(mesh_udp_poll(one, NULL), 1);
    assert_int_equal(taken, 1);
    assert_false(is_readable(one, 0));
    mesh_udp_close(one);
    mesh_udp_close(other);
}

static void a_wake_makes_the_descriptor_readable_until_the_timeout_is_asked_for(void **state)
{
    struct mesh_udp *udp = open_alone(NULL);

    (void)state;
    for (int i = 0; i < 3; i++)
        mesh_udp_wake(udp);
    assert_true(is_readable(udp, TIMEOUT_MS));
    assert_int_equal(mesh_udp_timeout(udp, NULL), 0);
    assert_false(is_readable(udp, 0));
    assert_int_equal(mesh_udp_timeout(udp, NULL), UINT64_MAX);
    mesh_udp_close(udp);
}

static void a_delayed_datagram_is_told_by_the_timeout_alone(void **state)
{
    struct mesh_udp *one = open_alone(&(struct mesh_lab){.delay_ns = UINT64_C(1000000000000)}), *other = open_alone(NULL);
    const uint64_t sent_ns = mesh_udp_now_ns();

    (void)state;
    send_ping(other, mesh_udp_local(one));
    assert_true(is_readable(one, TIMEOUT_MS));
    mesh_udp_poll(one, NULL);
    assert_int_equal(taken, 0);
    assert_false(is_readable(one, 0));
    assert_in_range(mesh_udp_timeout(one, NULL), sent_ns + 1, UINT64_MAX - 1);
    mesh_udp_close(one);
    mesh_udp_close(other);
}

/* Takes away what the next call on the driver's socket would fail with; the report stays in the socket's error queue. */
static void take_away_error(const struct mesh_udp *udp)
{
    const uint16_t port = mesh_udp_local(udp).port;

    for (int fd = 0; fd < FDS_MAX; fd++) {
        struct sockaddr_in name;
        socklen_t name_bytes = sizeof name;
        int error;

        if (getsockname(fd, (struct sockaddr *)&name, &name_bytes) == 0 && ntohs(name.sin_port) == port) {
            name_bytes = sizeof error;
            assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &name_bytes), 0);
            assert_int_not_equal(error, 0);
        }
    }
}

static void a_report_that_no_call_has_failed_with_does_not_leave_the_descriptor_readable(void **state)
{
    struct mesh_udp *one = open_alone(NULL), *other = open_alone(NULL);
    const struct mesh_addr gone = mesh_udp_local(other);

    (void)state;
    mesh_udp_close(other);
    send_ping(one, gone);
    assert_true(is_readable(one, TIMEOUT_MS));
    take_away_error(one);
    mesh_udp_timeout(one, NULL);
    mesh_udp_poll(one, NULL);
    assert_int_equal(told, 1);
    assert_false(is_readable(one, 0));
    mesh_udp_close(one);
}

/* When the loop may sleep: after turns in which nothing happens. */
static uint64_t turn(struct udpbench_rank *rank)
{
    while (udpbench_turn(rank))
        ;
    return mesh_udp_timeout(rank->udp, rank->app.mesh);
}

/* One thread, two ranks, a socket each: it sleeps on both descriptors, and no longer than the earlier timeout. */
static void exchange_in_one_loop(const struct mesh_lab *lab)
{
    static struct udpbench bench;
    struct simshape shape;

    simshape_even(&shape, 2, 4, 8, 36);
    shape.step_count = 10;
    shape.prompt_tokens = 16;
    shape.records = 5;
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", lab));
    while (!simapp_is_done(&bench.ranks[0].app) || !simapp_is_done(&bench.ranks[1].app)) {
        struct pollfd fds[2];
        uint64_t due_ns = UINT64_MAX, now_ns;
        int sleep_ms = TIMEOUT_MS;

        for (int rank = 0; rank < 2; rank++) {
            const uint64_t own_ns = turn(&bench.ranks[rank]);

            due_ns = own_ns < due_ns ? own_ns : due_ns;
            fds[rank] = (struct pollfd){.fd = mesh_udp_fd(bench.ranks[rank].udp), .events = POLLIN};
        }
        now_ns = mesh_udp_now_ns();
        if (due_ns <= now_ns)
            sleep_ms = 0;
        else if (due_ns - now_ns < TIMEOUT_MS * UINT64_C(1000000))
            sleep_ms = (int)((due_ns - now_ns) / 1000000 + 1);
        assert_true(poll(fds, 2, sleep_ms) > 0 || sleep_ms < TIMEOUT_MS);
    }
    udpbench_close(&bench);
}

static void two_ranks_exchange_in_one_loop(void **state)
{
    (void)state;
    exchange_in_one_loop(NULL);
}

static void two_ranks_exchange_in_one_loop_through_loss_and_delay(void **state)
{
    (void)state;
    exchange_in_one_loop(&(struct mesh_lab){.delay_ns = 300000, .loss_ppm = 50000, .reorder_ppm = 50000, .seed = 5});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_makes_the_descriptor_readable_until_it_is_received),
        cmocka_unit_test(a_wake_makes_the_descriptor_readable_until_the_timeout_is_asked_for),
        cmocka_unit_test(a_delayed_datagram_is_told_by_the_timeout_alone),
        cmocka_unit_test(a_report_that_no_call_has_failed_with_does_not_leave_the_descriptor_readable),
        cmocka_unit_test(two_ranks_exchange_in_one_loop),
        cmocka_unit_test(two_ranks_exchange_in_one_loop_through_loss_and_delay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
