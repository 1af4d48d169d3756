#include "memory_monitor.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "node/common/memory_text.h"
#include "node/common/periodic.h"
#include "node/common/spin.h"

enum { PAUSE_NS = 2000000000 };

struct memory_monitor {
    atomic_flag lock; /* of the next two */
    uint64_t available_bytes, held_bytes;
    struct periodic periodic;
};

static void look(void *app)
{
    struct memory_monitor *monitor = app;
    const uint64_t available = memory_available_bytes(), held = memory_held_bytes();

    spin_lock(&monitor->lock);
    monitor->available_bytes = available;
    monitor->held_bytes = held;
    spin_unlock(&monitor->lock);
}

struct memory_monitor *memory_monitor_open(struct fail *fail)
{
    struct memory_monitor *monitor = calloc(1, sizeof *monitor);

    if (monitor == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    atomic_flag_clear(&monitor->lock);
    look(monitor);
    if (periodic_start(&monitor->periodic, PAUSE_NS, look, monitor, fail) == 0)
        return monitor;
    memory_monitor_close(monitor);
    return NULL;
}

void memory_monitor_close(struct memory_monitor *monitor)
{
    if (monitor == NULL)
        return;
    periodic_stop(&monitor->periodic);
    free(monitor);
}

void memory_monitor_last(struct memory_monitor *monitor, uint64_t *available_bytes, uint64_t *held_bytes)
{
    spin_lock(&monitor->lock);
    *available_bytes = monitor->available_bytes;
    *held_bytes = monitor->held_bytes;
    spin_unlock(&monitor->lock);
}
