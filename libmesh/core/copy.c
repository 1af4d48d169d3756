/* Copies: where datagrams get lost, small tiles are sent twice, so that a loss does not cost a NAK and its answer.
 *
 * Peers report how many numbers of this rank never came (STATUS, PONG); a slow average of that loss is kept for each. Copying to a peer
 * begins at the loss at which the waiting saved is worth the datagrams, and ends below a third of it. A copy is a datagram with a number of
 * its own, so losses are counted as before. It goes when nothing else is to be sent: after the same tile for the others, and after the next
 * tiles where there are some. Only gathers of few tokens have copies: in a prompt, many lost datagrams are repaired together. And only
 * numbers sent beside such gathers decide: what a prompt loses is mostly what a queue on the way had no room for, and copies would but fill
 * it more. */
#include "core.h"

enum {
    TOKENS_MAX = 16,      /* a gather of more has many tokens, and no copies */
    SAMPLE_NUMBERS = 256, /* that a sample of the loss covers, at least */
    LATE_NUMBERS = 64,    /* left out after the last tile of many tokens, since the peer counts a loss some numbers later */
    AVERAGE = 8,          /* a new sample counts one part in so many */
    COPY_NS = 6000,       /* what a datagram costs: some microseconds at its sender, and one or two at its receiver */
    LOSS_PPM_MIN = 1000,  /* of less there are too few samples to go by */
    OFF_PART = 3          /* copying ends below this part of the loss at which it begins */
};

/* All ranks wait for what one has lost, at least for mesh_peer_timeout_ns. */
static uint32_t worth_ppm(const struct mesh *mesh, const struct mesh_peer *peer)
{
    const uint64_t saved_ns = mesh_peer_timeout_ns(peer) * mesh->config.rank_count;
    const uint64_t loss_ppm = COPY_NS * UINT64_C(1000000) / saved_ns;

    if (mesh->config.copy_loss_ppm)
        return mesh->config.copy_loss_ppm;
    return loss_ppm > LOSS_PPM_MIN ? (uint32_t)loss_ppm : LOSS_PPM_MIN;
}

static bool add_sample(struct mesh_loss *loss, uint64_t seen, uint64_t lost)
{
    uint64_t numbers, missing;
    int64_t sample_ppm;

    if (seen < loss->seen + SAMPLE_NUMBERS)
        return false;
    numbers = seen - loss->seen;
    missing = lost > loss->lost ? lost - loss->lost : 0; /* fewer: what seemed lost was late */
    sample_ppm = missing < numbers ? (int64_t)(missing * 1000000 / numbers) : 1000000;
    *loss = (struct mesh_loss){seen, lost, (uint32_t)((int64_t)loss->ppm + (sample_ppm - (int64_t)loss->ppm) / AVERAGE)};
    return true;
}

void mesh_copy_report(struct mesh *mesh, struct mesh_peer *peer, uint64_t seen, uint64_t lost)
{
    const uint64_t rank = UINT64_C(1) << peer->rank;
    struct mesh_loss *few = &peer->few_loss;

    if (add_sample(&peer->loss, seen, lost))
        peer->stats.loss_ppm = peer->loss.ppm;
    if (peer->many_through > 0 && few->seen < peer->many_through + LATE_NUMBERS)
        *few = (struct mesh_loss){seen, lost, few->ppm}; /* a new sample, if that is behind the last of them */
    else if (add_sample(few, seen, lost) && few->ppm >= worth_ppm(mesh, peer))
        mesh->copying |= rank;
    if (few->ppm < worth_ppm(mesh, peer) / OFF_PART)
        mesh->copying &= ~rank;
}

static bool is_many(const struct mesh_slot *slot)
{
    return slot->gather.token_count > TOKENS_MAX;
}

void mesh_copy_note_resend(struct mesh *mesh, const struct mesh_slot *slot, struct mesh_peer *peer)
{
    if (is_many(slot))
        peer->many_through = mesh->number_all + peer->number;
}

void mesh_copy_note(struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_range *range, uint64_t ready_ns, uint64_t ranks)
{
    for (uint64_t to = is_many(slot) ? ranks : 0; to; to &= to - 1)
        mesh_copy_note_resend(mesh, slot, &mesh->peers[__builtin_ctzll(to)]);
    ranks &= mesh->copying;
    if (!ranks || is_many(slot) || mesh->copy_count == MESH_COPIES)
        return;
    mesh->copies[(mesh->copy_first + mesh->copy_count++) % MESH_COPIES] =
        (struct mesh_copy){.what = {slot->end, *range}, .ready_ns = ready_ns, .ranks = ranks};
}

/* Those of the ranks that still lack something of the gather, and have credit now: a copy never waits for credit. */
static uint64_t takers(const struct mesh *mesh, const struct mesh_slot *slot, uint64_t ranks, size_t bytes)
{
    uint64_t left = 0;

    for (; ranks; ranks &= ranks - 1) {
        const struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->state == MESH_PEER_UP && peer->through < slot->end &&
            mesh_credit_in_flight(mesh, peer) + mesh_credit_cost(bytes) <= peer->window_bytes)
            left |= UINT64_C(1) << peer->rank;
    }
    return left;
}

static void count(struct mesh *mesh, uint64_t ranks)
{
    for (; ranks; ranks &= ranks - 1)
        mesh->peers[__builtin_ctzll(ranks)].stats.duplicates_sent++;
}

/* To whom a copy goes next, and takes these off those that it still goes to: all other ranks at once, with a number of the space for
 * everybody; or, if it does not go to all of them, the lowest of its takers, with a number of its own. 0: nobody takes it any more. */
static uint64_t next_ranks(const struct mesh *mesh, const struct mesh_slot *slot, struct mesh_copy *copy)
{
    const struct mesh_range *range = &copy->what.range;
    const size_t row_bytes = mesh_slot_row_bytes(slot, range->block_first, range->block_count);
    const uint64_t all = takers(mesh, slot, copy->ranks, MESH_TILE_OVERHEAD_BYTES + range->token_count * row_bytes);
    const uint64_t lowest = all & (~all + 1);

    if (!all || all == mesh->others) {
        copy->ranks = 0;
        return all;
    }
    copy->ranks &= ~((lowest << 1) - 1);
    return lowest;
}

bool mesh_copy_next(struct mesh *mesh, struct mesh_packet *packet, uint64_t *ranks)
{
    while (mesh->copy_count) {
        struct mesh_copy *copy = &mesh->copies[mesh->copy_first];
        struct mesh_slot *slot = mesh_slot_find(mesh, copy->what.end);
        const uint64_t to = slot ? next_ranks(mesh, slot, copy) : 0;

        if (!slot || !copy->ranks) {
            mesh->copy_first = (mesh->copy_first + 1) % MESH_COPIES;
            mesh->copy_count--;
        }
        if (!to)
            continue;
        mesh_sender_write_tile(slot, &copy->what.range, copy->ready_ns, MESH_FLAG_COPY, packet);
        if (to == mesh->others)
            mesh_write_all(mesh, packet, false);
        else
            mesh_write_peer(mesh, &mesh->peers[__builtin_ctzll(to)], packet, false);
        count(mesh, to);
        *ranks = to;
        return true;
    }
    return false;
}
