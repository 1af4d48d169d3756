/* The fleet for machines and for pipes: JSON, and plain text. */
#ifndef MONITOR_REPORT_H
#define MONITOR_REPORT_H

#include <stdio.h>

#include "fleet.h"
#include "glyph.h"
#include "ui.h"

/* One line of JSON about the interval that ended with that tick; the keys are in docs/MONITOR.md. is_snapshot: with workers, requests and
 * all events that are kept, not only those of the interval. */
void report_json(const struct fleet *fleet, uint64_t tick, bool is_snapshot, FILE *out);

/* Lines for people: the time, findings, a table of nodes. 0, or -1: no memory. */
int report_text(const struct fleet *fleet, struct ui *ui, int width, enum glyph_level level, FILE *out);

#endif
