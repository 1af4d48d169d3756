/* Published ranges and resends into TILE datagrams.
 *
 * Each open gather has a queue of published ranges. A gather that everybody else reads goes out once, with a number of the space to
 * everybody; any other goes to its readers one by one, with numbers of their own, because each space must be gapless for its receivers.
 * Gathers are tried in order and a later one may overtake one that waits for a reader, so nothing waits in a circle. */
#include "tap.h"

#include "bits.h"
#include "ring.h"

#include <assert.h>
#include <string.h>

void mesh_sender_init(struct mesh *mesh)
{
    for (int i = 0; i < MESH_SEND_QUEUE; i++)
        mesh->published[i].next = (int16_t)(i + 1 < MESH_SEND_QUEUE ? i + 1 : -1);
    mesh->published_free = 0;
}

/* ---- publishing ---- */

/* Unite b with a when together they are a rectangle. */
static bool unite(struct mesh_range *a, const struct mesh_range *b)
{
    if (a->token_first == b->token_first && a->token_count == b->token_count) {
        if (a->block_first + a->block_count == b->block_first) {
            a->block_count = (uint16_t)(a->block_count + b->block_count);
            return true;
        }
        if (b->block_first + b->block_count == a->block_first) {
            a->block_first = b->block_first;
            a->block_count = (uint16_t)(a->block_count + b->block_count);
            return true;
        }
    }
    if (a->block_first == b->block_first && a->block_count == b->block_count && a->token_first + a->token_count == b->token_first) {
        a->token_count = (uint16_t)(a->token_count + b->token_count);
        return true;
    }
    return false;
}

static bool merge(struct mesh *mesh, struct mesh_slot *slot, const struct mesh_range *range)
{
    for (int16_t i = slot->queue_first; i >= 0; i = mesh->published[i].next) {
        struct mesh_published *published = &mesh->published[i];

        if (published->block_next == published->range.block_first && unite(&published->range, range)) {
            published->block_next = published->range.block_first;
            published->ready_ns = mesh->now_ns;
            return true;
        }
    }
    return false;
}

static bool append(struct mesh *mesh, struct mesh_slot *slot, const struct mesh_range *range)
{
    int16_t index = mesh->published_free;
    struct mesh_published *published;

    if (index < 0)
        return false;
    published = &mesh->published[index];
    mesh->published_free = published->next;
    mesh->published_count++;
    *published = (struct mesh_published){.range = *range, .block_next = range->block_first, .ready_ns = mesh->now_ns, .next = -1};
    if (slot->queue_last < 0)
        slot->queue_first = index;
    else
        mesh->published[slot->queue_last].next = index;
    slot->queue_last = index;
    return true;
}

static void drop_first(struct mesh *mesh, struct mesh_slot *slot)
{
    int16_t index = slot->queue_first;

    assert(index >= 0 && mesh->published_count > 0);
    slot->queue_first = mesh->published[index].next;
    if (slot->queue_first < 0)
        slot->queue_last = -1;
    mesh->published[index].next = mesh->published_free;
    mesh->published_free = index;
    mesh->published_count--;
}

int mesh_publish(struct mesh *mesh, uint64_t now_ns, uint64_t step, uint16_t phase, uint16_t token_first, uint16_t token_count,
                 uint16_t block_first, uint16_t block_count)
{
    const struct mesh_range range = {token_first, token_count, block_first, block_count};
    uint64_t end = mesh_end_of(mesh, step, phase);
    struct mesh_slot *slot = mesh_slot_find(mesh, end);
    uint32_t blocks = (uint32_t)token_count * block_count;

    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    if (step > MESH_STEP_MAX || phase >= mesh->config.phase_count)
        return MESH_EINVAL; /* end would be another gather's */
    if (!slot)
        return end <= mesh->opened_end ? 0 : MESH_EINVAL; /* freed at once: there is nobody to send it to */
    if (!blocks || !mesh_slot_contains(slot, mesh->config.rank, &range))
        return MESH_EINVAL;
    for (unsigned token = token_first; token < (unsigned)token_first + token_count; token++)
        assert(!mesh_bits_any(mesh_slot_row(slot, token), block_first, (unsigned)block_first + block_count));
    if (slot->readers && !merge(mesh, slot, &range) && !append(mesh, slot, &range))
        return MESH_AGAIN;
    mesh_slot_mark(slot, &range);
    slot->unpublished -= blocks;
    if (!slot->unpublished && slot->base_ns)
        mesh_pace_add(mesh_pace_of(mesh, slot, mesh->config.rank), now_ns - slot->base_ns);
    mesh_slot_release(mesh, slot);
    if (mesh_is_tapped(mesh))
        mesh_tap_publish(mesh, step, phase, &range, slot);
    return 0;
}

void mesh_sender_forget(struct mesh *mesh, struct mesh_slot *slot)
{
    while (slot->queue_first >= 0)
        drop_first(mesh, slot);
    if (mesh->current.end == slot->end)
        mesh->current_ranks = 0;
}

/* ---- cutting ---- */

/* The first part of *range that fits into data_max bytes, starting in its first row at block_next. What is left stays in both. */
static struct mesh_range cut(const struct mesh_slot *slot, struct mesh_range *range, uint16_t *block_next, size_t data_max)
{
    unsigned row_end = (unsigned)range->block_first + range->block_count;
    unsigned left = row_end - *block_next;
    size_t row_bytes = mesh_slot_row_bytes(slot, *block_next, left);
    struct mesh_range part = {range->token_first, 1, *block_next, (uint16_t)left};

    if (row_bytes > data_max) {
        part.block_count = (uint16_t)(data_max / slot->gather.block_bytes);
        assert(part.block_count > 0 && part.block_count < left);
        *block_next = (uint16_t)(*block_next + part.block_count);
        return part;
    }
    if (*block_next == range->block_first && data_max / row_bytes > 1)
        part.token_count = (uint16_t)(data_max / row_bytes < range->token_count ? data_max / row_bytes : range->token_count);
    range->token_first = (uint16_t)(range->token_first + part.token_count);
    range->token_count = (uint16_t)(range->token_count - part.token_count);
    *block_next = range->block_first;
    return part;
}

void mesh_sender_write_tile(const struct mesh_slot *slot, const struct mesh_range *range, uint64_t ready_ns, uint16_t flags,
                            struct mesh_packet *packet)
{
    struct mesh_message *message = &packet->message;

    message->header.type = MESH_TYPE_TILE;
    message->header.flags = flags;
    message->as.tile = (struct mesh_tile){slot->gather.step,  ready_ns,           slot->gather.phase, range->token_first,
                                          range->token_count, range->block_first, range->block_count};
    message->data = NULL;
    message->data_bytes = range->token_count * mesh_slot_row_bytes(slot, range->block_first, range->block_count);
    mesh_slot_copy_out(slot, range, packet->bytes + MESH_TILE_OVERHEAD_BYTES);
}

static bool may_send(struct mesh *mesh, const struct mesh_slot *slot, struct mesh_peer *peer, size_t bytes)
{
    if (peer->state == MESH_PEER_GONE)
        return true;
    return peer->state == MESH_PEER_UP && peer->through >= slot->wait_through && mesh_credit_allows(mesh, peer, bytes);
}

static size_t datagram_bytes_for(const struct mesh *mesh, uint64_t ranks)
{
    size_t bytes = UINT16_MAX;

    for (; ranks; ranks &= ranks - 1) {
        const struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];
        size_t limit = mesh_credit_datagram_max(peer->window_bytes);

        if (peer->state != MESH_PEER_UP)
            continue;
        limit = limit < peer->stats.datagram_bytes ? limit : peer->stats.datagram_bytes;
        bytes = bytes < limit ? bytes : limit;
    }
    return bytes < UINT16_MAX ? bytes : MESH_DATAGRAM_BYTES_MIN;
}

static struct mesh_range cut_first(struct mesh *mesh, struct mesh_slot *slot, size_t datagram_bytes, uint64_t *ready_ns)
{
    struct mesh_published *published = &mesh->published[slot->queue_first];
    struct mesh_range part = cut(slot, &published->range, &published->block_next, datagram_bytes - MESH_TILE_OVERHEAD_BYTES);

    *ready_ns = published->ready_ns;
    if (!published->range.token_count)
        drop_first(mesh, slot);
    return part;
}

/* ---- sending ---- */

static void count_tile(struct mesh *mesh, struct mesh_slot *slot, uint64_t ranks)
{
    for (; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        peer->stats.tiles_sent++;
        slot->last_number[peer->rank] = peer->number;
    }
    slot->last_number_all = mesh->number_all;
}

static bool send_to_all(struct mesh *mesh, struct mesh_slot *slot, struct mesh_packet *packet, uint64_t *to)
{
    size_t bytes = datagram_bytes_for(mesh, mesh->others);
    uint64_t ready_ns;
    struct mesh_range part;

    *to = 0;
    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (!may_send(mesh, slot, peer, bytes))
            return false;
        if (peer->state == MESH_PEER_UP)
            *to |= UINT64_C(1) << peer->rank;
    }
    if (!*to) {
        mesh_sender_forget(mesh, slot); /* all readers have left */
        return false;
    }
    part = cut_first(mesh, slot, bytes, &ready_ns);
    mesh_sender_write_tile(slot, &part, ready_ns, MESH_FLAG_ALL, packet);
    mesh_write_all(mesh, packet, false);
    mesh_flight_note(mesh, slot, &part, NULL);
    mesh_copy_note(mesh, slot, &part, ready_ns, *to);
    count_tile(mesh, slot, *to);
    return true;
}

/* Every reader has what this gather waits for. A tile that is taken up sooner would hold up tiles of earlier gathers, which readers may
 * need first. */
static bool may_start(const struct mesh *mesh, const struct mesh_slot *slot)
{
    for (uint64_t ranks = slot->readers; ranks; ranks &= ranks - 1) {
        const struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->state != MESH_PEER_GONE && (peer->state != MESH_PEER_UP || peer->through < slot->wait_through))
            return false;
    }
    return true;
}

/* Take the next tile for readers that are served one by one. */
static void start_current(struct mesh *mesh, struct mesh_slot *slot)
{
    mesh->current.end = slot->end;
    mesh->current.range = cut_first(mesh, slot, datagram_bytes_for(mesh, slot->readers), &mesh->current_ready_ns);
    mesh->current_ranks = slot->readers;
}

static bool send_current(struct mesh *mesh, struct mesh_packet *packet, uint64_t *ranks)
{
    struct mesh_slot *slot = mesh_slot_find(mesh, mesh->current.end);
    size_t bytes;

    assert(slot);
    bytes = MESH_TILE_OVERHEAD_BYTES +
            mesh->current.range.token_count * mesh_slot_row_bytes(slot, mesh->current.range.block_first, mesh->current.range.block_count);
    for (uint64_t left = mesh->current_ranks; left; left &= left - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(left)];

        if (!may_send(mesh, slot, peer, bytes))
            continue;
        mesh->current_ranks &= ~(UINT64_C(1) << peer->rank);
        if (peer->state == MESH_PEER_GONE)
            continue;
        mesh_sender_write_tile(slot, &mesh->current.range, mesh->current_ready_ns, 0, packet);
        mesh_write_peer(mesh, peer, packet, false);
        mesh_flight_note(mesh, slot, &mesh->current.range, peer);
        mesh_copy_note(mesh, slot, &mesh->current.range, mesh->current_ready_ns, UINT64_C(1) << peer->rank);
        *ranks = UINT64_C(1) << peer->rank;
        count_tile(mesh, slot, *ranks);
        return true;
    }
    return false;
}

bool mesh_sender_next(struct mesh *mesh, struct mesh_packet *packet, uint64_t *ranks)
{
    if (mesh->current_ranks && send_current(mesh, packet, ranks))
        return true;
    if (!mesh->published_count)
        return false;
    for (uint64_t ordinal = mesh_ordinal_first(mesh); ordinal < mesh->opened; ordinal++) {
        struct mesh_slot *slot = mesh_slot_at(mesh, ordinal);

        if (!slot->is_open || slot->queue_first < 0)
            continue;
        if (slot->readers == mesh->others) {
            if (send_to_all(mesh, slot, packet, ranks))
                return true;
        } else if (!mesh->current_ranks && may_start(mesh, slot)) {
            start_current(mesh, slot);
            if (send_current(mesh, packet, ranks))
                return true;
        }
    }
    return false;
}

/* ---- resends ---- */

void mesh_sender_add_resend(struct mesh *mesh, struct mesh_peer *peer, uint64_t end, const struct mesh_range *range)
{
    unsigned last = (peer->resend_first + peer->resend_count) % MESH_RESEND_QUEUE;

    if (peer->resend_count == MESH_RESEND_QUEUE)
        return; /* it will be asked for again */
    for (unsigned i = 0; i < peer->resend_count; i++) {
        const struct mesh_resend *resend = &peer->resends[(peer->resend_first + i) % MESH_RESEND_QUEUE];

        if (resend->end == end && memcmp(&resend->range, range, sizeof *range) == 0)
            return; /* asked again before the answer left */
    }
    peer->resends[last] = (struct mesh_resend){end, *range};
    peer->resend_count++;
    mesh_pend(mesh, peer, MESH_PENDING_RESEND);
}

bool mesh_sender_resend(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    while (peer->resend_count && (peer->resends_exempt > 0 || mesh_credit_allows(mesh, peer, MESH_DATAGRAM_BYTES_MIN))) {
        struct mesh_resend *resend = &peer->resends[peer->resend_first];
        struct mesh_slot *slot = mesh_slot_find(mesh, resend->end);

        if (slot) {
            uint16_t block_next = resend->range.block_first;
            struct mesh_range rest = resend->range;
            struct mesh_range part = cut(slot, &rest, &block_next, MESH_DATAGRAM_BYTES_MIN - MESH_TILE_OVERHEAD_BYTES);

            if (block_next != rest.block_first && rest.token_count > 1) {
                /* Too long for one datagram: row by row. */
                struct mesh_range rows = {(uint16_t)(rest.token_first + 1), (uint16_t)(rest.token_count - 1), rest.block_first,
                                          rest.block_count};

                mesh_sender_add_resend(mesh, peer, resend->end, &rows);
                rest.token_count = 1;
            }
            rest.block_count = (uint16_t)(rest.block_first + rest.block_count - block_next);
            rest.block_first = block_next;
            resend->range = rest;
            mesh_sender_write_tile(slot, &part, mesh->now_ns, MESH_FLAG_RESEND, packet);
            mesh_write_peer(mesh, peer, packet, peer->resends_exempt > 0);
            mesh_flight_note(mesh, slot, &part, peer);
            mesh_copy_note_resend(mesh, slot, peer);
            peer->resends_exempt -= peer->resends_exempt > 0;
            peer->stats.tiles_sent++;
            peer->stats.resent++;
            if (rest.token_count)
                return true;
        }
        peer->resend_first = (peer->resend_first + 1) % MESH_RESEND_QUEUE;
        peer->resend_count--;
        if (slot)
            return true;
    }
    peer->pending &= ~(uint32_t)MESH_PENDING_RESEND; /* what is left goes on when credit comes, see mesh_credit_report */
    return false;
}
