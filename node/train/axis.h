/* A linear axis of a picture: round tick values, where a value stands, and how a tick is written.
 *
 * Ticks are whole multiples of 1, 2 or 5 times a power of ten, so their text is made of integers: no locale, no rounding. The arithmetic is
 * the four IEEE-754 operations on doubles, the same on every machine. Pure; any thread. */
#ifndef NODE_AXIS_H
#define NODE_AXIS_H

#include <stdbool.h>
#include <stdint.h>

enum { AXIS_LABEL_MAX = 40 };

struct axis {
    double low, high;    /* low < high */
    double unit;         /* from tick to tick: digit * 10^exponent */
    int digit;           /* 1, 2 or 5 */
    int exponent;        /* of ten */
    int64_t first, last; /* ticks between low and high, as multiples of the unit; first <= last + 1 */
};

/* The shortest axis from low to high, both finite and below 1e39 in magnitude (asserted), with at most intervals_max intervals between
 * ticks. If low is not below high, the axis gets a span around them. to_ticks: extend it to the next tick at both ends, which may add an
 * interval.
 * exponent_min bounds the unit from below: 0 for counts. */
void axis_init(struct axis *axis, double low, double high, int intervals_max, bool to_ticks, int exponent_min);

double axis_tick(const struct axis *axis, int64_t tick);

/* 2.5, 4000, 0.0003 or 2e-7 */
void axis_label(const struct axis *axis, int64_t tick, char out[AXIS_LABEL_MAX]);

/* Where a value stands on an axis of that length: 0 at low, length at high; values outside stand at the ends. */
int axis_place(const struct axis *axis, double value, int length);

#endif
