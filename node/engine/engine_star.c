/* --topology star, a baseline for the mesh: ranks send what they compute to rank 0 alone, which passes all of it on.
 *
 * Each gather of the engine is two of the endpoint: *up* (phase 2p), which only rank 0 reads, and *down* (2p + 1), all of whose blocks rank
 * 0 sends to the gather's readers. Rank 0's own blocks go down as they are finished, other ranks' blocks when the last of them has come up;
 * so results cross its links twice. A reader's wait is attributed to the rank that computes, not to rank 0. */
#include <assert.h>

#include "engine_state.h"

/* Readers served by rank 0. */
static uint64_t below(uint64_t readers)
{
    return readers & ~UINT64_C(1);
}

static int open_up(struct engine *e, const struct mesh_gather *whole)
{
    struct mesh_gather up = *whole;

    up.phase = (uint16_t)(2 * whole->phase);
    up.readers = 1;
    return mesh_open_gather(e->port.mesh, engine_now(e), &up);
}

static int open_down(struct engine *e, const struct mesh_gather *whole)
{
    struct mesh_gather down = *whole;
    uint16_t first[MESH_RANKS_MAX + 1] = {0};

    for (uint16_t r = 1; r <= e->config.map->rank_count; r++)
        first[r] = whole->block_count;
    down.phase = (uint16_t)(2 * whole->phase + 1);
    down.first = first;
    down.readers = below(whole->readers);
    return mesh_open_gather(e->port.mesh, engine_now(e), &down);
}

int engine_star_open(struct engine *e, struct inbox *inbox, const struct mesh_gather *whole)
{
    const bool has_down = below(whole->readers) != 0, is_root = e->config.rank == 0;

    if (!inbox->is_half_open) {
        inbox->releases_left = has_down ? 2 : 1;
        inbox->has_down = has_down;
        inbox->is_owed = inbox->is_complete = false;
        if (open_up(e, whole) != MESH_OK)
            return MESH_AGAIN;
    }
    inbox->is_half_open = has_down && open_down(e, whole) != MESH_OK;
    if (inbox->is_half_open)
        return MESH_AGAIN;
    /* Only rank 0 reads what goes up, and it does not read what goes down. */
    if (!is_root)
        mesh_consume(e->port.mesh, engine_now(e), whole->step, (uint16_t)(2 * whole->phase));
    else if (has_down)
        mesh_consume(e->port.mesh, engine_now(e), whole->step, (uint16_t)(2 * whole->phase + 1));
    return MESH_OK;
}

/* Send down what has come up; again later when the endpoint has no room. */
static bool pass_on(struct engine *e, struct inbox *inbox)
{
    const uint16_t block = inbox->form->first[1], blocks = (uint16_t)(inbox->form->block_count - block);

    if (blocks > 0 && inbox->has_down &&
        mesh_publish(e->port.mesh, engine_now(e), inbox->step, (uint16_t)(2 * inbox->phase + 1), 0, inbox->token_count, block, blocks) !=
            MESH_OK)
        return false;
    inbox->is_owed = false;
    /* If this rank does not read it, its `up` could not be consumed before. */
    if (inbox->is_consumed)
        mesh_consume(e->port.mesh, engine_now(e), inbox->step, (uint16_t)(2 * inbox->phase));
    return true;
}

void engine_star_complete(struct engine *e, struct inbox *inbox, uint16_t endpoint_phase)
{
    assert((endpoint_phase % 2 == 0) == (e->config.rank == 0));
    inbox->is_complete = true;
    inbox->is_owed = e->config.rank == 0;
    /* Its own blocks come down to this rank, too, which it does not wait for before it has consumed the others. */
    if (!inbox->is_owed && inbox->is_consumed)
        mesh_consume(e->port.mesh, engine_now(e), inbox->step, endpoint_phase);
    if (!inbox->is_owed)
        return;
    if (!inbox->is_half_open)
        pass_on(e, inbox);
}

bool engine_star_consume(const struct inbox *inbox)
{
    return inbox->is_complete && !inbox->is_owed;
}

int engine_star_pass_on(struct engine *e)
{
    int count = 0;

    for (int i = 0; i < ENGINE_INBOXES; i++)
        if (!e->inbox[i].is_free && !e->inbox[i].is_half_open && e->inbox[i].is_owed)
            count += pass_on(e, &e->inbox[i]);
    return count;
}

bool engine_star_part(const struct engine *e, const struct inbox *inbox, uint16_t rank, const struct mesh_event *event,
                      struct mesh_event *part)
{
    const uint16_t *first = inbox->form->first;
    const uint16_t event_end = (uint16_t)(event->block_first + event->block_count);
    const uint16_t begin = first[rank] > event->block_first ? first[rank] : event->block_first;
    const uint16_t end = first[rank + 1] < event_end ? first[rank + 1] : event_end;

    if (begin >= end || rank == e->config.rank)
        return false;
    *part = *event;
    part->rank = rank;
    part->block_first = begin;
    part->block_count = (uint16_t)(end - begin);
    return true;
}
