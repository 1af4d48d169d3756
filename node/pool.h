/* Threads: a pool of workers, and a bell for waiting threads. The only place that knows pthread. */
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

struct bell;

struct bell *bell_open(struct fail *fail);
void bell_close(struct bell *bell); /* NULL is fine */

/* Wake all waiting threads. Cheap when there are none. Not for signal handlers. */
void bell_ring(struct bell *bell);

/* Number of rings so far: read it before looking for work, and pass it to bell_wait, so that no ring is missed. */
uint32_t bell_count(struct bell *bell);
void bell_wait(struct bell *bell, uint32_t count, uint64_t max_ns);

#endif
