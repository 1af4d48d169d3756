/* What telemetry costs: a cluster that generates while a client watches all of it ten times a second, in turns with nobody watching.
 *
 * Tokens per second tell little on a machine that has other work. What telemetry takes of the processor is told by the time of the main
 * thread of the node that answers, where all of it is done but for the workers' own counting. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_model.h"
#include "caller.h"
#include "mesh/telemetry.h"

enum { NODES = 3, INTERVAL_MS = 100, LEASE_MS = 5000, AGAIN_NS = 2000000000, RUNS = 12, RUNS_QUICK = 1, TOKENS = 128, SETTLE_US = 400000 };

/* A process of its own, until it is killed; the exit code tells why it ended otherwise. */
static void watch(const struct bench_cluster *cluster)
{
    const struct mesh_telemetry_watch wish = {.interval_ms = INTERVAL_MS, .lease_ms = LEASE_MS, .kinds = MESH_TELEMETRY_ALL};
    const struct mesh_caller_config config = {.address = cluster->address[1],
                                              .security = cluster->is_sealed ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE,
                                              .key = &cluster->key,
                                              .cluster = "mesh"};
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];
    uint64_t again_ns = 0;
    struct fail fail;
    struct mesh_caller *caller = caller_open(&config, &fail);

    mesh_telemetry_write_watch(&wish, record);
    while (caller != NULL) {
        const uint64_t now_ns = mesh_udp_now_ns();
        const uint8_t *got;
        size_t bytes;

        if (now_ns >= again_ns) {
            if (caller_send(caller, record, sizeof record, &fail) < 0)
                return;
            again_ns = now_ns + AGAIN_NS;
        }
        if (caller_receive(caller, &got, &bytes, AGAIN_NS, &fail) < 0)
            return;
    }
}

static pid_t start_watching(const struct bench_cluster *cluster)
{
    const pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            watch(cluster);
        _exit(EXIT_ENVIRONMENT);
    }
    return pid;
}

struct sides {
    struct bench_series tok_per_s[2], main_ms_per_s[2]; /* [1]: watched */
};

/* One generation at node 0, while somebody watches node 1 or not. */
static int measure_run(struct bench_cluster *cluster, bool is_watched, uint32_t tokens, struct sides *sides, struct fail *fail)
{
    struct bench_generation generation = {.tokens = tokens};
    pid_t pid = is_watched ? start_watching(cluster) : 0;
    uint64_t begin_ns, main_ns;
    int status, err;

    if (pid < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: no process for a client: close other programs");
    usleep(SETTLE_US);
    begin_ns = mesh_udp_now_ns();
    main_ns = bench_cluster_thread_ns(cluster, 1, NULL);
    err = bench_cluster_generate(cluster, 0, &generation, fail);
    bench_add(&sides->main_ms_per_s[is_watched],
              (double)(bench_cluster_thread_ns(cluster, 1, NULL) - main_ns) * 1e3 / (double)(mesh_udp_now_ns() - begin_ns));
    if (pid > 0) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return fail_set(fail, EXIT_ENVIRONMENT, "bench: the client that watches has ended: try `mesh-node status --telemetry 5`");
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    if (err < 0)
        return -1;
    if (generation.count < 2 || generation.last_ns == generation.first_ns)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: the cluster has generated nothing: try `mesh-node serve` and `ask` alone");
    bench_add(&sides->tok_per_s[is_watched], (generation.count - 1) * 1e9 / (double)(generation.last_ns - generation.first_ns));
    return 0;
}

static void print(struct bench *bench, const struct bench_shape *shape, const struct sides *sides)
{
    struct bench_row row = {.event = "telemetry", .name = shape->name};

    bench_label_text(&row, "model", shape->name);
    bench_label_number(&row, "nodes", NODES);
    bench_label_number(&row, "reports_per_s", 1000 / INTERVAL_MS);
    bench_value(&row, "watched_tok_per_s", "tok/s", 1, bench_stat_of(&sides->tok_per_s[1]));
    bench_value(&row, "unwatched_tok_per_s", "tok/s with nobody watching", 1, bench_stat_of(&sides->tok_per_s[0]));
    bench_value(&row, "unwatched_ratio", "of that", 3, bench_ratio_of(&sides->tok_per_s[1], &sides->tok_per_s[0]));
    bench_value(&row, "watched_main_ms_per_s", "ms/s of the main thread", 2, bench_stat_of(&sides->main_ms_per_s[1]));
    bench_value(&row, "unwatched_main_ms_per_s", "ms/s with nobody watching", 2, bench_stat_of(&sides->main_ms_per_s[0]));
    bench_print(bench, &row);
}

int bench_telemetry(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = bench->quick ? &bench_shape_small : &bench_shape_110m;
    const int runs = bench->quick ? RUNS_QUICK : RUNS;
    const enum tensor_type type = bench->quick ? TYPE_Q8_0 : TYPE_Q4_0;
    static struct sides sides;
    struct bench_cluster cluster;
    struct bench_model model;
    int err;

    bench_heading(bench, "telemetry: three nodes that generate while a client watches all of them, beside nobody watching");
    if (!bench_has_memory(bench, "telemetry", (1 + NODES) * bench_model_bytes(shape, type) + (600u << 20)))
        return 0;
    bench_progress(bench, "a cluster that is watched");
    if (bench_model_write(&model, shape, type, fail) < 0)
        return -1;
    err = bench_cluster_start(&cluster, model.path, bench->kernel->name, NODES, fail);
    for (int r = 0; r < 2 * runs && err == 0; r++) { /* now the one is first, now the other */
        const bool is_watched = (r / 2 + r) % 2 != 0;

        err = measure_run(&cluster, is_watched, bench->quick ? 32 : TOKENS, &sides, fail);
    }
    bench_cluster_stop(&cluster);
    bench_model_close(&model);
    if (err == 0)
        print(bench, shape, &sides);
    return err;
}
