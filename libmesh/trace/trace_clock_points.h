/* By how much one clock is ahead of another, at several times: clocks drift, so one number holds for some minutes only. */
#ifndef MESH_TRACE_CLOCK_POINTS_H
#define MESH_TRACE_CLOCK_POINTS_H

#include "mesh/trace_clocks.h"

struct trace_clock_points {
    size_t count;
    struct mesh_trace_clock_point point[MESH_TRACE_CLOCK_POINTS]; /* (count), in the order of their times */
    uint64_t error_ns[MESH_TRACE_CLOCK_POINTS];                   /* (count) of point */
};

/* Take an estimate, those with the least errors first. It is left out where it says no more than the points beside it: where it is less
 * than spacing_ns away, or where the clocks have drifted less since than both may be off; and where a clock would
 * run backwards. */
void mesh_trace_clock_points_add(struct trace_clock_points *points, int64_t at_ns, int64_t ahead_ns, uint64_t error_ns,
                                 uint64_t spacing_ns);

/* By how much the clock is ahead at that time: on the lines between points; beyond them by the drift of the last few.
 * Any numbers will do. 0 if there is no point. */
int64_t mesh_trace_clock_points_at(const struct mesh_trace_clock_point *points, size_t count, int64_t t_ns);

#endif
