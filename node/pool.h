/* Threads: a pool of workers, and a bell for those who wait. The only place that knows pthread. */
#ifndef NODE_POOL_H
#define NODE_POOL_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct pool;

/* Processors that this process may run on, at least 1. */
uint16_t pool_cores(void);

/* Start `count` threads that run work(app, index) until it returns. Signals are blocked in them. fail->text is empty exactly when all
 * have started. NULL: none has of those asked for; else the caller ends those that have by a flag of its own, and joins. */
struct pool *pool_start(uint16_t count, void (*work)(void *app, uint16_t index), void *app, struct fail *fail);
void pool_join(struct pool *pool); /* waits for all; NULL is fine */

/* From now on the calling thread stays on the processor of that number, modulo pool_cores: for measuring. Threads that it starts inherit
 * it. */
void pool_pin(uint16_t index);

/* From now on the calling thread gives way to threads that have not called this: for work that nobody waits for. */
void pool_give_way(void);

struct bell;

struct bell *bell_open(struct fail *fail);
void bell_close(struct bell *bell); /* NULL is fine */

/* Everybody who waits goes on. Cheap when nobody does. Not for signal handlers. */
void bell_ring(struct bell *bell);

/* How often it has rung: read it before looking whether there is something to do, and give it to bell_wait, so that no ring is missed. */
uint32_t bell_count(struct bell *bell);
void bell_wait(struct bell *bell, uint32_t count, uint64_t max_ns);

#endif
