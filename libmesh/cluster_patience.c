/* How long a suspect has to answer: by how long members took to answer lately, and by who was taken for dead before and was not.
 *
 * A machine with too much to do answers late, a member that has just begun an epoch does so once. So what counts of the last answers is
 * the second slowest: one that was late means nothing, two do. Where that was not enough, and somebody was left out who soon came back, it
 * has twice as long the next time, as it would be left out again and again otherwise. */
#include "cluster_parts.h"

#include <string.h>

#define CONFIRM_NS      (7 * CLUSTER_MS)
#define PATIENCE_NS_MAX (2 * CLUSTER_S)
#define WRONG_NS        (3 * CLUSTER_S)  /* who is back so soon was not dead */
#define CALM_NS         (60 * CLUSTER_S) /* after that without a mistake, half as long is enough again */
#define TIMES           4                /* of answering, and as many questions */
#define MISTAKES_MAX    8                /* doublings */

/* ---- times of answering ---- */

void mesh_cluster_patience_answer(struct cluster_peer *peer, uint64_t took_ns)
{
    took_ns = took_ns ? took_ns : 1;
    took_ns = took_ns < CLUSTER_RTT_NS_MAX ? took_ns : CLUSTER_RTT_NS_MAX;
    peer->rtt_ns = peer->rtt_ns ? (7 * peer->rtt_ns + took_ns) / 8 : took_ns;
    peer->rtt_ns = peer->rtt_ns ? peer->rtt_ns : 1;
    peer->answer_ns[peer->answers++ % CLUSTER_ANSWERS] = took_ns;
}

/* The second slowest of the last ones; of one, that one. 0: none. */
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

uint64_t mesh_cluster_patience_usual(const struct mesh_cluster *cluster)
{
    uint64_t most = 0;

    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        uint64_t ns = rank == cluster->epoch.rank ? 0 : usual_ns(&cluster->peers[cluster->peer_of[rank]]);

        most = ns > most ? ns : most;
    }
    return most;
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

void mesh_cluster_patience_lost(struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    struct cluster_mistakes *mistakes = find(cluster, incarnation);

    mistakes = mistakes ? mistakes : add(cluster, incarnation);
    mistakes->lost_ns = cluster->now_ns ? cluster->now_ns : 1;
}

static unsigned count_now(const struct mesh_cluster *cluster, const struct cluster_mistakes *mistakes)
{
    uint64_t calm = (cluster->now_ns - mistakes->last_ns) / CALM_NS;

    return calm < mistakes->count ? mistakes->count - (unsigned)calm : 0;
}

void mesh_cluster_patience_back(struct mesh_cluster *cluster, const uint8_t incarnation[16])
{
    struct cluster_mistakes *mistakes = find(cluster, incarnation);

    if (!mistakes || cluster->now_ns - mistakes->lost_ns > WRONG_NS)
        return;
    mistakes->count = count_now(cluster, mistakes);
    mistakes->count += mistakes->count < MISTAKES_MAX;
    mistakes->last_ns = cluster->now_ns;
    cluster->stats.mistakes++;
}

uint64_t mesh_cluster_patience_ns(struct mesh_cluster *cluster, const struct cluster_peer *peer)
{
    const struct cluster_mistakes *mistakes = find(cluster, peer->incarnation);
    uint64_t usual = usual_ns(peer), ns;

    ns = TIMES * (usual ? usual : mesh_cluster_patience_usual(cluster));
    ns = ns > CONFIRM_NS ? ns : CONFIRM_NS;
    if (mistakes && ns < PATIENCE_NS_MAX) {
        ns <<= count_now(cluster, mistakes);
        ns = ns < PATIENCE_NS_MAX ? ns : PATIENCE_NS_MAX;
    }
    return ns;
}
