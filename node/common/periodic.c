#include "periodic.h"

#include <stdbool.h>
#include <stddef.h>

#include "pool.h"

static void work(void *app, uint16_t index)
{
    struct periodic *periodic = app;

    (void)index;
    while (!atomic_load(&periodic->is_ending)) {
        const uint32_t seen = eventcount_read(periodic->wakeup);

        periodic->look(periodic->app);
        if (!atomic_load(&periodic->is_ending))
            eventcount_wait(periodic->wakeup, seen, periodic->pause_ns);
    }
}

int periodic_start(struct periodic *periodic, uint64_t pause_ns, void (*look)(void *app), void *app, struct fail *fail)
{
    *periodic = (struct periodic){.look = look, .app = app, .pause_ns = pause_ns};
    periodic->wakeup = eventcount_open(fail);
    periodic->pool = periodic->wakeup == NULL ? NULL : pool_start(1, work, periodic, fail);
    return periodic->pool != NULL ? 0 : -1;
}

void periodic_stop(struct periodic *periodic)
{
    atomic_store(&periodic->is_ending, true);
    if (periodic->pool != NULL)
        eventcount_notify(periodic->wakeup);
    pool_join(periodic->pool);
    eventcount_close(periodic->wakeup);
    periodic->pool = NULL;
    periodic->wakeup = NULL;
}
