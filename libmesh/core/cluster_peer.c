/* Peers: the members of the epoch, and joiners. What they said of themselves last, and the numbers of their datagrams.
 *
 * Invariant: cluster->peer_of names the peer of every rank but the own one, and those peers name that rank. */
#include "cluster_parts.h"

#include <assert.h>
#include <string.h>

struct cluster_peer *mesh_cluster_peer_find(struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++)
        if (cluster->peers[i].is_used && memcmp(cluster->peers[i].incarnation, incarnation, 16) == 0)
            return &cluster->peers[i];
    return NULL;
}

struct cluster_peer *mesh_cluster_peer_at(struct mesh_cluster *cluster, unsigned rank)
{
    assert(rank < cluster->epoch.list.count);
    return rank == cluster->epoch.rank ? NULL : &cluster->peers[cluster->peer_of[rank]];
}

struct cluster_peer *mesh_cluster_peer_add(struct mesh_cluster *cluster, const uint8_t incarnation[16], struct mesh_addr addr)
{
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++) {
        struct cluster_peer *peer = &cluster->peers[i];

        if (peer->is_used)
            continue;
        memset(peer, 0, sizeof *peer);
        peer->is_used = true;
        memcpy(peer->incarnation, incarnation, sizeof peer->incarnation);
        peer->addr = addr;
        peer->rank = -1;
        peer->since_ns = peer->heard_ns = cluster->now_ns;
        return peer;
    }
    return NULL;
}

/* ---- numbers ---- */

bool mesh_cluster_peer_has(const struct cluster_peer *peer, uint64_t number)
{
    if (number > peer->highest)
        return false;
    if (peer->highest - number >= CLUSTER_NUMBERS)
        return true; /* too old to tell: as good as seen */
    return peer->numbers[number / 64 % (CLUSTER_NUMBERS / 64)] >> number % 64 & 1;
}

void mesh_cluster_peer_number(struct cluster_peer *peer, uint64_t number)
{
    if (mesh_cluster_peer_has(peer, number))
        return; /* it was noted when the peer came */
    if (number > peer->highest) {
        uint64_t steps = number - peer->highest;

        if (steps >= CLUSTER_NUMBERS)
            memset(peer->numbers, 0, sizeof peer->numbers);
        for (uint64_t i = 1; i < steps && steps < CLUSTER_NUMBERS; i++) {
            uint64_t skipped = peer->highest + i;

            peer->numbers[skipped / 64 % (CLUSTER_NUMBERS / 64)] &= ~(UINT64_C(1) << skipped % 64);
        }
        peer->highest = number;
    }
    peer->numbers[number / 64 % (CLUSTER_NUMBERS / 64)] |= UINT64_C(1) << number % 64;
}

void mesh_cluster_peer_base(struct cluster_peer *peer, uint64_t number)
{
    mesh_cluster_peer_number(peer, number);
    memset(peer->numbers, 0xff, sizeof peer->numbers);
    peer->is_fresh = true;
}

/* ---- what they say ---- */

/* The mesh layer drops what comes from elsewhere, so a member whose address has changed is as good as silent: it has to be lost, and come
 * back with its new address, even if it is still reached at the old one. */
bool mesh_cluster_peer_is_at(const struct cluster_peer *peer, struct mesh_addr addr)
{
    return !mesh_cluster_is_member(peer) || mesh_cluster_same_addr(&peer->addr, &addr);
}

void mesh_cluster_peer_heard(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    if (in->peer && in->is_newest && mesh_cluster_peer_is_at(in->peer, in->from))
        in->peer->heard_ns = cluster->now_ns;
}

uint32_t mesh_cluster_peer_limit(const struct mesh_cluster *cluster)
{
    uint32_t own = cluster->epoch.number;

    if (cluster->joining.is_active && cluster->epoch.list.count <= 1 && cluster->joining.standing.number > own)
        own = cluster->joining.standing.number; /* a process that is alone knows no other */
    return (own > CLUSTER_NUMBER_BELIEVED ? own : CLUSTER_NUMBER_BELIEVED) + CLUSTER_NUMBER_AHEAD;
}

void mesh_cluster_peer_raise(struct mesh_cluster *cluster, uint32_t number)
{
    if (number > cluster->number_floor && number <= mesh_cluster_peer_limit(cluster))
        cluster->number_floor = number;
}

/* The peer is in a newer epoch. Its answer brings that epoch's COMMIT, or says that this process is no part of it. */
static void go_ahead(struct mesh_cluster *cluster, struct cluster_peer *peer)
{
    if (!peer->is_ahead) {
        peer->ahead_ns = cluster->now_ns;
        mesh_cluster_alive_send(cluster, peer->addr, MESH_ALIVE_ASKS, cluster->now_ns);
    }
    peer->is_ahead = true;
    mesh_cluster_arm(cluster, peer->ahead_ns + CLUSTER_AHEAD_NS);
}

void mesh_cluster_peer_state(struct mesh_cluster *cluster, struct cluster_peer *peer, uint64_t in_number, uint32_t number,
                             const uint8_t id[16], bool is_stranger)
{
    const struct cluster_epoch *epoch = &cluster->epoch;

    if (!mesh_cluster_is_member(peer) || in_number <= peer->state_number || peer->liveness == CLUSTER_GONE)
        return;
    peer->state_number = in_number;
    mesh_cluster_peer_raise(cluster, number);
    if (memcmp(id, epoch->id, sizeof epoch->id) == 0)
        peer->is_in = true;
    else if (number > epoch->number && !is_stranger)
        go_ahead(cluster, peer);
    else if (number >= epoch->number)
        peer->liveness = CLUSTER_GONE; /* numbers only grow, so it will not come into this epoch any more */
    else
        peer->is_in = false; /* it is behind, and gets the epoch's COMMIT; or it was when it sent this */
}

uint64_t mesh_cluster_ranks_by_liveness(const struct mesh_cluster *cluster, enum cluster_liveness from, enum cluster_liveness to)
{
    uint64_t ranks = 0;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        if (rank == cluster->epoch.rank)
            continue;
        if (cluster->peers[cluster->peer_of[rank]].liveness >= from && cluster->peers[cluster->peer_of[rank]].liveness <= to)
            ranks |= UINT64_C(1) << rank;
    }
    return ranks;
}
