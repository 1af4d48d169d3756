/* Recent events of a node, for telemetry: a ring, numbered from 1. Main thread. */
#ifndef NODE_EVENT_RING_H
#define NODE_EVENT_RING_H

#include <stdbool.h>

#include "mesh/telemetry.h"

enum { EVENT_RING_ENTRIES = 64 };

struct event_ring_entry {
    struct mesh_telemetry_event event;
    char text[MESH_TELEMETRY_TEXT_BYTES_MAX + 1];
};

/* All zeros: nothing yet. */
struct event_ring {
    struct event_ring_entry entry[EVENT_RING_ENTRIES]; /* by number, modulo */
    uint32_t count;
    uint32_t by_kind[MESH_NODE_EVENTS];
};

/* event: all fields but its number, which is assigned here. text: the reason in words; if too long, cut
 * and marked with "…" at its end. */
void event_ring_add(struct event_ring *ring, const struct mesh_telemetry_event *event, const char *text);

/* The number of the oldest event still kept; count + 1 when there is none. */
uint32_t event_ring_first(const struct event_ring *ring);

/* The event of a number first..count. */
const struct event_ring_entry *event_ring_get(const struct event_ring *ring, uint32_t number);

#endif
