/* Records of a client session between `ask` or `status` and a serving node.
 *
 * Little-endian; the first byte is the kind. Nothing that the other side sends is trusted.
 *   ask:     u8 1, u32 predict, sampling, u8 flags (1 ignore end, 2 digest, 4 ids, 8 chat), u32 bytes, the prompt: text,
 *            with chat a question, or with ids its tokens, u32 each
 *            sampling: f32 temperature, u32 top_k, f32 top_p, f32 min_p, f32 repeat, f32 presence, f32 frequency, u64 seed
 *   converse: u8 8, the same with the flags 1 and 2 alone; its text is the turns of a conversation, packed (chat_turns.h)
 *   status:  u8 2, for JSON     people:  u8 4, the same for people to read
 *   cancel:  u8 3: what was asked ends, with a done record
 *   A flag that is not listed is refused, as is an unknown kind.
 *   tokens:  u8 16, u32 count, count x (u32 id, u64 digest, u32 bytes of its text), u32 bytes, the texts of all, one after the other;
 *            without tokens, text that belongs to none
 *   done:    u8 17, u8 reason (enum engine_done), u32 prompt tokens, u32 tokens, u64 first token after ns, u64 all after ns, u16 nodes,
 *            u32 epochs gone through
 *   state:   u8 18, u32 bytes, text                        refused: u8 19, u32 bytes, why, in words
 *   unfit:   u8 20, the same: no node of the cluster can answer it, so it is the question that has to be another */
#ifndef NODE_CLIENT_MESSAGE_H
#define NODE_CLIENT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/engine/engine.h"
#include "node/engine/sampler.h"

enum client_message_kind {
    CLIENT_MESSAGE_ASK = 1,
    CLIENT_MESSAGE_STATUS,
    CLIENT_MESSAGE_CANCEL,
    CLIENT_MESSAGE_STATUS_TEXT,
    CLIENT_MESSAGE_CONVERSE = 8, /* 5 to 7 are records of bulk.h and telemetry.h */
    CLIENT_MESSAGE_TOKENS = 16,
    CLIENT_MESSAGE_DONE,
    CLIENT_MESSAGE_STATE,
    CLIENT_MESSAGE_REFUSED,
    CLIENT_MESSAGE_UNFIT
};

enum { CLIENT_MESSAGE_TEXT_MAX = MESH_RECORD_BYTES_MAX - 64, CLIENT_MESSAGE_TOKENS_MAX = 64 };

struct client_message_ask {
    uint32_t predict;
    struct sampling sampling;
    bool ignore_end, want_digest;
    bool is_ids, is_chat; /* of ask. ids: the prompt is tokens, not text; chat: a question, to be put into the form of the model */
};

struct client_message_token {
    uint32_t id;
    uint64_t digest;
    uint32_t text_size; /* its part of the message's text, where those of the tokens follow one another */
};

struct client_message_done {
    enum engine_done reason;
    uint32_t prompt_tokens, tokens;
    uint64_t first_ns, all_ns; /* since it was asked */
    uint16_t nodes;
    uint32_t epochs; /* begun while it ran */
};

/* A decoded record: texts point into it. */
struct client_message {
    enum client_message_kind kind;
    struct client_message_ask ask;
    struct client_message_done done;
    struct client_message_token token[CLIENT_MESSAGE_TOKENS_MAX];
    uint32_t token_count;
    const char *text;
    size_t text_size;
};

/* 0, or -1: no record of this form. */
int client_message_read(struct client_message *message, const uint8_t *record, size_t bytes);

/* Into record (MESH_RECORD_BYTES_MAX); the size. text_size is at most CLIENT_MESSAGE_TEXT_MAX (asserted); fields that a kind lacks are
 * ignored. */
size_t client_message_write(const struct client_message *message, uint8_t *record);

#endif
