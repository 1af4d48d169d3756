/* Compact records, read. */
#include <stdlib.h>

#include "trace_compact_parts.h"

static size_t get_size(const uint8_t *in)
{
    return (size_t)mesh_little_get(in, 4);
}

/* Where the checksum's frame is; NULL: there is none. */
static const uint8_t *find_checksum(const uint8_t *blob, size_t bytes)
{
    const size_t after = COMPACT_CHECKSUM_BYTES + COMPACT_TRAILER_BYTES;

    return blob != NULL && bytes >= after && compact_load(blob + bytes - after) == COMPACT_CHECKSUM_HEAD ? blob + bytes - after : NULL;
}

bool mesh_compact_is_intact(const uint8_t *blob, size_t bytes, uint64_t seed)
{
    const uint8_t *checksum = find_checksum(blob, bytes);

    return checksum == NULL ||
           compact_load(checksum + 8) == compact_checksum(blob, (size_t)(checksum - blob), checksum + COMPACT_CHECKSUM_BYTES, seed);
}

bool mesh_compact_split(const uint8_t *blob, size_t bytes, struct compact_parts *parts)
{
    if (blob == NULL || bytes < COMPACT_TRAILER_BYTES)
        return false;
    const size_t left = bytes - COMPACT_TRAILER_BYTES;
    const uint8_t *trailer = blob + left;

    *parts = (struct compact_parts){.data = blob, .data_bytes = get_size(trailer), .values_bytes = get_size(trailer + 4)};
    if (parts->data_bytes > left || parts->values_bytes > left - parts->data_bytes)
        return false;
    parts->values = blob + parts->data_bytes;
    parts->packed = parts->values + parts->values_bytes;
    parts->packed_bytes = left - parts->data_bytes - parts->values_bytes;
    parts->marks_bytes = get_size(trailer + 8);
    return true;
}

/* The position of reading. What lies beyond the end reads as zero, and the reading has failed. */
struct reading {
    struct compact_memory *memory;
    const uint8_t *value, *values_end, *mark, *marks_end, *data;
    size_t data_bytes, data_next;
    uint8_t *out;
    size_t left;
    bool has_failed;
};

static uint8_t take(struct reading *r, const uint8_t **at, const uint8_t *end)
{
    if (*at == end) {
        r->has_failed = true;
        return 0;
    }
    return *(*at)++;
}

static uint64_t take_varint(struct reading *r)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = take(r, &r->value, r->values_end);
        value |= (uint64_t)(byte & 127) << shift;
        shift += 7;
    } while ((byte & 128) != 0 && shift < 7 * VARINT_BYTES_MAX);
    return value;
}

static uint64_t take_zigzag(struct reading *r)
{
    const uint64_t value = take_varint(r);

    return value >> 1 ^ (uint64_t) - (int64_t)(value & 1);
}

static uint64_t take_hash(struct reading *r, uint8_t mark)
{
    const unsigned which = mark / MARK_HASH & MARK_HASH_BITS;
    uint8_t bytes[8];

    if (which == 0)
        return 0;
    if (which >= 2) {
        r->has_failed |= which - 2 >= COMPACT_HASHES;
        return r->has_failed ? 0 : r->memory->hash[which - 2];
    }
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = take(r, &r->value, r->values_end);
    compact_remember_hash(r->memory, compact_load(bytes));
    return compact_load(bytes);
}

static struct compact_masks take_masks(struct reading *r, size_t words, bool is_seen)
{
    struct compact_masks masks = {{0}};

    if (is_seen)
        return r->memory->masks[take(r, &r->mark, r->marks_end)];
    for (uint8_t *mask = masks.of; mask < masks.of + words; mask++)
        *mask = take(r, &r->mark, r->marks_end);
    r->memory->masks[compact_place_of(&masks)] = masks;
    return masks;
}

static void take_differences(struct reading *r, struct compact_last *last, size_t words, bool is_seen)
{
    const struct compact_masks masks = take_masks(r, words, is_seen);

    for (size_t word = 0; word < words; word++)
        for (uint8_t left = masks.of[word]; left != 0; left &= (uint8_t)(left - 1))
            last->record[8 * word + (unsigned)__builtin_ctz(left)] = take(r, &r->value, r->values_end);
}

/* The next record without its payload into out; how many bytes; 0: failed. */
static size_t read_compared(struct reading *r, struct compact_last *last, uint8_t mark)
{
    struct compact_memory *m = r->memory;
    const size_t fixed = (mark & MARK_LENGTH) != 0 ? take_varint(r) : last->bytes;

    if (fixed < COMPACT_RECORD_BYTES_MIN || fixed > COMPACT_LAST_BYTES || fixed > r->left)
        return 0;
    if (fixed != last->bytes)
        compact_resize(last, fixed);
    m->at_ns += take_zigzag(r);
    if ((mark & MARK_DUE) != 0)
        m->due_ns = m->at_ns + take_zigzag(r);
    compact_store(last->record + COMPACT_AT_NS, m->at_ns);
    compact_store(last->record + COMPACT_DUE_NS, m->due_ns);
    compact_store(last->record + COMPACT_HASH, take_hash(r, mark));
    take_differences(r, last, (fixed + 7) / 8, (mark & MARK_SEEN) != 0);
    memcpy(r->out, last->record, fixed);
    return fixed;
}

static size_t read_plain(struct reading *r)
{
    const size_t fixed = take_varint(r);

    if (fixed < COMPACT_RECORD_BYTES_MIN || fixed > r->left || fixed > (size_t)(r->values_end - r->value))
        return 0;
    memcpy(r->out, r->value, fixed);
    r->value += fixed;
    return fixed;
}

/* Where the payload of that many bytes stands in the data. */
static size_t find_place(struct reading *r, uint8_t kind, enum payload_place place, size_t bytes)
{
    struct compact_memory *m = r->memory;
    size_t at = r->data_next;

    if (place == PAYLOAD_NEXT) {
        r->data_next += bytes;
        if (compact_is_source(kind))
            compact_remember_payload(m, at);
        return at;
    }
    at = place == PAYLOAD_AT ? take_varint(r) : m->goes_on;
    m->goes_on = at + bytes;
    return at;
}

static size_t read_payload(struct reading *r, uint8_t mark, const uint8_t *record)
{
    const enum payload_place place = mark / MARK_PAYLOAD & MARK_PAYLOAD_BITS;
    const size_t bytes = record[COMPACT_PAYLOAD_STATE] == MESH_TAPE_WHOLE ? get_size(record + COMPACT_PAYLOAD_BYTES) : 0;
    size_t at;

    r->has_failed |= (place == PAYLOAD_NONE) != (bytes == 0);
    if (bytes == 0 || r->has_failed)
        return 0;
    at = find_place(r, record[COMPACT_KIND], place, bytes);
    if (bytes > r->left || at > r->data_bytes || bytes > r->data_bytes - at) {
        r->has_failed = true;
        return 0;
    }
    memcpy(r->out, r->data + at, bytes);
    return bytes;
}

static bool read_record(struct reading *r)
{
    const uint8_t slot = take(r, &r->mark, r->marks_end), mark = take(r, &r->mark, r->marks_end);
    const uint8_t *const record = r->out;
    size_t bytes;

    if (r->has_failed || slot > COMPACT_SLOTS)
        return false;
    bytes = slot == COMPACT_SLOTS ? read_plain(r) : read_compared(r, &r->memory->last[slot], mark);
    if (bytes == 0)
        return false;
    r->out += bytes;
    r->left -= bytes;
    bytes = read_payload(r, mark, record);
    r->out += bytes;
    r->left -= bytes;
    return !r->has_failed;
}

int mesh_compact_read(const struct compact_parts *parts, const uint8_t *marks, uint8_t *records, size_t bytes)
{
    struct reading r = {
        .memory = calloc(1, sizeof *r.memory),
        .value = parts->values,
        .values_end = parts->values + parts->values_bytes,
        .mark = marks,
        .marks_end = marks + parts->marks_bytes,
        .data = parts->data,
        .data_bytes = parts->data_bytes,
        .out = records,
        .left = bytes,
    };
    bool is_fine = true;

    if (r.memory == NULL)
        return MESH_ENOMEM;
    while (r.left > 0 && is_fine)
        is_fine = read_record(&r);
    free(r.memory);
    return is_fine && r.mark == r.marks_end && r.value == r.values_end && r.data_next == r.data_bytes ? 0 : MESH_ETRUNCATED;
}
