/* The data of datagrams and chunks as it is stored: hashed, and compressed where that saves something. */
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "trace_parts.h"

/* Activations hardly shrink, and what does is repeated in whole: the fastest levels find that, too. */
static const int PACK_LEVEL = 1, PACK_LEVEL_DATA = -7;

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

static size_t compress(struct packing *packing, size_t used, const uint8_t *data, size_t size, int level)
{
    if (!packing->compress) {
        packing->compress = ZSTD_createCCtx();
    }
    if (!packing->compress) {
        return 0;
    }
    const size_t packed =
        ZSTD_compressCCtx(packing->compress, packing->packed.bytes + used, packing->packed.room - used, data, size, level);

    return ZSTD_isError(packed) ? 0 : packed;
}

static bool is_worth_it(size_t packed, size_t size)
{
    return packed > 0 && packed + size / 16 < size;
}

bool trace_pack(struct mesh_trace *trace, const uint8_t *data, size_t size, struct mesh_trace_bytes *packed)
{
    struct packing *packing = size < PACK_BYTES_MIN ? NULL : packing_of(trace);
    size_t packed_bytes;

    if (!packing || !make_room(&packing->packed, ZSTD_compressBound(size))) {
        return false;
    }
    packed_bytes = compress(packing, 0, data, size, PACK_LEVEL);
    *packed = (struct mesh_trace_bytes){packing->packed.bytes, packed_bytes};
    return is_worth_it(packed_bytes, size);
}

uint8_t *trace_pack_parts(struct mesh_trace *trace, size_t size)
{
    struct packing *packing = packing_of(trace);

    return packing && make_room(&packing->parts, size) ? packing->parts.bytes : NULL;
}

bool trace_pack_apart(struct mesh_trace *trace, const uint8_t *parts, size_t first, size_t second, struct mesh_trace_bytes *packed)
{
    struct packing *packing = packing_of(trace);
    size_t front, back;

    if (!packing || !make_room(&packing->packed, ZSTD_compressBound(first) + ZSTD_compressBound(second))) {
        return false;
    }
    front = compress(packing, 0, parts, first, PACK_LEVEL);
    back = compress(packing, front, parts + first, second, PACK_LEVEL_DATA);
    *packed = (struct mesh_trace_bytes){packing->packed.bytes, front + back};
    return front > 0 && back > 0 && is_worth_it(front + back, first + second);
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
    if (!packed.bytes || ZSTD_decompressDCtx(packing->decompress, data, size, packed.bytes, packed.size) != size) {
        return trace_fail(trace, MESH_ETRUNCATED, "a payload cannot be unpacked to its %zu bytes: the file is damaged", size);
    }
    return 0;
}

uint64_t trace_pack_first(struct mesh_trace_bytes packed)
{
    return packed.bytes ? ZSTD_getFrameContentSize(packed.bytes, packed.size) : UINT64_MAX; /* of an error it is as large */
}

void trace_pack_release(struct mesh_trace *trace)
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
