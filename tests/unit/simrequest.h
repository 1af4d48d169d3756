/* Requests of all kinds for tests of whole clusters, each determined by a seed; and the results of running each alone. */
#ifndef TESTS_SIMREQUEST_H
#define TESTS_SIMREQUEST_H

#include "simcluster.h"

enum { SIMREQUEST_PROMPT_MAX = 100 };

struct simrequest {
    struct request request; /* prompt is below */
    uint32_t prompt[SIMREQUEST_PROMPT_MAX];
    struct simcluster_result alone; /* see simrequest_run_alone */
};

/* Requests the likeliest token after a prompt of one token. */
extern const struct request simrequest_one_token;

/* One of SIMREQUEST_KINDS variants of the usual sampling settings: each stage of the sampler is used in one of them. */
enum { SIMREQUEST_KINDS = 4 };
void simrequest_vary(struct sampling *sampling, uint64_t kind);

/* Prompt, length and sampling from a seed; every stage of the sampler is used. End tokens are ignored. Do not move the struct
 * afterwards. */
void simrequest_draw(struct simrequest *r, uint64_t seed, uint64_t id, uint32_t vocab, uint32_t prompt_max, uint32_t predict_max);

/* Run on one node, with no other request. config: model, context, KV type and end token are taken from it. */
void simrequest_run_alone(struct simrequest *r, const struct simcluster_config *config);

/* True when the tokens of the result equal those of the run alone, from the result's index_first on, as many as there are. */
bool simrequest_agrees(const struct simrequest *r, const struct simcluster_result *result);

/* True when, in addition, the request ended as it does alone, with the same digest if it began there; or it was cancelled. */
bool simrequest_is_as_alone(const struct simrequest *r, const struct simcluster_result *result);

#endif
