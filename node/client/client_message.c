#include "client_message.h"

#include <assert.h>

#include "node/common/bytes.h"
#include "node/engine/record.h"

enum { FLAG_IGNORE_END = 1, FLAG_DIGEST = 2, FLAG_IDS = 4, FLAG_CHAT = 8 };

static uint8_t flags_of(enum client_message_kind kind)
{
    return FLAG_IGNORE_END | FLAG_DIGEST | (kind == CLIENT_MESSAGE_ASK ? FLAG_IDS | FLAG_CHAT : 0);
}

static void put_text(struct bytes *out, const struct client_message *message)
{
    assert(message->text_size <= CLIENT_MESSAGE_TEXT_MAX);
    bytes_put_u32(out, (uint32_t)message->text_size);
    for (size_t i = 0; i < message->text_size; i++)
        bytes_put_u8(out, (uint8_t)message->text[i]);
}

static void get_text(struct bytes *in, struct client_message *message)
{
    message->text_size = bytes_get_u32(in);
    message->text = (const char *)in->read + in->used;
    bytes_advance(in, message->text_size);
}

static void put_ask(struct bytes *out, const struct client_message_ask *ask, enum client_message_kind kind)
{
    const int flags = (ask->ignore_end ? FLAG_IGNORE_END : 0) | (ask->want_digest ? FLAG_DIGEST : 0) | (ask->is_ids ? FLAG_IDS : 0) |
                      (ask->is_chat ? FLAG_CHAT : 0);

    bytes_put_u32(out, ask->predict);
    record_put_sampling(out, &ask->sampling);
    bytes_put_u8(out, (uint8_t)(flags & flags_of(kind)));
}

/* An option that this node does not know would be missing in its answer: -1. */
static int get_ask(struct bytes *in, struct client_message_ask *ask, enum client_message_kind kind)
{
    uint8_t flags;

    ask->predict = bytes_get_u32(in);
    record_get_sampling(in, &ask->sampling);
    flags = bytes_get_u8(in);
    if ((flags & ~flags_of(kind)) != 0)
        return -1;
    ask->ignore_end = (flags & FLAG_IGNORE_END) != 0;
    ask->want_digest = (flags & FLAG_DIGEST) != 0;
    ask->is_ids = (flags & FLAG_IDS) != 0;
    ask->is_chat = (flags & FLAG_CHAT) != 0;
    return 0;
}

/* Do the texts of the tokens make up the message's? */
static bool has_all_text(const struct client_message *message)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < message->token_count; i++)
        size += message->token[i].text_size;
    return message->token_count == 0 || size == message->text_size;
}

static void put_tokens(struct bytes *out, const struct client_message *message)
{
    assert(message->token_count <= CLIENT_MESSAGE_TOKENS_MAX && has_all_text(message));
    bytes_put_u32(out, message->token_count);
    for (uint32_t i = 0; i < message->token_count; i++) {
        bytes_put_u32(out, message->token[i].id);
        bytes_put_u64(out, message->token[i].digest);
        bytes_put_u32(out, message->token[i].text_size);
    }
}

static int get_tokens(struct bytes *in, struct client_message *message)
{
    message->token_count = bytes_get_u32(in);
    if (message->token_count > CLIENT_MESSAGE_TOKENS_MAX)
        return -1;
    for (uint32_t i = 0; i < message->token_count; i++) {
        message->token[i].id = bytes_get_u32(in);
        message->token[i].digest = bytes_get_u64(in);
        message->token[i].text_size = bytes_get_u32(in);
    }
    return 0;
}

static void put_done(struct bytes *out, const struct client_message_done *done)
{
    bytes_put_u8(out, (uint8_t)done->reason);
    bytes_put_u32(out, done->prompt_tokens);
    bytes_put_u32(out, done->tokens);
    bytes_put_u64(out, done->first_ns);
    bytes_put_u64(out, done->all_ns);
    bytes_put_u16(out, done->nodes);
    bytes_put_u32(out, done->epochs);
}

static void get_done(struct bytes *in, struct client_message_done *done)
{
    done->reason = (enum engine_done)bytes_get_u8(in);
    done->prompt_tokens = bytes_get_u32(in);
    done->tokens = bytes_get_u32(in);
    done->first_ns = bytes_get_u64(in);
    done->all_ns = bytes_get_u64(in);
    done->nodes = bytes_get_u16(in);
    done->epochs = bytes_get_u32(in);
}

static bool is_question(enum client_message_kind kind)
{
    return kind == CLIENT_MESSAGE_ASK || kind == CLIENT_MESSAGE_CONVERSE;
}

size_t client_message_write(const struct client_message *message, uint8_t *record)
{
    struct bytes out = bytes_writer(record, MESH_RECORD_BYTES_MAX);

    bytes_put_u8(&out, (uint8_t)message->kind);
    if (is_question(message->kind))
        put_ask(&out, &message->ask, message->kind);
    if (message->kind == CLIENT_MESSAGE_TOKENS)
        put_tokens(&out, message);
    if (message->kind == CLIENT_MESSAGE_DONE)
        put_done(&out, &message->done);
    if (is_question(message->kind) || message->kind == CLIENT_MESSAGE_TOKENS || message->kind >= CLIENT_MESSAGE_STATE)
        put_text(&out, message);
    assert(bytes_ok(&out));
    return bytes_size(&out);
}

int client_message_read(struct client_message *message, const uint8_t *record, size_t bytes)
{
    struct bytes in = bytes_reader(record, bytes);

    *message = (struct client_message){.kind = (enum client_message_kind)bytes_get_u8(&in)};
    switch (message->kind) {
    case CLIENT_MESSAGE_STATUS:
    case CLIENT_MESSAGE_STATUS_TEXT:
    case CLIENT_MESSAGE_CANCEL:
        break;
    case CLIENT_MESSAGE_ASK:
    case CLIENT_MESSAGE_CONVERSE:
        if (get_ask(&in, &message->ask, message->kind) < 0)
            return -1;
        get_text(&in, message);
        break;
    case CLIENT_MESSAGE_TOKENS:
        if (get_tokens(&in, message) < 0)
            return -1;
        get_text(&in, message);
        if (!has_all_text(message))
            return -1;
        break;
    case CLIENT_MESSAGE_DONE:
        get_done(&in, &message->done);
        if (message->done.reason > ENGINE_DONE_REFUSED || message->done.nodes > MESH_RANKS_MAX)
            return -1;
        break;
    case CLIENT_MESSAGE_STATE:
    case CLIENT_MESSAGE_REFUSED:
    case CLIENT_MESSAGE_UNFIT:
        get_text(&in, message);
        break;
    default:
        return -1;
    }
    return bytes_ok(&in) && bytes_left(&in) == 0 ? 0 : -1;
}
