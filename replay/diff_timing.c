/* Timings of two traces: percentiles, and whether a difference is more than noise.
 *
 * A trace's noise is taken from itself: its values, in order of time, are cut into ten parts, and the spread of the parts' percentiles
 * estimates the error of the whole's. A difference counts when it is more than three times the combined error, and more than 2 %. The tail
 * is judged only with at least ten values beyond the 99th percentile. */
#include <math.h>
#include <stdlib.h>

#include "diff.h"
#include "rows.h"

enum { PARTS = 10, VALUES_MAX = 1 << 22, VALUES_MIN = 50 /* with fewer, no verdict */, TAIL_MIN = 1000 };
#define ERRORS  3.0
#define PERCENT 2.0

static const struct {
    const char *name, *what, *sql;
} metrics[DIFF_METRICS] = {
    {"tile_latency", "tile latency", "SELECT latency_ns FROM tile_latency ORDER BY t_ns"},
    {"token_interval", "inter-token latency", "SELECT since_ns FROM token_times WHERE since_ns IS NOT NULL ORDER BY t_ns"},
    {"step", "steps", "SELECT duration_ns FROM telemetry_step GROUP BY step, begin_ns ORDER BY begin_ns"},
};

struct values {
    size_t count, capacity;
    int64_t *at;
    struct fail *fail;
};

static int take(void *context, const struct mesh_trace_value *values)
{
    struct values *v = context;

    if (v->count == VALUES_MAX)
        return 0;
    if (v->count == v->capacity) {
        const size_t capacity = v->capacity ? 2 * v->capacity : 1024;
        int64_t *at = realloc(v->at, capacity * sizeof *at);

        if (at == NULL)
            return fail_set(v->fail, EXIT_ENVIRONMENT, "memory: out of memory for the timings: close other programs");
        v->at = at;
        v->capacity = capacity;
    }
    v->at[v->count++] = values[0].integer;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int64_t percentile(const int64_t *sorted, size_t count, double part)
{
    return sorted[(size_t)((double)(count - 1) * part)];
}

/* Standard error of the mean of the parts' percentiles, which is about that of the whole's percentile. Sorts each part. */
static void find_errors(struct diff_sample *sample, int64_t *values, size_t count)
{
    double p50[PARTS], p99[PARTS], mean50 = 0, mean99 = 0, sum50 = 0, sum99 = 0;

    for (size_t i = 0; i < PARTS; i++) {
        const size_t from = count * i / PARTS, size = count * (i + 1) / PARTS - from;

        qsort(values + from, size, sizeof *values, by_size);
        p50[i] = (double)percentile(values + from, size, 0.5);
        p99[i] = (double)percentile(values + from, size, 0.99);
        mean50 += p50[i] / PARTS;
        mean99 += p99[i] / PARTS;
    }
    for (size_t i = 0; i < PARTS; i++) {
        sum50 += (p50[i] - mean50) * (p50[i] - mean50);
        sum99 += (p99[i] - mean99) * (p99[i] - mean99);
    }
    sample->p50_error_ns = sqrt(sum50 / (PARTS - 1) / PARTS);
    sample->p99_error_ns = sqrt(sum99 / (PARTS - 1) / PARTS);
}

static int find_sample(struct diff *diff, unsigned side, const char *sql, struct diff_sample *sample, struct fail *fail)
{
    struct values values = {.fail = fail};
    const int result = rows_each(diff->paths[side], diff->traces[side], sql, take, &values, fail);

    sample->count = values.count;
    if (result == 0 && values.count >= VALUES_MIN)
        find_errors(sample, values.at, values.count);
    if (result == 0 && values.count > 0) {
        qsort(values.at, values.count, sizeof *values.at, by_size);
        sample->p50_ns = percentile(values.at, values.count, 0.5);
        sample->p90_ns = percentile(values.at, values.count, 0.9);
        sample->p99_ns = percentile(values.at, values.count, 0.99);
        sample->max_ns = values.at[values.count - 1];
    }
    free(values.at);
    return result;
}

static double percent(int64_t a, int64_t b)
{
    return a > 0 ? 100.0 * ((double)b - (double)a) / (double)a : 0;
}

static bool is_beyond_noise(double a, double b, double a_error, double b_error)
{
    return fabs(b - a) > ERRORS * sqrt(a_error * a_error + b_error * b_error) && fabs(b - a) > PERCENT / 100 * fabs(a);
}

/* The median decides; if it has not changed, the tail does. */
static enum diff_change judge(const struct diff_sample *a, const struct diff_sample *b)
{
    if (a->count < VALUES_MIN || b->count < VALUES_MIN)
        return DIFF_TOO_FEW;
    if (is_beyond_noise((double)a->p50_ns, (double)b->p50_ns, a->p50_error_ns, b->p50_error_ns))
        return b->p50_ns > a->p50_ns ? DIFF_SLOWER : DIFF_FASTER;
    if (a->count >= TAIL_MIN && b->count >= TAIL_MIN &&
        is_beyond_noise((double)a->p99_ns, (double)b->p99_ns, a->p99_error_ns, b->p99_error_ns))
        return b->p99_ns > a->p99_ns ? DIFF_SLOWER : DIFF_FASTER;
    return DIFF_UNCHANGED;
}

static bool is_slower(const struct diff_sample *a, const struct diff_sample *b, size_t count_min, int64_t a_ns, int64_t b_ns,
                      double a_error_ns, double b_error_ns)
{
    return a->count >= count_min && b->count >= count_min && b_ns > a_ns &&
           is_beyond_noise((double)a_ns, (double)b_ns, a_error_ns, b_error_ns);
}

int diff_timings(struct diff *diff, struct fail *fail)
{
    for (unsigned i = 0; i < DIFF_METRICS; i++) {
        struct diff_timing *timing = &diff->timings[i];
        const struct diff_sample *a = &timing->samples[0], *b = &timing->samples[1];

        timing->name = metrics[i].name;
        timing->what = metrics[i].what;
        for (unsigned side = 0; side < 2; side++)
            if (find_sample(diff, side, metrics[i].sql, &timing->samples[side], fail) != 0)
                return -1;
        timing->change = judge(a, b);
        timing->p50_is_slower = is_slower(a, b, VALUES_MIN, a->p50_ns, b->p50_ns, a->p50_error_ns, b->p50_error_ns);
        timing->p99_is_slower = is_slower(a, b, TAIL_MIN, a->p99_ns, b->p99_ns, a->p99_error_ns, b->p99_error_ns);
        timing->p50_percent = percent(a->p50_ns, b->p50_ns);
        timing->p99_percent = percent(a->p99_ns, b->p99_ns);
    }
    return 0;
}
