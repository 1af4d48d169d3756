/* How telemetry stands in a piece, shared by telemetry_write.c and telemetry_read.c.
 *
 * An item is its kind (1 byte), the number of bytes that follow (2), its fields in the order of the list, and its tail. Integers are in the
 * shortest form of LEB128, seven bits a byte, lowest first; signed ones are zigzagged before. */
#ifndef MESH_TELEMETRY_PARTS_H
#define MESH_TELEMETRY_PARTS_H

#include "mesh/telemetry.h"

enum { MESH_TELEMETRY_ITEM_OVERHEAD_BYTES = 3, MESH_TELEMETRY_VARINT_BYTES_MAX = 10, MESH_TELEMETRY_B16_BYTES = 16 };

static inline uint64_t mesh_telemetry_zigzag(uint64_t value)
{
    return value << 1 ^ (value >> 63 ? UINT64_MAX : 0);
}

static inline uint64_t mesh_telemetry_unzigzag(uint64_t value)
{
    return value >> 1 ^ (value & 1 ? UINT64_MAX : 0);
}

#endif
