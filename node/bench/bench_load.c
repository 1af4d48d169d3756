/* Loading: from the start of `mesh-node run` to its first token, alternating with reading as many bytes of the same file, and the memory of
 * its nodes compared with that predicted by `plan`.
 *
 * The plain reads use as many threads and go into new memory, since a node needs some for its rows; and, for comparison, through small
 * buffers that are reused. Each is done with the file in memory, and with the file only on disk if the system drops it from memory; and
 * always right after as much memory as the nodes need was allocated and freed. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_model.h"
#include "bench_run.h"
#include "mesh/udp.h"
#include "node/common/pages.h"
#include "node/common/pool.h"
#include "node/common/read_cached.h"
#include "node/engine/plan.h"
#include "node/run/run_options.h"

enum { RUNS = 9, TOKENS = 8, CONTEXT = 512, PIECE_BYTES = 1 << 20, LINE_BYTES = 4096, CORES = 2 };

struct load {
    struct bench *bench;
    const char *shape, *type;
    struct bench_model file;
    uint32_t nodes, threads;
    uint64_t weight_bytes, planned_bytes; /* of all nodes */
    bool is_cold;
    struct bench_series token_ms, read_ms, small_ms, resident_mb, peak_mb, planned_mb;
};

/* ---- plain reads ---- */

struct reading {
    int file;
    uint8_t *into; /* NULL: small buffers */
    uint64_t bytes;
    _Atomic uint64_t next;
    _Atomic bool failed;
};

static void read_pieces(void *app, uint16_t index)
{
    struct reading *reading = app;
    uint8_t *buffer = malloc(PIECE_BYTES);
    uint64_t at;

    (void)index;
    while ((at = atomic_fetch_add(&reading->next, PIECE_BYTES)) < reading->bytes) {
        const uint64_t left = reading->bytes - at, size = left < PIECE_BYTES ? left : PIECE_BYTES;

        if (buffer == NULL || pread(reading->file, reading->into != NULL ? reading->into + at : buffer, size, (off_t)at) != (ssize_t)size)
            atomic_store(&reading->failed, true);
    }
    free(buffer);
}

static int read_plainly(const struct load *l, bool is_small, double *ms, struct fail *fail)
{
    struct reading reading = {.file = l->file.file, .bytes = l->weight_bytes};
    const uint64_t begin_ns = mesh_udp_now_ns();

    if (!is_small) {
        reading.into = pages_huge(l->weight_bytes);
        if (reading.into == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes: close other programs", (size_t)l->weight_bytes);
    }
    struct pool *pool = pool_start((uint16_t)(l->nodes * l->threads), read_pieces, &reading, fail);
    pool_join(pool);
    *ms = (double)(mesh_udp_now_ns() - begin_ns) / 1e6;
    if (!is_small)
        pages_release(reading.into, l->weight_bytes);
    if (fail->text[0] == '\0' && atomic_load(&reading.failed))
        fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be read: set TMPDIR to another folder", l->file.path);
    return fail->text[0] == '\0' ? 0 : -1;
}

/* ---- runs ---- */

/* The kilobytes after a word of /proc/PID/status, in MB. */
static double memory_mb(pid_t pid, const char *word)
{
    char name[40], line[256];
    double kilobytes = 0;

    snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
    FILE *file = fopen(name, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, word, strlen(word)) == 0 && line[strlen(word)] == ':')
            kilobytes = strtod(line + strlen(word) + 1, NULL);
    if (file != NULL)
        fclose(file);
    return kilobytes * 1024 / 1e6;
}

/* Of the process and its children, which are the other nodes. */
static double memory_of_nodes_mb(pid_t pid, const char *word)
{
    char name[64], line[256] = "";
    double sum = memory_mb(pid, word);

    snprintf(name, sizeof name, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(name, "r");
    if (file != NULL && fgets(line, sizeof line, file) != NULL)
        for (char *at = line, *end; (pid = (pid_t)strtol(at, &end, 10)) > 0; at = end)
            sum += memory_mb(pid, word);
    if (file != NULL)
        fclose(file);
    return sum;
}

static bool await_token(int output)
{
    char text[LINE_BYTES];
    size_t size = 0;
    ssize_t got;

    while (size + 1 < sizeof text && (got = read(output, text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
        text[size] = '\0';
        if (strstr(text, "\"event\":\"token\"") != NULL)
            return true;
    }
    return false;
}

static int run_nodes(struct load *l, double *ms, struct fail *fail)
{
    const struct bench_run run = {.nodes = l->nodes, .threads = l->threads, .tokens = TOKENS};
    struct bench_process process;
    const uint64_t begin_ns = mesh_udp_now_ns();

    if (bench_run_start(l->bench, l->file.path, &run, &process, fail) < 0)
        return -1;
    const bool has_token = await_token(process.output);
    *ms = (double)(mesh_udp_now_ns() - begin_ns) / 1e6;
    const double resident_mb = memory_of_nodes_mb(process.pid, "VmRSS"), peak_mb = memory_of_nodes_mb(process.pid, "VmHWM");
    if (bench_run_end(&run, &process, fail) < 0)
        return -1;
    if (!has_token)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: mesh-node run --local %u printed no token: try that command alone", l->nodes);
    bench_add(&l->resident_mb, resident_mb);
    bench_add(&l->peak_mb, peak_mb);
    bench_add(&l->planned_mb, (double)l->planned_bytes / 1e6);
    return 0;
}

/* ---- the file in memory, or not ---- */

/* The host of a virtual machine may have taken pages that were unused for some seconds, and getting them back takes longer than all that is
 * measured. So this leaves the system with as many free pages of its own as are needed. */
static void warm_memory(uint64_t bytes)
{
    void *memory = pages_huge(bytes);

    if (memory == NULL)
        return;
    pages_have(memory, bytes);
    pages_release(memory, bytes);
}

/* Have the whole file in memory, or drop it. */
static void prepare(const struct load *l)
{
    char buffer[1 << 16];

    warm_memory(l->planned_bytes);
    if (l->is_cold) {
        posix_fadvise(l->file.file, 0, 0, POSIX_FADV_DONTNEED);
        return;
    }
    for (off_t at = 0; pread(l->file.file, buffer, sizeof buffer, at) > 0; at += (off_t)sizeof buffer)
        continue;
}

/* True if the system does drop it. */
static bool can_be_cold(const struct load *l)
{
    char byte;

    if (fdatasync(l->file.file) != 0)
        return false;
    posix_fadvise(l->file.file, 0, 0, POSIX_FADV_DONTNEED);
    return read_cached(l->file.file, &byte, 1, l->file.bytes / 2) < 0;
}

/* ---- rows ---- */

static void print(struct load *l)
{
    char name[64];
    struct bench_row row = {.event = "load", .name = name};
    struct bench_row memory = {.event = "load_memory", .name = name};

    snprintf(name, sizeof name, "%s %s, %u node%s, %s", l->shape, l->type, l->nodes, l->nodes == 1 ? "" : "s",
             l->is_cold ? "cold" : "warm");
    for (int i = 0; i < 2; i++) {
        struct bench_row *r = i == 0 ? &row : &memory;

        bench_label_text(r, "model", l->shape);
        bench_label_text(r, "type", l->type);
        bench_label_number(r, "nodes", l->nodes);
        bench_label_number(r, "threads", l->threads);
        bench_label_text(r, "file", l->is_cold ? "on disk" : "in memory");
    }
    bench_value(&row, "first_token_ms", "ms to the first token", 0, bench_stat_of(&l->token_ms));
    bench_value(&row, "read_ms", "ms to read the rows", 0, bench_stat_of(&l->read_ms));
    bench_value(&row, "read_ratio", "of that", 2, bench_ratio_of(&l->token_ms, &l->read_ms));
    bench_value(&row, "read_small_ms", "ms through small buffers", 0, bench_stat_of(&l->small_ms));
    bench_value(&memory, "resident_mb", "MB resident", 0, bench_stat_of(&l->resident_mb));
    bench_value(&memory, "peak_mb", "MB peak", 0, bench_stat_of(&l->peak_mb));
    bench_value(&memory, "planned_mb", "MB planned", 0, bench_stat_of(&l->planned_mb));
    bench_value(&memory, "planned_ratio", "of that", 3, bench_ratio_of(&l->peak_mb, &l->planned_mb));
    bench_print(l->bench, &row);
    bench_print(l->bench, &memory);
}

/* What the nodes will hold. Afterwards the file is no longer mapped, so that the system can drop it. */
static int make_plan(struct load *l, struct fail *fail)
{
    static struct plan plan;
    const uint32_t shares[MESH_RANKS_MAX] = {1, 1};
    struct gguf *gguf = gguf_open(l->file.path, fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, fail);
    int err = -1;

    plan = (struct plan){
        .model = model, .ctx = CONTEXT, .batch = RUN_BATCH_DEFAULT, .threads = (uint16_t)l->threads, .slots = 1, .kv_type = KV_F16};
    if (model != NULL && rowmap_init(&plan.map, model, shares, (uint16_t)l->nodes, fail) == 0)
        err = plan_make(&plan, fail);
    l->weight_bytes = l->planned_bytes = 0;
    for (uint32_t r = 0; err == 0 && r < l->nodes; r++) {
        const struct engine_memory *memory = &plan.node[r].memory;

        l->weight_bytes += memory->weight_bytes;
        l->planned_bytes += memory->weight_bytes + memory->kv_bytes + memory->buffer_bytes;
    }
    if (l->weight_bytes > l->file.bytes)
        l->weight_bytes = l->file.bytes; /* short rows are padded */
    model_close(model);
    gguf_close(gguf);
    return err;
}

static int measure(struct load *l, uint32_t nodes, bool is_cold, struct fail *fail)
{
    double token_ms, read_ms, small_ms;

    l->nodes = nodes;
    l->threads = l->bench->cores < CORES ? 1 : CORES / nodes;
    l->is_cold = is_cold;
    l->token_ms.count = l->read_ms.count = l->small_ms.count = 0;
    l->resident_mb.count = l->peak_mb.count = l->planned_mb.count = 0;
    if (make_plan(l, fail) < 0)
        return -1;
    for (int r = 0; r < (l->bench->quick ? 1 : RUNS); r++) {
        prepare(l);
        if (run_nodes(l, &token_ms, fail) < 0)
            return -1;
        prepare(l);
        if (read_plainly(l, false, &read_ms, fail) < 0)
            return -1;
        prepare(l);
        if (read_plainly(l, true, &small_ms, fail) < 0)
            return -1;
        bench_add(&l->token_ms, token_ms);
        bench_add(&l->read_ms, read_ms);
        bench_add(&l->small_ms, small_ms);
    }
    print(l);
    return 0;
}

static int measure_all(struct load *l, struct fail *fail)
{
    const bool has_cold = can_be_cold(l);

    for (int cold = 0; cold <= (has_cold ? 1 : 0); cold++)
        for (uint32_t nodes = 1; nodes <= CORES; nodes++)
            if (measure(l, nodes, cold != 0, fail) < 0)
                return -1;
    if (!has_cold)
        bench_skip(l->bench, "load cold", "the file stays in memory: set TMPDIR to a folder on a disk");
    return 0;
}

int bench_load(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = bench->quick ? &bench_shape_small : &bench_shape_1b;
    const enum tensor_type type = bench->type >= 0 ? (enum tensor_type)bench->type : TYPE_Q8_0;
    struct load *l;

    if (!bench_has_memory(bench, "load", 2 * bench_model_bytes(shape, type) + (400u << 20)))
        return 0;
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    l->bench = bench;
    l->shape = shape->name;
    l->type = tensor_type_info(type)->name;
    bench_heading(bench,
                  "load: from the start of nodes to their first token, beside reading as many bytes plainly; memory beside the plan");
    bench_progress(bench, "load");
    int err = bench_model_write_to_disk(&l->file, shape, type, fail);
    if (err == 0)
        err = measure_all(l, fail);
    bench_model_close(&l->file);
    free(l);
    return err;
}
