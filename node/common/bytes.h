/* Reading and writing little-endian values, by themselves or in a bounded piece of memory.
 *
 * A cursor of a piece that would pass the end turns bad and stays bad: reads then give 0, writes do nothing. Check bytes_ok once at the
 * end. */
#ifndef NODE_BYTES_H
#define NODE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mesh/program/byte_order.h"

/* The number in the next 1 to 8 bytes, at any alignment. */
static inline uint64_t bytes_load(const uint8_t *at, size_t count)
{
    return mesh_little_get(at, count);
}

/* Write the lowest 1 to 8 bytes of a number. */
static inline void bytes_store(uint8_t *at, uint64_t value, size_t count)
{
    mesh_little_put(at, value, count);
}

struct bytes {
    uint8_t *at;
    const uint8_t *read;
    size_t used, size;
    bool is_bad;
};

static inline struct bytes bytes_reader(const uint8_t *data, size_t size)
{
    return (struct bytes){.read = data, .size = size};
}

static inline struct bytes bytes_writer(uint8_t *data, size_t size)
{
    return (struct bytes){.at = data, .size = size};
}

static inline bool bytes_ok(const struct bytes *b)
{
    return !b->is_bad;
}

static inline size_t bytes_size(const struct bytes *b)
{
    return b->used;
}

static inline size_t bytes_left(const struct bytes *b)
{
    return b->is_bad ? 0 : b->size - b->used;
}

static inline bool bytes_advance(struct bytes *b, size_t count)
{
    if (b->is_bad || count > b->size - b->used) {
        b->is_bad = true;
        return false;
    }
    b->used += count;
    return true;
}

static inline void bytes_put(struct bytes *b, uint64_t value, size_t count)
{
    if (bytes_advance(b, count))
        bytes_store(b->at + b->used - count, value, count);
}

static inline uint64_t bytes_get(struct bytes *b, size_t count)
{
    return bytes_advance(b, count) ? bytes_load(b->read + b->used - count, count) : 0;
}

static inline void bytes_put_u8(struct bytes *b, uint8_t value)
{
    bytes_put(b, value, 1);
}

static inline void bytes_put_u16(struct bytes *b, uint16_t value)
{
    bytes_put(b, value, 2);
}

static inline void bytes_put_u32(struct bytes *b, uint32_t value)
{
    bytes_put(b, value, 4);
}

static inline void bytes_put_u64(struct bytes *b, uint64_t value)
{
    bytes_put(b, value, 8);
}

static inline void bytes_put_f32(struct bytes *b, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    bytes_put(b, bits, 4);
}

static inline uint8_t bytes_get_u8(struct bytes *b)
{
    return (uint8_t)bytes_get(b, 1);
}

static inline uint16_t bytes_get_u16(struct bytes *b)
{
    return (uint16_t)bytes_get(b, 2);
}

static inline uint32_t bytes_get_u32(struct bytes *b)
{
    return (uint32_t)bytes_get(b, 4);
}

static inline uint64_t bytes_get_u64(struct bytes *b)
{
    return bytes_get(b, 8);
}

static inline float bytes_get_f32(struct bytes *b)
{
    uint32_t bits = (uint32_t)bytes_get(b, 4);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
