/* The command `mesh-node bench`: which parts, and how. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "mesh/program/options.h"
#include "node/bench/bench.h"
#include "node/bench/bench_memory.h"
#include "node/common/pool.h"

enum {
    BUFFER_BYTES_MIN = 512 << 20,
    BUFFER_BYTES_QUICK = 64 << 20,
    CACHES = 3 /* the buffer is this many times the size of the last-level cache */
};

#define PART_NAMES_FIRST "kernels|decode|load|mesh|topology|virtual|train"
#define PART_NAMES_LAST  "flood|failover|change|telemetry|record|multicast|all"
#define PART_NAMES       PART_NAMES_FIRST "|" PART_NAMES_LAST

struct bench_arguments {
    bool quick, json, help;
    const char *kernel, *type, *datagram_ns;
};

static size_t buffer_bytes(bool quick)
{
    size_t bytes = CACHES * bench_memory_cache_bytes();

    if (quick)
        return BUFFER_BYTES_QUICK;
    return bytes < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : bytes / BENCH_CHUNK_BYTES * BENCH_CHUNK_BYTES;
}

static int parse(struct bench_arguments *a, const char **part, int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node bench [PART] [options]",
                                        "Measure this machine: kernels and decode beside plain reads, meshes, clusters in trouble.",
                                        "PART: " PART_NAMES_FIRST, "or PART: " PART_NAMES_LAST, NULL};
    static const char *const examples[] = {"mesh-node bench", "mesh-node bench kernels --kernel avx2", "mesh-node bench all --json", NULL};
    const struct option_spec specs[] = {
        {.name = "quick",
         .short_name = 'q',
         .kind = OPTION_FLAG,
         .target = &a->quick,
         .help = "small and short: a try-out, not a measurement"},
        {.name = "kernel", .kind = OPTION_TEXT, .target = &a->kernel, .metavar = "NAME", .help = "instruction set to use (the fastest)"},
        {.name = "type",
         .kind = OPTION_TEXT,
         .target = &a->type,
         .metavar = "TYPE",
         .help = "kernels and decode of this tensor type only (all)"},
        {.name = "datagram-ns",
         .kind = OPTION_TEXT,
         .target = &a->datagram_ns,
         .metavar = "LIST",
         .help = "virtual: processor time of datagrams, five numbers (measured)"},
        {.name = "json", .kind = OPTION_FLAG, .target = &a->json, .help = "one object per row"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &a->help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    struct options_operands operands = {.metavar = PART_NAMES, .min = 0, .max = 1, .values = part};

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (a->help)
        options_help(stdout, usage, specs, count, examples);
    return 0;
}

static const struct part {
    const char *name;
    int (*measure[6])(struct bench *, struct fail *); /* one after another */
} parts[] = {
    {"kernels", {bench_kernels}},     {"decode", {bench_decode}},
    {"load", {bench_load}},           {"mesh", {bench_udp, bench_burst, bench_exchange, bench_gather, bench_seal, bench_mesh}},
    {"topology", {bench_topology}},   {"virtual", {bench_virtual}},
    {"train", {bench_train}},         {"flood", {bench_flood}},
    {"failover", {bench_failover}},   {"change", {bench_change}},
    {"telemetry", {bench_telemetry}}, {"record", {bench_record}},
    {"multicast", {bench_multicast}},
};
enum { PARTS = sizeof parts / sizeof *parts };

static bool is_wanted(const char *name, const struct part *part)
{
    return strcmp(name, "all") == 0 || strcmp(name, part->name) == 0;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < PARTS; i++)
        if (is_wanted(name, &parts[i]))
            return true;
    return false;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

/* An option of other parts than this one would be without effect. */
static int check_options(const struct bench_arguments *a, const char *part, struct fail *fail)
{
    static const char *const typed[] = {"all", "kernels", "decode", "load", NULL}, *const simulated[] = {"all", "virtual", NULL};

    if (a->type != NULL && !is_one_of(part, typed))
        return fail_set(fail, EXIT_USAGE, "bench %s: --type is for kernels, decode and load: leave it out", part);
    if (a->datagram_ns != NULL && !is_one_of(part, simulated))
        return fail_set(fail, EXIT_USAGE, "bench %s: --datagram-ns is for virtual: leave it out", part);
    return 0;
}

static int run_parts(struct bench *bench, const char *name, struct fail *fail)
{
    for (const struct part *part = parts; part < parts + PARTS; part++)
        for (size_t i = 0; is_wanted(name, part) && i < sizeof part->measure / sizeof *part->measure && part->measure[i] != NULL; i++)
            if (part->measure[i](bench, fail) < 0)
                return -1;
    if (bench->rows == 0 && bench->skipped > 0)
        return fail_set(fail, EXIT_SKIPPED, "bench %s: nothing was measured: stdout says why: see to that, or choose another part", name);
    return 0;
}

int bench_command(int argc, char *const *argv, struct fail *fail)
{
    struct bench_arguments arguments = {0};
    const char *part = "all";

    if (parse(&arguments, &part, argc, argv, fail) < 0)
        return -1;
    if (arguments.help)
        return 0;
    if (!is_known(part))
        return fail_set(fail, EXIT_USAGE, "bench %s: no such part: give one of " PART_NAMES, part);
    if (check_options(&arguments, part, fail) < 0)
        return -1;
    struct bench bench = {
        .kernel = kernel_option(arguments.kernel, fail),
        .type = arguments.type == NULL ? -1 : tensor_type_from_name(arguments.type),
        .datagram_ns = arguments.datagram_ns,
        .quick = arguments.quick,
        .cores = pool_cores(),
        .buffer_bytes = buffer_bytes(arguments.quick),
        .is_json = arguments.json,
        .shows_progress = isatty(STDERR_FILENO) == 1,
    };
    if (bench.kernel == NULL)
        return -1;
    if (arguments.type != NULL && bench.type < 0)
        return fail_set(fail, EXIT_USAGE, "--type %s: no such type: give one of %s", arguments.type, TENSOR_TYPE_NAMES);
    kernel_thread_init();
    json_init(&bench.json, stdout);
    return run_parts(&bench, part, fail);
}
