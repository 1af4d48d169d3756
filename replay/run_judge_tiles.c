/* Tiles of a replay: compared one by one with those of the recording where these have the same places, else recomputed. */
#include <inttypes.h>

#include "compute.h"
#include "rows.h"
#include "run_judge.h"

/* ---- one by one ---- */

static void say_tiles(struct run_cases *cases, const struct diff_tiles *tiles)
{
    if (tiles->verdict == DIFF_SAME)
        run_case_say(cases, VERDICT_PASS, "the same: %" PRIu64 " of the same place; %" PRIu64 " and %" PRIu64 " were cut otherwise",
                     tiles->aligned, tiles->only[0], tiles->only[1]);
    else if (tiles->verdict == DIFF_DIFFERENT)
        run_case_say(cases, VERDICT_FAIL,
                     "%" PRIu64 " of %" PRIu64 " differ, the first in step %" PRId64 ", phase %" PRId64 ", token %" PRId64
                     ", block %" PRId64 ", of rank %" PRId64,
                     tiles->different, tiles->aligned, tiles->step, tiles->phase, tiles->token, tiles->block, tiles->src);
    else
        run_case_say(cases, VERDICT_SKIP, "none of the same place: the rows were divided otherwise, or a node was alone");
}

/* Compare with the node that has the same rank now. */
static int judge_tiles(struct run_judging *j, size_t index, struct fail *fail)
{
    struct diff diff = {.paths = {j->paths[index], NULL}};
    int64_t rank = -1;
    int result = run_judge_rank(j->paths[index], &rank, fail);

    if (result != 0 || rank < 0 || rank >= j->nodes->count)
        return result;
    run_case_begin(&j->cases, "tiles that rank %" PRId64 " sent and received", rank);
    diff.paths[1] = j->nodes->trace[rank];
    result = run_judge_open(&diff, fail);
    if (result == 0)
        result = diff_tiles(&diff, fail);
    if (result == 0)
        say_tiles(&j->cases, &diff.tiles);
    run_judge_close(&diff);
    return result;
}

/* ---- recomputed ---- */

static void say_computed(struct run_cases *cases, const struct compute *computed)
{
    uint64_t tiles = 0, blocks = 0, tokens = 0;

    for (size_t i = 0; i < computed->count; i++) {
        const struct compute_case *one = &computed->cases[i];

        if (one->state == COMPUTE_DIFFERS) {
            run_case_say(cases, VERDICT_FAIL, "%.100s: %.250s", one->name, one->what);
            return;
        }
        tiles += one->tiles;
        blocks += one->blocks;
        tokens += one->tokens;
    }
    if (blocks == 0 && tokens == 0) {
        run_case_say(cases, VERDICT_SKIP, "this run recorded nothing that can be computed");
        return;
    }
    run_case_say(cases, VERDICT_PASS, "the same bits: %" PRIu64 " tiles, %" PRIu64 " blocks, %" PRIu64 " tokens of all nodes' traces",
                 tiles, blocks, tokens);
}

/* Where tiles of this run have no counterpart in the recording, they have to be what the model gives. */
static int judge_computed(struct run_judging *j, struct fail *fail)
{
    const char *long_name = run_nodes_option(j->nodes, "--model"),
               *model = long_name != NULL ? long_name : run_nodes_option(j->nodes, "-m");
    const struct compute_options options = {.model = model};
    const char *paths[RUN_NODES_MAX];
    struct compute computed = {0};
    int result;

    run_case_begin(&j->cases, "tiles of this run, recomputed");
    if (model == NULL) {
        run_case_say(&j->cases, VERDICT_SKIP,
                     "steps of this run and of the recording do not correspond (several requests, or a change of members): give "
                     "-m MODEL.gguf after --");
        return 0;
    }
    for (uint16_t i = 0; i < j->nodes->count; i++)
        paths[i] = j->nodes->trace[i];
    result = compute_run(&computed, &options, paths, j->nodes->count, fail);
    if (result == 0)
        say_computed(&j->cases, &computed);
    compute_release(&computed);
    return result;
}

/* ---- which of both ---- */

/* Of tokens: the least and the greatest request, and epoch in which they were drawn. */
struct drawn {
    int64_t requests[2], epochs[2];
};

static void widen(int64_t range[2], const struct mesh_trace_value *least, const struct mesh_trace_value *greatest)
{
    if (least->kind != MESH_TRACE_VALUE_INTEGER || greatest->kind != MESH_TRACE_VALUE_INTEGER)
        return;
    range[0] = least->integer < range[0] ? least->integer : range[0];
    range[1] = greatest->integer > range[1] ? greatest->integer : range[1];
}

static int take_drawn(void *context, const struct mesh_trace_value *values)
{
    struct drawn *drawn = context;

    widen(drawn->requests, &values[0], &values[1]);
    widen(drawn->epochs, &values[2], &values[3]);
    return 0;
}

/* Did all tokens in these traces belong to one request, and come from one epoch? Else steps with the same number are not the same steps:
 * requests of clients whose node's trace is not named take some, and each epoch counts anew. */
static int check_steps(const char *const *paths, size_t count, bool *are_alike, struct fail *fail)
{
    static const char sql[] = "SELECT min(request), max(request), min(epoch), max(epoch) FROM (SELECT t.request, "
                              "(SELECT max(e.epoch) FROM epochs e WHERE e.t_ns <= t.t_ns) AS epoch FROM tokens t)";
    struct drawn drawn = {{INT64_MAX, INT64_MIN}, {INT64_MAX, INT64_MIN}};
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++) {
        struct mesh_trace *trace = trace_open(paths[i], fail);

        result = trace != NULL ? rows_each(paths[i], trace, sql, take_drawn, &drawn, fail) : -1;
        mesh_trace_close(trace);
    }
    *are_alike = *are_alike && drawn.requests[0] >= drawn.requests[1] && drawn.epochs[0] >= drawn.epochs[1];
    return result;
}

int run_judge_tiles(struct run_judging *j, struct fail *fail)
{
    const char *now[RUN_NODES_MAX];
    bool are_alike = j->play->count == 1;
    int result = check_steps(j->paths, j->path_count, &are_alike, fail);

    for (uint16_t i = 0; i < j->nodes->count; i++)
        now[i] = j->nodes->trace[i];
    if (result == 0)
        result = check_steps(now, j->nodes->count, &are_alike, fail);
    if (result == 0 && !are_alike)
        return judge_computed(j, fail);
    for (size_t i = 0; i < j->path_count && result == 0; i++)
        result = judge_tiles(j, i, fail);
    return result;
}
