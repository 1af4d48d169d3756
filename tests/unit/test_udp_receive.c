/* How much a look at the socket takes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libmesh/udp/udp_parts.h"

/* A pair of sockets in the machine: what is sent is there when the call returns. */
struct line {
    int fd[2];
    struct mesh_udp_errors errors;
    struct mesh_udp_receiver *receiver;
};

static void send_some(const struct line *line, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send(line->fd[0], "datagram", 8, 0), 8);
}

/* Three datagrams have come since a look in vain. */
static void set_up_line(struct line *line, uint64_t now_ns)
{
    static const struct mesh_lab no_lab;

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, line->fd), 0);
    line->errors = (struct mesh_udp_errors){.fd = line->fd[1]};
    line->receiver = calloc(1, sizeof *line->receiver);
    assert_non_null(line->receiver);
    mesh_udp_receiver_init(line->receiver, line->fd[1], &no_lab);
    line->receiver->socket_errors = &line->errors;
    assert_int_equal(mesh_udp_receiver_run(line->receiver, NULL, now_ns), 0);
    send_some(line, 3);
}

static void tear_down_line(struct line *line)
{
    close(line->fd[0]);
    close(line->fd[1]);
    free(line->receiver);
}

static void who_polls_gets_the_first_datagram_alone(void **state)
{
    const uint64_t now_ns = 1000000;
    struct line line;

    (void)state;
    set_up_line(&line, now_ns);
    assert_int_equal(mesh_udp_receiver_run(line.receiver, NULL, now_ns + UDP_POLLING_NS - 1), 1);
    assert_int_equal(mesh_udp_receiver_run(line.receiver, NULL, now_ns + UDP_POLLING_NS), 2);
    tear_down_line(&line);
}

static void who_looks_now_and_then_gets_all(void **state)
{
    const uint64_t now_ns = 1000000;
    struct line line;

    (void)state;
    set_up_line(&line, now_ns);
    assert_int_equal(mesh_udp_receiver_run(line.receiver, NULL, now_ns + UDP_POLLING_NS), 3);
    send_some(&line, 2);
    assert_int_equal(mesh_udp_receiver_run(line.receiver, NULL, now_ns + UDP_POLLING_NS + 1), 2);
    tear_down_line(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_polls_gets_the_first_datagram_alone),
        cmocka_unit_test(who_looks_now_and_then_gets_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
