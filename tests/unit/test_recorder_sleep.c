/* Sleeping: a wake is never lost, and a timeout ends a sleep, too. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libmesh/recorder/recorder_sleep.h"
#include "mesh/udp.h"

static const uint64_t hour_ns = UINT64_C(3600000000000), short_ns = 20000000;

static void a_wake_before_a_sleep_ends_it_and_no_other(void **state)
{
    struct recorder_sleep sleep = {0};
    uint64_t before;

    (void)state;
    mesh_recorder_sleep_wake(&sleep);
    mesh_recorder_sleep_wake(&sleep);
    mesh_recorder_sleep_for(&sleep, hour_ns);
    before = mesh_udp_now_ns();
    mesh_recorder_sleep_for(&sleep, short_ns);
    assert_true(mesh_udp_now_ns() - before >= short_ns);
}

static void *wake(void *sleep)
{
    mesh_recorder_sleep_wake(sleep);
    return NULL;
}

static void another_thread_ends_a_sleep(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct recorder_sleep sleep = {0};
        pthread_t other;

        assert_int_equal(pthread_create(&other, NULL, wake, &sleep), 0);
        mesh_recorder_sleep_for(&sleep, hour_ns);
        pthread_join(other, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_before_a_sleep_ends_it_and_no_other),
        cmocka_unit_test(another_thread_ends_a_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
