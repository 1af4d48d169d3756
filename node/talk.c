#include "talk.h"

#include <assert.h>

#include "bytes.h"

enum { FLAG_IGNORE_END = 1, FLAG_DIGEST = 2, FLAG_IDS = 4 };

static void put_text(struct bytes *out, const struct talk *talk)
{
    assert(talk->text_size <= TALK_TEXT_MAX);
    bytes_put_u32(out, (uint32_t)talk->text_size);
    for (size_t i = 0; i < talk->text_size; i++)
        bytes_put_u8(out, (uint8_t)talk->text[i]);
}

static void get_text(struct bytes *in, struct talk *talk)
{
    talk->text_size = bytes_get_u32(in);
    talk->text = (const char *)in->read + in->used;
    bytes_advance(in, talk->text_size);
}

static void put_ask(struct bytes *out, const struct talk_ask *ask)
{
    const struct sampling *s = &ask->sampling;

    bytes_put_u32(out, ask->predict);
    bytes_put_f32(out, s->temperature);
    bytes_put_u32(out, s->top_k);
    bytes_put_f32(out, s->top_p);
    bytes_put_f32(out, s->min_p);
    bytes_put_f32(out, s->repeat_penalty);
    bytes_put_f32(out, s->presence_penalty);
    bytes_put_f32(out, s->frequency_penalty);
    bytes_put_u64(out, s->seed);
    bytes_put_u8(out,
                 (uint8_t)((ask->ignore_end ? FLAG_IGNORE_END : 0) | (ask->want_digest ? FLAG_DIGEST : 0) | (ask->is_ids ? FLAG_IDS : 0)));
}

static void get_ask(struct bytes *in, struct talk_ask *ask)
{
    struct sampling *s = &ask->sampling;
    uint8_t flags;

    ask->predict = bytes_get_u32(in);
    s->temperature = bytes_get_f32(in);
    s->top_k = bytes_get_u32(in);
    s->top_p = bytes_get_f32(in);
    s->min_p = bytes_get_f32(in);
    s->repeat_penalty = bytes_get_f32(in);
    s->presence_penalty = bytes_get_f32(in);
    s->frequency_penalty = bytes_get_f32(in);
    s->seed = bytes_get_u64(in);
    flags = bytes_get_u8(in);
    ask->ignore_end = (flags & FLAG_IGNORE_END) != 0;
    ask->want_digest = (flags & FLAG_DIGEST) != 0;
    ask->is_ids = (flags & FLAG_IDS) != 0;
}

static void put_tokens(struct bytes *out, const struct talk *talk)
{
    assert(talk->token_count <= TALK_TOKENS_MAX);
    bytes_put_u32(out, talk->token_count);
    for (uint32_t i = 0; i < talk->token_count; i++) {
        bytes_put_u32(out, talk->token[i].id);
        bytes_put_u64(out, talk->token[i].digest);
    }
}

static int get_tokens(struct bytes *in, struct talk *talk)
{
    talk->token_count = bytes_get_u32(in);
    if (talk->token_count > TALK_TOKENS_MAX)
        return -1;
    for (uint32_t i = 0; i < talk->token_count; i++) {
        talk->token[i].id = bytes_get_u32(in);
        talk->token[i].digest = bytes_get_u64(in);
    }
    return 0;
}

static void put_done(struct bytes *out, const struct talk_done *done)
{
    bytes_put_u8(out, (uint8_t)done->reason);
    bytes_put_u32(out, done->prompt_tokens);
    bytes_put_u32(out, done->tokens);
    bytes_put_u64(out, done->first_ns);
    bytes_put_u64(out, done->all_ns);
    bytes_put_u16(out, done->nodes);
    bytes_put_u32(out, done->epochs);
}

static void get_done(struct bytes *in, struct talk_done *done)
{
    done->reason = (enum engine_done)bytes_get_u8(in);
    done->prompt_tokens = bytes_get_u32(in);
    done->tokens = bytes_get_u32(in);
    done->first_ns = bytes_get_u64(in);
    done->all_ns = bytes_get_u64(in);
    done->nodes = bytes_get_u16(in);
    done->epochs = bytes_get_u32(in);
}

size_t talk_write(const struct talk *talk, uint8_t *record)
{
    struct bytes out = bytes_writer(record, MESH_RECORD_BYTES_MAX);

    bytes_put_u8(&out, (uint8_t)talk->kind);
    if (talk->kind == TALK_ASK)
        put_ask(&out, &talk->ask);
    if (talk->kind == TALK_TOKENS)
        put_tokens(&out, talk);
    if (talk->kind == TALK_DONE)
        put_done(&out, &talk->done);
    if (talk->kind == TALK_ASK || talk->kind == TALK_TOKENS || talk->kind >= TALK_STATE)
        put_text(&out, talk);
    assert(bytes_ok(&out));
    return bytes_size(&out);
}

int talk_read(struct talk *talk, const uint8_t *record, size_t bytes)
{
    struct bytes in = bytes_reader(record, bytes);

    *talk = (struct talk){.kind = (enum talk_kind)bytes_get_u8(&in)};
    switch (talk->kind) {
    case TALK_STATUS:
    case TALK_STATUS_TEXT:
    case TALK_CANCEL:
        break;
    case TALK_ASK:
        get_ask(&in, &talk->ask);
        get_text(&in, talk);
        break;
    case TALK_TOKENS:
        if (get_tokens(&in, talk) < 0)
            return -1;
        get_text(&in, talk);
        break;
    case TALK_DONE:
        get_done(&in, &talk->done);
        if (talk->done.reason > ENGINE_DONE_REFUSED)
            return -1;
        break;
    case TALK_STATE:
    case TALK_REFUSED:
    case TALK_UNFIT:
        get_text(&in, talk);
        break;
    default:
        return -1;
    }
    return bytes_ok(&in) && bytes_left(&in) == 0 ? 0 : -1;
}
