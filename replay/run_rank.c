#include "run_rank.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compute.h"
#include "progress_line.h"
#include "rows.h"

enum { LOOK_US = 5000, LINGER_SECONDS = 5, PEERS_BYTES = MESH_RANKS_MAX * MESH_ADDR_TEXT_BYTES };

/* ---- the recordings ---- */

static int check_command(const char *path, struct mesh_trace *trace, struct fail *fail)
{
    char word[20] = "";

    mesh_trace_get_meta(trace, "command", word, sizeof word);
    if (strcmp(word, "run") == 0)
        return compute_check_payloads(path, trace, fail);
    return fail_set(fail, EXIT_USAGE,
                    "%.250s: not a recording of mesh-node run, so its members may change: leave --node out, to start all ranks", path);
}

static int check_traces(const char *const *paths, size_t path_count, struct fail *fail)
{
    int result = 0;

    for (size_t i = 0; i < path_count && result == 0; i++) {
        struct mesh_trace *trace = trace_open(paths[i], fail);

        result = trace == NULL ? -1 : check_command(paths[i], trace, fail);
        mesh_trace_close(trace);
    }
    return result;
}

/* Why the tape cannot be played; NULL: it can. */
static const char *flaw_of(const struct compute_tape *tape)
{
    if (tape->init.format != MESH_TAPE_FORMAT)
        return "recorded in another format";
    if (tape->missing > 0 || tape->log_lost > 0)
        return "calls or data are missing, which the recorder had to leave out";
    return tape->has_goodbye ? NULL : "it ends before the node did";
}

static int take_tape(struct run_rank *run, const struct compute_tape *tape, struct fail *fail)
{
    const char *path = run->tapes.paths[tape->path], *flaw = flaw_of(tape);
    const uint16_t rank = tape->init.rank;

    if (rank >= run->rank_count || run->played[rank].tape != NULL)
        return fail_set(fail, EXIT_USAGE, "%.250s: another recording of rank %u: name those of one run", path, rank);
    if (rank != run->rank && flaw != NULL)
        return fail_set(fail, EXIT_SKIPPED, "%.250s: %s: only a whole recording is played: record again", path, flaw);
    run->played[rank].tape = tape;
    if (rank == run->rank)
        run->own_path = path;
    return 0;
}

/* Check that all are of one epoch, with a tape for each rank that is played. */
static int sort_tapes(struct run_rank *run, struct fail *fail)
{
    size_t group[COMPUTE_RANKS_MAX], count = compute_tapes_next_group(&run->tapes, group);
    int result = 0;

    if (count == 0)
        return fail_set(fail, EXIT_USAGE, "%.250s: a recording of one node without peers: leave --node out", run->tapes.paths[0]);
    if (count < run->tapes.count)
        return fail_set(fail, EXIT_USAGE, "run --node: the traces are of several runs: name those of one");
    run->rank_count = run->tapes.tapes[group[0]].init.rank_count;
    if (run->rank >= run->rank_count || run->rank_count > MESH_RANKS_MAX)
        return fail_set(fail, EXIT_USAGE, "--node %u: the recording has ranks 0 to %u: give one of them", run->rank, run->rank_count - 1);
    run->played = calloc(run->rank_count, sizeof *run->played);
    if (run->played == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for %u ranks: close other programs", run->rank_count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = take_tape(run, &run->tapes.tapes[group[i]], fail);
    for (uint16_t r = 0; r < run->rank_count && result == 0; r++)
        if (r != run->rank && run->played[r].tape == NULL)
            result = fail_set(fail, EXIT_USAGE, "--node %u: no recording of rank %u, which is to be played: name the traces of all nodes",
                              run->rank, r);
    if (result == 0 && run->played[0].tape == NULL)
        result = fail_set(fail, EXIT_USAGE, "--node 0: no recording of rank 0, which has the prompt: name the traces of all nodes");
    return result;
}

static void read_setup(struct run_nodes *nodes, struct mesh_trace *trace)
{
    nodes->ctx = (uint32_t)trace_meta_number(trace, "ctx", 0);
    nodes->batch = (uint32_t)trace_meta_number(trace, "batch", 0);
    mesh_trace_get_meta(trace, "kv_type", nodes->kv_type, sizeof nodes->kv_type);
    mesh_trace_get_meta(trace, "shares", nodes->shares, sizeof nodes->shares);
    mesh_trace_get_meta(trace, "pipeline", nodes->pipeline, sizeof nodes->pipeline);
}

/* The request to a real rank 0: for as many tokens as in the recording, or it would not end in the same step. */
static int read_request(struct run_rank *run, const char *path, struct mesh_trace *trace, struct fail *fail)
{
    const struct compute_token *first;
    int64_t cancelled = 0;

    if (run->was.request_count != 1)
        return fail_set(fail, EXIT_SKIPPED, "%.250s: %zu requests with prompts, but rank 0 takes one: record again", path,
                        run->was.request_count);
    if (rows_number(path, trace, "SELECT count(*) FROM requests WHERE kind = 'end' AND reason IN ('cancelled', 'error')", &cancelled,
                    fail) != 0)
        return -1;
    if (cancelled > 0)
        return fail_set(fail, EXIT_SKIPPED, "%.250s: its request was cancelled, at a time that cannot be repeated: play another rank",
                        path);
    run->request = run->was.requests[0];
    first = compute_tokens_get(&run->was, run->request.id, 0);
    run->request.want_digest = first != NULL && first->digest != MESH_TRACE_NULL;
    return 0;
}

/* The setup, the tokens, and the time of the first step: by rank 0's clock, or, if rank 0 is real, by that of the first rank to hear of
 * it. */
static int read_rank(struct run_rank *run, uint16_t rank, struct run_nodes *nodes, struct fail *fail)
{
    struct played_rank *p = &run->played[rank];
    const char *path = run->tapes.paths[p->tape->path];
    struct mesh_trace *trace = trace_open(path, fail);
    int64_t begun_ns;
    int result = 0;

    if (trace == NULL)
        return -1;
    p->own = &run->clocks[p->tape->path];
    begun_ns = mesh_trace_clock_first_ns(p->own, (int64_t)p->tape->log_at_ns);
    if (run->rank == 0 ? rank == 1 || (rank > 1 && begun_ns < run->clock.recorded_ns) : rank == 0)
        run->clock.recorded_ns = begun_ns;
    if (rank == 0) {
        read_setup(nodes, trace);
        result = compute_tokens_read(&run->was, path, trace, fail);
    }
    if (rank == 0 && run->rank == 0 && result == 0)
        result = read_request(run, path, trace, fail);
    mesh_trace_close(trace);
    return result;
}

/* Settings that all recorded nodes had to share come from the recording, so the command must not contradict them. */
static int check_option(const struct run_nodes *nodes, const char *name, const char *recorded, struct fail *fail)
{
    const char *given = run_nodes_option(nodes, name);

    if (given == NULL || recorded[0] == '\0' || strcmp(given, recorded) == 0)
        return 0;
    return fail_set(fail, EXIT_USAGE, "%s %.40s: recorded with %.200s: leave it out, to use that", name, given, recorded);
}

/* Nor may the command set the request of rank 0. */
static int check_request_options(const struct run_nodes *nodes, struct fail *fail)
{
    static const char *const names[] = {"--prompt",
                                        "-p",
                                        "--file",
                                        "-f",
                                        "--prompt-ids",
                                        "--predict",
                                        "-n",
                                        "--digest",
                                        "--json",
                                        "--ignore-eos",
#define OPTION(type, name, option, off) option,
                                        SAMPLING_FIELDS(OPTION)
#undef OPTION
    };

    for (size_t i = 0; nodes->request != NULL && i < sizeof names / sizeof *names; i++)
        if (run_nodes_option(nodes, names[i]) != NULL)
            return fail_set(fail, EXIT_USAGE, "%s: rank 0's request is in the recording: leave it out", names[i]);
    return 0;
}

static int check_options(const struct run_nodes *nodes, struct fail *fail)
{
    char ctx[12], batch[12];

    snprintf(ctx, sizeof ctx, "%u", nodes->ctx);
    snprintf(batch, sizeof batch, "%u", nodes->batch);
    return check_option(nodes, "--ctx", ctx, fail) < 0 || check_option(nodes, "--batch", batch, fail) < 0 ||
                   check_option(nodes, "--kv-type", nodes->kv_type, fail) < 0 || check_option(nodes, "--shares", nodes->shares, fail) < 0 ||
                   check_option(nodes, "--pipeline", nodes->pipeline, fail) < 0 || check_request_options(nodes, fail) < 0
               ? -1
               : 0;
}

static int read_fingerprint(struct run_rank *run, const struct run_nodes *nodes, uint8_t fingerprint[32], struct fail *fail)
{
    const char *long_name = run_nodes_option(nodes, "--model"), *model = long_name != NULL ? long_name : run_nodes_option(nodes, "-m");
    struct recompute *recompute;

    memcpy(fingerprint, run->played[0].tape->init.fingerprint, 32);
    if (!run->any_model)
        return 0;
    if (model == NULL)
        return fail_set(fail, EXIT_USAGE, "--any-model: no model is named after --: give -m MODEL.gguf there");
    recompute = recompute_open(model, 1, fail);
    if (recompute == NULL)
        return -1;
    recompute_fingerprint(recompute, fingerprint);
    recompute_close(recompute);
    return 0;
}

/* ---- starting ---- */

static int open_sockets(struct run_rank *run, const struct run_nodes *nodes, char peers[PEERS_BYTES], struct fail *fail)
{
    char reason[128], text[MESH_ADDR_TEXT_BYTES];
    struct mesh_addr any;
    size_t used = 0;

    if (mesh_addr_parse("127.0.0.1:0", &any, reason, sizeof reason) != MESH_OK ||
        mesh_addr_parse(nodes->address[0], &run->addresses[run->rank], reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: %s: the loopback must be up", reason);
    for (uint16_t r = 0; r < run->rank_count; r++) {
        if (r != run->rank && mesh_udp_open(&run->played[r].udp, any, NULL) != MESH_OK)
            return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: no socket: %s: %s", strerror(errno),
                            fail_advice(errno, "the loopback must be up"));
        if (r != run->rank)
            run->addresses[r] = mesh_udp_local(run->played[r].udp);
        mesh_addr_format(run->addresses[r], text);
        used += (size_t)snprintf(peers + used, PEERS_BYTES - used, "%s%s", used > 0 ? "," : "", text);
    }
    return 0;
}

static int start_played(struct run_rank *run, const uint8_t fingerprint[32], struct fail *fail)
{
    run->clock.speed = run->speed;
    for (uint16_t r = 0; r < run->rank_count; r++) {
        struct played_rank *p = &run->played[r];

        if (r == run->rank)
            continue;
        p->tapes = &run->tapes;
        p->addresses = run->addresses;
        p->clock = &run->clock;
        p->gathers.node = run->rank;
        memcpy(p->fingerprint, fingerprint, 32);
        if (played_rank_start(p, fail) < 0)
            return -1;
    }
    return 0;
}

/* ---- playing ---- */

struct look {
    uint64_t moves, heard_ns;
    bool all_over;
};

/* Note when something last moved, or waited only for its time. */
static void look_at(struct run_rank *run, struct look *look)
{
    uint64_t moves = 0;
    bool is_asleep = false;

    look->all_over = true;
    for (uint16_t r = 0; r < run->rank_count; r++) {
        if (r == run->rank)
            continue;
        moves += atomic_load(&run->played[r].moves);
        is_asleep |= atomic_load(&run->played[r].is_asleep);
        look->all_over &= atomic_load(&run->played[r].is_over);
    }
    if (moves != look->moves || is_asleep)
        look->heard_ns = mesh_udp_now_ns();
    look->moves = moves;
}

static bool has_failed(const struct run_rank *run)
{
    for (uint16_t r = 0; r < run->rank_count; r++)
        if (r != run->rank && atomic_load(&run->played[r].is_over) && run->played[r].result < 0)
            return true;
    return false;
}

/* Wait until the ranks and the node have ended, or nothing moves for too long. */
static int wait_for_all(struct run_rank *run, struct run_nodes *nodes, struct fail *fail)
{
    struct look look = {.heard_ns = mesh_udp_now_ns()};

    for (;;) {
        const int ended = run_nodes_ended(nodes, 0, fail);
        uint64_t seconds = run->seconds;

        look_at(run, &look);
        progress_line_at("playing", 0, 0);
        if (ended < 0)
            return -1;
        if (has_failed(run) || (look.all_over && ended != 0))
            return 0;
        if ((ended != 0 || look.all_over) && seconds > LINGER_SECONDS)
            seconds = LINGER_SECONDS; /* one side has ended: the other follows soon, or never */
        if (mesh_udp_now_ns() - look.heard_ns > seconds * 1000000000)
            return 0;
        usleep(LOOK_US);
    }
}

static int end_played(struct run_rank *run, struct fail *fail)
{
    int result = 0;

    atomic_store(&run->clock.is_cancelled, true);
    for (uint16_t r = 0; r < run->rank_count; r++) {
        struct played_rank *p = &run->played[r];
        const struct played_gathers *g = &p->gathers;

        if (r == run->rank)
            continue;
        played_rank_join(p);
        if (p->result < 0 && result == 0) {
            *fail = p->fail;
            result = -1;
        }
        if (p->what[0] != '\0' && run->stuck == NULL) {
            run->stuck = p->what;
            run->stuck_rank = r;
        }
        run->calls += p->calls;
        run->late_ns = p->late_ns > run->late_ns ? p->late_ns : run->late_ns;
        run->sum.compared += g->compared;
        run->sum.different += g->different;
        run->sum.missing += g->missing;
        run->sum.unknown += g->unknown;
        if (p->log.compared > 0 && (run->log.compared == 0 || p->log.different > run->log.different)) {
            run->log = p->log;
            run->log.first = run->log.last = NULL;
            run->log_only_now = played_log_rest(&p->log);
        }
        if (played_is_before(&g->first_difference, &run->sum.first_difference))
            run->sum.first_difference = g->first_difference;
        if (played_is_before(&g->first_missing, &run->sum.first_missing))
            run->sum.first_missing = g->first_missing;
    }
    return result;
}

/* The node has its options from the recording: only the division of the work by its program can differ. */
static void name_the_build(struct fail *fail)
{
    char *hash = strstr(fail->text, "configuration hash"), *advice = hash != NULL ? strstr(hash, ": start all nodes") : NULL;

    if (advice != NULL)
        snprintf(advice, sizeof fail->text - (size_t)(advice - fail->text),
                 ": the recording is of another build, which divides the work otherwise: use that mesh-node, or record again");
}

static int play(struct run_rank *run, struct run_nodes *nodes, const uint8_t fingerprint[32], struct fail *fail)
{
    char peers[PEERS_BYTES];
    int result;

    nodes->count = 1;
    nodes->rank = run->rank;
    if (run_nodes_open(nodes, fail) < 0 || open_sockets(run, nodes, peers, fail) < 0 || start_played(run, fingerprint, fail) < 0 ||
        run_nodes_start_rank(nodes, peers, run->seconds, fail) < 0)
        return -1;
    run->took_ns = mesh_udp_now_ns();
    result = wait_for_all(run, nodes, fail);
    run->took_ns = mesh_udp_now_ns() - run->took_ns;
    if (result < 0)
        name_the_build(fail);
    if (end_played(run, result == 0 ? fail : &(struct fail){0}) < 0)
        result = -1;
    return result == 0 && nodes->pid[0] != 0 ? run_nodes_stop(nodes, fail) : result;
}

static int align(struct run_rank *run, const char *const *paths, size_t path_count, struct fail *fail)
{
    run->clocks = calloc(path_count, sizeof *run->clocks);
    if (run->clocks == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the clocks: close other programs");
    return clocks_align(paths, NULL, path_count, run->clocks, fail);
}

int run_rank_play(struct run_rank *run, struct run_nodes *nodes, const char *const *paths, size_t path_count, struct fail *fail)
{
    uint8_t fingerprint[32];

    if (check_traces(paths, path_count, fail) < 0 || compute_tapes_find(&run->tapes, paths, path_count, fail) < 0 ||
        sort_tapes(run, fail) < 0 || align(run, paths, path_count, fail) < 0)
        return -1;
    for (uint16_t r = 0; r < run->rank_count; r++)
        if ((r != run->rank || r == 0) && read_rank(run, r, nodes, fail) < 0)
            return -1;
    nodes->request = run->rank == 0 ? &run->request : NULL;
    if (check_options(nodes, fail) < 0 || read_fingerprint(run, nodes, fingerprint, fail) < 0)
        return -1;
    return play(run, nodes, fingerprint, fail);
}

void run_rank_release(struct run_rank *run)
{
    atomic_store(&run->clock.is_cancelled, true);
    for (uint16_t r = 0; run->played != NULL && r < run->rank_count; r++)
        played_rank_release(&run->played[r]);
    free(run->played);
    free(run->clocks);
    compute_tapes_release(&run->tapes);
    compute_tokens_release(&run->was);
    compute_tokens_release(&run->is);
}
