/* What an operator should know at a glance, in sentences: which node is gone, which one others wait for, which link loses, what has
 * changed. */
#ifndef MONITOR_FINDINGS_H
#define MONITOR_FINDINGS_H

#include "fleet.h"
#include "theme.h"

enum { FINDINGS_MAX = 16, FINDING_BYTES = 320 };

struct finding {
    enum style style; /* STYLE_BAD, STYLE_WARN, STYLE_NORMAL, STYLE_GOOD */
    char text[FINDING_BYTES];
};

/* Findings at that tick, the worst first; returns their number, at least 1. */
int findings_find(const struct fleet *fleet, uint64_t tick, struct finding findings[FINDINGS_MAX]);

/* The node that others wait for in the last seconds before that tick, at least twice as long as for any other, and the part of their time;
 * FLEET_NOBODY: none stands out, steps ran in one interval only, or none runs any more. */
int findings_waited_for(const struct fleet *fleet, uint64_t tick, double *part);

#endif
