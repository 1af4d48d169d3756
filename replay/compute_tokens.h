/* Requests and tokens in a trace, and whether the tokens are drawn again. */
#ifndef REPLAY_COMPUTE_TOKENS_H
#define REPLAY_COMPUTE_TOKENS_H

#include "command.h"
#include "node/recompute/recompute.h"

struct compute_token {
    uint64_t request, position, id;
    int64_t digest; /* of its logits, or MESH_TRACE_NULL */
    bool is_compared;
};

struct compute_tokens {
    struct compute_token *tokens; /* (count) by request and position */
    size_t count, capacity;
    struct request *requests; /* (request_count) those recorded with their prompt; owned */
    int64_t *request_ns;      /* (request_count) when each was made */
    size_t request_count, request_capacity;
};

/* Add those of a trace to what is there, at first nothing ({0}): files of one recording continue its answers. Pointers to tokens and
 * requests are no longer valid. -1 after fail_set. Release them either way. */
int compute_tokens_read(struct compute_tokens *tokens, const char *path, struct mesh_trace *trace, struct fail *fail);
void compute_tokens_release(struct compute_tokens *tokens);

/* A recorded token; NULL: there is none. */
const struct compute_token *compute_tokens_get(const struct compute_tokens *tokens, uint64_t request, uint64_t position);

/* This token was drawn: the first of its records with another token or other logits; NULL: none. */
const struct compute_token *compute_tokens_check(struct compute_tokens *tokens, uint64_t request, uint64_t position, uint64_t id,
                                                 uint64_t digest);

/* The number of tokens compared. */
uint64_t compute_tokens_compared(const struct compute_tokens *tokens);

/* The next request, after *index of them, with tokens not yet compared; its predict suffices to draw all of them. False: there are no
 * more. */
bool compute_tokens_next_request(const struct compute_tokens *tokens, size_t *index, struct request *request);

#endif
