/* Tiles that come before their gather is opened here: a peer that had the last piece of a step first begins the next one at once. A few are
 * kept and delivered when the gather is opened; tiles that find no room, or are too large, are asked for then. */
#include "core.h"

#include <assert.h>
#include <string.h>

enum { STEPS_AHEAD = 8 };

/* Field by field: between and behind a struct's members may be anything. */
static bool has_same_blocks(const struct mesh_tile *a, const struct mesh_tile *b)
{
    return a->token_first == b->token_first && a->token_count == b->token_count && a->block_first == b->block_first &&
           a->block_count == b->block_count;
}

static bool is_kept(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    const uint64_t end = mesh_end_of(mesh, message->as.tile.step, message->as.tile.phase);

    for (unsigned i = 0; i < MESH_EARLY_TILES; i++)
        if (mesh->early[i].end == end && mesh->early[i].rank == peer->rank && has_same_blocks(&mesh->early[i].tile, &message->as.tile))
            return true;
    return false;
}

bool mesh_early_keep(struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    /* Tiles of steps that are far off would keep their places for long. */
    if (message->data_bytes > MESH_EARLY_BYTES ||
        mesh_end_of(mesh, message->as.tile.step, message->as.tile.phase) > mesh->opened_end + STEPS_AHEAD * mesh->config.phase_count)
        return false;
    if (message->header.flags & MESH_FLAG_COPY && is_kept(mesh, peer, message))
        return true;
    for (unsigned i = 0; i < MESH_EARLY_TILES; i++) {
        struct mesh_early *early = &mesh->early[i];

        if (early->end)
            continue;
        early->end = mesh_end_of(mesh, message->as.tile.step, message->as.tile.phase);
        early->rank = peer->rank;
        early->header = message->header;
        early->tile = message->as.tile;
        early->data_bytes = message->data_bytes;
        memcpy(early->data, message->data, message->data_bytes);
        return true;
    }
    return false;
}

static void deliver(struct mesh *mesh, struct mesh_slot *slot, const struct mesh_early *early)
{
    struct mesh_peer *peer = &mesh->peers[early->rank];
    struct mesh_message message = {.header = early->header, .data = early->data, .data_bytes = early->data_bytes};

    message.as.tile = early->tile;
    /* Only now is it known what the gather looks like. */
    if (mesh_receiver_check(mesh, peer, &message) == 0)
        mesh_receiver_deliver(mesh, peer, slot, &message);
}

void mesh_early_opened(struct mesh *mesh, struct mesh_slot *slot)
{
    assert(slot->is_open && slot->end == mesh->opened_end);
    for (unsigned i = 0; i < MESH_EARLY_TILES; i++) {
        struct mesh_early *early = &mesh->early[i];

        if (!early->end || early->end > slot->end)
            continue;
        /* A tile of a gather before this one: that gather was left out here, so nobody waits for it. */
        if (early->end == slot->end && slot->is_open)
            deliver(mesh, slot, early);
        early->end = 0;
    }
}
