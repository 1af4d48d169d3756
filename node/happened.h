/* Recent events of a node, for telemetry: a ring, numbered from 1. Main thread. */
#ifndef NODE_HAPPENED_H
#define NODE_HAPPENED_H

#include <stdbool.h>

#include "mesh/telemetry.h"

enum { HAPPENED_MAX = 64 };

struct happened {
    struct mesh_telemetry_event event;
    char text[MESH_TELEMETRY_TEXT_BYTES_MAX + 1];
};

/* All zeros: nothing yet. */
struct happenings {
    struct happened ring[HAPPENED_MAX]; /* by number, modulo */
    uint32_t count;
    uint32_t by_kind[MESH_NODE_EVENTS];
};

/* event: all fields but its number, which is assigned here. text: the reason in words; if too long, cut
 * and marked with "…" at its end. */
void happened_note(struct happenings *happenings, const struct mesh_telemetry_event *event, const char *text);

/* The number of the oldest event still kept; count + 1 when there is none. */
uint32_t happened_first(const struct happenings *happenings);

/* The event of a number first..count. */
const struct happened *happened_get(const struct happenings *happenings, uint32_t number);

#endif
