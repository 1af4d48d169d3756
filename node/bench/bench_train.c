/* Steps of training alternating with multiply-adds on registers alone, the machine's peak. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "mesh/udp.h"
#include "node/common/hash.h"
#include "node/kernel/team.h"
#include "node/train/train_optimiser.h"
#include "node/train/train_pass.h"

enum { RUNS = 7, RUNS_QUICK = 2, ROWS = 8, PEAK_TASKS = 16, PEAK_ROUNDS = 1 << 17 };

/* The shape of the model that the project ships. */
static const struct train_shape shape = {.dim = 256, .hidden = 512, .layers = 4, .heads = 8, .kv_heads = 4, .vocab = 1536, .ctx = 512};
static const struct train_shape shape_quick = {.dim = 64, .hidden = 128, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 300, .ctx = 64};

struct training {
    struct bench *bench;
    struct train_layout layout;
    struct train_state state;
    struct team *team;
    struct train_pass pass;
    uint32_t *id, *target;
    _Atomic uint32_t sink; /* keeps the compiler from removing the computation */
    struct bench_series peak, forward, backward, step, tokens;
};

static void peak_work(void *app, size_t task, uint16_t thread)
{
    struct training *t = app;

    (void)task, (void)thread;
    t->sink += t->bench->kernel->train->peak(PEAK_ROUNDS) > 0.0f;
}

static double seconds_since(uint64_t begin_ns)
{
    return 1e-9 * (double)(mesh_udp_now_ns() - begin_ns + 1);
}

/* Multiplications and additions required by the mathematics: of matrices, and of attention for visible positions. */
static double forward_flops(const struct train_layout *layout, double tokens)
{
    const struct train_shape *s = &layout->shape;
    double weights = 0.0;

    for (size_t i = 0; i < layout->tensors; i++)
        if (!layout->tensor[i].is_norm)
            weights += (double)layout->tensor[i].rows * layout->tensor[i].columns;
    return 2.0 * tokens * (weights + (double)s->layers * s->dim * (s->ctx + 1));
}

static void measure(struct training *t)
{
    const struct kernel_train *train = t->bench->kernel->train;
    const double tokens = (double)t->pass.tokens, flops = forward_flops(&t->layout, tokens);
    uint64_t begin_ns = mesh_udp_now_ns();
    double forward_s, backward_s, step_s;

    team_run(t->team, PEAK_TASKS, peak_work, t);
    bench_add(&t->peak, 1e-9 * PEAK_TASKS * PEAK_ROUNDS * (double)train->peak_flops / seconds_since(begin_ns));
    begin_ns = mesh_udp_now_ns();
    train_pass_forward(&t->pass, t->id, t->target);
    forward_s = seconds_since(begin_ns);
    train_pass_backward(&t->pass);
    backward_s = seconds_since(begin_ns) - forward_s;
    train_optimiser_step(&t->state, &t->layout, t->bench->kernel, t->team, t->pass.gradient,
                         train_gradient_norm(t->bench->kernel, t->team, t->pass.gradient, t->layout.count));
    step_s = seconds_since(begin_ns);
    bench_add(&t->forward, 1e-9 * flops / forward_s);
    bench_add(&t->backward, 1e-9 * 2.0 * flops / backward_s);
    bench_add(&t->step, 1e-9 * 3.0 * flops / step_s);
    bench_add(&t->tokens, tokens / step_s);
}

static void print(struct training *t)
{
    char name[64];
    struct bench_row row = {.event = "train", .name = name};
    const uint16_t threads = team_threads(t->team);

    snprintf(name, sizeof name, "%.1fM weights, %u thread%s", 1e-6 * (double)t->layout.count, threads, threads == 1 ? "" : "s");
    bench_label_text(&row, "kernel", t->bench->kernel->name);
    bench_label_number(&row, "threads", threads);
    bench_label_number(&row, "weights", t->layout.count);
    bench_value(&row, "peak_gflop_per_s", "GFLOP/s peak", 0, bench_stat_of(&t->peak));
    bench_value(&row, "forward_gflop_per_s", "forward", 0, bench_stat_of(&t->forward));
    bench_value(&row, "backward_gflop_per_s", "backward", 0, bench_stat_of(&t->backward));
    bench_value(&row, "step_gflop_per_s", "step", 0, bench_stat_of(&t->step));
    bench_value(&row, "step_peak_ratio", "of peak", 2, bench_ratio_of(&t->step, &t->peak));
    bench_value(&row, "train_tok_per_s", "tok/s", 0, bench_stat_of(&t->tokens));
    bench_print(t->bench, &row);
}

static int allocate(struct training *t, struct fail *fail)
{
    struct train_state *state = &t->state;

    state->count = t->layout.count;
    state->setup = (struct train_setup){.steps = 1000, .warmup = 10, .rate = 1e-3f, .clip = 1.0f};
    state->weights = calloc(state->count, sizeof *state->weights);
    state->momentum = calloc(state->count, sizeof *state->momentum);
    state->spread = calloc(state->count, sizeof *state->spread);
    t->id = calloc((size_t)ROWS * t->layout.shape.ctx, sizeof *t->id);
    t->target = calloc((size_t)ROWS * t->layout.shape.ctx, sizeof *t->target);
    if (state->weights == NULL || state->momentum == NULL || state->spread == NULL || t->id == NULL || t->target == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    train_layout_draw(&t->layout, 1, state->weights);
    for (size_t i = 0; i < (size_t)ROWS * t->layout.shape.ctx; i++) {
        t->id[i] = (uint32_t)(hash_words3(1, i, 0) % t->layout.shape.vocab);
        t->target[i] = (uint32_t)(hash_words3(2, i, 0) % t->layout.shape.vocab);
    }
    return train_pass_open(&t->pass, &t->layout, t->bench->kernel, t->team, ROWS, state->weights, fail);
}

static int run_threads(struct bench *bench, uint16_t threads, struct fail *fail)
{
    struct training *t = calloc(1, sizeof *t);
    int result = -1;

    if (t == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    t->bench = bench;
    t->team = team_open(threads, fail);
    if (t->team != NULL && train_layout_init(&t->layout, bench->quick ? &shape_quick : &shape, fail) == 0 && allocate(t, fail) == 0) {
        for (int run = 0; run < (bench->quick ? RUNS_QUICK : RUNS); run++)
            measure(t);
        print(t);
        result = 0;
    }
    train_pass_close(&t->pass);
    team_close(t->team);
    free(t->state.weights);
    free(t->state.momentum);
    free(t->state.spread);
    free(t->id);
    free(t->target);
    free(t);
    return result;
}

int bench_train(struct bench *bench, struct fail *fail)
{
    bench_heading(bench, "training: whole steps beside multiply-adds on registers");
    for (uint32_t threads = 1; threads <= bench->cores && threads <= 2; threads++) {
        bench_progress(bench, "training");
        if (run_threads(bench, (uint16_t)threads, fail) < 0)
            return -1;
    }
    return 0;
}
