/* A thread that calls something again and again, with a pause between two calls: for questions to the system that may take long. */
#ifndef NODE_PERIODIC_H
#define NODE_PERIODIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "mesh/program/fail.h"

/* Zero: not started. */
struct periodic {
    void (*look)(void *app);
    void *app;
    uint64_t pause_ns;
    struct eventcount *wakeup;
    struct pool *pool;
    atomic_bool is_ending;
};

/* Call look(app) in a thread of its own, from now on, with pause_ns between two calls. -1 with fail set; periodic_stop is fine then. */
int periodic_start(struct periodic *periodic, uint64_t pause_ns, void (*look)(void *app), void *app, struct fail *fail);
void periodic_stop(struct periodic *periodic); /* waits for a call that is under way */

#endif
