#include "model_monitor.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "node/common/periodic.h"

enum { PAUSE_NS = 2000000000 };

struct model_monitor {
    const struct gguf *gguf;
    uint8_t fingerprint[32];
    int64_t seen_ns;
    atomic_bool is_overwritten;
    struct periodic periodic;
};

static void look(void *app)
{
    struct model_monitor *monitor = app;

    if (!gguf_is_intact(monitor->gguf, monitor->fingerprint, &monitor->seen_ns))
        atomic_store(&monitor->is_overwritten, true);
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
    if (periodic_start(&monitor->periodic, PAUSE_NS, look, monitor, fail) == 0)
        return monitor;
    model_monitor_close(monitor);
    return NULL;
}

void model_monitor_close(struct model_monitor *monitor)
{
    if (monitor == NULL)
        return;
    periodic_stop(&monitor->periodic);
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
