/* Strangers: a process that asks is told who is here and gets a cookie; one that brings the cookie to the coordinator is noted and taken
 * in.
 *
 * A cookie is a hash of the epoch's id and of who asked from where, so any member can check any other's, and cookies are not remembered.
 * Invariant: nothing is kept for a process that has not shown a valid cookie, and no answer is longer than its question. */
#include "cluster_parts.h"

#include <string.h>

#include "mesh/program/byte_order.h"

#define JOINER_NS      CLUSTER_S          /* a joiner that is silent for so long is forgotten */
#define SILENT_NS      (100 * CLUSTER_MS) /* how long one is kept out that did not answer */
#define STARVED_NS     (15 * CLUSTER_S)   /* and one that starves another or is starved, then twice as long, since only steps show it */
#define STARVED_NS_MAX (960 * CLUSTER_S)
#define STARVED_OLD_NS (3600 * CLUSTER_S)
#define GATHERS        5 /* more joiners put a plan off, up to so many times */

/* No answer is longer than its question. */
_Static_assert(sizeof(struct mesh_cookie_bytes) <= sizeof(struct mesh_ask_bytes), "the question is longer");
_Static_assert(sizeof(struct mesh_cookie_bytes) <= sizeof(struct mesh_join_bytes), "the question is longer");
_Static_assert(sizeof(struct mesh_deny_bytes) <= sizeof(struct mesh_ask_bytes), "the question is longer");
_Static_assert(sizeof(struct mesh_deny_bytes) <= sizeof(struct mesh_join_bytes), "the question is longer");

/* ---- addresses ---- */

void mesh_cluster_where(const struct mesh_cluster *cluster, uint8_t ip[16], uint16_t *port)
{
    uint16_t coordinator = mesh_cluster_lowest_trusted(cluster);

    memset(ip, 0, 16);
    *port = 0;
    if (coordinator == cluster->epoch.rank)
        return;
    memcpy(ip, cluster->epoch.list.members[coordinator].addr.ip, 16);
    *port = cluster->epoch.list.members[coordinator].addr.port;
}

/* A scope is the number of a local interface: for a link-local address, that of the link by which the message came. */
struct mesh_addr mesh_cluster_addr(const uint8_t ip[16], uint16_t port, const struct mesh_addr *from)
{
    struct mesh_addr addr = {.port = port};

    memcpy(addr.ip, ip, sizeof addr.ip);
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)
        addr.scope = from->scope;
    return mesh_cluster_has_addr(&addr) ? addr : *from;
}

/* ---- cookies ---- */

static void make_cookie(struct mesh_cluster *cluster, const uint8_t id[16], const struct cluster_input *in, uint8_t out[16])
{
    uint8_t *at = cluster->scratch;

    memcpy(at, "mesh cookie", 11);
    memcpy(at + 11, id, 16);
    memcpy(at + 27, in->incarnation, 16);
    memcpy(at + 43, in->from.ip, 16);
    at[59] = (uint8_t)(in->from.port & 255);
    at[60] = (uint8_t)(in->from.port >> 8);
    cluster->config.hash(at, 61, out);
}

/* A cookie of this epoch, or of the one before: this one may have begun since then. Before the first there was none, and what a cookie of
 * zeros would be anybody can tell. */
static bool is_cookie(struct mesh_cluster *cluster, const struct cluster_input *in, const uint8_t cookie[16])
{
    static const uint8_t none[16];
    const bool has_before = memcmp(cluster->epoch.id_before, none, sizeof none) != 0;
    uint8_t now[16], before[16];

    make_cookie(cluster, cluster->epoch.id, in, now);
    make_cookie(cluster, cluster->epoch.id_before, in, before);
    return memcmp(cookie, now, sizeof now) == 0 || (has_before && memcmp(cookie, before, sizeof before) == 0);
}

static void say_cookie(struct mesh_cluster *cluster, const struct cluster_input *in, uint64_t nonce, bool is_waiting)
{
    struct mesh_cookie *cookie = mesh_cluster_enqueue(cluster, in->from, MESH_TYPE_COOKIE);
    struct cluster_standing standing;

    mesh_cluster_standing(cluster, &standing);
    cookie->nonce = nonce;
    make_cookie(cluster, cluster->epoch.id, in, cookie->cookie);
    cookie->is_waiting = is_waiting;
    mesh_cluster_where(cluster, cookie->ip, &cookie->port);
    cookie->members = standing.members;
    cookie->number = standing.number;
    memcpy(cookie->first, standing.first, sizeof cookie->first);
    memcpy(cookie->id, standing.id, sizeof cookie->id);
}

/* ---- denials ---- */

static int deny(struct mesh_cluster *cluster, struct mesh_addr to, const struct mesh_deny *what)
{
    struct mesh_deny *message = mesh_cluster_enqueue(cluster, to, MESH_TYPE_DENY);

    message->reason = what->reason;
    message->nonce = what->nonce;
    message->found = what->found;
    message->expected = what->expected;
    cluster->stats.denied[what->reason]++;
    return MESH_EREFUSED;
}

int mesh_cluster_admission_version(struct mesh_cluster *cluster, struct mesh_addr from, const struct mesh_header *header, size_t bytes)
{
    struct mesh_deny what = {
        .reason = MESH_DENY_VERSION, .nonce = header->number, .found = header->version, .expected = cluster->config.version};

    if (header->type == MESH_TYPE_ASK && header->number && bytes >= MESH_HEADER_BYTES + sizeof(struct mesh_deny_bytes))
        deny(cluster, from, &what);
    return MESH_EVERSION;
}

/* True when it fits; otherwise *what says why not. */
static bool fits(const struct mesh_cluster *cluster, const uint8_t name[16], const uint8_t fingerprint[32], uint32_t features,
                 struct mesh_deny *what)
{
    const struct mesh_cluster_config *config = &cluster->config;

    what->found = mesh_big_get64(name);
    what->expected = mesh_big_get64(config->cluster);
    what->reason = MESH_DENY_CLUSTER;
    if (memcmp(name, config->cluster, sizeof config->cluster) != 0)
        return false;
    what->found = mesh_big_get64(fingerprint);
    what->expected = mesh_big_get64(config->fingerprint);
    what->reason = MESH_DENY_FINGERPRINT;
    if (memcmp(fingerprint, config->fingerprint, sizeof config->fingerprint) != 0)
        return false;
    what->found = features;
    what->expected = config->features_required;
    what->reason = MESH_DENY_FEATURES;
    return (features & config->features_required) == config->features_required;
}

/* ---- bans ---- */

static struct cluster_ban *find_ban(const struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < CLUSTER_BANS_MAX; i++)
        if (cluster->bans[i].number && memcmp(cluster->bans[i].incarnation, incarnation, 16) == 0)
            return (struct cluster_ban *)&cluster->bans[i];
    return NULL;
}

/* Until then it denies, or its length counts for the next one. What only needs_check keeps after that may go: such a process joins without
 * a check. */
static uint64_t matters_until_ns(const struct cluster_ban *ban)
{
    return ban->number ? ban->until_ns + (ban->starved_ns ? STARVED_OLD_NS : 0) : 0;
}

/* A free place, or that of the ban which is over first: newcomers that fail one after the other must not shorten a long one. */
static struct cluster_ban *find_place(struct mesh_cluster *cluster)
{
    struct cluster_ban *place = &cluster->bans[cluster->ban_next++ % CLUSTER_BANS_MAX];

    for (unsigned i = 0; i < CLUSTER_BANS_MAX; i++)
        if (matters_until_ns(&cluster->bans[i]) < matters_until_ns(place))
            place = &cluster->bans[i];
    return place;
}

static struct cluster_ban *ban(struct mesh_cluster *cluster, const struct cluster_peer *peer, uint64_t ban_ns)
{
    struct cluster_ban *place = find_ban(cluster, peer->incarnation);

    if (!place) {
        place = find_place(cluster);
        memset(place, 0, sizeof *place);
        memcpy(place->incarnation, peer->incarnation, sizeof place->incarnation);
    }
    place->number = peer->highest ? peer->highest : 1;
    place->until_ns = cluster->now_ns + ban_ns;
    place->unheard = UINT16_MAX;
    place->is_starved = false;
    return place;
}

void mesh_cluster_admission_deny(struct mesh_cluster *cluster, struct cluster_peer *joiner, enum mesh_deny_reason reason, uint64_t found,
                                 uint64_t expected, uint64_t ban_ns)
{
    struct mesh_deny what = {.reason = (uint16_t)reason, .nonce = joiner->join_nonce, .found = found, .expected = expected};
    struct cluster_ban *place = ban(cluster, joiner, ban_ns ? ban_ns : SILENT_NS);

    if (reason)
        deny(cluster, joiner->addr, &what);
    if (reason == MESH_DENY_UNHEARD) {
        place->unheard = (uint16_t)found;
        place->needs_check = true;
    }
    joiner->is_joining = false;
    joiner->is_used = joiner->rank >= 0;
}

bool mesh_cluster_admission_starves(const struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    const struct cluster_ban *place = find_ban(cluster, incarnation);

    return place && place->is_starved && cluster->now_ns < place->until_ns;
}

/* As the list of the epoch has it, in which its rank was left out. */
struct mesh_addr mesh_cluster_admission_starved_by(const struct mesh_cluster *cluster, const struct cluster_peer *member)
{
    const struct cluster_ban *place = find_ban(cluster, member->incarnation);
    const bool is_starved = member->is_out && mesh_cluster_admission_starves(cluster, member->incarnation);

    return is_starved && place->unheard < cluster->epoch.list.count ? cluster->epoch.list.members[place->unheard].addr
                                                                    : (struct mesh_addr){.port = 0};
}

static uint64_t starved_ns(struct mesh_cluster *cluster, const struct cluster_peer *member)
{
    const struct cluster_ban *last = find_ban(cluster, member->incarnation);

    if (!last || !last->starved_ns || cluster->now_ns > last->until_ns + STARVED_OLD_NS)
        return STARVED_NS;
    return 2 * last->starved_ns < STARVED_NS_MAX ? 2 * last->starved_ns : STARVED_NS_MAX;
}

void mesh_cluster_admission_exclude(struct mesh_cluster *cluster, const struct cluster_peer *member, uint16_t unheard, bool is_starved)
{
    const uint64_t ban_ns = is_starved ? starved_ns(cluster, member) : CLUSTER_S;
    struct cluster_ban *place = ban(cluster, member, ban_ns);

    place->starved_ns = is_starved ? ban_ns : place->starved_ns;
    place->is_starved = is_starved;
    place->unheard = unheard;
    place->needs_check = true;
}

/* ---- questions ---- */

int mesh_cluster_admission_ask(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_ask *ask = &in->message->as.ask;
    struct mesh_deny what = {.nonce = ask->nonce};

    if (!fits(cluster, ask->cluster, ask->fingerprint, ask->features, &what))
        return deny(cluster, in->from, &what);
    mesh_cluster_peer_state(cluster, in->peer, in->number, ask->number, ask->id, true);
    say_cookie(cluster, in, ask->nonce, false);
    return 0;
}

static unsigned count_joiners(const struct mesh_cluster *cluster)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++)
        count += cluster->peers[i].is_used && cluster->peers[i].is_joining;
    return count;
}

/* There is room to note all that this lets in, since this process is a member: MESH_DENY_BUSY is not needed. */
static bool is_full(const struct mesh_cluster *cluster, unsigned joiners, struct mesh_deny *what)
{
    unsigned lost = mesh_cluster_count(mesh_cluster_ranks_by_liveness(cluster, CLUSTER_DEAD, CLUSTER_GONE));
    unsigned members = cluster->epoch.list.count - lost;

    what->reason = MESH_DENY_FULL;
    what->found = members + joiners + 1;
    what->expected = MESH_RANKS_MAX;
    return members + joiners >= MESH_RANKS_MAX;
}

static void gather(struct mesh_cluster *cluster)
{
    uint64_t at_ns = cluster->now_ns + cluster->config.gather_ns;

    if (!cluster->gather_at_ns || cluster->gather_until_ns <= cluster->now_ns)
        cluster->gather_until_ns = cluster->now_ns + GATHERS * cluster->config.gather_ns;
    cluster->gather_at_ns = at_ns < cluster->gather_until_ns ? at_ns : cluster->gather_until_ns;
    mesh_cluster_arm(cluster, cluster->gather_at_ns);
}

/* Another process has a member's address, so the member is most likely dead. */
static void suspect_predecessor(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (peer && peer != in->peer && peer->liveness == CLUSTER_TRUSTED && mesh_cluster_same_addr(&peer->addr, &in->from))
            peer->liveness = CLUSTER_SUSPECTED;
    }
}

/* Note it, or find that it is noted. NULL: there is no room. */
static struct cluster_peer *note_joiner(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_join *join = &in->message->as.join;
    struct cluster_ban *place = find_ban(cluster, in->incarnation);
    struct cluster_peer *peer = in->peer ? in->peer : mesh_cluster_peer_add(cluster, in->incarnation, in->from);

    if (!peer)
        return NULL;
    if (!peer->is_fresh)
        mesh_cluster_peer_base(peer, in->number); /* the cookie is fresh */
    if (!peer->is_joining) {
        peer->is_joining = true;
        peer->join_ns = cluster->now_ns;
        peer->needs_check = place && place->needs_check;
        gather(cluster);
    }
    if (peer->rank < 0)
        peer->addr = in->from;
    peer->join_nonce = join->nonce;
    peer->join_number = join->number;
    peer->join_heard_ns = cluster->now_ns;
    peer->speed = join->speed;
    peer->flags = join->app_flags;
    mesh_cluster_arm(cluster, cluster->now_ns + JOINER_NS);
    return peer;
}

/* It is one of us. Either its COMMIT has not come, and will; or it is not one of us any more. */
static bool is_already_in(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    static const uint8_t other[16];

    mesh_cluster_peer_state(cluster, in->peer, in->number, in->message->as.join.number, other, true);
    return in->peer->liveness != CLUSTER_GONE;
}

static int check_join(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_join *join = &in->message->as.join;
    struct mesh_deny what = {.nonce = join->nonce};
    struct cluster_ban *place = find_ban(cluster, in->incarnation);

    if (!fits(cluster, join->cluster, join->fingerprint, join->features, &what))
        return deny(cluster, in->from, &what);
    what.reason = MESH_DENY_NUMBER;
    what.found = join->number;
    what.expected = mesh_cluster_peer_limit(cluster);
    if (what.found > what.expected)
        return deny(cluster, in->from, &what); /* an epoch above it would leave too few numbers */
    if (place && in->number <= place->number)
        return MESH_EDUPLICATE;
    if (!is_cookie(cluster, in, join->cookie)) {
        say_cookie(cluster, in, join->nonce, false);
        return MESH_ESTATE;
    }
    if (place && cluster->now_ns < place->until_ns) {
        what.reason = MESH_DENY_UNHEARD;
        what.found = place->unheard;
        what.expected = 0;
        return place->unheard == UINT16_MAX ? MESH_ESTATE : deny(cluster, in->from, &what);
    }
    return 0;
}

/* The own address, as others see it, if they say; also instead of that of an earlier epoch, which nobody else is in any more. False: it is
 * not known. */
static bool learn_addr(struct mesh_cluster *cluster, const struct cluster_input *in, unsigned joiners)
{
    const struct mesh_join *join = &in->message->as.join;
    const bool is_old = !mesh_cluster_has_addr(&cluster->config.addr) && cluster->epoch.list.count == 1 && joiners == 0;
    struct mesh_addr told = {.port = join->to_port};

    memcpy(told.ip, join->to_ip, sizeof told.ip);
    if ((is_old || !mesh_cluster_has_addr(&cluster->addr)) && mesh_cluster_has_addr(&told))
        cluster->addr = mesh_cluster_addr(join->to_ip, join->to_port, &in->from);
    return mesh_cluster_has_addr(&cluster->addr);
}

int mesh_cluster_admission_join(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_join *join = &in->message->as.join;
    struct mesh_deny what = {.nonce = join->nonce};
    unsigned joiners = count_joiners(cluster);
    int err = check_join(cluster, in);

    if (err)
        return err;
    suspect_predecessor(cluster, in);
    if (mesh_cluster_lowest_trusted(cluster) != cluster->epoch.rank) {
        say_cookie(cluster, in, join->nonce, false); /* it says where the coordinator is */
        return 0;
    }
    if (mesh_cluster_is_member(in->peer)) {
        if (in->number <= in->peer->state_number)
            return MESH_ESTATE;
        if (is_already_in(cluster, in)) {
            in->peer->commit_due = (uint8_t)mesh_cluster_mask(mesh_cluster_list_parts(&cluster->epoch.list));
            say_cookie(cluster, in, join->nonce, true);
            return 0;
        }
    }
    if (!in->peer && is_full(cluster, joiners, &what))
        return deny(cluster, in->from, &what);
    if (!learn_addr(cluster, in, joiners)) {
        say_cookie(cluster, in, join->nonce, false);
        return MESH_ESTATE;
    }
    mesh_cluster_peer_raise(cluster, join->number);
    if (!note_joiner(cluster, in))
        return MESH_ENOMEM;
    say_cookie(cluster, in, join->nonce, true);
    return 0;
}

int mesh_cluster_admission_invite(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_invite *invite = &in->message->as.invite;
    struct cluster_standing theirs = {.members = invite->members, .number = invite->number}, ours;
    struct mesh_addr addr = mesh_cluster_addr(invite->ip, invite->port, &in->from);

    if (!is_cookie(cluster, in, invite->cookie))
        return MESH_ESTATE;
    memcpy(theirs.first, invite->first, sizeof theirs.first);
    mesh_cluster_standing(cluster, &ours);
    if (cluster->is_leaving || !mesh_cluster_is_better(&theirs, &ours))
        return MESH_ESTATE;
    mesh_cluster_contact_learn(cluster, &addr, false);
    return 0;
}

void mesh_cluster_admission_tick(struct mesh_cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++) {
        struct cluster_peer *peer = &cluster->peers[i];

        if (!peer->is_used || !peer->is_joining)
            continue;
        if (cluster->now_ns - peer->join_heard_ns < JOINER_NS) {
            mesh_cluster_arm(cluster, peer->join_heard_ns + JOINER_NS);
            continue;
        }
        if (cluster->plan.stage && cluster->plan.stage != MESH_STAGE_COMMIT &&
            mesh_cluster_list_find(&cluster->plan.list, peer->incarnation) >= 0)
            mesh_cluster_ballot_stop(cluster);
        peer->is_joining = false;
        peer->is_used = peer->rank >= 0;
    }
}
