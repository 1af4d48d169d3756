#include "compute.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "compute_epoch.h"
#include "mesh/program/json.h"
#include "mesh/udp.h"

enum { SETUP_WORD_BYTES = 16 };

/* A trace, as far as it is needed to compute. */
struct source {
    struct recompute_setup setup;
    char kv_type[SETUP_WORD_BYTES];
    char recording[TRACE_RECORDING_BYTES];
    bool is_recording; /* of a node; not a capture */
};

struct run {
    struct compute *compute;
    const struct compute_options *options;
    const char *const *paths;
    size_t path_count;
    struct recompute *recompute;
    struct source *sources;        /* (path_count) */
    struct compute_tokens *tokens; /* (path_count) of all files of a recording, in the first of them; none in the others */
    size_t *first;                 /* (path_count) of each file, that first one */
    struct compute_tapes tapes;
};

static int no_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the traces: close other programs");
}

static struct compute_case *add_case(struct compute *compute)
{
    if (compute->count == compute->capacity) {
        const size_t capacity = compute->capacity > 0 ? 2 * compute->capacity : 8;
        struct compute_case *grown = realloc(compute->cases, capacity * sizeof *grown);

        if (grown == NULL)
            return NULL;
        compute->cases = grown;
        compute->capacity = capacity;
    }
    compute->cases[compute->count] = (struct compute_case){0};
    return &compute->cases[compute->count++];
}

/* ---- what the traces tell of themselves ---- */

int compute_check_payloads(const char *path, struct mesh_trace *trace, struct fail *fail)
{
    char payloads[20] = "", ids[20] = "";

    mesh_trace_get_meta(trace, "payloads", payloads, sizeof payloads);
    mesh_trace_get_meta(trace, "ids", ids, sizeof ids);
    if (strcmp(payloads, "all") == 0 && strcmp(ids, "all") == 0)
        return 0;
    return fail_set(fail, EXIT_SKIPPED,
                    "%.200s: recorded without the data of tiles and the ids of tokens: it cannot be recomputed or run again: verify it "
                    "without -m, or record with `mesh-node serve --record-prompts` or `mesh-node run`",
                    path);
}

static int check_model(const struct run *run, const char *path, struct mesh_trace *trace, struct fail *fail)
{
    char recorded[80] = "", own[80];
    uint8_t fingerprint[32];

    mesh_trace_get_meta(trace, "model_fingerprint", recorded, sizeof recorded);
    recompute_fingerprint(run->recompute, fingerprint);
    for (int i = 0; i < 32; i++)
        snprintf(own + 2 * i, 3, "%02x", fingerprint[i]);
    if (strcmp(recorded, own) == 0 || run->options->any_model)
        return 0;
    return fail_set(fail, EXIT_BAD_FILE,
                    "%.160s: recorded with a model of fingerprint %.64s, and %.160s has %.64s: give the model of the recording; "
                    "--any-model compares with another one",
                    path, recorded, run->options->model, own);
}

static size_t first_of(const struct run *run, size_t index)
{
    const char *recording = run->sources[index].recording;
    size_t first = recording[0] != '\0' ? 0 : index;

    while (strcmp(run->sources[first].recording, recording) != 0)
        first++;
    return first;
}

static int read_source(struct run *run, size_t index, struct mesh_trace *trace, struct fail *fail)
{
    struct source *source = &run->sources[index];
    char word[20] = "";

    trace_recording(trace, source->recording);
    run->first[index] = first_of(run, index);
    mesh_trace_get_meta(trace, "source", word, sizeof word);
    source->is_recording = strcmp(word, "node") == 0;
    if (!source->is_recording)
        return 0;
    if (compute_check_payloads(run->paths[index], trace, fail) < 0 || check_model(run, run->paths[index], trace, fail) < 0)
        return -1;
    snprintf(source->kv_type, sizeof source->kv_type, "f16");
    mesh_trace_get_meta(trace, "kv_type", source->kv_type, sizeof source->kv_type);
    source->setup = (struct recompute_setup){
        .ctx = (uint32_t)trace_meta_number(trace, "ctx", 0),
        .batch = (uint16_t)trace_meta_number(trace, "batch", 0),
        .slots = (uint16_t)trace_meta_number(trace, "slots", 1),
        .kv_type = source->kv_type,
    };
    return compute_tokens_read(&run->tokens[run->first[index]], run->paths[index], trace, fail);
}

static int read_sources(struct run *run, struct fail *fail)
{
    int result = 0;

    for (size_t i = 0; i < run->path_count && result == 0; i++) {
        struct mesh_trace *trace = trace_open(run->paths[i], fail);

        result = trace == NULL ? -1 : read_source(run, i, trace, fail);
        mesh_trace_close(trace);
    }
    return result;
}

/* ---- epochs ---- */

static void name_epoch(struct compute_case *one, const struct compute_epoch *e)
{
    const struct compute_tape *first = &e->tapes->tapes[e->group[0]];
    size_t used = (size_t)snprintf(one->name, sizeof one->name, "computed, epoch %" PRIu32 " of %u ranks, by", first->init.epoch,
                                   first->init.rank_count);

    for (size_t i = 0; i < e->count && used < sizeof one->name; i++)
        used += (size_t)snprintf(one->name + used, sizeof one->name - used, "%s %s", i > 0 ? "," : "",
                                 e->tapes->paths[e->tapes->tapes[e->group[i]].path]);
}

/* Add to the same line what was left out of the comparison. */
static void describe_rest(struct compute_case *one, const struct compute_epoch *e)
{
    const size_t used = strlen(one->what);
    uint64_t missing = 0;

    if (e->count == 0)
        return;
    for (size_t i = 0; i < e->count; i++)
        missing += e->tapes->tapes[e->group[i]].missing;
    if (e->tiles.too_late + e->tiles.not_computed + e->steps_unknown + missing == 0 && e->tapes->tapes[e->group[0]].has_shares)
        return;
    snprintf(one->what + used, sizeof one->what - used,
             "; not compared: %" PRIu64 " tiles resent after their step, %" PRIu64 " without a step, %" PRIu64
             " steps that are not in the log, %" PRIu64 " calls that were not recorded%s",
             e->tiles.too_late, e->tiles.not_computed, e->steps_unknown, missing,
             e->tapes->tapes[e->group[0]].has_shares ? "" : ", candidates, as shares are not known");
}

static void describe_epoch(struct compute_case *one, const struct compute_epoch *e)
{
    size_t bytes;
    FILE *detail;

    one->steps = e->steps;
    one->tiles = e->tiles.tiles;
    one->blocks = e->tiles.blocks;
    one->tokens = e->tokens_compared;
    one->tiles_not_compared = e->tiles.not_computed + e->tiles.too_late;
    if (!compute_epoch_differs(e)) {
        one->state = one->tiles + one->tokens > 0 ? COMPUTE_SAME : COMPUTE_SKIPPED;
        snprintf(one->what, sizeof one->what, "%s: %" PRIu64 " steps, %" PRIu64 " tiles, %" PRIu64 " blocks, %" PRIu64 " tokens, in %.3f s",
                 one->state == COMPUTE_SAME ? "the same" : "nothing to compare", one->steps, one->tiles, one->blocks, one->tokens,
                 (double)one->took_ns / 1e9);
        describe_rest(one, e);
        return;
    }
    one->state = COMPUTE_DIFFERS;
    detail = open_memstream(&one->detail, &bytes);
    if (detail == NULL)
        return;
    compute_epoch_describe(e, one->what, sizeof one->what, detail);
    fclose(detail);
}

static uint64_t log_lost(const struct run *run, const size_t *group, size_t count)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < count; i++)
        lost += run->tapes.tapes[group[i]].log_lost;
    return lost;
}

static int run_epoch(struct run *run, const size_t *group, size_t count, struct fail *fail)
{
    struct compute_epoch epoch = {
        .recompute = run->recompute, .tapes = &run->tapes, .group = group, .count = count, .tokens = run->tokens, .first = run->first};
    const struct recompute_hooks hooks = {.on_blocks = compute_epoch_blocks, .on_token = compute_epoch_token, .app = &epoch};
    const struct compute_tape *first = &run->tapes.tapes[group[0]];
    struct compute_case *one = add_case(run->compute);
    const uint64_t begun_ns = mesh_udp_now_ns();
    int result;

    if (one == NULL)
        return no_memory(fail);
    name_epoch(one, &epoch);
    if (first->log_bytes == 0 || log_lost(run, group, count) > 0) {
        one->state = COMPUTE_SKIPPED;
        snprintf(one->what, sizeof one->what, "%s",
                 first->log_bytes == 0 ? "no step was begun" : "a part of its step log was not recorded: query --named gaps says why");
        return 0;
    }
    result = recompute_begin(run->recompute, &run->sources[first->path].setup, &hooks, fail);
    if (result == 0)
        result = compute_epoch_run(&epoch, fail);
    one->took_ns = mesh_udp_now_ns() - begun_ns;
    if (result == 0)
        describe_epoch(one, &epoch);
    compute_epoch_release(&epoch);
    return result;
}

static int run_epochs(struct run *run, struct fail *fail)
{
    size_t group[COMPUTE_RANKS_MAX], count;
    int result = compute_tapes_find(&run->tapes, run->paths, run->path_count, fail);

    while (result == 0 && (count = compute_tapes_next_group(&run->tapes, group)) > 0)
        result = run_epoch(run, group, count, fail);
    return result;
}

/* ---- requests outside of such epochs ---- */

static int run_requests(struct run *run, size_t index, struct fail *fail)
{
    const bool used = true;
    struct compute_tapes tapes = {.paths = &run->paths[index], .path_count = 1};
    struct compute_epoch epoch = {
        .recompute = run->recompute, .tapes = &tapes, .tokens = &run->tokens[index], .is_used = (bool *)(uintptr_t)&used};
    const struct recompute_hooks hooks = {.on_token = compute_epoch_token, .app = &epoch};
    const uint64_t before = compute_tokens_compared(&run->tokens[index]), begun_ns = mesh_udp_now_ns();
    struct compute_case *one;
    struct request request;
    size_t next = 0, count = 0;

    if (!compute_tokens_next_request(&run->tokens[index], &next, &request))
        return 0;
    one = add_case(run->compute);
    if (one == NULL)
        return no_memory(fail);
    snprintf(one->name, sizeof one->name, "sampled again, %.250s", run->paths[index]);
    do {
        if (recompute_begin(run->recompute, &run->sources[index].setup, &hooks, fail) < 0 ||
            recompute_request(run->recompute, &request, fail) < 0)
            return -1;
        count++;
    } while (!epoch.token.is_set && compute_tokens_next_request(&run->tokens[index], &next, &request));
    one->took_ns = mesh_udp_now_ns() - begun_ns;
    epoch.tokens_compared = compute_tokens_compared(&run->tokens[index]) - before;
    describe_epoch(one, &epoch);
    if (one->state == COMPUTE_SAME)
        snprintf(one->what, sizeof one->what, "the same: %zu request%s, %" PRIu64 " tokens, in %.3f s", count, count == 1 ? "" : "s",
                 one->tokens, (double)one->took_ns / 1e9);
    return 0;
}

static int run_all(struct run *run, struct fail *fail)
{
    int result = read_sources(run, fail);

    if (result == 0)
        result = run_epochs(run, fail);
    for (size_t i = 0; i < run->path_count && result == 0; i++) {
        result = run_requests(run, i, fail);
        run->compute->tokens_not_compared += run->tokens[i].count - compute_tokens_compared(&run->tokens[i]);
    }
    return result;
}

int compute_run(struct compute *compute, const struct compute_options *options, const char *const *paths, size_t path_count,
                struct fail *fail)
{
    struct run run = {.compute = compute, .options = options, .paths = paths, .path_count = path_count};
    int result = -1;

    *compute = (struct compute){0};
    run.sources = calloc(path_count, sizeof *run.sources);
    run.tokens = calloc(path_count, sizeof *run.tokens);
    run.first = calloc(path_count, sizeof *run.first);
    if (run.sources == NULL || run.tokens == NULL || run.first == NULL)
        no_memory(fail);
    else if ((run.recompute = recompute_open(options->model, options->threads, fail)) != NULL)
        result = run_all(&run, fail);
    for (size_t i = 0; i < path_count && run.tokens != NULL; i++)
        compute_tokens_release(&run.tokens[i]);
    compute_tapes_release(&run.tapes);
    recompute_close(run.recompute);
    free(run.first);
    free(run.tokens);
    free(run.sources);
    return result;
}

void compute_release(struct compute *compute)
{
    for (size_t i = 0; i < compute->count; i++)
        free(compute->cases[i].detail);
    free(compute->cases);
    *compute = (struct compute){0};
}

void compute_write_json(struct json *json, const struct compute_case *one)
{
    static const char *const states[] = {"same", "different", "skipped"};

    json_event_begin(json, "computed");
    json_text(json, "name", one->name);
    json_text(json, "state", states[one->state]);
    json_text(json, "what", one->what);
    if (one->detail != NULL)
        json_text(json, "detail", one->detail);
    json_uint(json, "steps", one->steps);
    json_uint(json, "tiles", one->tiles);
    json_uint(json, "blocks", one->blocks);
    json_uint(json, "tokens", one->tokens);
    json_uint(json, "tiles_not_compared", one->tiles_not_compared);
    json_uint(json, "took_ns", one->took_ns);
    json_event_end(json);
}
