/* From a gradient to the next weights: the schedule of the learning rate, clipping, AdamW. The same bits for any number of threads. */
#ifndef NODE_TRAIN_OPTIMISER_H
#define NODE_TRAIN_OPTIMISER_H

#include "node/kernel/kernel.h"
#include "node/kernel/team.h"
#include "train_layout.h"
#include "train_state.h"

/* Learning rate of a step, counted from 1: rises linearly for `warmup` steps, then falls to rate_min along half a cosine. */
float train_rate(const struct train_setup *setup, uint64_t step);

/* Norm of the gradient: f32 sums of 16384 squares each, added in order in f64. */
double train_gradient_norm(const struct kernel *kernel, struct team *team, const float *gradient, size_t count);

/* Step state->step + 1: weights, momentum and spread; the caller increments state->step. Norms are not decayed. norm: of the gradient. */
void train_optimiser_step(struct train_state *state, const struct train_layout *layout, const struct kernel *kernel, struct team *team,
                          const float *gradient, double norm);

#endif
