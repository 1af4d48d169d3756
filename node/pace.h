/* --lab pace: a node whose memory is slower than this machine's.
 *
 * A unit's weights are read as fast as this machine can, and the unit is held back until the slow memory would have delivered them. That
 * memory reads one thing after the other, from when a worker asks for it. A worker asks when the slow node's would: what this one does
 * between two readings takes that one as long, but a reading that is interrupted, and a sleep that lasts too long, are this machine's
 * alone. Who is behind the clock for such a reason catches up, as it reads faster than the pace; only waiting for input brings both
 * together again. What is done while a unit is held back, so what comes in meanwhile, costs the slow node nothing. */
#ifndef NODE_PACE_H
#define NODE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct worker;

/* How long that memory takes for so many bytes; 0 without --lab pace. */
uint64_t pace_cost_ns(const struct engine *e, uint64_t now_ns, uint64_t bytes);

/* Around the reading of weights. pace_read returns for how long that keeps all workers busy: they share one memory. */
void pace_begin(struct engine *e, struct worker *w);
uint64_t pace_read(struct engine *e, struct worker *w, size_t bytes);

/* The unit in hand is computed. Is it to be held back? Then call pace_wait, which looks after the network, and ask again. */
bool pace_holds(struct engine *e, struct worker *w);
void pace_wait(struct engine *e, struct worker *w);

/* What the worker needs is not there. */
void pace_waits_for_input(struct worker *w);

#endif
