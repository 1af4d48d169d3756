#include "gso.h"

#include <stdbool.h>
#include <string.h>

#include "mesh/wire.h"

/* The same sender in the same epoch, to the same receiver; or one of them outside of epochs, where ranks are 0. */
static bool is_sibling(const struct mesh_header *a, const uint8_t *bytes, size_t size)
{
    struct mesh_header b;

    if (mesh_wire_decode_header(bytes, size, &b) != 0 || a->version != b.version)
        return false;
    if (a->epoch == 0 || b.epoch == 0)
        return true;
    return a->src == b.src && a->epoch == b.epoch && (a->dst == b.dst || a->dst == MESH_DST_ALL || b.dst == MESH_DST_ALL);
}

/* Does a datagram begin at every multiple of this size? */
static bool is_stride(const struct mesh_header *first, const uint8_t *payload, size_t captured, size_t size, size_t stride)
{
    for (size_t at = stride; at < size && at + MESH_HEADER_BYTES <= captured; at += stride)
        if (!is_sibling(first, payload + at, captured - at))
            return false;
    return true;
}

/* The exact size of a message without a tail; 0: it may reach to the end. */
static size_t exact_size(const struct mesh_header *header)
{
    const struct mesh_wire_part *part = mesh_wire_message(header->type);

    return part->tail == MESH_TAIL_NONE ? (size_t)MESH_HEADER_BYTES + part->wire_bytes : 0;
}

size_t gso_first_size(const uint8_t *payload, size_t captured, size_t size)
{
    static const uint8_t magic[3] = {MESH_WIRE_MAGIC & 255, MESH_WIRE_MAGIC >> 8, MESH_WIRE_VERSION};
    struct mesh_header header;
    const uint8_t *at;
    size_t exact;

    if (size < 2 * (size_t)MESH_HEADER_BYTES || mesh_wire_decode_header(payload, captured, &header) != 0)
        return size;
    exact = exact_size(&header);
    if (exact != 0)
        return exact < size && exact + MESH_HEADER_BYTES <= captured && is_sibling(&header, payload + exact, captured - exact) ? exact
                                                                                                                               : size;
    at = payload + MESH_HEADER_BYTES;
    while ((at = memmem(at, captured - (size_t)(at - payload), magic, sizeof magic)) != NULL) {
        const size_t stride = (size_t)(at - payload);

        if (captured - stride >= MESH_HEADER_BYTES && is_sibling(&header, at, captured - stride) &&
            is_stride(&header, payload, captured, size, stride))
            return stride;
        at++;
    }
    return size;
}
