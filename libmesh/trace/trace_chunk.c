/* Chunks in the trace store: records of many calls in one row, made compact together. */
#include <string.h>
#include <xxhash.h>

#include "mesh/program/byte_order.h"
#include "mesh/tape.h"

#include "trace_compact.h"
#include "trace_parts.h"

uint64_t mesh_trace_hash_with(const uint8_t secret[MESH_TRACE_SECRET_BYTES], const void *bytes, size_t size)
{
    return XXH3_64bits_withSecret(bytes, size, secret, MESH_TRACE_SECRET_BYTES);
}

/* ---- writing ---- */

static size_t pack_marks(void *user, const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    return mesh_trace_pack_into(user, data, size, out, room);
}

/* Of the row, for the checksum of its blob: the numbers that say which calls these are. */
static uint64_t hash_numbers(const struct mesh_trace_chunk *row)
{
    const uint64_t numbers[] = {row->node,  (uint64_t)row->t_ns, (uint64_t)row->end_ns, (uint64_t)row->core, row->instance, row->first,
                                row->count, row->bytes};
    uint8_t bytes[sizeof numbers];

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        mesh_little_put(bytes + 8 * i, numbers[i], 8);
    return mesh_trace_hash(bytes, sizeof bytes);
}

int mesh_trace_add_compact(struct mesh_trace *trace, const struct mesh_trace_chunk *row, struct compact *compact, size_t *stored_bytes)
{
    struct mesh_trace_chunk filled = *row;

    filled.bytes = mesh_compact_bytes(compact);
    filled.coding = MESH_TRACE_COMPACT;
    filled.records.bytes = mesh_compact_finish(compact, pack_marks, trace, hash_numbers(&filled), &filled.records.size);
    if (filled.records.bytes == NULL)
        return mesh_trace_no_memory(trace);
    *stored_bytes = filled.records.size;
    return mesh_trace_add(trace, MESH_TRACE_TABLE_CHUNK, &filled, NULL);
}

/* False: they are no whole records, or there is no memory. */
static bool put_all(struct compact *compact, const uint8_t *records, size_t bytes)
{
    size_t fixed, payload;

    for (size_t at = 0; at < bytes; at += fixed + payload)
        if (mesh_tape_measure(records + at, bytes - at, &fixed, &payload) != 0 || bytes - at < fixed + payload ||
            !mesh_compact_put(compact, records + at, fixed, payload))
            return false;
    return true;
}

static int add_packed(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const uint8_t *records, size_t bytes,
                      size_t *stored_bytes)
{
    struct mesh_trace_chunk filled = *row;

    filled.bytes = bytes;
    filled.coding = mesh_trace_pack(trace, records, bytes, &filled.records) ? MESH_TRACE_ZSTD : MESH_TRACE_PLAIN;
    if (filled.coding == MESH_TRACE_PLAIN)
        filled.records = (struct mesh_trace_bytes){records, bytes};
    *stored_bytes = filled.records.size;
    return mesh_trace_add(trace, MESH_TRACE_TABLE_CHUNK, &filled, NULL);
}

int mesh_trace_add_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const uint8_t *records, size_t bytes,
                         size_t *stored_bytes)
{
    struct compact *compact = mesh_compact_open();
    size_t stored = 0;
    int err;

    if (compact != NULL && put_all(compact, records, bytes))
        err = mesh_trace_add_compact(trace, row, compact, &stored);
    else
        err = add_packed(trace, row, records, bytes, &stored);
    mesh_compact_close(compact);
    if (err == 0 && stored_bytes != NULL)
        *stored_bytes = stored;
    return err;
}

/* ---- reading ---- */

static int damaged(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const char *how)
{
    return mesh_trace_fail(trace, MESH_ETRUNCATED, "chunks, row %llu: %s: the file is damaged: copy it again, or record again",
                           (unsigned long long)row->id, how);
}

static int get_compact(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records)
{
    struct compact_parts parts;
    uint8_t *marks = NULL;
    int err = MESH_ETRUNCATED;

    if (!mesh_compact_is_intact(row->records.bytes, row->records.size, hash_numbers(row)))
        return damaged(trace, row, "its calls do not have the checksum that was stored with them");
    if (mesh_compact_split(row->records.bytes, row->records.size, &parts) && parts.marks_bytes <= MESH_TRACE_BLOB_BYTES_MAX) {
        marks = mesh_trace_pack_parts(trace, parts.marks_bytes + 1);
        if (marks == NULL)
            return mesh_trace_no_memory(trace);
        err = mesh_trace_unpack(trace, (struct mesh_trace_bytes){parts.packed, parts.packed_bytes}, marks, parts.marks_bytes);
        err = err != 0 ? err : mesh_compact_read(&parts, marks, records, row->bytes);
    }
    if (err == MESH_ENOMEM)
        return mesh_trace_no_memory(trace);
    return err == 0 ? 0 : damaged(trace, row, "calls that do not fit together");
}

/* Of schema 1: records without their payloads, then the payloads (from first on). False where they do not fit. */
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

static int get_apart(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records)
{
    uint8_t *const parts = mesh_trace_pack_parts(trace, row->bytes);
    const uint64_t first = mesh_trace_pack_first(row->records);
    int err;

    if (parts == NULL)
        return mesh_trace_no_memory(trace);
    err = mesh_trace_unpack(trace, row->records, parts, row->bytes);
    if (err == 0 && (first > row->bytes || !join(parts, first, row->bytes, records)))
        err = damaged(trace, row, "calls and their data do not fit together");
    return err;
}

int mesh_trace_get_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row, uint8_t *records)
{
    if (row->coding == MESH_TRACE_COMPACT)
        return get_compact(trace, row, records);
    if (row->coding == MESH_TRACE_ZSTD_APART)
        return get_apart(trace, row, records);
    if (row->coding == MESH_TRACE_ZSTD)
        return mesh_trace_unpack(trace, row->records, records, row->bytes);
    if (row->coding != MESH_TRACE_PLAIN || row->records.size != row->bytes)
        return mesh_trace_fail(trace, MESH_ERANGE, "chunk %llu: %zu bytes in coding %lld: the file is damaged", (unsigned long long)row->id,
                               row->records.size, (long long)row->coding);
    if (row->bytes > 0)
        memcpy(records, row->records.bytes, row->bytes);
    return 0;
}
