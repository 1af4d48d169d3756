/* Addresses that are asked now and then: seeds, lost members, and what others tell of.
 *
 * An address that answers for another cluster is asked often until the two merge; a silent one, every second for a minute and then ever
 * less often; one that refuses, less often, too. Addresses of members are not asked. To a multicast group processes of several clusters
 * may answer, some of them with a DENY: all answers to the last question are heard. */
#include "cluster_parts.h"

#include <string.h>

#define START_NS         (20 * CLUSTER_MS) /* between the first questions to a seed, doubling */
#define MET_NS           (50 * CLUSTER_MS) /* while two clusters know of each other */
#define FIRST_NS         CLUSTER_S         /* rank 0 asks a silent address so often */
#define OTHERS_NS        (2 * CLUSTER_S)   /* and the other ranks */
#define BACKOFF_AFTER_NS (60 * CLUSTER_S)  /* for so long */
#define SLOWEST_NS       (30 * CLUSTER_S)

static bool is_group(const struct mesh_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(addr->ip, mapped, sizeof mapped) == 0)
        return (addr->ip[12] & 0xf0) == 0xe0;
    return addr->ip[0] == 0xff;
}

static struct cluster_contact *find(struct mesh_cluster *cluster, const struct mesh_addr *addr)
{
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++)
        if (cluster->contacts[i].is_used && mesh_cluster_same_addr(&cluster->contacts[i].addr, addr))
            return &cluster->contacts[i];
    return NULL;
}

/* A free place, or that of the contact that is no seed and has been silent longest; NULL when all are seeds. */
static struct cluster_contact *find_room(struct mesh_cluster *cluster)
{
    struct cluster_contact *oldest = NULL;

    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++) {
        struct cluster_contact *contact = &cluster->contacts[i];

        if (!contact->is_used)
            return contact;
        if (!contact->is_seed && (!oldest || contact->since_ns < oldest->since_ns))
            oldest = contact;
    }
    return oldest;
}

static struct cluster_contact *add(struct mesh_cluster *cluster, const struct mesh_addr *addr)
{
    struct cluster_contact *contact = find(cluster, addr);

    if (!contact) {
        contact = find_room(cluster);
        if (!contact)
            return NULL;
        memset(contact, 0, sizeof *contact);
        contact->is_used = true;
        contact->is_group = is_group(addr);
        contact->addr = *addr;
    }
    contact->at_ns = contact->since_ns = cluster->now_ns;
    contact->interval_ns = START_NS;
    contact->denied_ns = 0;
    mesh_cluster_arm(cluster, cluster->now_ns);
    return contact;
}

void mesh_cluster_contact_seed(struct mesh_cluster *cluster, const struct mesh_addr *addr, int *err)
{
    unsigned seeds = 0;
    struct cluster_contact *contact;

    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++)
        seeds += cluster->contacts[i].is_used && cluster->contacts[i].is_seed;
    contact = seeds < MESH_CLUSTER_SEEDS_MAX || find(cluster, addr) ? add(cluster, addr) : NULL;
    if (contact)
        contact->is_seed = true;
    else
        *err = MESH_AGAIN;
}

void mesh_cluster_contact_learn(struct mesh_cluster *cluster, const struct mesh_addr *addr, bool is_by_move)
{
    struct cluster_contact *contact = find(cluster, addr);

    if (contact && contact->is_met && cluster->now_ns - contact->met_ns < MET_NS)
        return; /* it was asked a moment ago */
    contact = add(cluster, addr);
    if (contact)
        contact->is_by_move = is_by_move;
}

void mesh_cluster_contact_lost(struct mesh_cluster *cluster, const struct mesh_addr *addr)
{
    struct cluster_contact *contact = mesh_cluster_has_addr(addr) ? add(cluster, addr) : NULL;

    if (!contact)
        return;
    contact->is_lost = true;
    contact->is_met = contact->is_by_move = false;
    contact->interval_ns = FIRST_NS;
    contact->at_ns = cluster->now_ns + mesh_cluster_draw_below(cluster, FIRST_NS);
}

bool mesh_cluster_contact_back(struct mesh_cluster *cluster, const struct mesh_addr *addr)
{
    struct cluster_contact *contact = find(cluster, addr);
    bool was_lost = contact && contact->is_lost;

    if (contact) {
        contact->is_lost = contact->is_met = false;
        contact->denied = 0;
    }
    return was_lost;
}

struct cluster_contact *mesh_cluster_contact_by_nonce(struct mesh_cluster *cluster, uint64_t nonce)
{
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++)
        if (cluster->contacts[i].is_used && (cluster->contacts[i].nonce == nonce || cluster->contacts[i].group_nonce == nonce))
            return &cluster->contacts[i];
    return NULL;
}

/* Who answers for a group does so from an address of its own. */
struct cluster_contact *mesh_cluster_contact_by_number(struct mesh_cluster *cluster, uint64_t number, const struct mesh_addr *addr)
{
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++) {
        struct cluster_contact *contact = &cluster->contacts[i];

        if (contact->is_used && contact->asked_number == number && (contact->nonce || contact->group_nonce) &&
            (contact->is_group || mesh_cluster_same_addr(&contact->addr, addr)))
            return contact;
    }
    return NULL;
}

void mesh_cluster_contact_sent(struct mesh_cluster *cluster, uint64_t nonce, uint64_t number)
{
    struct cluster_contact *contact = mesh_cluster_contact_by_nonce(cluster, nonce);

    if (contact)
        contact->asked_number = number;
}

/* ---- answers ---- */

static void on_answer(struct cluster_contact *contact)
{
    if (contact->is_group && contact->nonce)
        contact->group_nonce = contact->nonce;
    contact->nonce = 0;
}

void mesh_cluster_contact_met(struct mesh_cluster *cluster, struct cluster_contact *contact)
{
    on_answer(contact);
    contact->has_cookie = contact->is_met = true;
    contact->is_self = false;
    contact->met_ns = contact->since_ns = cluster->now_ns;
    contact->interval_ns = MET_NS;
    contact->denied_ns = 0;
    contact->at_ns = cluster->now_ns + contact->interval_ns;
    if (!contact->is_group)
        contact->denied = 0;
    mesh_cluster_arm(cluster, contact->at_ns);
}

/* It is a member's other address, or was one just now. Or somebody has replayed the question to a member, so the address itself may still
 * answer, and is asked again no later than without this. */
void mesh_cluster_contact_same(struct mesh_cluster *cluster, struct cluster_contact *contact)
{
    if (contact->has_cookie)
        return; /* another process of a group is in another cluster */
    contact->is_met = false;
    contact->since_ns = cluster->now_ns;
    contact->interval_ns = OTHERS_NS;
    contact->denied_ns = 0;
}

bool mesh_cluster_contact_is_told(struct cluster_contact *contact, uint16_t reason)
{
    const uint16_t told = contact->is_group ? (uint16_t)(contact->denied | 1u << reason) : reason;
    const bool is_told = told == contact->denied;

    contact->denied = told;
    return is_told;
}

void mesh_cluster_contact_denied(struct mesh_cluster *cluster, struct cluster_contact *contact, bool is_lasting)
{
    const uint64_t slowest = is_lasting ? SLOWEST_NS : OTHERS_NS;
    const uint64_t doubled = contact->denied_ns ? 2 * contact->denied_ns : FIRST_NS;

    if (contact->is_group && !contact->nonce)
        return; /* another process has answered before */
    on_answer(contact);
    contact->is_met = contact->is_self = false;
    contact->since_ns = cluster->now_ns;
    contact->interval_ns = FIRST_NS; /* if nothing comes back next time */
    contact->denied_ns = doubled < slowest ? doubled : slowest;
    contact->at_ns = cluster->now_ns + contact->denied_ns;
    mesh_cluster_arm(cluster, contact->at_ns);
}

bool mesh_cluster_contact_self(struct mesh_cluster *cluster, uint64_t nonce)
{
    struct cluster_contact *contact = mesh_cluster_contact_by_nonce(cluster, nonce);

    if (!contact || !contact->nonce)
        return false;
    contact->is_self = contact->is_group; /* anybody can replay a question to who asked it: that is no answer */
    return true;
}

void mesh_cluster_contact_hurry(struct mesh_cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++) {
        struct cluster_contact *contact = &cluster->contacts[i];

        if (!contact->is_used)
            continue;
        contact->at_ns = contact->since_ns = cluster->now_ns;
        contact->interval_ns = START_NS;
        contact->denied_ns = 0;
    }
    mesh_cluster_arm(cluster, cluster->now_ns);
}

/* ---- asking ---- */

/* A process that is alone, and was not configured with its address, has it from a JOIN, which may have been meant for another process and
 * replayed: for the very process that would take it in. */
static bool is_sure_of_addr(const struct mesh_cluster *cluster)
{
    return cluster->epoch.list.count > 1 || mesh_cluster_has_addr(&cluster->config.addr);
}

static bool is_members(const struct mesh_cluster *cluster, const struct cluster_contact *contact)
{
    const struct cluster_list *list = &cluster->epoch.list;

    for (unsigned rank = 0; rank < list->count; rank++)
        if (rank != cluster->epoch.rank && mesh_cluster_same_addr(&list->members[rank].addr, &contact->addr))
            return cluster->peers[cluster->peer_of[rank]].liveness != CLUSTER_GONE;
    return is_sure_of_addr(cluster) && (mesh_cluster_same_addr(&cluster->addr, &contact->addr) ||
                                        mesh_cluster_same_addr(&list->members[cluster->epoch.rank].addr, &contact->addr));
}

static void ask(struct mesh_cluster *cluster, struct cluster_contact *contact)
{
    struct mesh_ask *message = mesh_cluster_enqueue(cluster, contact->addr, MESH_TYPE_ASK);
    struct cluster_standing standing;

    contact->nonce = mesh_cluster_draw64(cluster);
    contact->group_nonce = 0;
    contact->has_cookie = false;
    mesh_cluster_standing(cluster, &standing);
    message->nonce = contact->nonce;
    memcpy(message->cluster, cluster->config.cluster, sizeof message->cluster);
    memcpy(message->fingerprint, cluster->config.fingerprint, sizeof message->fingerprint);
    message->features = cluster->config.features;
    message->members = standing.members;
    message->number = standing.number;
    memcpy(message->first, standing.first, sizeof message->first);
    memcpy(message->id, standing.id, sizeof message->id);
}

static uint64_t next_interval(const struct mesh_cluster *cluster, const struct cluster_contact *contact)
{
    uint64_t usual = cluster->epoch.rank == 0 ? FIRST_NS : OTHERS_NS;
    uint64_t doubled = 2 * contact->interval_ns;

    if (contact->is_self)
        return doubled < SLOWEST_NS ? doubled : SLOWEST_NS;
    if (contact->is_met && cluster->now_ns - contact->met_ns < CLUSTER_S)
        return MET_NS;
    if (cluster->now_ns - contact->since_ns > BACKOFF_AFTER_NS)
        return doubled < SLOWEST_NS ? doubled : SLOWEST_NS;
    return doubled < usual ? doubled : usual;
}

void mesh_cluster_contact_tick(struct mesh_cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_CONTACTS_MAX; i++) {
        struct cluster_contact *contact = &cluster->contacts[i];

        if (!contact->is_used)
            continue;
        if (cluster->now_ns >= contact->at_ns) {
            uint64_t wait_ns = contact->interval_ns;

            if (is_members(cluster, contact)) {
                contact->since_ns = cluster->now_ns;
                contact->interval_ns = START_NS;
                wait_ns = FIRST_NS;
            } else if (!cluster->is_leaving) {
                ask(cluster, contact);
                contact->interval_ns = next_interval(cluster, contact);
                contact->is_self = false; /* until this question comes back */
            }
            contact->at_ns = cluster->now_ns + wait_ns + mesh_cluster_draw_below(cluster, wait_ns / 8 + 1);
        }
        mesh_cluster_arm(cluster, contact->at_ns);
    }
}
