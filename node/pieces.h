/* A node's report: what it has measured and what has happened to it, as pieces of telemetry.
 *
 * A few datagrams long, whatever there is to tell: of histograms, steps and old events some each time, so many in a second however short
 * the interval is. */
#ifndef NODE_PIECES_H
#define NODE_PIECES_H

#include "happened.h"
#include "measure.h"

enum { PIECES_PHASES_MAX = 4 * 256 + 1 };

/* What goes on from one report to the next. All zeros at first. */
struct pieces_state {
    uint32_t serial;      /* of the last report */
    uint64_t step_serial; /* of the last step that was told of, in this epoch; 0 when another begins */
    uint64_t now_ns;      /* of the last report */
    uint32_t event;       /* number of the newest event that was told */
    uint64_t events_ns;   /* when those before it are told again */
    unsigned latency_turn;
    int64_t latency_bytes; /* of histograms that may be told now */
    struct mesh_telemetry_phase phase[PIECES_PHASES_MAX];
};

/* Where a report comes from. Borrowed for the call. */
struct pieces_source {
    const uint8_t *incarnation; /* (16) */
    const struct measure *measure;
    const struct happenings *happenings;
    struct engine *engine; /* whose steps are told; NULL: none */
    uint32_t kinds;        /* bit k: items of kind k; NODE comes always */
    unsigned steps_per_s;  /* about so many of those since the last report are told */
    bool all_events;       /* not only the newest */
};

/* Pieces in order, each borrowed for the call of give. */
void pieces_write(struct pieces_state *state, const struct pieces_source *source,
                  void (*give)(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes), void *app);

#endif
