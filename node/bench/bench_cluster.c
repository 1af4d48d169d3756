#include "bench_cluster.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/client/client_message.h"
#include "node/client/client_session.h"

enum { ARGUMENTS_MAX = 24, TRIES = 600, TRY_US = 50000, CALL_NS = 1000000000, ANSWER_NS = 200000000 };

/* ---- processes ---- */

static int make_key(struct bench_cluster *cluster, struct fail *fail)
{
    char line[MESH_KEY_LINE_BYTES];

    cluster->is_sealed = mesh_seal_is_available();
    if (!cluster->is_sealed)
        return 0;
    cluster->key_file = memfd_create("mesh-bench-key", MFD_CLOEXEC);
    if (cluster->key_file < 0 || fchmod(cluster->key_file, S_IRUSR | S_IWUSR) != 0 ||
        mesh_random(&cluster->key, sizeof cluster->key) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: no key for the nodes: %s: close other programs", strerror(errno));
    mesh_key_format(&cluster->key, line);
    if (write(cluster->key_file, line, strlen(line)) != (ssize_t)strlen(line))
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: the key cannot be written: %s: close other programs", strerror(errno));
    snprintf(cluster->key_path, sizeof cluster->key_path, "/proc/%d/fd/%d", (int)getpid(), cluster->key_file);
    return 0;
}

/* A port that was free a moment ago. */
static int find_port(struct bench_cluster *cluster, uint16_t i, struct fail *fail)
{
    struct mesh_udp *udp;
    struct mesh_addr addr;
    char reason[128];

    if (mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason) != MESH_OK || mesh_udp_open(&udp, addr, NULL) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: no socket on the loopback: %s", strerror(errno));
    cluster->addr[i] = mesh_udp_local(udp);
    mesh_addr_format(cluster->addr[i], cluster->address[i]);
    mesh_udp_close(udp);
    return 0;
}

/* The i-th of the processors that this process may use. */
static void stay_on(uint16_t i)
{
    cpu_set_t all, one;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    i = (uint16_t)(i % CPU_COUNT(&all));
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && i-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void become_node(const struct bench_cluster *cluster, uint16_t i)
{
    char record[300];
    const char *arguments[ARGUMENTS_MAX] = {
        "mesh-node",     "serve",   "-m", cluster->model, "-t", "1", "--listen", cluster->address[i], "--kernel",
        cluster->kernel, "--share", "1"};
    size_t count = 12;

    for (uint16_t other = 0; other < cluster->count; other++)
        if (other != i) {
            arguments[count++] = "--join";
            arguments[count++] = cluster->address[other];
        }
    if (cluster->lab != NULL) {
        arguments[count++] = "--lab";
        arguments[count++] = cluster->lab;
    }
    if (cluster->is_sealed) {
        arguments[count++] = "--key";
        arguments[count++] = cluster->key_path;
    }
    if (cluster->is_apart)
        stay_on(i);
    if (cluster->record != NULL) {
        snprintf(record, sizeof record, "%s/%u.db", cluster->record, i);
        arguments[count++] = "--record";
        arguments[count++] = record;
        if (cluster->records_payloads)
            arguments[count++] = "--record-prompts";
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (freopen("/dev/null", "w", stderr) != NULL && freopen("/dev/null", "w", stdout) != NULL)
        execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

int bench_cluster_restart(struct bench_cluster *cluster, uint16_t i, struct fail *fail)
{
    fflush(NULL);
    cluster->pid[i] = fork();
    if (cluster->pid[i] == 0)
        become_node(cluster, i);
    if (cluster->pid[i] < 0) {
        cluster->pid[i] = 0;
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: cannot start a node: %s: close other programs", strerror(errno));
    }
    return 0;
}

void bench_cluster_kill(struct bench_cluster *cluster, uint16_t i)
{
    if (cluster->pid[i] > 0)
        kill(cluster->pid[i], SIGKILL);
}

void bench_cluster_reap(struct bench_cluster *cluster, uint16_t i)
{
    int status;

    if (cluster->pid[i] > 0)
        waitpid(cluster->pid[i], &status, 0);
    cluster->pid[i] = 0;
}

bool bench_cluster_has_ended(struct bench_cluster *cluster, uint16_t i)
{
    int status;

    if (cluster->pid[i] > 0 && waitpid(cluster->pid[i], &status, WNOHANG) == cluster->pid[i])
        cluster->pid[i] = 0;
    return cluster->pid[i] == 0;
}

static int start(struct bench_cluster *cluster, struct fail *fail)
{
    const uint16_t count = cluster->count;

    if (make_key(cluster, fail) < 0)
        return -1;
    for (uint16_t i = 0; i < count; i++)
        if (find_port(cluster, i, fail) < 0)
            return -1;
    for (uint16_t i = 0; i < count; i++)
        if (bench_cluster_restart(cluster, i, fail) < 0)
            return -1;
    for (uint16_t i = 0; i < count; i++)
        if (bench_cluster_await(cluster, i, count, fail) < 0)
            return -1;
    return 0;
}

int bench_cluster_start(struct bench_cluster *cluster, const char *model, const char *kernel, uint16_t count, struct fail *fail)
{
    *cluster = (struct bench_cluster){.model = model, .kernel = kernel, .count = count, .key_file = -1};
    return start(cluster, fail);
}

int bench_cluster_start_recording(struct bench_cluster *cluster, const char *model, const char *kernel, uint16_t count, const char *folder,
                                  bool records_payloads, struct fail *fail)
{
    *cluster = (struct bench_cluster){.model = model,
                                      .kernel = kernel,
                                      .record = folder,
                                      .records_payloads = records_payloads,
                                      .count = count,
                                      .is_apart = true,
                                      .key_file = -1};
    return start(cluster, fail);
}

int bench_cluster_start_apart(struct bench_cluster *cluster, const char *model, const char *kernel, const char *lab, uint16_t count,
                              struct fail *fail)
{
    *cluster = (struct bench_cluster){.model = model, .kernel = kernel, .lab = lab, .count = count, .is_apart = true, .key_file = -1};
    return start(cluster, fail);
}

void bench_cluster_stop(struct bench_cluster *cluster)
{
    for (uint16_t i = 0; i < cluster->count; i++)
        bench_cluster_kill(cluster, i);
    for (uint16_t i = 0; i < cluster->count; i++)
        bench_cluster_reap(cluster, i);
    if (cluster->key_file >= 0)
        close(cluster->key_file);
    cluster->key_file = -1;
    mesh_wipe(&cluster->key, sizeof cluster->key);
}

/* ---- threads ---- */

static bool is_called(const char *task, const char *name)
{
    char path[300], found[20] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/comm", task);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    if (fgets(found, sizeof found, file) == NULL)
        found[0] = '\0';
    fclose(file);
    return strncmp(found, name, strlen(name)) == 0 && found[strlen(name)] == '\n';
}

static uint64_t run_ns(const char *task)
{
    char path[300];
    unsigned long long ns = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/schedstat", task);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

uint64_t bench_cluster_thread_ns(const struct bench_cluster *cluster, uint16_t i, const char *name)
{
    char tasks[40], task[280];
    const struct dirent *entry;
    uint64_t ns = 0;
    DIR *folder;

    snprintf(tasks, sizeof tasks, "/proc/%d/task", (int)cluster->pid[i]);
    if (name == NULL) {
        snprintf(task, sizeof task, "%s/%d", tasks, (int)cluster->pid[i]);
        return run_ns(task);
    }
    folder = opendir(tasks);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        snprintf(task, sizeof task, "%s/%.200s", tasks, entry->d_name);
        if (is_called(task, name))
            ns = run_ns(task);
    }
    if (folder != NULL)
        closedir(folder);
    return ns;
}

/* ---- questions ---- */

static struct mesh_client *call(struct bench_cluster *cluster, uint16_t i, struct fail *fail)
{
    const struct mesh_client_config config = {.address = cluster->address[i],
                                              .security = cluster->is_sealed ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE,
                                              .key = &cluster->key,
                                              .cluster = "mesh",
                                              .timeout_ns = CALL_NS};

    return client_session_open(&config, fail);
}

static int send_message(struct mesh_client *client, const struct client_message *message, struct fail *fail)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];

    return client_session_send(client, record, client_message_write(message, record), fail);
}

/* 1: a record; 0: none for a while; -1: failure. */
static int hear(struct mesh_client *client, struct client_message *message, struct fail *fail)
{
    const uint8_t *record;
    size_t bytes;
    int got = client_session_receive(client, &record, &bytes, ANSWER_NS, fail);

    if (got <= 0)
        return got;
    if (client_message_read(message, record, bytes) < 0 || message->kind >= CLIENT_MESSAGE_REFUSED)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: a node refuses to answer: try `mesh-node serve` and `ask` alone");
    return 1;
}

int bench_cluster_status(struct bench_cluster *cluster, uint16_t i, char *text, struct fail *fail)
{
    static struct client_message message;
    const struct client_message question = {.kind = CLIENT_MESSAGE_STATUS};
    struct mesh_client *client = call(cluster, i, fail);
    int got = client == NULL ? -1 : send_message(client, &question, fail);

    for (int tries = 0; got == 0 && tries < 10; tries++)
        got = hear(client, &message, fail);
    if (got > 0 && message.text_size < BENCH_STATUS_BYTES) {
        memcpy(text, message.text, message.text_size);
        text[message.text_size] = '\0';
    }
    client_session_close(client);
    return got > 0 ? 0 : -1;
}

double bench_cluster_number(const char *text, const char *key)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(text, quoted);
    return at == NULL ? -1.0 : strtod(at + strlen(quoted), NULL);
}

int bench_cluster_await(struct bench_cluster *cluster, uint16_t i, uint16_t nodes, struct fail *fail)
{
    static char text[BENCH_STATUS_BYTES];
    struct fail ignored = {0};

    for (int tries = 0; tries < TRIES; tries++) {
        if (bench_cluster_status(cluster, i, text, &ignored) == 0 && (uint16_t)bench_cluster_number(text, "nodes") == nodes &&
            strstr(text, "\"loading\"") == NULL)
            return 0;
        usleep(TRY_US);
    }
    return fail_set(fail, EXIT_ENVIRONMENT, "bench: %u nodes do not come together on the loopback: try `mesh-node serve` by hand", nodes);
}

int bench_cluster_generate(struct bench_cluster *cluster, uint16_t i, struct bench_generation *generation, struct fail *fail)
{
    static struct client_message message;
    struct client_message question = {
        .kind = CLIENT_MESSAGE_ASK,
        .ask = {.predict = generation->tokens, .sampling = {.top_p = 1, .repeat_penalty = 1}, .ignore_end = true},
        .text = "Once upon a time",
        .text_size = 16};
    struct mesh_client *client = call(cluster, i, fail);
    int got;

    generation->count = generation->first = 0;
    got = client == NULL ? -1 : send_message(client, &question, fail);
    while (got >= 0) {
        got = hear(client, &message, fail);
        if (got <= 0)
            continue;
        if (message.kind == CLIENT_MESSAGE_DONE)
            break;
        if (message.kind != CLIENT_MESSAGE_TOKENS)
            continue;
        generation->last_ns = mesh_udp_now_ns();
        if (generation->count == 0) {
            generation->first_ns = generation->last_ns;
            generation->first = message.token_count;
        }
        generation->count += message.token_count;
        if (generation->on_token != NULL)
            generation->on_token(generation->app, generation->count, generation->last_ns);
    }
    client_session_close(client);
    return got < 0 ? -1 : 0;
}

bool bench_generation_has_speed(const struct bench_generation *generation)
{
    return generation->count > generation->first && generation->last_ns > generation->first_ns;
}

double bench_generation_tok_per_s(const struct bench_generation *generation)
{
    assert(bench_generation_has_speed(generation));
    return (generation->count - generation->first) * 1e9 / (double)(generation->last_ns - generation->first_ns);
}

int bench_generation_fail(struct fail *fail)
{
    return fail_set(
        fail, EXIT_ENVIRONMENT,
        "bench: %d times the cluster generated nothing, or all tokens came at once: is the machine busy? Try `mesh-node serve` and "
        "`ask` alone",
        BENCH_TRIES);
}
