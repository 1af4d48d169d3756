/* Values of many kinds for tests of quantisers, and a naive quantiser for comparison, whose scales just reach the farthest value. */
#ifndef TESTS_QUANTISE_CASE_H
#define TESTS_QUANTISE_CASE_H

#include <stddef.h>
#include <stdint.h>

#include "node/gguf/tensor_type.h"

enum quantise_kind {
    QUANTISE_BELL,     /* near a normal distribution, as weights are */
    QUANTISE_FLAT,     /* -1 to 1 */
    QUANTISE_HEAVY,    /* most near 0, some far away */
    QUANTISE_SPARSE,   /* seven of eight are 0 */
    QUANTISE_OUTLIER,  /* one of 256 is fifty times as large */
    QUANTISE_POSITIVE, /* 0.5 to 2.5 */
    QUANTISE_NEGATIVE,
    QUANTISE_EQUAL,   /* all values of a block of 256 are the same */
    QUANTISE_TERNARY, /* -0.7, 0 or 0.7 */
    QUANTISE_SMALL,   /* bell, times 10^-5 */
    QUANTISE_LARGE,   /* bell, times 1000 */
    QUANTISE_KINDS
};

/* The types whose blocks have a scale: ten of them. */
extern const enum tensor_type quantise_case_types[];
extern const size_t quantise_case_type_count;

/* The same values on any machine. */
void quantise_case_fill(enum quantise_kind kind, uint64_t seed, float *values, size_t count);

/* values to blocks and back; count is at most 4096. */
void quantise_case_round_trip(enum tensor_type type, const float *values, size_t count, float *result);

double quantise_case_squares(const float *a, const float *b, size_t count); /* of the differences */

/* Sum of squared errors of one block of the type (tensor_type_info) when the farthest value of each group takes the largest step. */
double quantise_case_naive(enum tensor_type type, const float *block);

#endif
