/* --lab pace: simulates a node whose memory is slower than this machine's.
 *
 * A unit's weights are read at full speed, and the unit is held back until the slow memory would have delivered them. That memory serves
 * one reading after the other, each from when a worker asks for it. A worker asks when the slow node's would: the work between two readings
 * takes the slow node just as long, but an interrupted reading or a sleep that lasts too long delays this machine alone. A worker that is
 * behind the clock for such a reason catches up, since it reads faster than the pace; only waiting for input sets its time to the clock
 * again. Work done while a unit is held back, such as reading what arrives, costs the slow node nothing.
 *
 * Several such nodes may share a processor. What one of them sends too late, because another one computes, holds up all of them; what that
 * one computes early helps nobody. So a worker offers the processor to the others after every piece of reading, and while it holds a unit
 * back. */
#ifndef NODE_PACE_H
#define NODE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct worker;

/* Time the slow memory takes for these bytes; 0 without --lab pace. */
uint64_t pace_cost_ns(const struct engine *e, uint64_t now_ns, uint64_t bytes);

/* Called before and after reading weights. pace_read returns for how long the reading keeps all workers busy, as they share one memory; it
 * also gives way to other threads. */
void pace_begin(struct engine *e, struct worker *w);
uint64_t pace_read(struct engine *e, struct worker *w, size_t bytes);

/* The unit in hand is computed. True: it is to be held back; call pace_wait, which keeps the network going, and ask again. */
bool pace_holds(struct engine *e, struct worker *w);
void pace_wait(struct engine *e, struct worker *w);

/* The worker's input is not there. */
void pace_waits_for_input(struct worker *w);

#endif
