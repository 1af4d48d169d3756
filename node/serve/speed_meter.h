/* How fast a node computes, from what its engine counts: the median of several windows, so that another program that takes the processor or
 * the memory for a moment does not show.
 *
 * Only work counts, not the clock: a node that waits for others has fewer or longer windows, with the same speed in them. */
#ifndef NODE_SPEED_METER_H
#define NODE_SPEED_METER_H

#include <stdbool.h>
#include <stdint.h>

enum { SPEED_METER_WINDOWS = 7, SPEED_METER_WINDOWS_LEAST = 5 };

/* All zeros to begin with. */
struct speed_meter {
    uint64_t begun_ns, bytes, busy_ns;   /* of the open window: its start, and the figures then */
    uint32_t speed[SPEED_METER_WINDOWS]; /* kB/s, a ring */
    uint32_t windows;                    /* closed so far */
};

/* The figures do not continue the previous ones: another engine's, or of a time that says nothing. */
void speed_meter_restart(struct speed_meter *meter, uint64_t now_ns, uint64_t bytes, uint64_t busy_ns);

/* Totals until now: weight bytes multiplied, and the time that all workers together took for it. */
void speed_meter_feed(struct speed_meter *meter, uint64_t now_ns, uint64_t bytes, uint64_t busy_ns, uint16_t workers);

/* Of all workers together, in kB/s; 0: not known yet. */
uint32_t speed_meter_median(const struct speed_meter *meter);

#endif
