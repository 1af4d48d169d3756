/* The data of datagrams and chunks as it is stored: hashed, and compressed where that saves something. */
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "trace_parts.h"

static const int PACK_LEVEL = 1;

enum { PACK_BYTES_MIN = 64 /* below, nothing is gained */ };

struct packing {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    struct packing_room {
        uint8_t *bytes; /* (room) */
        size_t room;
    } packed, parts;
};

uint64_t mesh_trace_hash(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

static struct packing *packing_of(struct mesh_trace *trace)
{
    struct packing *packing = trace->packing;

    if (!packing) {
        packing = calloc(1, sizeof *packing);
        trace->packing = packing;
    }
    return packing;
}

static bool make_room(struct packing_room *of, size_t bytes)
{
    if (of->room < bytes) {
        free(of->bytes);
        of->bytes = malloc(bytes);
        of->room = of->bytes ? bytes : 0;
    }
    return of->bytes != NULL;
}

static size_t compress(struct packing *packing, const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    if (!packing->compress)
        packing->compress = ZSTD_createCCtx();
    if (!packing->compress)
        return 0;
    const size_t packed = ZSTD_compressCCtx(packing->compress, out, room, data, size, PACK_LEVEL);

    return ZSTD_isError(packed) ? 0 : packed;
}

static bool is_worth_it(size_t packed, size_t size)
{
    return packed > 0 && packed + size / 16 < size;
}

bool mesh_trace_pack(struct mesh_trace *trace, const uint8_t *data, size_t size, struct mesh_trace_bytes *packed)
{
    struct packing *packing = size < PACK_BYTES_MIN ? NULL : packing_of(trace);
    size_t packed_bytes;

    if (!packing || !make_room(&packing->packed, ZSTD_compressBound(size)))
        return false;
    packed_bytes = compress(packing, data, size, packing->packed.bytes, packing->packed.room);
    *packed = (struct mesh_trace_bytes){packing->packed.bytes, packed_bytes};
    return is_worth_it(packed_bytes, size);
}

uint8_t *mesh_trace_pack_parts(struct mesh_trace *trace, size_t size)
{
    struct packing *packing = packing_of(trace);

    return packing && make_room(&packing->parts, size) ? packing->parts.bytes : NULL;
}

size_t mesh_trace_pack_into(struct mesh_trace *trace, const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    struct packing *packing = packing_of(trace);

    return packing ? compress(packing, data, size, out, room) : 0;
}

int mesh_trace_unpack(struct mesh_trace *trace, struct mesh_trace_bytes packed, uint8_t *data, size_t size)
{
    struct packing *packing = packing_of(trace);

    if (packing && !packing->decompress)
        packing->decompress = ZSTD_createDCtx();
    if (!packing || !packing->decompress)
        return mesh_trace_no_memory(trace);
    if (!packed.bytes || ZSTD_decompressDCtx(packing->decompress, data, size, packed.bytes, packed.size) != size)
        return mesh_trace_fail(trace, MESH_ETRUNCATED, "a payload cannot be unpacked to its %zu bytes: the file is damaged", size);
    return 0;
}

uint64_t mesh_trace_pack_first(struct mesh_trace_bytes packed)
{
    return packed.bytes ? ZSTD_getFrameContentSize(packed.bytes, packed.size) : UINT64_MAX; /* of an error it is as large */
}

void mesh_trace_pack_release(struct mesh_trace *trace)
{
    struct packing *packing = trace->packing;

    if (packing) {
        ZSTD_freeCCtx(packing->compress);
        ZSTD_freeDCtx(packing->decompress);
        free(packing->packed.bytes);
        free(packing->parts.bytes);
        free(packing);
    }
}
