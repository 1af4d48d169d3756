/* Compute kernels, one table per instruction set, all giving the same bits.
 *
 * kernel_scalar.c is the specification in C; docs/ARITHMETIC.md says the same in words. A panel is 16 weight rows of one slice
 * (256 consecutive columns, the last slice of a row may be shorter), interleaved so that a vector lane is a row. One panel format for all
 * instruction sets. Pure functions of their arguments; any thread. Rounding must be to nearest, subnormals kept. */
#ifndef NODE_KERNEL_H
#define NODE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/gguf/tensor_type.h"

enum {
    PANEL_ROWS = 16,
    SLICE_COLUMNS = 256,
    BLOCK_COLUMNS = 32,
    SLICE_BLOCKS = SLICE_COLUMNS / BLOCK_COLUMNS,
    BLOCK_WIRE_BYTES = 36,      /* f32 d, then 32 int8 q, little-endian */
    BLOCK_WIRE_BYTES_NORM = 40, /* the same and f32 sum of squares last */
    PANEL_ALIGNMENT = 64,
    PANEL_PREFETCH_BYTES = 8192 /* prefetch distance of kernels (or twice that); harmless beyond the last panel, since nothing is loaded */
};

/* One quantised slice of one token, as kernels read it. 64-byte aligned. Columns beyond a short slice's end: all 0. */
struct act_slice {
    int8_t q[SLICE_COLUMNS];
    float d[SLICE_BLOCKS];
    int32_t minus[SLICE_BLOCKS];     /* the sum of each block's q, negated: times a type's zero point it begins a vector of sums */
    int16_t sum[SLICE_COLUMNS / 16]; /* of q over each 16 columns */
    float sumsq[SLICE_BLOCKS];       /* of gathers that feed a norm; else 0 */
} __attribute__((aligned(64)));

/* One slice of a token in f32, for float weights: (256), zero beyond a short slice's end. */
struct act_slice_f32 {
    float v[SLICE_COLUMNS];
    float sumsq[SLICE_BLOCKS];
} __attribute__((aligned(64)));

/* Bytes of one panel whose slice has `columns` columns (a multiple of the type's block for quantised types; 1..256). A multiple of 64. */
size_t kernel_panel_bytes(enum tensor_type type, size_t columns);

/* Interleave up to 16 consecutive rows of a GGUF tensor, columns column_first.. of each. Missing rows become zero weights.
 * rows: packed, any alignment, row_bytes apart. panel: 64-byte aligned. */
void kernel_panel_pack(enum tensor_type type, const uint8_t *rows, size_t row_bytes, size_t row_count, size_t column_first, size_t columns,
                       void *panel);

/* Dot products of panel_count consecutive panels of one slice (the same columns of further rows) with that slice of token_count tokens.
 * x: struct act_slice of the first token (struct act_slice_f32 for float types), x_stride bytes between tokens.
 * out[token * out_stride + panel * 16 + row]: = result, or += result with accumulate (one f32 addition: old + result).
 * Any panel_count, token_count ≥ 1. The result is the same for any grouping of panels or tokens. */
typedef void kernel_dot_fn(const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride, size_t token_count,
                           float *out, size_t out_stride, bool accumulate);

/* Blocks of a slice in wire form, of consecutive tokens. */
struct kernel_tokens_wire {
    const uint8_t *data;
    size_t token_stride, block_stride;
    size_t block_first, blocks; /* of the slice's */
    bool with_sumsq;            /* behind each */
    bool with_halves;           /* a type that reads_halves will read the panel */
};

/* The tokens of a prompt side by side, in a token panel (token_panel.h), which some instruction sets multiply faster. */
struct kernel_tokens {
    /* What kernel_unpack does, for tokens `first` .. first+count-1 of the `tokens` of a panel. */
    void (*put)(const struct kernel_tokens_wire *wire, uint8_t *panel, size_t tokens, size_t first, size_t count);
    /* What a kernel_dot_fn does, for all tokens of a panel; NULL for types that are faster without. */
    void (*dot[TYPE_COUNT])(const void *panels, size_t panel_count, size_t columns, const uint8_t *tokens, size_t token_count, float *out,
                            size_t out_stride, bool accumulate);
    bool reads_halves[TYPE_COUNT]; /* it needs panels that were put with_halves */
};

enum kv_type { KV_F16, KV_F32, KV_Q8_0, KV_TYPE_COUNT };

/* Attention of `heads` query heads that share one KV head, for one token. Scores are computed in blocks of 256 positions anchored at 0. */
struct attend {
    const float *q;     /* (heads, head_dim), rotated */
    float *out;         /* (heads, head_dim) */
    const void *k, *v;  /* caches of this KV head, 64-byte aligned; see kernel_kv_bytes */
    const void *k_next; /* K cache that is attended to next, prefetched meanwhile, as many bytes as this one has; NULL: none */
    float *scratch;     /* kernel_attend_scratch_floats(heads, positions) */
    uint32_t heads, head_dim;
    uint32_t positions; /* attends to 0..positions-1, ≥ 1 */
    float scale;        /* of the scores, 1/sqrt(head_dim) */
    enum kv_type type;
};

/* Bytes of the K (and of the V) cache of one KV head for `positions` positions; a multiple of 64. K is stored transposed by 16
 * positions. */
size_t kernel_kv_bytes(enum kv_type type, uint32_t head_dim, uint32_t positions);
void kernel_kv_store(enum kv_type type, uint32_t head_dim, uint32_t position, const float *k, const float *v, void *k_cache, void *v_cache);
size_t kernel_attend_scratch_floats(uint32_t heads, uint32_t positions);

struct kernel_train;

struct kernel {
    const char *name;                   /* "scalar", "avx2", "avxvnni", ... */
    bool (*supported)(void);            /* by this CPU */
    kernel_dot_fn *dot[TYPE_COUNT];     /* NULL where the type does not exist */
    const struct kernel_tokens *tokens; /* or NULL */

    /* Quantise `blocks` blocks of 32 f32 (short ones padded with +0 by the caller) to wire form, wire_stride bytes apart (36 or 40).
     * A non-finite value makes d the NaN 0x7fc00000 and q zero. Returns the index of the first non-finite value, or -1. */
    int64_t (*quantise)(const float *x, size_t blocks, uint8_t *wire, size_t wire_stride);

    /* The fixed-order sum of squares of 32 values. */
    float (*sumsq)(const float *x);

    /* out[i] = w[i] * x[i]; out may be x */
    void (*scale)(const float *w, const float *x, size_t count, float *out);

    /* out[i] = factor * x[i]; out may be x */
    void (*times)(float factor, const float *x, size_t count, float *out);

    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, size_t count);

    /* out[i] = silu(gate[i]) * up[i] */
    void (*swiglu)(const float *gate, const float *up, size_t count, float *out);

    /* Rotate pairs (2i, 2i+1), i < pairs, by (cos[i], sin[i]): NORM-type rope. */
    void (*rope)(float *x, const float *cos, const float *sin, size_t pairs);

    /* The same for pairs (i, i + pairs): NEOX-type rope. */
    void (*rope_halves)(float *x, const float *cos, const float *sin, size_t pairs);

    void (*attend)(const struct attend *attend);

    const struct kernel_train *train; /* kernel_train.h */
};

/* Wire blocks into a slice: block `first` (0..7) and following; derived sums included. with_sumsq: stride 40. Called once per received
 * tile, and not speed-critical per byte. Integers and copies only, so one version. */
void kernel_unpack(const uint8_t *wire, size_t wire_stride, size_t first, size_t blocks, bool with_sumsq, struct act_slice *slice);

/* The fastest supported kernel, or the named one, in upper or lower case. NULL: unknown name or not supported by this CPU. */
const struct kernel *kernel_choose(const char *name);

/* The same for the value of --kernel, NULL: not given. NULL after fail_set, whose message lists those that this machine has. */
const struct kernel *kernel_option(const char *name, struct fail *fail);

const struct kernel *kernel_at(size_t index); /* for tests: NULL after the last; check supported() */

/* Round to nearest, no flush to zero, no traps, whatever the thread has inherited: call first in every thread that computes. */
void kernel_thread_init(void);

#endif
