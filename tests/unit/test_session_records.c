/* Client sessions between two builds whose records differ: there is none, and both sides say so. And records that the path does not
 * carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "session_net.h"

#define SECOND UINT64_C(1000000000)

enum { OTHER = MESH_SESSION_RECORDS + 1 };

static struct session_net net;

static void check_refused(void)
{
    struct mesh_sessions_stats stats;

    session_net_call(&net, NULL, 0, 5 * SECOND);
    session_net_run(&net, SECOND, NULL);
    assert_int_equal(net.client[0].failed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_UNFIT);
    assert_int_equal(net.client[0].version, OTHER);
    session_net_run(&net, 5 * SECOND, NULL);
    mesh_sessions_get_stats(net.node, &stats);
    assert_int_equal(stats.open_now, 0);
    assert_int_equal(stats.never_up, 1);
    assert_int_equal(net.opened, 0);
}

static void records_of_another_version_are_told_so(void **state)
{
    (void)state;
    assert_true(session_net_init_records(&net, OTHER));
    check_refused();
    session_net_release(&net);
}

/* Lose the node's side of the handshake. */
static void lose_hello(void *app, int to, const uint8_t *packet, size_t bytes)
{
    struct session_net *n = app;

    (void)bytes;
    n->node_is_silent = to >= 0 && packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_HELLO;
}

static void the_refusal_arrives_where_the_hello_is_lost(void **state)
{
    (void)state;
    assert_true(session_net_init_records(&net, OTHER));
    net.seen = lose_hello;
    net.app = &net;
    check_refused();
    session_net_release(&net);
}

static void send(size_t bytes)
{
    static const uint8_t record[2000];

    assert_int_equal(mesh_call_send(net.client[0].call, net.now_ns, record, bytes), MESH_OK);
}

static void a_session_is_over_when_its_path_does_not_carry_what_is_sent(void **state)
{
    (void)state;
    assert_true(session_net_init(&net, 4, MESH_SECURITY_NONE, 1));
    session_net_call(&net, NULL, 0, 5 * SECOND);
    session_net_run(&net, SECOND, NULL);
    net.datagram_bytes_max = 800;
    send(100);
    session_net_run(&net, 30 * SECOND, NULL);
    assert_int_equal(net.records, 1); /* a short one passes */
    send(2000);
    session_net_run(&net, 9 * SECOND, NULL);
    assert_int_equal(net.client[0].closed, 0);
    net.datagram_bytes_max = 0; /* it may be mended */
    session_net_run(&net, 9 * SECOND, NULL);
    assert_int_equal(net.records, 2);
    assert_int_equal(net.client[0].closed, 0);
    net.datagram_bytes_max = 800;
    send(2000);
    session_net_run(&net, 9 * SECOND, NULL);
    assert_int_equal(net.client[0].closed, 0);
    session_net_run(&net, 2 * SECOND, NULL);
    assert_int_equal(net.client[0].closed, 1);
    assert_int_equal(net.client[0].why, MESH_SESSION_NARROW);
    session_net_run(&net, 11 * SECOND, NULL);
    assert_int_equal(net.closed, 1);
    session_net_release(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_another_version_are_told_so),
        cmocka_unit_test(the_refusal_arrives_where_the_hello_is_lost),
        cmocka_unit_test(a_session_is_over_when_its_path_does_not_carry_what_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
