/* How long a suspect has to answer: by how long members took to answer lately, and by which members were wrongly taken for dead before.
 *
 * An overloaded machine answers late; a member that has just begun an epoch does so once. So of the last answers the second slowest counts:
 * one late answer means nothing, two do. A member that was left out nevertheless, and soon came back, has twice as long the next time;
 * otherwise it would be left out again and again.
 *
 * A machine that does other work stops a process for some milliseconds now and then. Answers late for that reason are too rare to be among
 * the last ones, so the slowest of the last ten minutes count, too. A process that was itself not given a processor cannot tell who is
 * silent: time that it missed is nobody's fault, and others may well be on the same machine. */
#include "cluster_parts.h"

#include <string.h>

#define CONFIRM_NS     (7 * CLUSTER_MS)
#define TIMEOUT_NS_MAX (2 * CLUSTER_S)
#define WRONG_NS       (3 * CLUSTER_S)   /* a member that is back so soon was not dead */
#define CALM_NS        (60 * CLUSTER_S)  /* after so long without a mistake, half the time is enough again */
#define TIMES          4                 /* of answering, and as many questions */
#define LATE_NS        CONFIRM_NS        /* an answer that took longer is late */
#define BUSY_NS        (600 * CLUSTER_S) /* how long it is remembered: other work comes again */
#define BEGINNING_NS   CLUSTER_S         /* of an epoch, when members have other things to do */
#define MISSED_NS      CLUSTER_MS        /* called so much too late: this process did not run */
#define MISTAKES_MAX   8                 /* doublings */
#define QUEUED_TIMES   2                 /* of the time that a member has been heard without its answer */

/* ---- times of answering ---- */

static uint64_t remembered_ns(const struct mesh_cluster *cluster, const struct cluster_late *late)
{
    return cluster->now_ns - late->at_ns <= BUSY_NS ? late->took_ns : 0;
}

/* An answer to a question asked before the last late answer came belongs to the same stop. Otherwise the two slowest stay, the later one
 * last. */
static void note_late(struct mesh_cluster *cluster, struct cluster_late late[2], uint64_t asked_ns)
{
    uint64_t now_ns = cluster->now_ns, took_ns = now_ns - asked_ns, before_ns, last_ns;
    struct cluster_late *before = &late[0], *last = &late[1];

    took_ns = took_ns < CLUSTER_RTT_NS_MAX ? took_ns : CLUSTER_RTT_NS_MAX;
    if (took_ns <= LATE_NS || asked_ns < cluster->epoch.since_ns + BEGINNING_NS)
        return;
    if (last->took_ns && asked_ns < last->at_ns) {
        last->took_ns = took_ns > last->took_ns ? took_ns : last->took_ns;
        return;
    }
    before_ns = remembered_ns(cluster, before);
    last_ns = remembered_ns(cluster, last);
    if (took_ns < before_ns && took_ns < last_ns)
        return;
    if (before_ns <= last_ns)
        *before = *last;
    *last = (struct cluster_late){.at_ns = now_ns, .took_ns = took_ns};
}

void mesh_cluster_response_add(struct mesh_cluster *cluster, struct cluster_peer *peer, uint64_t asked_ns)
{
    uint64_t took_ns = cluster->now_ns - asked_ns;

    took_ns = took_ns ? took_ns : 1;
    took_ns = took_ns < CLUSTER_RTT_NS_MAX ? took_ns : CLUSTER_RTT_NS_MAX;
    note_late(cluster, peer->late, asked_ns);
    peer->rtt_ns = peer->rtt_ns ? (7 * peer->rtt_ns + took_ns) / 8 : took_ns;
    peer->rtt_ns = peer->rtt_ns ? peer->rtt_ns : 1;
    peer->answer_ns[peer->answers++ % CLUSTER_ANSWERS] = took_ns;
}

/* The second slowest of the last answers; of one, that one. 0: none. */
static uint64_t usual_ns(const struct cluster_peer *peer)
{
    unsigned count = peer->answers < CLUSTER_ANSWERS ? (unsigned)peer->answers : CLUSTER_ANSWERS;
    uint64_t slowest = 0, second = 0;

    for (unsigned i = 0; i < count; i++) {
        uint64_t ns = peer->answer_ns[i];

        second = ns > slowest ? slowest : ns > second ? ns : second;
        slowest = ns > slowest ? ns : slowest;
    }
    return second ? second : slowest;
}

uint64_t mesh_cluster_response_usual(struct mesh_cluster *cluster, const struct cluster_list *list)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < list->count; i++) {
        const struct cluster_peer *peer = mesh_cluster_peer_find(cluster, list->members[i].incarnation);
        uint64_t ns = peer ? usual_ns(peer) : 0;

        most = ns > most ? ns : most;
    }
    return most;
}

/* The time that the slowest answers of the last minutes call for. One late answer means nothing here, either; two mean that the machine
 * does other work. */
static uint64_t late_ns(const struct mesh_cluster *cluster, const struct cluster_late late[2])
{
    uint64_t most = 0, least = UINT64_MAX;

    for (unsigned i = 0; i < 2; i++) {
        uint64_t ns = remembered_ns(cluster, &late[i]);

        most = ns > most ? ns : most;
        least = ns < least ? ns : least;
    }
    if (!least)
        return 0;
    return 2 * most > TIMES * least ? 2 * most : TIMES * least;
}

/* ---- the own lateness ---- */

void mesh_cluster_response_excuse(struct mesh_cluster *cluster, uint64_t missed_ns)
{
    uint64_t since_ns;

    if (missed_ns < MISSED_NS)
        return;
    since_ns = cluster->now_ns - missed_ns;
    note_late(cluster, cluster->late, since_ns);
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (peer && peer->liveness == CLUSTER_ASKING && peer->asked_until_ns - peer->asked_ns < TIMEOUT_NS_MAX)
            peer->asked_until_ns += cluster->now_ns - (peer->asked_ns > since_ns ? peer->asked_ns : since_ns);
    }
}

/* ---- mistakes ---- */

static struct cluster_mistakes *find(struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < CLUSTER_MISTAKES_MAX; i++)
        if (cluster->mistakes[i].lost_ns && memcmp(cluster->mistakes[i].incarnation, incarnation, 16) == 0)
            return &cluster->mistakes[i];
    return NULL;
}

/* In the place of the one that was lost longest ago. */
static struct cluster_mistakes *add(struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    struct cluster_mistakes *oldest = &cluster->mistakes[0];

    for (unsigned i = 0; i < CLUSTER_MISTAKES_MAX; i++)
        if (cluster->mistakes[i].lost_ns < oldest->lost_ns)
            oldest = &cluster->mistakes[i];
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->incarnation, incarnation, sizeof oldest->incarnation);
    return oldest;
}

void mesh_cluster_response_lost(struct mesh_cluster *cluster, const struct cluster_peer *peer)
{
    struct cluster_mistakes *mistakes = find(cluster, peer->incarnation);

    mistakes = mistakes ? mistakes : add(cluster, peer->incarnation);
    memcpy(mistakes->late, peer->late, sizeof mistakes->late);
    mistakes->lost_ns = cluster->now_ns ? cluster->now_ns : 1;
}

static unsigned count_now(const struct mesh_cluster *cluster, const struct cluster_mistakes *mistakes)
{
    uint64_t calm = (cluster->now_ns - mistakes->last_ns) / CALM_NS;

    return calm < mistakes->count ? mistakes->count - (unsigned)calm : 0;
}

void mesh_cluster_response_back(struct mesh_cluster *cluster, struct cluster_peer *peer)
{
    struct cluster_mistakes *mistakes = find(cluster, peer->incarnation);

    if (!mistakes)
        return;
    memcpy(peer->late, mistakes->late, sizeof peer->late);
    if (cluster->now_ns - mistakes->lost_ns > WRONG_NS)
        return;
    mistakes->count = count_now(cluster, mistakes);
    mistakes->count += mistakes->count < MISTAKES_MAX;
    mistakes->last_ns = cluster->now_ns;
    cluster->stats.mistakes++;
}

uint64_t mesh_cluster_response_timeout(struct mesh_cluster *cluster, const struct cluster_peer *peer)
{
    const struct cluster_mistakes *mistakes = find(cluster, peer->incarnation);
    uint64_t usual = usual_ns(peer), late = late_ns(cluster, peer->late), own_late = late_ns(cluster, cluster->late), ns;

    ns = TIMES * (usual ? usual : mesh_cluster_response_usual(cluster, &cluster->epoch.list));
    ns = ns > late ? ns : late;
    ns = ns > own_late ? ns : own_late;
    ns = ns > CONFIRM_NS ? ns : CONFIRM_NS;
    if (mistakes && ns < TIMEOUT_NS_MAX) {
        ns <<= count_now(cluster, mistakes);
        ns = ns < TIMEOUT_NS_MAX ? ns : TIMEOUT_NS_MAX;
    }
    return ns;
}

/* Whoever is heard without its answer has it in a queue, on the way here or on the way of the question. So its answers take at least as
 * long as has passed, and are waited for twice as long again. */
uint64_t mesh_cluster_response_queued(const struct cluster_peer *peer, uint64_t asked_ns)
{
    uint64_t waited_ns = peer->mesh_heard_ns > asked_ns ? peer->mesh_heard_ns - asked_ns : 0;

    return asked_ns + (1 + QUEUED_TIMES) * (waited_ns < CLUSTER_RTT_NS_MAX ? waited_ns : CLUSTER_RTT_NS_MAX);
}
