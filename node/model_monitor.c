#include "model_monitor.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "pool.h"

enum { LOOK_NS = 2000000000 };

struct model_monitor {
    const struct gguf *gguf;
    uint8_t fingerprint[32];
    int64_t seen_ns;
    struct eventcount *wakeup;
    struct pool *pool;
    atomic_bool is_ending, is_overwritten;
};

static void work(void *app, uint16_t index)
{
    struct model_monitor *monitor = app;

    (void)index;
    pool_give_way();
    while (!atomic_load(&monitor->is_ending)) {
        const uint32_t seen = eventcount_read(monitor->wakeup);

        if (!gguf_is_intact(monitor->gguf, monitor->fingerprint, &monitor->seen_ns))
            atomic_store(&monitor->is_overwritten, true);
        if (!atomic_load(&monitor->is_ending))
            eventcount_wait(monitor->wakeup, seen, LOOK_NS);
    }
}

struct model_monitor *model_monitor_open(const struct gguf *gguf, struct fail *fail)
{
    struct model_monitor *monitor = calloc(1, sizeof *monitor);

    if (monitor == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    monitor->gguf = gguf;
    gguf_fingerprint(gguf, monitor->fingerprint);
    monitor->wakeup = eventcount_open(fail);
    monitor->pool = monitor->wakeup == NULL ? NULL : pool_start(1, work, monitor, fail);
    if (monitor->pool != NULL)
        return monitor;
    model_monitor_close(monitor);
    return NULL;
}

void model_monitor_close(struct model_monitor *monitor)
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

int model_monitor_check(const struct model_monitor *monitor, struct fail *fail)
{
    if (monitor == NULL || !atomic_load(&monitor->is_overwritten))
        return 0;
    return fail_set(fail, EXIT_BAD_FILE,
                    "%.200s: was overwritten while this node used it, so it would answer wrongly: start it again, and rename a new model "
                    "over the old one instead of copying it there",
                    gguf_path(monitor->gguf));
}
