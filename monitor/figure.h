/* Numbers as short texts for people: at most FIGURE_BYTES - 1 columns, with their unit. A NAN is "-". */
#ifndef MONITOR_FIGURE_H
#define MONITOR_FIGURE_H

#include <stdbool.h>
#include <stdint.h>

enum { FIGURE_BYTES = 24 };

void figure_time_us(double us, char out[FIGURE_BYTES]);        /* "87 µs", "1.23 ms", "2.5 s" */
void figure_bytes(double bytes, char out[FIGURE_BYTES]);       /* "812 kB", "1.10 GB": powers of ten */
void figure_count(double count, char out[FIGURE_BYTES]);       /* "812", "12.3k", "4.1M" */
void figure_fraction(double fraction, char out[FIGURE_BYTES]); /* "12 %", "1.3 %", "0.02 %", "0" */
void figure_age_s(double seconds, char out[FIGURE_BYTES]);     /* "4 s", "3 min", "2 h", "5 d" */
void figure_clock(int64_t wall_ns, char out[FIGURE_BYTES]);    /* "14:03:59", the local time */
void figure_date(int64_t wall_ns, char out[FIGURE_BYTES]);     /* "11-27 14:03:59" */
void figure_moment(int64_t wall_ns, char out[FIGURE_BYTES]);   /* "2026-11-27 14:03:59.123" */
bool figure_is_same_day(int64_t wall_ns, int64_t other_wall_ns);
/* The time of day; with the date if it was not today. */
void figure_when(int64_t wall_ns, int64_t now_wall_ns, char out[FIGURE_BYTES]);

#endif
