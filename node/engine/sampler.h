/* Choosing the next token, the same on every node.
 *
 * Each node selects candidates among the vocabulary rows it owns; the token is drawn from all candidates together. The draw is argmax of
 * logit/T + Gumbel(seed, position, id): counter-based (hash.h), so it depends on nothing else. All arithmetic is canonical (canon.h), all
 * orders fixed. Pure functions. */
#ifndef NODE_SAMPLER_H
#define NODE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

/* What decides how a request's tokens are drawn, declared once. From this list come the struct, its form in records between nodes and of
 * clients (record.c), where the order counts, the options of a request in a trace, and the command lines of replays. The options of `run`
 * and `ask` have tables of their own.
 *    type name               option                 off (temperature: greedy; in a trace: not recorded) */
/* clang-format off */
#define SAMPLING_FIELDS(F) \
    F(f32, temperature,       "--temp",              0) \
    F(u32, top_k,             "--top-k",             0) \
    F(f32, top_p,             "--top-p",             1) \
    F(f32, min_p,             "--min-p",             0) \
    F(f32, repeat_penalty,    "--repeat-penalty",    1) \
    F(f32, presence_penalty,  "--presence-penalty",  0) \
    F(f32, frequency_penalty, "--frequency-penalty", 0) \
    F(u64, seed,              "--seed",              0)
/* clang-format on */

#define SAMPLING_MEMBER_f32(name)                float name;
#define SAMPLING_MEMBER_u32(name)                uint32_t name;
#define SAMPLING_MEMBER_u64(name)                uint64_t name;
#define SAMPLING_MEMBER(type, name, option, off) SAMPLING_MEMBER_##type(name)

struct sampling {
    SAMPLING_FIELDS(SAMPLING_MEMBER)
};

/* Check that every number is one that this header can work with; otherwise -1 with EXIT_USAGE, naming the option as on the command line. */
int sampler_check(const struct sampling *sampling, struct fail *fail);

enum { SAMPLER_PENALTY_WINDOW = 64 }; /* penalties cover the last 64 tokens, prompt included */

struct candidate {
    uint32_t id;
    float logit; /* after penalties */
};

/* How many candidates a node with `rows` vocabulary rows sends: 1 for greedy; top_k; 1 for plain temperature (the node's best by perturbed
 * score); all rows when top-k is off and top-p or min-p needs them. Never more than rows. */
uint32_t sampler_candidate_count(const struct sampling *sampling, uint32_t rows);

/* The node's candidates, ordered by (logit descending, id ascending) (or the one with the best perturbed score).
 * logits: (rows), of ids id_first...; history: the last tokens, at most the window is looked at. scratch: (rows) candidates.
 * out: (sampler_candidate_count). */
void sampler_select(const struct sampling *sampling, uint64_t position, const uint32_t *history, size_t history_count, const float *logits,
                    uint32_t id_first, uint32_t rows, struct candidate *scratch, struct candidate *out);

/* The chosen id. candidates: those of all nodes, in any order; reordered by the call. count ≥ 1. position is that of the token being
 * chosen. */
uint32_t sampler_draw(const struct sampling *sampling, uint64_t position, struct candidate *candidates, size_t count);

/* Part of the logits digest: wrapping sum over ids of hash(position, id, bits of the raw logit). Parts of all nodes are added. */
uint64_t sampler_digest(uint64_t position, const float *logits, uint32_t id_first, uint32_t rows);

#endif
