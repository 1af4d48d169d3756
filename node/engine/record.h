/* The wire form of the records by which nodes agree on requests and steps.
 *
 * Integers are little-endian; the first byte is the type. Rank 0 sends requests with their tokens, and steps, to all: together, in their
 * order, they are the step log (steplog.h). Other ranks send it the requests submitted on them in the same form, and cancels:
 *   request: u8 1, u64 id, u16 origin, u32 prompt_count, u32 generated_before, u32 predict, sampling, u8 flags (1 ignore end, 2 digest)
 *            sampling: f32 temperature, u32 top_k, f32 top_p, f32 min_p, f32 repeat, f32 presence, f32 frequency, u64 seed
 *   tokens:  u8 2, u64 id, u32 first, u32 count, count x u32
 *   step:    u8 3, u64 step, u16 parts, parts x (u64 request, u32 position, u16 count, u8 flags (1 sampled, 2 cancelled, 4 begins))
 *            begins: all ranks have the positions before it, from an earlier epoch or from another request
 *   message: u8 4, bytes: engine_post
 *   cancel:  u8 5, u64 id; from rank 0: it has been dropped before it was in the log, u8 1 refused, 0 as asked for
 *   kept:    u8 6, u32 others, u16 count, count x (u64 request, u32 positions): to rank 0, before all else, in epochs whose nodes keep
 *            keys and values: so many positions are there of all KV heads of this rank, and of requests not named here `others`
 * What is read is a peer's word: every function that reads says whether it is well formed, and none trusts a length. */
#ifndef NODE_RECORD_H
#define NODE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/common/bytes.h"
#include "request.h"

enum record_type { RECORD_REQUEST = 1, RECORD_TOKENS, RECORD_STEP, RECORD_MESSAGE, RECORD_CANCEL, RECORD_KEPT };

enum {
    RECORD_TOKENS_MAX = 8000, /* of one record */
    RECORD_PARTS_MAX = 64,
    RECORD_BYTES_MAX = 17 + 4 * RECORD_TOKENS_MAX,
    RECORD_CANCEL_BYTES = 10,
    RECORD_KEPT_MAX = 128, /* requests */
    RECORD_KEPT_BYTES_MAX = 7 + 12 * RECORD_KEPT_MAX
};

/* One sequence's part of a step. */
struct step_part {
    uint64_t request;
    uint32_t position; /* of the first token */
    uint16_t count;    /* tokens; 0: only tells of a cancel */
    bool is_sampled;   /* the last token's logits are drawn from */
    bool is_cancelled; /* the request ends here */
    bool begins;       /* a request that does not begin with position 0 */
};

/* A rank's positions of requests of earlier epochs. */
struct record_kept {
    uint32_t others; /* positions, of requests that are not named */
    uint16_t count;
    struct {
        uint64_t request;
        uint32_t positions;
    } of[RECORD_KEPT_MAX];
};

struct step_entry {
    uint64_t step;
    uint16_t part_count;
    struct step_part part[RECORD_PARTS_MAX];
};

/* A request whose tokens are still coming. */
struct arriving {
    struct request request; /* prompt is token, once all are there */
    uint32_t *token;        /* room for prompt_count */
    uint32_t count;
};

static inline bool arriving_is_complete(const struct arriving *a)
{
    return a->request.id != 0 && a->count == a->request.prompt_count;
}

/* A request travels in several records: first what it is, then its tokens. */
uint32_t record_request_count(const struct request *request);
/* The record with this number, from 0; its size. out: RECORD_BYTES_MAX. */
size_t record_put_request(const struct request *request, uint32_t index, uint8_t *out);
size_t record_put_step(const struct step_entry *entry, uint8_t *out);
size_t record_put_cancel(uint64_t id, bool is_refused, uint8_t out[RECORD_CANCEL_BYTES]);
size_t record_put_kept(const struct record_kept *kept, uint8_t out[RECORD_KEPT_BYTES_MAX]);

/* A part of requests, and of what clients ask (client_message.h). */
void record_put_sampling(struct bytes *out, const struct sampling *sampling);
void record_get_sampling(struct bytes *in, struct sampling *sampling);

/* Read what stands behind the type. 0, or -1: malformed; *out is then not to be used. */
int record_get_request(struct bytes *in, struct request *request); /* one that has tokens, and some to generate */
int record_get_step(struct bytes *in, struct step_entry *entry);
int record_get_cancel(struct bytes *in, uint64_t *id, bool *is_refused);
int record_get_kept(struct bytes *in, struct record_kept *kept);
/* Tokens of the arriving request, which follow those already there. */
int record_get_tokens(struct bytes *in, struct arriving *arriving);
/* The request whose tokens they are; reads a copy of the cursor. */
uint64_t record_peek_id(struct bytes in);

#endif
