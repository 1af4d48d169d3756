/* Round trips of bare datagrams over loopback, which other figures stand beside. */
#ifndef NODE_BENCH_UDP_H
#define NODE_BENCH_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"

enum { BENCH_UDP_BYTES_MAX = 4096 };

/* Add the microseconds of each of so many round trips between two threads, each on a processor of its own where there are two, that poll or
 * sleep. Those that take longer than 200 ms are left out. bytes: at most BENCH_UDP_BYTES_MAX. */
int bench_udp_round_trips(size_t bytes, bool polls, uint32_t count, struct bench_series *series, struct fail *fail);

#endif
