/* The failure detector: who is dead. A suspicion goes to the lowest rank that is not suspected; that rank asks the suspect once more, and
 * tells those that suspected it when it answers. If it does not, a new epoch is agreed upon, in cluster_plan.c.
 *
 * Two members that cannot hear one another while the asking rank hears both collect strikes: with the third, the higher rank of the two is
 * left out, and has to show that all hear it before it comes back. A suspicion by a member that has heard the suspect recently is no
 * strike: then somebody is only slow. A rank that asks in the coordinator's place cannot leave anybody out, so an unheard coordinator is
 * told so itself: it may well hear the member that does not hear it.
 *
 * Two members that hear one another, but between which large datagrams do not pass, starve: steps would wait for them without end. The one
 * that waits tells the coordinator, and that counts as strikes do. */
#include "cluster_parts.h"

#include <string.h>

#define STRIKE_NS       (10 * CLUSTER_S)   /* strikes older than that are forgotten */
#define STRIKE_APART_NS (200 * CLUSTER_MS) /* less apart they count as one: a verdict may have been lost */
#define STRIKES         3
#define ASK_TIMES       4
#define REPORT_NS       (2 * CLUSTER_MS)
#define REPORT_NS_MAX   (20 * CLUSTER_MS)
#define DEAF_NS         (2 * CLUSTER_PING_NS) /* two signs of life are missing */

static void start_asking(struct mesh_cluster *cluster, struct cluster_peer *peer)
{
    peer->liveness = CLUSTER_ASKING;
    peer->asked_ns = peer->ask_at_ns = cluster->now_ns;
    peer->asked_until_ns = cluster->now_ns + mesh_cluster_response_timeout(cluster, peer);
    cluster->stats.suspicions++;
    mesh_cluster_arm(cluster, cluster->now_ns);
}

/* ---- strikes ---- */

static bool counts(const struct mesh_cluster *cluster, const struct cluster_strike *strike)
{
    return strike->count && cluster->now_ns - strike->first_ns <= STRIKE_NS;
}

/* NULL: there is no room. No strike that counts gives way to another: where many pairs of members do not hear one another, as behind a
 * switch that loses some of what passes it, none would ever count to three. So some of them do, members are left out, and then others. */
static struct cluster_strike *find_strike(struct mesh_cluster *cluster, const uint8_t by[16], const uint8_t of[16])
{
    struct cluster_strike *room = NULL;

    for (unsigned i = 0; i < CLUSTER_STRIKES_MAX; i++) {
        struct cluster_strike *strike = &cluster->strikes[i];

        if (strike->count && memcmp(strike->by, by, 16) == 0 && memcmp(strike->of, of, 16) == 0)
            return strike;
        if (!counts(cluster, strike) && (!room || strike->last_ns < room->last_ns))
            room = strike;
    }
    if (!room)
        return NULL;
    memset(room, 0, sizeof *room);
    memcpy(room->by, by, sizeof room->by);
    memcpy(room->of, of, sizeof room->of);
    return room;
}

/* True with the third. */
static bool is_out(struct mesh_cluster *cluster, const uint8_t by[16], const uint8_t of[16])
{
    struct cluster_strike *strike = find_strike(cluster, by, of);

    if (!strike)
        return false;
    if (!counts(cluster, strike))
        strike->count = 0;
    if (strike->count && cluster->now_ns - strike->last_ns < STRIKE_APART_NS)
        return false;
    if (!strike->count)
        strike->first_ns = cluster->now_ns;
    strike->last_ns = cluster->now_ns;
    if (++strike->count < STRIKES)
        return false;
    strike->count = 0;
    return true;
}

static void exclude(struct mesh_cluster *cluster, unsigned a, unsigned b, bool is_starved)
{
    unsigned out = a > b ? a : b, stays = a > b ? b : a;
    struct cluster_peer *peer = mesh_cluster_peer_at(cluster, out);

    if (!peer || !mesh_cluster_is_coordinator(cluster))
        return;
    peer->liveness = CLUSTER_DEAD;
    peer->is_out = true;
    mesh_cluster_admission_exclude(cluster, peer, (uint16_t)stays, is_starved);
}

/* by: who hears nothing of these ranks of the epoch. What starves one of two members says nothing of which of them is at fault. */
static void exclude_starved(struct mesh_cluster *cluster, uint16_t by, uint64_t ranks)
{
    const struct mesh_cluster_member *members = cluster->epoch.list.members;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++)
        if (ranks >> rank & 1 && rank != by && is_out(cluster, members[by].incarnation, members[rank].incarnation))
            exclude(cluster, by, rank, true);
}

/* Who answers signs of life but never votes, because its path does not carry the lists of plans, would keep all others from any epoch. So
 * after many plans given up in a row these suspicions count, too. */
void mesh_cluster_suspect_unvoted(struct mesh_cluster *cluster, struct cluster_peer *peer)
{
    if (peer->liveness != CLUSTER_TRUSTED)
        return;
    peer->liveness = CLUSTER_SUSPECTED;
    if (cluster->plan.tries >= CLUSTER_TRIES_MAX)
        peer->deaf |= UINT64_C(1) << cluster->epoch.rank;
}

/* ---- verdicts ---- */

static void say_verdict(struct mesh_cluster *cluster, struct mesh_addr to, uint64_t alive, uint64_t doubted)
{
    struct mesh_verdict *verdict = mesh_cluster_enqueue(cluster, to, MESH_TYPE_VERDICT);

    memcpy(verdict->id, cluster->epoch.id, sizeof verdict->id);
    verdict->alive = alive;
    verdict->doubted = doubted;
}

void mesh_cluster_suspect_answered(struct mesh_cluster *cluster, struct cluster_peer *peer, uint64_t origin_ns)
{
    uint64_t accusers = peer->accusers, deaf = peer->deaf;

    if (peer->liveness != CLUSTER_ASKING || origin_ns < peer->asked_ns)
        return;
    peer->liveness = CLUSTER_TRUSTED;
    peer->accusers = peer->deaf = 0;
    cluster->stats.suspicions_wrong++;
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *accuser = mesh_cluster_peer_at(cluster, rank);

        if (!(accusers >> rank & 1))
            continue;
        if (accuser)
            say_verdict(cluster, accuser->addr, UINT64_C(1) << peer->rank, 0);
        if (deaf >> rank & 1 && is_out(cluster, cluster->epoch.list.members[rank].incarnation, peer->incarnation))
            exclude(cluster, rank, (unsigned)peer->rank, false);
    }
}

int mesh_cluster_suspect_verdict(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_verdict *verdict = &in->message->as.verdict;

    if (!mesh_cluster_is_member(in->peer) || memcmp(verdict->id, cluster->epoch.id, sizeof verdict->id) != 0)
        return MESH_ESENDER;
    if (!in->is_newest)
        return MESH_ESTATE;
    mesh_cluster_peer_heard(cluster, in);
    in->peer->is_in = true;
    if (cluster->report.is_active && cluster->report.rank == in->peer->rank)
        cluster->report.until_ns = cluster->now_ns + CLUSTER_URGENT_NS + 2 * mesh_cluster_response_timeout(cluster, in->peer);
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (!peer || !(verdict->alive >> rank & 1) || peer->liveness != CLUSTER_SUSPECTED)
            continue;
        peer->liveness = CLUSTER_TRUSTED;
        peer->confirmed_ns = cluster->now_ns;
    }
    return 0;
}

/* ---- reports ---- */

int mesh_cluster_suspect_report(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_suspect *suspect = &in->message->as.suspect;
    uint64_t alive = 0, doubted = 0;
    bool is_deaf = false; /* the reporter does not hear this process */

    if (!mesh_cluster_is_member(in->peer))
        return MESH_ESENDER;
    if (memcmp(suspect->id, cluster->epoch.id, sizeof suspect->id) != 0) {
        mesh_cluster_alive_send(cluster, in->from, 0, 0); /* tells which epoch this process is in */
        return MESH_EEPOCH;
    }
    if (!in->is_newest)
        return MESH_ESTATE; /* it has said something else since then */
    mesh_cluster_peer_heard(cluster, in);
    in->peer->is_in = true;
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (!(suspect->ranks >> rank & 1))
            continue;
        if (!peer) {
            alive |= UINT64_C(1) << rank; /* this process */
            is_deaf = suspect->unheard >> rank & 1;
            continue;
        }
        if (peer == in->peer)
            continue;
        if (peer->liveness < CLUSTER_ASKING)
            start_asking(cluster, peer);
        peer->accusers |= UINT64_C(1) << in->peer->rank;
        peer->deaf |= (suspect->unheard >> rank & 1) << in->peer->rank;
        doubted |= UINT64_C(1) << rank;
    }
    say_verdict(cluster, in->from, alive, doubted);
    if (is_deaf && is_out(cluster, in->incarnation, cluster->config.incarnation))
        exclude(cluster, cluster->epoch.rank, (unsigned)in->peer->rank, false);
    exclude_starved(cluster, (uint16_t)in->peer->rank, suspect->unheard & ~suspect->ranks);
    return 0;
}

static uint64_t unheard(const struct mesh_cluster *cluster)
{
    uint64_t ranks = 0;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++)
        if (rank != cluster->epoch.rank && cluster->now_ns - cluster->peers[cluster->peer_of[rank]].heard_ns >= DEAF_NS)
            ranks |= UINT64_C(1) << rank;
    return ranks;
}

/* asking: the rank that is to ask the suspects. */
static void report(struct mesh_cluster *cluster, uint16_t asking)
{
    struct cluster_report *going = &cluster->report;

    if (going->is_active && going->rank == asking)
        return;
    going->is_active = true;
    going->rank = asking;
    going->at_ns = cluster->now_ns;
    going->interval_ns = REPORT_NS;
    going->until_ns = cluster->now_ns + mesh_cluster_response_timeout(cluster, mesh_cluster_peer_at(cluster, asking));
    mesh_cluster_arm(cluster, cluster->now_ns);
}

void mesh_cluster_suspect_settle(struct mesh_cluster *cluster)
{
    uint64_t suspected = mesh_cluster_ranks_by_liveness(cluster, CLUSTER_SUSPECTED, CLUSTER_SUSPECTED);
    uint16_t asking = mesh_cluster_lowest_trusted(cluster);

    if (!suspected) {
        cluster->report.is_active = false;
        return;
    }
    if (asking != cluster->epoch.rank) {
        report(cluster, asking);
        return;
    }
    cluster->report.is_active = false;
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (!(suspected >> rank & 1))
            continue;
        start_asking(cluster, peer);
        peer->accusers |= UINT64_C(1) << cluster->epoch.rank;
    }
}

/* ---- time ---- */

/* A suspect that has been heard since it was asked is alive, even if it does not hear the question: its time begins once more. */
static uint64_t dead_at_ns(const struct cluster_peer *peer)
{
    uint64_t heard_ns = peer->heard_ns < peer->asked_until_ns ? peer->heard_ns : peer->asked_until_ns;
    uint64_t until_ns = heard_ns > peer->asked_ns ? heard_ns + (peer->asked_until_ns - peer->asked_ns) : peer->asked_until_ns;
    uint64_t queued_ns = mesh_cluster_response_queued(peer, peer->asked_ns);

    return until_ns > queued_ns ? until_ns : queued_ns;
}

static void asking_tick(struct mesh_cluster *cluster, struct cluster_peer *peer)
{
    uint64_t until_ns = dead_at_ns(peer);

    if (cluster->now_ns >= until_ns) {
        peer->liveness = CLUSTER_DEAD;
        return;
    }
    if (cluster->now_ns >= peer->ask_at_ns) {
        mesh_cluster_alive_send(cluster, peer->addr, MESH_ALIVE_ASKS, cluster->now_ns);
        peer->ask_at_ns = cluster->now_ns + (peer->asked_until_ns - peer->asked_ns) / ASK_TIMES;
    }
    mesh_cluster_arm(cluster, peer->ask_at_ns < until_ns ? peer->ask_at_ns : until_ns);
}

static void say_suspect(struct mesh_cluster *cluster, const struct cluster_peer *to, uint64_t ranks, uint64_t deaf_to)
{
    struct mesh_suspect *message = mesh_cluster_enqueue(cluster, to->addr, MESH_TYPE_SUSPECT);

    memcpy(message->id, cluster->epoch.id, sizeof message->id);
    message->ranks = ranks;
    message->unheard = deaf_to;
}

void mesh_cluster_suspect_report_starved(struct mesh_cluster *cluster, uint16_t rank)
{
    const uint16_t asking = mesh_cluster_lowest_trusted(cluster);

    if (asking == cluster->epoch.rank)
        exclude_starved(cluster, asking, UINT64_C(1) << rank);
    else
        say_suspect(cluster, mesh_cluster_peer_at(cluster, asking), 0, UINT64_C(1) << rank);
}

/* To the rank that is to ask. And to each lower rank that is not heard, of itself: one of these coordinates, and may not know that it is
 * unheard. */
static void say_suspects(struct mesh_cluster *cluster, uint16_t asking)
{
    uint64_t ranks = mesh_cluster_ranks_by_liveness(cluster, CLUSTER_SUSPECTED, CLUSTER_DEAD), deaf_to = ranks & unheard(cluster);

    say_suspect(cluster, mesh_cluster_peer_at(cluster, asking), ranks, deaf_to);
    for (unsigned rank = 0; rank < asking; rank++)
        if (deaf_to >> rank & 1)
            say_suspect(cluster, mesh_cluster_peer_at(cluster, rank), UINT64_C(1) << rank, UINT64_C(1) << rank);
}

static void report_tick(struct mesh_cluster *cluster)
{
    struct cluster_report *going = &cluster->report;
    struct cluster_peer *asking;

    if (!going->is_active)
        return;
    asking = mesh_cluster_peer_at(cluster, going->rank);
    if (cluster->now_ns >= going->until_ns) {
        going->is_active = false;
        if (asking->liveness == CLUSTER_TRUSTED)
            asking->liveness = CLUSTER_SUSPECTED; /* then the next one is told */
        return;
    }
    if (cluster->now_ns >= going->at_ns) {
        say_suspects(cluster, going->rank);
        going->at_ns = cluster->now_ns + going->interval_ns;
        going->interval_ns = 2 * going->interval_ns < REPORT_NS_MAX ? 2 * going->interval_ns : REPORT_NS_MAX;
    }
    mesh_cluster_arm(cluster, going->at_ns < going->until_ns ? going->at_ns : going->until_ns);
}

void mesh_cluster_suspect_tick(struct mesh_cluster *cluster)
{
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (peer && peer->liveness == CLUSTER_ASKING)
            asking_tick(cluster, peer);
    }
    report_tick(cluster);
}
