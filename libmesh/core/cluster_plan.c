/* Coordinating: what is to change, and when. Deaths at once and without preparation; joiners, leavers and shares when nothing else is
 * going on, checked and prepared first where that is asked for.
 *
 * The lowest rank that is not dead or gone coordinates. Members keep their order and new ones are appended, so a sequencer stays one.
 * Invariant: this process's own plan is for the current epoch; when that ends, so does the plan, except in its last stage. */
#include "cluster_parts.h"

#include <assert.h>
#include <string.h>

void mesh_cluster_left(struct mesh_cluster *cluster)
{
    mesh_cluster_ballot_stop(cluster);
    cluster->is_left = true;
    cluster->left_is_pending = true;
    cluster->prepare_is_pending = false;
}

/* False while another process has a plan that may still succeed, or when this process gave way a moment ago. */
static bool may_propose(struct mesh_cluster *cluster)
{
    const struct cluster_vote *vote = &cluster->vote;
    const struct cluster_peer *rival = mesh_cluster_peer_find(cluster, vote->promised.proposer);
    bool is_lost = mesh_cluster_is_member(rival) && rival->liveness >= CLUSTER_DEAD;

    if (cluster->now_ns < vote->promised_until_ns && !is_lost) {
        mesh_cluster_arm(cluster, vote->promised_until_ns);
        return false;
    }
    if (cluster->now_ns < cluster->plan.backoff_until_ns) {
        mesh_cluster_arm(cluster, cluster->plan.backoff_until_ns);
        return false;
    }
    return mesh_cluster_ballot_number(cluster) <= MESH_EPOCH_MAX; /* above: two billion epochs, or somebody lies */
}

/* The epoch's members but these, as they are now. */
static void list_without(struct mesh_cluster *cluster, uint64_t ranks, struct cluster_list *list)
{
    list->count = 0;
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        const struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);
        struct mesh_cluster_member *member = &list->members[list->count];

        if (ranks >> rank & 1)
            continue;
        *member = cluster->epoch.list.members[rank];
        memset(member->nonce, 0, sizeof member->nonce);
        member->speed = peer ? peer->speed : cluster->config.speed;
        member->flags = peer ? peer->flags : cluster->config.flags;
        member->share = cluster->plan.has_shares ? cluster->plan.shares[rank] : 0;
        if (!peer)
            member->addr = cluster->addr;
        list->count++;
    }
}

/* ---- deaths ---- */

static bool is_anybody_ahead(const struct mesh_cluster *cluster)
{
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++)
        if (rank != cluster->epoch.rank && cluster->peers[cluster->peer_of[rank]].is_ahead &&
            cluster->peers[cluster->peer_of[rank]].liveness < CLUSTER_DEAD)
            return true;
    return false;
}

static void settle_lost(struct mesh_cluster *cluster, uint64_t lost)
{
    struct cluster_plan *plan = &cluster->plan;
    bool is_alone = mesh_cluster_count(lost) + 1 == cluster->epoch.list.count;

    if (plan->stage && plan->is_urgent && plan->lost == lost)
        return;
    mesh_cluster_ballot_stop(cluster);
    plan->has_shares = false;
    if (is_alone && mesh_cluster_ranks_by_liveness(cluster, CLUSTER_GONE, CLUSTER_GONE)) {
        mesh_cluster_evict(cluster); /* somebody is alive and went on without this process */
        return;
    }
    if (!may_propose(cluster))
        return;
    list_without(cluster, lost, &plan->list);
    plan->is_urgent = true;
    plan->prepares = false;
    plan->lost = lost;
    plan->leavers = 0;
    mesh_cluster_ballot_start(cluster, MESH_STAGE_PROPOSE);
}

/* ---- planned changes ---- */

static uint64_t find_leavers(struct mesh_cluster *cluster)
{
    uint64_t ranks = cluster->is_leaving ? UINT64_C(1) << cluster->epoch.rank : 0;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        const struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (peer && peer->is_leaving)
            ranks |= UINT64_C(1) << rank;
    }
    return ranks;
}

/* The joiner that has waited longest among those not in the list; NULL when there is none. */
static struct cluster_peer *next_joiner(struct mesh_cluster *cluster, const struct cluster_list *list)
{
    struct cluster_peer *next = NULL;

    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++) {
        struct cluster_peer *peer = &cluster->peers[i];

        if (peer->is_used && peer->is_joining && peer->rank < 0 && (!next || peer->join_ns < next->join_ns) &&
            mesh_cluster_list_find(list, peer->incarnation) < 0)
            next = peer;
    }
    return next;
}

static bool append_joiners(struct mesh_cluster *cluster, struct cluster_list *list)
{
    struct cluster_peer *peer;
    bool needs_check = false;

    while (list->count < MESH_RANKS_MAX && (peer = next_joiner(cluster, list))) {
        struct mesh_cluster_member *member = &list->members[list->count++];

        memset(member, 0, sizeof *member);
        memcpy(member->incarnation, peer->incarnation, sizeof member->incarnation);
        member->addr = peer->addr;
        member->speed = peer->speed;
        member->flags = peer->flags;
        mesh_cluster_join_nonce(peer->join_nonce, member->nonce);
        needs_check |= peer->needs_check;
    }
    return needs_check;
}

static void begin_planned(struct mesh_cluster *cluster, uint64_t leavers, bool has_joiners)
{
    struct cluster_plan *plan = &cluster->plan;
    bool loads = has_joiners && cluster->config.prepares_joins && !cluster->epoch.is_seeking;
    bool needs_check = false;

    if (has_joiners)
        plan->has_shares = false; /* they were meant for others: with them, those that join would have none */
    list_without(cluster, leavers, &plan->list);
    if (has_joiners) {
        needs_check = append_joiners(cluster, &plan->list);
        cluster->gather_at_ns = 0;
    }
    plan->is_urgent = false;
    plan->prepares = loads || leavers || plan->has_shares;
    plan->lost = 0;
    plan->leavers = leavers;
    if (needs_check || loads)
        mesh_cluster_ballot_start(cluster, MESH_STAGE_CHECK);
    else
        mesh_cluster_ballot_start(cluster, plan->prepares ? MESH_STAGE_PREPARE : MESH_STAGE_PROPOSE);
}

static void settle_planned(struct mesh_cluster *cluster)
{
    uint64_t leavers = find_leavers(cluster);
    struct cluster_list nobody = {.count = 0};
    bool has_joiners = next_joiner(cluster, &nobody) != NULL;
    bool waits = has_joiners && cluster->gather_at_ns > cluster->now_ns;

    if (waits)
        mesh_cluster_arm(cluster, cluster->gather_at_ns);
    if (cluster->joining.is_active && cluster->joining.is_waiting)
        return; /* this process is about to go elsewhere */
    if (leavers || cluster->plan.has_shares || (has_joiners && !waits)) {
        if (may_propose(cluster))
            begin_planned(cluster, leavers, has_joiners && !waits);
    } else if (cluster->epoch.is_seeking && !has_joiners && !cluster->joining.is_active) {
        if (cluster->now_ns < cluster->settle_at_ns)
            mesh_cluster_arm(cluster, cluster->settle_at_ns);
        else if (may_propose(cluster))
            begin_planned(cluster, 0, false);
    }
}

/* ---- leaving ---- */

/* Everybody else is gone, dead or leaving, too; or they are done with the plan for it. */
static bool is_free_to_leave(struct mesh_cluster *cluster)
{
    bool somebody_stays = false;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        const struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (!peer || peer->liveness == CLUSTER_DEAD)
            continue;
        if (peer->liveness == CLUSTER_GONE && !somebody_stays && rank < cluster->epoch.rank)
            return true; /* the coordinator went on */
        somebody_stays |= peer->liveness != CLUSTER_GONE && !peer->is_leaving;
    }
    return !somebody_stays;
}

void mesh_cluster_plan_settle(struct mesh_cluster *cluster)
{
    uint64_t lost = mesh_cluster_ranks_by_liveness(cluster, CLUSTER_DEAD, CLUSTER_GONE);

    if (cluster->plan.stage == MESH_STAGE_COMMIT)
        return;
    if (cluster->is_leaving && is_free_to_leave(cluster)) {
        mesh_cluster_left(cluster);
        return;
    }
    if (!mesh_cluster_is_coordinator(cluster)) {
        mesh_cluster_ballot_stop(cluster);
        return;
    }
    if (mesh_cluster_ranks_by_liveness(cluster, CLUSTER_ASKING, CLUSTER_ASKING) || is_anybody_ahead(cluster))
        return; /* soon it will be known */
    if (lost)
        settle_lost(cluster, lost);
    else if (!cluster->plan.stage)
        settle_planned(cluster);
}

/* ---- between the stages ---- */

static bool hears(const struct cluster_plan *plan, unsigned who, unsigned whom)
{
    return plan->heard[who] >> whom & 1;
}

/* Why the process at this index cannot be with those before it that stay: the index of one with which it does not exchange datagrams both
 * ways; -1: it can. */
static int find_unheard(const struct cluster_plan *plan, unsigned index, uint64_t stays)
{
    for (unsigned other = 0; other < index; other++)
        if (stays >> other & 1 && !(hears(plan, other, index) && hears(plan, index, other)))
            return (int)other;
    return -1;
}

void mesh_cluster_plan_checked(struct mesh_cluster *cluster, bool is_over)
{
    struct cluster_plan *plan = &cluster->plan;
    unsigned members = cluster->epoch.list.count - mesh_cluster_count(plan->leavers);
    uint64_t silent = mesh_cluster_mask(members) & ~plan->known, stays = mesh_cluster_mask(members);
    struct cluster_list list = plan->list;

    plan->list.count = members;
    for (unsigned i = members; i < list.count; i++) {
        struct cluster_peer *joiner = mesh_cluster_peer_find(cluster, list.members[i].incarnation);
        int unheard = find_unheard(plan, i, stays);

        assert(joiner && joiner->is_joining);
        if (unheard < 0) {
            stays |= UINT64_C(1) << i;
            plan->list.members[plan->list.count++] = list.members[i];
        } else if (!silent) {
            mesh_cluster_admission_deny(cluster, joiner, plan->known >> i & 1 ? MESH_DENY_UNHEARD : 0, (uint64_t)unheard, 0, CLUSTER_S);
        }
    }
    if (silent) { /* before anybody is blamed for not hearing them */
        assert(is_over);
        for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
            int index = mesh_cluster_list_find(&list, cluster->epoch.list.members[rank].incarnation);
            struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

            if (peer && index >= 0 && silent >> index & 1)
                mesh_cluster_suspect_unvoted(cluster, peer);
        }
        mesh_cluster_ballot_stop(cluster);
    } else if (plan->list.count == members && !plan->leavers) {
        mesh_cluster_ballot_stop(cluster); /* nobody is left to be taken in */
    } else {
        mesh_cluster_ballot_start(cluster, plan->prepares ? MESH_STAGE_PREPARE : MESH_STAGE_PROPOSE);
    }
}

/* Members that have left are not in the list, so no COMMIT comes to them. */
static void tell_leavers(struct mesh_cluster *cluster, const struct cluster_list *before)
{
    for (unsigned rank = 0; rank < before->count; rank++)
        if (cluster->plan.leavers >> rank & 1 && memcmp(before->members[rank].incarnation, cluster->config.incarnation, 16) != 0)
            mesh_cluster_alive_send(cluster, before->members[rank].addr, MESH_ALIVE_STRANGER, 0);
}

static void commit(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;
    struct cluster_ballot ballot = plan->ballot;
    struct cluster_list before = cluster->epoch.list;

    for (unsigned i = 0; i < plan->list.count; i++)
        memcpy(plan->list.members[i].nonce, plan->nonces[i], sizeof plan->nonces[i]);
    mesh_cluster_list_id(cluster, &plan->list, ballot.number, plan->id);
    cluster->vote.promised_until_ns = 0;
    if (plan->self >= 0)
        mesh_cluster_install(cluster, &ballot, plan->id, &plan->list);
    tell_leavers(cluster, &before);
    mesh_cluster_ballot_start(cluster, MESH_STAGE_COMMIT);
}

void mesh_cluster_plan_passed(struct mesh_cluster *cluster)
{
    switch (cluster->plan.stage) {
    case MESH_STAGE_PREPARE:
        mesh_cluster_ballot_start(cluster, MESH_STAGE_PROPOSE);
        break;
    case MESH_STAGE_PROPOSE:
        commit(cluster);
        break;
    default:
        assert(!"CHECK goes by plan_checked, COMMIT by nobody");
    }
}
