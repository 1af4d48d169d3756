/* Signs of life: each member asks every other four times a second, unless the mesh layer has just heard it. They name their sender's epoch,
 * so they also tell a member that it is behind, ahead or left out.
 *
 * A stranger is answered, too, with a message as long as its question: so a process that woke up after its epoch was over finds out. */
#include "cluster_parts.h"

#include <assert.h>
#include <string.h>

#define FIRST_PING_NS   (50 * CLUSTER_MS) /* between the first ones, until a member's time of answering is known */
#define COMMIT_APART_NS (3 * CLUSTER_MS)  /* between sending the epoch's list again to one that is behind */

/* An answer that brings back a time at which nobody was asked was for another process. Looks for it in the remembered times. */
static bool was_asked(const struct mesh_cluster *cluster, uint64_t at_ns)
{
    uint64_t low = cluster->asked > CLUSTER_ASKED ? cluster->asked - CLUSTER_ASKED : 0, high = cluster->asked;

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;

        if (cluster->asked_ns[middle % CLUSTER_ASKED] < at_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cluster->asked && cluster->asked_ns[low % CLUSTER_ASKED] == at_ns;
}

static void note_asked(struct mesh_cluster *cluster)
{
    if (!cluster->asked || cluster->asked_ns[(cluster->asked - 1) % CLUSTER_ASKED] != cluster->now_ns)
        cluster->asked_ns[cluster->asked++ % CLUSTER_ASKED] = cluster->now_ns;
}

void mesh_cluster_alive_send(struct mesh_cluster *cluster, struct mesh_addr to, unsigned state, uint64_t origin_ns)
{
    struct mesh_alive *alive = mesh_cluster_enqueue(cluster, to, MESH_TYPE_ALIVE);

    alive->state = (uint16_t)(state | (cluster->is_leaving ? MESH_ALIVE_LEAVING : 0));
    alive->number = cluster->epoch.number;
    memcpy(alive->id, cluster->epoch.id, sizeof alive->id);
    alive->origin_ns = origin_ns;
    alive->speed = cluster->config.speed;
    alive->app_flags = cluster->config.flags;
    if (state & MESH_ALIVE_ASKS) {
        assert(origin_ns == cluster->now_ns);
        note_asked(cluster);
    }
}

static void on_member(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_alive *alive = &in->message->as.alive;
    struct cluster_peer *peer = in->peer;
    bool is_here = memcmp(alive->id, cluster->epoch.id, sizeof alive->id) == 0;
    bool is_at_home = mesh_cluster_peer_is_at(peer, in->from);
    bool answers = is_at_home && alive->state & MESH_ALIVE_ANSWERS && was_asked(cluster, alive->origin_ns);

    mesh_cluster_peer_heard(cluster, in);
    if (answers && !peer->is_fresh && alive->origin_ns >= peer->since_ns)
        mesh_cluster_peer_base(peer, in->number);
    if (in->number > peer->state_number) {
        peer->speed = alive->speed;
        peer->flags = alive->app_flags;
        peer->is_leaving = alive->state & MESH_ALIVE_LEAVING;
    }
    if (answers && alive->origin_ns >= cluster->woke_ns)
        mesh_cluster_response_add(cluster, peer, alive->origin_ns);
    if (in->is_newest && alive->state & MESH_ALIVE_COMMIT && alive->origin_ns == cluster->epoch.number && !is_here &&
        !cluster->epoch.is_seeking)
        peer->liveness = CLUSTER_GONE; /* it has the COMMIT and cannot take it */
    mesh_cluster_peer_state(cluster, peer, in->number, alive->number, alive->id, alive->state & MESH_ALIVE_STRANGER);
    if (answers)
        mesh_cluster_suspect_answered(cluster, peer, alive->origin_ns);
    if (is_here && is_at_home && in->is_newest && peer->liveness == CLUSTER_DEAD && !peer->is_out &&
        !(cluster->plan.stage && cluster->plan.is_urgent))
        peer->liveness = CLUSTER_TRUSTED;
    if (!is_here && !peer->is_in && !peer->is_ahead && peer->liveness != CLUSTER_GONE && !cluster->epoch.is_seeking &&
        cluster->now_ns - peer->commit_ns >= COMMIT_APART_NS) {
        peer->commit_ns = cluster->now_ns;
        peer->commit_due = (uint8_t)mesh_cluster_mask(mesh_cluster_list_parts(&cluster->epoch.list));
    }
}

int mesh_cluster_alive_receive(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_alive *alive = &in->message->as.alive;
    bool is_member = mesh_cluster_is_member(in->peer);
    bool answers = alive->state & MESH_ALIVE_ANSWERS && was_asked(cluster, alive->origin_ns);
    unsigned stranger = is_member ? 0 : MESH_ALIVE_STRANGER;

    if (answers)
        mesh_cluster_vote_heard(cluster, in, alive->origin_ns);
    if (is_member)
        on_member(cluster, in);
    else if (answers && in->peer && in->peer->is_joining && mesh_cluster_same_addr(&in->peer->addr, &in->from))
        mesh_cluster_ballot_answered(cluster, in->peer, alive->origin_ns);
    mesh_cluster_ballot_ack(cluster, in->incarnation, alive->id);
    if (alive->state & MESH_ALIVE_ASKS)
        mesh_cluster_alive_send(cluster, is_member ? in->peer->addr : in->from, MESH_ALIVE_ANSWERS | stranger, alive->origin_ns);
    return 0;
}

void mesh_cluster_alive_ask_all(struct mesh_cluster *cluster)
{
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (peer)
            peer->ping_at_ns = cluster->now_ns;
    }
    mesh_cluster_arm(cluster, cluster->now_ns);
}

void mesh_cluster_alive_tick(struct mesh_cluster *cluster)
{
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);
        uint64_t silent_at_ns;

        if (!peer)
            continue;
        if (cluster->now_ns >= peer->ping_at_ns) {
            uint64_t interval_ns = peer->answers < CLUSTER_ANSWERS ? FIRST_PING_NS : CLUSTER_PING_NS;
            bool is_heard = peer->is_in && peer->mesh_heard_ns && cluster->now_ns - peer->mesh_heard_ns < CLUSTER_PING_NS;

            if (!is_heard || !peer->rtt_ns)
                mesh_cluster_alive_send(cluster, peer->addr, MESH_ALIVE_ASKS, cluster->now_ns);
            peer->ping_at_ns = cluster->now_ns + interval_ns - mesh_cluster_draw_below(cluster, interval_ns / 8);
        }
        if (peer->is_ahead && peer->liveness < CLUSTER_DEAD && cluster->now_ns - peer->ahead_ns >= CLUSTER_AHEAD_NS)
            peer->liveness = CLUSTER_GONE;
        silent_at_ns = (peer->heard_ns > peer->confirmed_ns ? peer->heard_ns : peer->confirmed_ns) + CLUSTER_SILENT_NS;
        if (peer->liveness == CLUSTER_TRUSTED && cluster->now_ns >= silent_at_ns) {
            peer->liveness = CLUSTER_SUSPECTED;
            silent_at_ns = cluster->now_ns + CLUSTER_SILENT_NS;
        }
        mesh_cluster_arm(cluster, peer->ping_at_ns);
        if (peer->liveness == CLUSTER_TRUSTED)
            mesh_cluster_arm(cluster, silent_at_ns);
        if (peer->is_ahead && peer->liveness < CLUSTER_DEAD)
            mesh_cluster_arm(cluster, peer->ahead_ns + CLUSTER_AHEAD_NS);
    }
}
