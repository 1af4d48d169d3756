/* Numbers as short texts for people: at most FORMAT_BYTES - 1 columns, with their unit. A NAN is "-". */
#ifndef MONITOR_FORMAT_H
#define MONITOR_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

enum { FORMAT_BYTES = 24 };

void format_time_us(double us, char out[FORMAT_BYTES]);        /* "87 µs", "1.23 ms", "2.5 s" */
void format_bytes(double bytes, char out[FORMAT_BYTES]);       /* "812 kB", "1.10 GB": powers of ten */
void format_count(double count, char out[FORMAT_BYTES]);       /* "812", "12.3k", "4.1M" */
void format_speed(double per_s, char out[FORMAT_BYTES]);       /* "0.34", "18.0", "176", "0": one after the other, they line up */
void format_fraction(double fraction, char out[FORMAT_BYTES]); /* "12 %", "1.3 %", "0.02 %", "0" */
void format_age_s(double seconds, char out[FORMAT_BYTES]);     /* "4 s", "3 min", "2 h", "5 d" */
void format_clock(int64_t wall_ns, char out[FORMAT_BYTES]);    /* "14:03:59", the local time */
void format_date(int64_t wall_ns, char out[FORMAT_BYTES]);     /* "11-27 14:03:59" */
void format_moment(int64_t wall_ns, char out[FORMAT_BYTES]);   /* "2026-11-27 14:03:59.123" */
bool format_is_same_day(int64_t wall_ns, int64_t other_wall_ns);
/* The time of day; with the date if it was not today. */
void format_when(int64_t wall_ns, int64_t now_wall_ns, char out[FORMAT_BYTES]);

#endif
