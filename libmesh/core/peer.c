/* RTT and clock offset of a peer, and the pings that measure them.
 *
 * Pings go out every FIRST_PING_NS at first, and every PING_NS later. One also goes out when the peer has not reported for a while that it
 * has seen what was sent to it: the ping has a later number in the same space, so the peer notices if earlier ones were lost, and its
 * answer is a report. Without that both sides could wait for ever if the last datagram, or the last report, got lost. */
#include "core.h"

enum {
    FIRST_PINGS = 8,
    FIRST_PING_NS = 2000000,
    PING_NS = 200000000,
    SOLICIT_NS = 5000000, /* without a report, until one is asked for; doubled each time in a row */
    SOLICIT_NS_MAX = 80000000,
    TIMEOUT_NS_MIN = 500000,      /* of mesh_peer_timeout_ns */
    FLIGHT_NS_MIN = 100000,       /* of mesh_peer_flight_ns */
    TIMEOUT_NS_UNKNOWN = 2000000, /* before the RTT is known */
    TIMEOUT_NS_MAX = 1000000000
};

void mesh_peer_up(struct mesh *mesh, struct mesh_peer *peer)
{
    peer->ping_at_ns = mesh->now_ns;
    mesh_arm(mesh, mesh->now_ns);
    mesh_probe_start(mesh, peer);
    mesh_group_peer_up(mesh);
    if (peer->channel.send_next != peer->channel.send_end)
        mesh_pend(mesh, peer, MESH_PENDING_RECORD);
}

void mesh_peer_tick(struct mesh *mesh, struct mesh_peer *peer)
{
    if (mesh->now_ns >= peer->ping_at_ns) {
        mesh_pend(mesh, peer, MESH_PENDING_PING);
        peer->ping_at_ns = mesh->now_ns + (++peer->ping_count < FIRST_PINGS ? FIRST_PING_NS : PING_NS);
    }
    mesh_arm(mesh, peer->ping_at_ns);
}

bool mesh_ping_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_PING;
    packet->message.as.ping.origin_ns = mesh->now_ns;
    peer->ping_origin_ns = mesh->now_ns;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

void mesh_ping_all_write(struct mesh *mesh, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_PING;
    packet->message.header.flags = 0;
    packet->message.as.ping.origin_ns = mesh->now_ns;
    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1)
        mesh->peers[__builtin_ctzll(ranks)].ping_origin_ns = mesh->now_ns;
    mesh_write_all(mesh, packet, true);
    mesh->ping_all_number = mesh->number_all;
}

void mesh_ping_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    peer->pong_origin_ns = message->as.ping.origin_ns;
    peer->pong_received_ns = mesh->now_ns;
    mesh_pend(mesh, peer, MESH_PENDING_PONG);
}

bool mesh_pong_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    struct mesh_pong *pong = &packet->message.as.pong;

    packet->message.header.type = MESH_TYPE_PONG;
    pong->origin_ns = peer->pong_origin_ns;
    pong->received_ns = peer->pong_received_ns;
    pong->seen_all = peer->seen[1].highest;
    pong->seen_peer = peer->seen[0].highest;
    pong->window_bytes = mesh->grant_bytes;
    pong->lost = peer->stats.lost;
    peer->consumed_bytes = 0;
    peer->pending &= ~(uint32_t)MESH_PENDING_STATUS;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

int mesh_pong_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_pong *pong = &message->as.pong;

    if (pong->origin_ns > mesh->now_ns || message->header.sent_ns < pong->received_ns)
        return MESH_ERANGE;
    return mesh_credit_check(mesh, peer, pong->seen_all, pong->seen_peer);
}

/* RTT after V. Jacobson. */
static void measure(struct mesh *mesh, struct mesh_peer *peer, uint64_t rtt_ns, int64_t offset_ns)
{
    uint64_t error = rtt_ns > peer->rtt_ns ? rtt_ns - peer->rtt_ns : peer->rtt_ns - rtt_ns;

    mesh_peer_clock_take(&peer->clock, mesh->now_ns, rtt_ns, offset_ns);
    if (!peer->rtt_ns) {
        peer->rtt_ns = rtt_ns;
        peer->rtt_deviation_ns = rtt_ns / 2;
    } else {
        peer->rtt_ns = (7 * peer->rtt_ns + rtt_ns) / 8;
        peer->rtt_deviation_ns = (3 * peer->rtt_deviation_ns + error) / 4;
    }
    mesh_histogram_add(&peer->round_trip, rtt_ns);
    if (!peer->stats.rtt_ns_min || rtt_ns < peer->stats.rtt_ns_min)
        peer->stats.rtt_ns_min = rtt_ns;
}

void mesh_pong_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_pong *pong = &message->as.pong;
    const uint64_t lost = mesh_probe_other_losses(peer, pong->lost);
    uint64_t round_ns = mesh->now_ns - pong->origin_ns, held_ns = message->header.sent_ns - pong->received_ns;

    mesh_credit_report(mesh, peer, pong->seen_all, pong->seen_peer);
    mesh_group_seen(mesh, peer, pong->seen_all);
    peer->window_bytes = pong->window_bytes;
    mesh_credit_lost(mesh, peer, pong->lost);
    mesh_copy_report(mesh, peer, pong->seen_all + pong->seen_peer, lost);
    if (pong->origin_ns > peer->ping_origin_ns || pong->origin_ns <= peer->ping_answered_ns || held_ns > round_ns)
        return; /* a duplicate, or overtaken by the answer to a later ping */
    /* The answer need not be to the last ping: on a path slower than the pings are apart, none ever would be. */
    peer->ping_answered_ns = pong->origin_ns;
    /* Half of each before the sum: the peer's clock may be as far away as its 64 bits allow. */
    measure(mesh, peer, round_ns - held_ns ? round_ns - held_ns : 1,
            (int64_t)(pong->received_ns - pong->origin_ns) / 2 + (int64_t)(message->header.sent_ns - mesh->now_ns) / 2);
}

/* RTT plus four deviations, but at least least_ns. */
static uint64_t timeout_of(const struct mesh_peer *peer, uint64_t least_ns)
{
    uint64_t timeout_ns = peer->rtt_ns ? peer->rtt_ns + 4 * peer->rtt_deviation_ns : TIMEOUT_NS_UNKNOWN;

    if (timeout_ns < least_ns)
        return least_ns;
    return timeout_ns < TIMEOUT_NS_MAX ? timeout_ns : TIMEOUT_NS_MAX;
}

/* How long an answer may take before it is asked for again. */
uint64_t mesh_peer_timeout_ns(const struct mesh_peer *peer)
{
    return timeout_of(peer, TIMEOUT_NS_MIN);
}

/* How long after it was sent a tile may still be on its way when the peer's NAK for it comes. The NAK has been under way, too, so this is a
 * whole RTT; without mesh_peer_timeout_ns's floor, or each last tile that is lost would cost that floor. */
uint64_t mesh_peer_flight_ns(const struct mesh_peer *peer)
{
    return timeout_of(peer, FLIGHT_NS_MIN);
}

void mesh_goodbye_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    struct mesh_event event = {.type = MESH_EVENT_GONE, .rank = peer->rank};

    (void)message;
    peer->state = MESH_PEER_GONE;
    peer->pending = 0;
    mesh_event_push(mesh, &event);
    mesh_gather_release(mesh);
}

/* ---- soliciting reports ---- */

void mesh_solicit_sent(struct mesh *mesh)
{
    if (mesh->solicit_at_ns)
        return;
    mesh->solicit_delay_ns = SOLICIT_NS;
    mesh->solicit_at_ns = mesh->now_ns + SOLICIT_NS;
    mesh_arm(mesh, mesh->solicit_at_ns);
}

void mesh_solicit_tick(struct mesh *mesh)
{
    bool is_owed = false;

    if (!mesh->solicit_at_ns)
        return;
    if (mesh->now_ns < mesh->solicit_at_ns) {
        mesh_arm(mesh, mesh->solicit_at_ns);
        return;
    }
    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->state != MESH_PEER_UP || !mesh_credit_in_flight(mesh, peer))
            continue;
        is_owed = true;
        if (peer->reported[1] < mesh->number_all)
            mesh->ping_all = true;
        else
            mesh_pend(mesh, peer, MESH_PENDING_PING);
    }
    mesh->solicit_at_ns = 0;
    if (!is_owed)
        return;
    mesh->solicit_delay_ns = mesh->solicit_delay_ns * 2 < SOLICIT_NS_MAX ? mesh->solicit_delay_ns * 2 : SOLICIT_NS_MAX;
    mesh->solicit_at_ns = mesh->now_ns + mesh->solicit_delay_ns;
    mesh_arm(mesh, mesh->solicit_at_ns);
}
