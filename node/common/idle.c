#include "idle.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "mesh/udp.h"

enum {
    GIVEN_NS_MIN = 10000, /* the call alone, an interrupt, or a thread that polled in vain take less */
    SHARED_YIELDS = 16
};

/* A cache line of its own: waiting threads must not slow down computing ones. */
static _Alignas(64) struct {
    _Atomic uint64_t yields, sleeps;
    uint64_t padding[6];
} calls;

uint64_t idle_yield(void)
{
    const uint64_t begin_ns = mesh_udp_now_ns();

    atomic_fetch_add_explicit(&calls.yields, 1, memory_order_relaxed);
    sched_yield();
    const uint64_t given_ns = mesh_udp_now_ns() - begin_ns;
    return given_ns >= GIVEN_NS_MIN ? given_ns : 0;
}

void idle_note_yield(struct idle_sharing *sharing, uint64_t given_ns)
{
    if (given_ns > 0)
        sharing->yields_left = SHARED_YIELDS;
    else if (sharing->yields_left > 0)
        sharing->yields_left--;
}

bool idle_is_shared(const struct idle_sharing *sharing)
{
    return sharing->yields_left > 0;
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
