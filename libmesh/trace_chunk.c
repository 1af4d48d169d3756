/* Chunks in the trace store: records of many calls in one row, compressed together, and their payloads apart from the rest. */
#include <string.h>
#include <xxhash.h>

#include "mesh/tape.h"

#include "trace_parts.h"

uint64_t mesh_trace_hash_with(uint64_t seed, const void *bytes, size_t size)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

/* How many bytes of the records are payloads; 0, too, where they are no whole records. */
static size_t payloads_of(const uint8_t *records, size_t bytes)
{
    size_t fixed, payload, sum = 0;

    for (size_t at = 0; at < bytes; at += fixed + payload, sum += payload)
        if (mesh_tape_measure(records + at, bytes - at, &fixed, &payload) != 0 || bytes - at < fixed + payload)
            return 0;
    return sum;
}

/* Records without their payloads, then the payloads (from first on), and back. parts: (bytes). join is false where they do not fit. */
static void part(const uint8_t *records, size_t bytes, uint8_t *parts, size_t first)
{
    size_t fixed = 0, payload = 0, front = 0, back = first;

    for (size_t at = 0; at < bytes; at += fixed + payload, front += fixed, back += payload) {
        (void)mesh_tape_measure(records + at, bytes - at, &fixed, &payload); /* as in payloads_of */
        memcpy(parts + front, records + at, fixed);
        memcpy(parts + back, records + at + fixed, payload);
    }
}

static bool join(const uint8_t *parts, size_t first, size_t bytes, uint8_t *records)
{
    size_t fixed, payload, back = first, to = 0;

    for (size_t at = 0; at < first; at += fixed, to += fixed + payload, back += payload) {
        if (mesh_tape_measure(parts + at, first - at, &fixed, &payload) != 0 || bytes - back < payload)
            return false;
        memcpy(records + to, parts + at, fixed);
        memcpy(records + to + fixed, parts + back, payload);
    }
    return back == bytes;
}

static bool pack_apart(struct mesh_trace *trace, const uint8_t *records, size_t bytes, struct mesh_trace_bytes *packed)
{
    const size_t second = payloads_of(records, bytes);
    uint8_t *const parts = second > 0 ? trace_pack_parts(trace, bytes) : NULL;

    if (parts == NULL)
        return false;
    part(records, bytes, parts, bytes - second);
    return trace_pack_apart(trace, parts, bytes - second, second, packed);
}

static enum mesh_trace_coding pack(struct mesh_trace *trace, const uint8_t *records, size_t bytes, struct mesh_trace_bytes *packed)
{
    if (pack_apart(trace, records, bytes, packed))
        return MESH_TRACE_ZSTD_APART;
    return trace_pack(trace, records, bytes, packed) ? MESH_TRACE_ZSTD : MESH_TRACE_PLAIN;
}

int mesh_trace_add_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const uint8_t *records, size_t bytes,
                         size_t *stored_bytes)
{
    struct mesh_trace_chunk filled = *row;

    filled.bytes = bytes;
    filled.coding = pack(trace, records, bytes, &filled.records);
    if (filled.coding == MESH_TRACE_PLAIN)
        filled.records = (struct mesh_trace_bytes){records, bytes};
    if (stored_bytes != NULL)
        *stored_bytes = filled.records.size;
    return mesh_trace_add(trace, MESH_TRACE_TABLE_CHUNK, &filled, NULL);
}

static int get_apart(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records)
{
    uint8_t *const parts = trace_pack_parts(trace, row->bytes);
    const uint64_t first = trace_pack_first(row->records);
    int err;

    if (parts == NULL)
        return trace_fail(trace, MESH_ENOMEM, "no memory");
    err = trace_unpack(trace, row->records, parts, row->bytes);
    if (err == 0 && (first > row->bytes || !join(parts, first, row->bytes, records)))
        err = trace_fail(trace, MESH_ETRUNCATED, "chunk %llu: calls and their data do not fit together: the file is damaged",
                         (unsigned long long)row->id);
    return err;
}

int mesh_trace_get_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records)
{
    if (row->coding == MESH_TRACE_ZSTD_APART)
        return get_apart(trace, row, records);
    if (row->coding == MESH_TRACE_ZSTD)
        return trace_unpack(trace, row->records, records, row->bytes);
    if (row->coding != MESH_TRACE_PLAIN || row->records.size != row->bytes)
        return trace_fail(trace, MESH_ERANGE, "chunk %llu: %zu bytes in coding %lld: the file is damaged", (unsigned long long)row->id,
                          row->records.size, (long long)row->coding);
    if (row->bytes > 0)
        memcpy(records, row->records.bytes, row->bytes);
    return 0;
}
