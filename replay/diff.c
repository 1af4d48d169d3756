#include "diff.h"

#include "progress_line.h"

bool diff_is_too_slow(const struct diff *diff, float percent)
{
    for (unsigned i = 0; i < DIFF_METRICS; i++) {
        const struct diff_timing *timing = &diff->timings[i];

        if ((timing->p50_is_slower && timing->p50_percent > percent) || (timing->p99_is_slower && timing->p99_percent > percent))
            return true;
    }
    return false;
}

static int outcome(const struct diff *diff, bool has_threshold, float percent, struct fail *fail)
{
    const enum diff_verdict tokens = diff->tokens.verdict, tiles = diff->tiles.verdict;

    if (tokens == DIFF_DIFFERENT || tiles == DIFF_DIFFERENT || (has_threshold && diff_is_too_slow(diff, percent)))
        return EXIT_DIFFERENCE;
    if (tokens == DIFF_SAME || tiles == DIFF_SAME)
        return EXIT_OK;
    return fail_set(fail, EXIT_SKIPPED,
                    "nothing was compared: the traces have no tokens or tiles in common that can be: "
                    "record both with ids and payloads");
}

static int compare(struct diff *diff, struct fail *fail)
{
    int result = 0;

    for (unsigned side = 0; side < 2 && result == 0; side++) {
        diff->traces[side] = trace_open(diff->paths[side], fail);
        result = diff->traces[side] ? 0 : -1;
    }
    if (result == 0)
        result = diff_tokens(diff, fail);
    if (result == 0)
        result = diff_tiles(diff, fail);
    if (result == 0)
        result = diff_timings(diff, fail);
    return result;
}

int diff_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-replay diff A.db B.db [options]",
                                        "Show where content and order of two traces diverge, and how their timings differ.",
                                        "Exit code 1: tokens or data of tiles differ, or a threshold was exceeded.", NULL};
    static const char *const examples[] = {"mesh-replay diff before.db after.db --max-slower 5", NULL};
    struct diff diff = {0};
    struct options_operands operands = {.metavar = "A.db B.db", .max = 2, .values = diff.paths};
    bool json = false, wants_help = false, has_threshold = false;
    float percent = 0;
    const struct option_spec specs[] = {
        {.name = "max-slower",
         .kind = OPTION_FLOAT,
         .target = &percent,
         .was_set = &has_threshold,
         .float_max = 1e6,
         .metavar = "PERCENT",
         .help = "exit code 1 also where B is slower by more, beyond noise"},
        {.name = "json", .kind = OPTION_FLAG, .target = &json, .help = "one object per part"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &wants_help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    int result;

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (wants_help) {
        options_help(stdout, usage, specs, count, examples);
        return EXIT_OK;
    }
    if (operands.count != 2)
        return fail_set(fail, EXIT_USAGE, "diff: needs two traces: mesh-replay diff A.db B.db");
    result = compare(&diff, fail);
    progress_line_end();
    if (result == 0) {
        (json ? diff_write_json : diff_write_text)(&diff, stdout);
        result = outcome(&diff, has_threshold, percent, fail);
    }
    for (unsigned side = 0; side < 2; side++)
        mesh_trace_close(diff.traces[side]);
    return result;
}
