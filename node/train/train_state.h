/* The state of a training run: everything that decides how it goes on, and what it has seen so far.
 *
 * A run is a function of its setup and its text: the same setup gives the same bits of all weights at every step, for any number of
 * threads, on any machine, also when it was interrupted and resumed. Weights, and what belongs to each of them, are vectors of
 * train_layout.count values in the order of train_layout.h. */
#ifndef NODE_TRAIN_STATE_H
#define NODE_TRAIN_STATE_H

#include <stddef.h>
#include <stdint.h>

/* What two runs must have in common to be the same run: whole numbers and the bits of floats, compared and stored as they are. */
struct train_setup {
    uint32_t dim, hidden, layers, heads, kv_heads, vocab, ctx;
    uint32_t batch;       /* rows of ctx tokens per step */
    uint64_t steps;       /* of the whole run: the learning rate falls over all of them */
    uint64_t warmup;      /* steps in which the learning rate rises */
    float rate, rate_min; /* learning rate at its highest, and at the end */
    float decay;          /* of weights that are matrices, per step, times the learning rate */
    float clip;           /* largest norm of a step's gradient */
    float held_out;       /* share of the documents held out for evaluation, 0 .. 0.5 */
    uint64_t seed;
    uint64_t text_bytes, text_hash; /* of the text file */
};

/* Measurements of a step. */
struct train_record {
    uint64_t step;  /* from 1 */
    float loss;     /* mean over the step's tokens, natural logarithm */
    float held_out; /* loss of held-out text after this step; negative: not measured */
    float rate;
    float gradient; /* its norm, before clipping */
};

struct train_state {
    struct train_setup setup;
    size_t count;                       /* of weights */
    float *weights, *momentum, *spread; /* (count) each; AdamW's first and second moment */
    uint64_t step;                      /* finished steps */
    struct train_record *record;        /* (step), owned; one per finished step */
    size_t record_capacity;
};

#endif
