#include "bench_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_BYTES_MAX = 1 << 20, ARGUMENTS_MAX = 24 + BENCH_RUN_MORE };

/* The child: becomes this program with `run`. */
static void become_run(const char *path, const struct bench_run *run, const struct bench *bench, int out)
{
    char nodes_text[16], threads_text[16], tokens_text[16];
    const char *arguments[ARGUMENTS_MAX] = {
        "mesh-node", "run", "-m",           path,    "--local", nodes_text, "-t",       threads_text,        "-n", tokens_text, "-p", "abc",
        "--temp",    "0",   "--ignore-eos", "--ctx", "512",     "--json",   "--kernel", bench->kernel->name, NULL,
    };
    size_t count = 0;

    snprintf(nodes_text, sizeof nodes_text, "%u", run->nodes);
    snprintf(threads_text, sizeof threads_text, "%u", run->threads);
    snprintf(tokens_text, sizeof tokens_text, "%u", run->tokens);
    while (arguments[count] != NULL)
        count++;
    for (size_t i = 0; i < BENCH_RUN_MORE && run->more[i] != NULL; i++)
        arguments[count++] = run->more[i];
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

/* Where the value of a key begins in the summary, which is the last line; NULL: absent. */
static const char *find_value(const char *text, const char *key)
{
    char quoted[64];

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *summary = strstr(text, "\"event\":\"summary\"");
    const char *at = summary == NULL ? NULL : strstr(summary, quoted);
    return at == NULL ? NULL : at + strlen(quoted);
}

static bool find_number(const char *text, const char *key, double *out)
{
    const char *at = find_value(text, key);

    if (at != NULL)
        *out = strtod(at, NULL);
    return at != NULL;
}

/* The mean of an array of numbers. */
static bool find_mean(const char *text, const char *key, double *out)
{
    const char *at = find_value(text, key);
    double sum = 0;
    unsigned count = 0;

    while (at != NULL && (*at == '[' || *at == ',')) {
        char *end;

        sum += strtod(at + 1, &end);
        at = end;
        count++;
    }
    *out = count > 0 ? sum / count : 0;
    return count > 0;
}

int bench_run_start(const struct bench *bench, const char *model, const struct bench_run *run, struct bench_process *process,
                    struct fail *fail)
{
    int pipe_ends[2];

    if (pipe(pipe_ends) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: cannot start a run: %s: close other programs", strerror(errno));
    fflush(NULL);
    process->pid = fork();
    if (process->pid == 0) {
        close(pipe_ends[0]);
        become_run(model, run, bench, pipe_ends[1]);
    }
    close(pipe_ends[1]);
    process->output = pipe_ends[0];
    return 0;
}

/* Wait for the child; its output has been read as far as needed. */
static int reap(struct bench_process *process)
{
    int status = -1;

    close(process->output);
    return process->pid > 0 && waitpid(process->pid, &status, 0) == process->pid ? status : -1;
}

static int run_failed(const struct bench_run *run, int status, struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "bench: mesh-node run --local %u -t %u ended with status %d: try that command alone",
                    run->nodes, run->threads, status);
}

int bench_run_end(const struct bench_run *run, struct bench_process *process, struct fail *fail)
{
    char text[4096];

    while (read_all(process->output, text, sizeof text) > 0)
        continue;
    const int status = reap(process);
    return status == 0 ? 0 : run_failed(run, status, fail);
}

int bench_run_nodes(const struct bench *bench, const char *model, const struct bench_run *run, struct bench_outcome *outcome,
                    struct fail *fail)
{
    char *text = malloc(OUTPUT_BYTES_MAX);
    struct bench_process process;

    if (text == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    if (bench_run_start(bench, model, run, &process, fail) < 0) {
        free(text);
        return -1;
    }
    read_all(process.output, text, OUTPUT_BYTES_MAX);
    const int status = reap(&process);
    bool is_good = status == 0 && find_number(text, "gen_tok_per_s", &outcome->tokens_per_s) &&
                   find_number(text, "bytes_sent_per_token", &outcome->bytes_per_token) &&
                   find_number(text, "packets_sent_per_token", &outcome->packets_per_token) &&
                   find_number(text, "send_calls_per_token", &outcome->send_calls_per_token) &&
                   find_number(text, "receive_calls_per_token", &outcome->receive_calls_per_token) &&
                   find_number(text, "wait_calls_per_token", &outcome->wait_calls_per_token) &&
                   find_number(text, "yield_calls_per_token", &outcome->yield_calls_per_token) &&
                   find_mean(text, "utilisation", &outcome->utilisation);
    free(text);
    return is_good ? 0 : run_failed(run, status, fail);
}
