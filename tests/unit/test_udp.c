/* The UDP driver on loopback: its costs, sleeping and waking, errors it survives, and whole exchanges. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libmesh/udp/udp_parts.h"
#include "udpbench.h"

static struct mesh_addr loopback(void)
{
    struct mesh_addr addr;
    char reason[MESH_REASON_BYTES];

    assert_int_equal(mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason), 0);
    return addr;
}

static uint64_t system_calls(const struct mesh_udp *udp)
{
    struct mesh_udp_stats stats;

    mesh_udp_get_stats(udp, &stats);
    return stats.system_calls;
}

/* One rank alone: its core never has anything to send or to wait for. */
static void open_alone(struct udpbench *bench, const struct mesh_lab *lab)
{
    struct simshape shape;

    simshape_even(&shape, 1, 1, 1, 36);
    assert_true(udpbench_open(bench, &shape, "127.0.0.1", lab));
}

static void two_exchange(const char *host, const struct mesh_lab *lab)
{
    static struct udpbench bench;
    struct simshape shape;

    simshape_even(&shape, 2, 4, 8, 36);
    shape.step_count = 20;
    shape.prompt_tokens = 64;
    shape.records = 5;
    if (!udpbench_open(&bench, &shape, host, lab)) {
        print_message("no %s on this system\n", host);
        skip();
    }
    if (!udpbench_run(&bench, 60)) {
        fail_msg("%s", bench.error);
    }
    udpbench_close(&bench);
}

static void two_ranks_exchange_over_ipv4(void **state)
{
    (void)state;
    two_exchange("127.0.0.1", NULL);
}

static void two_ranks_exchange_over_ipv6(void **state)
{
    (void)state;
    two_exchange("[::1]", NULL);
}

static void two_ranks_exchange_through_a_delay(void **state)
{
    (void)state;
    two_exchange("127.0.0.1", &(struct mesh_lab){.delay_ns = 200000});
}

static void two_ranks_exchange_with_busy_polling(void **state)
{
    static struct udpbench bench;
    struct simshape shape;

    (void)state;
    simshape_even(&shape, 2, 4, 8, 36);
    shape.step_count = 20;
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", NULL));
    for (int rank = 0; rank < 2; rank++)
        if (mesh_udp_set_busy_poll(bench.ranks[rank].udp, 50) != MESH_OK) {
            /* Without CAP_NET_ADMIN; by a kernel without busy polling, as of PREEMPT_RT. The settings are unchanged. */
            assert_true(errno == EPERM || errno == ENOPROTOOPT);
        }
    if (!udpbench_run(&bench, 60)) {
        fail_msg("%s", bench.error);
    }
    udpbench_close(&bench);
}

static void five_ranks_exchange_despite_loss_duplicates_and_reordering(void **state)
{
    static struct udpbench bench;
    struct simshape shape;
    struct mesh_udp_stats stats;
    uint64_t lost = 0, duplicated = 0, reordered = 0;

    (void)state;
    simshape_random(&shape, 77, 5, 4, 40);
    shape.step_count = 25;
    shape.prompt_tokens = 20;
    shape.records = 4;
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1",
                              &(struct mesh_lab){.loss_ppm = 50000, .duplicate_ppm = 20000, .reorder_ppm = 50000, .seed = 3}));
    if (!udpbench_run(&bench, 60)) {
        fail_msg("%s", bench.error);
    }
    for (int rank = 0; rank < 5; rank++) {
        mesh_udp_get_stats(bench.ranks[rank].udp, &stats);
        lost += stats.lab_lost;
        duplicated += stats.lab_duplicated;
        reordered += stats.lab_reordered;
    }
    assert_true(lost > 0 && duplicated > 0 && reordered > 0);
    udpbench_close(&bench);
}

static void a_poll_that_finds_nothing_is_one_system_call(void **state)
{
    static struct udpbench bench;
    uint64_t before;

    (void)state;
    open_alone(&bench, NULL);
    before = system_calls(bench.ranks[0].udp);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mesh_udp_poll(bench.ranks[0].udp, bench.ranks[0].app.mesh), 0);
    }
    assert_int_equal(system_calls(bench.ranks[0].udp) - before, 100);
    udpbench_close(&bench);
}

static void an_occupied_port_is_reported_as_such(void **state)
{
    struct mesh_udp *first, *second = NULL;

    (void)state;
    assert_int_equal(mesh_udp_open(&first, loopback(), NULL), 0);
    assert_int_equal(mesh_udp_open(&second, mesh_udp_local(first), NULL), MESH_ESYSTEM);
    assert_int_equal(errno, EADDRINUSE);
    assert_null(second);
    mesh_udp_close(first);
}

static void an_address_is_this_machines_or_not(void **state)
{
    struct mesh_addr addr = loopback(), elsewhere, any = {0};
    char reason[100];

    (void)state;
    addr.port = 7411;
    assert_int_equal(mesh_addr_parse("192.0.2.1:7411", &elsewhere, reason, sizeof reason),
                     0); /* reserved for documentation, used by no machine */
    assert_true(mesh_udp_is_local(addr));
    assert_true(mesh_udp_is_local(any));
    assert_false(mesh_udp_is_local(elsewhere));
}

/* As the address that Debian's /etc/hosts gives the machine's own name: 127.0.1.1. */
static void from_the_loopback_no_other_machine_is_reached(void **state)
{
    struct mesh_addr from, elsewhere, v6;
    char reason[100];

    (void)state;
    assert_int_equal(mesh_addr_parse("127.0.1.1:7411", &from, reason, sizeof reason), 0);
    assert_int_equal(mesh_addr_parse("192.0.2.1:7411", &elsewhere, reason, sizeof reason), 0);
    assert_int_equal(mesh_addr_parse("[2001:db8::1]:7411", &v6, reason, sizeof reason), 0);
    assert_false(mesh_udp_is_cut_off(from, loopback()));
    assert_false(mesh_udp_is_cut_off(elsewhere, from));
    assert_false(mesh_udp_is_cut_off(from, v6)); /* that is another kind of trouble */
    if (mesh_udp_path_bytes(elsewhere) > 0)      /* without a route the path is missing too, for another reason */
        assert_true(mesh_udp_is_cut_off(from, elsewhere));
}

static void any_address_takes_ipv4(void **state)
{
    struct mesh_udp *any;
    struct mesh_addr addr = {0};

    (void)state;
    assert_int_equal(mesh_udp_open(&any, addr, NULL), 0);
    assert_true(mesh_udp_local(any).port != 0);
    addr = loopback();
    addr.port = mesh_udp_local(any).port;
    mesh_udp_set_peer(any, 0, addr);
    mesh_udp_close(any);
    mesh_udp_close(NULL);
}

/* An absent peer answers with ICMP: that must neither stop nor block the driver. */
static void a_peer_that_is_not_there_does_no_harm(void **state)
{
    static struct udpbench bench;
    struct simshape shape;

    (void)state;
    simshape_even(&shape, 2, 1, 1, 36);
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", NULL));
    mesh_udp_close(bench.ranks[1].udp);
    bench.ranks[1].udp = NULL;
    for (int i = 0; i < 50; i++) {
        assert_true(mesh_udp_poll(bench.ranks[0].udp, bench.ranks[0].app.mesh) >= 0);
        mesh_udp_wait(bench.ranks[0].udp, bench.ranks[0].app.mesh, 1000000);
    }
    udpbench_close(&bench);
}

/* ---- waking ---- */

enum { WAKES = 20 };

static const uint64_t second_ns = UINT64_C(1000000000); /* duration of a wait that nothing ends */
static struct mesh_udp *woken;
static bool is_woken_as_it_falls_asleep;
static _Atomic unsigned sleeps, slept_out; /* begun, and those that lasted until their timeout */

/* Replaces libmesh/udp/udp_sleep.c: its result tells whether a sleep was ended early, however busy the machine is. */
int mesh_udp_epoll_wait(int fd, struct epoll_event *events, int capacity, uint64_t sleep_ns)
{
    int count;

    if (is_woken_as_it_falls_asleep)
        mesh_udp_wake(woken);
    atomic_fetch_add(&sleeps, 1);
    count = epoll_wait(fd, events, capacity, (int)(sleep_ns / 1000000 + 1));
    if (count == 0)
        atomic_fetch_add(&slept_out, 1);
    return count;
}

static int open_woken(void **state)
{
    (void)state;
    sleeps = slept_out = 0;
    return mesh_udp_open(&woken, loopback(), NULL);
}

static int close_woken(void **state)
{
    (void)state;
    is_woken_as_it_falls_asleep = false;
    mesh_udp_close(woken);
    return 0;
}

static void wake_on_signal(int number)
{
    (void)number;
    mesh_udp_wake(woken); /* one write; NOLINT(bugprone-signal-handler) */
}

static void a_wake_before_a_wait_ends_it(void **state)
{
    (void)state;
    signal(SIGUSR1, wake_on_signal);
    for (unsigned i = 0; i < WAKES; i++) {
        if (i % 2 == 0)
            mesh_udp_wake(woken);
        else
            raise(SIGUSR1);
        mesh_udp_wait(woken, NULL, second_ns);
    }
    signal(SIGUSR1, SIG_DFL);
    assert_int_equal(sleeps, WAKES);
    assert_int_equal(slept_out, 0);
}

static void a_wake_while_a_wait_falls_asleep_ends_it(void **state)
{
    (void)state;
    is_woken_as_it_falls_asleep = true;
    for (unsigned i = 0; i < WAKES; i++)
        mesh_udp_wait(woken, NULL, second_ns);
    assert_int_equal(sleeps, WAKES);
    assert_int_equal(slept_out, 0);
}

static void *wake_from_each_sleep(void *nothing)
{
    for (unsigned i = 0; i < WAKES; i++) {
        while (atomic_load(&sleeps) <= i)
            sched_yield();
        mesh_udp_wake(woken);
    }
    return nothing;
}

/* A busy machine may let the other thread run only after a second, but not each time. */
static void a_wake_by_another_thread_ends_a_wait(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wake_from_each_sleep, NULL), 0);
    for (unsigned i = 0; i < WAKES; i++)
        mesh_udp_wait(woken, NULL, second_ns);
    pthread_join(thread, NULL);
    assert_int_equal(sleeps, WAKES);
    assert_true(slept_out < WAKES);
}

static void wakes_before_a_wait_end_no_other_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAKES; i++)
        mesh_udp_wake(woken);
    mesh_udp_wait(woken, NULL, second_ns);
    assert_int_equal(slept_out, 0);
    mesh_udp_wait(woken, NULL, 1000000);
    assert_int_equal(slept_out, 1);
}

static void a_wake_and_the_wait_that_it_ends_are_counted_as_system_calls(void **state)
{
    struct mesh_udp_stats before, after;

    (void)state;
    mesh_udp_get_stats(woken, &before);
    mesh_udp_wake(woken);
    mesh_udp_get_stats(woken, &after);
    assert_int_equal(after.wait_calls - before.wait_calls, 1);
    mesh_udp_wait(woken, NULL, second_ns);
    mesh_udp_get_stats(woken, &after);
    /* epoll and the read that consumes the wake, and a second call where the system lacks the first */
    assert_in_range(after.wait_calls - before.wait_calls, 3, 4);
    assert_int_equal(after.system_calls, before.system_calls);
}

/* ---- delays and processes ---- */

static void a_wait_ends_when_a_held_datagram_is_due(void **state)
{
    static struct udpbench bench;
    struct simshape shape;
    uint64_t start_ns = mesh_udp_now_ns();

    (void)state;
    simshape_even(&shape, 2, 1, 1, 36);
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", &(struct mesh_lab){.delay_ns = 30000000}));
    mesh_udp_poll(bench.ranks[0].udp, bench.ranks[0].app.mesh);
    mesh_udp_poll(bench.ranks[1].udp, bench.ranks[1].app.mesh);
    while (bench.ranks[1].app.up == 0 && mesh_udp_now_ns() - start_ns < 20000000000u) {
        for (int rank = 0; rank < 2; rank++) {
            udpbench_turn(&bench.ranks[rank]);
            mesh_udp_wait(bench.ranks[rank].udp, bench.ranks[rank].app.mesh, 1000000);
        }
    }
    assert_int_equal(bench.ranks[1].app.up, 1);
    assert_true(mesh_udp_now_ns() - start_ns >= 30000000);
    udpbench_close(&bench);
}

/* The parent opens the sockets, so that the ports are known; each child continues with one of them. */
static void a_forked_child_uses_the_socket_it_inherited(void **state)
{
    static struct udpbench bench;
    struct simshape shape;
    pid_t child;
    int status = -1;

    (void)state;
    simshape_even(&shape, 2, 2, 4, 36);
    shape.step_count = 5;
    assert_true(udpbench_open(&bench, &shape, "127.0.0.1", NULL));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct udpbench_rank *rank = &bench.ranks[1];
        const uint64_t end_ns = mesh_udp_now_ns() + 20000000000u;

        mesh_udp_close(bench.ranks[0].udp);
        if (mesh_udp_reseed(rank->udp, 5) != 0) {
            _exit(2);
        }
        while (rank->app.gone_count == 0 && mesh_udp_now_ns() < end_ns) {
            if (!udpbench_turn(rank)) {
                mesh_udp_wait(rank->udp, rank->app.mesh, 1000000);
            }
        }
        _exit(simapp_is_done(&rank->app) ? 0 : 1);
    }
    const uint64_t end_ns = mesh_udp_now_ns() + 20000000000u;

    while (!simapp_is_done(&bench.ranks[0].app) && mesh_udp_now_ns() < end_ns) {
        if (!udpbench_turn(&bench.ranks[0])) {
            mesh_udp_wait(bench.ranks[0].udp, bench.ranks[0].app.mesh, 1000000);
        }
    }
    mesh_goodbye(bench.ranks[0].app.mesh, mesh_udp_now_ns());
    mesh_udp_flush(bench.ranks[0].udp, bench.ranks[0].app.mesh);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(simapp_is_done(&bench.ranks[0].app));
    udpbench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_poll_that_finds_nothing_is_one_system_call),
        cmocka_unit_test(an_occupied_port_is_reported_as_such),
        cmocka_unit_test(an_address_is_this_machines_or_not),
        cmocka_unit_test(from_the_loopback_no_other_machine_is_reached),
        cmocka_unit_test(any_address_takes_ipv4),
        cmocka_unit_test(a_peer_that_is_not_there_does_no_harm),
        cmocka_unit_test_setup_teardown(a_wake_before_a_wait_ends_it, open_woken, close_woken),
        cmocka_unit_test_setup_teardown(a_wake_while_a_wait_falls_asleep_ends_it, open_woken, close_woken),
        cmocka_unit_test_setup_teardown(a_wake_by_another_thread_ends_a_wait, open_woken, close_woken),
        cmocka_unit_test_setup_teardown(wakes_before_a_wait_end_no_other_one, open_woken, close_woken),
        cmocka_unit_test_setup_teardown(a_wake_and_the_wait_that_it_ends_are_counted_as_system_calls, open_woken, close_woken),
        cmocka_unit_test(a_wait_ends_when_a_held_datagram_is_due),
        cmocka_unit_test(a_forked_child_uses_the_socket_it_inherited),
        cmocka_unit_test(two_ranks_exchange_over_ipv4),
        cmocka_unit_test(two_ranks_exchange_over_ipv6),
        cmocka_unit_test(two_ranks_exchange_through_a_delay),
        cmocka_unit_test(two_ranks_exchange_with_busy_polling),
        cmocka_unit_test(five_ranks_exchange_despite_loss_duplicates_and_reordering),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
