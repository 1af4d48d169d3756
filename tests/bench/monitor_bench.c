/* The cost of watching: the monitor's model and screens are fed with the telemetry of nodes on the network simulator, which another process
 * runs; printed are the CPU time and memory used, per second of the nodes' time.
 *
 * The nodes are those of the tests (tests/unit/simserve.h): they generate, measure and report with mesh-node's own code, in virtual time.
 *
 * usage: monitor-bench [NODES [UPDATES_PER_SECOND [SECONDS]]]      (16 10 60) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/view.h"
#include "tests/unit/simserve.h"

enum { WIDTH = 160, HEIGHT = 50, SECOND_NS = 1000000000, UNIT_NS = 4000000 };

struct bench {
    unsigned nodes, per_s, seconds;
};

/* ---- the mesh: a size and a record for each piece, size 0 at the end of an update ---- */

static void give(void *app, const uint8_t *record, size_t bytes)
{
    const uint32_t size = (uint32_t)bytes;

    fwrite(&size, sizeof size, 1, app);
    if (bytes > 0)
        fwrite(record, 1, bytes, app);
}

/* Keeps a question open at each node. */
static void ask(struct simserve *mesh, unsigned *questions)
{
    if (mesh->ask_count == 0 || mesh->ask[mesh->ask_count - 1].told > 0)
        if (mesh->ask_count < SIMSERVE_ASKS_MAX)
            simserve_ask(mesh, (uint16_t)(mesh->ask_count % mesh->config.count), (*questions)++ % SIMQUESTIONS);
}

static int be_the_mesh(const struct bench *bench, int descriptor)
{
    const struct simserve_config config = {
        .count = (uint16_t)bench->nodes,
        .seed = 1,
        .batch = 8,
        .slots = 4,
        .datagram_bytes = 1472,
        .unit_ns = UNIT_NS,
        .load_ns = UNIT_NS,
        .link = {.delay_ns = 100000, .loss_ppm = 100},
    };
    const struct mesh_telemetry_watch wish = {(uint16_t)(1000 / bench->per_s), MESH_TELEMETRY_LEASE_MS_MAX, MESH_TELEMETRY_ALL};
    static struct simserve mesh; /* too large for the stack */
    FILE *out = fdopen(descriptor, "w");
    unsigned questions = 0;

    if (out == NULL)
        return 1;
    simserve_open(&mesh, &config);
    simserve_form(&mesh);
    mesh.on_record = give;
    mesh.app = out;
    for (unsigned i = 0; i < bench->seconds * bench->per_s && mesh.members.error[0] == '\0'; i++) {
        ask(&mesh, &questions);
        if (i % (10 * bench->per_s) == 0)
            simserve_watch(&mesh, 0, 0, &wish);
        simserve_run(&mesh, SECOND_NS / bench->per_s);
        give(out, NULL, 0);
    }
    if (mesh.members.error[0] != '\0')
        fprintf(stderr, "monitor-bench: the mesh: %s\n", mesh.members.error);
    fprintf(stderr, "(the mesh: %llu tokens, %llu reports' datagrams)\n", (unsigned long long)mesh.tokens,
            (unsigned long long)mesh.reports);
    fclose(out);
    return mesh.members.error[0] != '\0';
}

/* ---- the monitor ---- */

static int watch(const struct bench *bench, FILE *in, uint64_t *bytes_taken)
{
    static uint8_t record[1 << 16];
    const uint64_t interval_ns = SECOND_NS / bench->per_s;
    uint64_t now_ns = SECOND_NS;
    struct fleet fleet;
    struct canvas canvas;
    struct ui ui;
    FILE *out = fopen("/dev/null", "w");
    uint32_t size;

    if (out == NULL || fleet_init(&fleet) < 0 || canvas_init(&canvas, WIDTH, HEIGHT, GLYPHS_FULL) < 0)
        return -1;
    fleet.interval_ns = interval_ns;
    ui_init(&ui, &settings_default);
    fleet_set_connected(&fleet, now_ns, 1, true, "a simulated mesh");
    while (fread(&size, sizeof size, 1, in) == 1) {
        if (size > sizeof record || (size > 0 && fread(record, 1, size, in) != size))
            return -1;
        *bytes_taken += size;
        if (size > 0 && fleet_report(&fleet, now_ns, (int64_t)now_ns, record, size) != 0)
            return -1;
        if (size > 0)
            continue;
        now_ns += interval_ns;
        fleet_tick(&fleet, now_ns, (int64_t)now_ns);
        ui.screen = (enum screen)(fleet.ticks / 20 % SCREENS); /* all of them in turn */
        view_draw(&canvas, &fleet, &ui, now_ns, (int64_t)now_ns);
        canvas_write(&canvas, out);
    }
    fleet_release(&fleet);
    canvas_release(&canvas);
    return fclose(out);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static int run(const struct bench *bench)
{
    uint64_t bytes = 0;
    struct rusage usage;
    int ends[2], status;
    pid_t child;
    FILE *in;

    if (pipe(ends) < 0 || (child = fork()) < 0)
        return -1;
    if (child == 0) {
        close(ends[0]);
        _exit(be_the_mesh(bench, ends[1]));
    }
    close(ends[1]);
    in = fdopen(ends[0], "r");
    if (in == NULL || watch(bench, in, &bytes) < 0 || waitpid(child, &status, 0) < 0 || getrusage(RUSAGE_SELF, &usage) < 0)
        return -1;
    if (status != 0)
        return -1;
    fclose(in);
    printf("%u nodes, %u updates per second, screens of %d x %d: %.2f %% of a core, %.1f MB; %.0f kB/s of telemetry\n", bench->nodes,
           bench->per_s, WIDTH, HEIGHT, 100 * (seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime)) / bench->seconds,
           (double)usage.ru_maxrss * 1024 / 1e6, (double)bytes / bench->seconds / 1e3);
    return 0;
}

int main(int argc, char **argv)
{
    const unsigned long given[3] = {argc > 1 ? strtoul(argv[1], NULL, 10) : 16, argc > 2 ? strtoul(argv[2], NULL, 10) : 10,
                                    argc > 3 ? strtoul(argv[3], NULL, 10) : 60};
    const struct bench bench = {(unsigned)given[0], (unsigned)given[1], (unsigned)given[2]};

    if (given[0] < 1 || given[0] > SIMSERVE_PLACES_MAX || given[1] < 1 || given[1] > 20 || given[2] < 1 || given[2] > 100000) {
        fputs("usage: monitor-bench [NODES [UPDATES_PER_SECOND [SECONDS]]]\n", stderr);
        return 2;
    }
    if (run(&bench) < 0) {
        perror("monitor-bench");
        return 4;
    }
    return 0;
}
