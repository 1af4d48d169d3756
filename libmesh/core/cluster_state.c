/* A hash of all protocol state of the cluster core: what decides how it will behave, not statistics and not what waits to be sent.
 *
 * Left out on purpose, besides configuration: the times of calls, and the counts of datagrams sent and of random values drawn, which also
 * answers to strangers change; events that wait; what only follows from hashed members (peer_of). tests/unit/test_state_hash.c lists every
 * member. */
#include "cluster_parts.h"
#include "state_mix.h"

static uint64_t mix_ballot(uint64_t hash, const struct cluster_ballot *ballot)
{
    return mix_bytes(mix(mix(hash, (uint64_t)ballot->number << 32 | ballot->round), ballot->rank), ballot->proposer);
}

static uint64_t mix_list(uint64_t hash, const struct cluster_list *list)
{
    hash = mix(hash, list->count);
    for (unsigned i = 0; i < list->count; i++) {
        const struct mesh_cluster_member *member = &list->members[i];

        hash = mix_bytes(mix_bytes(mix_addr(hash, &member->addr), member->incarnation), member->nonce);
        hash = mix(mix(mix(hash, (uint64_t)member->speed << 32 | member->share), member->flags), member->summary);
    }
    return hash;
}

static uint64_t mix_late(uint64_t hash, const struct cluster_late late[2])
{
    for (unsigned i = 0; i < 2; i++)
        hash = late[i].took_ns ? mix(mix(hash, late[i].at_ns), late[i].took_ns) : hash;
    return hash;
}

static uint64_t mix_peer(uint64_t hash, const struct cluster_peer *peer)
{
    hash = mix_addr(mix_bytes(hash, peer->incarnation), &peer->addr);
    hash = mix(mix(mix(mix(hash, (uint64_t)peer->rank), peer->highest), peer->state_number), peer->since_ns);
    for (unsigned i = 0; i < CLUSTER_NUMBERS / 64; i++)
        hash = mix(hash, peer->numbers[i]);
    hash = mix(hash, (uint64_t)peer->is_out << 7 | (uint64_t)peer->is_fresh << 6 | (uint64_t)peer->is_in << 5 |
                         (uint64_t)peer->is_leaving << 4 | (uint64_t)peer->is_ahead << 3 | (uint64_t)peer->is_joining << 2 |
                         (uint64_t)peer->needs_check << 1);
    hash = mix(mix(mix(hash, peer->heard_ns), peer->ping_at_ns), peer->answers);
    hash = mix(mix(hash, peer->mesh_heard_ns), peer->rtt_ns);
    for (unsigned i = 0; i < CLUSTER_ANSWERS; i++)
        hash = mix(hash, peer->answer_ns[i]);
    hash = mix_late(hash, peer->late);
    hash = mix(mix(mix(hash, peer->liveness), peer->asked_until_ns), peer->accusers);
    hash = mix(mix(hash, peer->asked_ns), peer->ask_at_ns);
    hash = mix(mix(hash, peer->deaf), peer->confirmed_ns);
    hash = mix(mix(mix(hash, peer->commit_due), peer->commit_ns), peer->ahead_ns);
    hash = mix(mix(hash, peer->join_ns), peer->join_number);
    return mix(mix(mix(hash, peer->join_nonce), peer->join_heard_ns), (uint64_t)peer->speed << 32 | peer->flags);
}

static uint64_t mix_contact(uint64_t hash, const struct cluster_contact *contact)
{
    hash = mix_addr(hash, &contact->addr);
    hash = mix(mix(mix(hash, contact->at_ns), contact->interval_ns), contact->since_ns);
    hash = mix(mix(mix(hash, contact->met_ns), contact->denied_ns), contact->nonce);
    hash = mix(mix(mix(hash, contact->asked_number), contact->group_nonce), contact->denied);
    hash = mix(hash, (uint64_t)contact->is_group << 1 | contact->has_cookie);
    return mix(hash, (uint64_t)contact->is_seed << 4 | (uint64_t)contact->is_self << 3 | (uint64_t)contact->is_met << 2 |
                         (uint64_t)contact->is_lost << 1 | contact->is_by_move);
}

static uint64_t mix_joining(uint64_t hash, const struct cluster_joining *joining)
{
    const struct cluster_standing *standing = &joining->standing;

    hash = mix(mix(mix(hash, joining->is_active), joining->nonce), joining->until_ns);
    hash = mix(mix_addr(mix_addr(hash, &joining->addr), &joining->via),
               (uint64_t)joining->is_unsure << 2 | (uint64_t)joining->is_guess << 1 | joining->is_waiting);
    hash = mix_bytes(mix_bytes(mix_bytes(hash, joining->cookie), standing->first), standing->id);
    hash = mix(mix(mix(hash, (uint64_t)standing->members << 32 | standing->number), joining->at_ns), joining->interval_ns);
    return mix(mix(mix(hash, joining->redirects), joining->backoff_until_ns), joining->denied);
}

static uint64_t mix_plan(uint64_t hash, const struct cluster_plan *plan)
{
    hash = mix(mix(mix(mix(hash, plan->stage), plan->backoff_until_ns), plan->tries), plan->stopped_ns);
    hash = mix(hash, plan->has_shares);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        hash = plan->has_shares ? mix(hash, plan->shares[i]) : hash;
    if (!plan->stage)
        return hash;
    hash = mix_list(mix_ballot(hash, &plan->ballot), &plan->list);
    hash = mix(mix(mix(hash, plan->voted), plan->known), plan->leavers_ready);
    hash = mix(mix(mix(hash, plan->lost), plan->leavers), plan->deadline_ns);
    hash = mix(mix_bytes(hash, plan->id), (uint64_t)(uint16_t)plan->self << 2 | (uint64_t)plan->is_urgent << 1 | plan->prepares);
    hash = mix(mix(mix(hash, plan->repeat_at_ns), plan->repeat_ns), plan->repeats);
    hash = plan->answered ? mix(hash, plan->answered) : hash;
    for (unsigned i = 0; i < plan->list.count; i++)
        hash = mix(mix_bytes(mix(hash, plan->due[i]), plan->nonces[i]), plan->heard[i]);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        hash = mix(hash, plan->leaver_due[i]);
    return hash;
}

static uint64_t mix_assembly(uint64_t hash, const struct cluster_assembly *assembly)
{
    hash = mix(hash, assembly->stage);
    if (!assembly->stage)
        return hash;
    hash = mix(mix(mix_bytes(mix_ballot(hash, &assembly->ballot), assembly->id), assembly->have), assembly->at_ns);
    return mix_list(hash, &assembly->list);
}

static uint64_t mix_vote(uint64_t hash, const struct cluster_vote *vote)
{
    hash = mix(mix_ballot(hash, &vote->promised), vote->promised_until_ns);
    for (unsigned i = 0; i < CLUSTER_GIVEN_MAX; i++)
        hash = mix_bytes(mix_ballot(hash, &vote->given[i].ballot), vote->given[i].nonce);
    hash = mix(mix_assembly(mix_assembly(hash, &vote->plan), &vote->commit), vote->given_next);
    hash = mix(mix_addr(hash, &vote->plan_from), vote->other_plan_until_ns);
    hash = mix(mix(hash, vote->token),
               (uint64_t)vote->is_own << 3 | (uint64_t)vote->is_checking << 2 | (uint64_t)vote->is_preparing << 1 | vote->is_ready);
    if (vote->is_checking)
        hash = mix(mix(mix_ballot(hash, &vote->checked), vote->check_from_ns), vote->check_at_ns);
    if (vote->is_preparing)
        hash = mix_addr(mix_ballot(hash, &vote->prepared), &vote->prepared_from);
    return mix(mix(mix(mix(hash, vote->heard), vote->await_at_ns), vote->await_tries), vote->await_ns);
}

/* What is remembered of processes whether they are here or not. */
static uint64_t mix_remembered(uint64_t hash, const struct mesh_cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_BANS_MAX; i++) {
        const struct cluster_ban *ban = &cluster->bans[i];

        hash = mix_bytes(mix(mix(hash, ban->number), ban->until_ns), ban->incarnation);
        hash = mix(mix(hash, ban->starved_ns), (uint64_t)ban->unheard << 2 | (uint64_t)ban->needs_check << 1 | ban->is_starved);
    }
    hash = mix(hash, cluster->ban_next);
    for (unsigned i = 0; i < CLUSTER_STRIKES_MAX; i++) {
        const struct cluster_strike *strike = &cluster->strikes[i];

        hash = mix(mix(mix(hash, strike->count), strike->last_ns), strike->first_ns);
        hash = mix_bytes(mix_bytes(hash, strike->by), strike->of);
    }
    for (unsigned i = 0; i < CLUSTER_MISTAKES_MAX; i++) {
        const struct cluster_mistakes *mistakes = &cluster->mistakes[i];

        hash = mix(mix(mix(hash, mistakes->lost_ns), mistakes->count), mistakes->last_ns);
        hash = mix_late(mix_bytes(hash, mistakes->incarnation), mistakes->late);
    }
    return mix_late(hash, cluster->late);
}

uint32_t mesh_cluster_state_hash(const struct mesh_cluster *cluster)
{
    const struct cluster_epoch *epoch = &cluster->epoch;
    const struct cluster_report *report = &cluster->report;
    uint64_t hash = mix(mix(mix(0, epoch->number), epoch->is_seeking), epoch->rank);

    hash = mix_list(mix_bytes(mix_bytes(hash, epoch->id), epoch->id_before), &epoch->list);
    hash = mix(mix_ballot(hash, &epoch->ballot), epoch->since_ns);
    hash = mix(mix(mix(hash, cluster->number_floor), cluster->round), (uint64_t)cluster->is_leaving << 1 | cluster->is_left);
    hash = mix(mix(mix_addr(hash, &cluster->addr), cluster->woke_ns), cluster->leave_at_ns);
    hash = mix(mix(mix(mix(hash, cluster->settle_at_ns), cluster->summary), cluster->gather_at_ns), cluster->gather_until_ns);
    hash = mix_joining(hash, &cluster->joining);
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++)
        hash = cluster->peers[i].is_used ? mix_peer(mix(hash, i), &cluster->peers[i]) : hash;
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++)
        hash = cluster->contacts[i].is_used ? mix_contact(mix(hash, i), &cluster->contacts[i]) : hash;
    hash = mix_remembered(hash, cluster);
    for (unsigned i = 0; i < CLUSTER_ASKED; i++)
        hash = mix(hash, cluster->asked_ns[i]);
    hash = mix(hash, cluster->asked);
    hash = mix_vote(mix_plan(hash, &cluster->plan), &cluster->vote);
    hash = mix(mix(mix(hash, report->is_active), report->rank), report->until_ns);
    hash = mix(mix(hash, report->at_ns), report->interval_ns);
    return (uint32_t)(hash ^ hash >> 32);
}
