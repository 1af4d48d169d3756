#include "run_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/program/signals.h"
#include "mesh/udp.h"
#include "run_folder.h"

enum { TRY_US = 50000, SHORT_TRY_US = 2000, SHORT_SECONDS = 60, STOP_TRIES = 600, STATUS_BYTES = 65536, NOT_FOUND = 127 };

/* ---- processes ---- */

/* In the child. It must not outlive the parent, which may have ended before the child has asked for the signal. */
static void become(const char *const *words, const char *out_path, const char *err_path, pid_t parent)
{
    const int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600), err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int in = open("/dev/null", O_RDONLY);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(NOT_FOUND);
    if (out >= 0 && err >= 0 && in >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2) {
        execvp(words[0], (char *const *)(uintptr_t)words);
        dprintf(2, "%s: %s\n", words[0], strerror(errno));
    }
    _exit(NOT_FOUND);
}

pid_t run_start(const char *const *words, const char *out_path, const char *err_path, struct fail *fail)
{
    const pid_t parent = getpid();
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        become(words, out_path, err_path, parent);
    if (pid < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.60s: cannot be started: %s: close other programs", words[0], strerror(errno));
    return pid;
}

void run_last_line(const char *path, char *line, size_t capacity)
{
    FILE *file = fopen(path, "r");
    char text[300];

    line[0] = '\0';
    while (file != NULL && fgets(text, sizeof text, file) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        if (text[0] != '\0')
            snprintf(line, capacity, "%s", text);
    }
    if (file != NULL)
        fclose(file);
}

/* Run a short program to its end, or kill it at that time; its exit code, or -1. */
static int run_short(const char *const *words, const char *out_path, const char *err_path, uint64_t until_ns, struct fail *fail)
{
    const pid_t pid = run_start(words, out_path, err_path, fail);
    pid_t ended = 0;
    int status;

    if (pid < 0)
        return -1;
    for (; (ended = waitpid(pid, &status, WNOHANG)) == 0; usleep(SHORT_TRY_US))
        if (mesh_udp_now_ns() >= until_ns) {
            kill(pid, SIGKILL);
            ended = waitpid(pid, &status, 0);
            break;
        }
    if (ended == pid && WIFEXITED(status))
        return WEXITSTATUS(status);
    return fail_set(fail, EXIT_ENVIRONMENT, "%.60s %.20s: did not exit with code 0: is that mesh-node?", words[0], words[1]);
}

/* ---- the command lines ---- */

static void path_of(const struct run_nodes *nodes, const char *name, uint16_t i, char path[RUN_PATH_BYTES])
{
    snprintf(path, RUN_PATH_BYTES, "%s/%u.%s", nodes->folder, i, name);
}

const char *run_nodes_option(const struct run_nodes *nodes, const char *name)
{
    return run_words_option(nodes->command, nodes->words, name);
}

static bool has_option(const struct run_nodes *nodes, const char *name)
{
    return run_nodes_option(nodes, name) != NULL;
}

/* The command's own key or security option, else a new key for all nodes. */
static int make_key(struct run_nodes *nodes, struct fail *fail)
{
    char log[RUN_PATH_BYTES];
    const char *const words[] = {nodes->command[0], "keygen", "-o", nodes->key, NULL};
    int code;

    nodes->security = run_nodes_option(nodes, "--security");
    if (has_option(nodes, "--key") || (nodes->security != NULL && strcasecmp(nodes->security, "none") == 0)) {
        snprintf(nodes->key, sizeof nodes->key, "%s", has_option(nodes, "--key") ? run_nodes_option(nodes, "--key") : "");
        return 0;
    }
    snprintf(nodes->key, sizeof nodes->key, "%s/key", nodes->folder);
    snprintf(log, sizeof log, "%s/keygen", nodes->folder);
    code = run_short(words, "/dev/null", log, mesh_udp_now_ns() + SHORT_SECONDS * UINT64_C(1000000000), fail);
    if (code == NOT_FOUND) {
        run_last_line(log, log, sizeof log);
        return fail_set(fail, EXIT_ENVIRONMENT, "%.100s: name mesh-node with its path after --", log);
    }
    if (code != 0)
        nodes->key[0] = '\0';
    return code < 0 ? -1 : 0;
}

/* ---- cleaning up when a signal ends this process ---- */

static struct run_nodes *volatile doomed;

static void remove_doomed(int number)
{
    for (uint16_t i = 0; i < doomed->count; i++)
        if (doomed->pid[i] > 0) {
            kill(doomed->pid[i], SIGKILL);
            waitpid(doomed->pid[i], NULL, 0);
        }
    if (!doomed->keeps_folder)
        run_folder_remove(doomed->folder);
    raise(number); /* with its default action */
}

static void watch_signals(struct run_nodes *nodes)
{
    doomed = nodes;
    signals_catch(remove_doomed);
}

static void leave_signals(void)
{
    signals_reset(remove_doomed);
    doomed = NULL;
}

static int make_folder(struct run_nodes *nodes, struct fail *fail)
{
    if (run_folder_make(nodes->folder, sizeof nodes->folder, fail) < 0)
        return -1;
    watch_signals(nodes);
    return 0;
}

static int find_port(struct run_nodes *nodes, uint16_t i, struct mesh_udp **udp, struct fail *fail)
{
    struct mesh_addr addr;
    char reason[128];

    if (mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason) != MESH_OK || mesh_udp_open(udp, addr, NULL) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: no socket: %s: %s", strerror(errno),
                        fail_advice(errno, "the loopback must be up"));
    mesh_addr_format(mesh_udp_local(*udp), nodes->address[i]);
    return 0;
}

/* Ports that were free a moment ago; found all at once, so that none is given twice. */
static int find_ports(struct run_nodes *nodes, struct fail *fail)
{
    struct mesh_udp *held[RUN_NODES_MAX] = {NULL};
    int result = 0;

    for (uint16_t i = 0; i < nodes->count && result == 0; i++)
        result = find_port(nodes, i, &held[i], fail);
    for (uint16_t i = 0; i < nodes->count; i++)
        if (held[i] != NULL)
            mesh_udp_close(held[i]);
    return result;
}

static void add_number(const struct run_nodes *nodes, struct run_words *words, const char *name, uint32_t value)
{
    if (value != 0 && !has_option(nodes, name))
        run_words_add_uint(words, name, value);
}

static void add_text(const struct run_nodes *nodes, struct run_words *words, const char *name, const char *value)
{
    if (value[0] != '\0' && !has_option(nodes, name))
        run_words_add(words, name, value);
}

static void add_command(const struct run_nodes *nodes, struct run_words *words)
{
    for (int w = 0; w < nodes->words; w++)
        run_words_add(words, nodes->command[w], NULL);
}

/* The command's words, then the program's own. */
static void make_words(const struct run_nodes *nodes, uint16_t i, struct run_words *words)
{
    add_command(nodes, words);
    run_words_add(words, "--listen", nodes->address[i]);
    for (uint16_t other = 0; other < nodes->count; other++)
        if (other != i)
            run_words_add(words, "--join", nodes->address[other]);
    run_words_add(words, "--record", nodes->trace[i]);
    run_words_add(words, "--record-prompts", NULL);
    add_number(nodes, words, "--ctx", nodes->ctx);
    add_number(nodes, words, "--batch", nodes->batch);
    add_number(nodes, words, "--slots", nodes->slots);
    add_text(nodes, words, "--kv-type", nodes->kv_type);
    add_text(nodes, words, "--share", "1"); /* rows are not divided anew while it runs */
    add_text(nodes, words, "--drain", "0");
    add_text(nodes, words, "--key", nodes->key);
}

static int start_words(struct run_nodes *nodes, uint16_t i, void (*make)(const struct run_nodes *, uint16_t, struct run_words *),
                       struct fail *fail)
{
    char out[RUN_PATH_BYTES], err[RUN_PATH_BYTES];
    struct run_words words = {0};

    path_of(nodes, "out", i, out);
    path_of(nodes, "log", i, err);
    make(nodes, i, &words);
    nodes->pid[i] = run_start(words.word, out, err, fail);
    if (nodes->pid[i] < 0) {
        nodes->pid[i] = 0;
        return -1;
    }
    return 0;
}

static int start_node(struct run_nodes *nodes, uint16_t i, struct fail *fail)
{
    path_of(nodes, "db", i, nodes->trace[i]);
    return start_words(nodes, i, make_words, fail);
}

void run_nodes_add_access(const struct run_nodes *nodes, struct run_words *words)
{
    if (nodes->key[0] != '\0')
        run_words_add(words, "--key", nodes->key);
    if (nodes->security != NULL)
        run_words_add(words, "--security", nodes->security);
    if (has_option(nodes, "--name"))
        run_words_add(words, "--name", run_nodes_option(nodes, "--name"));
}

/* ---- waiting until nodes are ready ---- */

/* If the node found its command line or model to be wrong, the same is wrong here. */
static enum exit_code code_of(int status)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_ENVIRONMENT;

    return code == EXIT_USAGE || code == EXIT_BAD_FILE ? (enum exit_code)code : EXIT_ENVIRONMENT;
}

/* Report a node that has just ended. */
static int tell_end(struct run_nodes *nodes, uint16_t i, int status, struct fail *fail)
{
    char log[RUN_PATH_BYTES], line[300];

    path_of(nodes, "log", i, log);
    run_last_line(log, line, sizeof line);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.100s: name mesh-node with its path after --", line);
    if (WIFSIGNALED(status))
        return fail_set(fail, EXIT_ENVIRONMENT, "node %u was ended by signal %d%s%.300s", nodes->rank + i, WTERMSIG(status),
                        line[0] != '\0' ? "; its last message: " : ", without a message", line);
    if (line[0] == '\0')
        return fail_set(fail, code_of(status),
                        "node %u has ended with exit code %d, without a message: is that mesh-node, and its disk not full?",
                        nodes->rank + i, WEXITSTATUS(status));
    return fail_set(fail, code_of(status), "node %u has ended: %.300s", nodes->rank + i, line);
}

/* As the last step a node merges its trace into one file. If that failed, the other file remains; the trace itself cannot tell. */
static int check_trace(const struct run_nodes *nodes, uint16_t i, struct fail *fail)
{
    char path[RUN_PATH_BYTES + 8];

    snprintf(path, sizeof path, "%s-wal", nodes->trace[i]);
    if (access(path, F_OK) != 0)
        return 0;
    return fail_set(fail, EXIT_ENVIRONMENT, "node %u could not record all of this run: make room in %s, or set TMPDIR", nodes->rank + i,
                    nodes->folder);
}

int run_nodes_ended(struct run_nodes *nodes, uint16_t i, struct fail *fail)
{
    int status;

    if (nodes->pid[i] == 0)
        return 1;
    if (waitpid(nodes->pid[i], &status, WNOHANG) != nodes->pid[i])
        return 0;
    nodes->pid[i] = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return tell_end(nodes, i, status, fail);
    return check_trace(nodes, i, fail) < 0 ? -1 : 1;
}

int run_nodes_check(struct run_nodes *nodes, struct fail *fail)
{
    int status;

    for (uint16_t i = 0; i < nodes->count; i++) {
        if (nodes->pid[i] == 0 || waitpid(nodes->pid[i], &status, WNOHANG) != nodes->pid[i])
            continue;
        nodes->pid[i] = 0;
        return tell_end(nodes, i, status, fail);
    }
    return 0;
}

/* Are all of them one cluster, by what this one says, and does none load? */
static bool is_ready(struct run_nodes *nodes, uint16_t i, uint64_t until_ns)
{
    char out[RUN_PATH_BYTES], err[RUN_PATH_BYTES], wanted[40];
    static char text[STATUS_BYTES];
    struct run_words words = {.word = {nodes->command[0], "status", "--json", "--to", nodes->address[i]}, .count = 5};
    struct fail ignored = {0};
    size_t bytes = 0;
    FILE *file;

    run_nodes_add_access(nodes, &words);
    path_of(nodes, "status", i, out);
    path_of(nodes, "asked", i, err);
    if (run_short(words.word, out, err, until_ns, &ignored) != 0 || (file = fopen(out, "r")) == NULL)
        return false;
    bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[bytes] = '\0';
    snprintf(wanted, sizeof wanted, "\"nodes\":%u,", nodes->count);
    return strstr(text, wanted) != NULL && strstr(text, "\"loading\"") == NULL;
}

int run_nodes_start(struct run_nodes *nodes, unsigned seconds, struct fail *fail)
{
    uint64_t until_ns;

    if (make_folder(nodes, fail) < 0 || make_key(nodes, fail) < 0 || find_ports(nodes, fail) < 0)
        return -1;
    for (uint16_t i = 0; i < nodes->count; i++)
        if (start_node(nodes, i, fail) < 0)
            return -1;
    until_ns = mesh_udp_now_ns() + seconds * UINT64_C(1000000000);
    for (uint16_t i = 0; i < nodes->count; i++)
        for (; !is_ready(nodes, i, until_ns); usleep(TRY_US)) {
            if (run_nodes_check(nodes, fail) < 0)
                return -1;
            if (mesh_udp_now_ns() >= until_ns)
                return fail_set(fail, EXIT_ENVIRONMENT, "%u nodes have not become a cluster within %u s: see their logs with --keep",
                                nodes->count, seconds);
        }
    return 0;
}

/* ---- one rank of a fixed list ---- */

int run_nodes_open(struct run_nodes *nodes, struct fail *fail)
{
    return make_folder(nodes, fail) < 0 ? -1 : find_ports(nodes, fail);
}

static void make_rank_words(const struct run_nodes *nodes, uint16_t i, struct run_words *words)
{
    (void)i;
    add_command(nodes, words);
    run_words_add_uint(words, "--rank", nodes->rank);
    run_words_add(words, "--peers", nodes->peers);
    run_words_add(words, "--record", nodes->record);
    add_number(nodes, words, "--ctx", nodes->ctx);
    add_number(nodes, words, "--batch", nodes->batch);
    add_number(nodes, words, "--join-timeout", nodes->seconds);
    add_text(nodes, words, "--kv-type", nodes->kv_type);
    add_text(nodes, words, "--shares", nodes->shares);
    add_text(nodes, words, "--pipeline", nodes->pipeline);
    if (nodes->request != NULL)
        run_words_add_request(words, nodes->request, nodes->prompt);
}

static void name_trace(struct run_nodes *nodes)
{
    snprintf(nodes->record, sizeof nodes->record, "%s/node.db", nodes->folder);
    if (nodes->rank == 0) /* as run names it */
        snprintf(nodes->trace[0], sizeof nodes->trace[0], "%s", nodes->record);
    else
        snprintf(nodes->trace[0], sizeof nodes->trace[0], "%s/node.%u.db", nodes->folder, nodes->rank);
}

int run_nodes_start_rank(struct run_nodes *nodes, const char *peers, unsigned seconds, struct fail *fail)
{
    nodes->peers = peers;
    nodes->seconds = seconds;
    name_trace(nodes);
    snprintf(nodes->prompt, sizeof nodes->prompt, "%s/prompt.ids", nodes->folder);
    if (nodes->request != NULL && run_words_write_prompt(nodes->request, nodes->prompt, fail) < 0)
        return -1;
    return start_words(nodes, 0, make_rank_words, fail);
}

/* ---- ending ---- */

/* Was that the end that was asked for? A rank of a fixed list may end with an error then; a node of a cluster may not. */
static bool is_well(const struct run_nodes *nodes, int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGTERM;
    return nodes->peers != NULL || WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 128 + SIGTERM;
}

static int stop_node(struct run_nodes *nodes, uint16_t i, struct fail *fail)
{
    int status;

    for (unsigned tries = 0; waitpid(nodes->pid[i], &status, WNOHANG) != nodes->pid[i]; usleep(TRY_US))
        if (++tries > STOP_TRIES)
            return fail_set(fail, EXIT_ENVIRONMENT, "node %u does not end: see its log with --keep", nodes->rank + i);
    nodes->pid[i] = 0;
    if (!is_well(nodes, status))
        return tell_end(nodes, i, status, fail);
    nodes->is_cut = nodes->peers != NULL && WIFSIGNALED(status);
    return nodes->is_cut ? 0 : check_trace(nodes, i, fail); /* one that is killed leaves its -wal on any disk */
}

int run_nodes_stop(struct run_nodes *nodes, struct fail *fail)
{
    int result = run_nodes_check(nodes, fail);

    for (uint16_t i = 0; i < nodes->count && result == 0; i++)
        kill(nodes->pid[i], SIGTERM);
    for (uint16_t i = 0; i < nodes->count && result == 0; i++)
        result = stop_node(nodes, i, fail);
    return result;
}

void run_nodes_release(struct run_nodes *nodes)
{
    int status;

    for (uint16_t i = 0; i < nodes->count; i++)
        if (nodes->pid[i] > 0) {
            kill(nodes->pid[i], SIGKILL);
            waitpid(nodes->pid[i], &status, 0);
            nodes->pid[i] = 0;
        }
    if (nodes->folder[0] != '\0' && !nodes->keeps_folder)
        run_folder_remove(nodes->folder);
    leave_signals();
}
