/* The worker threads of a node: load, then work; wait by polling, by yielding, and at last by sleeping.
 *
 * A pool works on one engine, from worker_pool_start to worker_pool_stop. Its eventcount wakes threads that wait for what the engine's
 * hooks report. */
#ifndef NODE_WORKER_POOL_H
#define NODE_WORKER_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "node/common/pool.h"
#include "node/engine/engine.h"

struct worker_pool {
    struct engine *engine;     /* borrowed */
    struct eventcount *wakeup; /* of the main thread: tokens, readiness, endings */
    struct eventcount *worker_wakeup;
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

/* Opens only the two eventcounts. *workers is all zeros before. */
int worker_pool_open(struct worker_pool *workers, struct fail *fail);
void worker_pool_close(struct worker_pool *workers); /* after worker_pool_stop; all zeros is fine */

/* Loading before worker_pool_start, which then does only the rest. worker_pool_set_load: all of an allocated engine is to be loaded.
 * worker_pool_load_ahead: load on the calling thread until everything is claimed or worker_pool_stop is called; any number of threads. */
void worker_pool_set_load(struct worker_pool *workers, struct engine *engine);
void worker_pool_load_ahead(struct worker_pool *workers);

/* Start the threads on an engine that is allocated and attached. */
int worker_pool_start(struct worker_pool *workers, struct engine *engine, uint16_t threads, struct fail *fail);

/* The engine has work: wake sleeping workers. Any thread. */
void worker_pool_wake(struct worker_pool *workers);

/* End the threads and wait for them. May be called again. */
void worker_pool_stop(struct worker_pool *workers);

#endif
