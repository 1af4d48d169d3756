/* What telemetry costs: a cluster that generates while a client watches all of it ten times a second, alternating with nobody watching; the
 * client is always connected, and asks for reports or does not.
 *
 * Tokens per second say little on a busy machine, so there are many short pairs, each with its ratio. The processor time of telemetry is
 * what all main threads and the client use beyond their time while nobody watches: all of the work is done there, except the workers'
 * counting, which is always on, and their receiving of datagrams. Bounds are 95 % bounds of the median. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_model.h"
#include "mesh/telemetry.h"
#include "node/client/client_session.h"
#include "node/common/pool.h"

enum { NODES = 3, INTERVAL_MS = 100, LEASE_MS = 5000, PAIRS = 30, PAIRS_QUICK = 1, TOKENS = 48, TOKENS_QUICK = 16, SETTLE_US = 200000 };

static const uint64_t again_after_ns = 2000000000, look_at_pipe_ns = 20000000;

static int send_want(struct mesh_client *client, bool is_wanted, struct fail *fail)
{
    const struct mesh_telemetry_watch wish = {
        .interval_ms = INTERVAL_MS, .lease_ms = is_wanted ? LEASE_MS : 0, .kinds = MESH_TELEMETRY_ALL};
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];

    mesh_telemetry_write_watch(&wish, record);
    return client_session_send(client, record, sizeof record, fail);
}

/* Runs in a process of its own until killed; each byte from the pipe says whether to watch. Returns when something goes wrong. */
static void watch(const struct bench_cluster *cluster, int pipe_end)
{
    const struct mesh_client_config config = {.address = cluster->address[1],
                                              .security = cluster->is_sealed ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE,
                                              .key = &cluster->key,
                                              .cluster = "mesh"};
    uint64_t again_ns = UINT64_MAX;
    struct fail fail;
    struct mesh_client *client = client_session_open(&config, &fail);
    uint8_t wanted = 0;

    fcntl(pipe_end, F_SETFL, O_NONBLOCK);
    while (client != NULL) {
        const uint8_t *got;
        size_t bytes;
        const bool is_told = read(pipe_end, &wanted, 1) == 1;
        const uint64_t now_ns = mesh_udp_now_ns();

        if (is_told || now_ns >= again_ns) {
            if (send_want(client, wanted, &fail) < 0)
                return;
            again_ns = wanted ? now_ns + again_after_ns : UINT64_MAX;
        }
        if (client_session_receive(client, &got, &bytes, look_at_pipe_ns, &fail) < 0)
            return;
    }
}

static uint64_t process_ns(pid_t pid)
{
    struct timespec time;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0;
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t all_ns(const struct bench_cluster *cluster)
{
    uint64_t sum_ns = 0;

    for (uint16_t i = 0; i < cluster->count; i++)
        sum_ns += process_ns(cluster->pid[i]);
    return sum_ns;
}

struct client {
    pid_t pid;
    int pipe_end;
};

static int client_start(struct client *client, const struct bench_cluster *cluster, struct fail *fail)
{
    const pid_t parent = getpid();
    int ends[2];

    if (pipe(ends) < 0 || (client->pid = fork()) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: no process for a client: close other programs");
    if (client->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            watch(cluster, ends[0]);
        _exit(EXIT_ENVIRONMENT);
    }
    close(ends[0]);
    client->pipe_end = ends[1];
    return 0;
}

static void client_stop(struct client *client)
{
    if (client->pid <= 0)
        return;
    kill(client->pid, SIGKILL);
    waitpid(client->pid, NULL, 0);
    close(client->pipe_end);
}

static int client_tell(struct client *client, bool is_wanted, struct fail *fail)
{
    const uint8_t wanted = is_wanted;

    if (waitpid(client->pid, NULL, WNOHANG) == client->pid || write(client->pipe_end, &wanted, 1) != 1) {
        client->pid = 0;
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: the client that watches has ended: try `mesh-node status --telemetry 5`");
    }
    usleep(SETTLE_US);
    return 0;
}

struct sides {
    struct bench_series tok_per_s[2], cpu_ms_per_token[2], main_ms_per_s[2]; /* [1]: watched; main_ms_per_s: of the node that answers */
    struct bench_series all_ms_per_s[2];                                     /* of all main threads and the client */
};

/* What is read before and after. */
struct reading {
    uint64_t at_ns, cpu_ns, main_ns, all_ns;
};

static struct reading read_clocks(const struct bench_cluster *cluster, const struct client *client)
{
    struct reading now = {.at_ns = mesh_udp_now_ns(),
                          .cpu_ns = all_ns(cluster),
                          .main_ns = bench_cluster_thread_ns(cluster, 1, NULL),
                          .all_ns = process_ns(client->pid)};

    for (uint16_t i = 0; i < cluster->count; i++)
        now.all_ns += bench_cluster_thread_ns(cluster, i, NULL);
    return now;
}

static double ms_per_s(uint64_t spent_ns, const struct reading *before, const struct reading *after)
{
    return (double)spent_ns * 1e3 / (double)(after->at_ns - before->at_ns);
}

/* One generation at node 0, while somebody watches node 1 or not. */
static int measure_run(struct bench_cluster *cluster, struct client *client, bool is_watched, uint32_t tokens, struct sides *sides,
                       struct fail *fail)
{
    struct bench_generation generation = {.tokens = tokens};
    struct reading before = {0}, after = {0};

    if (client_tell(client, is_watched, fail) < 0)
        return -1;
    for (int tries = 0; tries < BENCH_TRIES && !bench_generation_has_speed(&generation); tries++) {
        generation = (struct bench_generation){.tokens = tokens};
        before = read_clocks(cluster, client);
        if (bench_cluster_generate(cluster, 0, &generation, fail) < 0)
            return -1;
        after = read_clocks(cluster, client);
    }
    if (!bench_generation_has_speed(&generation))
        return bench_generation_fail(fail);
    bench_add(&sides->main_ms_per_s[is_watched], ms_per_s(after.main_ns - before.main_ns, &before, &after));
    bench_add(&sides->all_ms_per_s[is_watched], ms_per_s(after.all_ns - before.all_ns, &before, &after));
    bench_add(&sides->cpu_ms_per_token[is_watched], (double)(after.cpu_ns - before.cpu_ns) / 1e6 / generation.count);
    bench_add(&sides->tok_per_s[is_watched], bench_generation_tok_per_s(&generation));
    return 0;
}

/* As percent of all processors that the nodes may use, pair by pair. */
static struct bench_stat cost_percent(const struct sides *sides)
{
    struct bench_series cost = {.count = 0};

    for (size_t i = 0; i < sides->all_ms_per_s[1].count; i++)
        bench_add(&cost, (sides->all_ms_per_s[1].value[i] - sides->all_ms_per_s[0].value[i]) / 10.0 / pool_cores());
    return bench_stat_bounds(&cost);
}

static void print(struct bench *bench, const struct bench_shape *shape, const struct sides *sides)
{
    struct bench_row row = {.event = "telemetry", .name = shape->name};

    bench_label_text(&row, "model", shape->name);
    bench_label_number(&row, "nodes", NODES);
    bench_label_number(&row, "reports_per_s", 1000 / INTERVAL_MS);
    bench_value(&row, "watched_tok_per_s", "tok/s watched", 1, bench_stat_of(&sides->tok_per_s[1]));
    bench_value(&row, "unwatched_ratio", "of unwatched, 95 %", 3, bench_ratio_bounds(&sides->tok_per_s[1], &sides->tok_per_s[0]));
    bench_value(&row, "watched_cpu_ms_per_token", "CPU ms/token", 2, bench_stat_of(&sides->cpu_ms_per_token[1]));
    bench_value(&row, "unwatched_cpu_ratio", "of unwatched, 95 %", 3,
                bench_ratio_bounds(&sides->cpu_ms_per_token[1], &sides->cpu_ms_per_token[0]));
    bench_value(&row, "watched_main_ms_per_s", "ms/s of the main thread watched", 2, bench_stat_of(&sides->main_ms_per_s[1]));
    bench_value(&row, "unwatched_main_ms_per_s", "unwatched", 2, bench_stat_of(&sides->main_ms_per_s[0]));
    bench_value(&row, "watched_cost_percent", "% of the processors' time for it, 95 %", 2, cost_percent(sides));
    bench_print(bench, &row);
}

int bench_telemetry(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = bench->quick ? &bench_shape_small : &bench_shape_110m;
    const int pairs = bench->quick ? PAIRS_QUICK : PAIRS;
    const enum tensor_type type = bench->quick ? TYPE_Q8_0 : TYPE_Q4_0;
    static struct sides sides;
    struct client client = {.pid = 0};
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
    if (err == 0)
        err = client_start(&client, &cluster, fail);
    for (int r = 0; r < 2 * pairs && err == 0; r++) { /* alternating which is first */
        const bool is_watched = (r / 2 + r) % 2 != 0;

        err = measure_run(&cluster, &client, is_watched, bench->quick ? TOKENS_QUICK : TOKENS, &sides, fail);
    }
    client_stop(&client);
    bench_cluster_stop(&cluster);
    bench_model_close(&model);
    if (err == 0)
        print(bench, shape, &sides);
    return err;
}
