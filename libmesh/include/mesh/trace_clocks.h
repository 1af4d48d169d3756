/* The clocks of several traces side by side.
 *
 * Each node records times of its own monotonic clock, and wall clocks of hosts differ. So traces are related by what their nodes measured
 * of one another: pings between two members of an epoch bound the difference of their clocks from both sides, and telemetry records that
 * estimate. Two nodes that were never in one epoch are related by a third one that knows both. Wall clocks are compared only where nothing
 * else is known. */
#ifndef MESH_TRACE_CLOCKS_H
#define MESH_TRACE_CLOCKS_H

#include "mesh/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mesh_trace_clock_basis {
    MESH_TRACE_CLOCK_SAME,     /* that of the first trace: other files of its recording, or another node of its machine */
    MESH_TRACE_CLOCK_MEASURED, /* by datagrams, again and again, since clocks drift */
    MESH_TRACE_CLOCK_WALL      /* by wall clocks, which may be wrong by any amount */
};

enum { MESH_TRACE_CLOCK_POINTS = 32 };

struct mesh_trace_clock_point {
    int64_t at_ns, ahead_ns; /* at_ns by the trace's clock; the first trace's clock minus that then */
};

struct mesh_trace_clock {
    enum mesh_trace_clock_basis basis;
    int64_t to_first_ns; /* by the best measurement alone: to be added to the trace's times for those of the first trace's clock */
    int64_t to_unix_ns;  /* likewise for ns since 1970, by one wall clock for all: that of the first trace which has one */
    uint64_t error_ns;   /* largest error of to_first_ns when it was measured, if it was */
    size_t point_count;  /* 0: one number for all times, to_first_ns */
    struct mesh_trace_clock_point point[MESH_TRACE_CLOCK_POINTS]; /* (point_count), in the order of their times */
};

/* A time of the trace by the first trace's clock, and in ns since 1970, with the drift between measurements taken out. Sums wrap: a damaged
 * trace may hold any numbers. */
int64_t mesh_trace_clock_first_ns(const struct mesh_trace_clock *clock, int64_t t_ns);
int64_t mesh_trace_clock_unix_ns(const struct mesh_trace_clock *clock, int64_t t_ns);

struct mesh_trace_clocks;

/* For count traces, at least one. MESH_ENOMEM. */
int mesh_trace_clocks_open(struct mesh_trace_clocks **clocks, size_t count);

/* Take what trace index says of clocks; it may be closed afterwards. Makes no rows of calls. An error is one of a query to the trace, whose
 * reason says more. */
int mesh_trace_clocks_read(struct mesh_trace_clocks *clocks, size_t index, struct mesh_trace *trace);

/* Relate all of them: aligned (count), in the order of their indexes. */
void mesh_trace_clocks_align(struct mesh_trace_clocks *clocks, struct mesh_trace_clock *aligned);
void mesh_trace_clocks_close(struct mesh_trace_clocks *clocks); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
