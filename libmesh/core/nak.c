/* NAKs: asking for what is missing, and answering.
 *
 * A peer is asked for blocks of a gather when later datagrams of it have come and the reorder delay has passed (gap), when they are later
 * than usual, or when they came before the gather was opened. One NAK per peer and gather is outstanding; it is repeated with doubling
 * delay until data comes, or put off by a NOT_YET. */
#include "core.h"

#include "bits.h"
#include "ring.h"

#include <assert.h>

enum {
    /* How long blocks are waited for before they are asked for: the usual time and a margin of at least the minimum. */
    LATE_NS_MIN = 30000,
    LATE_NS_UNKNOWN = 2000000, /* before there is any sample */
    LATE_NS_MAX = 10000000,    /* the usual time includes waits for repairs of other blocks: without a limit it would feed on itself */
    /* Between two NAKs for the same. */
    DELAY_NS_MAX = 10000000, /* unless the path is so slow that an answer takes longer */
    /* How long a NOT_YET puts the next NAK off, whatever the peer expects. */
    NOT_YET_NS_MIN = 200000,
    NOT_YET_NS_MAX = 100000000,
    /* When a rank counts as silent, see mesh_silent_ranks: so many times as late as usual, and so many timeouts of an answer. */
    SILENT_NS_MIN = 20000000,
    SILENT_LATENESSES = 8,
    SILENT_TIMEOUTS = 2,
    /* When a path counts as starved, see mesh_starved_ranks: NAKs without an answer, and numbers lost meanwhile. A process that was stopped
     * shows neither. */
    HEARD_NS = 500000000, /* a peer heard within this time is alive */
    STARVED_NAKS = 16,
    STARVED_LOST = 8,
    NARROW_BYTES = 512 /* a fragment from this size on is large */
};

#define STARVED_NS UINT64_C(3000000000)

static void set_timer(struct mesh *mesh, struct mesh_owed *owed, uint64_t at_ns)
{
    owed->nak_at_ns = at_ns ? at_ns : 1;
    mesh_arm(mesh, owed->nak_at_ns);
}

static void ask(struct mesh *mesh, struct mesh_slot *slot, struct mesh_peer *peer, uint16_t limit)
{
    struct mesh_owed *owed = &slot->owed[peer->rank];
    const uint64_t timeout_ns = mesh_peer_timeout_ns(peer);
    uint64_t delay_ns_max;

    assert(owed->missing);
    if (!peer->unanswered_ns) {
        peer->unanswered_ns = mesh->now_ns;
        peer->unanswered_lost = peer->stats.lost;
        peer->unanswered_naks = 0;
    }
    peer->unanswered_naks++;
    delay_ns_max = timeout_ns > DELAY_NS_MAX ? timeout_ns : DELAY_NS_MAX;
    owed->delay_ns = owed->delay_ns ? owed->delay_ns * 2 : timeout_ns;
    if (owed->delay_ns > delay_ns_max)
        owed->delay_ns = delay_ns_max;
    owed->limit = limit;
    owed->is_due = true;
    owed->is_outstanding = true;
    set_timer(mesh, owed, mesh->now_ns + owed->delay_ns);
    /* A STATUS goes ahead of the NAK, so that the peer can tell what is lost from what is on its way. */
    mesh_pend(mesh, peer, MESH_PENDING_STATUS);
    mesh_pend(mesh, peer, MESH_PENDING_NAK);
}

/* ---- when to ask ---- */

static uint64_t late_ns(const struct mesh_pace *pace)
{
    uint64_t margin_ns = 4 * (uint64_t)pace->deviation_ns, wait_ns;

    if (!pace->mean_ns)
        return LATE_NS_UNKNOWN;
    wait_ns = pace->mean_ns + (margin_ns > LATE_NS_MIN ? margin_ns : LATE_NS_MIN);
    return wait_ns < LATE_NS_MAX ? wait_ns : LATE_NS_MAX;
}

static void expect(struct mesh *mesh, struct mesh_slot *slot, uint16_t rank)
{
    uint64_t at_ns = slot->base_ns + late_ns(mesh_pace_of(mesh, slot, rank));

    set_timer(mesh, &slot->owed[rank], at_ns > mesh->now_ns ? at_ns : mesh->now_ns + LATE_NS_MIN);
}

void mesh_nak_expect(struct mesh *mesh, struct mesh_slot *slot)
{
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
        struct mesh_owed *owed = &slot->owed[rank];

        if (owed->missing && !owed->nak_at_ns)
            expect(mesh, slot, rank);
    }
}

void mesh_nak_opened(struct mesh *mesh, struct mesh_slot *slot)
{
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++)
        if (slot->owed[rank].missing && mesh->peers[rank].early_end >= slot->end)
            set_timer(mesh, &slot->owed[rank], mesh->now_ns);
}

/* What lies before something that has arrived should have arrived: all of earlier gathers, and the lower blocks of the latest. */
void mesh_nak_gap(struct mesh *mesh, struct mesh_peer *peer)
{
    for (uint64_t ordinal = mesh_ordinal_first(mesh); ordinal < mesh->opened; ordinal++) {
        struct mesh_slot *slot = mesh_slot_at(mesh, ordinal);
        struct mesh_owed *owed = &slot->owed[peer->rank];

        if (!slot->is_open || !owed->missing || owed->is_outstanding || slot->end > peer->heard_end)
            continue;
        ask(mesh, slot, peer, slot->end < peer->heard_end ? slot->first[peer->rank + 1] : owed->high);
    }
}

void mesh_nak_arrived(struct mesh *mesh, struct mesh_slot *slot, uint16_t rank, uint32_t blocks, bool is_resend)
{
    struct mesh_owed *owed = &slot->owed[rank];

    mesh->peers[rank].unanswered_ns = 0;
    if (is_resend)
        owed->was_resent = true;
    if (owed->missing == blocks) {
        owed->nak_at_ns = 0;
        owed->is_due = owed->is_outstanding = false;
        return;
    }
    if (!owed->is_outstanding || !is_resend)
        return;
    owed->asked -= blocks < owed->asked ? blocks : owed->asked;
    owed->delay_ns = 0;
    if (owed->asked || owed->is_due) {
        set_timer(mesh, owed, mesh->now_ns + mesh_peer_timeout_ns(&mesh->peers[rank]));
        return;
    }
    owed->is_outstanding = false;
    owed->nak_at_ns = 0;
    if (owed->is_truncated)
        set_timer(mesh, owed, mesh->now_ns); /* the rest of the NAK */
    else if (slot->base_ns)
        expect(mesh, slot, rank);
}

void mesh_nak_tick(struct mesh *mesh)
{
    for (uint64_t ordinal = mesh_ordinal_first(mesh); ordinal < mesh->opened; ordinal++) {
        struct mesh_slot *slot = mesh_slot_at(mesh, ordinal);

        if (!slot->is_open || !slot->missing)
            continue;
        for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
            struct mesh_owed *owed = &slot->owed[rank];

            if (!owed->nak_at_ns)
                continue;
            if (mesh->now_ns < owed->nak_at_ns || mesh->peers[rank].state == MESH_PEER_ASKED)
                mesh_arm(mesh, owed->nak_at_ns > mesh->now_ns ? owed->nak_at_ns : mesh->now_ns + LATE_NS_UNKNOWN);
            else if (mesh->peers[rank].state == MESH_PEER_UP)
                ask(mesh, slot, &mesh->peers[rank], slot->first[rank + 1]);
        }
    }
}

uint64_t mesh_silent_ranks(const struct mesh *mesh, uint64_t now_ns)
{
    /* An overdue endpoint has not been driven: what has come since it was due is unread. */
    const uint64_t seen_ns = mesh->due_ns < now_ns ? mesh->due_ns : now_ns;
    const struct mesh_slot *slot;
    uint64_t silent = 0;

    if (mesh->held == mesh->opened)
        return 0;
    slot = mesh_slot_at((struct mesh *)mesh, mesh->held); /* what this rank waits for: the first gather that lacks something */
    for (uint16_t rank = 0; rank < mesh->config.rank_count && slot->base_ns; rank++) {
        const struct mesh_peer *peer = &mesh->peers[rank];
        const uint64_t since_ns = peer->heard_ns > slot->base_ns ? peer->heard_ns : slot->base_ns;
        uint64_t timeout_ns, answer_ns;

        if (!slot->owed[rank].missing || peer->state != MESH_PEER_UP || since_ns >= seen_ns)
            continue;
        timeout_ns = SILENT_LATENESSES * late_ns(mesh_pace_of((struct mesh *)mesh, slot, rank));
        answer_ns = SILENT_TIMEOUTS * mesh_peer_timeout_ns(peer); /* a full queue on the way delays all that it says as much */
        timeout_ns = timeout_ns > answer_ns ? timeout_ns : answer_ns;
        if (seen_ns - since_ns >= (timeout_ns > SILENT_NS_MIN ? timeout_ns : SILENT_NS_MIN))
            silent |= UINT64_C(1) << rank;
    }
    return silent;
}

/* This rank has asked the peer for what it waits for often enough, and has lost so much of what the peer sent meanwhile that the answers
 * must have been among it. */
static bool gets_no_answers(const struct mesh *mesh, const struct mesh_peer *peer, uint64_t now_ns)
{
    return mesh->held < mesh->opened && mesh_slot_at((struct mesh *)mesh, mesh->held)->owed[peer->rank].missing && peer->unanswered_ns &&
           now_ns >= peer->unanswered_ns + STARVED_NS && peer->unanswered_naks >= STARVED_NAKS &&
           peer->stats.lost >= peer->unanswered_lost + STARVED_LOST;
}

/* The peer asks again and again for the same blocks, though it is sent them each time. */
static bool is_asked_for_the_same(const struct mesh_peer *peer, uint64_t now_ns)
{
    return peer->repeated_ns && now_ns >= peer->repeated_ns + STARVED_NS && peer->repeated_naks >= STARVED_NAKS;
}

/* A large fragment of a record for the peer has been on its way for that long: it was sent again and again. */
static bool has_stuck_record(const struct mesh_peer *peer, uint64_t now_ns)
{
    const struct mesh_channel *channel = &peer->channel;

    return channel->send_first < channel->send_next && now_ns >= channel->waiting_ns + STARVED_NS &&
           channel->sending[channel->send_first % MESH_FRAGMENTS].bytes >= NARROW_BYTES;
}

uint64_t mesh_starved_ranks(const struct mesh *mesh, uint64_t now_ns)
{
    uint64_t ranks = 0;

    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
        const struct mesh_peer *peer = &mesh->peers[rank];

        if (rank != mesh->config.rank && peer->state == MESH_PEER_UP && now_ns < peer->heard_ns + HEARD_NS &&
            (gets_no_answers(mesh, peer, now_ns) || is_asked_for_the_same(peer, now_ns) || has_stuck_record(peer, now_ns)))
            ranks |= UINT64_C(1) << rank;
    }
    return ranks;
}

/* ---- asking ---- */

/* Add a run of missing blocks: to a range that ends in the row above, or as a new one. False when there is no room. */
static bool add_run(struct mesh_message *message, unsigned token, unsigned block_first, unsigned block_count)
{
    struct mesh_range *ranges = message->ranges;
    unsigned count = message->as.nak.range_count;

    for (unsigned i = 0; i < count; i++) {
        if (ranges[i].block_first == block_first && ranges[i].block_count == block_count &&
            (unsigned)ranges[i].token_first + ranges[i].token_count == token) {
            ranges[i].token_count++;
            return true;
        }
    }
    if (count == MESH_NAK_RANGES_MAX)
        return false;
    ranges[count] = (struct mesh_range){(uint16_t)token, 1, (uint16_t)block_first, (uint16_t)block_count};
    message->as.nak.range_count++;
    return true;
}

/* The peer's missing blocks below limit as rectangles, no more than its credit would let it answer with at once.
 * False when that left some out. */
static bool collect(const struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_peer *peer, struct mesh_message *message)
{
    const unsigned limit = slot->owed[peer->rank].limit;
    uint32_t left = mesh->grant_bytes / 4 / slot->gather.block_bytes + 1;

    message->as.nak.range_count = 0;
    for (unsigned token = 0; token < slot->gather.token_count && left; token++) {
        unsigned block = mesh_bits_find(mesh_slot_row(slot, token), slot->first[peer->rank], limit, false);

        while (block < limit && left) {
            unsigned end = mesh_bits_find(mesh_slot_row(slot, token), block, limit, true);
            unsigned blocks = end - block < left ? end - block : left;

            if (!add_run(message, token, block, blocks))
                return false;
            left -= blocks;
            block = mesh_bits_find(mesh_slot_row(slot, token), end, limit, false);
        }
    }
    return left > 0;
}

static uint32_t blocks_in(const struct mesh_message *message)
{
    uint32_t blocks = 0;

    for (unsigned i = 0; i < message->as.nak.range_count; i++)
        blocks += (uint32_t)message->ranges[i].token_count * message->ranges[i].block_count;
    return blocks;
}

static struct mesh_slot *next_due(struct mesh *mesh, const struct mesh_peer *peer)
{
    for (uint64_t ordinal = mesh_ordinal_first(mesh); ordinal < mesh->opened; ordinal++) {
        struct mesh_slot *slot = mesh_slot_at(mesh, ordinal);

        if (slot->is_open && slot->owed[peer->rank].is_due)
            return slot;
    }
    return NULL;
}

bool mesh_nak_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    struct mesh_message *message = &packet->message;
    struct mesh_slot *slot;

    while ((slot = next_due(mesh, peer))) {
        struct mesh_owed *owed = &slot->owed[peer->rank];

        owed->is_due = false;
        owed->is_truncated = !collect(mesh, slot, peer, message);
        if (!message->as.nak.range_count) {
            owed->is_outstanding = false; /* what was asked for has come in the meantime */
            continue;
        }
        owed->asked = blocks_in(message);
        message->header.type = MESH_TYPE_NAK;
        message->as.nak.step = slot->gather.step;
        message->as.nak.phase = slot->gather.phase;
        peer->stats.naks_sent++;
        mesh_write_peer(mesh, peer, packet, true);
        return true;
    }
    peer->pending &= ~(uint32_t)MESH_PENDING_NAK;
    return false;
}

/* ---- answering ---- */

int mesh_nak_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_slot *slot;

    if (message->as.nak.phase >= mesh->config.phase_count)
        return MESH_ERANGE;
    slot = mesh_slot_find((struct mesh *)mesh, mesh_end_of(mesh, message->as.nak.step, message->as.nak.phase));
    if (!slot)
        return 0;
    if (!(slot->readers >> peer->rank & 1))
        return MESH_ESTATE;
    for (unsigned i = 0; i < message->as.nak.range_count; i++)
        if (!mesh_slot_contains(slot, mesh->config.rank, &message->ranges[i]))
            return MESH_ERANGE;
    /* Each range is answered by itself, so one that is named in several variants would be sent as often. */
    return mesh_ranges_are_disjoint(message->ranges, message->as.nak.range_count) ? 0 : MESH_ERANGE;
}

static bool is_published(const struct mesh_slot *slot, const struct mesh_range *range)
{
    unsigned end = (unsigned)range->block_first + range->block_count;

    for (unsigned i = 0; i < range->token_count; i++)
        if (mesh_bits_find(mesh_slot_row(slot, range->token_first + i), range->block_first, end, false) < end)
            return false;
    return true;
}

/* Queue what is published of the range. False when some of it is not. */
static bool resend(struct mesh *mesh, const struct mesh_slot *slot, struct mesh_peer *peer, const struct mesh_range *range)
{
    unsigned end = (unsigned)range->block_first + range->block_count;

    if (is_published(slot, range)) {
        mesh_sender_add_resend(mesh, peer, slot->end, range);
        return true;
    }
    for (unsigned token = range->token_first; token < (unsigned)range->token_first + range->token_count; token++) {
        unsigned first = range->block_first;

        while ((first = mesh_bits_find(mesh_slot_row(slot, token), first, end, true)) < end) {
            unsigned run_end = mesh_bits_find(mesh_slot_row(slot, token), first, end, false);
            struct mesh_range run = {(uint16_t)token, 1, (uint16_t)first, (uint16_t)(run_end - first)};

            mesh_sender_add_resend(mesh, peer, slot->end, &run);
            first = run_end;
        }
    }
    return false;
}

/* What of the range lies above, left of, right of and below a part of it. Returns how many pieces. */
static unsigned around(const struct mesh_range *range, const struct mesh_range *part, struct mesh_range pieces[4])
{
    const uint16_t token_end = (uint16_t)(part->token_first + part->token_count),
                   block_end = (uint16_t)(part->block_first + part->block_count);
    const struct mesh_range all[4] = {
        {range->token_first, (uint16_t)(part->token_first - range->token_first), range->block_first, range->block_count},
        {part->token_first, part->token_count, range->block_first, (uint16_t)(part->block_first - range->block_first)},
        {part->token_first, part->token_count, block_end, (uint16_t)(range->block_first + range->block_count - block_end)},
        {token_end, (uint16_t)(range->token_first + range->token_count - token_end), range->block_first, range->block_count}};
    unsigned count = 0;

    for (unsigned i = 0; i < 4; i++)
        if (all[i].token_count && all[i].block_count)
            pieces[count++] = all[i];
    return count;
}

/* Queue what is published of the range and not on its way. False when some of it is unpublished, or was sent a moment ago.
 *
 * Of the tiles that are late, the first is taken for lost and sent again, the others are not: if all are only late, one datagram is wasted;
 * if they are lost, the peer will have seen the one by the time it asks again, and with that the others are known to be lost, too. So it
 * is an answer, while a NOT_YET would say that nothing is lost. */
static bool answer(struct mesh *mesh, struct mesh_slot *slot, struct mesh_peer *peer, const struct mesh_range *range, bool *has_late)
{
    struct mesh_range part, pieces[4];
    const enum mesh_way way = mesh_flight_find(mesh, slot, peer, range, &part);
    bool is_all = way == MESH_WAY_LATE;
    unsigned count;

    if (way == MESH_WAY_NONE)
        return resend(mesh, slot, peer, range);
    if (way == MESH_WAY_LATE && !*has_late) {
        *has_late = true;
        mesh_sender_add_resend(mesh, peer, slot->end, &part);
    }
    count = around(range, &part, pieces);
    for (unsigned i = 0; i < count; i++)
        is_all &= answer(mesh, slot, peer, &pieces[i], has_late);
    return is_all;
}

/* From now until own blocks of the gather are usually published; 0: unknown. */
static uint64_t expected_ns(struct mesh *mesh, const struct mesh_slot *slot)
{
    const struct mesh_pace *pace = slot ? mesh_pace_of(mesh, slot, mesh->config.rank) : NULL;

    if (!slot || !slot->base_ns || !pace->mean_ns || slot->base_ns + pace->mean_ns <= mesh->now_ns)
        return 0;
    return slot->base_ns + pace->mean_ns - mesh->now_ns;
}

/* A NAK begins with the lowest block that is missing. If that is the same each time, what is sent does not arrive. */
static void note_answered(const struct mesh *mesh, struct mesh_peer *peer, uint64_t end, const struct mesh_range *first)
{
    if (!peer->repeated_ns || peer->repeated.end != end || peer->repeated.range.token_first != first->token_first ||
        peer->repeated.range.block_first != first->block_first) {
        peer->repeated_ns = mesh->now_ns;
        peer->repeated_naks = 0;
        peer->repeated = (struct mesh_resend){end, *first};
    }
    peer->repeated_naks++;
}

void mesh_nak_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    uint64_t end = mesh_end_of(mesh, message->as.nak.step, message->as.nak.phase);
    struct mesh_slot *slot = mesh_slot_find(mesh, end);
    bool is_all = true, has_late = false;

    peer->stats.naks_received++;
    peer->resends_exempt = mesh_credit_exempt_resends(peer);
    if (!slot && end <= mesh->opened_end)
        return; /* it is freed, so the peer has said that it has everything: an old NAK */
    for (unsigned i = 0; slot && i < message->as.nak.range_count; i++)
        is_all &= answer(mesh, slot, peer, &message->ranges[i], &has_late);
    if (slot && is_all) {
        note_answered(mesh, peer, end, &message->ranges[0]);
        mesh_probe_on_nak(mesh, peer);
        mesh_group_on_nak(mesh, peer);
        return;
    }
    peer->not_yet.step = message->as.nak.step;
    peer->not_yet.phase = message->as.nak.phase;
    peer->not_yet.expected_ns = expected_ns(mesh, slot);
    mesh_pend(mesh, peer, MESH_PENDING_NOT_YET);
}

bool mesh_not_yet_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_NOT_YET;
    packet->message.as.not_yet = peer->not_yet;
    peer->stats.not_yet_sent++;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

int mesh_not_yet_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    (void)peer;
    return message->as.not_yet.phase < mesh->config.phase_count ? 0 : MESH_ERANGE;
}

void mesh_not_yet_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    struct mesh_slot *slot = mesh_slot_find(mesh, mesh_end_of(mesh, message->as.not_yet.step, message->as.not_yet.phase));
    uint64_t wait_ns = message->as.not_yet.expected_ns;
    struct mesh_owed *owed;

    peer->stats.not_yet_received++;
    peer->unanswered_ns = 0;
    if (!slot || !slot->owed[peer->rank].missing)
        return;
    owed = &slot->owed[peer->rank];
    /* Without an estimate the delay goes on doubling. */
    if (!wait_ns)
        wait_ns = owed->delay_ns;
    else
        owed->delay_ns = 0;
    if (wait_ns < NOT_YET_NS_MIN)
        wait_ns = NOT_YET_NS_MIN;
    if (wait_ns > NOT_YET_NS_MAX)
        wait_ns = NOT_YET_NS_MAX;
    owed->is_outstanding = owed->is_due = false;
    set_timer(mesh, owed, mesh->now_ns + wait_ns + mesh_peer_timeout_ns(peer));
}
