/* The current epoch: installing the next one, being without one, and how two clusters compare.
 *
 * Invariant: epoch.number never falls, and an epoch is installed only with a higher number than the last. */
#include "cluster_parts.h"

#include <assert.h>
#include <string.h>

#define SETTLE_NS      (500 * CLUSTER_MS)
#define PING_SPREAD_NS (50 * CLUSTER_MS) /* first signs of life in a new epoch */

/* ---- two clusters ---- */

void mesh_cluster_standing(const struct mesh_cluster *cluster, struct cluster_standing *standing)
{
    const struct cluster_epoch *epoch = &cluster->epoch;
    const uint64_t lost = mesh_cluster_ranks_by_liveness(cluster, CLUSTER_DEAD, CLUSTER_GONE);

    /* Whoever has lost its members draws no others away from a cluster that has its own. */
    standing->members = (uint16_t)(epoch->list.count - mesh_cluster_count(lost));
    standing->number = epoch->number;
    memcpy(standing->first, epoch->list.members[0].incarnation, sizeof standing->first);
    memcpy(standing->id, epoch->id, sizeof standing->id);
}

bool mesh_cluster_is_better(const struct cluster_standing *a, const struct cluster_standing *b)
{
    if (a->members != b->members)
        return a->members > b->members;
    if (a->number != b->number)
        return a->number > b->number;
    return memcmp(a->first, b->first, sizeof a->first) < 0;
}

uint16_t mesh_cluster_lowest_trusted(const struct mesh_cluster *cluster)
{
    for (uint16_t rank = 0; rank < cluster->epoch.rank; rank++)
        if (cluster->peers[cluster->peer_of[rank]].liveness == CLUSTER_TRUSTED)
            return rank;
    return cluster->epoch.rank;
}

/* ---- peers of an epoch ---- */

/* Members of the old epoch that are not in the new one are looked for, unless they were leaving. */
static void lose(struct mesh_cluster *cluster, const struct cluster_peer *peer)
{
    struct cluster_logged logged = {
        .type = MESH_CLUSTER_PEER_LOST, .rank = (uint16_t)peer->rank, .has_left = peer->is_leaving, .addr = peer->addr};

    memcpy(logged.incarnation, peer->incarnation, sizeof logged.incarnation);
    logged.unheard = mesh_cluster_admission_starved_by(cluster, peer);
    mesh_cluster_log(cluster, &logged);
    if (peer->is_leaving)
        return;
    mesh_cluster_contact_lost(cluster, &peer->addr);
    if (!cluster->epoch.is_seeking)
        mesh_cluster_response_lost(cluster, peer);
}

static void drop_others(struct mesh_cluster *cluster, const struct cluster_list *list)
{
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++) {
        struct cluster_peer *peer = &cluster->peers[i];

        if (!peer->is_used || mesh_cluster_list_find(list, peer->incarnation) >= 0)
            continue;
        if (peer->rank >= 0)
            lose(cluster, peer);
        peer->rank = -1;
        peer->liveness = CLUSTER_TRUSTED;
        peer->is_used = peer->is_joining;
    }
}

static void take_in(struct mesh_cluster *cluster, const struct mesh_cluster_member *member, unsigned rank)
{
    struct cluster_peer *peer = mesh_cluster_peer_find(cluster, member->incarnation);
    struct cluster_logged logged = {.type = MESH_CLUSTER_PEER_BACK, .rank = (uint16_t)rank, .addr = member->addr};
    bool is_new = !mesh_cluster_is_member(peer);

    if (!peer)
        peer = mesh_cluster_peer_add(cluster, member->incarnation, member->addr);
    assert(peer);
    peer->addr = member->addr;
    peer->rank = (int16_t)rank;
    peer->is_in = peer->is_out = peer->is_leaving = peer->is_ahead = peer->is_joining = peer->needs_check = false;
    peer->speed = member->speed;
    peer->flags = member->flags;
    peer->heard_ns = cluster->now_ns;
    peer->ping_at_ns = cluster->now_ns + (peer->rtt_ns ? mesh_cluster_draw_below(cluster, PING_SPREAD_NS) : 0);
    peer->liveness = CLUSTER_TRUSTED;
    peer->accusers = peer->deaf = 0;
    peer->commit_due = 0;
    peer->commit_ns = 0;
    cluster->peer_of[rank] = (int16_t)(peer - cluster->peers);
    mesh_cluster_arm(cluster, peer->ping_at_ns);
    memcpy(logged.incarnation, member->incarnation, sizeof logged.incarnation);
    if (is_new)
        mesh_cluster_response_back(cluster, peer);
    if (is_new && mesh_cluster_contact_back(cluster, &member->addr))
        mesh_cluster_log(cluster, &logged);
}

static void make_room(struct mesh_cluster *cluster, const struct cluster_list *list)
{
    unsigned joiners = 0;

    /* As many joiners as members fit; the table holds both. Beyond that they ask again. */
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++) {
        struct cluster_peer *peer = &cluster->peers[i];

        if (peer->is_used && peer->is_joining && mesh_cluster_list_find(list, peer->incarnation) < 0 &&
            ++joiners > CLUSTER_PEERS_MAX - MESH_RANKS_MAX)
            peer->is_used = peer->is_joining = false;
    }
}

/* ---- the epoch ---- */

static void begin(struct mesh_cluster *cluster, const struct cluster_list *list)
{
    struct cluster_epoch *epoch = &cluster->epoch;

    drop_others(cluster, list);
    make_room(cluster, list);
    epoch->since_ns = cluster->now_ns;
    epoch->list = *list;
    epoch->rank = (uint16_t)mesh_cluster_list_find(list, cluster->config.incarnation);
    cluster->peer_of[epoch->rank] = -1;
    for (unsigned rank = 0; rank < list->count; rank++)
        if (rank != epoch->rank)
            take_in(cluster, &list->members[rank], rank);
    cluster->report.is_active = false;
    cluster->plan.has_shares = false;
}

void mesh_cluster_install(struct mesh_cluster *cluster, const struct cluster_ballot *ballot, const uint8_t id[16],
                          const struct cluster_list *list)
{
    struct cluster_epoch *epoch = &cluster->epoch;
    int self = mesh_cluster_list_find(list, cluster->config.incarnation);
    int proposer = mesh_cluster_list_find(list, ballot->proposer);
    bool was_taken_in = proposer >= 0 && mesh_cluster_list_find(&epoch->list, ballot->proposer) < 0;

    assert(self >= 0 && ballot->number > epoch->number);
    if (was_taken_in) {
        struct cluster_logged logged = {.type = MESH_CLUSTER_JOINED, .addr = list->members[proposer].addr};

        mesh_cluster_log(cluster, &logged);
        cluster->joining.is_active = false;
    }
    epoch->is_seeking = false;
    epoch->number = ballot->number;
    epoch->ballot = *ballot;
    memcpy(epoch->id_before, epoch->id, sizeof epoch->id);
    memcpy(epoch->id, id, sizeof epoch->id);
    begin(cluster, list);
    if (!mesh_cluster_has_addr(&cluster->config.addr))
        cluster->addr = list->members[self].addr; /* it may be another one than in earlier epochs */
    mesh_cluster_vote_installed(cluster);
    cluster->evicted_is_pending = false;
    cluster->epoch_is_pending = true;
    cluster->stats.epochs++;
    mesh_cluster_arm(cluster, cluster->now_ns);
}

void mesh_cluster_seek(struct mesh_cluster *cluster)
{
    struct cluster_list list = {.count = 1};
    struct mesh_cluster_member *self = &list.members[0];

    memcpy(self->incarnation, cluster->config.incarnation, sizeof self->incarnation);
    self->addr = cluster->addr;
    self->speed = cluster->config.speed;
    self->flags = cluster->config.flags;
    cluster->epoch.is_seeking = true;
    memcpy(cluster->epoch.id_before, cluster->epoch.id, sizeof cluster->epoch.id);
    mesh_cluster_draw(cluster, cluster->epoch.id);
    begin(cluster, &list);
    cluster->settle_at_ns = cluster->now_ns + cluster->config.settle_ns;
    mesh_cluster_arm(cluster, cluster->settle_at_ns);
}

void mesh_cluster_evict(struct mesh_cluster *cluster)
{
    assert(!cluster->epoch.is_seeking);
    cluster->stats.evictions++;
    mesh_cluster_seek(cluster);
    if (cluster->config.settle_ns < SETTLE_NS)
        cluster->settle_at_ns = cluster->now_ns + SETTLE_NS; /* the others exist, so do not form an epoch of one soon */
    mesh_cluster_contact_hurry(cluster);
    cluster->evicted_is_pending = cluster->epoch_is_delivered; /* not of one that the application never heard of */
    cluster->epoch_is_pending = false;
}

void mesh_cluster_get_epoch(const struct mesh_cluster *cluster, struct mesh_cluster_event *event)
{
    const struct cluster_epoch *epoch = &cluster->epoch;

    memset(event, 0, sizeof *event);
    event->type = MESH_CLUSTER_EPOCH;
    event->own_rank = -1;
    if (epoch->is_seeking)
        return;
    event->number = epoch->number;
    memcpy(event->id, epoch->id, sizeof event->id);
    event->members = epoch->list.members;
    event->member_count = (uint16_t)epoch->list.count;
    event->own_rank = (int16_t)epoch->rank;
}
