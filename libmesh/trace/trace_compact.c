/* Compact records, written. */
#include <stdlib.h>

#include "mesh/wire.h"
#include "trace_compact_parts.h"

struct room {
    uint8_t *at;
    size_t used, room;
};

struct compact {
    struct compact_memory memory;
    struct room data, values, marks;
    size_t bytes;
};

/* ---- writing ---- */

static bool make_room(struct room *room, size_t bytes)
{
    size_t size = room->room > 0 ? room->room : 1 << 16;
    uint8_t *grown;

    if (room->room - room->used >= bytes)
        return true;
    while (size - room->used < bytes)
        size *= 2;
    grown = realloc(room->at, size);
    if (grown == NULL)
        return false;
    room->at = grown;
    room->room = size;
    return true;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *out++ = (uint8_t)(value | 128);
    *out++ = (uint8_t)value;
    return out;
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t) - (int64_t)(difference >> 63);
}

/* Bit i: byte i is not zero. */
static uint8_t mark_of(uint64_t word)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu, high = ~low;

    return (uint8_t)((((((word & low) + low) | word) & high) >> 7) * 0x0102040810204080u >> 56);
}

/* Similar records share a slot: those of the same call, message or event, from and to the same ranks. Any choice would do. */
static unsigned slot_of(const uint8_t *record, size_t fixed)
{
    const uint8_t kind = record[COMPACT_KIND];
    unsigned like = kind * 37u + (unsigned)fixed;

    if (mesh_tape_is_datagram(kind)) {
        const uint8_t *header = record + mesh_tape_part(kind)->wire_bytes;

        if (fixed >= (size_t)(header - record) + MESH_HEADER_BYTES)
            like += header[offsetof(struct mesh_header_bytes, type)] * 11u + header[offsetof(struct mesh_header_bytes, src)] * 5u +
                    header[offsetof(struct mesh_header_bytes, dst)] * 3u;
    } else if (kind == MESH_TAPE_EVENT) {
        like += record[offsetof(struct mesh_tape_event_bytes, type)] * 11u + record[offsetof(struct mesh_tape_event_bytes, rank)] * 5u;
    }
    return like % COMPACT_SLOTS;
}

static uint8_t *put_hash(struct compact_memory *m, uint64_t hash, uint8_t *values, uint8_t *mark)
{
    if (hash == 0)
        return values;
    for (unsigned i = 0; i < COMPACT_HASHES; i++)
        if (m->hash[i] == hash) {
            *mark |= (uint8_t)((2 + i) * MARK_HASH);
            return values;
        }
    *mark |= MARK_HASH;
    compact_remember_hash(m, hash);
    compact_store(values, hash);
    return values + 8;
}

/* Finds where the payload stands already. */
static bool find_payload(const struct compact *c, const uint8_t *payload, size_t bytes, size_t *at)
{
    const struct compact_memory *m = &c->memory;
    const size_t count = m->payload_count < COMPACT_PAYLOADS ? m->payload_count : COMPACT_PAYLOADS;

    if (c->data.used - m->goes_on >= bytes && memcmp(c->data.at + m->goes_on, payload, bytes) == 0) {
        *at = m->goes_on;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (c->data.used - m->payload[i] >= bytes && memcmp(c->data.at + m->payload[i], payload, bytes) == 0) {
            *at = m->payload[i];
            return true;
        }
    return false;
}

static uint8_t *put_payload(struct compact *c, uint8_t kind, const uint8_t *payload, size_t bytes, uint8_t *values, uint8_t *mark)
{
    struct compact_memory *m = &c->memory;
    size_t at;

    if (bytes == 0)
        return values;
    if (mesh_tape_is_datagram(kind) && find_payload(c, payload, bytes, &at)) {
        *mark |= (uint8_t)(MARK_PAYLOAD * (at == m->goes_on ? PAYLOAD_GOES_ON : PAYLOAD_AT));
        if (at != m->goes_on)
            values = put_varint(values, at);
        m->goes_on = at + bytes;
        return values;
    }
    *mark |= MARK_PAYLOAD * PAYLOAD_NEXT;
    if (compact_is_source(kind))
        compact_remember_payload(m, c->data.used);
    memcpy(c->data.at + c->data.used, payload, bytes);
    c->data.used += bytes;
    return values;
}

/* The bytes that differ, once the fields that are stored in another way have been made equal. */
static uint8_t *put_differences(struct compact_last *last, const uint8_t *record, size_t fixed, struct compact_masks *masks,
                                uint8_t *values)
{
    for (size_t at = 0; at < fixed; at += 8) {
        const uint64_t word = fixed - at >= 8 ? compact_load(record + at) : mesh_little_get(record + at, fixed - at);
        uint8_t left = mark_of(word ^ compact_load(last->record + at));

        for (masks->of[at / 8] = left; left != 0; left &= (uint8_t)(left - 1))
            *values++ = (uint8_t)(word >> 8 * (unsigned)__builtin_ctz(left));
        compact_store(last->record + at, word);
    }
    return values;
}

/* Into marks; how many bytes. */
static size_t put_masks(struct compact_memory *m, const struct compact_masks *masks, size_t words, uint8_t *mark)
{
    const uint8_t place = compact_place_of(masks);

    if (memcmp(&m->masks[place], masks, sizeof *masks) == 0) {
        *mark |= MARK_SEEN;
        mark[1] = place;
        return 1;
    }
    m->masks[place] = *masks;
    memcpy(mark + 1, masks->of, words);
    return words;
}

_Static_assert(COMPACT_DUE_NS == COMPACT_AT_NS + 8, "both times are copied at once");

/* Into *marks, of which the first byte is the flags, and into values; both are moved on. */
static uint8_t *put_compared(struct compact_memory *m, const uint8_t *record, size_t fixed, struct compact_last *last, uint8_t **marks,
                             uint8_t *values)
{
    const uint64_t at_ns = compact_load(record + COMPACT_AT_NS), due_ns = compact_load(record + COMPACT_DUE_NS);
    struct compact_masks masks = {{0}};
    uint8_t *const mark = *marks;

    if (last->bytes != fixed) {
        *mark |= MARK_LENGTH;
        values = put_varint(values, fixed);
        compact_resize(last, fixed);
    }
    values = put_varint(values, zigzag(at_ns - m->at_ns));
    if (due_ns != m->due_ns) {
        *mark |= MARK_DUE;
        values = put_varint(values, zigzag(due_ns - at_ns));
    }
    values = put_hash(m, compact_load(record + COMPACT_HASH), values, mark);
    m->at_ns = at_ns;
    m->due_ns = due_ns;
    memcpy(last->record + COMPACT_AT_NS, record + COMPACT_AT_NS, 16);
    memcpy(last->record + COMPACT_HASH, record + COMPACT_HASH, 8);
    values = put_differences(last, record, fixed, &masks, values);
    *marks += 1 + put_masks(m, &masks, (fixed + 7) / 8, mark);
    return values;
}

static uint8_t *put_plain(const uint8_t *record, size_t fixed, uint8_t **marks, uint8_t *values)
{
    *marks += 1;
    values = put_varint(values, fixed);
    memcpy(values, record, fixed);
    return values + fixed;
}

bool mesh_compact_put(struct compact *c, const uint8_t *record, size_t fixed, size_t payload)
{
    const unsigned slot = fixed <= COMPACT_LAST_BYTES ? slot_of(record, fixed) : COMPACT_SLOTS;
    uint8_t *mark, *marks, *values;

    if (!make_room(&c->marks, 2 + COMPACT_WORDS) || !make_room(&c->values, VALUES_BYTES_MAX + fixed) || !make_room(&c->data, payload))
        return false;
    marks = c->marks.at + c->marks.used;
    values = c->values.at + c->values.used;
    *marks++ = (uint8_t)slot;
    mark = marks;
    *mark = 0;
    if (slot < COMPACT_SLOTS)
        values = put_compared(&c->memory, record, fixed, &c->memory.last[slot], &marks, values);
    else
        values = put_plain(record, fixed, &marks, values);
    values = put_payload(c, record[COMPACT_KIND], record + fixed, payload, values, mark);
    c->marks.used = (size_t)(marks - c->marks.at);
    c->values.used = (size_t)(values - c->values.at);
    c->bytes += fixed + payload;
    return true;
}

const uint8_t *mesh_compact_finish(struct compact *c,
                                   size_t (*pack)(void *user, const uint8_t *data, size_t size, uint8_t *out, size_t room), void *user,
                                   uint64_t seed, size_t *bytes)
{
    struct room *blob = &c->data;
    const size_t data = blob->used, room = c->marks.used + c->marks.used / 128 + 512;
    uint8_t *checksum, *trailer;
    size_t packed;

    if (!make_room(blob, c->values.used + room + COMPACT_CHECKSUM_BYTES + COMPACT_TRAILER_BYTES))
        return NULL;
    memcpy(blob->at + data, c->values.at, c->values.used);
    packed = pack(user, c->marks.at, c->marks.used, blob->at + data + c->values.used, room);
    if (packed == 0)
        return NULL;
    checksum = blob->at + data + c->values.used + packed;
    trailer = checksum + COMPACT_CHECKSUM_BYTES;
    mesh_little_put(trailer, data, 4);
    mesh_little_put(trailer + 4, c->values.used, 4);
    mesh_little_put(trailer + 8, c->marks.used, 4);
    compact_store(checksum, COMPACT_CHECKSUM_HEAD);
    compact_store(checksum + 8, compact_checksum(blob->at, (size_t)(checksum - blob->at), trailer, seed));
    *bytes = (size_t)(trailer - blob->at) + COMPACT_TRAILER_BYTES;
    return blob->at;
}

/* ---- beginning and ending ---- */

struct compact *mesh_compact_open(void)
{
    return calloc(1, sizeof(struct compact));
}

void mesh_compact_close(struct compact *c)
{
    if (c == NULL)
        return;
    free(c->data.at);
    free(c->values.at);
    free(c->marks.at);
    free(c);
}

void mesh_compact_clear(struct compact *c)
{
    memset(&c->memory, 0, sizeof c->memory);
    c->data.used = c->values.used = c->marks.used = c->bytes = 0;
}

size_t mesh_compact_bytes(const struct compact *c)
{
    return c->bytes;
}
