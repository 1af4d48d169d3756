/* A fleet with made telemetry, for tests of the monitor. */
#ifndef TESTS_MONITOR_CASE_H
#define TESTS_MONITOR_CASE_H

#include "monitor/fleet.h"
#include "tests/unit/made_telemetry.h"

struct monitor_case {
    struct made made;
    struct fleet fleet;
};

/* A connected mesh of this many nodes, which have not reported yet. */
void monitor_case_init(struct monitor_case *c, unsigned nodes);
void monitor_case_release(struct monitor_case *c);

/* One of four nodes as *state of a test, for its setup and its teardown. */
int monitor_case_open(void **state);
int monitor_case_close(void **state);

/* Every node reports after this time. */
void monitor_case_report(struct monitor_case *c, unsigned milliseconds);

/* Let this many seconds pass, with a report and a tick at the end of each. */
void monitor_case_run(struct monitor_case *c, unsigned seconds);

/* The node of the fleet that is the mesh's node of that number. */
int monitor_case_node(const struct monitor_case *c, unsigned made);

/* Is that text among the findings at the tick this far back? */
bool monitor_case_finds(const struct monitor_case *c, uint64_t back, const char *text);

#endif
