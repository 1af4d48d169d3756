/* The lines of a training curve as points: taken from records, smoothed, and thinned to as many as a picture needs.
 *
 * Points are finite and in the order of the records. Pure but for memory; any thread. */
#ifndef NODE_TRAIN_SERIES_H
#define NODE_TRAIN_SERIES_H

#include <stddef.h>

#include "train_state.h"

struct train_point {
    double step;
    double value;
};

struct train_series {
    struct train_point *points; /* (count), owned */
    size_t count;
};

enum train_value { TRAIN_LOSS, TRAIN_HELD_OUT, TRAIN_RATE };

/* One value of every record that has it. -1: no memory, the series is empty. */
int train_series_take(struct train_series *series, const struct train_record *record, size_t count, enum train_value value);
void train_series_release(struct train_series *series);

/* How many points a running mean over `count` points takes on each side of its own. 0: too few points to smooth. */
size_t train_series_reach(size_t count);

/* The running mean at no more than points_max places, evenly distributed, including the first and the last: over the points up to `reach`
 * away; near the beginning, where the curve is steep, over equally many on both sides; not so near the end, where it is flat. The caller
 * releases out. -1: no memory. */
int train_series_smooth(const struct train_series *series, size_t reach, size_t points_max, struct train_series *out);

/* Keep no more than points_max (at least 4) points: the first, the last, and the lowest and highest of equal pieces between them. */
void train_series_thin(struct train_series *series, size_t points_max);

#endif
