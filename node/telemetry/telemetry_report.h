/* A node's report: its measurements and events, as pieces of telemetry.
 *
 * A report is a few datagrams long, however much there is to tell: each includes some histograms, steps and old events, a limited number
 * per second however short the interval is. */
#ifndef NODE_TELEMETRY_REPORT_H
#define NODE_TELEMETRY_REPORT_H

#include "event_ring.h"
#include "node_metrics.h"

enum { TELEMETRY_REPORT_PHASES_MAX = 4 * 256 + 1 };

/* State carried from one report to the next. All zeros at first. */
struct telemetry_report_state {
    uint32_t serial;      /* of the last report */
    uint64_t step_serial; /* of the last step reported in this epoch; 0 when another epoch begins */
    uint64_t now_ns;      /* of the last report */
    uint32_t event;       /* number of the newest event reported */
    uint64_t events_ns;   /* when older events are reported again */
    unsigned latency_turn;
    int64_t latency_bytes; /* histogram bytes that may be sent now */
    struct mesh_telemetry_phase phase[TELEMETRY_REPORT_PHASES_MAX];
};

/* What a report is made from. Borrowed for the call. */
struct telemetry_report_source {
    const uint8_t *incarnation; /* (16) */
    const struct node_metrics *metrics;
    const struct event_ring *events;
    struct engine *engine; /* whose steps are reported; NULL: none */
    uint32_t kinds;        /* bit k: items of kind k; NODE is always included */
    unsigned steps_per_s;  /* about this many of the steps since the last report are included */
    bool all_events;       /* not only the newest */
};

/* Call give for each piece, in order; a piece is borrowed for the call. */
void telemetry_report_write(struct telemetry_report_state *state, const struct telemetry_report_source *source,
                            void (*give)(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes), void *app);

#endif
