/* mesh-replay query: a query in SQL, or one that comes with the program. */
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "rows.h"

struct named_query {
    const char *name, *what, *sql;
};

#define PERCENTILE(part) "max(CASE WHEN place <= count * " part " + 1 THEN latency_ns END) / 1000.0"

/* clang-format off */
static const struct named_query named_queries[] = {
    {"lost", "tiles lost or requested by a NAK, and when they arrived", "SELECT * FROM lost_tiles ORDER BY t_ns"},
    {"stalls", "the longest waits of workers, and for whom", "SELECT * FROM stalls ORDER BY duration_ns DESC LIMIT 100"},
    {"latency", "latency of tiles, by peer",
     "SELECT node, peer, count, min(latency_ns) / 1000.0 AS min_us, " PERCENTILE("0.5") " AS p50_us, " PERCENTILE("0.99") " AS p99_us, "
     "max(latency_ns) / 1000.0 AS max_us, max(is_relative) AS is_relative FROM (SELECT *, "
     "row_number() OVER (PARTITION BY node, peer ORDER BY latency_ns) AS place, count(*) OVER (PARTITION BY node, peer) AS count "
     "FROM tile_latency) GROUP BY node, peer"},
    {"tokens", "tokens and the time since the previous one", "SELECT * FROM token_times ORDER BY request, position"},
    {"requests", "requests, and how they ended", "SELECT id, node, t_ns, request, kind, prompt_tokens, tokens, options, reason FROM requests"},
    {"links", "traffic between each two ranks", "SELECT * FROM links"},
    {"types", "number of datagrams of each type",
     "SELECT coalesce(name, 'foreign') AS name, count(*) AS datagrams, sum(bytes) AS bytes FROM messages GROUP BY 1 ORDER BY 2 DESC"},
    {"messages", "all datagrams", "SELECT * FROM messages ORDER BY id"},
    {"events", "events", "SELECT * FROM events ORDER BY t_ns"},
    {"epochs", "members of each epoch", "SELECT id, node, t_ns, epoch, rank, members, rows FROM epochs ORDER BY id"},
    {"gaps", "gaps in the recording", "SELECT * FROM gaps ORDER BY t_ns"},
    {"meta", "metadata of the trace", "SELECT * FROM meta"},
    {"tables", "tables and views", "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY 1, 2"},
};
/* clang-format on */
enum { NAMED_QUERY_COUNT = sizeof named_queries / sizeof *named_queries };

static void list(FILE *out)
{
    fputs("\nnamed queries:\n", out);
    for (unsigned i = 0; i < NAMED_QUERY_COUNT; i++)
        fprintf(out, "  %-10s %s\n", named_queries[i].name, named_queries[i].what);
}

static const char *find(const char *name, struct fail *fail)
{
    const char *names[NAMED_QUERY_COUNT + 1] = {0};
    const char *nearest;

    for (unsigned i = 0; i < NAMED_QUERY_COUNT; i++) {
        if (strcmp(named_queries[i].name, name) == 0)
            return named_queries[i].sql;
        names[i] = named_queries[i].name;
    }
    nearest = options_nearest(name, names);
    fail_fill(fail, EXIT_USAGE, "--named %.60s: no such query%s%s%s: mesh-replay query --help lists them", name,
              nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return NULL;
}

/* trust: it is a query of our own. */
static int ask(struct rows_query *query, bool trust, struct fail *fail)
{
    int result;

    query->trace = (trust ? trace_open : trace_open_for_any)(query->path, fail);
    if (query->trace == NULL)
        return -1;
    result = rows_write(query, stdout, fail);
    mesh_trace_close(query->trace);
    return result;
}

/* Each trace is asked by itself: ids in its rows are of its own. */
static int ask_all(struct rows_query *query, const char *const *paths, size_t count, bool trust, struct fail *fail)
{
    int result = trace_check_unique(paths, count, fail);

    query->names_trace = count > 1;
    for (size_t i = 0; i < count && result == 0; i++) {
        query->path = paths[i];
        result = ask(query, trust, fail);
    }
    return result;
}

int query_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-replay query TRACE.db ... \"SQL\" | --named NAME",
                                        "Query traces, which are opened read-only. With several, each row begins with its trace.", NULL};
    static const char *const examples[] = {"mesh-replay query run.db run.1.db --named latency",
                                           "mesh-replay query run.db \"SELECT src, count(*) FROM tiles GROUP BY src\"", NULL};
    const char *operands_of[OPTION_LIST_MAX + 1];
    struct options_operands operands = {.metavar = "at most 64 traces and a query", .max = OPTION_LIST_MAX + 1, .values = operands_of};
    unsigned columns = 0;
    struct rows_query query = {.form = ROWS_TEXT, .columns = &columns};
    size_t traces;
    const char *named = NULL;
    bool json = false, csv = false, wants_help = false;
    uint32_t seconds = ROWS_SECONDS;
    const struct option_spec specs[] = {
        {.name = "named", .kind = OPTION_TEXT, .target = &named, .metavar = "NAME", .help = "one of the named queries below"},
        {.name = "json", .kind = OPTION_FLAG, .target = &json, .help = "one object per row"},
        {.name = "csv", .kind = OPTION_FLAG, .target = &csv, .help = "comma-separated, for spreadsheets"},
        {.name = "seconds", .kind = OPTION_U32, .target = &seconds, .min = 1, .max = 86400, .help = "give up after N seconds (60)"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &wants_help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (wants_help) {
        options_help(stdout, usage, specs, count, examples);
        list(stdout);
        return EXIT_OK;
    }
    traces = operands.count - (named == NULL && operands.count > 0); /* without a name, the query is the last word */
    if (traces < 1)
        return fail_set(fail, EXIT_USAGE, "query: needs a trace, and a query in SQL or --named NAME: see mesh-replay query --help");
    if (named == NULL && access(operands_of[traces], F_OK) == 0)
        return fail_set(fail, EXIT_USAGE, "query: no query after %.300s: give one in SQL, or --named NAME: see mesh-replay query --help",
                        operands_of[traces]);
    if (json && csv)
        return fail_set(fail, EXIT_USAGE, "--json and --csv: both given: choose one");
    query.sql = named ? find(named, fail) : operands_of[traces];
    query.seconds = seconds;
    if (json || csv)
        query.form = json ? ROWS_JSON : ROWS_CSV;
    return query.sql != NULL ? ask_all(&query, operands_of, traces, named != NULL, fail) : -1;
}
