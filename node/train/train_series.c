#include "train_series.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* A running mean takes about one SMOOTH_SHARE-th of the points on each side. */
enum { SMOOTH_SHARE = 80 };

static int allocate(struct train_series *series, size_t count)
{
    series->count = 0;
    series->points = calloc(count + 1, sizeof *series->points);
    return series->points == NULL ? -1 : 0;
}

int train_series_take(struct train_series *series, const struct train_record *record, size_t count, enum train_value value)
{
    if (allocate(series, count) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const float values[] = {record[i].loss, record[i].held_out, record[i].rate};

        if (isfinite(values[value]) && !(value == TRAIN_HELD_OUT && values[value] < 0))
            series->points[series->count++] = (struct train_point){(double)record[i].step, (double)values[value]};
    }
    return 0;
}

void train_series_release(struct train_series *series)
{
    free(series->points);
    *series = (struct train_series){0};
}

size_t train_series_reach(size_t count)
{
    return count / SMOOTH_SHARE;
}

static double mean_around(const struct train_series *series, size_t at, size_t reach)
{
    const size_t before = at < reach ? at : reach;
    const size_t after = before < series->count - 1 - at ? before : series->count - 1 - at;
    double sum = 0;

    for (size_t i = at - before; i <= at + after; i++)
        sum += series->points[i].value;
    return sum / (double)(before + after + 1);
}

int train_series_smooth(const struct train_series *series, size_t reach, size_t points_max, struct train_series *out)
{
    const size_t count = series->count < points_max ? series->count : points_max;

    assert(points_max >= 2);
    if (allocate(out, count) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const size_t at = count == 1 ? 0 : (size_t)((uint64_t)i * (series->count - 1) / (count - 1));

        out->points[i] = (struct train_point){series->points[at].step, mean_around(series, at, reach)};
    }
    out->count = count;
    return 0;
}

/* The lowest and the highest of points [from, to), in their order; one, when they are the same. Returns their number. */
static size_t extremes(const struct train_point *points, size_t from, size_t to, struct train_point out[2])
{
    size_t lowest = from, highest = from;

    for (size_t i = from + 1; i < to; i++) {
        if (points[i].value < points[lowest].value)
            lowest = i;
        if (points[i].value > points[highest].value)
            highest = i;
    }
    out[0] = points[lowest < highest ? lowest : highest];
    out[1] = points[lowest < highest ? highest : lowest];
    return lowest == highest ? 1 : 2;
}

void train_series_thin(struct train_series *series, size_t points_max)
{
    const size_t pieces = points_max / 2 - 1, inner = series->count - 2;
    struct train_point *points = series->points;
    size_t kept = 1;

    assert(points_max >= 4);
    if (series->count <= points_max)
        return;
    for (size_t piece = 0; piece < pieces; piece++) {
        struct train_point found[2];
        const size_t from = 1 + (size_t)((uint64_t)piece * inner / pieces), to = 1 + (size_t)((uint64_t)(piece + 1) * inner / pieces);
        const size_t count = extremes(points, from, to, found);

        for (size_t i = 0; i < count; i++)
            points[kept++] = found[i];
    }
    points[kept++] = points[series->count - 1];
    series->count = kept;
}
