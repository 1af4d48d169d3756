/* The worker threads of a node: load, then work; wait by polling, by yielding, and at last by sleeping. */
#include <sched.h>

#include "member_state.h"

enum {
    SPIN_NS = 10000,    /* without anything to do before a worker lets others have its core: most waits are shorter */
    YIELD_NS = 1000000, /* and before it sleeps */
    PARK_NS_MAX = 10000000
};

static void load(struct member *m)
{
    uint32_t count = engine_load_count(m->engine), index;

    while (!atomic_load_explicit(&m->is_stopping, memory_order_relaxed) && (index = atomic_fetch_add(&m->load_next, 1)) < count) {
        engine_load(m->engine, index);
        engine_poll(m->engine);
        if (atomic_fetch_sub(&m->load_left, 1) == 1)
            bell_ring(m->bell);
    }
}

/* Whoever sees that all is loaded first tells rank 0. */
static void say_ready(struct member *m)
{
    uint8_t message = MESSAGE_READY;

    if (m->config.rank != 0 && !atomic_exchange(&m->has_said_ready, true))
        engine_post(m->engine, 0, &message, 1);
}

/* Who has brought work about wakes the sleepers. Both sides change `parking` in one total order: either the sleeper sees the work, or
 * this sees the sleeper. */
static void wake_others(struct member *m)
{
    if (atomic_fetch_or(&m->parking, 0) == 0)
        return;
    bell_ring(m->worker_bell);
    engine_wake(m->engine);
}

/* True when there was work after all. */
static bool park(struct member *m, uint16_t index)
{
    atomic_fetch_add(&m->parking, 1);
    uint32_t rung = bell_count(m->worker_bell);
    bool has_worked = atomic_load(&m->is_stopping) || engine_work(m->engine, index) == ENGINE_WORKED;
    if (!has_worked) {
        if (engine_park(m->engine, PARK_NS_MAX))
            bell_ring(m->worker_bell);
        else
            bell_wait(m->worker_bell, rung, PARK_NS_MAX);
    }
    atomic_fetch_sub(&m->parking, 1);
    return has_worked;
}

static void work_on(struct member *m, uint16_t index)
{
    uint64_t idle_since_ns = 0;

    while (!atomic_load_explicit(&m->is_stopping, memory_order_relaxed)) {
        if (engine_work(m->engine, index) == ENGINE_WORKED) {
            idle_since_ns = 0;
            wake_others(m);
            continue;
        }
        uint64_t now_ns = mesh_udp_now_ns();
        if (idle_since_ns == 0)
            idle_since_ns = now_ns;
        if (now_ns - idle_since_ns < SPIN_NS)
            continue;
        if (now_ns - idle_since_ns < YIELD_NS)
            sched_yield();
        else if (park(m, index))
            idle_since_ns = 0;
    }
}

void member_work(void *app, uint16_t index)
{
    struct member *m = app;

    kernel_thread_init();
    load(m);
    while (atomic_load_explicit(&m->load_left, memory_order_acquire) > 0 && !atomic_load(&m->is_stopping)) {
        engine_poll(m->engine);
        sched_yield();
    }
    say_ready(m);
    work_on(m, index);
}
