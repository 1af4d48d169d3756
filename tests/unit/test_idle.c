/* Yielding and sleeping: the calls that are made are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/common/idle.h"
#include "node/common/pool.h"

enum { WORKERS = 3, YIELDS = 100 };

static void give_way(void *app, uint16_t index)
{
    (void)app, (void)index;
    for (int i = 0; i < YIELDS; i++)
        idle_yield();
}

static void each_call_that_gives_way_is_counted_whatever_thread_makes_it(void **state)
{
    const struct idle_calls before = idle_get_calls();
    struct fail fail = {.text = ""};

    (void)state;
    pool_join(pool_start(WORKERS, give_way, NULL, &fail));
    assert_string_equal(fail.text, "");
    assert_int_equal(idle_get_calls().yields - before.yields, WORKERS * YIELDS);
    assert_int_equal(idle_get_calls().sleeps, before.sleeps);
}

static void a_sleep_lasts_and_is_one_call(void **state)
{
    const struct idle_calls before = idle_get_calls();
    struct timespec begin, end;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    idle_sleep(1000000);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec >= 1000000);
    assert_int_equal(idle_get_calls().sleeps - before.sleeps, 1);
    assert_int_equal(idle_get_calls().yields, before.yields);
}

static atomic_bool is_done;
static _Atomic uint64_t given_ns;

/* Two threads of one processor: the first has work for it, the second yields until it has lost the processor once. */
static void share_a_processor(void *app, uint16_t index)
{
    (void)app;
    pool_pin(0);
    if (index == 1) {
        while (atomic_load(&given_ns) == 0)
            atomic_store(&given_ns, idle_yield());
        atomic_store(&is_done, true);
    }
    while (!atomic_load(&is_done))
        ;
}

static void who_gives_its_processor_to_a_thread_that_works_is_told_for_how_long(void **state)
{
    struct fail fail = {.text = ""};

    (void)state;
    pool_join(pool_start(2, share_a_processor, NULL, &fail));
    assert_string_equal(fail.text, "");
    assert_true(atomic_load(&given_ns) >= 10000);
}

static void a_processor_is_shared_until_giving_it_away_has_been_in_vain_for_long(void **state)
{
    struct idle_sharing sharing = {0};
    int yields = 0;

    (void)state;
    assert_false(idle_is_shared(&sharing));
    idle_note_yield(&sharing, 0);
    assert_false(idle_is_shared(&sharing));
    idle_note_yield(&sharing, 20000);
    for (; idle_is_shared(&sharing); yields++)
        idle_note_yield(&sharing, 0);
    assert_int_equal(yields, 16);
}

/* ---- the eventcount ---- */

static struct eventcount *wakeup;
static _Atomic uint32_t woken;

static void wait_for_ring(void *app, uint16_t index)
{
    (void)app, (void)index;
    eventcount_wait(wakeup, 0, UINT64_C(60000000000));
    atomic_fetch_add(&woken, 1);
}

static void open_eventcount(void)
{
    struct fail fail;

    wakeup = eventcount_open(&fail);
    assert_non_null(wakeup);
}

static void a_ring_that_nobody_waits_for_is_no_system_call(void **state)
{
    struct idle_calls before;

    (void)state;
    open_eventcount();
    before = idle_get_calls();
    for (int i = 0; i < 10; i++)
        eventcount_notify(wakeup);
    eventcount_wait(wakeup, 9, UINT64_C(60000000000)); /* the tenth ring has already been heard */
    assert_int_equal(idle_get_calls().sleeps, before.sleeps);
    eventcount_close(wakeup);
}

static void sleeping_until_a_notification_is_a_call_and_so_is_waking(void **state)
{
    struct idle_calls before;
    struct fail fail = {.text = ""};

    (void)state;
    atomic_store(&woken, 0);
    open_eventcount();
    before = idle_get_calls();
    struct pool *pool = pool_start(1, wait_for_ring, NULL, &fail);
    assert_non_null(pool);
    while (idle_get_calls().sleeps == before.sleeps) /* the thread counts its call before making it, and only then does a ring count */
        idle_yield();
    eventcount_notify(wakeup);
    pool_join(pool);
    assert_int_equal(atomic_load(&woken), 1);
    assert_int_equal(idle_get_calls().sleeps - before.sleeps, 2);
    eventcount_close(wakeup);
}

static void waiting_in_vain_is_one_call(void **state)
{
    struct idle_calls before;

    (void)state;
    open_eventcount();
    before = idle_get_calls();
    eventcount_wait(wakeup, 0, 1000000);
    assert_int_equal(idle_get_calls().sleeps - before.sleeps, 1);
    eventcount_close(wakeup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_that_gives_way_is_counted_whatever_thread_makes_it),
        cmocka_unit_test(who_gives_its_processor_to_a_thread_that_works_is_told_for_how_long),
        cmocka_unit_test(a_processor_is_shared_until_giving_it_away_has_been_in_vain_for_long),
        cmocka_unit_test(a_sleep_lasts_and_is_one_call),
        cmocka_unit_test(a_ring_that_nobody_waits_for_is_no_system_call),
        cmocka_unit_test(sleeping_until_a_notification_is_a_call_and_so_is_waking),
        cmocka_unit_test(waiting_in_vain_is_one_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
