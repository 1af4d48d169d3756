/* Models of random weights in any shape and type: valid GGUF v3 files of any of the architectures that run here, without a
 * download.
 *
 * The same options give the same bytes on any machine. Standard deviations are chosen so that activations stay near 1 in a model of any
 * depth (1/sqrt(columns) for each matrix, times 1/sqrt(2 layers) for those added to the residual) and logits differ by a few units; tokens
 * that are not text have small output rows, so that samples look like words. */
#ifndef NODE_SYNTH_H
#define NODE_SYNTH_H

#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/gguf/gguf_write.h"
#include "node/gguf/tensor_type.h"

enum { SYNTH_DIM_MAX = 1 << 18, SYNTH_LAYERS_MAX = 1024, SYNTH_CONTEXT_MAX = 1 << 24 };

struct synth_options {
    uint32_t dim;    /* a multiple of the type's block and of heads, such that the head size is even, at most 512 */
    uint32_t hidden; /* a multiple of the type's block */
    uint32_t layers;
    uint32_t heads; /* a multiple of kv_heads */
    uint32_t kv_heads;
    uint32_t vocab; /* SYNTH_VOCAB_MIN to SYNTH_VOCAB_MAX */
    uint32_t context;
    enum tensor_type type; /* of all matrices; norms and biases are f32 */
    uint64_t seed;
    const char *architecture; /* of architecture.h; NULL: llama */
};

/* Write the model, replacing what is at path only once it is complete; progress on stderr when that is a terminal and it takes over a
 * second. EXIT_USAGE for options that make no model, naming the number and what is allowed; EXIT_ENVIRONMENT when writing fails. */
int synth_write(const struct synth_options *options, const char *path, struct fail *fail);

/* The beginning of such a file alone: everything but the weights. To be released in any case. */
int synth_describe(const struct synth_options *options, struct gguf_write *description, struct fail *fail);

#endif
