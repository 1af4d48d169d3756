/* What is in flight: tiles sent a moment ago that a peer had not seen when it asked, and published ranges that still wait to be sent.
 *
 * A NAK that crosses its answer is not answered twice: the peer gets a NOT_YET, and asks again if the tile was lost after all. Time tells
 * little of that: after a pause, a burst fills a queue on the way and takes much longer than the RTT measured before it. But queues keep
 * order, so a tile is known to be lost when a later one has been seen, and until then it may as well be late. The log remembers only the
 * last tiles; one that it has forgotten counts as lost. */
#include "core.h"

#include <assert.h>

enum { QUEUE_TIMEOUTS = 4 };

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
static bool is_queued(const struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_peer *peer, const struct mesh_range *range,
                      struct mesh_range *part)
{
    const uint64_t wait_ns = QUEUE_TIMEOUTS * mesh_peer_timeout_ns(peer);

    for (int16_t i = slot->queue_first; i >= 0; i = mesh->published[i].next)
        if (mesh->now_ns - mesh->published[i].ready_ns < wait_ns && mesh_range_meet(&mesh->published[i].range, range, part))
            return true;
    return mesh->current.end == slot->end && (mesh->current_ranks >> peer->rank & 1) && mesh_range_meet(&mesh->current.range, range, part);
}

enum mesh_way mesh_flight_find(const struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_peer *peer,
                               const struct mesh_range *range, struct mesh_range *part)
{
    const uint64_t way_ns = mesh_peer_flight_ns(peer);
    const uint64_t to_peer = UINT64_C(1) << peer->rank;

    assert(slot->is_open);
    for (unsigned i = 1; i <= MESH_FLIGHTS; i++) {
        const struct mesh_flight *flight = &mesh->flights[(mesh->flight_next - i) % MESH_FLIGHTS];

        if (!(flight->ranks & to_peer))
            continue;
        if (flight->number <= peer->reported[flight->is_to_all])
            break; /* all before it has come, or is lost */
        if (flight->end == slot->end && mesh_range_meet(&flight->range, range, part))
            return mesh->now_ns - flight->sent_ns < way_ns ? MESH_WAY_SENT : MESH_WAY_LATE;
    }
    return is_queued(mesh, slot, peer, range, part) ? MESH_WAY_SENT : MESH_WAY_NONE;
}
