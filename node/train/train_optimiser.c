#include "train_optimiser.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "node/common/canon.h"
#include "node/kernel/kernel_train.h"

#define BETA1   0.9f
#define BETA2   0.95f
#define EPSILON 1e-8f

enum { CHUNK = 16384, GROUP = 1024 };

float train_rate(const struct train_setup *setup, uint64_t step)
{
    float sine, cosine;

    assert(step > 0);
    if (step <= setup->warmup)
        return setup->rate * ((float)step / (float)setup->warmup);
    if (step >= setup->steps)
        return setup->rate_min;
    canon_sincos(3.141592653589793 * ((double)(step - setup->warmup) / (double)(setup->steps - setup->warmup)), &sine, &cosine);
    return setup->rate_min + (setup->rate - setup->rate_min) * (0.5f * (1.0f + cosine));
}

/* ---- norm ---- */

struct norm_work {
    const struct kernel *kernel;
    const float *gradient;
    size_t count;
    float *square; /* (chunks) of a group */
    size_t first;  /* chunk of the group */
};

static void norm_work(void *app, size_t task, uint16_t thread)
{
    const struct norm_work *work = app;
    const size_t first = (work->first + task) * CHUNK;
    const size_t count = work->count - first < CHUNK ? work->count - first : CHUNK;

    (void)thread;
    work->square[task] = work->kernel->train->dot(work->gradient + first, work->gradient + first, count);
}

double train_gradient_norm(const struct kernel *kernel, struct team *team, const float *gradient, size_t count)
{
    float square[GROUP];
    struct norm_work work = {kernel, gradient, count, square, 0};
    const size_t chunks = (count + CHUNK - 1) / CHUNK;
    double sum = 0.0;

    for (; work.first < chunks; work.first += GROUP) {
        const size_t here = chunks - work.first < GROUP ? chunks - work.first : GROUP;

        team_run(team, here, norm_work, &work);
        for (size_t i = 0; i < here; i++)
            sum += (double)square[i];
    }
    return sqrt(sum);
}

/* ---- AdamW ---- */

struct step_work {
    struct train_state *state;
    const struct kernel *kernel;
    const struct train_tensor *tensor;
    const float *gradient;
    struct kernel_adamw adamw;
};

static void step_work(void *app, size_t task, uint16_t thread)
{
    const struct step_work *work = app;
    const size_t size = (size_t)work->tensor->rows * work->tensor->columns, offset = task * CHUNK;
    const size_t count = size - offset < CHUNK ? size - offset : CHUNK, first = work->tensor->first + offset;
    struct train_state *state = work->state;

    (void)thread;
    work->kernel->train->adamw(&work->adamw, work->gradient + first, state->weights + first, state->momentum + first, state->spread + first,
                               count);
}

void train_optimiser_step(struct train_state *state, const struct train_layout *layout, const struct kernel *kernel, struct team *team,
                          const float *gradient, double norm)
{
    const uint64_t step = state->step + 1;
    struct step_work work = {.state = state, .kernel = kernel, .gradient = gradient};

    assert(state->count == layout->count);
    work.adamw = (struct kernel_adamw){
        .gradient_scale = norm > (double)state->setup.clip ? (float)((double)state->setup.clip / norm) : 1.0f,
        .keep1 = BETA1,
        .keep2 = BETA2,
        .correction1 = (float)(1.0 / (1.0 - canon_pow((double)BETA1, (double)step))),
        .correction2 = (float)(1.0 / (1.0 - canon_pow((double)BETA2, (double)step))),
        .rate = train_rate(&state->setup, step),
        .epsilon = EPSILON,
    };
    for (size_t t = 0; t < layout->tensors; t++) {
        work.tensor = &layout->tensor[t];
        work.adamw.decay = work.tensor->is_norm ? 0.0f : state->setup.decay;
        team_run(team, ((size_t)work.tensor->rows * work.tensor->columns + CHUNK - 1) / CHUNK, step_work, &work);
    }
}
