/* What the writer and the reader of compact records (trace_compact.h) share: the marks, and the memory of earlier records. After each
 * record both must remember the same. */
#ifndef MESH_TRACE_COMPACT_PARTS_H
#define MESH_TRACE_COMPACT_PARTS_H

#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#include "mesh/program/byte_order.h"
#include "mesh/tape.h"
#include "trace_compact.h"

enum {
    COMPACT_SLOTS = 128,      /* last records, by slot; the number after the last slot marks a record that is not compared with any */
    COMPACT_LAST_BYTES = 256, /* a longer record is not compared */
    COMPACT_WORDS = COMPACT_LAST_BYTES / 8,
    COMPACT_MASKS = 256,
    COMPACT_HASHES = 4,   /* the last ones are remembered */
    COMPACT_PAYLOADS = 8, /* likewise */
    VARINT_BYTES_MAX = 10,
    VALUES_BYTES_MAX = 4 * VARINT_BYTES_MAX + 8 /* of a record, besides its bytes */
};

/* The second byte of a record in the marks. */
enum {
    MARK_LENGTH = 1, /* other than of the record it is compared with: in the values */
    MARK_DUE = 2,    /* other than of the call before: in the values */
    MARK_HASH = 4,   /* times 0: none; 1: in the values; 2 + i: the i-th of those remembered */
    MARK_HASH_BITS = 7,
    MARK_SEEN = 32,    /* the masks are lately seen ones, and their place follows instead of them */
    MARK_PAYLOAD = 64, /* times enum payload_place */
    MARK_PAYLOAD_BITS = 3
};
enum payload_place {
    PAYLOAD_NONE,
    PAYLOAD_NEXT /* in the data */,
    PAYLOAD_GOES_ON /* where the last one that was found ended */,
    PAYLOAD_AT
};

/* Offsets of the fields that every record has, and its least size. */
#define COMPACT_AT_NS            offsetof(struct mesh_tape_call_bytes, at_ns)
#define COMPACT_DUE_NS           offsetof(struct mesh_tape_call_bytes, due_ns)
#define COMPACT_HASH             offsetof(struct mesh_tape_call_bytes, payload_hash)
#define COMPACT_PAYLOAD_BYTES    offsetof(struct mesh_tape_call_bytes, payload_bytes)
#define COMPACT_PAYLOAD_STATE    offsetof(struct mesh_tape_call_bytes, payload)
#define COMPACT_KIND             offsetof(struct mesh_tape_call_bytes, kind)
#define COMPACT_RECORD_BYTES_MIN MESH_TAPE_RECORD_BYTES_MIN

/* Which bytes differ: bit i of byte w is byte 8 w + i. Zeros behind the record's. */
struct compact_masks {
    uint8_t of[COMPACT_WORDS];
};

struct compact_last {
    uint16_t bytes;
    uint8_t record[COMPACT_LAST_BYTES]; /* zeros behind its bytes */
};

struct compact_memory {
    uint64_t at_ns, due_ns, hash[COMPACT_HASHES];
    size_t payload[COMPACT_PAYLOADS]; /* ring: where the last payloads of compact_is_source begin in the data */
    size_t payload_count;             /* of all so far */
    size_t goes_on;                   /* where the next one probably begins: at the one remembered last, or behind the one found last */
    struct compact_last last[COMPACT_SLOTS];
    struct compact_masks masks[COMPACT_MASKS]; /* lately seen, by compact_place_of */
};

static inline uint64_t compact_load(const uint8_t *at)
{
    return mesh_little_get(at, 8);
}

static inline void compact_store(uint8_t *at, uint64_t value)
{
    mesh_little_put(at, value, 8);
}

/* Does the payload of such a call come again, in a datagram that is sent? */
static inline bool compact_is_source(uint8_t kind)
{
    return kind == MESH_TAPE_PUBLISH || kind == MESH_TAPE_SEND;
}

static inline void compact_remember_hash(struct compact_memory *m, uint64_t hash)
{
    memmove(m->hash + 1, m->hash, (COMPACT_HASHES - 1) * sizeof *m->hash);
    m->hash[0] = hash;
}

static inline void compact_remember_payload(struct compact_memory *m, size_t at)
{
    m->payload[m->payload_count++ % COMPACT_PAYLOADS] = at;
    m->goes_on = at;
}

static inline uint8_t compact_place_of(const struct compact_masks *masks)
{
    uint64_t mixed = 0;

    for (size_t at = 0; at < COMPACT_WORDS; at += 8)
        mixed = (mixed ^ compact_load(masks->of + at)) * 0x9e3779b97f4a7c15u;
    return (uint8_t)(mixed >> 56);
}

/* The checksum's frame in a blob: these bytes (zstd's magic number of a skippable frame, and the size of what follows, both little-endian),
 * then the checksum. */
#define COMPACT_CHECKSUM_HEAD ((uint64_t)8 << 32 | 0x184d2a5c)

/* Of the bytes before the checksum's frame, and the trailer. */
static inline uint64_t compact_checksum(const uint8_t *blob, size_t bytes, const uint8_t trailer[COMPACT_TRAILER_BYTES], uint64_t seed)
{
    return XXH3_64bits_withSeed(trailer, COMPACT_TRAILER_BYTES, XXH3_64bits_withSeed(blob, bytes, seed));
}

/* Make the record so long, and zero what is behind it, as the next comparison takes for granted. */
static inline void compact_resize(struct compact_last *last, size_t bytes)
{
    memset(last->record + bytes, 0, COMPACT_LAST_BYTES - bytes);
    last->bytes = (uint16_t)bytes;
}

#endif
