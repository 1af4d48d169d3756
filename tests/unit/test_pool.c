/* Threads and the eventcount: every worker runs once, and whoever waits misses no notification. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/common/pool.h"

enum { WORKERS = 5, ROUNDS = 5000 };

static const uint64_t long_ns = UINT64_C(60000000000);

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct eventcount *open_eventcount(void)
{
    struct fail fail;
    struct eventcount *wakeup = eventcount_open(&fail);

    assert_non_null(wakeup);
    return wakeup;
}

static void run_workers(uint16_t count, void (*work)(void *app, uint16_t index), void *app)
{
    struct fail fail = {.text = ""};
    struct pool *pool = pool_start(count, work, app, &fail);

    assert_non_null(pool);
    pool_join(pool);
    assert_string_equal(fail.text, "");
}

static void note_index(void *app, uint16_t index)
{
    ((int *)app)[index]++;
}

/* The first test, while there are no stacks of earlier threads to be had again. */
static void without_memory_for_a_thread_there_is_no_pool_and_a_reason(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)state;
    skip(); /* their own memory does not fit in so little */
#else
    const pid_t child = fork();
    int status = 0;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        struct fail fail = {.text = ""};
        bool is_good = setrlimit(RLIMIT_AS, &none) == 0;

        is_good = is_good && pool_start(2, note_index, NULL, &fail) == NULL && strstr(fail.text, "cannot start thread 0 of 2") != NULL &&
                  strstr(fail.text, "use fewer (-t)") != NULL && strstr(fail.text, "ulimit -u") != NULL;
        is_good = is_good && pool_start(1, note_index, NULL, &fail) == NULL && strstr(fail.text, "-t") == NULL &&
                  strstr(fail.text, "ulimit -u") != NULL; /* there are no fewer */
        _exit(is_good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
#endif
}

static void every_worker_runs_once_with_its_own_index(void **state)
{
    int runs[WORKERS] = {0};

    (void)state;
    run_workers(WORKERS, note_index, runs);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(runs[i], 1);
}

static void note_signals(void *app, uint16_t index)
{
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    ((int *)app)[index] = sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1;
}

static void workers_take_no_signals_and_who_starts_them_still_does(void **state)
{
    int are_blocked[WORKERS] = {0};
    sigset_t blocked;

    (void)state;
    run_workers(WORKERS, note_signals, are_blocked);
    for (size_t i = 0; i < WORKERS; i++)
        assert_true(are_blocked[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGINT), 0);
}

static void note_processors(void *app, uint16_t index)
{
    cpu_set_t set;

    pool_pin(index);
    CPU_ZERO(&set);
    ((int *)app)[index] = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

static void a_pinned_thread_has_one_processor_and_the_others_keep_theirs(void **state)
{
    const uint16_t cores = pool_cores();
    int processors[WORKERS] = {0};

    (void)state;
    run_workers(WORKERS, note_processors, processors);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(processors[i], 1);
    assert_int_equal(pool_cores(), cores);
}

static void nothing_is_joined_and_closed_without_harm(void **state)
{
    (void)state;
    pool_join(NULL);
    eventcount_close(NULL);
    run_workers(0, note_index, NULL);
}

static void a_ring_before_the_wait_is_not_missed(void **state)
{
    struct eventcount *wakeup = open_eventcount();
    uint32_t count = eventcount_read(wakeup);

    (void)state;
    eventcount_notify(wakeup);
    assert_int_equal(eventcount_read(wakeup), count + 1);
    eventcount_wait(wakeup, count, long_ns); /* would be a minute */
    eventcount_close(wakeup);
}

static void a_wait_without_a_ring_ends_with_its_time(void **state)
{
    struct eventcount *wakeup = open_eventcount();
    uint64_t begin_ns = now_ns();

    (void)state;
    eventcount_wait(wakeup, eventcount_read(wakeup), 2000000);
    assert_true(now_ns() - begin_ns >= 2000000);
    eventcount_wait(wakeup, eventcount_read(wakeup), 0);
    eventcount_close(wakeup);
}

/* ---- two who answer each other, with nothing but the eventcount to wake them ---- */

struct ping {
    struct eventcount *wakeup;
    _Atomic uint32_t turn; /* whose it is: even the first's, odd the second's */
    atomic_int timeouts;
};

static void answer(void *app, uint16_t index)
{
    struct ping *ping = app;

    for (uint32_t turn = index; turn < ROUNDS; turn += 2) {
        for (;;) {
            uint32_t seen = eventcount_read(ping->wakeup);

            if (atomic_load_explicit(&ping->turn, memory_order_acquire) == turn)
                break;
            eventcount_wait(ping->wakeup, seen, long_ns);
            if (eventcount_read(ping->wakeup) == seen)
                atomic_fetch_add(&ping->timeouts, 1);
        }
        atomic_store_explicit(&ping->turn, turn + 1, memory_order_release);
        eventcount_notify(ping->wakeup);
    }
}

static void who_looks_between_count_and_wait_misses_no_ring(void **state)
{
    struct ping ping = {.wakeup = open_eventcount()};

    (void)state;
    run_workers(2, answer, &ping);
    assert_int_equal(atomic_load(&ping.turn), ROUNDS);
    assert_int_equal(atomic_load(&ping.timeouts), 0);
    eventcount_close(ping.wakeup);
}

/* ---- many who wait for one ring ---- */

struct crowd {
    struct eventcount *wakeup;
    uint32_t count;
    atomic_int there, gone;
};

static void wait_in_crowd(void *app, uint16_t index)
{
    struct crowd *crowd = app;

    atomic_fetch_add(&crowd->there, 1);
    if (index > 0) {
        eventcount_wait(crowd->wakeup, crowd->count, long_ns);
    } else {
        while (atomic_load(&crowd->there) < WORKERS)
            sched_yield();
        eventcount_notify(crowd->wakeup);
    }
    atomic_fetch_add(&crowd->gone, 1);
}

static void one_ring_wakes_everybody(void **state)
{
    struct crowd crowd = {.wakeup = open_eventcount()};

    (void)state;
    for (int round = 0; round < 50; round++) {
        atomic_store(&crowd.there, 0);
        crowd.count = eventcount_read(crowd.wakeup);
        run_workers(WORKERS, wait_in_crowd, &crowd);
    }
    assert_int_equal(atomic_load(&crowd.gone), 50 * WORKERS);
    eventcount_close(crowd.wakeup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_for_a_thread_there_is_no_pool_and_a_reason),
        cmocka_unit_test(every_worker_runs_once_with_its_own_index),
        cmocka_unit_test(workers_take_no_signals_and_who_starts_them_still_does),
        cmocka_unit_test(a_pinned_thread_has_one_processor_and_the_others_keep_theirs),
        cmocka_unit_test(nothing_is_joined_and_closed_without_harm),
        cmocka_unit_test(a_ring_before_the_wait_is_not_missed),
        cmocka_unit_test(a_wait_without_a_ring_ends_with_its_time),
        cmocka_unit_test(who_looks_between_count_and_wait_misses_no_ring),
        cmocka_unit_test(one_ring_wakes_everybody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
