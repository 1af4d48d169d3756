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

/* Like records have a slot in common: of the same call, message or event, from and to the same ranks. Any choice would do. */
static unsigned slot_of(const uint8_t *record, size_t fixed)
{
    const uint8_t kind = record[KIND];
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

/* Where the payload stands already. */
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

/* The bytes that differ, after the fields that have been told in another way are the same. */
static uint8_t *put_differences(struct compact_last *last, const uint8_t *record, size_t fixed, uint8_t *marks, uint8_t *values)
{
    uint8_t now[COMPACT_LAST_BYTES + 8];

    memcpy(now, record, fixed);
    memset(now + fixed, 0, 8);
    for (size_t at = 0; at < fixed; at += 8) {
        const uint64_t word = compact_load(now + at);
        uint8_t left = mark_of(word ^ compact_load(last->record + at));

        for (*marks++ = left; left != 0; left &= (uint8_t)(left - 1))
            *values++ = (uint8_t)(word >> 8 * (unsigned)__builtin_ctz(left));
    }
    return values;
}

static uint8_t *put_compared(struct compact_memory *m, const uint8_t *record, size_t fixed, unsigned slot, uint8_t *mark, uint8_t *values)
{
    struct compact_last *last = &m->last[slot];
    const size_t words = (fixed + 7) / 8;
    const uint64_t at_ns = compact_load(record + AT_NS), due_ns = compact_load(record + DUE_NS);

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
    values = put_hash(m, compact_load(record + HASH), values, mark);
    m->at_ns = at_ns;
    m->due_ns = due_ns;
    memcpy(last->record + AT_NS, record + AT_NS, 16);
    memcpy(last->record + HASH, record + HASH, 8);
    values = put_differences(last, record, fixed, mark + 1, values);
    if ((*mark & MARK_LENGTH) == 0 && memcmp(mark + 1, last->marks, words) == 0)
        *mark |= MARK_SAME;
    memcpy(last->marks, mark + 1, words);
    memcpy(last->record, record, fixed);
    return values;
}

bool compact_put(struct compact *c, const uint8_t *record, size_t fixed, size_t payload)
{
    const bool is_compared = fixed <= COMPACT_LAST_BYTES;
    uint8_t *marks, *mark, *values;

    if (!make_room(&c->marks, 2 + COMPACT_WORDS) || !make_room(&c->values, VALUES_BYTES_MAX + fixed) || !make_room(&c->data, payload))
        return false;
    marks = c->marks.at + c->marks.used;
    values = c->values.at + c->values.used;
    mark = marks + 1;
    *mark = 0;
    marks[0] = is_compared ? (uint8_t)slot_of(record, fixed) : COMPACT_SLOTS;
    if (is_compared) {
        values = put_compared(&c->memory, record, fixed, marks[0], mark, values);
    } else {
        values = put_varint(values, fixed);
        memcpy(values, record, fixed);
        values += fixed;
    }
    values = put_payload(c, record[KIND], record + fixed, payload, values, mark);
    c->marks.used += 2 + (is_compared && (*mark & MARK_SAME) == 0 ? (fixed + 7) / 8 : 0);
    c->values.used = (size_t)(values - c->values.at);
    c->bytes += fixed + payload;
    return true;
}

static void put_size(uint8_t *out, size_t size)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(size >> 8 * i);
}

const uint8_t *compact_finish(struct compact *c, size_t (*pack)(void *user, const uint8_t *data, size_t size, uint8_t *out, size_t room),
                              void *user, size_t *bytes)
{
    struct room *blob = &c->data;
    const size_t data = blob->used, room = c->marks.used + c->marks.used / 128 + 512;
    size_t packed;

    if (!make_room(blob, c->values.used + room + COMPACT_TRAILER_BYTES))
        return NULL;
    memcpy(blob->at + data, c->values.at, c->values.used);
    packed = pack(user, c->marks.at, c->marks.used, blob->at + data + c->values.used, room);
    if (packed == 0)
        return NULL;
    blob->used = data + c->values.used + packed;
    put_size(blob->at + blob->used, data);
    put_size(blob->at + blob->used + 4, c->values.used);
    put_size(blob->at + blob->used + 8, c->marks.used);
    *bytes = blob->used + COMPACT_TRAILER_BYTES;
    return blob->at;
}

/* ---- beginning and ending ---- */

struct compact *compact_open(void)
{
    return calloc(1, sizeof(struct compact));
}

void compact_close(struct compact *c)
{
    if (c == NULL)
        return;
    free(c->data.at);
    free(c->values.at);
    free(c->marks.at);
    free(c);
}

void compact_clear(struct compact *c)
{
    memset(&c->memory, 0, sizeof c->memory);
    c->data.used = c->values.used = c->marks.used = c->bytes = 0;
}

size_t compact_bytes(const struct compact *c)
{
    return c->bytes;
}
