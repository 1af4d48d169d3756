/* Threads: a pool of workers, and an eventcount for waiting threads. The only place that knows pthread. */
#ifndef NODE_POOL_H
#define NODE_POOL_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct pool;

/* Processors that this process may run on, at least 1. */
uint16_t pool_cores(void);

/* Start `count` threads that run work(app, index) until it returns. All signals but SIGBUS are blocked in them. fail->text is empty exactly
 * when all have started. NULL: none has started; otherwise the caller ends those that have started by a flag of its own, and joins. */
struct pool *pool_start(uint16_t count, void (*work)(void *app, uint16_t index), void *app, struct fail *fail);
void pool_join(struct pool *pool); /* waits for all; NULL is fine */

/* From now on the calling thread stays on the processor of that number, modulo pool_cores: for measuring. Threads that it starts inherit
 * this. */
void pool_pin(uint16_t index);

/* From now on the calling thread yields to threads that have not called this: for work that nobody waits for. */
void pool_give_way(void);

struct eventcount;

struct eventcount *eventcount_open(struct fail *fail);
void eventcount_close(struct eventcount *wakeup); /* NULL is fine */

/* Wake all waiting threads. Cheap when there are none. Not for signal handlers. */
void eventcount_notify(struct eventcount *wakeup);

/* Number of notifications so far: read it before looking for work, and pass it to eventcount_wait, so that none is missed. */
uint32_t eventcount_read(struct eventcount *wakeup);
void eventcount_wait(struct eventcount *wakeup, uint32_t count, uint64_t max_ns);

#endif
