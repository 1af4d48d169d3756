#include "run_play.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "mesh/udp.h"
#include "progress_line.h"

enum { LOOK_NS = 5000000 };

static void path_of(const struct run_nodes *nodes, size_t index, const char *name, char path[RUN_PATH_BYTES])
{
    snprintf(path, RUN_PATH_BYTES, "%s/request%zu.%s", nodes->folder, index, name);
}

/* ---- asking ---- */

/* As many tokens as were recorded: an answer that ended early then is not to be longer now. */
static int ask(const struct run_nodes *nodes, struct run_request *r, size_t index, struct fail *fail)
{
    char prompt[RUN_PATH_BYTES], out[RUN_PATH_BYTES], err[RUN_PATH_BYTES];
    struct run_words words = {.word = {nodes->command[0], "ask", "--ids"}, .count = 3};
    struct request request = *r->request;

    path_of(nodes, index, "ids", prompt);
    path_of(nodes, index, "out", out);
    path_of(nodes, index, "log", err);
    if (run_words_write_prompt(&request, prompt, fail) < 0)
        return -1;
    if (r->recorded > 0)
        request.predict = (uint32_t)r->recorded;
    request.want_digest = r->has_digests; /* they go with the candidates, which are compared as tiles */
    run_words_add(&words, "--to", nodes->address[r->node]);
    run_words_add_request(&words, &request, prompt);
    run_nodes_add_access(nodes, &words);
    r->asked_ns = mesh_udp_now_ns();
    r->pid = run_start(words.word, out, err, fail);
    return r->pid < 0 ? -1 : 0;
}

/* ---- answers ---- */

static void take_token(struct run_request *r, int64_t id)
{
    const struct compute_token *was = compute_tokens_get(r->tokens, r->request->id, r->count);

    if (!r->differs && r->recorded > 0 && (was == NULL || was->id != (uint64_t)id)) {
        r->differs = true;
        r->position = r->count;
        r->was = was != NULL ? (int64_t)was->id : -1;
        r->is = id;
    }
    r->count++;
}

/* The ids are the first line of the output. */
static void read_ids(struct run_request *r, const char *path)
{
    FILE *file = fopen(path, "r");
    int64_t id;

    while (file != NULL && fscanf(file, "%20" SCNd64, &id) == 1)
        take_token(r, id);
    if (file != NULL)
        fclose(file);
}

/* "..., generated 20 at 340.0 tok/s, ..." among other output. */
static double read_speed(const char *path)
{
    static const char key[] = "generated ";
    char line[300];
    const char *at;

    run_last_line(path, line, sizeof line);
    at = strstr(line, key);
    at = at == NULL ? NULL : strstr(at, " at ");
    return at == NULL ? 0 : strtod(at + 4, NULL);
}

/* Fewer tokens than in the recording. */
static void check_end(struct run_request *r)
{
    if (r->differs || r->count >= r->recorded)
        return;
    r->differs = true;
    r->position = r->count;
    r->was = (int64_t)compute_tokens_get(r->tokens, r->request->id, r->count)->id;
    r->is = -1;
}

/* True when it has ended. */
static bool look_at(const struct run_nodes *nodes, struct run_request *r, size_t index)
{
    char out[RUN_PATH_BYTES], log[RUN_PATH_BYTES];
    int status;

    if (r->pid == 0 || waitpid(r->pid, &status, WNOHANG) != r->pid)
        return false;
    r->pid = 0;
    r->took_ns = mesh_udp_now_ns() - r->asked_ns;
    path_of(nodes, index, "out", out);
    path_of(nodes, index, "log", log);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK) {
        r->ended = RUN_ANSWERED;
        read_ids(r, out);
        check_end(r);
        r->tokens_per_s = r->count > 1 ? read_speed(log) : 0;
    } else {
        r->ended = RUN_FAILED;
        run_last_line(log, r->why, sizeof r->why);
    }
    return true;
}

/* ---- time ---- */

/* When it is due: an absolute time, so that one delay does not shift all that follows. */
static uint64_t due_ns(const struct run_play *play, uint64_t begun_ns, size_t index)
{
    const int64_t after = play->requests[index].at_ns - play->requests[0].at_ns;

    return play->speed > 0 ? begun_ns + (uint64_t)((double)after / (double)play->speed) : begun_ns;
}

static void sleep_until(uint64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void stop_asking(struct run_play *play)
{
    int status;

    for (size_t i = 0; i < play->count; i++)
        if (play->requests[i].pid > 0) {
            kill(play->requests[i].pid, SIGKILL);
            waitpid(play->requests[i].pid, &status, 0);
            play->requests[i].pid = 0;
        }
}

/* Make the requests that are due; *next: the first one not made yet, *running: those not answered. */
static int ask_due(struct run_play *play, const struct run_nodes *nodes, uint64_t begun_ns, size_t *next, size_t *running,
                   struct fail *fail)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    while (*next < play->count && due_ns(play, begun_ns, *next) <= now_ns && (play->speed > 0 || *running < play->together)) {
        struct run_request *r = &play->requests[*next];

        r->late_ns = play->speed > 0 ? now_ns - due_ns(play, begun_ns, *next) : 0;
        if (ask(nodes, r, *next, fail) < 0)
            return -1;
        (*next)++;
        (*running)++;
    }
    return 0;
}

static int play_all(struct run_play *play, struct run_nodes *nodes, struct fail *fail)
{
    const uint64_t begun_ns = mesh_udp_now_ns();
    uint64_t heard_ns = begun_ns, now_ns, until_ns;
    size_t next = 0, running = 0;

    while (next < play->count || running > 0) {
        if (ask_due(play, nodes, begun_ns, &next, &running, fail) < 0 || run_nodes_check(nodes, fail) < 0)
            return -1;
        now_ns = mesh_udp_now_ns();
        for (size_t i = 0; i < next; i++)
            if (look_at(nodes, &play->requests[i], i)) {
                running--;
                heard_ns = now_ns;
            }
        if (running == 0)
            heard_ns = now_ns;
        progress_line_at("answered", next - running, play->count);
        if (now_ns - heard_ns > play->seconds * (uint64_t)1000000000)
            return fail_set(fail, EXIT_ENVIRONMENT, "no answer for %u s: see the logs with --keep", play->seconds);
        until_ns = now_ns + LOOK_NS;
        if (next < play->count && play->speed > 0 && due_ns(play, begun_ns, next) < until_ns)
            until_ns = due_ns(play, begun_ns, next);
        sleep_until(until_ns);
    }
    return 0;
}

int run_play(struct run_play *play, struct run_nodes *nodes, struct fail *fail)
{
    const int result = play_all(play, nodes, fail);

    stop_asking(play);
    return result;
}
