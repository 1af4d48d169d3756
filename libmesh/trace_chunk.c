/* Chunks in the trace store: records of many calls in one row, compressed together. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "trace_parts.h"

enum { CHUNK_LEVEL = 1 };

uint64_t mesh_trace_hash_with(uint64_t seed, const void *bytes, size_t size)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

/* 0: it gains nothing, or there is no memory for it. */
static size_t pack(const uint8_t *records, size_t bytes, uint8_t **packed)
{
    const size_t room = ZSTD_compressBound(bytes);
    size_t packed_bytes;

    *packed = malloc(room);
    if (*packed == NULL)
        return 0;
    packed_bytes = ZSTD_compress(*packed, room, records, bytes, CHUNK_LEVEL);
    return ZSTD_isError(packed_bytes) || packed_bytes >= bytes ? 0 : packed_bytes;
}

int mesh_trace_add_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const uint8_t *records, size_t bytes,
                         size_t *stored_bytes)
{
    struct mesh_trace_chunk filled = *row;
    uint8_t *packed = NULL;
    const size_t packed_bytes = pack(records, bytes, &packed);
    int err;

    filled.bytes = bytes;
    filled.coding = packed_bytes > 0 ? MESH_TRACE_ZSTD : MESH_TRACE_PLAIN;
    filled.records = packed_bytes > 0 ? (struct mesh_trace_bytes){packed, packed_bytes} : (struct mesh_trace_bytes){records, bytes};
    err = mesh_trace_add(trace, MESH_TRACE_TABLE_CHUNK, &filled, NULL);
    if (stored_bytes != NULL)
        *stored_bytes = filled.records.size;
    free(packed);
    return err;
}

int mesh_trace_get_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records)
{
    if (row->coding == MESH_TRACE_PLAIN && row->records.size == row->bytes) {
        memcpy(records, row->records.bytes, row->bytes);
        return 0;
    }
    if (row->coding != MESH_TRACE_ZSTD || row->records.bytes == NULL ||
        ZSTD_decompress(records, row->bytes, row->records.bytes, row->records.size) != row->bytes)
        return trace_fail(trace, MESH_ETRUNCATED, "chunk %llu cannot be unpacked to its %llu bytes: the file is damaged",
                          (unsigned long long)row->id, (unsigned long long)row->bytes);
    return 0;
}
