#include "crew.h"

#include <string.h>

#include "idle.h"
#include "kernel.h"
#include "mesh/udp.h"
#include "recording.h"

enum {
    SPIN_NS = 10000,         /* idle time before a worker yields its core, unless others are known to want it: most waits are shorter */
    YIELD_NS = 1000000,      /* idle time before it sleeps */
    PARK_NS_MAX = 10000000,  /* in a step */
    REST_NS_MAX = 200000000, /* between steps: any arrival wakes sleepers */
    WAIT_NS = 500000
};

static void load(struct crew *crew, bool polls)
{
    uint32_t count = engine_load_count(crew->engine), index;

    while (!atomic_load_explicit(&crew->is_stopping, memory_order_relaxed) && (index = atomic_fetch_add(&crew->load_next, 1)) < count) {
        engine_load(crew->engine, index);
        if (polls)
            engine_poll(crew->engine);
        if (atomic_fetch_sub(&crew->load_left, 1) == 1)
            bell_ring(crew->bell);
    }
}

void crew_set_load(struct crew *crew, struct engine *engine)
{
    crew->engine = engine;
    atomic_store(&crew->load_next, 0);
    atomic_store(&crew->load_left, engine_load_count(engine));
    crew->has_load = true;
}

void crew_load_ahead(struct crew *crew)
{
    load(crew, false);
}

/* A worker that has brought work about wakes the sleepers. Both sides change `parking` in one total order: either the sleeper sees the
 * work, or this worker sees the sleeper. */
static void wake_others(struct crew *crew)
{
    if (atomic_fetch_or(&crew->parking, 0) == 0)
        return;
    bell_ring(crew->worker_bell);
    engine_wake(crew->engine);
}

/* True when there was work after all. */
static bool park(struct crew *crew, uint16_t index)
{
    atomic_fetch_add(&crew->parking, 1);
    uint32_t rung = bell_count(crew->worker_bell);
    bool has_worked = atomic_load(&crew->is_stopping) || engine_work(crew->engine, index) == ENGINE_WORKED;
    if (!has_worked) {
        const uint64_t max_ns = engine_is_stepping(crew->engine) ? PARK_NS_MAX : REST_NS_MAX;

        switch (engine_park(crew->engine, max_ns)) {
        case PORT_SLEPT:
            if (engine_is_stepping(crew->engine))
                bell_ring(crew->worker_bell);
            break;
        case PORT_ATTENDED:
            bell_wait(crew->worker_bell, rung, max_ns);
            break;
        case PORT_LOCKED:
            idle_yield();
            break;
        }
    }
    atomic_fetch_sub(&crew->parking, 1);
    return has_worked;
}

static void give_way(struct crew *crew, struct idle_sharing *sharing, bool is_waiting)
{
    const uint64_t given_ns = idle_yield();

    idle_note_yield(sharing, given_ns);
    if (is_waiting && given_ns > 0)
        engine_note_given(crew->engine, given_ns);
}

static void work_on(struct crew *crew, uint16_t index)
{
    struct idle_sharing sharing = {0};
    uint64_t idle_since_ns = 0;

    while (!atomic_load_explicit(&crew->is_stopping, memory_order_relaxed)) {
        const enum engine_work_result result = engine_work(crew->engine, index);

        if (result == ENGINE_WORKED) {
            /* Between steps it was a peer's keep-alive: nothing for other workers, and no reason to stay awake. */
            if (engine_is_stepping(crew->engine)) {
                idle_since_ns = 0;
                wake_others(crew);
            }
            continue;
        }
        recording_help(crew->recording);
        uint64_t now_ns = mesh_udp_now_ns();
        if (idle_since_ns == 0)
            idle_since_ns = now_ns;
        if (now_ns - idle_since_ns < SPIN_NS && !idle_is_shared(&sharing))
            continue;
        if (now_ns - idle_since_ns < YIELD_NS)
            give_way(crew, &sharing, result == ENGINE_WAITING);
        else if (park(crew, index))
            idle_since_ns = 0;
    }
}

static void crew_work(void *app, uint16_t index)
{
    struct crew *crew = app;

    kernel_thread_init();
    while (atomic_load(&crew->waits) && !atomic_load(&crew->is_stopping)) {
        engine_poll(crew->engine);
        idle_sleep(WAIT_NS);
    }
    load(crew, true);
    while (atomic_load_explicit(&crew->load_left, memory_order_acquire) > 0 && !atomic_load(&crew->is_stopping)) {
        engine_poll(crew->engine);
        idle_yield();
    }
    if (crew->on_loaded != NULL && atomic_load(&crew->load_left) == 0)
        crew->on_loaded(crew->app);
    work_on(crew, index);
}

int crew_open(struct crew *crew, struct fail *fail)
{
    memset(crew, 0, sizeof *crew);
    crew->bell = bell_open(fail);
    crew->worker_bell = crew->bell == NULL ? NULL : bell_open(fail);
    return crew->worker_bell == NULL ? -1 : 0;
}

void crew_close(struct crew *crew)
{
    bell_close(crew->bell);
    bell_close(crew->worker_bell);
    crew->bell = crew->worker_bell = NULL;
}

int crew_start(struct crew *crew, struct engine *engine, uint16_t threads, struct fail *fail)
{
    if (!crew->has_load)
        crew_set_load(crew, engine);
    crew->has_load = false;
    atomic_store(&crew->is_stopping, false);
    crew->pool = pool_start(threads, crew_work, crew, fail);
    return fail->text[0] != '\0' ? -1 : 0;
}

void crew_wake(struct crew *crew)
{
    bell_ring(crew->worker_bell);
    engine_wake(crew->engine);
}

void crew_stop(struct crew *crew)
{
    atomic_store(&crew->is_stopping, true);
    if (crew->pool != NULL)
        crew_wake(crew);
    pool_join(crew->pool);
    crew->pool = NULL;
}
