#include "team.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernel.h"
#include "node/common/pool.h"

enum { YIELDS = 200, SLEEP_NS_MAX = 100000000 };

struct team {
    struct pool *pool;
    struct eventcount *wakeup;
    uint16_t threads;
    void (*work)(void *app, size_t task, uint16_t thread);
    void *app;
    size_t count;
    _Atomic size_t next;     /* next task to be taken */
    _Atomic uint32_t round;  /* number of works begun */
    _Atomic uint16_t inside; /* members that have not finished the round yet */
    _Atomic bool is_over;
};

static void take_tasks(struct team *team, uint16_t thread)
{
    for (size_t task; (task = atomic_fetch_add(&team->next, 1)) < team->count;)
        team->work(team->app, task, thread);
}

/* Wait for the round after `round`; false when there is none. */
static bool await_round(struct team *team, uint32_t round)
{
    for (unsigned tries = 0; atomic_load(&team->round) == round; tries++) {
        const uint32_t seen = eventcount_read(team->wakeup);

        if (atomic_load(&team->is_over))
            return false;
        if (tries < YIELDS)
            sched_yield();
        else if (atomic_load(&team->round) == round)
            eventcount_wait(team->wakeup, seen, SLEEP_NS_MAX);
    }
    return !atomic_load(&team->is_over);
}

static void member(void *app, uint16_t index)
{
    struct team *team = app;

    kernel_thread_init();
    for (uint32_t round = 0; await_round(team, round); round++) {
        take_tasks(team, (uint16_t)(index + 1));
        atomic_fetch_sub(&team->inside, 1);
    }
}

struct team *team_open(uint16_t threads, struct fail *fail)
{
    struct team *team = calloc(1, sizeof *team);

    assert(threads > 0 && threads <= TEAM_THREADS_MAX);
    if (team == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    kernel_thread_init();
    team->threads = threads;
    fail->text[0] = '\0';
    if (threads > 1) {
        team->wakeup = eventcount_open(fail);
        team->pool = team->wakeup != NULL ? pool_start((uint16_t)(threads - 1), member, team, fail) : NULL;
        if (team->pool == NULL || fail->text[0] != '\0') {
            team_close(team);
            return NULL;
        }
    }
    return team;
}

void team_close(struct team *team)
{
    if (team == NULL)
        return;
    atomic_store(&team->is_over, true);
    if (team->wakeup != NULL)
        eventcount_notify(team->wakeup);
    pool_join(team->pool);
    eventcount_close(team->wakeup);
    free(team);
}

uint16_t team_threads(const struct team *team)
{
    return team->threads;
}

void team_run(struct team *team, size_t count, void (*work)(void *app, size_t task, uint16_t thread), void *app)
{
    assert(atomic_load(&team->inside) == 0);
    team->work = work;
    team->app = app;
    team->count = count;
    atomic_store(&team->next, 0);
    if (team->threads > 1) {
        atomic_store(&team->inside, (uint16_t)(team->threads - 1));
        atomic_fetch_add(&team->round, 1);
        eventcount_notify(team->wakeup);
    }
    take_tasks(team, 0);
    while (atomic_load(&team->inside) > 0)
        sched_yield();
}
