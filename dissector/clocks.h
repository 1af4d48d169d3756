/* How one clock runs against another, from datagrams that both have timed: some going there, some coming back.
 *
 * A datagram cannot arrive before it was sent. So each one that goes there is above the line "other clock minus first", each that comes
 * back is below it; of all lines that keep the two apart the one in the middle of the widest gap is taken. The gap is the shortest time
 * there and back: half of it is the error, which no way of measuring avoids as long as the two ways need not be alike.
 */
#ifndef DISSECTOR_CLOCKS_H
#define DISSECTOR_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCKS_DRIFT_MAX 500e-6 /* more is a broken clock */

struct clock_point {
    int64_t at_ns;         /* by the first clock */
    int64_t difference_ns; /* the other clock's time of the same datagram, less that */
};

struct clock_line {
    bool is_known,
        is_bounded;           /* bounded: datagrams of both ways were there; otherwise the fastest of one way is taken for no time at all */
    bool is_drift_known;      /* long enough; otherwise drift is 0 */
    int64_t at_ns, offset_ns; /* the other clock less the first, when the first shows at_ns */
    double drift;             /* how much the other gains: ns per ns */
    double offset_error_ns, drift_error; /* the truth is not further away if both run evenly */
};

/* False, and *line is_known false, when no line keeps the points apart: the first clock is not on the side where `there` come from. */
bool clocks_compare(const struct clock_point *there, size_t there_count, const struct clock_point *back, size_t back_count,
                    struct clock_line *line);

/* A time of the other clock by the first. */
uint64_t clocks_convert(const struct clock_line *line, uint64_t other_ns);

#endif
