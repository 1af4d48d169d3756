/* The cost of decoding: bin/mesh-dissect reads a made capture in memory and writes to /dev/null; for each kind of line, filter and analysis
 * the datagrams per second of CPU time (median of several runs, alternating), and the maximum resident memory.
 *
 * usage: dissect-bench MESH-DISSECT [DATAGRAMS [RUNS]]      (600000 5) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capture_case.h"

enum { RANKS = 3, PHASES = 64, DATA_BYTES = 200, RUNS_MAX = 99, DATAGRAM_NS = 2000 };

/* ---- a capture of three unsealed nodes, of which one tile in a hundred is lost before it ---- */

struct made {
    FILE *out;
    uint64_t count, wanted; /* datagrams */
    uint64_t step, numbers[RANKS], peer_numbers[RANKS][RANKS], lost[RANKS][RANKS];
    uint16_t phase;
    uint32_t seed;
};

static struct capture_case capture;

static uint32_t draw(struct made *made)
{
    made->seed = made->seed * 1664525u + 1013904223u;
    return made->seed >> 8;
}

static void give(struct made *made, struct mesh_message *message, unsigned src, unsigned dst)
{
    static uint8_t packet[2000];

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.src = (uint16_t)src;
    message->header.epoch = 1;
    message->header.have_step = made->step > 0 ? made->step - 1 : MESH_STEP_NONE;
    message->header.have_phase = made->step > 0 ? PHASES - 1 : 0;
    capture_case_datagram(&capture, (uint8_t)(1 + src), (uint8_t)(1 + dst), packet, mesh_wire_encode(message, packet, sizeof packet));
    capture.ts_ns -= 1000000 - DATAGRAM_NS; /* the helper adds a millisecond */
    fwrite(capture.bytes, 1, capture.size, made->out);
    capture.size = 0;
    made->count++;
}

static struct mesh_message tile_of(const struct made *made, unsigned src, uint16_t flags)
{
    static const uint8_t data[DATA_BYTES];
    struct mesh_message message = {.header = {.type = MESH_TYPE_TILE, .flags = flags}, .data = data, .data_bytes = DATA_BYTES};

    message.header.dst = flags & MESH_FLAG_ALL ? MESH_DST_ALL : 0;
    message.as.tile = (struct mesh_tile){made->step, made->count * DATAGRAM_NS, made->phase, 0, 1, (uint16_t)(8 * src), 8};
    return message;
}

static void repair(struct made *made, unsigned src, unsigned dst)
{
    struct mesh_message nak = {.header = {.type = MESH_TYPE_NAK, .dst = (uint16_t)src, .number = ++made->peer_numbers[dst][src]}};
    struct mesh_message again = tile_of(made, src, MESH_FLAG_RESEND);

    nak.as.nak = (struct mesh_nak){made->step, made->phase, 1};
    nak.ranges[0] = (struct mesh_range){0, 1, (uint16_t)(8 * src), 8};
    give(made, &nak, dst, src);
    again.header.dst = (uint16_t)dst;
    again.header.number = ++made->peer_numbers[src][dst];
    give(made, &again, src, dst);
    made->lost[src][dst]++;
}

static void report(struct made *made, unsigned src, unsigned dst)
{
    struct mesh_message status = {.header = {.type = MESH_TYPE_STATUS, .dst = (uint16_t)dst, .number = ++made->peer_numbers[src][dst]}};

    status.as.status = (struct mesh_status){made->numbers[dst], made->peer_numbers[dst][src], 1 << 20, made->lost[dst][src]};
    give(made, &status, src, dst);
}

static void make_phase(struct made *made)
{
    bool is_lost[RANKS][RANKS] = {{false}};

    for (unsigned src = 0; src < RANKS; src++) {
        struct mesh_message tile = tile_of(made, src, MESH_FLAG_ALL);

        tile.header.number = ++made->numbers[src];
        for (unsigned dst = 0; dst < RANKS; dst++) {
            is_lost[src][dst] = src != dst && draw(made) % 100 == 0;
            if (src != dst && !is_lost[src][dst])
                give(made, &tile, src, dst);
        }
    }
    for (unsigned pair = 0; pair < RANKS * RANKS; pair++)
        if (is_lost[pair / RANKS][pair % RANKS])
            repair(made, pair / RANKS, pair % RANKS);
    for (unsigned pair = 0; made->phase % 16 == 15 && pair < RANKS * RANKS; pair++)
        if (pair / RANKS != pair % RANKS)
            report(made, pair / RANKS, pair % RANKS);
    made->phase = (uint16_t)((made->phase + 1) % PHASES);
    made->step += made->phase == 0;
}

static uint64_t make_capture(FILE *out, uint64_t wanted)
{
    struct made made = {.out = out, .seed = 1};

    capture_case_start(&capture, 1);
    while (made.count < wanted)
        make_phase(&made);
    return fflush(out) == 0 && !ferror(out) ? made.count : 0;
}

/* ---- runs ---- */

struct kind {
    const char *name, *options[3];
    double per_s[RUNS_MAX];
    long resident_kb;
};

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static int run_once(struct kind *kind, const char *program, const char *path, uint64_t datagrams, unsigned run)
{
    struct rusage usage;
    int status = 0;
    const pid_t child = fork();

    if (child < 0)
        return -1;
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL)
            execl(program, program, "-r", path, kind->options[0], kind->options[1], (char *)NULL);
        _exit(127);
    }
    if (wait4(child, &status, 0, &usage) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -1;
    kind->per_s[run] = (double)datagrams / (seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    if (usage.ru_maxrss > kind->resident_kb)
        kind->resident_kb = usage.ru_maxrss;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static int bench(const char *program, const char *path, uint64_t datagrams, unsigned runs)
{
    static struct kind kinds[] = {{.name = "lines"},
                                  {.name = "lines through a display filter", .options = {"-Y", "tile.phase in {3, 17} && peer.src == 2"}},
                                  {.name = "objects (--json)", .options = {"--json"}},
                                  {.name = "analysis", .options = {"--analyze"}}};
    const size_t count = sizeof kinds / sizeof *kinds;

    for (unsigned run = 0; run < runs; run++)
        for (size_t i = 0; i < count; i++)
            if (run_once(&kinds[i], program, path, datagrams, run) < 0)
                return -1;
    printf("mesh-dissect, %lu datagrams of a capture in memory, per second of CPU time:\n", (unsigned long)datagrams);
    for (size_t i = 0; i < count; i++) {
        qsort(kinds[i].per_s, runs, sizeof *kinds[i].per_s, by_value);
        printf("  %-31s %6.2f million (%.2f-%.2f), %.1f MB\n", kinds[i].name, kinds[i].per_s[runs / 2] / 1e6, kinds[i].per_s[0] / 1e6,
               kinds[i].per_s[runs - 1] / 1e6, (double)kinds[i].resident_kb * 1024 / 1e6);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 600000;
    const unsigned long runs = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    uint64_t datagrams;
    char path[32];
    FILE *out;
    int file;

    if (argc < 2 || wanted < 1 || wanted > 10000000 || runs < 1 || runs > RUNS_MAX) {
        fputs("usage: dissect-bench MESH-DISSECT [DATAGRAMS [RUNS]]\n", stderr);
        return 2;
    }
    file = memfd_create("capture", 0);
    out = file >= 0 ? fdopen(file, "w") : NULL;
    datagrams = out ? make_capture(out, wanted) : 0;
    snprintf(path, sizeof path, "/dev/fd/%d", file);
    if (datagrams == 0 || bench(argv[1], path, datagrams, (unsigned)runs) < 0) {
        perror("dissect-bench");
        return 4;
    }
    fclose(out);
    return 0;
}
