/* Deterministic inputs of kernel->dot for tests: GGUF rows of any type, their panels, and activations, from a seed alone. */
#ifndef TESTS_DOT_CASE_H
#define TESTS_DOT_CASE_H

#include "node/kernel/kernel.h"

enum { DOT_CASE_PANELS = 3, DOT_CASE_ROWS = DOT_CASE_PANELS * PANEL_ROWS, DOT_CASE_TOKENS = 64, DOT_CASE_TYPES = 13 };

enum dot_flavour {
    DOT_RANDOM,  /* uniform bits, scales about 1 */
    DOT_EXTREME, /* every weight, sub-scale and activation at an end of its range */
    DOT_TINY,    /* scales and products are subnormal */
    DOT_HUGE,    /* near the largest f32 */
    DOT_FLAVOURS
};

struct dot_case {
    uint8_t panels[DOT_CASE_PANELS * PANEL_ROWS * SLICE_COLUMNS * 4] __attribute__((aligned(64)));
    struct act_slice x[DOT_CASE_TOKENS];
    struct act_slice_f32 x_f32[DOT_CASE_TOKENS];
    uint8_t wire[DOT_CASE_TOKENS * SLICE_BLOCKS * BLOCK_WIRE_BYTES_NORM];
    uint8_t rows[DOT_CASE_ROWS * SLICE_COLUMNS * 4]; /* packed, row_bytes apart */
    size_t row_bytes;
    size_t row_count, columns, token_count;
    enum tensor_type type;
};

extern const enum tensor_type dot_case_types[DOT_CASE_TYPES];

/* columns: a multiple of the type's block, at most 256. */
void dot_case_make(struct dot_case *c, enum tensor_type type, enum dot_flavour flavour, size_t row_count, size_t columns,
                   size_t token_count, uint64_t seed);

/* kernel->dot over all panels: out[token * out_stride + row], rows rounded up to 16. */
void dot_case_run(const struct dot_case *c, const struct kernel *kernel, float *out, size_t out_stride, bool accumulate);

/* Blocks of the activations in wire form, (tokens, blocks), each with a sum of squares of its own, as gathers bring them. */
struct kernel_tokens_wire dot_case_wire(struct dot_case *c);
float dot_case_sumsq(size_t token, size_t block);

size_t dot_case_panel_count(const struct dot_case *c);

#endif
