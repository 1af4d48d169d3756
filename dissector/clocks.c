#include "clocks.h"

#include <float.h>
#include <string.h>

enum { ROUNDS = 100 };

/* Both sets of points, and the origins that times and differences are counted from, so that doubles hold them. */
struct points {
    const struct clock_point *there, *back;
    size_t there_count, back_count;
    int64_t at_ns, difference_ns;
};

/* The lowest (or highest) difference of the points once the drift is taken out. */
static double extreme(const struct points *all, const struct clock_point *points, size_t count, double drift, bool is_lowest)
{
    double best = is_lowest ? DBL_MAX : -DBL_MAX;

    for (size_t i = 0; i < count; i++) {
        const double value = (double)(points[i].difference_ns - all->difference_ns) - drift * (double)(points[i].at_ns - all->at_ns);

        if (is_lowest ? value < best : value > best)
            best = value;
    }
    return best;
}

static double gap(const struct points *all, double drift)
{
    return extreme(all, all->there, all->there_count, drift, true) - extreme(all, all->back, all->back_count, drift, false);
}

/* The drift at which the gap is widest: the gap is a concave function of the drift. */
static double widest(const struct points *all)
{
    double low = -CLOCKS_DRIFT_MAX, high = CLOCKS_DRIFT_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;

        if (gap(all, a) < gap(all, b))
            low = a;
        else
            high = b;
    }
    return (low + high) / 2;
}

/* The drift nearest to `end` at which there is still a gap. */
static double limit(const struct points *all, double inside, double end)
{
    if (gap(all, end) >= 0)
        return end;
    for (int round = 0; round < ROUNDS; round++) {
        const double middle = (inside + end) / 2;

        if (gap(all, middle) >= 0)
            inside = middle;
        else
            end = middle;
    }
    return inside;
}

static void find_drift(const struct points *all, struct clock_line *line)
{
    const double best = widest(all);
    const double low = limit(all, best, -CLOCKS_DRIFT_MAX), high = limit(all, best, CLOCKS_DRIFT_MAX);

    line->is_drift_known = low > -CLOCKS_DRIFT_MAX && high < CLOCKS_DRIFT_MAX;
    line->drift = best;
    line->drift_error = best - low > high - best ? best - low : high - best;
    if (!line->is_drift_known && gap(all, 0) >= 0) {
        line->drift = 0;
        line->drift_error = CLOCKS_DRIFT_MAX;
    }
}

bool clocks_compare(const struct clock_point *there, size_t there_count, const struct clock_point *back, size_t back_count,
                    struct clock_line *line)
{
    const struct points all = {
        there, back, there_count, back_count, there_count > 0 ? there[0].at_ns : 0, there_count > 0 ? there[0].difference_ns : 0};
    double high;

    memset(line, 0, sizeof *line);
    if (there_count == 0)
        return false;
    line->at_ns = all.at_ns;
    line->is_bounded = back_count > 0;
    if (line->is_bounded)
        find_drift(&all, line);
    high = extreme(&all, there, there_count, line->drift, true);
    if (line->is_bounded) {
        const double low = extreme(&all, back, back_count, line->drift, false);

        if (low > high)
            return false;
        line->offset_error_ns = (high - low) / 2;
        high = (high + low) / 2;
    }
    line->offset_ns = all.difference_ns + (int64_t)high;
    line->is_known = true;
    return true;
}

uint64_t clocks_convert(const struct clock_line *line, uint64_t other_ns)
{
    const int64_t since_ns = (int64_t)other_ns - line->at_ns - line->offset_ns;

    return (uint64_t)((int64_t)other_ns - line->offset_ns - (int64_t)((double)since_ns * (line->drift / (1 + line->drift))));
}
