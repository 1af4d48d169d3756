/* Fields of declared lists: an entry of their tables, and one function per type to read and to write one. For files with a codec. */
#ifndef MESH_WIRE_FIELD_H
#define MESH_WIRE_FIELD_H

#include <assert.h>
#include <string.h>

#include "mesh/program/byte_order.h"
#include "mesh/wire.h"

#define MESH_FIELD(part, name, type, min, max, unit, meaning) \
    {#name,                                                   \
     MESH_WIRE_##type,                                        \
     MESH_WIRE_SIZE_##type,                                   \
     (uint16_t)offsetof(struct mesh_##part##_bytes, name),    \
     (uint16_t)offsetof(struct mesh_##part, name),            \
     min,                                                     \
     max,                                                     \
     unit,                                                    \
     meaning},

/* get: true when the value is in range, as fits says of one that is to be put. */
#define MESH_FIELD_INTEGER(bits)                                                                       \
    static inline bool get_u##bits(const uint8_t *at, uint##bits##_t *out, uint64_t min, uint64_t max) \
    {                                                                                                  \
        *out = (uint##bits##_t)mesh_little_get(at, sizeof *out);                                       \
        return *out >= min && *out <= max;                                                             \
    }                                                                                                  \
    static inline void put_u##bits(uint8_t *at, const uint##bits##_t *in)                              \
    {                                                                                                  \
        mesh_little_put(at, *in, sizeof *in);                                                          \
    }
MESH_FIELD_INTEGER(8)
MESH_FIELD_INTEGER(16)
MESH_FIELD_INTEGER(32)
MESH_FIELD_INTEGER(64)

/* In a macro of its own, as cppcheck takes functions for one another that one line makes. */
#define MESH_FIELD_FITS(bits)                                                      \
    static inline bool fits_u##bits(uint##bits##_t in, uint64_t min, uint64_t max) \
    {                                                                              \
        return in >= min && in <= max;                                             \
    }
MESH_FIELD_FITS(8)
MESH_FIELD_FITS(16)
MESH_FIELD_FITS(32)
MESH_FIELD_FITS(64)

static inline bool in_range(const uint8_t *bytes, unsigned size, uint64_t min, uint64_t max)
{
    bool is_in = true;

    for (unsigned i = 0; i < size; i++)
        is_in &= bytes[i] >= min && bytes[i] <= max;
    return is_in;
}

#define MESH_FIELD_BYTES(size)                                                                         \
    static inline bool get_b##size(const uint8_t *at, uint8_t(*out)[size], uint64_t min, uint64_t max) \
    {                                                                                                  \
        memcpy(*out, at, size);                                                                        \
        return in_range(at, size, min, max);                                                           \
    }                                                                                                  \
    static inline void put_b##size(uint8_t *at, const uint8_t(*in)[size])                              \
    {                                                                                                  \
        memcpy(at, *in, size);                                                                         \
    }
MESH_FIELD_BYTES(16)
MESH_FIELD_BYTES(32)

#define MESH_FIELD_BYTES_FIT(size)                                                      \
    static inline bool fits_b##size(const uint8_t in[size], uint64_t min, uint64_t max) \
    {                                                                                   \
        return in_range(in, size, min, max);                                            \
    }
MESH_FIELD_BYTES_FIT(16)
MESH_FIELD_BYTES_FIT(32)

#define MESH_FIELD_GET(name, type, min, max, unit, meaning) is_in &= get_##type(wire->name, &decoded->name, min, max);
/* The assertion is here, not in put_TYPE, so that what it prints names the field. */
#define MESH_FIELD_PUT(name, type, min, max, unit, meaning) \
    assert(fits_##type(decoded->name, min, max));           \
    put_##type(wire->name, &decoded->name);

/* get_NAME and put_NAME of struct mesh_NAME and its twin of byte arrays. */
#define MESH_FIELD_CODEC(name, FIELDS)                   \
    static bool get_##name(const void *bytes, void *out) \
    {                                                    \
        const struct mesh_##name##_bytes *wire = bytes;  \
        struct mesh_##name *decoded = out;               \
        bool is_in = true;                               \
                                                         \
        FIELDS(MESH_FIELD_GET)                           \
        return is_in;                                    \
    }                                                    \
    static void put_##name(void *bytes, const void *in)  \
    {                                                    \
        struct mesh_##name##_bytes *wire = bytes;        \
        const struct mesh_##name *decoded = in;          \
                                                         \
        FIELDS(MESH_FIELD_PUT)                           \
    }

#endif
