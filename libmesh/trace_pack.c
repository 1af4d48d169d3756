/* The data of datagrams as it is stored: hashed, and compressed where that saves something. */
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "trace_parts.h"

enum { PACK_LEVEL = 1, PACK_BYTES_MIN = 64 /* below, nothing is gained */ };

struct packing {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    uint8_t packed[MESH_TRACE_DATAGRAM_BYTES_MAX];
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

bool trace_pack(struct mesh_trace *trace, const uint8_t *data, size_t size, struct mesh_trace_bytes *packed)
{
    struct packing *packing = size < PACK_BYTES_MIN ? NULL : packing_of(trace);
    size_t packed_bytes;

    if (!packing) {
        return false;
    }
    if (!packing->compress) {
        packing->compress = ZSTD_createCCtx();
    }
    if (!packing->compress) {
        return false;
    }
    packed_bytes = ZSTD_compressCCtx(packing->compress, packing->packed, sizeof packing->packed, data, size, PACK_LEVEL);
    if (ZSTD_isError(packed_bytes) || packed_bytes + size / 16 >= size) {
        return false;
    }
    *packed = (struct mesh_trace_bytes){packing->packed, packed_bytes};
    return true;
}

int trace_unpack(struct mesh_trace *trace, struct mesh_trace_bytes packed, uint8_t *data, size_t size)
{
    struct packing *packing = packing_of(trace);

    if (packing && !packing->decompress) {
        packing->decompress = ZSTD_createDCtx();
    }
    if (!packing || !packing->decompress) {
        return trace_fail(trace, MESH_ENOMEM, "no memory");
    }
    if (ZSTD_decompressDCtx(packing->decompress, data, size, packed.bytes, packed.size) != size) {
        return trace_fail(trace, MESH_ETRUNCATED, "a payload cannot be unpacked to its %zu bytes: the file is damaged", size);
    }
    return 0;
}

void trace_pack_release(struct mesh_trace *trace)
{
    struct packing *packing = trace->packing;

    if (packing) {
        ZSTD_freeCCtx(packing->compress);
        ZSTD_freeDCtx(packing->decompress);
        free(packing);
    }
}
