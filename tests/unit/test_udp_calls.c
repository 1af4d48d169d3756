/* The UDP driver without some system calls: a child process forbids them to itself, and exchanges all the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "forbidden.h"
#include "libmesh/udp/udp_parts.h"
#include "mesh/udp.h"
#include "udpbench.h"

enum { EPOLL_PWAIT2 = 441, SLEEP_NS = 20000000 };

/* Tiles and records between two ranks, in datagrams so small that many wait at a time. */
static const char *exchange(void)
{
    static struct udpbench bench;
    struct simshape shape;

    simshape_even(&shape, 2, 4, 8, 36);
    shape.step_count = 20;
    shape.prompt_tokens = 64;
    shape.records = 5;
    if (!udpbench_open(&bench, &shape, "127.0.0.1", NULL)) {
        return "no loopback";
    }
    if (!udpbench_run(&bench, 60)) {
        return bench.error;
    }
    udpbench_close(&bench);
    return NULL;
}

static void two_ranks_exchange_without_batches(void **state)
{
    static const int calls[] = {SYS_sendmmsg, SYS_recvmmsg};

    (void)state;
    without_calls(ENOSYS, calls, 2, exchange);
    without_calls(EPERM, calls, 2, exchange);
}

static void two_ranks_exchange_with_batches_of_one_direction(void **state)
{
    static const int calls[] = {SYS_sendmmsg, SYS_recvmmsg};

    (void)state;
    without_calls(EPERM, calls, 1, exchange);
    without_calls(EPERM, calls + 1, 1, exchange);
}

/* It sleeps until there is something to do; returning at once would make a busy loop. */
static const char *sleep_and_wake(void)
{
    const int event_fd = eventfd(0, EFD_NONBLOCK), epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = event_fd};
    uint64_t before = mesh_udp_now_ns();

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) != 0) {
        return "no epoll";
    }
    if (mesh_udp_epoll_wait(epoll_fd, &event, 1, SLEEP_NS) != -1) {
        return "it has not found out that the call is missing";
    }
    if (mesh_udp_now_ns() - before < SLEEP_NS) {
        return "it has not slept";
    }
    if (eventfd_write(event_fd, 1) != 0 || mesh_udp_epoll_wait(epoll_fd, &event, 1, 3600 * UINT64_C(1000000000)) != -1) {
        return "it has not woken";
    }
    return NULL;
}

static void a_thread_sleeps_without_the_call_that_does_so_by_nanoseconds(void **state)
{
    static const int call = EPOLL_PWAIT2;

    (void)state;
    without_calls(ENOSYS, &call, 1, sleep_and_wake);
    without_calls(EPERM, &call, 1, sleep_and_wake);
    without_calls(EPERM, &call, 1, exchange);
}

/* Of three datagrams to an absent receiver the first two are sent; the error of the third is reported with the number of those before
 * it. */
static void what_is_sent_singly_is_counted_up_to_the_first_that_fails(void **state)
{
    static uint8_t byte;
    struct iovec way = {&byte, 1}, too_long = {malloc(100000), 100000};
    struct mmsghdr messages[3] = {{.msg_hdr = {.msg_iov = &way, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &way, .msg_iovlen = 1}}};
    struct mesh_udp_errors told = {.fd = -1};
    int pair[2];

    (void)state;
    assert_non_null(too_long.iov_base);
    memset(too_long.iov_base, 0, too_long.iov_len);
    messages[2].msg_hdr = (struct msghdr){.msg_iov = &too_long, .msg_iovlen = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){20000}, sizeof(int)), 0);
    assert_int_equal(mesh_udp_send_singly(pair[0], messages, 3, MSG_DONTWAIT), 2);
    assert_int_equal(mesh_udp_send_singly(pair[0], messages + 2, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EMSGSIZE);
    messages[2].msg_hdr.msg_iov = &way;
    assert_int_equal(mesh_udp_receive_singly(pair[1], messages, 3, &told), 2);
    assert_int_equal(messages[1].msg_len, 1);
    assert_int_equal(mesh_udp_receive_singly(pair[1], messages, 3, &told), -1);
    assert_int_equal(errno, EAGAIN);
    assert_false(told.is_due);
    free(too_long.iov_base);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ranks_exchange_without_batches),
        cmocka_unit_test(two_ranks_exchange_with_batches_of_one_direction),
        cmocka_unit_test(a_thread_sleeps_without_the_call_that_does_so_by_nanoseconds),
        cmocka_unit_test(what_is_sent_singly_is_counted_up_to_the_first_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
