/* What is on its way: tiles sent a moment ago that a peer had not seen when it asked, and published ranges that still wait to be sent.
 *
 * A NAK that crosses its answer is not answered twice: the peer gets a NOT_YET, and asks again if the tile was lost after all. The log
 * remembers only the last tiles; one that it has forgotten counts as lost. */
#include "core.h"

#include <assert.h>

enum { QUEUE_TIMEOUTS = 4 };

static bool overlaps(const struct mesh_range *a, const struct mesh_range *b)
{
    return a->token_first < b->token_first + b->token_count && b->token_first < a->token_first + a->token_count &&
           a->block_first < b->block_first + b->block_count && b->block_first < a->block_first + a->block_count;
}

void mesh_flight_note(struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_range *range, const struct mesh_peer *peer)
{
    mesh->flights[mesh->flight_next++ % MESH_FLIGHTS] = (struct mesh_flight){
        .end = slot->end,
        .range = *range,
        .ranks = peer ? UINT64_C(1) << peer->rank : mesh->others,
        .number = peer ? peer->number : mesh->number_all,
        .is_to_all = !peer,
        .sent_ns = mesh->now_ns,
    };
}

/* A range that has waited for long waits for another reader, for which this one should not have to wait. */
static bool is_queued(const struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_peer *peer, const struct mesh_range *range)
{
    for (int16_t i = slot->queue_first; i >= 0; i = mesh->published[i].next)
        if (overlaps(&mesh->published[i].range, range))
            return mesh->now_ns - mesh->published[i].ready_ns < QUEUE_TIMEOUTS * mesh_peer_timeout_ns(peer);
    return mesh->current.end == slot->end && (mesh->current_ranks >> peer->rank & 1) && overlaps(&mesh->current.range, range);
}

bool mesh_flight_has(const struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_peer *peer, const struct mesh_range *range)
{
    const uint64_t way_ns = mesh_peer_flight_ns(peer);
    const uint64_t to_peer = UINT64_C(1) << peer->rank;

    assert(slot->is_open);
    for (unsigned i = 0; i < MESH_FLIGHTS; i++) {
        const struct mesh_flight *flight = &mesh->flights[i];

        if (flight->end == slot->end && (flight->ranks & to_peer) && flight->number > peer->reported[flight->is_to_all] &&
            mesh->now_ns - flight->sent_ns < way_ns && overlaps(&flight->range, range))
            return true;
    }
    return is_queued(mesh, slot, peer, range);
}
