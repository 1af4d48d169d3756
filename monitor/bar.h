/* Small pictures of numbers: bars that are split, and curves over time, in one line or in several.
 *
 * A NAN leaves a gap. */
#ifndef MONITOR_BAR_H
#define MONITOR_BAR_H

#include "canvas.h"

struct bar_part {
    double fraction; /* 0 to 1 */
    enum style style;
    uint32_t code; /* the character that fills it */
};

/* Parts side by side, in all of the area's first line; columns are rounded so that their sum is that of the fractions. */
void bar_split(struct canvas *canvas, struct area area, const struct bar_part *parts, int count);

/* A curve that fills the area, the last value at its right. Each column shows one value, or two with braille; older ones are cut off.
 * top is the value of the full height; 0: the greatest shown. values: oldest first. */
void bar_curve(struct canvas *canvas, struct area area, enum style style, const float *values, int count, float top);

/* The number of values that bar_curve shows in that many columns. */
int bar_curve_values(const struct canvas *canvas, int columns);

#endif
