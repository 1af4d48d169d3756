/* The worker threads of a node: load, then work; wait by polling, by yielding, and at last by sleeping.
 *
 * A crew works on one engine, from crew_start to crew_stop. Its bell wakes threads that wait for what the engine's hooks report. */
#ifndef NODE_CREW_H
#define NODE_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "pool.h"

struct crew {
    struct engine *engine; /* borrowed */
    struct bell *bell;     /* of the main thread: tokens, readiness, endings */
    struct bell *worker_bell;
    struct pool *pool;
    void (*on_loaded)(void *app); /* by each worker, once all is loaded; may be NULL */
    void *app;
    struct recording *recording; /* workers help with it while they wait; NULL: none. Borrowed */
    _Atomic uint32_t parking;    /* workers that park or are about to */
    atomic_bool is_stopping;
    atomic_bool waits; /* the data to load is still on its way: workers keep the network going and load nothing */
    bool has_load;     /* the two below are set */
    _Atomic uint32_t load_next, load_left;
};

/* The bells only. crew is zeroed first. */
int crew_open(struct crew *crew, struct fail *fail);
void crew_close(struct crew *crew); /* after crew_stop; all zeros is fine */

/* Loading before crew_start, which then does only the rest. crew_set_load: all of an allocated engine is to be loaded. crew_load_ahead:
 * load on the calling thread until everything is claimed or crew_stop is called; any number of threads. */
void crew_set_load(struct crew *crew, struct engine *engine);
void crew_load_ahead(struct crew *crew);

/* Start the threads on an engine that is allocated and attached. */
int crew_start(struct crew *crew, struct engine *engine, uint16_t threads, struct fail *fail);

/* The engine has work: wake sleeping workers. Any thread. */
void crew_wake(struct crew *crew);

/* End the threads and wait for them. May be called again. */
void crew_stop(struct crew *crew);

#endif
