/* Credit: how much may be in flight to a peer, so that bursts never overflow its socket buffer.
 *
 * The kernel charges a datagram to the receive buffer by the memory it occupies (skb->truesize), not by its length: the data with 448 bytes
 * of headroom and shared info is rounded up to a power of two by the allocator, and the skb itself takes 256. A receiver divides its buffer
 * by that account among its peers. In flight is what was sent beyond the highest numbers that the peer is known to have seen: lower numbers
 * are no longer in the buffer, whether they came or were lost. Small control messages and the first datagrams of an answer to a NAK are
 * exempt and live in a reserve of an eighth of the buffer; so an exhausted credit can never keep lost data from being repaired, and repair
 * releases credit.
 *
 * Queues on the way may have room for less. What is lost while round trips are longer than the path is lost there, so less is sent at once
 * then; what is lost beside short round trips says nothing of queues. */
#include "core.h"

#include <assert.h>

enum {
    SKB_OVERHEAD_BYTES = 448,
    SKB_BYTES = 256,
    WINDOW_BYTES_MIN = 2 * (2048 + SKB_BYTES), /* two datagrams of 1200 bytes, however many peers there are */
    IDLE_NS = 1000000,
    QUEUE_NS = 2000000
};

uint32_t mesh_credit_cost(size_t datagram_bytes)
{
    uint32_t cost = 512;

    assert(datagram_bytes <= UINT16_MAX);
    while (cost < datagram_bytes + SKB_OVERHEAD_BYTES)
        cost *= 2;
    return cost + SKB_BYTES;
}

uint32_t mesh_credit_grant(const struct mesh_config *config)
{
    uint64_t peers = config->rank_count > 1 ? config->rank_count - 1u : 1;
    uint64_t window = (config->receive_buffer_bytes - config->receive_buffer_bytes / 8) / peers;

    if (window < WINDOW_BYTES_MIN)
        return WINDOW_BYTES_MIN;
    return window < INT32_MAX ? (uint32_t)window : INT32_MAX;
}

/* Of the reserve, which is a seventh of the window, half is for resends. */
uint32_t mesh_credit_exempt_resends(const struct mesh_peer *peer)
{
    const uint32_t datagrams = peer->window_bytes / 14 / mesh_credit_cost(MESH_DATAGRAM_BYTES_MIN);

    return datagrams > 0 ? datagrams : 1;
}

uint32_t mesh_credit_datagram_max(uint32_t window_bytes)
{
    uint32_t cost = 2048;

    while (cost * 2 + SKB_BYTES <= window_bytes / 4 && cost < 65536)
        cost *= 2;
    return cost - SKB_OVERHEAD_BYTES;
}

static uint64_t beyond(const uint64_t *log, uint64_t sent, uint64_t number, uint64_t reported)
{
    if (number - reported >= MESH_SENT_LOG)
        return UINT32_MAX; /* the log is too short to tell: wait for a report */
    return sent - log[reported % MESH_SENT_LOG];
}

uint64_t mesh_credit_in_flight(const struct mesh *mesh, const struct mesh_peer *peer)
{
    return beyond(peer->cost_log, peer->cost_sent, peer->number, peer->reported[0]) +
           beyond(mesh->cost_log_all, mesh->cost_sent_all, mesh->number_all, peer->reported[1]);
}

bool mesh_credit_allows(struct mesh *mesh, struct mesh_peer *peer, size_t datagram_bytes)
{
    uint64_t in_flight = mesh_credit_in_flight(mesh, peer);
    uint32_t bytes = peer->queue_bytes && peer->queue_bytes < peer->window_bytes ? peer->queue_bytes : peer->window_bytes;
    bool is_allowed = !in_flight || in_flight + mesh_credit_cost(datagram_bytes) <= bytes;

    if (!is_allowed && !peer->waits)
        peer->stats.credit_waits++;
    peer->waits = !is_allowed;
    return is_allowed;
}

void mesh_credit_spend(struct mesh *mesh, struct mesh_peer *peer, uint32_t cost)
{
    peer->cost_sent += cost;
    peer->cost_log[peer->number % MESH_SENT_LOG] = peer->cost_sent;
    if (cost)
        mesh_solicit_sent(mesh);
}

void mesh_credit_spend_all(struct mesh *mesh, uint32_t cost)
{
    mesh->cost_sent_all += cost;
    mesh->cost_log_all[mesh->number_all % MESH_SENT_LOG] = mesh->cost_sent_all;
    if (cost)
        mesh_solicit_sent(mesh);
}

void mesh_credit_consume(struct mesh *mesh, struct mesh_peer *peer, size_t datagram_bytes)
{
    peer->consumed_bytes += mesh_credit_cost(datagram_bytes);
    if (peer->consumed_bytes > mesh->grant_bytes / 4)
        mesh_pend(mesh, peer, MESH_PENDING_STATUS);
}

int mesh_credit_check(const struct mesh *mesh, const struct mesh_peer *peer, uint64_t seen_all, uint64_t seen_peer)
{
    return seen_all <= mesh->number_all && seen_peer <= peer->number ? 0 : MESH_ERANGE;
}

void mesh_credit_report(struct mesh *mesh, struct mesh_peer *peer, uint64_t seen_all, uint64_t seen_peer)
{
    assert(mesh_credit_check(mesh, peer, seen_all, seen_peer) == 0);
    if (seen_peer > peer->reported[0])
        peer->reported[0] = seen_peer;
    if (seen_all > peer->reported[1])
        peer->reported[1] = seen_all;
    if (peer->resend_count > 0)
        mesh_pend(mesh, peer, MESH_PENDING_RESEND);
}

/* Additive increase, multiplicative decrease (D.-M. Chiu and R. Jain), once per round trip. Not below what the peer reports at once. */
void mesh_credit_lost(struct mesh *mesh, struct mesh_peer *peer, uint64_t lost)
{
    const uint32_t datagram = mesh_credit_cost(MESH_DATAGRAM_BYTES_MIN), least = peer->window_bytes / 4 + 2 * datagram;
    const bool is_full = lost > peer->queue_lost && peer->rtt_ns >= peer->stats.rtt_ns_min + QUEUE_NS;
    uint32_t bytes = peer->queue_bytes ? peer->queue_bytes : peer->window_bytes;

    peer->queue_lost = lost;
    if (mesh->now_ns < peer->queue_at_ns || (!is_full && !peer->queue_bytes))
        return;
    bytes = !is_full ? bytes + datagram : bytes / 2 > least ? bytes / 2 : least;
    peer->queue_bytes = bytes < peer->window_bytes ? bytes : 0;
    peer->queue_at_ns = mesh->now_ns + peer->rtt_ns;
}

/* ---- STATUS ---- */

int mesh_status_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    return mesh_credit_check(mesh, peer, message->as.status.seen_all, message->as.status.seen_peer);
}

void mesh_status_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_status *status = &message->as.status;
    const uint64_t lost = mesh_probe_other_losses(peer, status->lost);

    mesh_credit_report(mesh, peer, status->seen_all, status->seen_peer);
    mesh_group_seen(mesh, peer, status->seen_all);
    peer->window_bytes = status->window_bytes;
    mesh_credit_lost(mesh, peer, status->lost);
    mesh_copy_report(mesh, peer, status->seen_all + status->seen_peer, lost);
}

bool mesh_status_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    struct mesh_status *status = &packet->message.as.status;

    status->seen_all = peer->seen[1].highest;
    status->seen_peer = peer->seen[0].highest;
    status->window_bytes = mesh->grant_bytes;
    status->lost = peer->stats.lost;
    peer->consumed_bytes = 0;
    packet->message.header.type = MESH_TYPE_STATUS;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

static bool must_be_told(const struct mesh *mesh, const struct mesh_peer *peer)
{
    return peer->state == MESH_PEER_UP && peer->announced_through < mesh->through;
}

/* Usually the next tile tells it. A rank without rows sends a STATUS after two gathers, so that no rank ahead has to wait. */
void mesh_status_advanced(struct mesh *mesh)
{
    uint64_t before = mesh->held >= 2 ? mesh->ends[(mesh->held - 2) % (2 * MESH_GATHERS_OPEN_MAX)] : 0;

    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++) {
        struct mesh_peer *peer = &mesh->peers[rank];

        if (must_be_told(mesh, peer) && peer->announced_through < before)
            mesh_pend(mesh, peer, MESH_PENDING_STATUS);
    }
    mesh->status_at_ns = mesh->now_ns + IDLE_NS;
    mesh_arm(mesh, mesh->status_at_ns);
}

void mesh_status_tick(struct mesh *mesh)
{
    if (!mesh->status_at_ns)
        return;
    if (mesh->now_ns < mesh->status_at_ns) {
        mesh_arm(mesh, mesh->status_at_ns);
        return;
    }
    mesh->status_at_ns = 0;
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++)
        if (must_be_told(mesh, &mesh->peers[rank]))
            mesh_pend(mesh, &mesh->peers[rank], MESH_PENDING_STATUS);
}
