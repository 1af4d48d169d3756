/* Asking to be taken in: what a cookie leads to, the JOIN that is repeated, and telling the other members.
 *
 * At most one cluster is asked at a time, the best that was met. Of two clusters the lesser one's members come to the better one; a
 * cluster that is the better one invites the other. */
#include "cluster_parts.h"

#include <string.h>

#define FIRST_NS       (10 * CLUSTER_MS) /* between JOINs, doubling */
#define SLOWEST_NS     (160 * CLUSTER_MS)
#define WAITING_NS     (250 * CLUSTER_MS) /* between JOINs while the coordinator knows */
#define SILENT_NS      (500 * CLUSTER_MS) /* without an answer, joining is given up */
#define WAITING_NS_MAX CLUSTER_S          /* the same while waiting */
#define BACKOFF_NS     (500 * CLUSTER_MS) /* after a JOIN in vain */
#define DENIED_NS      CLUSTER_S          /* after a denied one */
#define REDIRECTS      8

/* Of a COOKIE, INVITE or MOVE. */
#define STANDING_OF(message, standing)                                        \
    do {                                                                      \
        (standing)->members = (message)->members;                             \
        (standing)->number = (message)->number;                               \
        memcpy((standing)->first, (message)->first, sizeof(standing)->first); \
        memcpy((standing)->id, (message)->id, sizeof(standing)->id);          \
    } while (0)

#define PUT_STANDING(standing, message)                                       \
    do {                                                                      \
        (message)->members = (standing)->members;                             \
        (message)->number = (standing)->number;                               \
        memcpy((message)->first, (standing)->first, sizeof(standing)->first); \
        memcpy((message)->id, (standing)->id, sizeof(standing)->id);          \
    } while (0)

static void end_joining(struct mesh_cluster *cluster, uint64_t backoff_ns)
{
    cluster->joining.is_active = false;
    cluster->joining.backoff_until_ns = cluster->now_ns + backoff_ns;
    mesh_cluster_arm(cluster, cluster->now_ns); /* an own epoch may be due */
}

static void invite(struct mesh_cluster *cluster, struct mesh_addr to, const uint8_t cookie[16], const struct cluster_standing *ours)
{
    struct mesh_invite *message = mesh_cluster_enqueue(cluster, to, MESH_TYPE_INVITE);

    memcpy(message->cookie, cookie, sizeof message->cookie);
    mesh_cluster_where(cluster, message->ip, &message->port);
    PUT_STANDING(ours, message);
}

static void tell_members(struct mesh_cluster *cluster)
{
    const struct cluster_joining *joining = &cluster->joining;
    const struct mesh_addr *addr = joining->is_guess ? &joining->via : &joining->addr;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);
        struct mesh_move *message;

        if (!peer || peer->liveness >= CLUSTER_DEAD)
            continue;
        message = mesh_cluster_enqueue(cluster, peer->addr, MESH_TYPE_MOVE);
        memcpy(message->from, cluster->epoch.id, sizeof message->from);
        memcpy(message->ip, addr->ip, sizeof message->ip);
        message->port = addr->port;
        PUT_STANDING(&joining->standing, message);
    }
}

/* Where the one is that has answered. An answer can be played back as if from elsewhere, but only its source tells who of a group it is. */
static const struct mesh_addr *answerer(const struct cluster_contact *contact, const struct cluster_input *in)
{
    return contact->is_group ? &in->from : &contact->addr;
}

/* A process that has several addresses may be asked at one, be heard from another and be a member by that. So it gets a JOIN where it
 * seems to be, one only, since this may be anywhere; the others go where it was asked, and do not tell it that this is its address. */
static void ask_to_join(struct mesh_cluster *cluster, const struct cluster_contact *contact, const struct cluster_input *in,
                        const struct cluster_standing *theirs)
{
    const struct mesh_cookie *cookie = &in->message->as.cookie;
    struct mesh_addr addr = mesh_cluster_addr(cookie->ip, cookie->port, &in->from);
    const struct mesh_addr *via = answerer(contact, in);
    const bool is_guess = mesh_cluster_same_addr(&addr, &in->from) && !mesh_cluster_same_addr(&addr, via);
    struct cluster_joining *joining = &cluster->joining;

    if (joining->is_active && mesh_cluster_same_addr(is_guess && !joining->is_guess ? via : &addr, &joining->addr)) {
        joining->standing = *theirs; /* the same cluster again, as it is now */
        return;
    }
    if (cluster->now_ns < joining->backoff_until_ns || (joining->is_active && !mesh_cluster_is_better(theirs, &joining->standing)))
        return;
    *joining = (struct cluster_joining){.is_active = true,
                                        .is_guess = is_guess,
                                        .addr = addr,
                                        .via = *via,
                                        .nonce = mesh_cluster_draw64(cluster),
                                        .standing = *theirs,
                                        .at_ns = cluster->now_ns,
                                        .interval_ns = FIRST_NS,
                                        .until_ns = cluster->now_ns + SILENT_NS,
                                        .denied = joining->denied};
    memcpy(joining->cookie, cookie->cookie, sizeof joining->cookie);
    mesh_cluster_arm(cluster, cluster->now_ns);
    if (!contact->is_by_move)
        tell_members(cluster);
}

/* ---- answers ---- */

/* The answer to a JOIN: wait, or go elsewhere with another cookie. */
static void go_on(struct mesh_cluster *cluster, const struct cluster_input *in, const struct cluster_standing *theirs)
{
    const struct mesh_cookie *cookie = &in->message->as.cookie;
    struct cluster_joining *joining = &cluster->joining;
    struct cluster_standing ours;

    mesh_cluster_standing(cluster, &ours);
    if (memcmp(ours.id, theirs->id, sizeof ours.id) == 0 || !mesh_cluster_is_better(theirs, &ours)) {
        end_joining(cluster, 0);
        return;
    }
    joining->standing = *theirs;
    joining->is_waiting = cookie->is_waiting;
    if (cookie->is_waiting) {
        joining->until_ns = cluster->now_ns + WAITING_NS_MAX;
        joining->at_ns = cluster->now_ns + WAITING_NS;
        mesh_cluster_arm(cluster, joining->at_ns);
        return;
    }
    if (++joining->redirects > REDIRECTS) {
        end_joining(cluster, BACKOFF_NS);
        return;
    }
    joining->via = joining->addr;
    joining->addr = mesh_cluster_addr(cookie->ip, cookie->port, &joining->via);
    joining->is_guess = false;
    joining->is_unsure = mesh_cluster_same_addr(&joining->addr, &joining->via) && !mesh_cluster_same_addr(&joining->via, &in->from);
    memcpy(joining->cookie, cookie->cookie, sizeof joining->cookie);
    joining->interval_ns = FIRST_NS;
    joining->at_ns = cluster->now_ns;
    joining->until_ns = cluster->now_ns + SILENT_NS;
    mesh_cluster_arm(cluster, cluster->now_ns);
}

/* Their epoch is the one before this process's own: they were left behind, however many members they still count. */
static bool is_left_behind(const struct mesh_cluster *cluster, const struct cluster_standing *theirs)
{
    return !cluster->epoch.is_seeking && memcmp(theirs->id, cluster->epoch.id_before, sizeof theirs->id) == 0;
}

int mesh_cluster_joining_cookie(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_cookie *cookie = &in->message->as.cookie;
    struct cluster_contact *contact = mesh_cluster_contact_by_nonce(cluster, cookie->nonce);
    struct cluster_standing theirs, ours;
    bool is_first;

    STANDING_OF(cookie, &theirs);
    if (!contact && !(cluster->joining.is_active && cluster->joining.nonce == cookie->nonce))
        return MESH_ESTATE;
    mesh_cluster_peer_state(cluster, in->peer, in->number, cookie->number, cookie->id, true);
    if (!contact) {
        go_on(cluster, in, &theirs);
        return 0;
    }
    mesh_cluster_standing(cluster, &ours);
    if (memcmp(ours.id, theirs.id, sizeof ours.id) == 0) {
        mesh_cluster_contact_same(cluster, contact);
        return 0;
    }
    is_first = !contact->has_cookie;
    mesh_cluster_contact_met(cluster, contact);
    if (cluster->is_leaving || mesh_cluster_admission_starves(cluster, in->incarnation))
        return 0; /* one that this process has left out is not joined either, or all would begin anew in the other order */
    if (mesh_cluster_is_better(&theirs, &ours) && !is_left_behind(cluster, &theirs))
        ask_to_join(cluster, contact, in, &theirs);
    else if (is_first)
        invite(cluster, *answerer(contact, in), cookie->cookie, &ours); /* only one of a group: it tells its cluster's other members */
    return 0;
}

static void try_via(struct cluster_joining *joining)
{
    joining->addr = joining->via;
    joining->is_unsure |= joining->is_guess;
    joining->is_guess = false;
}

/* The others take this address for the coordinator's: the process before had it. The one that named it finds out by this JOIN. */
bool mesh_cluster_joining_self(struct mesh_cluster *cluster, uint64_t nonce)
{
    struct cluster_joining *joining = &cluster->joining;
    bool is_via;

    if (!joining->is_active || joining->nonce != nonce)
        return false;
    is_via = mesh_cluster_same_addr(&joining->addr, &joining->via);
    try_via(joining);
    joining->at_ns = cluster->now_ns + (joining->redirects || is_via ? FIRST_NS : 0);
    mesh_cluster_arm(cluster, joining->at_ns);
    return true;
}

static bool is_lasting(uint16_t reason)
{
    return reason == MESH_DENY_VERSION || reason == MESH_DENY_CLUSTER || reason == MESH_DENY_FINGERPRINT || reason == MESH_DENY_FEATURES;
}

/* A rank tells a process that is no member little. The list of the plan with this process began with the members. */
static struct mesh_addr unheard_member(const struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_deny *deny = &in->message->as.deny;
    const struct cluster_list *list = &cluster->vote.plan.list;
    const bool is_known = deny->reason == MESH_DENY_UNHEARD && cluster->vote.plan.stage && deny->found < list->count &&
                          mesh_cluster_same_addr(&cluster->vote.plan_from, &in->from);

    return is_known ? list->members[deny->found].addr : (struct mesh_addr){0};
}

int mesh_cluster_joining_deny(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_deny *deny = &in->message->as.deny;
    struct cluster_logged logged = {.type = MESH_CLUSTER_REFUSED,
                                    .reason = deny->reason,
                                    .addr = in->from,
                                    .found = deny->found,
                                    .expected = deny->expected,
                                    .unheard = unheard_member(cluster, in)};
    struct cluster_contact *contact = deny->reason == MESH_DENY_VERSION ? mesh_cluster_contact_by_number(cluster, deny->nonce, &in->from)
                                                                        : mesh_cluster_contact_by_nonce(cluster, deny->nonce);
    bool is_told;

    if (!contact && !(cluster->joining.is_active && cluster->joining.nonce == deny->nonce))
        return MESH_ESTATE;
    is_told = contact ? mesh_cluster_contact_is_told(contact, deny->reason) : cluster->joining.denied == deny->reason;
    if (!is_told)
        mesh_cluster_log(cluster, &logged); /* once */
    if (!contact)
        cluster->joining.denied = deny->reason;
    cluster->stats.refused[deny->reason]++;
    if (contact)
        mesh_cluster_contact_denied(cluster, contact, is_lasting(deny->reason));
    else
        end_joining(cluster, DENIED_NS);
    return 0;
}

int mesh_cluster_joining_move(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_move *move = &in->message->as.move;
    struct mesh_addr addr = mesh_cluster_addr(move->ip, move->port, &in->from);
    struct cluster_standing theirs, ours;

    if (!mesh_cluster_is_member(in->peer) || memcmp(move->from, cluster->epoch.id, sizeof move->from) != 0)
        return MESH_ESENDER;
    STANDING_OF(move, &theirs);
    mesh_cluster_standing(cluster, &ours);
    if (cluster->is_leaving || !mesh_cluster_is_better(&theirs, &ours))
        return MESH_ESTATE;
    mesh_cluster_peer_heard(cluster, in);
    mesh_cluster_contact_learn(cluster, &addr, true);
    return 0;
}

/* ---- the JOIN ---- */

static void say_join(struct mesh_cluster *cluster)
{
    const struct cluster_joining *joining = &cluster->joining;
    struct mesh_join *join = mesh_cluster_enqueue(cluster, joining->addr, MESH_TYPE_JOIN);

    join->nonce = joining->nonce;
    memcpy(join->cookie, joining->cookie, sizeof join->cookie);
    memcpy(join->cluster, cluster->config.cluster, sizeof join->cluster);
    memcpy(join->fingerprint, cluster->config.fingerprint, sizeof join->fingerprint);
    join->features = cluster->config.features;
    join->number = cluster->epoch.number;
    join->speed = cluster->config.speed;
    join->app_flags = cluster->config.flags;
    if (joining->is_unsure)
        return;
    memcpy(join->to_ip, joining->addr.ip, sizeof join->to_ip);
    join->to_port = joining->addr.port;
}

void mesh_cluster_joining_tick(struct mesh_cluster *cluster)
{
    struct cluster_joining *joining = &cluster->joining;

    if (!joining->is_active)
        return;
    if (cluster->now_ns >= joining->until_ns) {
        end_joining(cluster, BACKOFF_NS);
        return;
    }
    if (cluster->now_ns >= joining->at_ns) {
        say_join(cluster);
        if (joining->is_guess)
            try_via(joining);
        joining->at_ns = cluster->now_ns + (joining->is_waiting ? WAITING_NS : joining->interval_ns);
        joining->interval_ns = 2 * joining->interval_ns < SLOWEST_NS ? 2 * joining->interval_ns : SLOWEST_NS;
    }
    mesh_cluster_arm(cluster, joining->at_ns < joining->until_ns ? joining->at_ns : joining->until_ns);
}
