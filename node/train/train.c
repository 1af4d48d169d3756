#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mesh/program/json.h"
#include "mesh/program/progress.h"
#include "mesh/program/replace_file.h"
#include "node/common/memory_text.h"
#include "node/kernel/kernel.h"
#include "node/kernel/team.h"
#include "train_batch.h"
#include "train_checkpoint.h"
#include "train_curve.h"
#include "train_export.h"
#include "train_layout.h"
#include "train_log.h"
#include "train_optimiser.h"
#include "train_pass.h"
#include "train_source.h"

enum { JUDGED_TOKENS_MAX = 32768 /* of held-out text in each evaluation; all of it at the end */ };

struct train {
    const struct train_options *options;
    struct train_source source;
    struct train_layout layout;
    struct train_state state;
    struct train_pass pass;
    struct team *team;
    const struct kernel *kernel;
    uint32_t *id, *target; /* (batch, ctx) */
    struct progress progress;
    uint64_t first_step; /* of this process */
    float held_out;      /* as last measured; negative: not yet */
    struct json json;
};

/* Ctrl-C ends the run after the step; a signal handler has no other way to say so. */
static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    is_interrupted = 1;
    signal(number, SIG_DFL);
}

/* ---- the parts of a run ---- */

static int allocate(struct train *train, struct fail *fail)
{
    struct train_state *state = &train->state;
    const size_t tokens = (size_t)state->setup.batch * state->setup.ctx;

    state->count = train->layout.count;
    state->weights = calloc(state->count, sizeof *state->weights);
    state->momentum = calloc(state->count, sizeof *state->momentum);
    state->spread = calloc(state->count, sizeof *state->spread);
    state->record_capacity = state->setup.steps;
    state->record = calloc(state->record_capacity, sizeof *state->record);
    train->id = calloc(tokens, sizeof *train->id);
    train->target = calloc(tokens, sizeof *train->target);
    if (state->weights == NULL || state->momentum == NULL || state->spread == NULL || state->record == NULL || train->id == NULL ||
        train->target == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: none for a model of %zu weights: give a smaller one", state->count);
    return 0;
}

static int check_memory(const struct train *train, struct fail *fail)
{
    const struct train_setup *setup = &train->state.setup;
    const uint64_t vectors = 3 * (uint64_t)train->layout.count * sizeof(float);
    const uint64_t needed = vectors + train_pass_bytes(&train->layout, setup->batch, train->options->threads);
    const uint64_t available = memory_available_bytes();
    char needed_text[MEMORY_TEXT_BYTES], available_text[MEMORY_TEXT_BYTES];

    memory_text(needed, needed_text);
    memory_text(available, available_text);
    if (needed > available)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: %s needed, %s available: give a smaller --batch, --ctx or model", needed_text,
                        available_text);
    fprintf(stderr, "model: %zu weights; text: %zu documents, %zu tokens in %" PRIu32 " kinds, %zu documents held out; memory: %s needed\n",
            train->layout.count, train->source.learn.count + train->source.judge.count, train->source.tokens, setup->vocab,
            train->source.judge.count, needed_text);
    return 0;
}

static struct train_shape shape_of(const struct train_setup *setup)
{
    return (struct train_shape){.dim = setup->dim,
                                .hidden = setup->hidden,
                                .layers = setup->layers,
                                .heads = setup->heads,
                                .kv_heads = setup->kv_heads,
                                .vocab = setup->vocab,
                                .ctx = setup->ctx};
}

/* Can it be written? Better to know now than after the last step. */
static int check_path(const char *path, struct fail *fail)
{
    struct replace_file file;

    if (path == NULL)
        return 0;
    if (replace_file_open(&file, path, fail) < 0)
        return -1;
    replace_file_abandon(&file);
    return 0;
}

/* Refuse to start a new run over the checkpoint of an earlier one, or over what cannot be read now and may be one. */
static int check_checkpoint(const struct train_options *options, struct fail *fail)
{
    struct train_setup setup;
    struct stat status;
    uint64_t step;

    if (options->resume || (stat(options->checkpoint, &status) < 0 && errno == ENOENT))
        return 0;
    if (train_checkpoint_peek(options->checkpoint, &setup, &step, fail) < 0)
        return fail->exit_code == EXIT_ENVIRONMENT
                   ? -1
                   : fail_set(fail, EXIT_USAGE, "%s: exists and is no checkpoint: give another name with --checkpoint",
                              options->checkpoint);
    if (step < setup.steps)
        return fail_set(fail, EXIT_USAGE,
                        "%s: holds a run at step %" PRIu64 " of %" PRIu64 ": go on with --resume, give another --checkpoint, or remove it",
                        options->checkpoint, step, setup.steps);
    return 0;
}

/* The text must not be overwritten, nor one result by another. */
static int check_paths(const struct train_options *options, struct fail *fail)
{
    const struct {
        const char *name, *path;
    } files[] = {{"--text", options->text},
                 {"-o", options->output},
                 {"--checkpoint", options->checkpoint},
                 {"--log", options->log},
                 {"--curve", options->curve}};

    for (size_t i = 1; i < sizeof files / sizeof *files; i++) {
        for (size_t other = 0; other < i; other++)
            if (files[i].path != NULL && files[other].path != NULL && replace_file_is_same(files[i].path, files[other].path))
                return fail_set(fail, EXIT_USAGE, "%s %s: is the same file as that of %s: give another name", files[i].name, files[i].path,
                                files[other].name);
        if (check_path(files[i].path, fail) < 0)
            return -1;
    }
    return check_checkpoint(options, fail);
}

/* Report matrices whose row length does not allow the type. */
static void tell_types(const struct train *train)
{
    const uint32_t others = train_export_others(&train->layout, train->options->type);

    if (others > 0)
        fprintf(stderr, "%" PRIu32 " matrices will be in another type than %s, since their rows are no multiple of its block\n", others,
                tensor_type_info(train->options->type)->name);
}

static int begin(struct train *train, struct fail *fail)
{
    const struct train_options *options = train->options;
    struct train_state *state = &train->state;
    struct train_shape shape;

    state->setup = options->setup;
    if (check_paths(options, fail) < 0)
        return -1;
    if (train_source_open(&train->source, options->text, &state->setup, fail) < 0)
        return -1;
    shape = shape_of(&state->setup);
    if (train_layout_init(&train->layout, &shape, fail) < 0 || check_memory(train, fail) < 0 || allocate(train, fail) < 0)
        return -1;
    tell_types(train);
    train->kernel = kernel_option(options->kernel, fail);
    if (train->kernel == NULL)
        return -1;
    train->team = team_open(options->threads, fail);
    if (train->team == NULL)
        return -1;
    train_layout_draw(&train->layout, state->setup.seed, state->weights);
    if (options->resume && train_checkpoint_load(state, options->checkpoint, fail) < 0)
        return -1;
    return train_pass_open(&train->pass, &train->layout, train->kernel, train->team, state->setup.batch, state->weights, fail);
}

static void end(struct train *train)
{
    train_pass_close(&train->pass);
    team_close(train->team);
    train_source_close(&train->source);
    free(train->state.weights);
    free(train->state.momentum);
    free(train->state.spread);
    free(train->state.record);
    free(train->id);
    free(train->target);
}

/* ---- judging ---- */

/* Mean loss on about tokens_max tokens of held-out text from its beginning. */
static float judge(struct train *train, size_t tokens_max)
{
    const struct train_setup *setup = &train->state.setup;
    struct train_cursor cursor = {0};
    size_t done = 0, pairs;
    double loss = 0.0;

    while (done < tokens_max &&
           (pairs = train_batch_next(&train->source.judge, &cursor, setup->batch, setup->ctx, train->id, train->target)) > 0) {
        loss += (double)train_pass_forward(&train->pass, train->id, train->target) * (double)pairs;
        done += pairs;
    }
    return done > 0 ? (float)(loss / (double)done) : -1.0f;
}

/* ---- a step ---- */

static void show(struct train *train, const struct train_record *record)
{
    const struct train_setup *setup = &train->state.setup;
    const uint64_t here = train->state.step - train->first_step;
    const double elapsed_s = progress_elapsed_s(&train->progress);
    const double tokens = (double)here * setup->batch * setup->ctx;
    const uint64_t left_s = (uint64_t)(elapsed_s / (double)(here > 0 ? here : 1) * (double)(setup->steps - train->state.step));
    char held_out[24] = "";

    if (train->options->json) {
        json_event_begin(&train->json, "step");
        json_uint(&train->json, "step", record->step);
        json_float(&train->json, "loss", record->loss);
        if (record->held_out >= 0)
            json_float(&train->json, "held_out_loss", record->held_out);
        json_float(&train->json, "learning_rate", record->rate);
        json_float(&train->json, "gradient_norm", record->gradient);
        json_double(&train->json, "tok_per_s", tokens / elapsed_s);
        json_event_end(&train->json);
    }
    if (!progress_is_due(&train->progress))
        return;
    if (train->held_out >= 0)
        snprintf(held_out, sizeof held_out, ", held out %.3f", (double)train->held_out);
    fprintf(stderr, "\rstep %" PRIu64 " of %" PRIu64 " (%.0f %%), loss %.3f%s, %.0f tok/s, %" PRIu64 ":%02" PRIu64 " left \033[K",
            record->step, setup->steps, 100.0 * (double)record->step / (double)setup->steps, (double)record->loss, held_out,
            tokens / elapsed_s, left_s / 60, left_s % 60);
}

/* The loss or the gradient is not finite: neither would be anything after this step. */
static int refuse_divergence(const struct train *train, struct fail *fail)
{
    return fail_set(fail, EXIT_DIFFERENCE, "step %" PRIu64 ": the loss is not finite any more: begin again with a smaller --lr (it was %g)",
                    train->state.step + 1, (double)train->state.setup.rate);
}

static int step(struct train *train, struct fail *fail)
{
    struct train_state *state = &train->state;
    const struct train_setup *setup = &state->setup;
    struct train_record *record = &state->record[state->step];
    double norm;

    train_batch_draw(&train->source.learn, setup->seed, state->step + 1, setup->batch, setup->ctx, train->id, train->target);
    *record = (struct train_record){.step = state->step + 1, .held_out = -1.0f, .rate = train_rate(setup, state->step + 1)};
    record->loss = train_pass_forward(&train->pass, train->id, train->target);
    train_pass_backward(&train->pass);
    norm = train_gradient_norm(train->kernel, train->team, train->pass.gradient, state->count);
    record->gradient = (float)norm;
    if (!isfinite(record->loss) || !isfinite(norm))
        return refuse_divergence(train, fail);
    train_optimiser_step(state, &train->layout, train->kernel, train->team, train->pass.gradient, norm);
    state->step++;
    if (state->step == setup->steps || state->step % train->options->every == 0)
        train->held_out = record->held_out = judge(train, state->step == setup->steps ? SIZE_MAX : JUDGED_TOKENS_MAX);
    show(train, record);
    return 0;
}

/* ---- all of it ---- */

static int write_results(const struct train *train, struct fail *fail)
{
    const struct train_options *options = train->options;
    const struct train_state *state = &train->state;
    char title[120];

    snprintf(title, sizeof title, "%zu weights, seed %" PRIu64, state->count, state->setup.seed);
    if (options->log != NULL && train_log_write(state->record, state->step, options->log, fail) < 0)
        return -1;
    if (options->curve != NULL && train_curve_write(state->record, state->step, title, options->curve, fail) < 0)
        return -1;
    return train_export_write(state, &train->layout, &train->source.vocab, options->type, options->name, options->output, fail);
}

static void summarise(struct train *train)
{
    const struct train_state *state = &train->state;
    const struct train_record *last = &state->record[state->step - 1];
    const double tokens = (double)(state->step - train->first_step) * state->setup.batch * state->setup.ctx;

    if (train->options->json) {
        json_event_begin(&train->json, "summary");
        json_text(&train->json, "model", train->options->output);
        json_uint(&train->json, "weights", state->count);
        json_uint(&train->json, "steps", state->step);
        json_float(&train->json, "loss", last->loss);
        if (last->held_out >= 0)
            json_float(&train->json, "held_out_loss", last->held_out);
        json_double(&train->json, "tok_per_s", tokens / progress_elapsed_s(&train->progress));
        json_event_end(&train->json);
        return;
    }
    printf("%s: %zu weights, %" PRIu64 " steps, loss %.4f", train->options->output, state->count, state->step, (double)last->loss);
    if (last->held_out >= 0)
        printf(", held out %.4f", (double)last->held_out);
    putchar('\n');
}

static int run_steps(struct train *train, struct fail *fail)
{
    struct train_state *state = &train->state;
    const struct train_options *options = train->options;

    while (state->step < state->setup.steps && !is_interrupted) {
        if (step(train, fail) < 0)
            return -1;
        if (state->step % options->every == 0 && state->step < state->setup.steps &&
            train_checkpoint_save(state, options->checkpoint, fail) < 0)
            return -1;
    }
    progress_end(&train->progress);
    if (train_checkpoint_save(state, options->checkpoint, fail) < 0)
        return -1;
    if (state->step < state->setup.steps)
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "interrupted after step %" PRIu64 " of %" PRIu64 ": no model yet: go on from %s with --resume", state->step,
                        state->setup.steps, options->checkpoint);
    return 0;
}

int train_run(struct train_options *options, struct fail *fail)
{
    struct train *train = calloc(1, sizeof *train);
    int result;

    if (train == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    train->options = options;
    train->held_out = -1.0f;
    json_init(&train->json, stdout);
    result = begin(train, fail);
    if (result == 0) {
        train->first_step = train->state.step;
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        progress_begin(&train->progress);
        result = run_steps(train, fail);
        progress_end(&train->progress);
    }
    if (result == 0)
        result = write_results(train, fail);
    if (result == 0)
        summarise(train);
    end(train);
    free(train);
    return result;
}
