/* Records of a client session between `ask` or `status` and a serving node.
 *
 * Little-endian; the first byte is the kind. Nothing that the other side sends is trusted.
 *   ask:     u8 1, u32 predict, sampling, u8 flags (1 ignore end, 2 digest, 4 ids), u32 bytes, the prompt: text,
 *            or with ids its tokens, u32 each
 *            sampling: f32 temperature, u32 top_k, f32 top_p, f32 min_p, f32 repeat, f32 presence, f32 frequency, u64 seed
 *   status:  u8 2, for JSON     people:  u8 4, the same for people to read     cancel:  u8 3
 *   tokens:  u8 16, u32 count, count x (u32 id, u64 digest), u32 bytes, their text
 *   done:    u8 17, u8 reason (enum engine_done), u32 prompt tokens, u32 tokens, u64 first token after ns, u64 all after ns, u16 nodes,
 *            u32 epochs gone through
 *   state:   u8 18, u32 bytes, text                        refused: u8 19, u32 bytes, why, in words
 *   unfit:   u8 20, the same: no node of the cluster can answer it, so it is the question that has to be another */
#ifndef NODE_TALK_H
#define NODE_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "sampler.h"

enum talk_kind {
    TALK_ASK = 1,
    TALK_STATUS,
    TALK_CANCEL,
    TALK_STATUS_TEXT,
    TALK_TOKENS = 16,
    TALK_DONE,
    TALK_STATE,
    TALK_REFUSED,
    TALK_UNFIT
};

enum { TALK_TEXT_MAX = MESH_RECORD_BYTES_MAX - 64, TALK_TOKENS_MAX = 64 };

struct talk_ask {
    uint32_t predict;
    struct sampling sampling;
    bool ignore_end, want_digest, is_ids; /* ids: the prompt is tokens, not text */
};

struct talk_token {
    uint32_t id;
    uint64_t digest;
};

struct talk_done {
    enum engine_done reason;
    uint32_t prompt_tokens, tokens;
    uint64_t first_ns, all_ns; /* since it was asked */
    uint16_t nodes;
    uint32_t epochs; /* begun while it ran */
};

/* A decoded record: texts point into it. */
struct talk {
    enum talk_kind kind;
    struct talk_ask ask;
    struct talk_done done;
    struct talk_token token[TALK_TOKENS_MAX];
    uint32_t token_count;
    const char *text;
    size_t text_size;
};

/* 0, or -1: no record of this form. */
int talk_read(struct talk *talk, const uint8_t *record, size_t bytes);

/* Into record (MESH_RECORD_BYTES_MAX); the size. text_size is at most TALK_TEXT_MAX (asserted); fields that a kind lacks are ignored. */
size_t talk_write(const struct talk *talk, uint8_t *record);

#endif
