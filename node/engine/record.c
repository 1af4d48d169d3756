#include "record.h"

#include <assert.h>

enum { FLAG_IGNORE_END = 1, FLAG_DIGEST = 2, FLAG_SAMPLED = 1, FLAG_CANCELLED = 2, FLAG_BEGINS = 4 };

/* ---- writing ---- */

void record_put_sampling(struct bytes *out, const struct sampling *s)
{
#define PUT(type, name, option, off) bytes_put_##type(out, s->name);
    SAMPLING_FIELDS(PUT)
#undef PUT
}

static void put_request(struct bytes *out, const struct request *r)
{
    bytes_put_u8(out, RECORD_REQUEST);
    bytes_put_u64(out, r->id);
    bytes_put_u16(out, r->origin);
    bytes_put_u32(out, r->prompt_count);
    bytes_put_u32(out, r->generated_before);
    bytes_put_u32(out, r->predict);
    record_put_sampling(out, &r->sampling);
    bytes_put_u8(out, (uint8_t)((r->ignore_end ? FLAG_IGNORE_END : 0) | (r->want_digest ? FLAG_DIGEST : 0)));
}

static void put_tokens(struct bytes *out, const struct request *r, uint32_t first)
{
    uint32_t left = r->prompt_count - first, count = left < RECORD_TOKENS_MAX ? left : RECORD_TOKENS_MAX;

    bytes_put_u8(out, RECORD_TOKENS);
    bytes_put_u64(out, r->id);
    bytes_put_u32(out, first);
    bytes_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        bytes_put_u32(out, r->prompt[first + i]);
}

uint32_t record_request_count(const struct request *request)
{
    return 1 + (request->prompt_count + RECORD_TOKENS_MAX - 1) / RECORD_TOKENS_MAX;
}

size_t record_put_request(const struct request *request, uint32_t index, uint8_t *out)
{
    struct bytes b = bytes_writer(out, RECORD_BYTES_MAX);

    assert(index < record_request_count(request));
    if (index == 0)
        put_request(&b, request);
    else
        put_tokens(&b, request, (index - 1) * RECORD_TOKENS_MAX);
    assert(bytes_ok(&b));
    return bytes_size(&b);
}

size_t record_put_step(const struct step_entry *entry, uint8_t *out)
{
    struct bytes b = bytes_writer(out, RECORD_BYTES_MAX);

    bytes_put_u8(&b, RECORD_STEP);
    bytes_put_u64(&b, entry->step);
    bytes_put_u16(&b, entry->part_count);
    for (uint16_t i = 0; i < entry->part_count; i++) {
        const struct step_part *p = &entry->part[i];

        bytes_put_u64(&b, p->request);
        bytes_put_u32(&b, p->position);
        bytes_put_u16(&b, p->count);
        bytes_put_u8(
            &b, (uint8_t)((p->is_sampled ? FLAG_SAMPLED : 0) | (p->is_cancelled ? FLAG_CANCELLED : 0) | (p->begins ? FLAG_BEGINS : 0)));
    }
    return bytes_size(&b);
}

size_t record_put_cancel(uint64_t id, bool is_refused, uint8_t out[RECORD_CANCEL_BYTES])
{
    struct bytes b = bytes_writer(out, RECORD_CANCEL_BYTES);

    bytes_put_u8(&b, RECORD_CANCEL);
    bytes_put_u64(&b, id);
    bytes_put_u8(&b, is_refused ? 1 : 0);
    return bytes_size(&b);
}

size_t record_put_kept(const struct record_kept *kept, uint8_t out[RECORD_KEPT_BYTES_MAX])
{
    struct bytes b = bytes_writer(out, RECORD_KEPT_BYTES_MAX);

    bytes_put_u8(&b, RECORD_KEPT);
    bytes_put_u32(&b, kept->others);
    bytes_put_u16(&b, kept->count);
    for (uint16_t i = 0; i < kept->count; i++) {
        bytes_put_u64(&b, kept->of[i].request);
        bytes_put_u32(&b, kept->of[i].positions);
    }
    assert(bytes_ok(&b));
    return bytes_size(&b);
}

/* ---- reading ---- */

static bool is_at_end(const struct bytes *in)
{
    return bytes_ok(in) && bytes_left(in) == 0;
}

void record_get_sampling(struct bytes *in, struct sampling *s)
{
#define GET(type, name, option, off) s->name = bytes_get_##type(in);
    SAMPLING_FIELDS(GET)
#undef GET
}

int record_get_request(struct bytes *in, struct request *r)
{
    *r = (struct request){0};
    r->id = bytes_get_u64(in);
    r->origin = bytes_get_u16(in);
    r->prompt_count = bytes_get_u32(in);
    r->generated_before = bytes_get_u32(in);
    r->predict = bytes_get_u32(in);
    record_get_sampling(in, &r->sampling);
    uint8_t flags = bytes_get_u8(in);
    r->ignore_end = (flags & FLAG_IGNORE_END) != 0;
    r->want_digest = (flags & FLAG_DIGEST) != 0;
    return is_at_end(in) && r->id != 0 && r->generated_before < r->prompt_count && r->generated_before < r->predict ? 0 : -1;
}

int record_get_step(struct bytes *in, struct step_entry *entry)
{
    entry->step = bytes_get_u64(in);
    entry->part_count = bytes_get_u16(in);
    if (!bytes_ok(in) || entry->part_count > RECORD_PARTS_MAX)
        return -1;
    for (uint16_t i = 0; i < entry->part_count; i++) {
        struct step_part *p = &entry->part[i];

        p->request = bytes_get_u64(in);
        p->position = bytes_get_u32(in);
        p->count = bytes_get_u16(in);
        uint8_t flags = bytes_get_u8(in);
        p->is_sampled = (flags & FLAG_SAMPLED) != 0;
        p->is_cancelled = (flags & FLAG_CANCELLED) != 0;
        p->begins = (flags & FLAG_BEGINS) != 0;
    }
    return is_at_end(in) ? 0 : -1;
}

int record_get_cancel(struct bytes *in, uint64_t *id, bool *is_refused)
{
    *id = bytes_get_u64(in);
    *is_refused = bytes_get_u8(in) != 0;
    return is_at_end(in) && *id != 0 ? 0 : -1;
}

int record_get_kept(struct bytes *in, struct record_kept *kept)
{
    kept->others = bytes_get_u32(in);
    kept->count = bytes_get_u16(in);
    if (!bytes_ok(in) || kept->count > RECORD_KEPT_MAX)
        return -1;
    for (uint16_t i = 0; i < kept->count; i++) {
        kept->of[i].request = bytes_get_u64(in);
        kept->of[i].positions = bytes_get_u32(in);
    }
    return is_at_end(in) ? 0 : -1;
}

int record_get_tokens(struct bytes *in, struct arriving *a)
{
    uint64_t id = bytes_get_u64(in);
    uint32_t first = bytes_get_u32(in), count = bytes_get_u32(in);

    if (!bytes_ok(in) || bytes_left(in) != 4 * (size_t)count || a->request.id != id || first != a->count ||
        count > a->request.prompt_count - first)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        a->token[first + i] = bytes_get_u32(in);
    a->count += count;
    return 0;
}

uint64_t record_peek_id(struct bytes in)
{
    return bytes_get_u64(&in);
}
