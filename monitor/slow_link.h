/* Is it a slow link for which the others wait, not the node behind it? */
#ifndef MONITOR_SLOW_LINK_H
#define MONITOR_SLOW_LINK_H

#include "fleet.h"

struct slow_link {
    int from, to;
    double p99_us, others_us; /* others: the greatest of the links that it is compared with */
};

/* The slowest of the node's links, over at most `ticks` ticks up to that one, if it stands out and the node itself rather waits than
 * computes; false: there is none. */
bool slow_link_find(const struct fleet *fleet, int node, uint64_t tick, unsigned ticks, struct slow_link *found);

#endif
