/* Tiles into gathers. The usual case, no block there yet, is one pass of bitmap and memcpy and one event.
 *
 * A block is written and reported exactly once: when some of a tile's blocks are there already, only the others are taken, since somebody
 * may be reading those. */
#include "core.h"

#include "bits.h"

static struct mesh_range range_of(const struct mesh_tile *tile)
{
    return (struct mesh_range){tile->token_first, tile->token_count, tile->block_first, tile->block_count};
}

int mesh_receiver_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_tile *tile = &message->as.tile;
    struct mesh_range range = range_of(tile);
    const struct mesh_slot *slot;

    if (tile->phase >= mesh->config.phase_count || tile->step > MESH_STEP_MAX)
        return MESH_ERANGE;
    slot = mesh_slot_find((struct mesh *)mesh, mesh_end_of(mesh, tile->step, tile->phase));
    if (!slot)
        return 0; /* too early or too late: its number still counts */
    if (!slot->is_reader)
        return MESH_ESTATE;
    if (!mesh_slot_contains(slot, peer->rank, &range))
        return MESH_ERANGE;
    if (message->data_bytes != range.token_count * mesh_slot_row_bytes(slot, range.block_first, range.block_count))
        return MESH_ETRUNCATED;
    return mesh_event_room(mesh) ? 0 : MESH_AGAIN;
}

static void report(struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message, const struct mesh_range *range)
{
    struct mesh_event event = {.type = MESH_EVENT_ARRIVED,
                               .rank = peer->rank,
                               .step = message->as.tile.step,
                               .phase = message->as.tile.phase,
                               .token_first = range->token_first,
                               .token_count = range->token_count,
                               .block_first = range->block_first,
                               .block_count = range->block_count,
                               .sent_ns = message->header.sent_ns};

    mesh_event_push(mesh, &event);
}

static bool is_new(const struct mesh_slot *slot, const struct mesh_range *range)
{
    for (unsigned i = 0; i < range->token_count; i++)
        if (mesh_bits_any(mesh_slot_row(slot, range->token_first + i), range->block_first,
                          (unsigned)range->block_first + range->block_count))
            return false;
    return true;
}

/* Take the blocks of one token that are not there. Those without room for their event stay missing. Returns how many were taken. */
static uint32_t take_row(struct mesh *mesh, struct mesh_slot *slot, const struct mesh_peer *peer, const struct mesh_message *message,
                         unsigned token)
{
    const struct mesh_tile *tile = &message->as.tile;
    unsigned end = (unsigned)tile->block_first + tile->block_count, first = tile->block_first;
    size_t stride = mesh_slot_row_bytes(slot, tile->block_first, tile->block_count);
    const uint8_t *row = message->data + (token - tile->token_first) * stride;
    uint32_t taken = 0;

    while ((first = mesh_bits_find(mesh_slot_row(slot, token), first, end, false)) < end && mesh_event_room(mesh)) {
        unsigned run_end = mesh_bits_find(mesh_slot_row(slot, token), first, end, true);
        struct mesh_range run = {(uint16_t)token, 1, (uint16_t)first, (uint16_t)(run_end - first)};

        mesh_slot_mark(slot, &run);
        mesh_slot_copy_in(slot, &run, row + (first - tile->block_first) * (size_t)slot->gather.block_bytes, stride);
        report(mesh, peer, message, &run);
        taken += run.block_count;
        first = run_end;
    }
    return taken;
}

static uint32_t take(struct mesh *mesh, struct mesh_slot *slot, const struct mesh_peer *peer, const struct mesh_message *message)
{
    struct mesh_range range = range_of(&message->as.tile);
    uint32_t taken = 0;

    if (is_new(slot, &range)) {
        mesh_slot_mark(slot, &range);
        mesh_slot_copy_in(slot, &range, message->data, mesh_slot_row_bytes(slot, range.block_first, range.block_count));
        report(mesh, peer, message, &range);
        return (uint32_t)range.token_count * range.block_count;
    }
    for (unsigned i = 0; i < range.token_count; i++)
        taken += take_row(mesh, slot, peer, message, range.token_first + i);
    return taken;
}

/* One-way time by the estimated clock offset. */
static void measure(const struct mesh *mesh, struct mesh_peer *peer, uint64_t sent_ns)
{
    int64_t latency_ns = (int64_t)(mesh->now_ns + (uint64_t)mesh_peer_clock_ahead_ns(&peer->clock, mesh->now_ns) - sent_ns);

    if (peer->stats.rtt_ns_min)
        mesh_histogram_add(&peer->latency, latency_ns > 0 ? (uint64_t)latency_ns : 0);
}

static bool is_copy(const struct mesh_message *message)
{
    return (message->header.flags & MESH_FLAG_COPY) != 0;
}

/* Most of them are copies of tiles that have come. */
static void count_superfluous(struct mesh_peer *peer, const struct mesh_message *message)
{
    peer->stats.duplicate += !is_copy(message);
}

void mesh_receiver_deliver(struct mesh *mesh, struct mesh_peer *peer, struct mesh_slot *slot, const struct mesh_message *message)
{
    const struct mesh_tile *tile = &message->as.tile;
    struct mesh_owed *owed = &slot->owed[peer->rank];
    uint32_t taken = take(mesh, slot, peer, message);

    if (!taken) {
        count_superfluous(peer, message);
        return;
    }
    peer->stats.duplicates_used += is_copy(message);
    if (tile->block_first + tile->block_count > owed->high)
        owed->high = (uint16_t)(tile->block_first + tile->block_count);
    mesh_nak_arrived(mesh, slot, peer->rank, taken, message->header.flags & MESH_FLAG_RESEND);
    mesh_gather_arrived(mesh, slot, peer->rank, taken);
    mesh_slot_release(mesh, slot);
}

void mesh_receiver_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_tile *tile = &message->as.tile;
    uint64_t end = mesh_end_of(mesh, tile->step, tile->phase);
    struct mesh_slot *slot = mesh_slot_find(mesh, end);

    peer->stats.tiles_received++;
    measure(mesh, peer, message->header.sent_ns);
    if (end > peer->heard_end)
        peer->heard_end = end;
    if (!slot && end > mesh->opened_end) {
        mesh->stats.early++;
        if (!mesh_early_keep(mesh, peer, message) && end > peer->early_end)
            peer->early_end = end;
        return;
    }
    if (slot)
        mesh_receiver_deliver(mesh, peer, slot, message);
    else
        count_superfluous(peer, message);
}
