/* How one clock runs against another, from datagrams in both directions that both clocks have timestamped.
 *
 * A datagram cannot arrive before it was sent. So each datagram there is above the line "other clock minus first", and each one back is
 * below it; of all lines that separate the two sets, the one in the middle of the widest gap is taken. The gap is the shortest round trip:
 * half of it is the error, which no method avoids as long as the two paths may differ. */
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
    bool is_known, is_bounded; /* bounded: datagrams of both directions were seen; otherwise the fastest one is taken to need no time */
    bool is_drift_known;       /* the points span enough time; otherwise drift is 0 */
    int64_t at_ns, offset_ns;  /* the other clock less the first, when the first shows at_ns */
    double drift;              /* how much the other gains: ns per ns */
    double offset_error_ns, drift_error; /* bounds on the error if both clocks run evenly */
};

/* False, and line->is_known false, when no line separates the points: the first clock is not at the host that `there` left from. */
bool clocks_compare(const struct clock_point *there, size_t there_count, const struct clock_point *back, size_t back_count,
                    struct clock_line *line);

/* Convert a time of the other clock to the first one's. */
uint64_t clocks_convert(const struct clock_line *line, uint64_t other_ns);

#endif
