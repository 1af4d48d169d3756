/* Hashes in the place of what a recording does not keep. */
#include <string.h>

#include "mesh/program/byte_order.h"
#include "mesh/seal.h"
#include "trace_recording.h"

/* For short content that could be guessed: trying takes the key. */
static uint64_t hash_guarded(void *user, const uint8_t *data, size_t bytes)
{
    const struct recording_hashes *hashes = user;
    uint8_t keyed[64], digest[32];
    uint64_t hash;

    memcpy(keyed, hashes->secret, 32);
    mesh_hash32(data, bytes, keyed + 32);
    mesh_hash32(keyed, sizeof keyed, digest);
    mesh_wipe(keyed, sizeof keyed);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

/* For activations: as fast as they are copied. */
static uint64_t hash_tile(void *user, const uint8_t *data, size_t bytes)
{
    return mesh_trace_hash_with(((const struct recording_hashes *)user)->tiles, data, bytes);
}

void mesh_recording_hashes_init(struct recording_hashes *hashes, const uint8_t secret[32])
{
    uint8_t keyed[33];

    *hashes = (struct recording_hashes){0};
    memcpy(hashes->secret, secret, sizeof hashes->secret);
    memcpy(keyed, secret, 32);
    for (keyed[32] = 0; keyed[32] < sizeof hashes->tiles / 32; keyed[32]++)
        mesh_hash32(keyed, sizeof keyed, hashes->tiles + 32 * keyed[32]);
    mesh_wipe(keyed, sizeof keyed);
}

void mesh_recording_hashes_wipe(struct recording_hashes *hashes)
{
    mesh_wipe(hashes, sizeof *hashes);
}

uint64_t mesh_recording_hash_token(struct recording_hashes *hashes, uint64_t position, uint64_t token)
{
    uint8_t bytes[16];

    mesh_little_put(mesh_little_put(bytes, position, 8), token, 8);
    return hash_guarded(hashes, bytes, sizeof bytes);
}

/* A body that ends where a message's data begins has a header: mesh_tape_body_bytes has looked at it. */
static bool is_tile(const struct mesh_tape_entry *entry)
{
    return (entry->call.kind == MESH_TAPE_RECEIVE || entry->call.kind == MESH_TAPE_DATAGRAM) &&
           entry->call.body_bytes == MESH_HEADER_BYTES + sizeof(struct mesh_tile_bytes) &&
           entry->body[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_TILE;
}

/* ---- what is published is sent next, as it is ---- */

static struct recording_published place_of_publish(const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_publish *p = &entry->publish;

    return (struct recording_published){.step = p->step,
                                        .phase = p->phase,
                                        .token = p->token_first,
                                        .block_first = p->block_first,
                                        .block_count = p->block_count,
                                        .bytes = entry->call.payload_bytes};
}

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)mesh_little_get(at, 2);
}

static struct recording_published place_of_tile(const struct mesh_tape_entry *entry)
{
    const uint8_t *tile = entry->body + MESH_HEADER_BYTES;

    return (struct recording_published){.step = mesh_little_get(tile + offsetof(struct mesh_tile_bytes, step), 8),
                                        .phase = get_u16(tile + offsetof(struct mesh_tile_bytes, phase)),
                                        .token = get_u16(tile + offsetof(struct mesh_tile_bytes, token_first)),
                                        .block_first = get_u16(tile + offsetof(struct mesh_tile_bytes, block_first)),
                                        .block_count = get_u16(tile + offsetof(struct mesh_tile_bytes, block_count)),
                                        .bytes = entry->call.payload_bytes};
}

static bool is_same_place(const struct recording_published *a, const struct recording_published *b)
{
    return a->step == b->step && a->phase == b->phase && a->token == b->token && a->block_first == b->block_first &&
           a->block_count == b->block_count && a->bytes == b->bytes;
}

/* The newest first: a later epoch may have the same places. */
static bool find(const struct recording_hashes *hashes, const struct recording_published *place, uint64_t *hash)
{
    for (unsigned i = 1; i <= RECORDING_PUBLISHED; i++) {
        const struct recording_published *at = &hashes->published[(hashes->published_count - i) % RECORDING_PUBLISHED];

        if (is_same_place(at, place)) {
            *hash = at->hash;
            return true;
        }
    }
    return false;
}

static void leave_out_publish(struct recording_hashes *hashes, struct mesh_tape_entry *entry)
{
    struct recording_published published = place_of_publish(entry);
    const bool is_row = entry->payload_rows == 1; /* with several tokens each has a hash, and their tiles may be cut in another way */

    mesh_tape_leave_out(entry, hash_tile, hashes);
    published.hash = entry->call.payload_hash;
    if (is_row)
        hashes->published[hashes->published_count++ % RECORDING_PUBLISHED] = published;
}

static void leave_out_tile(struct recording_hashes *hashes, struct mesh_tape_entry *entry)
{
    const struct recording_published place = place_of_tile(entry);
    uint64_t hash;

    if (entry->call.kind == MESH_TAPE_DATAGRAM && find(hashes, &place, &hash))
        mesh_tape_put_hash(entry, hash);
    else
        mesh_tape_leave_out(entry, hash_tile, hashes);
}

void mesh_recording_leave_out(struct recording_hashes *hashes, struct mesh_tape_entry *entry)
{
    if (entry->call.kind == MESH_TAPE_PUBLISH)
        leave_out_publish(hashes, entry);
    else if (is_tile(entry))
        leave_out_tile(hashes, entry);
    else
        mesh_tape_leave_out(entry, hash_guarded, hashes);
}

void mesh_recording_forget_published(struct recording_hashes *hashes)
{
    memset(hashes->published, 0, sizeof hashes->published);
}
