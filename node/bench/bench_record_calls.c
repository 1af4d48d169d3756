/* What each recorded call costs: the calls of a recording are passed to a recorder again, with their original times.
 *
 * Processor time, unlike tokens per second, does not depend on other work of the machine. */
#include "bench_record_calls.h"

#include <stdlib.h>
#include <unistd.h>

#include "bench_cluster.h"
#include "bench_memory.h"

#ifdef MESH_HAVE_TRACE
#include "mesh/recording.h"

enum { SLICE_US = 2000, SETTLE_US = 400000, CALLS_MAX = 400000 };

struct heard {
    struct mesh_tape_entry *call; /* (count) */
    size_t count;
    uint64_t datagrams;
    uint8_t **chunk; /* (chunks) hold the bodies and payloads */
    size_t chunks;
};

static void forget(struct heard *heard)
{
    for (size_t i = 0; i < heard->chunks; i++)
        free(heard->chunk[i]);
    free(heard->chunk);
    free(heard->call);
}

static int hear_chunk(struct heard *heard, const uint8_t *records, size_t bytes)
{
    size_t used;
    int err = 0;

    for (size_t at = 0; at < bytes && err == 0 && heard->count < CALLS_MAX; at += used) {
        err = mesh_tape_decode(records + at, bytes - at, &heard->call[heard->count], &used);
        if (err == 0)
            heard->datagrams += mesh_tape_is_datagram(heard->call[heard->count++].call.kind);
    }
    return err;
}

static int hear_all(struct heard *heard, struct mesh_trace *trace)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    uint64_t rows;
    int err = mesh_trace_count(trace, MESH_TRACE_TABLE_CHUNK, &rows);

    heard->call = malloc(CALLS_MAX * sizeof *heard->call);
    heard->chunk = err == 0 ? calloc(rows + 1, sizeof *heard->chunk) : NULL;
    if (heard->call == NULL || heard->chunk == NULL)
        return MESH_ENOMEM;
    err = mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor);
    if (err != 0)
        return err;
    while (err == 0 && heard->chunks < rows && heard->count < CALLS_MAX && (err = mesh_trace_next(cursor, &chunk)) == 1) {
        err = 0;
        if (chunk.core != MESH_TRACE_CORE_MESH || chunk.bytes > MESH_TRACE_BLOB_BYTES_MAX)
            continue;
        uint8_t *records = malloc(chunk.bytes);
        heard->chunk[heard->chunks++] = records;
        err = records == NULL ? MESH_ENOMEM : mesh_trace_get_chunk(trace, &chunk, records);
        err = err != 0 ? err : hear_chunk(heard, records, chunk.bytes);
    }
    mesh_trace_end(cursor);
    return err;
}

/* In batches, so that the clock is not read for each call. Returns the caller's time. */
static uint64_t tell(const struct heard *heard, const struct mesh_tap *tap)
{
    const uint64_t begun_ns = mesh_udp_now_ns(), first_ns = heard->call[0].call.at_ns;
    uint64_t took_ns = 0;
    size_t i = 0;

    while (i < heard->count) {
        const uint64_t past_ns = mesh_udp_now_ns() - begun_ns, from_ns = bench_memory_thread_ns();

        for (; i < heard->count && heard->call[i].call.at_ns - first_ns <= past_ns; i++)
            tap->put(tap->user, &heard->call[i]);
        took_ns += bench_memory_thread_ns() - from_ns;
        usleep(SLICE_US);
    }
    return took_ns;
}

struct costs {
    struct bench_series teller_ns, writer_ns, datagram_us, bytes; /* of a call; of a datagram, teller and writer together */
};

static int measure(const struct heard *heard, const struct mesh_recording_config *config, struct costs *costs, struct fail *fail)
{
    const struct bench_cluster self = {.count = 1, .pid = {getpid()}};
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_recording *recording;
    struct mesh_recording_stats stats;
    const double calls = (double)heard->count;

    if (mesh_recording_open(&recording, config, reason) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: %s", reason);
    const uint64_t before_ns = bench_cluster_thread_ns(&self, 0, "recorder");
    const double teller_ns = (double)tell(heard, mesh_recording_endpoint_tap(recording));
    usleep(SETTLE_US);
    const double writer_ns = (double)(bench_cluster_thread_ns(&self, 0, "recorder") - before_ns);
    mesh_recording_close(recording, &stats);
    bench_add(&costs->teller_ns, teller_ns / calls);
    bench_add(&costs->writer_ns, writer_ns / calls);
    bench_add(&costs->datagram_us, (teller_ns + writer_ns) / 1000 / (double)heard->datagrams);
    bench_add(&costs->bytes, (double)stats.bytes / calls);
    return 0;
}

static struct bench_stat inverse(struct bench_stat stat, double of)
{
    return (struct bench_stat){.median = of / stat.median, .min = of / stat.max, .max = of / stat.min, .runs = stat.runs};
}

static void print(struct bench *bench, const char *model, bool keeps_all, const struct costs *costs)
{
    const struct bench_stat datagram_us = bench_stat_of(&costs->datagram_us);
    struct bench_row row = {.event = "record_call", .name = keeps_all ? "a call, with payloads" : "a call, without payloads"};

    bench_label_text(&row, "model", model);
    bench_label_text(&row, "payloads", keeps_all ? "all" : "none");
    bench_value(&row, "caller_ns", "ns of the caller's thread", 0, bench_stat_of(&costs->teller_ns));
    bench_value(&row, "recorder_ns", "ns of the recorder's", 0, bench_stat_of(&costs->writer_ns));
    bench_value(&row, "datagram_us", "us of both per datagram", 2, datagram_us);
    bench_value(&row, "datagrams_per_s_of_3_percent", "datagrams/s that take 3 % of a core", 0, inverse(datagram_us, 0.03 * 1e6));
    bench_value(&row, "bytes", "bytes", 1, bench_stat_of(&costs->bytes));
    bench_print(bench, &row);
}

int bench_record_calls(struct bench *bench, const char *model, const char *path, const char *scratch, int runs, struct fail *fail)
{
    struct mesh_recording_config config = {.path = scratch, .secret = {1}};
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace = NULL;
    struct heard heard = {0};
    int err = 0;

    if (mesh_trace_open(&trace, path, reason) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: %s: %s", path, reason);
    if (hear_all(&heard, trace) != 0 || heard.datagrams == 0)
        err = fail_set(fail, EXIT_ENVIRONMENT, "bench: %s: cannot be read, or has no datagrams: see mesh-replay info", path);
    mesh_trace_close(trace);
    for (int payloads = 0; payloads < 2 && err == 0; payloads++) {
        struct costs costs = {0};

        config.keeps_all = payloads != 0;
        for (int run = 0; run < runs && err == 0; run++) {
            err = measure(&heard, &config, &costs, fail);
            unlink(scratch);
        }
        if (err == 0)
            print(bench, model, config.keeps_all, &costs);
    }
    forget(&heard);
    return err;
}

#endif
