/* Round trips of bare datagrams over loopback, for comparison with other figures. */
#ifndef NODE_BENCH_UDP_H
#define NODE_BENCH_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"

enum { BENCH_UDP_BYTES_MAX = 4096 };

/* Add to series the microseconds of each of `count` round trips between two threads that poll or sleep, each on a processor of its own
 * where there are two. Round trips over 200 ms are left out. bytes: at most BENCH_UDP_BYTES_MAX. */
int bench_udp_round_trips(size_t bytes, bool polls, uint32_t count, struct bench_series *series, struct fail *fail);

#endif
