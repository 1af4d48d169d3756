/* Path MTU: the size of datagrams that a path has been proved to carry.
 *
 * It starts at 1200 and is raised when a padded probe has been acknowledged. Resends are always cut to 1200, so a path that stops carrying
 * large datagrams still heals; when resends are asked for gather after gather, the size falls back and is proved anew.
 *
 * A probe that is too large is a number that never arrives, and counts as a loss at its receiver. So sizes that this machine cannot even
 * send are not tried, and sizes that the path does not carry are tried ever less often. The sender knows how many probes were not answered,
 * so it takes them off the losses that the peer reports: else it would send copies because of losses that no data has. Only credit counts
 * them, since beside a long round trip a queue may have lost them, and what it takes away it gives back within some round trips. */
#include "core.h"

#define AGAIN_NS     UINT64_C(2000000000) /* after giving up or falling back, then twice as long */
#define AGAIN_NS_MAX UINT64_C(600000000000)

enum { TRIES = 3, TRY_NS = 20000000, NAKS_IN_A_ROW_MAX = 8 };

static const uint16_t sizes[] = {1452, 8952, 32000}; /* Ethernet with IPv6, jumbo frames, loopback */

static uint32_t next_size(const struct mesh *mesh, const struct mesh_peer *peer)
{
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] > peer->stats.datagram_bytes && sizes[i] <= mesh->config.datagram_bytes_max && sizes[i] <= peer->datagram_bytes_max &&
            sizes[i] <= mesh_credit_datagram_max(peer->window_bytes) && (!peer->path_bytes || sizes[i] <= peer->path_bytes))
            return sizes[i];
    return 0;
}

void mesh_probe_start(struct mesh *mesh, struct mesh_peer *peer)
{
    peer->probe_bytes = next_size(mesh, peer);
    peer->probe_tries = 0;
    peer->probes_open[0] = 0;
    peer->probe_at_ns = mesh->now_ns;
    peer->probe_again_ns = AGAIN_NS;
    if (peer->probe_bytes)
        mesh_arm(mesh, peer->probe_at_ns);
}

void mesh_probe_tick(struct mesh *mesh, struct mesh_peer *peer)
{
    if (!peer->probe_bytes)
        return;
    if (mesh->now_ns >= peer->probe_at_ns) {
        if (peer->probe_tries == 0)
            peer->probes_open[0] = 0;
        if (peer->probe_tries++ < TRIES) {
            mesh_pend(mesh, peer, MESH_PENDING_PROBE);
            peer->probe_at_ns = mesh->now_ns + TRY_NS;
        } else {
            peer->probe_tries = 0;
            peer->probe_at_ns = mesh->now_ns + peer->probe_again_ns;
            peer->probe_again_ns = 2 * peer->probe_again_ns < AGAIN_NS_MAX ? 2 * peer->probe_again_ns : AGAIN_NS_MAX;
        }
    }
    mesh_arm(mesh, peer->probe_at_ns);
}

bool mesh_probe_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    if (!peer->probe_bytes)
        return false;
    packet->message.header.type = MESH_TYPE_PROBE;
    packet->message.as.probe.bytes = peer->probe_bytes;
    peer->probes_open[0]++;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

bool mesh_probe_ack_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_PROBE_ACK;
    packet->message.as.probe_ack.bytes = peer->probe_ack_bytes;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

void mesh_probe_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    peer->probe_ack_bytes = message->as.probe.bytes;
    mesh_pend(mesh, peer, MESH_PENDING_PROBE_ACK);
}

void mesh_probe_ack_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    if (message->as.probe_ack.bytes == MESH_DATAGRAM_BYTES_MIN)
        mesh_group_probe_acked(mesh, peer);
    if (!peer->probe_bytes || message->as.probe_ack.bytes != peer->probe_bytes)
        return;
    peer->stats.datagram_bytes = peer->probe_bytes;
    mesh_probe_start(mesh, peer);
}

/* The peer says how many numbers were lost, not which: what is lost while probes are open is charged to them first. A loss of another kind
 * that is reported before a probe's is made up for by that one. */
uint64_t mesh_probe_other_losses(struct mesh_peer *peer, uint64_t lost)
{
    uint64_t more = lost > peer->queue_lost ? lost - peer->queue_lost : 0;

    for (unsigned to_group = 0; to_group < 2; to_group++)
        while (peer->probes_open[to_group] > 0 && more > 0) {
            peer->probes_open[to_group]--;
            peer->stats.probes_lost++;
            more--;
        }
    return lost > peer->stats.probes_lost ? lost - peer->stats.probes_lost : 0; /* fewer: what seemed lost was late */
}

void mesh_probe_on_nak(struct mesh *mesh, struct mesh_peer *peer)
{
    peer->is_repairing = true;
    if (peer->stats.datagram_bytes == MESH_DATAGRAM_BYTES_MIN || ++peer->naks_in_a_row < NAKS_IN_A_ROW_MAX)
        return;
    peer->naks_in_a_row = 0;
    peer->stats.datagram_bytes = MESH_DATAGRAM_BYTES_MIN;
    peer->probe_bytes = next_size(mesh, peer);
    peer->probe_tries = 0;
    peer->probe_at_ns = mesh->now_ns + AGAIN_NS;
    peer->probe_again_ns = AGAIN_NS;
    mesh_arm(mesh, peer->probe_at_ns);
}

void mesh_probe_on_progress(struct mesh_peer *peer)
{
    if (!peer->is_repairing)
        peer->naks_in_a_row = 0;
    peer->is_repairing = false;
    peer->repeated_ns = 0;
}
