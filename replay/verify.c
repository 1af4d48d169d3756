/* mesh-replay verify: does the same input still give the same output? */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "compute.h"
#include "mesh/program/json.h"
#include "progress_line.h"
#include "verdict.h"
#include "verify_tapes.h"

enum { WHAT_BYTES = 400 };

/* Text about one core. */
struct description {
    char what[WHAT_BYTES];
    char *detail; /* owned */
};

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* ---- a difference ---- */

static void write_line(void *user, const struct mesh_tape_line *line)
{
    FILE *out = user;

    if (!line->is_same)
        fprintf(out, "  %-24s %-34s %s\n", line->name, line->expected ? line->expected : "-", line->actual ? line->actual : "-");
}

static void write_entry(FILE *out, const char *what, const struct mesh_tape_entry *entry)
{
    char text[700];

    mesh_tape_text(entry, text, sizeof text);
    fprintf(out, "  %s%.600s\n", what, text);
}

static const struct mesh_tape_entry *present(const struct mesh_tape_entry *entry)
{
    return entry->call.kind != 0 ? entry : NULL;
}

static void write_difference(FILE *out, const struct verify_core *core)
{
    const struct mesh_rerun_difference *difference = mesh_rerun_difference(core->rerun);

    if (difference->input.call.kind != 0) {
        fprintf(out, "  the last input is call %" PRIu64 ":\n", core->first + difference->input_index);
        write_entry(out, "  ", &difference->input);
    }
    fprintf(out, "  %-24s %-34s %s\n", "", "recorded", "now");
    mesh_tape_compare(present(&difference->expected), present(&difference->actual), write_line, out);
}

static const char *summary_of(const struct mesh_rerun_difference *difference)
{
    switch (difference->outcome) {
    case MESH_RERUN_MISSING:
        return "the core gives none where one was recorded";
    case MESH_RERUN_IMPOSSIBLE:
        return difference->reason;
    case MESH_RERUN_EXTRA:
        return "the core gives one that was not recorded";
    default:
        return "it differs from the recorded one";
    }
}

/* ---- one core ---- */

static void describe_same(const struct verify_core *core, char what[WHAT_BYTES])
{
    struct mesh_rerun_stats stats;
    double span;

    mesh_rerun_get_stats(core->rerun, &stats);
    span = seconds(stats.last_ns - stats.first_ns);
    snprintf(what, WHAT_BYTES, "%s: %" PRIu64 " calls, %" PRIu64 " datagrams in and %" PRIu64 " out, %.3f s in %.3f s%s%s",
             core->state == VERIFY_CUT ? "the same up to a gap" : "the same", stats.entries, stats.datagrams_in, stats.datagrams_out, span,
             seconds(core->took_ns), core->why[0] != '\0' ? "; " : "", core->why);
}

static void describe(const struct verify_core *core, struct description *description)
{
    size_t bytes;
    FILE *out;

    if (core->state == VERIFY_SKIPPED) {
        snprintf(description->what, sizeof description->what, "skipped: %s", core->why);
    } else if (core->state != VERIFY_DIFFERS) {
        describe_same(core, description->what);
    } else {
        const struct mesh_rerun_difference *difference = mesh_rerun_difference(core->rerun);

        snprintf(description->what, sizeof description->what, "another output: at call %" PRIu64 " %s", core->first + difference->index,
                 summary_of(difference));
        out = open_memstream(&description->detail, &bytes);
        if (out != NULL) {
            write_difference(out, core);
            fclose(out);
        }
    }
}

static enum verdict_kind kind_of(const struct verify_core *core)
{
    return core->state == VERIFY_DIFFERS ? VERDICT_FAIL : core->state == VERIFY_SKIPPED ? VERDICT_SKIP : VERDICT_PASS;
}

/* ---- all of them ---- */

struct sum {
    uint64_t same, different, cut, skipped;
    uint64_t entries, datagrams, payloads_compared, payloads_unknown, span_ns, took_ns;
};

static struct sum sum_of(const struct verify *verify)
{
    struct sum sum = {0};

    for (size_t i = 0; i < verify->count; i++) {
        const struct verify_core *core = &verify->cores[i];
        struct mesh_rerun_stats stats = {0};

        if (core->rerun != NULL)
            mesh_rerun_get_stats(core->rerun, &stats);
        sum.same += core->state == VERIFY_SAME;
        sum.different += core->state == VERIFY_DIFFERS;
        sum.cut += core->state == VERIFY_CUT;
        sum.skipped += core->state == VERIFY_SKIPPED;
        sum.entries += stats.entries;
        sum.datagrams += stats.datagrams_in + stats.datagrams_out;
        sum.payloads_compared += stats.payloads_compared;
        sum.payloads_unknown += stats.payloads_unknown;
        sum.span_ns += stats.last_ns - stats.first_ns;
        sum.took_ns += core->took_ns;
    }
    return sum;
}

static uint64_t count_of(const struct compute *compute, enum compute_state state)
{
    uint64_t count = 0;

    for (size_t i = 0; i < compute->count; i++)
        count += compute->cases[i].state == state;
    return count;
}

static void write_computed(const struct compute *compute)
{
    for (size_t i = 0; i < compute->count; i++)
        printf("%s: %s\n%s", compute->cases[i].name, compute->cases[i].what,
               compute->cases[i].detail != NULL ? compute->cases[i].detail : "");
    printf("computed: %" PRIu64 " the same, %" PRIu64 " different, %" PRIu64 " skipped; %" PRIu64 " recorded tokens were not compared\n",
           count_of(compute, COMPUTE_SAME), count_of(compute, COMPUTE_DIFFERS), count_of(compute, COMPUTE_SKIPPED),
           compute->tokens_not_compared);
}

static void write_text(const struct verify *verify, const struct description *description)
{
    const struct sum sum = sum_of(verify);

    for (size_t i = 0; i < verify->count; i++)
        printf("%s: %s\n%s", verify->cores[i].name, description[i].what, description[i].detail != NULL ? description[i].detail : "");
    printf("%" PRIu64 " the same, %" PRIu64 " different, %" PRIu64 " cut short, %" PRIu64 " skipped; ", sum.same, sum.different, sum.cut,
           sum.skipped);
    if (sum.took_ns > 0)
        printf("%.0f datagrams/s, %.0f times real time; ", (double)sum.datagrams / seconds(sum.took_ns),
               (double)sum.span_ns / (double)sum.took_ns);
    printf("data of %" PRIu64 " datagrams and events compared, of %" PRIu64 " not recorded\n", sum.payloads_compared, sum.payloads_unknown);
}

static void write_line_json(void *user, const struct mesh_tape_line *line)
{
    struct json *json = user;

    if (line->is_same)
        return;
    json_object_begin(json, NULL);
    json_text(json, "name", line->name);
    if (line->expected != NULL)
        json_text(json, "expected", line->expected);
    if (line->actual != NULL)
        json_text(json, "actual", line->actual);
    json_object_end(json);
}

static void write_core_json(struct json *json, const struct verify_core *core)
{
    static const char *const states[] = {"running", "same", "different", "cut", "skipped"};
    struct mesh_rerun_stats stats = {0};

    if (core->rerun != NULL)
        mesh_rerun_get_stats(core->rerun, &stats);
    json_event_begin(json, "core");
    json_text(json, "name", core->name);
    json_text(json, "file", core->path);
    json_text(json, "core",
              core->core == MESH_TRACE_CORE_CLUSTER   ? "cluster"
              : core->core == MESH_TRACE_CORE_SESSION ? "sessions"
                                                      : "endpoint");
    json_uint(json, "instance", core->instance);
    json_text(json, "state", states[core->state]);
    json_text(json, "why", core->why);
    json_uint(json, "calls", stats.entries);
    json_uint(json, "datagrams_received", stats.datagrams_in);
    json_uint(json, "datagrams_sent", stats.datagrams_out);
    json_uint(json, "span_ns", stats.last_ns - stats.first_ns);
    json_uint(json, "took_ns", core->took_ns);
    if (core->state == VERIFY_DIFFERS) {
        const struct mesh_rerun_difference *difference = mesh_rerun_difference(core->rerun);

        json_uint(json, "call", core->first + difference->index);
        json_uint(json, "input", core->first + difference->input_index);
        json_text(json, "difference", summary_of(difference));
        json_array_begin(json, "fields");
        mesh_tape_compare(present(&difference->expected), present(&difference->actual), write_line_json, json);
        json_array_end(json);
    }
    json_event_end(json);
}

static void write_json(const struct verify *verify, const struct compute *compute)
{
    const struct sum sum = sum_of(verify);
    struct json json;

    json_init(&json, stdout);
    for (size_t i = 0; i < verify->count; i++)
        write_core_json(&json, &verify->cores[i]);
    for (size_t i = 0; compute != NULL && i < compute->count; i++)
        compute_write_json(&json, &compute->cases[i]);
    json_event_begin(&json, "summary");
    json_uint(&json, "cores", verify->count);
    json_uint(&json, "same", sum.same);
    json_uint(&json, "different", sum.different);
    json_uint(&json, "cut", sum.cut);
    json_uint(&json, "skipped", sum.skipped);
    json_uint(&json, "calls", sum.entries);
    json_uint(&json, "datagrams", sum.datagrams);
    json_uint(&json, "payloads_compared", sum.payloads_compared);
    json_uint(&json, "payloads_unknown", sum.payloads_unknown);
    json_uint(&json, "span_ns", sum.span_ns);
    json_uint(&json, "took_ns", sum.took_ns);
    if (compute != NULL) {
        json_uint(&json, "computed", compute->count);
        json_uint(&json, "computed_different", count_of(compute, COMPUTE_DIFFERS));
        json_uint(&json, "tokens_not_compared", compute->tokens_not_compared);
    }
    json_event_end(&json);
}

enum form { FORM_TEXT, FORM_JSON, FORM_TAP };

static const enum verdict_kind kind_of_computed[] = {
    [COMPUTE_SAME] = VERDICT_PASS, [COMPUTE_DIFFERS] = VERDICT_FAIL, [COMPUTE_SKIPPED] = VERDICT_SKIP};

static void fill_verdicts(const struct verify *verify, const struct compute *compute, struct description *description,
                          struct verdict *verdicts)
{
    for (size_t i = 0; i < verify->count; i++) {
        const struct verify_core *core = &verify->cores[i];

        describe(core, &description[i]);
        verdicts[i] = (struct verdict){core->name, kind_of(core), description[i].what, description[i].detail, seconds(core->took_ns)};
    }
    for (size_t i = 0; compute != NULL && i < compute->count; i++) {
        const struct compute_case *one = &compute->cases[i];

        verdicts[verify->count + i] =
            (struct verdict){one->name, kind_of_computed[one->state], one->what, one->detail, seconds(one->took_ns)};
    }
}

/* compute: NULL: nothing was computed. */
static int report(const struct verify *verify, const struct compute *compute, enum form form, const char *junit, struct fail *fail)
{
    const size_t count = verify->count + (compute != NULL ? compute->count : 0);
    struct description *description = calloc(verify->count + 1, sizeof *description);
    struct verdict *verdicts = calloc(count + 1, sizeof *verdicts);
    int result = 0;

    progress_line_end();
    if (description == NULL || verdicts == NULL)
        result = fail_set(fail, EXIT_ENVIRONMENT, "no memory for the report: close other programs");
    else
        fill_verdicts(verify, compute, description, verdicts);
    if (result == 0 && form == FORM_TEXT)
        write_text(verify, description);
    if (result == 0 && form == FORM_TEXT && compute != NULL)
        write_computed(compute);
    else if (result == 0 && form == FORM_JSON)
        write_json(verify, compute);
    else if (result == 0 && form == FORM_TAP)
        verdict_write_tap(stdout, verdicts, count);
    if (result == 0 && junit != NULL)
        result = verdict_save_junit(junit, "mesh-replay verify", verdicts, count, fail);
    for (size_t i = 0; description != NULL && i < verify->count; i++)
        free(description[i].detail);
    free(description);
    free(verdicts);
    return result;
}

static int outcome(const struct verify *verify, const struct compute *compute)
{
    const struct sum sum = sum_of(verify);

    if (sum.different + count_of(compute, COMPUTE_DIFFERS) > 0)
        return EXIT_DIFFERENCE;
    return sum.same + sum.cut + count_of(compute, COMPUTE_SAME) > 0 ? EXIT_OK : EXIT_SKIPPED;
}

/* computing: NULL: without a model. */
static int verify_traces(const char *const *paths, size_t path_count, const struct compute_options *computing, enum form form,
                         const char *junit, struct fail *fail)
{
    struct verify verify;
    struct compute compute = {0}, *computed = computing != NULL ? &compute : NULL;
    int result = verify_run(&verify, paths, path_count, fail);

    if (result == 0 && computing != NULL)
        result = compute_run(&compute, computing, paths, path_count, fail);
    if (result == 0 && verify.count + compute.count == 0)
        result =
            fail_set(fail, EXIT_SKIPPED,
                     "%.300s: no calls of protocol cores to run again: captures have none (record with --record), nor have runs of one "
                     "node (give -m)",
                     paths[0]);
    else if (result == 0)
        result = report(&verify, computed, form, junit, fail);
    if (result == 0)
        result = outcome(&verify, &compute);
    verify_release(&verify);
    compute_release(&compute);
    return result;
}

static int check_rows(const char *const *paths, size_t path_count, struct fail *fail)
{
    uint64_t faults;

    if (checks_tell(paths, path_count, &faults, fail) != 0)
        return -1;
    return faults == 0 ? 0
                       : fail_set(fail, EXIT_BAD_FILE,
                                  "%.300s%s: rows that are not as they were recorded: %" PRIu64 ": copy again, or record again", paths[0],
                                  path_count > 1 ? ", ..." : "", faults);
}

int verify_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-replay verify TRACE.db ... [-m MODEL.gguf] [--json | --tap] [--junit FILE]",
                                        "Feed the recorded inputs to the protocol cores of this build, in virtual time, and compare",
                                        "all outputs; with a model, also recompute all recorded tiles and tokens.",
                                        "Exit code 1: an output differs; 77: nothing could be run again.", NULL};
    static const char *const examples[] = {"mesh-replay verify run.db run.1.db run.2.db -m model.gguf",
                                           "mesh-replay verify run.db --junit verify.xml", NULL};
    const char *paths[OPTION_LIST_MAX];
    struct options_operands operands = {.metavar = "at most 64 traces", .max = OPTION_LIST_MAX, .values = paths};
    bool json = false, tap = false, wants_help = false;
    const char *junit = NULL;
    struct compute_options computing = {0};
    const struct option_spec specs[] = {
        {.name = "model",
         .short_name = 'm',
         .kind = OPTION_TEXT,
         .target = &computing.model,
         .metavar = "MODEL.gguf",
         .help = "also recompute, with the model of the recording"},
        {.name = "threads",
         .short_name = 't',
         .kind = OPTION_U32,
         .target = &computing.threads,
         .min = 1,
         .max = 256,
         .metavar = "N",
         .help = "threads for computing (all cores)"},
        {.name = "any-model",
         .kind = OPTION_FLAG,
         .target = &computing.any_model,
         .help = "accept one of another fingerprint, to see where it differs"},
        {.name = "json", .kind = OPTION_FLAG, .target = &json, .help = "one object per core, and a summary"},
        {.name = "tap", .kind = OPTION_FLAG, .target = &tap, .help = "a test per core, as TAP"},
        {.name = "junit", .kind = OPTION_TEXT, .target = &junit, .metavar = "FILE", .help = "also write a test per core, as JUnit XML"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &wants_help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (wants_help) {
        options_help(stdout, usage, specs, count, examples);
        return EXIT_OK;
    }
    if (operands.count == 0)
        return fail_set(fail, EXIT_USAGE, "verify: no trace: name one: mesh-replay verify TRACE.db");
    if (json && tap)
        return fail_set(fail, EXIT_USAGE, "--json and --tap: both given: choose one");
    if (computing.model == NULL && (computing.any_model || computing.threads > 0))
        return fail_set(fail, EXIT_USAGE, "--any-model and --threads apply to computing: give -m MODEL.gguf");
    if (trace_check_unique(paths, operands.count, fail) != 0 || trace_order(paths, operands.count, fail) != 0 ||
        trace_check_output("--junit", junit, paths, operands.count, fail) < 0)
        return -1;
    if (check_rows(paths, operands.count, fail) != 0)
        return -1;
    return verify_traces(paths, operands.count, computing.model != NULL ? &computing : NULL,
                         json  ? FORM_JSON
                         : tap ? FORM_TAP
                               : FORM_TEXT,
                         junit, fail);
}
