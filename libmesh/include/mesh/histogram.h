/* Histogram of nanoseconds with fixed memory and known error: log2 buckets, each divided into 16 equal parts (after G. Tene's
 * HdrHistogram), so a reported value is at most 1/16 above the true one. 0 ns to 2^40 ns; larger values count in the last bucket. */
#ifndef MESH_HISTOGRAM_H
#define MESH_HISTOGRAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MESH_HISTOGRAM_PARTS = 16, MESH_HISTOGRAM_BUCKETS = (40 - 4 + 1) * MESH_HISTOGRAM_PARTS };

struct mesh_histogram {
    uint64_t count, sum_ns, max_ns;
    uint32_t buckets[MESH_HISTOGRAM_BUCKETS]; /* saturating */
};

void mesh_histogram_add(struct mesh_histogram *histogram, uint64_t value_ns);

/* The value below or at which `permille` of the samples lie (0 to 1000, asserted; 500: median, 990: p99); 0 when empty. */
uint64_t mesh_histogram_quantile(const struct mesh_histogram *histogram, unsigned permille);

#ifdef __cplusplus
}
#endif

#endif
