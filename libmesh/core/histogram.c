/* Histogram with log2 buckets of 16 parts each. Values below 16 have a bucket each, so they are exact. */
#include "mesh/histogram.h"

#include <assert.h>

static unsigned bucket_of(uint64_t value)
{
    unsigned log2;

    if (value < MESH_HISTOGRAM_PARTS)
        return (unsigned)value;
    log2 = 63u - (unsigned)__builtin_clzll(value);
    if (log2 >= 40)
        return MESH_HISTOGRAM_BUCKETS - 1;
    return (log2 - 3) * MESH_HISTOGRAM_PARTS + (unsigned)(value >> (log2 - 4)) - MESH_HISTOGRAM_PARTS;
}

/* The largest value that counts in the bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    unsigned log2 = bucket / MESH_HISTOGRAM_PARTS + 3;
    uint64_t part = bucket % MESH_HISTOGRAM_PARTS;

    if (bucket < MESH_HISTOGRAM_PARTS)
        return bucket;
    return ((part + MESH_HISTOGRAM_PARTS + 1) << (log2 - 4)) - 1;
}

void mesh_histogram_add(struct mesh_histogram *histogram, uint64_t value_ns)
{
    uint32_t *bucket = &histogram->buckets[bucket_of(value_ns)];

    assert(bucket < histogram->buckets + MESH_HISTOGRAM_BUCKETS);
    if (*bucket < UINT32_MAX)
        (*bucket)++;
    histogram->count++;
    histogram->sum_ns += value_ns;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
}

uint64_t mesh_histogram_quantile(const struct mesh_histogram *histogram, unsigned permille)
{
    uint64_t wanted, below = 0;

    assert(permille <= 1000);
    if (!histogram->count)
        return 0;
    wanted = (histogram->count / 1000) * permille + (histogram->count % 1000 * permille + 999) / 1000;
    if (!wanted)
        wanted = 1;
    for (unsigned i = 0; i < MESH_HISTOGRAM_BUCKETS - 1; i++) {
        below += histogram->buckets[i];
        if (below >= wanted)
            return bucket_top(i) < histogram->max_ns ? bucket_top(i) : histogram->max_ns;
    }
    return histogram->max_ns;
}
