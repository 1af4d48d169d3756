#include "trace_clock_points.h"

#include <stddef.h>
#include <string.h>

enum {
    DRIFT_PER_TIME = 10000, /* clocks drift by less than a ten-thousandth, which tells less than errors that are as large */
    BEYOND_POINTS = 3
};
#define DRIFT_MAX   1e-3 /* more is none */
#define GAIN_NS_MAX 9e18 /* fits in 64 bits */

/* Differences wrap: a damaged trace may hold any numbers. */
static uint64_t distance(int64_t a, int64_t b)
{
    return a < b ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
}

/* What the other clock shows. */
static int64_t other_ns(int64_t at_ns, int64_t ahead_ns)
{
    return (int64_t)((uint64_t)at_ns + (uint64_t)ahead_ns);
}

static bool says_more(const struct trace_clock_points *points, size_t than, int64_t at_ns, int64_t ahead_ns, uint64_t error_ns,
                      uint64_t spacing_ns)
{
    const struct mesh_trace_clock_point *point = &points->point[than];
    const uint64_t ns = distance(at_ns, point->at_ns), open_ns = ns / DRIFT_PER_TIME;

    return ns > 0 && ns >= spacing_ns && error_ns <= open_ns && points->error_ns[than] <= open_ns - error_ns &&
           (other_ns(point->at_ns, point->ahead_ns) < other_ns(at_ns, ahead_ns)) == (point->at_ns < at_ns);
}

void mesh_trace_clock_points_add(struct trace_clock_points *points, int64_t at_ns, int64_t ahead_ns, uint64_t error_ns, uint64_t spacing_ns)
{
    size_t place = points->count;

    while (place > 0 && points->point[place - 1].at_ns > at_ns)
        place--;
    if (points->count == MESH_TRACE_CLOCK_POINTS || (place > 0 && !says_more(points, place - 1, at_ns, ahead_ns, error_ns, spacing_ns)) ||
        (place < points->count && !says_more(points, place, at_ns, ahead_ns, error_ns, spacing_ns)))
        return;
    memmove(&points->point[place + 1], &points->point[place], (points->count - place) * sizeof *points->point);
    memmove(&points->error_ns[place + 1], &points->error_ns[place], (points->count - place) * sizeof *points->error_ns);
    points->point[place] = (struct mesh_trace_clock_point){.at_ns = at_ns, .ahead_ns = ahead_ns};
    points->error_ns[place] = error_ns;
    points->count++;
}

static double since(int64_t to, int64_t from)
{
    return (double)(int64_t)((uint64_t)to - (uint64_t)from);
}

/* How much the clock gains from one point to another; more than drift where one was suspended meanwhile. */
static double gain_between(const struct mesh_trace_clock_point *a, const struct mesh_trace_clock_point *b)
{
    const double ns = since(b->at_ns, a->at_ns);

    return ns > 0 ? since(b->ahead_ns, a->ahead_ns) / ns : 0;
}

static double drift_between(const struct mesh_trace_clock_point *a, const struct mesh_trace_clock_point *b)
{
    const double drift = gain_between(a, b);

    return drift > DRIFT_MAX || drift < -DRIFT_MAX ? 0 : drift;
}

int64_t mesh_trace_clock_points_at(const struct mesh_trace_clock_point *points, size_t count, int64_t t_ns)
{
    const struct mesh_trace_clock_point *last = points + count - 1, *before = points;
    const ptrdiff_t beyond = count > BEYOND_POINTS ? BEYOND_POINTS : (ptrdiff_t)count - 1;
    double drift, gained_ns;

    if (count == 0)
        return 0;
    while (before < last && before[1].at_ns <= t_ns)
        before++;
    if (t_ns < points->at_ns)
        drift = drift_between(points, points + beyond);
    else if (before == last)
        drift = drift_between(last - beyond, last);
    else
        drift = gain_between(before, before + 1);
    gained_ns = since(t_ns, before->at_ns) * drift;
    if (gained_ns > GAIN_NS_MAX || gained_ns < -GAIN_NS_MAX)
        gained_ns = 0;
    return other_ns(before->ahead_ns, (int64_t)gained_ns);
}
