/* Whole numbers in memory, in a byte order that does not depend on the machine. Everything the project stores or sends is little-endian.
 * For libmesh itself, too. */
#ifndef MESH_PROGRAM_BYTE_ORDER_H
#define MESH_PROGRAM_BYTE_ORDER_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The number in the next 1 to 8 bytes, at any alignment. */
static inline uint64_t mesh_little_get(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return le64toh(value);
}

/* Write the lowest 1 to 8 bytes of a number; returns the place behind them. */
static inline uint8_t *mesh_little_put(uint8_t *at, uint64_t value, size_t bytes)
{
    value = htole64(value);
    memcpy(at, &value, bytes);
    return at + bytes;
}

/* The first 8 bytes of a hash or name as a number whose hexadecimal digits are in the order in which people see them. */
static inline uint64_t mesh_big_get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

#endif
