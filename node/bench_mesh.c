/* Meshes of local nodes beside one process with two threads: what `mesh-node run --json` says of both, in turns.
 *
 * Every node has one thread. Nodes that are more than the cores share them, so four nodes on two cores show what the mesh itself costs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_model.h"

enum { RUNS = 3, TOKENS = 32, OUTPUT_BYTES_MAX = 1 << 20, ARGUMENTS_MAX = 24 };

struct mesh_case {
    const struct bench_shape *shape;
    enum tensor_type type;
};

struct outcome {
    double tokens_per_s, bytes_per_token, packets_per_token;
};

struct mesh_series {
    struct bench_series alone, mesh, bytes, packets;
};

/* The child: becomes this program with `run`. */
static void become_run(const char *path, uint32_t nodes, uint32_t threads, const struct bench *bench, int out)
{
    char nodes_text[16], threads_text[16], tokens_text[16];
    const char *arguments[ARGUMENTS_MAX] = {
        "mesh-node", "run", "-m",           path,    "--local", nodes_text, "-t",       threads_text,        "-n", tokens_text, "-p", "abc",
        "--temp",    "0",   "--ignore-eos", "--ctx", "512",     "--json",   "--kernel", bench->kernel->name, NULL,
    };

    snprintf(nodes_text, sizeof nodes_text, "%u", nodes);
    snprintf(threads_text, sizeof threads_text, "%u", threads);
    snprintf(tokens_text, sizeof tokens_text, "%d", TOKENS);
    if (dup2(out, STDOUT_FILENO) >= 0 && freopen("/dev/null", "w", stderr) != NULL)
        execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static size_t read_all(int from, char *text, size_t room)
{
    size_t size = 0;
    ssize_t got;

    while (size + 1 < room && ((got = read(from, text + size, room - 1 - size)) > 0 || (got < 0 && errno == EINTR)))
        size += got > 0 ? (size_t)got : 0;
    text[size] = '\0';
    return size;
}

/* A number of the summary, which is the last line. */
static bool find_number(const char *text, const char *key, double *out)
{
    char quoted[64];

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *summary = strstr(text, "\"event\":\"summary\"");
    const char *at = summary == NULL ? NULL : strstr(summary, quoted);
    if (at != NULL)
        *out = strtod(at + strlen(quoted), NULL);
    return at != NULL;
}

static int run_nodes(const struct bench *bench, const struct bench_model *model, uint32_t nodes, uint32_t threads, struct outcome *outcome,
                     struct fail *fail)
{
    char *text = malloc(OUTPUT_BYTES_MAX);
    int pipe_ends[2], status = -1;

    if (text == NULL || pipe(pipe_ends) != 0) {
        free(text);
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: cannot start a run: %s: close other programs", strerror(errno));
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(pipe_ends[0]);
        become_run(model->path, nodes, threads, bench, pipe_ends[1]);
    }
    close(pipe_ends[1]);
    read_all(pipe_ends[0], text, OUTPUT_BYTES_MAX);
    close(pipe_ends[0]);
    bool is_good = child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
                   find_number(text, "gen_tok_per_s", &outcome->tokens_per_s) &&
                   find_number(text, "bytes_sent_per_token", &outcome->bytes_per_token) &&
                   find_number(text, "packets_sent_per_token", &outcome->packets_per_token);
    free(text);
    if (!is_good)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: mesh-node run --local %u -t %u ended with status %d: try that command alone", nodes,
                        threads, status);
    return 0;
}

static void print(struct bench *bench, const struct mesh_case *c, uint32_t nodes, const struct mesh_series *series)
{
    char name[64];
    const char *type = tensor_type_info(c->type)->name;
    struct bench_row row = {.event = "mesh", .name = name};

    snprintf(name, sizeof name, "%s %s, %u nodes", c->shape->name, type, nodes);
    bench_label_text(&row, "model", c->shape->name);
    bench_label_text(&row, "type", type);
    bench_label_number(&row, "nodes", nodes);
    bench_label_number(&row, "threads", 1);
    bench_value(&row, "gen_tok_per_s", "tok/s", 1, bench_stat_of(&series->mesh));
    bench_value(&row, "one_process_tok_per_s", "tok/s alone", 1, bench_stat_of(&series->alone));
    bench_value(&row, "one_process_ratio", "of that", 2, bench_ratio_of(&series->mesh, &series->alone));
    bench_value(&row, "bytes_sent_per_token", "B/token", 0, bench_stat_of(&series->bytes));
    bench_value(&row, "packets_sent_per_token", "datagrams", 0, bench_stat_of(&series->packets));
    bench_print(bench, &row);
}

static int measure(struct bench *bench, const struct mesh_case *c, const struct bench_model *model, uint32_t nodes, struct fail *fail)
{
    struct mesh_series series = {.alone = {.count = 0}};
    struct outcome alone, mesh;

    for (int r = 0; r < (bench->quick ? 1 : RUNS); r++) {
        if (run_nodes(bench, model, 1, 2, &alone, fail) < 0 || run_nodes(bench, model, nodes, 1, &mesh, fail) < 0)
            return -1;
        bench_add(&series.alone, alone.tokens_per_s);
        bench_add(&series.mesh, mesh.tokens_per_s);
        bench_add(&series.bytes, mesh.bytes_per_token);
        bench_add(&series.packets, mesh.packets_per_token);
    }
    print(bench, c, nodes, &series);
    return 0;
}

static int measure_case(struct bench *bench, const struct mesh_case *c, struct fail *fail)
{
    static const uint32_t node_counts[] = {2, 4};
    struct bench_model model;
    char text[64];
    int err = 0;

    snprintf(text, sizeof text, "mesh %s %s", c->shape->name, tensor_type_info(c->type)->name);
    if (!bench_has_memory(bench, text, 2 * bench_model_bytes(c->shape, c->type) + (400u << 20)))
        return 0;
    bench_progress(bench, text);
    if (bench_model_write(&model, c->shape, c->type, fail) < 0)
        return -1;
    for (size_t i = 0; i < sizeof node_counts / sizeof *node_counts && err == 0; i++)
        err = measure(bench, c, &model, node_counts[i], fail);
    bench_model_close(&model);
    return err;
}

int bench_mesh(struct bench *bench, struct fail *fail)
{
    static const struct mesh_case cases[] = {{&bench_shape_1b, TYPE_Q4_0}, {&bench_shape_110m, TYPE_Q4_0}};
    static const struct mesh_case quick = {&bench_shape_small, TYPE_Q8_0};

    bench_heading(bench, "mesh: local nodes of one thread each, beside one process with two threads");
    if (bench->quick)
        return measure_case(bench, &quick, fail);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (measure_case(bench, &cases[i], fail) < 0)
            return -1;
    return 0;
}
