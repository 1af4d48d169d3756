#include "worker_pool.h"

#include <string.h>

#include "mesh/udp.h"
#include "node/common/idle.h"
#include "node/kernel/kernel.h"
#include "recording.h"

enum {
    SPIN_NS = 10000,         /* idle time before a worker yields its core, unless others are known to want it: most waits are shorter */
    YIELD_NS = 1000000,      /* idle time before it sleeps */
    PARK_NS_MAX = 10000000,  /* in a step */
    REST_NS_MAX = 200000000, /* between steps: any arrival wakes sleepers */
    WAIT_NS = 500000
};

static void load(struct worker_pool *workers, bool polls)
{
    uint32_t count = engine_load_count(workers->engine), index;

    while (!atomic_load_explicit(&workers->is_stopping, memory_order_relaxed) &&
           (index = atomic_fetch_add(&workers->load_next, 1)) < count) {
        engine_load(workers->engine, index);
        if (polls)
            engine_poll(workers->engine);
        if (atomic_fetch_sub(&workers->load_left, 1) == 1)
            eventcount_notify(workers->wakeup);
    }
}

void worker_pool_set_load(struct worker_pool *workers, struct engine *engine)
{
    workers->engine = engine;
    atomic_store(&workers->load_next, 0);
    atomic_store(&workers->load_left, engine_load_count(engine));
    workers->has_load = true;
}

void worker_pool_load_ahead(struct worker_pool *workers)
{
    load(workers, false);
}

/* A worker that has brought work about wakes the sleepers. Both sides change `parking` in one total order: either the sleeper sees the
 * work, or this worker sees the sleeper. */
static void wake_others(struct worker_pool *workers)
{
    if (atomic_fetch_or(&workers->parking, 0) == 0)
        return;
    eventcount_notify(workers->worker_wakeup);
    engine_wake(workers->engine);
}

/* True when there was work after all. */
static bool park(struct worker_pool *workers, uint16_t index)
{
    atomic_fetch_add(&workers->parking, 1);
    uint32_t seen = eventcount_read(workers->worker_wakeup);
    bool has_worked = atomic_load(&workers->is_stopping) || engine_work(workers->engine, index) == ENGINE_WORKED;
    if (!has_worked) {
        const uint64_t max_ns = engine_is_stepping(workers->engine) ? PARK_NS_MAX : REST_NS_MAX;

        switch (engine_park(workers->engine, max_ns)) {
        case PORT_SLEPT:
            if (engine_is_stepping(workers->engine))
                eventcount_notify(workers->worker_wakeup);
            break;
        case PORT_ATTENDED:
            eventcount_wait(workers->worker_wakeup, seen, max_ns);
            break;
        case PORT_LOCKED:
            idle_yield();
            break;
        }
    }
    atomic_fetch_sub(&workers->parking, 1);
    return has_worked;
}

static void give_way(struct worker_pool *workers, struct idle_sharing *sharing, bool is_waiting)
{
    const uint64_t given_ns = idle_yield();

    idle_note_yield(sharing, given_ns);
    if (is_waiting && given_ns > 0)
        engine_note_given(workers->engine, given_ns);
}

static void work_on(struct worker_pool *workers, uint16_t index)
{
    struct idle_sharing sharing = {0};
    uint64_t idle_since_ns = 0;

    while (!atomic_load_explicit(&workers->is_stopping, memory_order_relaxed)) {
        const enum engine_work_result result = engine_work(workers->engine, index);

        if (result == ENGINE_WORKED) {
            /* Between steps it was a peer's keep-alive: nothing for other workers, and no reason to stay awake. */
            if (engine_is_stepping(workers->engine)) {
                idle_since_ns = 0;
                wake_others(workers);
            }
            continue;
        }
        recording_help(workers->recording);
        uint64_t now_ns = mesh_udp_now_ns();
        if (idle_since_ns == 0)
            idle_since_ns = now_ns;
        if (now_ns - idle_since_ns < SPIN_NS && !idle_is_shared(&sharing))
            continue;
        if (now_ns - idle_since_ns < YIELD_NS)
            give_way(workers, &sharing, result == ENGINE_WAITING);
        else if (park(workers, index))
            idle_since_ns = 0;
    }
}

static void worker_pool_work(void *app, uint16_t index)
{
    struct worker_pool *workers = app;

    kernel_thread_init();
    while (atomic_load(&workers->waits) && !atomic_load(&workers->is_stopping)) {
        engine_poll(workers->engine);
        idle_sleep(WAIT_NS);
    }
    load(workers, true);
    while (atomic_load_explicit(&workers->load_left, memory_order_acquire) > 0 && !atomic_load(&workers->is_stopping)) {
        engine_poll(workers->engine);
        idle_yield();
    }
    if (workers->on_loaded != NULL && atomic_load(&workers->load_left) == 0)
        workers->on_loaded(workers->app);
    work_on(workers, index);
}

int worker_pool_open(struct worker_pool *workers, struct fail *fail)
{
    memset(workers, 0, sizeof *workers);
    workers->wakeup = eventcount_open(fail);
    workers->worker_wakeup = workers->wakeup == NULL ? NULL : eventcount_open(fail);
    return workers->worker_wakeup == NULL ? -1 : 0;
}

void worker_pool_close(struct worker_pool *workers)
{
    eventcount_close(workers->wakeup);
    eventcount_close(workers->worker_wakeup);
    workers->wakeup = workers->worker_wakeup = NULL;
}

int worker_pool_start(struct worker_pool *workers, struct engine *engine, uint16_t threads, struct fail *fail)
{
    if (!workers->has_load)
        worker_pool_set_load(workers, engine);
    workers->has_load = false;
    atomic_store(&workers->is_stopping, false);
    workers->pool = pool_start(threads, worker_pool_work, workers, fail);
    return fail->text[0] != '\0' ? -1 : 0;
}

void worker_pool_wake(struct worker_pool *workers)
{
    eventcount_notify(workers->worker_wakeup);
    engine_wake(workers->engine);
}

void worker_pool_stop(struct worker_pool *workers)
{
    atomic_store(&workers->is_stopping, true);
    if (workers->pool != NULL)
        worker_pool_wake(workers);
    pool_join(workers->pool);
    workers->pool = NULL;
}
