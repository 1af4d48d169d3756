/* The curve of a training run as a picture: loss and held-out loss against steps, and the learning rate behind them.
 *
 * An SVG of 900 x 500 with a background of its own, for documents on light and dark pages, at most TRAIN_CURVE_BYTES_MAX however many steps
 * there are: where a line would have more than TRAIN_CURVE_POINTS_MAX points it keeps the first, the last, and of equal pieces between
 * them the lowest and the highest. What is not finite is left out. The same records are the same bytes on every machine, in any locale. */
#ifndef NODE_TRAIN_CURVE_H
#define NODE_TRAIN_CURVE_H

#include <stddef.h>

#include "mesh/program/fail.h"
#include "train_state.h"

enum { TRAIN_CURVE_POINTS_MAX = 600, TRAIN_CURVE_DOTS_MAX = 100, TRAIN_CURVE_BYTES_MAX = 60000 };

/* Replaces what is at path once it is complete. title may be any bytes; what a picture has no room for is cut off. */
int train_curve_write(const struct train_record *record, size_t count, const char *title, const char *path, struct fail *fail);

#endif
