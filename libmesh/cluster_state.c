/* A hash of all protocol state of the cluster core: what decides how it will behave, not statistics and not what waits to be sent. */
#include "cluster_parts.h"

#include <string.h>

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t bytes[16])
{
    uint64_t words[2];

    memcpy(words, bytes, sizeof words);
    return mix(mix(hash, words[0]), words[1]);
}

static uint64_t mix_addr(uint64_t hash, const struct mesh_addr *addr)
{
    return mix(mix_bytes(hash, addr->ip), (uint64_t)addr->scope << 16 | addr->port);
}

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
        hash = mix(mix(hash, (uint64_t)member->speed << 32 | member->share), member->flags ^ member->summary << 32);
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
    hash = mix(mix(mix(hash, (uint64_t)peer->rank), peer->highest), peer->state_number);
    for (unsigned i = 0; i < CLUSTER_NUMBERS / 64; i++)
        hash = mix(hash, peer->numbers[i]);
    hash = mix(hash, (uint64_t)peer->is_in << 5 | (uint64_t)peer->is_leaving << 4 | (uint64_t)peer->is_ahead << 3 |
                         (uint64_t)peer->is_joining << 2 | (uint64_t)peer->needs_check << 1);
    hash = mix(mix(mix(hash, peer->heard_ns), peer->ping_at_ns), peer->answers);
    for (unsigned i = 0; i < CLUSTER_ANSWERS; i++)
        hash = mix(hash, peer->answer_ns[i]);
    hash = mix_late(hash, peer->late);
    hash = mix(mix(mix(hash, peer->liveness), peer->asked_until_ns), peer->accusers);
    hash = mix(mix(hash, peer->deaf), peer->confirmed_ns);
    hash = mix(mix(mix(hash, peer->commit_due), peer->commit_ns), peer->ahead_ns);
    return mix(mix(mix(hash, peer->join_nonce), peer->join_heard_ns), (uint64_t)peer->speed << 32 | peer->flags);
}

static uint64_t mix_contact(uint64_t hash, const struct cluster_contact *contact)
{
    hash = mix_addr(hash, &contact->addr);
    hash = mix(mix(mix(hash, contact->at_ns), contact->interval_ns), contact->since_ns);
    hash = mix(mix(mix(hash, contact->met_ns), contact->denied_ns), contact->nonce);
    return mix(hash, (uint64_t)contact->is_seed << 4 | (uint64_t)contact->is_self << 3 | (uint64_t)contact->is_met << 2 |
                         (uint64_t)contact->is_lost << 1 | contact->is_by_move);
}

static uint64_t mix_plan(uint64_t hash, const struct cluster_plan *plan)
{
    hash = mix(mix(hash, plan->stage), plan->backoff_until_ns);
    if (!plan->stage)
        return hash;
    hash = mix_list(mix_ballot(hash, &plan->ballot), &plan->list);
    hash = mix(mix(mix(hash, plan->voted), plan->known), plan->leavers_ready);
    hash = mix(mix(mix(hash, plan->lost), plan->leavers), plan->deadline_ns);
    for (unsigned i = 0; i < plan->list.count; i++)
        hash = mix_bytes(mix(hash, plan->due[i]), plan->nonces[i]);
    return hash;
}

static uint64_t mix_vote(uint64_t hash, const struct cluster_vote *vote)
{
    hash = mix(mix_ballot(hash, &vote->promised), vote->promised_until_ns);
    for (unsigned i = 0; i < CLUSTER_GIVEN_MAX; i++)
        hash = mix_bytes(mix_ballot(hash, &vote->given[i].ballot), vote->given[i].nonce);
    hash = mix(mix(mix(hash, vote->plan.stage), vote->plan.have), vote->plan.at_ns);
    hash = mix(mix(mix(hash, vote->commit.stage), vote->commit.have), vote->commit.at_ns);
    hash = mix(mix(hash, vote->token), (uint64_t)vote->is_checking << 2 | (uint64_t)vote->is_preparing << 1 | vote->is_ready);
    return mix(mix(hash, vote->heard), vote->await_at_ns);
}

uint32_t mesh_cluster_state_hash(const struct mesh_cluster *cluster)
{
    const struct cluster_epoch *epoch = &cluster->epoch;
    const struct cluster_joining *joining = &cluster->joining;
    uint64_t hash = mix(mix(mix(0, epoch->number), epoch->is_seeking), epoch->rank);

    hash = mix_list(mix_bytes(mix_bytes(hash, epoch->id), epoch->id_before), &epoch->list);
    hash = mix(mix(mix(hash, cluster->number_floor), cluster->round), (uint64_t)cluster->is_leaving << 1 | cluster->is_left);
    hash = mix(mix(mix(hash, joining->is_active), joining->nonce), joining->until_ns);
    hash =
        mix(mix(mix_addr(hash, &joining->addr), (uint64_t)joining->is_unsure << 2 | (uint64_t)joining->is_guess << 1 | joining->is_waiting),
            joining->backoff_until_ns);
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++)
        hash = cluster->peers[i].is_used ? mix_peer(mix(hash, i), &cluster->peers[i]) : hash;
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++)
        hash = cluster->contacts[i].is_used ? mix_contact(mix(hash, i), &cluster->contacts[i]) : hash;
    for (unsigned i = 0; i < CLUSTER_BANS_MAX; i++)
        hash = mix(mix(hash, cluster->bans[i].number), cluster->bans[i].until_ns ^ cluster->bans[i].starved_ns);
    for (unsigned i = 0; i < CLUSTER_STRIKES_MAX; i++)
        hash = mix(mix(hash, cluster->strikes[i].count), cluster->strikes[i].last_ns);
    for (unsigned i = 0; i < CLUSTER_MISTAKES_MAX; i++)
        hash = mix_late(mix(mix(hash, cluster->mistakes[i].lost_ns), cluster->mistakes[i].count ^ cluster->mistakes[i].last_ns),
                        cluster->mistakes[i].late);
    hash = mix_late(hash, cluster->late);
    hash = mix_vote(mix_plan(hash, &cluster->plan), &cluster->vote);
    hash = mix(mix(mix(hash, cluster->report.is_active), cluster->report.rank), cluster->report.until_ns);
    return (uint32_t)(hash ^ hash >> 32);
}
