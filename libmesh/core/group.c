/* Sending to a multicast group: who hears it, so that a datagram for all ranks need be sent only once.
 *
 * Datagrams to everybody have numbers of a space of their own and one seal (core.h), so they are the same by whichever path they come, and
 * what is lost is asked for and resent to one peer as ever. A PROBE of the smallest size, sent only to the group, finds out which ranks
 * hear it: those that answer. A peer that asks for resends again and again, and meanwhile has seen nothing more of what goes to everybody,
 * is sent to alone again, and tried anew later, ever less often; so is a peer that has never answered. One probe asks all missing peers, so
 * they share the wait: however many cease to hear at once, it grows once. For a peer that does not hear, a probe is a number that never
 * arrives. */
#include "tap.h"

#include <assert.h>

#define AGAIN_NS     UINT64_C(2000000000) /* after giving up or falling back, then twice as long, until all have heard for as long */
#define AGAIN_NS_MAX UINT64_C(600000000000)

enum { SETTLE_NS = 10000000, TRIES = 2, TRY_NS = 20000000, NAKS_MAX = 4 };

void mesh_set_group(struct mesh *mesh, uint32_t datagram_bytes)
{
    assert(!mesh->group_bytes && datagram_bytes >= MESH_DATAGRAM_BYTES_MIN);
    mesh->group_bytes = datagram_bytes;
    mesh->group_again_ns = AGAIN_NS;
    if (mesh_is_tapped(mesh))
        mesh_tap_group(mesh, datagram_bytes);
}

static uint64_t bit(const struct mesh_peer *peer)
{
    return UINT64_C(1) << peer->rank;
}

static void try_at(struct mesh *mesh, uint64_t at_ns)
{
    mesh->group_tries = 0;
    mesh->group_at_ns = at_ns;
    mesh_arm(mesh, at_ns);
}

static uint64_t later_ns(struct mesh *mesh)
{
    const uint64_t at_ns = mesh->now_ns + mesh->group_again_ns;

    mesh->group_again_ns = 2 * mesh->group_again_ns < AGAIN_NS_MAX ? 2 * mesh->group_again_ns : AGAIN_NS_MAX;
    return at_ns;
}

void mesh_group_peer_up(struct mesh *mesh)
{
    if (mesh->group_bytes)
        try_at(mesh, mesh->now_ns + SETTLE_NS);
}

static uint64_t peers_up(const struct mesh *mesh)
{
    uint64_t up = 0;

    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1) {
        const struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->state == MESH_PEER_UP)
            up |= bit(peer);
    }
    return up;
}

/* Before all are up, a datagram to everybody is a number that somebody misses. */
static bool all_are_up(const struct mesh *mesh)
{
    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1) {
        const struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->state != MESH_PEER_UP && peer->state != MESH_PEER_GONE)
            return false;
    }
    return true;
}

static bool is_several(uint64_t ranks)
{
    return ranks & (ranks - 1);
}

void mesh_group_tick(struct mesh *mesh)
{
    uint64_t up;

    if (!mesh->group_at_ns)
        return;
    if (mesh->now_ns < mesh->group_at_ns) {
        mesh_arm(mesh, mesh->group_at_ns);
        return;
    }
    up = peers_up(mesh);
    mesh->group_at_ns = 0;
    if (!all_are_up(mesh) || !is_several(up))
        return;
    if (!(up & ~mesh->group_hears)) {
        mesh->group_whole_ns = mesh->now_ns;
        return;
    }
    if (mesh->group_tries < TRIES) {
        for (uint64_t ranks = mesh->group_tries == 0 ? up : 0; ranks; ranks &= ranks - 1)
            mesh->peers[__builtin_ctzll(ranks)].probes_open[1] = 0;
        mesh->group_tries++;
        mesh->group_is_due = true;
        mesh->group_at_ns = mesh->now_ns + TRY_NS;
        mesh_arm(mesh, mesh->group_at_ns);
    } else {
        try_at(mesh, later_ns(mesh));
    }
}

uint64_t mesh_group_probe_write(struct mesh *mesh, struct mesh_packet *packet)
{
    uint64_t announced[MESH_RANKS_MAX];
    const uint64_t unheard = mesh->others & ~mesh->group_hears; /* these may not hear it */

    for (uint64_t ranks = unheard; ranks; ranks &= ranks - 1)
        announced[__builtin_ctzll(ranks)] = mesh->peers[__builtin_ctzll(ranks)].announced_through;
    mesh->group_is_due = false;
    packet->message.header.type = MESH_TYPE_PROBE;
    packet->message.header.flags = 0;
    packet->message.as.probe.bytes = MESH_DATAGRAM_BYTES_MIN; /* no other probe has this size, nor its answer */
    mesh_write_all(mesh, packet, true);
    for (uint64_t ranks = unheard; ranks; ranks &= ranks - 1) {
        mesh->peers[__builtin_ctzll(ranks)].announced_through = announced[__builtin_ctzll(ranks)];
        mesh->peers[__builtin_ctzll(ranks)].probes_open[1]++;
    }
    return mesh->others;
}

void mesh_group_probe_acked(struct mesh *mesh, struct mesh_peer *peer)
{
    if (!mesh->group_bytes)
        return;
    mesh->group_hears |= bit(peer);
    peer->group_naks = 0;
    peer->probes_open[1] = 0;
}

uint64_t mesh_group_of(const struct mesh *mesh, uint64_t ranks, size_t datagram_bytes)
{
    const uint64_t hear = ranks & mesh->group_hears;

    return is_several(hear) && datagram_bytes <= mesh->group_bytes ? hear : 0;
}

void mesh_group_sent(struct mesh *mesh, uint64_t ranks, size_t bytes)
{
    ranks &= peers_up(mesh);
    for (ranks &= ranks - 1; ranks; ranks &= ranks - 1) { /* all but the first */
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        peer->stats.shared_sent++;
        peer->stats.shared_bytes_sent += bytes;
    }
}

void mesh_group_on_nak(struct mesh *mesh, struct mesh_peer *peer)
{
    if (!(mesh->group_hears & bit(peer)))
        return;
    if (++peer->group_naks < NAKS_MAX)
        return;
    peer->group_naks = 0;
    mesh->group_hears &= ~bit(peer);
    if (mesh->group_at_ns)
        return; /* with the other missing peers */
    if (mesh->now_ns - mesh->group_whole_ns >= mesh->group_again_ns)
        mesh->group_again_ns = AGAIN_NS;
    try_at(mesh, later_ns(mesh));
}

/* A ping to everybody goes to each alone, so it is no evidence. */
void mesh_group_seen(const struct mesh *mesh, struct mesh_peer *peer, uint64_t seen_all)
{
    if (seen_all <= peer->group_seen)
        return;
    peer->group_seen = seen_all;
    if (seen_all != mesh->ping_all_number)
        peer->group_naks = 0;
}
