/* Reading a packet from front to back: a cursor that turns NULL at the first read beyond the end, and stays NULL.
 *
 * So code may read a whole header and ask once at the end whether it was there: what a failed read returns is 0. */
#ifndef DISSECTOR_CURSOR_H
#define DISSECTOR_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *at; /* NULL: read beyond the end */
    size_t left;
};

static inline struct cursor cursor_over(const uint8_t *bytes, size_t size)
{
    return (struct cursor){bytes, size};
}

static inline bool cursor_failed(const struct cursor *cursor)
{
    return cursor->at == NULL;
}

/* The next bytes, or NULL when fewer are left. */
static inline const uint8_t *cursor_take(struct cursor *cursor, size_t bytes)
{
    const uint8_t *taken = cursor->at;

    if (taken == NULL || bytes > cursor->left) {
        *cursor = (struct cursor){NULL, 0};
        return NULL;
    }
    cursor->at += bytes;
    cursor->left -= bytes;
    return taken;
}

static inline uint8_t cursor_u8(struct cursor *cursor)
{
    const uint8_t *at = cursor_take(cursor, 1);

    return at ? *at : 0;
}

/* In network byte order. */
static inline uint16_t cursor_be16(struct cursor *cursor)
{
    const uint8_t *at = cursor_take(cursor, 2);

    return at ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

static inline uint32_t cursor_be32(struct cursor *cursor)
{
    const uint32_t high = cursor_be16(cursor);

    return high << 16 | cursor_be16(cursor);
}

#endif
