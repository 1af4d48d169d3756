/* The fleet as output for programs and pipes: JSON, and plain text. */
#ifndef MONITOR_REPORT_H
#define MONITOR_REPORT_H

#include <stdio.h>

#include "fleet.h"
#include "glyph.h"
#include "ui.h"

/* What has been reported of a fleet, so that each thing is reported once. All zeros: nothing yet. */
struct report_cursor {
    uint64_t ticks, events;
};

/* One line of JSON about the interval that ended with that tick; the keys are in docs/MONITOR.md. Events are those not yet reported. An
 * interval reported before (without a connection there is no other) has counts of 0. cursor: NULL for a snapshot, with counters, workers
 * and all kept events. */
void report_json(const struct fleet *fleet, uint64_t tick, struct report_cursor *cursor, FILE *out);

/* Lines for people: the time, findings, a table of nodes, the newest events not yet reported. 0, or -1: no memory. */
int report_text(const struct fleet *fleet, struct ui *ui, struct report_cursor *cursor, int width, enum glyph_level level, FILE *out);

#endif
