/* How much of their time with open steps nodes wait, and how long results take from one to another. */
#ifndef MONITOR_WAITING_H
#define MONITOR_WAITING_H

#include "fleet.h"

/* The part of the time with open steps in which the workers of live nodes waited, over at most `ticks` ticks up to that one; NAN: no
 * steps. */
double waiting_part(const struct fleet *fleet, uint64_t tick, unsigned ticks);

/* The mean of the links' median one-way times of tiles over the same time; NAN: none came. */
double waiting_tile_us(const struct fleet *fleet, uint64_t tick, unsigned ticks);

/* Are all live nodes at one address, so that they share a machine? */
bool waiting_is_at_one_machine(const struct fleet *fleet, uint64_t tick);

#endif
