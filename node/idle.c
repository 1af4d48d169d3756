#include "idle.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

/* A line of the cache of their own: who waits must not slow down who computes beside it. */
static _Alignas(64) struct {
    _Atomic uint64_t yields, sleeps;
    uint64_t padding[6];
} calls;

void idle_yield(void)
{
    atomic_fetch_add_explicit(&calls.yields, 1, memory_order_relaxed);
    sched_yield();
}

void idle_sleep(uint64_t ns)
{
    const struct timespec pause = {.tv_nsec = (long)ns};

    assert(ns < 1000000000);
    idle_count_sleep();
    nanosleep(&pause, NULL);
}

void idle_count_sleep(void)
{
    atomic_fetch_add_explicit(&calls.sleeps, 1, memory_order_relaxed);
}

struct idle_calls idle_get_calls(void)
{
    return (struct idle_calls){.yields = atomic_load_explicit(&calls.yields, memory_order_relaxed),
                               .sleeps = atomic_load_explicit(&calls.sleeps, memory_order_relaxed)};
}
