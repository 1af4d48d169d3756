#include "run_judge.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rows.h"

/* ---- cases ---- */

int run_cases_reserve(struct run_cases *cases, size_t capacity, struct fail *fail)
{
    cases->verdicts = calloc(capacity, sizeof *cases->verdicts);
    cases->names = calloc(capacity, sizeof *cases->names);
    cases->texts = calloc(capacity, sizeof *cases->texts);
    cases->figures = calloc(capacity, sizeof *cases->figures);
    cases->capacity = capacity;
    cases->since_ns = mesh_udp_now_ns();
    if (cases->verdicts == NULL || cases->names == NULL || cases->texts == NULL || cases->figures == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the report: close other programs");
    return 0;
}

void run_cases_release(struct run_cases *cases)
{
    free(cases->verdicts);
    free(cases->names);
    free(cases->texts);
    free(cases->figures);
    *cases = (struct run_cases){0};
}

void run_case_begin(struct run_cases *cases, const char *format, ...)
{
    va_list list;

    assert(cases->count < cases->capacity);
    va_start(list, format);
    vsnprintf(cases->names[cases->count], RUN_CASE_BYTES, format, list);
    va_end(list);
}

void run_case_say(struct run_cases *cases, enum verdict_kind kind, const char *format, ...)
{
    const size_t i = cases->count++;
    va_list list;

    va_start(list, format);
    vsnprintf(cases->texts[i], RUN_CASE_BYTES, format, list);
    va_end(list);
    cases->verdicts[i] = (struct verdict){.name = cases->names[i], .kind = kind, .what = cases->texts[i]};
    run_case_took(cases, mesh_udp_now_ns() - cases->since_ns);
    cases->since_ns = mesh_udp_now_ns();
}

void run_case_took(struct run_cases *cases, uint64_t ns)
{
    cases->verdicts[cases->count - 1].seconds = (double)ns / 1e9;
}

void run_case_figure(struct run_cases *cases, double value, const char *key, ...)
{
    struct run_figure *figure = cases->figures[cases->count - 1];
    va_list list;

    while (figure->key[0] != '\0')
        figure++;
    assert(figure < cases->figures[cases->count - 1] + RUN_FIGURES);
    va_start(list, key);
    vsnprintf(figure->key, sizeof figure->key, key, list);
    va_end(list);
    figure->value = value;
}

/* ---- requests ---- */

static void id_text(int64_t id, char out[24])
{
    if (id < 0)
        snprintf(out, 24, "none");
    else
        snprintf(out, 24, "%" PRId64, id);
}

static void judge_request(struct run_cases *cases, const struct run_request *r, size_t index)
{
    char was[24], is[24];

    run_case_begin(cases, "tokens of request %zu", index + 1);
    id_text(r->was, was);
    id_text(r->is, is);
    if (r->ended != RUN_ANSWERED)
        run_case_say(cases, VERDICT_FAIL, "not answered: %s", r->why);
    else if (r->recorded == 0)
        run_case_say(cases, VERDICT_SKIP, "the recording has none of it; %" PRIu64 " now", r->count);
    else if (r->differs)
        run_case_say(cases, VERDICT_FAIL, "another token at position %" PRIu64 ": %s was recorded, %s came now", r->position, was, is);
    else
        run_case_say(cases, VERDICT_PASS, "the same: %" PRIu64 ", at %.1f tok/s, asked %.1f ms late", r->count, r->tokens_per_s,
                     (double)r->late_ns / 1e6);
    run_case_took(cases, r->took_ns);
    if (r->ended != RUN_ANSWERED)
        return;
    run_case_figure(cases, (double)r->count, "tokens");
    run_case_figure(cases, r->tokens_per_s, "tok_per_s");
    run_case_figure(cases, (double)r->late_ns / 1e6, "late_ms");
}

/* ---- the model ---- */

static int read_fingerprint(const char *path, char fingerprint[65], struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);

    if (trace == NULL)
        return -1;
    if (mesh_trace_get_meta(trace, "model_fingerprint", fingerprint, 65) != 0)
        fingerprint[0] = '\0';
    mesh_trace_close(trace);
    return 0;
}

/* A case only if the model is another one, which then explains all other differences. */
static int judge_model(struct run_judging *j, struct fail *fail)
{
    char was[65], is[65];

    if (read_fingerprint(j->paths[0], was, fail) < 0 || read_fingerprint(j->nodes->trace[0], is, fail) < 0)
        return -1;
    if (was[0] == '\0' || is[0] == '\0' || strcmp(was, is) == 0)
        return 0;
    run_case_begin(&j->cases, "model");
    run_case_say(&j->cases, VERDICT_FAIL, "another one: recorded with fingerprint %.64s, and the nodes have %.64s", was, is);
    return 0;
}

/* ---- the nodes ---- */

/* A case only if the nodes did not stay together: on a busy machine one may be suspected dead. Results do not depend on that, times do. */
static int judge_together(struct run_judging *j, struct fail *fail)
{
    int64_t most = 0;
    char sql[300];

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM epochs WHERE id > (SELECT min(id) FROM epochs WHERE json_array_length(members) = %u) "
             "AND t_ns < (SELECT max(t_ns) FROM tokens)",
             j->nodes->count);
    for (uint16_t i = 0; i < j->nodes->count; i++) {
        struct mesh_trace *trace = trace_open(j->nodes->trace[i], fail);
        int64_t epochs = 0;
        int result = trace != NULL ? rows_number(j->nodes->trace[i], trace, sql, &epochs, fail) : -1;

        mesh_trace_close(trace);
        if (result != 0)
            return -1;
        most = epochs > most ? epochs : most;
    }
    if (most == 0)
        return 0;
    run_case_begin(&j->cases, "nodes");
    run_case_say(&j->cases, VERDICT_SKIP,
                 "membership changed: %" PRId64 " epochs began meanwhile, so times are not those of %u nodes: use a quiet machine", most,
                 j->nodes->count);
    return 0;
}

/* ---- two traces ---- */

int run_judge_open(struct diff *diff, struct fail *fail)
{
    for (unsigned side = 0; side < 2; side++)
        if ((diff->traces[side] = trace_open(diff->paths[side], fail)) == NULL)
            return -1;
    return 0;
}

void run_judge_close(struct diff *diff)
{
    for (unsigned side = 0; side < 2; side++)
        mesh_trace_close(diff->traces[side]);
}

int run_judge_rank(const char *path, int64_t *rank, struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);
    int result;

    if (trace == NULL)
        return -1;
    result = rows_number(path, trace, "SELECT coalesce(min(rank), -1) FROM epochs", rank, fail);
    mesh_trace_close(trace);
    return result;
}

/* ---- timing ---- */

void run_case_number(struct run_cases *cases, const char *name, bool is_most, double value, double bound, const char *key, const char *unit)
{
    run_case_begin(cases, "%s", name);
    run_case_say(cases, (is_most ? value <= bound : value >= bound) ? VERDICT_PASS : VERDICT_FAIL, "%.4g %s; %s %.4g", value, unit,
                 is_most ? "at most" : "at least", bound);
    run_case_figure(cases, value, "%s", key);
    run_case_figure(cases, bound, "limit_%s", key);
}

static int timings_of(struct diff *diff, const char *a, const char *b, struct fail *fail)
{
    int result;

    *diff = (struct diff){.paths = {a, b}};
    result = run_judge_open(diff, fail);
    if (result == 0)
        result = diff_timings(diff, fail);
    run_judge_close(diff);
    return result;
}

static const struct diff_sample *now_of(const struct diff *diff, const char *name)
{
    for (unsigned i = 0; i < DIFF_METRICS; i++)
        if (strcmp(diff->timings[i].name, name) == 0)
            return &diff->timings[i].samples[1];
    return NULL;
}

static void time_text(uint64_t count, int64_t ns, char out[24])
{
    if (count > 0)
        snprintf(out, 24, "%.1f us", (double)ns / 1e3);
    else
        snprintf(out, 24, "none");
}

static void say_timing(struct run_cases *cases, const struct diff *diff)
{
    const struct diff_sample *tokens = diff->timings[1].samples, *tiles = diff->timings[0].samples;
    char text[4][24];

    for (unsigned side = 0; side < 2; side++) {
        time_text(tokens[side].count, tokens[side].p50_ns, text[side]);
        time_text(tiles[side].count, tiles[side].p99_ns, text[2 + side]);
    }
    run_case_begin(cases, "timing against %s", diff->paths[0]);
    run_case_say(cases, tokens[1].count + tiles[1].count > 0 ? VERDICT_PASS : VERDICT_SKIP,
                 "inter-token latency %s (median), recorded %s; tile latency %s (99 %%), recorded %s", text[1], text[0], text[3], text[2]);
    for (unsigned side = 0; side < 2; side++) {
        const char *when = side == 0 ? "recorded_" : "";

        if (tokens[side].count > 0)
            run_case_figure(cases, (double)tokens[side].p50_ns / 1e3, "%stoken_interval_p50_us", when);
        if (tiles[side].count > 0)
            run_case_figure(cases, (double)tiles[side].p99_ns / 1e3, "%stile_latency_p99_us", when);
    }
}

/* The recording of that node to compare timing with. Empty: there is none. A baseline that was named is node 0's; other nodes' have the
 * names that mesh-node run --record gives them. */
static int find_baseline(const struct run_judging *j, uint16_t node, char out[PATH_MAX], struct fail *fail)
{
    const char *slash, *dot;
    int64_t rank = -1;

    out[0] = '\0';
    if (j->baseline == NULL)
        return 0;
    slash = strrchr(j->baseline, '/');
    dot = strrchr(slash != NULL ? slash + 1 : j->baseline, '.');
    if (node == 0 || j->is_baseline_named) {
        const size_t stem = dot != NULL && dot != j->baseline && dot[-1] != '/' ? (size_t)(dot - j->baseline) : strlen(j->baseline);
        const int size = node == 0 ? snprintf(out, PATH_MAX, "%s", j->baseline)
                                   : snprintf(out, PATH_MAX, "%.*s.%u%s", (int)stem, j->baseline, node, j->baseline + stem);

        if (size >= PATH_MAX || (node > 0 && access(out, F_OK) != 0))
            out[0] = '\0';
        return 0;
    }
    for (size_t i = 0; i < j->path_count && out[0] == '\0'; i++) {
        if (run_judge_rank(j->paths[i], &rank, fail) != 0)
            return -1;
        if (rank == node && snprintf(out, PATH_MAX, "%s", j->paths[i]) >= PATH_MAX)
            out[0] = '\0';
    }
    return 0;
}

/* The limit of slowdown is kept by all nodes or exceeded; the case shows one: the first that exceeds it, else the first with enough
 * values. */
struct slower {
    struct diff shown;
    enum verdict_kind kind;
    uint16_t node;
    unsigned judged, unknown; /* unknown: nodes without a recording to compare with */
};

static void add_slower(struct slower *slower, const struct diff *diff, uint16_t node, float percent)
{
    enum verdict_kind kind = VERDICT_SKIP;

    for (unsigned i = 0; i < DIFF_METRICS; i++)
        kind = diff->timings[i].change != DIFF_TOO_FEW ? VERDICT_PASS : kind;
    if (diff_is_too_slow(diff, percent))
        kind = VERDICT_FAIL;
    if (slower->judged++ == 0 || (kind == VERDICT_FAIL && slower->kind != VERDICT_FAIL) ||
        (kind == VERDICT_PASS && slower->kind == VERDICT_SKIP)) {
        slower->shown = *diff;
        slower->kind = kind;
        slower->node = node;
    }
}

/* Each timing with enough values to judge. */
static void say_slower(struct run_cases *cases, const struct slower *slower, float percent)
{
    const bool are_several = slower->judged + slower->unknown > 1;
    char text[RUN_CASE_BYTES] = "", nodes[80] = "";
    size_t used = are_several ? (size_t)snprintf(text, sizeof text, "node %u: ", slower->node) : 0;

    if (slower->judged == 0) {
        run_case_begin(cases, "--max-slower");
        run_case_say(cases, VERDICT_SKIP, "no recording of this rank to compare with");
        return;
    }
    for (unsigned i = 0; i < DIFF_METRICS; i++) {
        const struct diff_timing *timing = &slower->shown.timings[i];

        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "; " : "", timing->what);
        if (timing->change == DIFF_TOO_FEW) {
            used += (size_t)snprintf(text + used, sizeof text - used, ": too few to tell");
            continue;
        }
        used += (size_t)snprintf(text + used, sizeof text - used, ": median %+.1f %%%s, 99 %% %+.1f %%%s", timing->p50_percent,
                                 timing->p50_is_slower ? " (beyond noise)" : "", timing->p99_percent,
                                 timing->p99_is_slower ? " (beyond noise)" : "");
    }
    if (slower->unknown > 0)
        snprintf(nodes, sizeof nodes, " on %u of %u nodes, as the others have no recording to compare with", slower->judged,
                 slower->judged + slower->unknown);
    else if (are_several)
        snprintf(nodes, sizeof nodes, " on each of %u nodes", slower->judged);
    run_case_begin(cases, "--max-slower");
    run_case_say(cases, slower->kind, "%s; at most %.4g %%%s", text, (double)percent, nodes);
    run_case_figure(cases, slower->node, "node");
    run_case_figure(cases, (double)percent, "limit_percent");
    for (unsigned i = 0; i < DIFF_METRICS; i++) {
        const struct diff_timing *timing = &slower->shown.timings[i];

        if (timing->change == DIFF_TOO_FEW)
            continue;
        run_case_figure(cases, timing->p50_percent, "%s_p50_percent", timing->name);
        run_case_figure(cases, timing->p99_percent, "%s_p99_percent", timing->name);
    }
}

int run_judge_latency(struct run_judging *j, struct fail *fail)
{
    const struct run_limits *limits = j->limits;
    struct slower slower = {0};
    double worst = 0;
    uint64_t count = 0;

    for (uint16_t i = 0; i < j->nodes->count; i++) {
        const char *now = j->nodes->trace[i], *was = j->baseline != NULL ? j->baseline : now;
        const struct diff_sample *sample;
        char baseline[PATH_MAX] = "";
        struct diff diff;

        if ((limits->has_slower && find_baseline(j, i, baseline, fail) != 0) ||
            timings_of(&diff, baseline[0] != '\0' ? baseline : was, now, fail) != 0)
            return -1;
        sample = now_of(&diff, "tile_latency");
        count += sample->count;
        worst = (double)sample->p99_ns > worst ? (double)sample->p99_ns : worst;
        if (i == 0 && j->baseline != NULL)
            say_timing(&j->cases, &diff);
        if (baseline[0] != '\0')
            add_slower(&slower, &diff, i, limits->slower_percent);
        else
            slower.unknown++;
    }
    if (limits->has_slower)
        say_slower(&j->cases, &slower, limits->slower_percent);
    if (!limits->has_p99)
        return 0;
    if (count > 0) {
        run_case_number(&j->cases, "--max-p99-us", true, worst / 1e3, (double)limits->p99_us, "p99_us", "us");
    } else {
        run_case_begin(&j->cases, "--max-p99-us");
        run_case_say(&j->cases, VERDICT_SKIP, "a node alone receives no tiles");
    }
    return 0;
}

static void judge_speed(struct run_judging *j)
{
    double least = -1;

    for (size_t i = 0; i < j->play->count; i++) {
        const double speed = j->play->requests[i].tokens_per_s;

        if (speed > 0 && (least < 0 || speed < least))
            least = speed;
    }
    if (least < 0) {
        run_case_begin(&j->cases, "--min-tok-s");
        run_case_say(&j->cases, VERDICT_SKIP, "no request had two tokens");
    } else {
        run_case_number(&j->cases, "--min-tok-s", false, least, (double)j->limits->tokens_per_s, "tok_per_s",
                        "tok/s of the slowest request");
    }
}

int run_judge_loss(struct run_judging *j, struct fail *fail)
{
    int64_t lost = 0, received = 0;

    for (uint16_t i = 0; i < j->nodes->count; i++) {
        const char *path = j->nodes->trace[i];
        struct mesh_trace *trace = trace_open(path, fail);
        int64_t more[2] = {0};
        int result;

        if (trace == NULL)
            return -1;
        result = rows_number(path, trace, "SELECT count(*) FROM lost_tiles", &more[0], fail);
        if (result == 0)
            result = rows_number(path, trace, "SELECT count(*) FROM tiles WHERE direction = 2", &more[1], fail);
        mesh_trace_close(trace);
        if (result != 0)
            return result;
        lost += more[0];
        received += more[1];
    }
    run_case_number(&j->cases, "--max-loss", true, received > 0 ? 100.0 * (double)lost / (double)received : 0,
                    (double)j->limits->loss_percent, "loss_percent", "% of tiles requested by a NAK");
    return 0;
}

int run_judge(struct run_judging *j, struct fail *fail)
{
    /* model, nodes, all tiles together, timing */
    int result = run_cases_reserve(&j->cases, j->play->count + j->path_count + 4 + RUN_LIMITS, fail);

    if (result == 0)
        result = judge_model(j, fail);
    if (result == 0)
        result = judge_together(j, fail);
    for (size_t i = 0; i < j->play->count && result == 0; i++)
        judge_request(&j->cases, &j->play->requests[i], i);
    if (result == 0)
        result = run_judge_tiles(j, fail);
    if (result == 0)
        result = run_judge_latency(j, fail);
    if (result == 0 && j->limits->has_tokens_per_s)
        judge_speed(j);
    if (result == 0 && j->limits->has_loss)
        result = run_judge_loss(j, fail);
    return result;
}
