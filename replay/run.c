/* mesh-replay run: recorded requests made again to real nodes, or recorded ranks played to one, with the results compared with the
 * recording. */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "clocks.h"
#include "compute.h"
#include "mesh/program/json.h"
#include "progress_line.h"
#include "run_rank.h"

enum { TOGETHER = 4, SECONDS = 60 };

struct settings {
    struct run_limits limits;
    const char *speed_text, *baseline, *junit;
    float speed; /* 0: as fast as they are answered */
    uint32_t nodes, seconds, node;
    bool has_node; /* one real node, of this rank */
    bool json, tap, keep, any_model;
};

struct source {
    char recording[TRACE_RECORDING_BYTES];
    struct compute_tokens tokens; /* of all files of its recording that are named, in the first of them; none in the others */
};

struct run {
    struct settings settings;
    const char *const *paths; /* (path_count) */
    size_t path_count;
    struct source *sources; /* (path_count) */
    struct run_nodes nodes;
    struct run_play play;
    struct run_rank rank;
    struct run_judging judging;
};

/* ---- the recording ---- */

/* As many as in the largest epoch. */
static int count_nodes(const char *path, struct mesh_trace *trace, uint16_t *count, struct fail *fail)
{
    static const char key[] = "\"address\":";
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_epoch row;
    int err = mesh_trace_read(trace, MESH_TRACE_TABLE_EPOCH, 0, &cursor);

    if (err != 0)
        return trace_failed(path, trace, err, fail);
    while ((err = mesh_trace_next(cursor, &row)) == 1) {
        uint16_t members = 0;

        for (const char *at = row.members; at != NULL && (at = strstr(at, key)) != NULL; at += sizeof key - 1)
            members++;
        *count = members > *count ? members : *count;
    }
    mesh_trace_end(cursor);
    return err < 0 ? trace_failed(path, trace, err, fail) : 0;
}

static void read_setup(struct run_nodes *nodes, struct mesh_trace *trace)
{
    nodes->ctx = (uint32_t)trace_meta_number(trace, "ctx", 0);
    nodes->batch = (uint32_t)trace_meta_number(trace, "batch", 0);
    nodes->slots = (uint32_t)trace_meta_number(trace, "slots", 0);
    mesh_trace_get_meta(trace, "kv_type", nodes->kv_type, sizeof nodes->kv_type);
}

/* The number of tokens of a request in a recording, from its first one on without a gap. */
static uint64_t count_tokens(const struct compute_tokens *tokens, uint64_t request)
{
    uint64_t count = 0;

    while (compute_tokens_get(tokens, request, count) != NULL)
        count++;
    return count;
}

/* Take the recording with the most tokens: the node where the request entered may have been killed while the others went on. Requests of
 * mesh-node run, whose ids are counted and not drawn, are in every recording of it. */
static void find_tokens(struct run *run, struct run_request *r)
{
    const struct compute_token *token;

    r->recorded = count_tokens(r->tokens, r->request->id);
    for (size_t i = 0; i < run->path_count && r->request->id > UINT32_MAX; i++) {
        const uint64_t count = count_tokens(&run->sources[i].tokens, r->request->id);

        if (count > r->recorded) {
            r->tokens = &run->sources[i].tokens;
            r->recorded = count;
        }
    }
    for (uint64_t i = 0; (token = compute_tokens_get(r->tokens, r->request->id, i)) != NULL; i++)
        r->has_digests |= token->digest != MESH_TRACE_NULL;
}

/* The first named file of the same recording. */
static struct source *first_of(const struct run *run, size_t index)
{
    const char *recording = run->sources[index].recording;
    size_t first = recording[0] != '\0' ? 0 : index;

    while (strcmp(run->sources[first].recording, recording) != 0)
        first++;
    return &run->sources[first];
}

/* Each is of one node, in as many files as it has. */
static uint16_t recordings_before(const struct run *run, size_t index)
{
    uint16_t count = 0;

    for (size_t i = 0; i < index; i++)
        if (first_of(run, i) == &run->sources[i])
            count++;
    return count;
}

static int add_requests(struct run *run, size_t index, const struct mesh_trace_clock *clock, struct fail *fail)
{
    const struct compute_tokens *tokens = &run->sources[index].tokens;
    const size_t count = run->play.count + tokens->request_count;
    const uint16_t node = recordings_before(run, index);
    struct run_request *grown = count > 0 ? realloc(run->play.requests, count * sizeof *grown) : run->play.requests;

    if (count > 0 && grown == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the requests: close other programs");
    run->play.requests = grown;
    for (size_t i = 0; i < tokens->request_count; i++) {
        run->play.requests[run->play.count++] = (struct run_request){.request = &tokens->requests[i],
                                                                     .tokens = tokens,
                                                                     .node = node,
                                                                     .at_ns = mesh_trace_clock_first_ns(clock, tokens->request_ns[i])};
    }
    return 0;
}

static int read_trace(struct run *run, size_t index, struct fail *fail)
{
    const char *path = run->paths[index];
    struct mesh_trace *trace = trace_open(path, fail);
    int result;

    if (trace == NULL)
        return -1;
    if (trace_is_blank(trace)) {
        mesh_trace_close(trace);
        return 0;
    }
    trace_recording(trace, run->sources[index].recording);
    result = compute_check_payloads(path, trace, fail);
    if (result == 0)
        result = compute_tokens_read(&first_of(run, index)->tokens, path, trace, fail);
    if (result == 0)
        result = count_nodes(path, trace, &run->nodes.count, fail);
    if (result == 0 && index == 0)
        read_setup(&run->nodes, trace);
    mesh_trace_close(trace);
    return result;
}

static int by_time(const void *a, const void *b)
{
    const struct run_request *x = a, *y = b;

    return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

/* Requests that entered at several nodes are in the order of one clock. */
static int read_all(struct run *run, struct fail *fail)
{
    struct mesh_trace_clock *clocks = calloc(run->path_count, sizeof *clocks);
    int result = clocks != NULL ? clocks_align(run->paths, NULL, run->path_count, clocks, fail)
                                : fail_set(fail, EXIT_ENVIRONMENT, "no memory for the clocks: close other programs");

    for (size_t i = 0; i < run->path_count && result == 0; i++)
        result = read_trace(run, i, fail);
    for (size_t i = 0; i < run->path_count && result == 0; i++)
        result = add_requests(run, i, &clocks[i], fail);
    free(clocks);
    return result;
}

static int read_traces(struct run *run, struct fail *fail)
{
    int result = read_all(run, fail);

    if (result != 0)
        return result;
    if (run->play.count == 0)
        return fail_set(fail, EXIT_SKIPPED, "%.300s: no request with a prompt in it: name the trace of the node that was asked",
                        run->paths[0]);
    qsort(run->play.requests, run->play.count, sizeof *run->play.requests, by_time);
    if (run->settings.nodes > 0)
        run->nodes.count = (uint16_t)run->settings.nodes;
    if (run->nodes.count == 0)
        run->nodes.count = 1;
    if (run->nodes.count > RUN_NODES_MAX)
        return fail_set(fail, EXIT_USAGE, "%u nodes were recorded, and at most %d are started here: give --nodes", run->nodes.count,
                        RUN_NODES_MAX);
    for (size_t i = 0; i < run->play.count; i++) {
        find_tokens(run, &run->play.requests[i]);
        run->play.requests[i].node = (uint16_t)(run->play.requests[i].node % run->nodes.count);
    }
    return 0;
}

/* ---- the report ---- */

struct sum {
    size_t passed, failed, skipped;
};

static struct sum sum_of(const struct run_cases *cases)
{
    struct sum sum = {0};

    for (size_t i = 0; i < cases->count; i++) {
        sum.passed += cases->verdicts[i].kind == VERDICT_PASS;
        sum.failed += cases->verdicts[i].kind == VERDICT_FAIL;
        sum.skipped += cases->verdicts[i].kind == VERDICT_SKIP;
    }
    return sum;
}

static void write_text(const struct run *run)
{
    static const char *const words[] = {[VERDICT_PASS] = "ok", [VERDICT_FAIL] = "NOT OK", [VERDICT_SKIP] = "skipped"};
    const struct run_cases *cases = &run->judging.cases;
    const struct sum sum = sum_of(cases);

    if (run->settings.has_node)
        printf("a node as rank %u among %u that are played\n", run->rank.rank, run->rank.rank_count - 1u);
    else
        printf("%zu request%s asked of %u node%s\n", run->play.count, run->play.count == 1 ? "" : "s", run->nodes.count,
               run->nodes.count == 1 ? "" : "s");
    for (size_t i = 0; i < cases->count; i++)
        printf("%s: %s: %s\n", words[cases->verdicts[i].kind], cases->verdicts[i].name, cases->verdicts[i].what);
    printf("%zu passed, %zu failed, %zu skipped\n", sum.passed, sum.failed, sum.skipped);
}

static void write_json(const struct run *run)
{
    static const char *const words[] = {[VERDICT_PASS] = "pass", [VERDICT_FAIL] = "fail", [VERDICT_SKIP] = "skip"};
    const struct run_cases *cases = &run->judging.cases;
    const struct sum sum = sum_of(cases);
    struct json json;

    json_init(&json, stdout);
    for (size_t i = 0; i < cases->count; i++) {
        json_event_begin(&json, "case");
        json_text(&json, "name", cases->verdicts[i].name);
        json_text(&json, "verdict", words[cases->verdicts[i].kind]);
        json_text(&json, "what", cases->verdicts[i].what);
        for (unsigned k = 0; k < RUN_FIGURES && cases->figures[i][k].key[0] != '\0'; k++)
            json_double(&json, cases->figures[i][k].key, cases->figures[i][k].value);
        json_event_end(&json);
    }
    json_event_begin(&json, "summary");
    json_uint(&json, "nodes", run->nodes.count);
    if (run->settings.has_node) {
        json_uint(&json, "rank", run->rank.rank);
        json_uint(&json, "played", run->rank.rank_count - 1u);
        json_uint(&json, "calls", run->rank.calls);
        json_uint(&json, "late_ns", run->rank.late_ns);
        json_uint(&json, "blocks", run->rank.sum.compared);
        json_uint(&json, "different", run->rank.sum.different);
        json_uint(&json, "missing", run->rank.sum.missing);
        if (run->rank.rank == 0)
            json_uint(&json, "records", run->rank.log.compared);
    } else {
        json_uint(&json, "requests", run->play.count);
    }
    json_uint(&json, "passed", sum.passed);
    json_uint(&json, "failed", sum.failed);
    json_uint(&json, "skipped", sum.skipped);
    json_event_end(&json);
}

static int report(const struct run *run, struct fail *fail)
{
    const struct settings *settings = &run->settings;
    const struct run_cases *cases = &run->judging.cases;

    progress_line_end();
    if (settings->json)
        write_json(run);
    else if (settings->tap)
        verdict_write_tap(stdout, cases->verdicts, cases->count);
    else
        write_text(run);
    if (settings->junit != NULL && verdict_save_junit(settings->junit, "mesh-replay run", cases->verdicts, cases->count, fail) < 0)
        return -1;
    return sum_of(cases).failed > 0 ? EXIT_DIFFERENCE : EXIT_OK;
}

/* ---- all of it ---- */

static int play_requests(struct run *run, struct fail *fail)
{
    return read_traces(run, fail) != 0 || run_nodes_start(&run->nodes, run->settings.seconds, fail) != 0 ||
                   run_play(&run->play, &run->nodes, fail) != 0
               ? -1
               : run_nodes_stop(&run->nodes, fail);
}

/* The recording that node 0 is compared with: of its rank if that was named, else the first one. A real node among played ones is compared
 * with its own; NULL: that was not named. */
static int find_own(const struct run *run, const char **own, struct fail *fail)
{
    *own = run->rank.own_path;
    for (size_t i = 0; i < run->path_count && *own == NULL && !run->settings.has_node; i++) {
        int64_t rank;

        if (run_judge_rank(run->paths[i], &rank, fail) != 0)
            return -1;
        if (rank == 0)
            *own = run->paths[i];
    }
    if (*own == NULL && !run->settings.has_node)
        *own = run->paths[0];
    return 0;
}

static int run_all(struct run *run, struct fail *fail)
{
    const struct settings *s = &run->settings;
    struct run_judging *judging = &run->judging;
    const char *own;

    if ((s->has_node ? run_rank_play(&run->rank, &run->nodes, run->paths, run->path_count, fail) : play_requests(run, fail)) != 0 ||
        find_own(run, &own, fail) != 0)
        return -1;
    *judging = (struct run_judging){.play = &run->play,
                                    .nodes = &run->nodes,
                                    .paths = run->paths,
                                    .path_count = run->path_count,
                                    .baseline = s->baseline != NULL ? s->baseline : own,
                                    .is_baseline_named = s->baseline != NULL,
                                    .limits = &s->limits};
    return (s->has_node ? run_rank_judge(&run->rank, judging, fail) : run_judge(judging, fail)) == 0 ? report(run, fail) : -1;
}

static int play_traces(const struct settings *settings, const char *const *paths, size_t path_count, char *const *command, int words,
                       struct fail *fail)
{
    struct run run = {.settings = *settings, .paths = paths, .path_count = path_count};
    int result = -1;

    run.nodes.command = command;
    run.nodes.keeps_folder = settings->keep;
    run.nodes.words = words;
    run.play.speed = settings->speed;
    run.play.seconds = settings->seconds;
    run.play.together = TOGETHER;
    run.rank.rank = (uint16_t)settings->node;
    run.rank.speed = settings->speed;
    run.rank.seconds = settings->seconds;
    run.rank.any_model = settings->any_model;
    run.sources = calloc(path_count, sizeof *run.sources);
    if (run.sources == NULL)
        fail_set(fail, EXIT_ENVIRONMENT, "no memory for the traces: close other programs");
    else
        result = run_all(&run, fail);
    if (settings->keep && run.nodes.folder[0] != '\0')
        fprintf(stderr, "kept: %s\n", run.nodes.folder);
    run_rank_release(&run.rank);
    run_nodes_release(&run.nodes);
    run_cases_release(&run.judging.cases);
    for (size_t i = 0; i < path_count && run.sources != NULL; i++)
        compute_tokens_release(&run.sources[i].tokens);
    free(run.sources);
    free(run.play.requests);
    return result;
}

/* ---- the command line ---- */

static int read_speed(struct settings *settings, struct fail *fail)
{
    char *end;

    settings->speed = 1;
    if (settings->speed_text == NULL)
        return 0;
    if (strcmp(settings->speed_text, "max") == 0) {
        settings->speed = 0;
        return 0;
    }
    settings->speed = strtof(settings->speed_text, &end);
    if (end == settings->speed_text || *end != '\0' || !(settings->speed >= 0.001f && settings->speed <= 1e6f))
        return fail_set(fail, EXIT_USAGE, "--speed %.40s: no such speed: give a factor such as 1 or 10, or max", settings->speed_text);
    return 0;
}

static int check(struct settings *settings, size_t path_count, int words, char *const *command, struct fail *fail)
{
    const char *part = settings->has_node ? "run" : "serve";

    if (path_count == 0)
        return fail_set(fail, EXIT_USAGE, "run: no trace: name one: mesh-replay run TRACE.db -- mesh-node serve -m MODEL.gguf");
    if (words < 2 || words > RUN_ARGUMENTS_MAX)
        return fail_set(fail, EXIT_USAGE, "run: no nodes to start: say how after --, as in: -- mesh-node %s -m MODEL.gguf", part);
    if (strcmp(command[1], part) != 0)
        return fail_set(fail, EXIT_USAGE, "run: -- %s %.40s: %s --node it is mesh-node %s that is started: give %s, or %s --node RANK",
                        command[0], command[1], settings->has_node ? "with" : "without", part, part,
                        settings->has_node ? "leave out" : "add");
    if (run_words_check(command, words, fail) < 0)
        return -1;
    if (settings->has_node && settings->nodes > 0)
        return fail_set(fail, EXIT_USAGE, "--node and --nodes: both given: one node is real, or all of them");
    if (settings->any_model && !settings->has_node)
        return fail_set(fail, EXIT_USAGE, "--any-model: goes with --node: give both, or none");
    if (settings->json && settings->tap)
        return fail_set(fail, EXIT_USAGE, "--json and --tap: both given: choose one");
    return read_speed(settings, fail);
}

static int own_words(int argc, char *const *argv)
{
    int count = 0;

    while (count < argc && strcmp(argv[count], "--") != 0)
        count++;
    return count;
}

int run_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-replay run TRACE.db ... [options] -- mesh-node serve -m MODEL.gguf [...]",
                                        "mesh-replay run TRACE.db ... --node RANK [options] -- mesh-node run -m MODEL.gguf [...]",
                                        "Start as many real nodes as were recorded, on the loopback, send them the recorded requests",
                                        "at the recorded times, and compare tokens and tiles. Or start one real node and play",
                                        "all other ranks towards it.",
                                        "Exit code 1: something differs, or a limit is exceeded.",
                                        NULL};
    static const char *const examples[] = {"mesh-replay run run.db --max-p99-us 2000 --junit run.xml -- mesh-node serve -m model.gguf",
                                           "mesh-replay run run.db run.1.db run.2.db --node 1 -- mesh-node run -m model.gguf", NULL};
    const char *paths[OPTION_LIST_MAX];
    struct options_operands operands = {.metavar = "at most 64 traces", .max = OPTION_LIST_MAX, .values = paths};
    struct settings s = {.seconds = SECONDS};
    struct run_limits *l = &s.limits;
    const int own = own_words(argc, argv), words = argc > own ? argc - own - 1 : 0;
    bool wants_help = false;
    uint64_t faults;
    /* clang-format off */
    const struct option_spec specs[] = {
        {.name = "speed", .kind = OPTION_TEXT, .target = &s.speed_text, .metavar = "1|X|max", .help = "pace of requests: as recorded (1), X times as fast"},
        {.name = "node", .kind = OPTION_U32, .target = &s.node, .was_set = &s.has_node, .max = MESH_RANKS_MAX - 1, .metavar = "RANK", .help = "start one real node, as this rank; the others are played"},
        {.name = "any-model", .kind = OPTION_FLAG, .target = &s.any_model, .help = "with --node: accept one of another fingerprint"},
        {.name = "nodes", .kind = OPTION_U32, .target = &s.nodes, .min = 1, .max = RUN_NODES_MAX, .help = "nodes to start (as many as recorded)"},
        {.name = "max-p99-us", .kind = OPTION_FLOAT, .target = &l->p99_us, .was_set = &l->has_p99, .float_max = 1e12, .metavar = "US", .help = "limit of the p99 latency of tiles, on any node"},
        {.name = "min-tok-s", .kind = OPTION_FLOAT, .target = &l->tokens_per_s, .was_set = &l->has_tokens_per_s, .float_max = 1e9, .metavar = "N", .help = "least tokens per second of every request"},
        {.name = "max-loss", .kind = OPTION_FLOAT, .target = &l->loss_percent, .was_set = &l->has_loss, .float_max = 100, .metavar = "PERCENT", .help = "limit of tiles requested by a NAK"},
        {.name = "max-slower", .kind = OPTION_FLOAT, .target = &l->slower_percent, .was_set = &l->has_slower, .float_max = 1e6, .metavar = "PERCENT", .help = "limit of each node's slowdown against its baseline, beyond noise"},
        {.name = "baseline", .kind = OPTION_TEXT, .target = &s.baseline, .metavar = "TRACE.db", .help = "to compare timing with (the named ones)"},
        {.name = "json", .kind = OPTION_FLAG, .target = &s.json, .help = "one object per case, and a summary"},
        {.name = "tap", .kind = OPTION_FLAG, .target = &s.tap, .help = "a test per case, as TAP"},
        {.name = "junit", .kind = OPTION_TEXT, .target = &s.junit, .metavar = "FILE", .help = "also write a test per case, as JUnit XML"},
        {.name = "wait", .kind = OPTION_U32, .target = &s.seconds, .min = 1, .max = 86400, .metavar = "SECONDS", .help = "timeout for the cluster to form, and for any answer (60)"},
        {.name = "keep", .kind = OPTION_FLAG, .target = &s.keep, .help = "keep the folder with the nodes' logs and traces"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &wants_help, .help = "this text"},
    };
    /* clang-format on */
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, own, argv, &operands, fail) < 0)
        return -1;
    if (wants_help) {
        options_help(stdout, usage, specs, count, examples);
        return EXIT_OK;
    }
    if (check(&s, operands.count, words, argv + own + 1, fail) < 0 ||
        trace_check_output("--junit", s.junit, paths, operands.count, fail) < 0 || trace_check_unique(paths, operands.count, fail) < 0)
        return -1;
    if (trace_order(paths, operands.count, fail) != 0 || checks_tell(paths, operands.count, &faults, fail) != 0)
        return -1;
    return play_traces(&s, paths, operands.count, argv + own + 1, words, fail);
}
