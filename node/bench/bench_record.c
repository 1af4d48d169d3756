/* What --record costs: a cluster whose nodes record, alternating with one whose nodes do not; and how fast a core replays what one of them
 * has recorded.
 *
 * Tokens per second say little on a busy machine, so the processor time of the recorder's thread and the cost of one call are given, too.
 * Of two clusters the one started first gets the better memory pages, an effect as large as the one measured: so all is measured in both
 * orders, and the ratio is their geometric mean. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_model.h"
#include "bench_record_calls.h"

#ifdef MESH_HAVE_TRACE
#include "mesh/recording.h"
#include "mesh/rerun.h"

enum {
    NODES = 3,
    RUNS = 8 /* in each order */,
    RUNS_QUICK = 1,
    CALL_RUNS = 5,
    TOKENS = 96,
    TOKENS_SMALL = 400,
    TOKENS_QUICK = 32,
    SETTLE_US = 700000
};

enum order { PLAIN_FIRST, RECORDING_FIRST, ORDERS }; /* in which the clusters are started */

struct sides {
    struct bench_series tok_per_s[ORDERS][2];                                                     /* [1]: recording */
    struct bench_series thread_ms_per_s, thread_us_per_token, bytes_per_token, entries_per_token; /* of one node */
    double lost;
};

struct looked {
    uint64_t thread_ns, at_ns;
    double bytes, entries, lost;
};

static int look(struct bench_cluster *cluster, struct looked *looked, struct fail *fail)
{
    static char text[BENCH_STATUS_BYTES];

    if (bench_cluster_status(cluster, 1, text, fail) < 0)
        return -1;
    looked->bytes = bench_cluster_number(text, "bytes");
    looked->entries = bench_cluster_number(text, "entries");
    looked->lost = bench_cluster_number(text, "entries_lost") + bench_cluster_number(text, "payloads_left_out");
    looked->thread_ns = bench_cluster_thread_ns(cluster, 1, "recorder");
    looked->at_ns = mesh_udp_now_ns();
    return 0;
}

static int measure_run(struct bench_cluster *cluster, enum order order, bool records, uint32_t tokens, struct sides *sides,
                       struct fail *fail)
{
    struct bench_generation generation = {0};
    struct looked before = {0}, after = {0};

    for (int tries = 0; tries < BENCH_TRIES && !bench_generation_has_speed(&generation); tries++) {
        generation = (struct bench_generation){.tokens = tokens};
        if ((records && look(cluster, &before, fail) < 0) || bench_cluster_generate(cluster, 0, &generation, fail) < 0 ||
            (records && (usleep(SETTLE_US), look(cluster, &after, fail)) < 0)) /* when everything is stored */
            return -1;
    }
    if (!bench_generation_has_speed(&generation))
        return bench_generation_fail(fail);
    const double seconds = (double)(generation.last_ns - generation.first_ns) / 1e9;
    bench_add(&sides->tok_per_s[order][records], bench_generation_tok_per_s(&generation));
    if (!records)
        return 0;
    bench_add(&sides->thread_ms_per_s, (double)(after.thread_ns - before.thread_ns) / 1e6 / seconds);
    bench_add(&sides->thread_us_per_token, (double)(after.thread_ns - before.thread_ns) / 1e3 / generation.count);
    bench_add(&sides->bytes_per_token, (after.bytes - before.bytes) / generation.count);
    bench_add(&sides->entries_per_token, (after.entries - before.entries) / generation.count);
    sides->lost += after.lost - before.lost;
    return 0;
}

static struct bench_stat of_both_orders(const struct bench_series *first, const struct bench_series *second)
{
    struct bench_series all = *first;

    for (size_t i = 0; i < second->count; i++)
        bench_add(&all, second->value[i]);
    return bench_stat_of(&all);
}

/* The advantage of being first is in one of them and, inverted, in the other. */
static struct bench_stat ratio_of_both_orders(const struct sides *sides)
{
    const struct bench_stat one = bench_ratio_bounds(&sides->tok_per_s[PLAIN_FIRST][1], &sides->tok_per_s[PLAIN_FIRST][0]);
    const struct bench_stat other = bench_ratio_bounds(&sides->tok_per_s[RECORDING_FIRST][1], &sides->tok_per_s[RECORDING_FIRST][0]);

    return (struct bench_stat){.median = sqrt(one.median * other.median),
                               .min = sqrt(one.min * other.min),
                               .max = sqrt(one.max * other.max),
                               .runs = one.runs + other.runs};
}

static void print(struct bench *bench, const struct bench_shape *shape, uint16_t nodes, bool with_payloads, const struct sides *sides)
{
    char name[64];
    struct bench_row row = {.event = "record", .name = name};

    snprintf(name, sizeof name, "%s, %u nodes, %s payloads", shape->name, nodes, with_payloads ? "with" : "without");
    bench_label_text(&row, "model", shape->name);
    bench_label_text(&row, "payloads", with_payloads ? "all" : "none");
    bench_label_number(&row, "nodes", nodes);
    bench_label_number(&row, "processors", bench->cores);
    bench_label_number(&row, "lost", (uint64_t)sides->lost);
    bench_value(&row, "plain_tok_per_s", "tok/s without recording", 1,
                of_both_orders(&sides->tok_per_s[PLAIN_FIRST][0], &sides->tok_per_s[RECORDING_FIRST][0]));
    bench_value(&row, "plain_ratio", "of that with it", 3, ratio_of_both_orders(sides));
    bench_value(&row, "recorder_ms_per_s", "ms/s of a recorder's thread", 2, bench_stat_of(&sides->thread_ms_per_s));
    bench_value(&row, "recorder_us_per_token", "us of it per token", 0, bench_stat_of(&sides->thread_us_per_token));
    bench_value(&row, "bytes_per_token", "bytes per token and node", 0, bench_stat_of(&sides->bytes_per_token));
    bench_value(&row, "entries_per_token", "entries", 0, bench_stat_of(&sides->entries_per_token));
    bench_print(bench, &row);
}

static void remove_traces(const char *folder)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[300];

    for (unsigned i = 0; i < NODES; i++)
        for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
            snprintf(path, sizeof path, "%s/%u.db%s", folder, i, ends[e]);
            unlink(path);
        }
}

/* ---- running it again ---- */

struct again {
    uint64_t calls, datagrams, span_ns, took_ns;
    bool differs;
};

static int run_chunk(struct mesh_rerun *rerun, const struct mesh_trace_chunk *chunk, const uint8_t *records, struct again *again)
{
    const uint64_t begin_ns = mesh_udp_now_ns();
    struct mesh_tape_entry call;
    size_t used;
    int err = 0;

    for (size_t at = 0; at < chunk->bytes && err == 0; at += used) {
        err = mesh_tape_decode(records + at, chunk->bytes - at, &call, &used);
        err = err != 0 ? err : mesh_rerun_feed(rerun, &call);
    }
    again->took_ns += mesh_udp_now_ns() - begin_ns;
    again->differs |= err == 1;
    return err;
}

/* The endpoints of a trace; a killed node's trace may end anywhere. */
static int run_again(struct mesh_trace *trace, struct mesh_rerun *rerun, uint8_t *records, struct again *again)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_rerun_stats stats;
    struct mesh_trace_chunk chunk;
    int err = mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor);

    if (err != 0)
        return err;
    while (err == 0 && (err = mesh_trace_next(cursor, &chunk)) == 1) {
        err = 0;
        if (chunk.core != MESH_TRACE_CORE_MESH || chunk.bytes > MESH_TRACE_BLOB_BYTES_MAX)
            continue;
        err = mesh_trace_get_chunk(trace, &chunk, records);
        err = err != 0 ? err : run_chunk(rerun, &chunk, records, again);
    }
    mesh_trace_end(cursor);
    mesh_rerun_get_stats(rerun, &stats);
    again->calls = stats.entries;
    again->datagrams = stats.datagrams_in + stats.datagrams_out;
    again->span_ns = stats.last_ns - stats.first_ns;
    return err;
}

static struct bench_stat once(double value)
{
    struct bench_series series = {0};

    bench_add(&series, value);
    return bench_stat_of(&series);
}

static void print_again(struct bench *bench, bool with_payloads, const struct again *again)
{
    struct bench_row row = {.event = "record_verify", .name = with_payloads ? "run again, with payloads" : "run again, without payloads"};
    const double seconds = (double)again->took_ns / 1e9;

    bench_label_text(&row, "payloads", with_payloads ? "all" : "none");
    bench_label_text(&row, "outcome", again->differs ? "different" : "same");
    bench_value(&row, "datagrams_per_s", "datagrams/s", 0, once((double)again->datagrams / seconds));
    bench_value(&row, "calls_per_s", "calls/s", 0, once((double)again->calls / seconds));
    bench_value(&row, "real_time_ratio", "times real time, requests and pauses between", 0, once((double)again->span_ns / 1e9 / seconds));
    bench_print(bench, &row);
}

static int measure_again(struct bench *bench, const char *folder, bool with_payloads, struct fail *fail)
{
    char path[300], reason[MESH_TRACE_REASON_BYTES];
    uint8_t *records = malloc(MESH_TRACE_BLOB_BYTES_MAX);
    struct mesh_rerun *rerun = NULL;
    struct mesh_trace *trace = NULL;
    struct again again = {0};
    int err;

    snprintf(path, sizeof path, "%s/1.db", folder);
    if (records == NULL || mesh_rerun_open(&rerun, NULL) != 0)
        err = fail_set(fail, EXIT_ENVIRONMENT, "bench: no memory to run a recording again: close other programs");
    else if (mesh_trace_open(&trace, path, reason) != 0)
        err = fail_set(fail, EXIT_ENVIRONMENT, "bench: %s: %s", path, reason);
    else if (run_again(trace, rerun, records, &again) < 0)
        err = fail_set(fail, EXIT_ENVIRONMENT, "bench: %s: cannot be run again: see mesh-replay verify", path);
    else
        err = 0;
    mesh_trace_close(trace);
    mesh_rerun_close(rerun);
    free(records);
    if (err == 0)
        print_again(bench, with_payloads, &again);
    return err;
}

/* ---- all of it ---- */

struct recorded {
    const struct bench_shape *shape;
    const char *model, *folder;
    uint32_t tokens;
};

static int measure_calls(struct bench *bench, const struct recorded *of, struct fail *fail)
{
    char path[300], scratch[300];

    snprintf(path, sizeof path, "%s/1.db", of->folder);
    snprintf(scratch, sizeof scratch, "%s/calls.db", of->folder);
    return bench_record_calls(bench, of->shape->name, path, scratch, bench->quick ? RUNS_QUICK : CALL_RUNS, fail);
}

static int start(struct bench *bench, const struct recorded *of, uint16_t nodes, bool with_payloads, enum order order,
                 struct bench_cluster clusters[2], struct fail *fail)
{
    int err = 0;

    for (int i = 0; i < 2 && err == 0; i++) {
        const bool records = (i != 0) == (order == PLAIN_FIRST);

        err = records ? bench_cluster_start_recording(&clusters[1], of->model, bench->kernel->name, nodes, of->folder, with_payloads, fail)
                      : bench_cluster_start_apart(&clusters[0], of->model, bench->kernel->name, NULL, nodes, fail);
    }
    return err;
}

static int measure_order(struct bench *bench, const struct recorded *of, uint16_t nodes, bool with_payloads, enum order order,
                         struct sides *sides, struct fail *fail)
{
    const int runs = bench->quick ? RUNS_QUICK : RUNS;
    struct bench_cluster clusters[2] = {{.key_file = -1}, {.key_file = -1}}; /* [1]: recording */
    int err;

    remove_traces(of->folder);
    err = start(bench, of, nodes, with_payloads, order, clusters, fail);
    for (int r = 0; r < 2 * runs && err == 0; r++) { /* alternating which is first */
        const bool records = (r / 2 + r) % 2 != 0;

        err = measure_run(&clusters[records], order, records, bench->quick ? TOKENS_QUICK : of->tokens, sides, fail);
    }
    bench_cluster_stop(&clusters[1]);
    bench_cluster_stop(&clusters[0]);
    return err;
}

static int measure(struct bench *bench, const struct recorded *of, uint16_t nodes, bool with_payloads, struct fail *fail)
{
    struct sides sides = {0};
    int err = 0;

    for (enum order order = 0; order < ORDERS && err == 0; order++)
        err = measure_order(bench, of, nodes, with_payloads, order, &sides, fail);
    if (err == 0)
        print(bench, of->shape, nodes, with_payloads, &sides);
    if (err == 0 && nodes == NODES)
        err = measure_again(bench, of->folder, with_payloads, fail);
    if (err == 0 && nodes == 2 && with_payloads)
        err = measure_calls(bench, of, fail);
    remove_traces(of->folder);
    return err;
}

/* Clusters of 2 to `most` nodes. */
static int measure_model(struct bench *bench, const struct bench_shape *shape, uint16_t most, const char *folder, struct fail *fail)
{
    const enum tensor_type type = bench->quick ? TYPE_Q8_0 : TYPE_Q4_0;
    const uint32_t tokens = shape == &bench_shape_1b ? TOKENS : TOKENS_SMALL; /* a second or more */
    struct bench_model model;
    char part[64];
    int err = 0;

    snprintf(part, sizeof part, "record %s", shape->name);
    if (!bench_has_memory(bench, part, (1 + 2 * (size_t)most) * bench_model_bytes(shape, type) + (1200u << 20)))
        return 0;
    if (bench_model_write(&model, shape, type, fail) < 0)
        return -1;
    for (int payloads = 0; payloads < 2; payloads++)
        for (uint16_t nodes = 2; nodes <= most && err == 0; nodes++)
            err = measure(bench, &(struct recorded){shape, model.path, folder, tokens}, nodes, payloads != 0, fail);
    bench_model_close(&model);
    return err;
}

int bench_record(struct bench *bench, struct fail *fail)
{
    const char *place = getenv("TMPDIR");
    char folder[200];
    int err = 0;

    bench_heading(bench, "record: nodes that generate and record, in turns with as many that do not");
    bench_progress(bench, "a cluster that records");
    snprintf(folder, sizeof folder, "%.150s/mesh-bench.XXXXXX", place != NULL && place[0] != '\0' ? place : "/tmp");
    if (mkdtemp(folder) == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: %s: no folder can be made there: set TMPDIR to another one", folder);
    err = measure_model(bench, bench->quick ? &bench_shape_small : &bench_shape_110m, NODES, folder, fail);
    if (err == 0 && !bench->quick)
        err = measure_model(bench, &bench_shape_1b, 2, folder, fail);
    rmdir(folder);
    return err;
}

#else

int bench_record(struct bench *bench, struct fail *fail)
{
    (void)fail;
    bench_skip(bench, "record", "built without sqlite3, zstd or xxhash");
    return 0;
}

#endif
