/* The event queue. Events that must not be lost (everything but arrivals) have a reserve; blocks without room for their event are not taken
 * from their tile, and are asked for again later. */
#include "tap.h"

#include <assert.h>

unsigned mesh_event_room(const struct mesh *mesh)
{
    unsigned used = mesh->event_count + MESH_EVENT_RESERVE;

    return used < MESH_EVENT_QUEUE ? MESH_EVENT_QUEUE - used : 0;
}

void mesh_event_push(struct mesh *mesh, const struct mesh_event *event)
{
    assert(mesh->event_count < MESH_EVENT_QUEUE);
    mesh->events[(mesh->event_first + mesh->event_count) % MESH_EVENT_QUEUE] = *event;
    mesh->event_count++;
}

void mesh_event_gather(struct mesh *mesh, enum mesh_event_type type, const struct mesh_slot *slot)
{
    struct mesh_event event = {.type = type, .rank = mesh->config.rank, .step = slot->gather.step, .phase = slot->gather.phase};

    mesh_event_push(mesh, &event);
}

static bool next_event(struct mesh *mesh, struct mesh_event *event)
{
    if (mesh->event_count) {
        *event = mesh->events[mesh->event_first];
        mesh->event_first = (mesh->event_first + 1) % MESH_EVENT_QUEUE;
        mesh->event_count--;
        if (event->type == MESH_EVENT_REFUSED) {
            mesh_reason_write(mesh->reason, event->rank, mesh->refusals[event->rank].is_theirs, &mesh->refusals[event->rank].refuse);
            event->reason = mesh->reason;
            event->theirs = mesh_reason_theirs(mesh->refusals[event->rank].is_theirs, &mesh->refusals[event->rank].refuse);
        }
        return true;
    }
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++)
        if (mesh_channel_deliver(mesh, &mesh->peers[rank], event))
            return true;
    return false;
}

bool mesh_next_event(struct mesh *mesh, struct mesh_event *event)
{
    const bool has_one = next_event(mesh, event);

    if (has_one && mesh_is_tapped(mesh))
        mesh_tap_event(mesh, event);
    return has_one;
}
