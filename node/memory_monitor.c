#include "memory_monitor.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "memory_text.h"
#include "pool.h"
#include "spin.h"

enum { POLL_NS = 2000000000 };

struct memory_monitor {
    atomic_flag lock; /* of the next two */
    uint64_t available_bytes, held_bytes;
    struct eventcount *wakeup;
    struct pool *pool;
    atomic_bool is_ending;
};

static void poll_once(struct memory_monitor *monitor)
{
    const uint64_t available = memory_available_bytes(), held = memory_held_bytes();

    spin_lock(&monitor->lock);
    monitor->available_bytes = available;
    monitor->held_bytes = held;
    spin_unlock(&monitor->lock);
}

static void work(void *app, uint16_t index)
{
    struct memory_monitor *monitor = app;

    (void)index;
    while (!atomic_load(&monitor->is_ending)) {
        const uint32_t seen = eventcount_read(monitor->wakeup);

        poll_once(monitor);
        if (!atomic_load(&monitor->is_ending))
            eventcount_wait(monitor->wakeup, seen, POLL_NS);
    }
}

struct memory_monitor *memory_monitor_open(struct fail *fail)
{
    struct memory_monitor *monitor = calloc(1, sizeof *monitor);

    if (monitor == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    atomic_flag_clear(&monitor->lock);
    poll_once(monitor);
    monitor->wakeup = eventcount_open(fail);
    monitor->pool = monitor->wakeup == NULL ? NULL : pool_start(1, work, monitor, fail);
    if (monitor->pool != NULL)
        return monitor;
    memory_monitor_close(monitor);
    return NULL;
}

void memory_monitor_close(struct memory_monitor *monitor)
{
    if (monitor == NULL)
        return;
    atomic_store(&monitor->is_ending, true);
    if (monitor->pool != NULL)
        eventcount_notify(monitor->wakeup);
    pool_join(monitor->pool);
    eventcount_close(monitor->wakeup);
    free(monitor);
}

void memory_monitor_last(struct memory_monitor *monitor, uint64_t *available_bytes, uint64_t *held_bytes)
{
    spin_lock(&monitor->lock);
    *available_bytes = monitor->available_bytes;
    *held_bytes = monitor->held_bytes;
    spin_unlock(&monitor->lock);
}
