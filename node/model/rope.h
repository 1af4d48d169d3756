/* Rotary position embedding: how fast each pair of columns turns, and the cosines and sines of one position.
 *
 * Which two columns of a head are pair i depends on the architecture. It turns by position * frequency[i] radians, computed in canonical
 * double arithmetic from the position alone, so positions may be requested in any order on any node. Scaling as GGUF declares it: none;
 * linear (Chen et al. 2023, position interpolation); YaRN (Peng et al. 2023); and divisors per pair (tensor rope_freqs.weight), which is
 * how Llama 3.1's scaling is stored. Immutable after init; any thread. */
#ifndef NODE_ROPE_H
#define NODE_ROPE_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct architecture;
struct gguf;

enum { ROPE_PAIRS_MAX = 256, ROPE_POSITIONS_MAX = 1 << 24 };

enum rope_scaling { ROPE_SCALING_NONE, ROPE_SCALING_LINEAR, ROPE_SCALING_YARN };

/* What a model declares. rope_parameters_default gives the values of a model that declares nothing. */
struct rope_parameters {
    uint32_t dimension_count; /* columns of a head that turn: even, 2 .. 2 * ROPE_PAIRS_MAX */
    float freq_base;          /* > 0 */
    enum rope_scaling scaling;
    float factor;               /* by how much the context was stretched */
    uint32_t original_context;  /* positions, YaRN only */
    float ext_factor;           /* share of YaRN's mix of frequencies, 0 .. 1 */
    float attn_factor;          /* multiplies all cosines and sines */
    float beta_fast, beta_slow; /* turns within original_context above which a pair keeps its speed, below which it is slowed by factor */
};

struct rope_config {
    uint32_t pairs;
    float magnitude;                  /* of every (cos, sin) */
    double frequency[ROPE_PAIRS_MAX]; /* radians per position, > 0, ≤ 1 */
};

void rope_parameters_default(uint32_t dimension_count, struct rope_parameters *parameters);

/* divisors: (dimension_count / 2), or NULL. -1: a parameter out of range, named in fail (EXIT_BAD_FILE), *config untouched. */
int rope_config_init(struct rope_config *config, const struct rope_parameters *parameters, const float *divisors, struct fail *fail);

/* From ARCH.rope.* and rope_freqs.weight, ARCH being the architecture. A kind of scaling that is not supported is refused by its name.
 * head_dim: columns of a head, of which dimension_count (when not declared: all) turn. */
int rope_config_from_gguf(const struct gguf *gguf, const struct architecture *architecture, uint32_t head_dim, struct rope_config *config,
                          struct fail *fail);

/* cos, sin: (pairs), of one position < ROPE_POSITIONS_MAX (asserted). */
void rope_table(const struct rope_config *config, uint32_t position, float *cos, float *sin);

#endif
