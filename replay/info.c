/* mesh-replay info: what a trace holds, for people and as JSON. */
#include <inttypes.h>
#include <string.h>

#include "checks.h"
#include "ending.h"
#include "mesh/program/json.h"
#include "mesh/program/text_decode.h"
#include "progress_line.h"
#include "rows.h"

/* What is counted in every trace: the JSON key, the words for people, and the query. */
struct figure {
    const char *key, *what, *sql;
};

/* clang-format off */
static const struct figure figures[] = {
    {"nodes",             "nodes",                  "SELECT count(*) FROM nodes"},
    {"epochs",            "epochs",                 "SELECT count(*) FROM epochs"},
    {"datagrams",         "datagrams",              "SELECT count(*) FROM datagrams"},
    {"datagrams_sent",    "  sent",                 "SELECT count(*) FROM datagrams WHERE direction = 1"},
    {"datagrams_received","  received",             "SELECT count(*) FROM datagrams WHERE direction = 2"},
    {"tiles",             "  of these tiles",       "SELECT count(*) FROM message_tile"},
    {"payloads",          "  with their data",      "SELECT count(*) FROM datagrams WHERE coding > 0"},
    {"payload_bytes",     "  bytes of data stored", "SELECT coalesce(sum(length(payload)), 0) FROM datagrams"},
    {"lost_tiles",        "tiles lost or late",     "SELECT count(*) FROM lost_tiles"},
    {"stalls",            "stalls",                 "SELECT count(*) FROM stalls"},
    {"inputs",            "inputs of the cores",    "SELECT count(*) FROM inputs"},
    {"outputs",           "outputs of the cores",   "SELECT count(*) FROM outputs"},
    {"requests",          "requests",               "SELECT count(DISTINCT request) FROM requests"},
    {"tokens",            "tokens",                 "SELECT count(*) FROM tokens"},
    {"events",            "events",                 "SELECT count(*) FROM events"},
    {"reports",           "telemetry reports",      "SELECT count(*) FROM reports"},
    {"gaps",              "gaps",                   "SELECT count(*) FROM gaps"},
    {"left_out",          "  rows left out",        "SELECT coalesce(sum(count), 0) FROM gaps"},
};
/* clang-format on */
enum { FIGURE_COUNT = sizeof figures / sizeof *figures };

#define DURATION_SQL                                                                                     \
    "SELECT coalesce(max(t_ns) - min(t_ns), 0) FROM (SELECT min(t_ns) AS t_ns FROM datagrams UNION ALL " \
    "SELECT max(t_ns) FROM datagrams UNION ALL SELECT min(t_ns) FROM inputs UNION ALL SELECT max(t_ns) FROM inputs)"

/* The trace's meta: every key and value. */
static int write_meta(const char *path, struct mesh_trace *trace, struct json *json, struct fail *fail)
{
    struct mesh_trace_value values[2];
    struct mesh_trace_query *query;
    int result = mesh_trace_query(trace, "SELECT key, value FROM meta ORDER BY key", ROWS_OWN_SECONDS, &query);

    while (result == 0 && (result = mesh_trace_query_next(query, values)) == 1) {
        result = 0;
        if (json) {
            json_string(json, values[0].bytes ? values[0].bytes : "", values[1].bytes, values[1].size);
        } else {
            fputs("  ", stdout);
            text_decode_print(stdout, values[0].bytes, values[0].size);
            printf("%*s ", values[0].size < 22 ? 22 - (int)values[0].size : 0, "");
            text_decode_print(stdout, values[1].bytes, values[1].size);
            putchar('\n');
        }
    }
    result = result < 0 ? trace_failed(path, trace, result, fail) : 0;
    mesh_trace_query_end(query);
    return result;
}

struct counted {
    int64_t duration_ns, numbers[FIGURE_COUNT];
    uint64_t faults; /* rows that are not as they were recorded */
    struct mesh_trace_ending ending;
};

static int count_all(const char *path, struct mesh_trace *trace, struct counted *counted, struct fail *fail)
{
    int result = checks_count(path, trace, &counted->faults, fail);

    if (result == 0 && (result = mesh_trace_get_ending(trace, &counted->ending)) != 0)
        return trace_failed(path, trace, result, fail);
    result = result == 0 ? rows_number(path, trace, DURATION_SQL, &counted->duration_ns, fail) : result;

    for (unsigned i = 0; i < FIGURE_COUNT && result == 0; i++)
        result = rows_number(path, trace, figures[i].sql, &counted->numbers[i], fail);
    return result;
}

static int info_json(const char *path, struct mesh_trace *trace, const struct counted *counted, struct fail *fail)
{
    struct json json;
    int result;

    json_init(&json, stdout);
    json_event_begin(&json, "trace");
    json_text(&json, "file", path);
    json_int(&json, "trace_schema", mesh_trace_schema(trace));
    json_int(&json, "duration_ns", counted->duration_ns);
    json_text(&json, "end", ending_word(counted->ending.kind));
    if (counted->ending.until_ns != MESH_TRACE_NULL)
        json_int(&json, "recorded_until_ns", counted->ending.until_ns);
    json_uint(&json, "rows_not_as_recorded", counted->faults);
    for (unsigned i = 0; i < FIGURE_COUNT; i++)
        json_int(&json, figures[i].key, counted->numbers[i]);
    json_object_begin(&json, "meta");
    result = write_meta(path, trace, &json, fail);
    json_object_end(&json);
    json_event_end(&json);
    return result;
}

static int info_text(const char *path, struct mesh_trace *trace, const struct counted *counted, struct fail *fail)
{
    char ending[ENDING_TEXT_BYTES];

    ending_text(&counted->ending, ending);
    printf("%s: a trace of schema %d, %.3f s\n  %s\n", path, mesh_trace_schema(trace), (double)counted->duration_ns / 1e9, ending);
    if (counted->faults > 0)
        printf("  rows that are not as they were recorded: %" PRIu64 ": mesh-replay verify names them\n", counted->faults);
    for (unsigned i = 0; i < FIGURE_COUNT; i++)
        if (counted->numbers[i] != 0)
            printf("  %-22s %" PRId64 "\n", figures[i].what, counted->numbers[i]);
    puts("metadata");
    return write_meta(path, trace, NULL, fail);
}

static int info(const char *path, bool json, struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);
    struct counted counted;
    int result = -1;

    progress_line_begin("info");
    if (trace != NULL && count_all(path, trace, &counted, fail) == 0) {
        progress_line_end();
        result = (json ? info_json : info_text)(path, trace, &counted, fail);
    }
    mesh_trace_close(trace);
    return result;
}

int info_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-replay info TRACE.db ... [--json]", "Show what traces hold.", NULL};
    static const char *const examples[] = {"mesh-replay info run.db run.1.db run.2.db", NULL};
    const char *paths[OPTION_LIST_MAX];
    struct options_operands operands = {.metavar = "at most 64 traces", .max = OPTION_LIST_MAX, .values = paths};
    bool json = false, wants_help = false;
    const struct option_spec specs[] = {
        {.name = "json", .kind = OPTION_FLAG, .target = &json, .help = "one object per trace"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &wants_help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    int result = EXIT_OK;

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (wants_help) {
        options_help(stdout, usage, specs, count, examples);
        return EXIT_OK;
    }
    if (operands.count == 0)
        return fail_set(fail, EXIT_USAGE, "info: no trace: name one: mesh-replay info TRACE.db");
    if (trace_check_unique(paths, operands.count, fail) < 0)
        return -1;
    for (size_t i = 0; i < operands.count && result == EXIT_OK; i++)
        result = info(paths[i], json, fail);
    return result;
}
