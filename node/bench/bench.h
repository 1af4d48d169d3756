/* What the parts of `mesh-node bench` share: statistics of repeated runs, rows of results, and their two forms of output.
 *
 * A figure is the median of several runs with the least and the greatest. A ratio is made of two figures that were measured in turns in
 * the same run, so that a machine that is busy or throttled slows down both. One thread. */
#ifndef NODE_BENCH_H
#define NODE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "mesh/program/json.h"
#include "node/kernel/kernel.h"

enum { BENCH_RUNS_MAX = 512, BENCH_VALUES_MAX = 12, BENCH_LABELS_MAX = 8 };

/* One figure of several runs, in the order of the runs. */
struct bench_series {
    double value[BENCH_RUNS_MAX];
    size_t count;
};

struct bench_stat {
    double median, min, max;
    size_t runs;
};

void bench_add(struct bench_series *series, double value); /* asserts that there is room */

/* All zero for an empty series, which is printed as "-", and as null in JSON. The median of an even count is the mean of the two in the
 * middle. */
struct bench_stat bench_stat_of(const struct bench_series *series);

/* The statistics of above[i] / below[i], run by run; pairs whose divisor is not above zero are left out. Equal counts (asserted). */
struct bench_stat bench_ratio_of(const struct bench_series *above, const struct bench_series *below);

/* The same two, but instead of the least and the greatest with bounds that contain the true median 95 times in a hundred (order statistics,
 * from the binomial distribution). With fewer than nine values the bounds are the least and the greatest. */
struct bench_stat bench_stat_bounds(const struct bench_series *series);
struct bench_stat bench_ratio_bounds(const struct bench_series *above, const struct bench_series *below);

/* A line of results. Labels and counts come first; `key` and, for values, key_min and key_max are the names in JSON. */
struct bench_label {
    const char *key, *text; /* text NULL: a number */
    uint64_t number;
};
struct bench_value {
    const char *key;    /* with its unit: gb_per_s, read_ratio */
    const char *column; /* the same for people: "GB/s", "of read" */
    int decimals;
    struct bench_stat stat;
};
struct bench_row {
    const char *event; /* "kernel_decode" */
    const char *name;  /* for people */
    struct bench_label label[BENCH_LABELS_MAX];
    struct bench_value value[BENCH_VALUES_MAX];
    size_t labels, values;
};

struct bench {
    const struct kernel *kernel;
    int type;                /* enum tensor_type: kernels and decode of this one only; -1: all */
    const char *datagram_ns; /* virtual: what datagrams cost (bench_datagram.h); NULL: is measured */
    bool quick;              /* small and short: shows that everything works, measures little */
    uint32_t cores;          /* of this machine, for this process */
    size_t buffer_bytes;     /* what is read from memory: far larger than the last level of cache */
    bool is_json;
    bool shows_progress;
    struct json json;
    const char *columns; /* of the table being printed */
    uint64_t rows, skipped;
};

void bench_label_text(struct bench_row *row, const char *key, const char *text);
void bench_label_number(struct bench_row *row, const char *key, uint64_t number);
void bench_value(struct bench_row *row, const char *key, const char *column, int decimals, struct bench_stat stat);

/* Begin a table: a heading, for people only. */
void bench_heading(struct bench *bench, const char *text);
void bench_print(struct bench *bench, const struct bench_row *row);

/* A part that cannot be measured here: an event "skipped" with part and reason, or a line. */
void bench_skip(struct bench *bench, const char *part, const char *reason);

/* What is being done now, on stderr, when that is a terminal. bench_print ends it. */
void bench_progress(struct bench *bench, const char *text);

/* True if this much memory is available; otherwise the part is skipped with a message. */
bool bench_has_memory(struct bench *bench, const char *part, uint64_t bytes);

/* The parts. 0, or -1 with fail set when something that has to work does not. */
int bench_kernels(struct bench *bench, struct fail *fail);
int bench_load(struct bench *bench, struct fail *fail);
int bench_decode(struct bench *bench, struct fail *fail);
int bench_mesh(struct bench *bench, struct fail *fail);
int bench_topology(struct bench *bench, struct fail *fail);
int bench_virtual(struct bench *bench, struct fail *fail);
int bench_burst(struct bench *bench, struct fail *fail);
int bench_exchange(struct bench *bench, struct fail *fail);
int bench_gather(struct bench *bench, struct fail *fail);
int bench_udp(struct bench *bench, struct fail *fail);
int bench_seal(struct bench *bench, struct fail *fail);
int bench_train(struct bench *bench, struct fail *fail);
int bench_flood(struct bench *bench, struct fail *fail);
int bench_failover(struct bench *bench, struct fail *fail);
int bench_change(struct bench *bench, struct fail *fail);
int bench_reload(struct bench *bench, const char *name, const char *path, struct fail *fail); /* of one model */
int bench_telemetry(struct bench *bench, struct fail *fail);
int bench_record(struct bench *bench, struct fail *fail);
int bench_multicast(struct bench *bench, struct fail *fail);

#endif
