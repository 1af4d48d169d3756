/* Coordinating: a plan is sent to all that it concerns, repeated, and its votes are counted; then it is committed, or given up.
 *
 * A proposal that all in its list agree to is committed, with a nonce of each, and an id that is a hash of all that. A member that is
 * silent too long is asked once more as a suspect, and the plan begins anew. A ballot is for one list: each start takes a new round. */
#include "cluster_parts.h"

#include <string.h>

#define CHECK_NS       (500 * CLUSTER_MS)
#define REPEAT_NS      CLUSTER_MS
#define CALM_NS        (5 * CLUSTER_MS) /* first repetition of CHECK and PREPARE */
#define ALL_TIMES      4
#define TIMES          8 /* of answering, of the slowest */
#define ASKS           8 /* of a newcomer, at most */
#define REPEAT_NS_MAX  (20 * CLUSTER_MS)
#define PREPARE_NS_MAX (100 * CLUSTER_MS) /* between repetitions of PREPARE, which are signs of life as well */
#define MANY           32                 /* members: a list for so many may fill a queue for longer than the answers take */
#define MOVING_NS      (100 * CLUSTER_MS) /* after a member had a better offer */
#define TRIES_FREE     3
#define BACKOFF_NS     (5 * CLUSTER_MS) /* after another ballot was higher: so long, and up to 20 ms more */

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

/* ---- starting ---- */

uint32_t mesh_cluster_ballot_number(const struct mesh_cluster *cluster)
{
    uint32_t number = cluster->epoch.number > cluster->number_floor ? cluster->epoch.number : cluster->number_floor;
    const struct cluster_vote *vote = &cluster->vote;

    if (cluster->now_ns < vote->promised_until_ns && vote->promised.number > number)
        number = vote->promised.number;
    return number + 1;
}

static void set_times(struct mesh_cluster *cluster, struct cluster_plan *plan)
{
    uint64_t usual = mesh_cluster_response_usual(cluster, &cluster->epoch.list), now_ns = cluster->now_ns;

    usual = at_least(usual, mesh_cluster_response_usual(cluster, &plan->list));
    plan->repeats = 0;
    plan->repeat_ns = at_least(2 * usual, plan->stage < MESH_STAGE_PROPOSE ? CALM_NS : REPEAT_NS);
    plan->deadline_ns = now_ns + at_least(TIMES * usual, plan->is_urgent ? CLUSTER_URGENT_NS : CLUSTER_PLANNED_NS);
    if (plan->stage == MESH_STAGE_CHECK)
        plan->deadline_ns = now_ns + at_least(TIMES * usual, CHECK_NS);
    if (plan->stage == MESH_STAGE_PREPARE)
        plan->deadline_ns = now_ns + cluster->config.prepare_ns_max;
    plan->repeat_at_ns = now_ns + plan->repeat_ns;
    mesh_cluster_arm(cluster, plan->repeat_at_ns);
}

/* A newcomer that is far away needs more time than the others, and this process has not asked it for a sign of life before. Only at first:
 * newcomers that answer one after the other, each at the last moment, would prolong the plan as long as they like. */
static void ask_newcomers(struct mesh_cluster *cluster)
{
    const struct cluster_plan *plan = &cluster->plan;

    for (unsigned i = 0; plan->stage == MESH_STAGE_CHECK && plan->repeats <= ASKS && i < plan->list.count; i++) {
        const struct cluster_peer *peer = mesh_cluster_peer_find(cluster, plan->list.members[i].incarnation);

        if (peer && peer->is_joining && !peer->answers)
            mesh_cluster_alive_send(cluster, peer->addr, MESH_ALIVE_ASKS, cluster->now_ns);
    }
}

void mesh_cluster_ballot_answered(struct mesh_cluster *cluster, struct cluster_peer *joiner, uint64_t origin_ns)
{
    struct cluster_plan *plan = &cluster->plan;

    mesh_cluster_response_add(cluster, joiner, origin_ns);
    if (plan->stage == MESH_STAGE_CHECK)
        plan->deadline_ns = at_least(plan->deadline_ns, origin_ns + TIMES * mesh_cluster_response_usual(cluster, &plan->list));
}

/* All parts to voters that lack the plan. Those that have it get one part, so that they answer again, and now and then all: they may have
 * dropped it for another plan. */
static void send(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;
    uint8_t all = (uint8_t)mesh_cluster_mask(mesh_cluster_list_parts(&plan->list));
    uint8_t again = plan->repeats++ % ALL_TIMES ? 1 : all;

    ask_newcomers(cluster);
    for (unsigned i = 0; i < plan->list.count; i++)
        if ((int)i != plan->self && !(plan->voted >> i & 1))
            plan->due[i] |= plan->known >> i & 1 ? again : all;
    for (unsigned rank = 0; plan->stage == MESH_STAGE_PREPARE && rank < cluster->epoch.list.count; rank++)
        if (plan->leavers >> rank & 1 && !(plan->leavers_ready >> rank & 1) && rank != cluster->epoch.rank)
            plan->leaver_due[rank] |= all;
}

static void finish(struct mesh_cluster *cluster)
{
    bool is_over = cluster->plan.self < 0;

    cluster->plan.stage = 0;
    if (is_over)
        mesh_cluster_left(cluster);
    mesh_cluster_arm(cluster, cluster->now_ns); /* what has waited for the end of the plan */
}

static void look(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;

    if (plan->voted != mesh_cluster_mask(plan->list.count))
        return;
    if (plan->stage == MESH_STAGE_COMMIT)
        finish(cluster);
    else if (plan->stage == MESH_STAGE_CHECK)
        mesh_cluster_plan_checked(cluster, false);
    else if (plan->stage == MESH_STAGE_PROPOSE || plan->leavers_ready == plan->leavers)
        mesh_cluster_plan_passed(cluster);
}

/* This process's own vote, where it is given at once. */
static void vote_self(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;
    uint64_t self = plan->self >= 0 ? UINT64_C(1) << plan->self : 0;

    plan->known |= self;
    switch (plan->stage) {
    case MESH_STAGE_CHECK:
        if (self)
            plan->heard[plan->self] = UINT64_MAX; /* a joiner has shown a cookie */
        if (self)
            plan->list.members[plan->self].summary = cluster->summary;
        plan->voted |= self;
        break;
    case MESH_STAGE_PREPARE:
        mesh_cluster_vote_prepare(cluster, true);
        break;
    case MESH_STAGE_PROPOSE:
        cluster->vote.promised = plan->ballot;
        cluster->vote.promised_until_ns = UINT64_MAX;
        plan->voted |= self;
        if (!self)
            break;
        memcpy(plan->nonces[plan->self], mesh_cluster_vote_nonce(cluster, &plan->ballot), sizeof plan->nonces[plan->self]);
        plan->list.members[plan->self].summary = cluster->summary;
        break;
    default:
        plan->voted |= self;
    }
}

/* Of many; else 0. */
static unsigned count_answers(const struct cluster_plan *plan)
{
    return plan->list.count > MANY ? mesh_cluster_count(plan->known | plan->voted) : 0;
}

void mesh_cluster_ballot_start(struct mesh_cluster *cluster, enum mesh_stage stage)
{
    struct cluster_plan *plan = &cluster->plan;

    if (stage != MESH_STAGE_COMMIT) {
        const uint32_t number = mesh_cluster_ballot_number(cluster);

        if (number > MESH_EPOCH_MAX) { /* during the stage before, somebody has named the last number */
            mesh_cluster_ballot_stop(cluster);
            return;
        }
        plan->ballot = (struct cluster_ballot){.number = number, .round = ++cluster->round, .rank = cluster->epoch.rank};
        memcpy(plan->ballot.proposer, cluster->config.incarnation, sizeof plan->ballot.proposer);
        cluster->stats.plans += plan->stage == 0;
    }
    plan->stage = stage;
    plan->self = (int16_t)mesh_cluster_list_find(&plan->list, cluster->config.incarnation);
    plan->voted = plan->known = plan->leavers_ready = 0;
    memset(plan->heard, 0, sizeof plan->heard);
    memset(plan->due, 0, sizeof plan->due);
    memset(plan->leaver_due, 0, sizeof plan->leaver_due);
    set_times(cluster, plan);
    send(cluster);
    vote_self(cluster);
    plan->answered = count_answers(plan);
    look(cluster);
}

/* The first ballots that are given up are followed by new ones at once. Without an end to that, as between two members that think each
 * other dead, ballots would flood the network. */
static void slow_down(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;
    uint64_t backoff_ns;

    if (cluster->now_ns - plan->stopped_ns > CLUSTER_S)
        plan->tries = 0;
    plan->stopped_ns = cluster->now_ns;
    plan->tries += plan->tries < CLUSTER_TRIES_MAX;
    if (plan->tries <= TRIES_FREE)
        return;
    backoff_ns = 1 + mesh_cluster_draw_below(cluster, plan->tries * CLUSTER_MS / 2);
    plan->backoff_until_ns = at_least(plan->backoff_until_ns, cluster->now_ns + backoff_ns);
}

void mesh_cluster_ballot_stop(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;

    if (!plan->stage)
        return;
    if (plan->stage != MESH_STAGE_COMMIT)
        cluster->stats.plans_over++;
    if (plan->stage == MESH_STAGE_PROPOSE && mesh_cluster_ballot_same(&cluster->vote.promised, &plan->ballot))
        cluster->vote.promised_until_ns = 0;
    if (plan->stage == MESH_STAGE_PREPARE && cluster->vote.is_own)
        cluster->vote.is_preparing = cluster->prepare_is_pending = false;
    plan->stage = 0;
    slow_down(cluster);
    mesh_cluster_arm(cluster, cluster->now_ns);
}

/* ---- votes ---- */

/* Many that are told one after the other also answer one after the other: after a death, there is time as long as they do. */
static void count_vote(struct mesh_cluster *cluster, unsigned index)
{
    struct cluster_plan *plan = &cluster->plan;
    const uint64_t bit = UINT64_C(1) << index;

    if (plan->is_urgent && plan->list.count > MANY && !(plan->voted & bit))
        plan->deadline_ns = at_least(plan->deadline_ns, cluster->now_ns + CLUSTER_URGENT_NS);
    plan->voted |= bit;
    plan->due[index] = 0;
}

static void on_yes(struct mesh_cluster *cluster, unsigned index, const struct mesh_vote *vote)
{
    struct cluster_plan *plan = &cluster->plan;
    struct mesh_cluster_member *member = &plan->list.members[index];

    count_vote(cluster, index);
    if (plan->stage != MESH_STAGE_PROPOSE)
        return;
    memcpy(plan->nonces[index], vote->nonce, sizeof plan->nonces[index]);
    member->summary = vote->summary;
    member->speed = vote->speed;
    member->flags = vote->app_flags;
}

/* The voter has promised to a higher ballot. If its proposer is no member, dead or gone, go above it; otherwise give way for a moment. */
static void on_promised(struct mesh_cluster *cluster, const struct mesh_vote *vote)
{
    const struct cluster_peer *rival = mesh_cluster_peer_find(cluster, vote->rival);
    bool is_rival = mesh_cluster_is_member(rival) && rival->liveness < CLUSTER_DEAD;

    mesh_cluster_peer_raise(cluster, vote->rival_number);
    mesh_cluster_ballot_stop(cluster);
    if (is_rival || !cluster->plan.is_urgent)
        cluster->plan.backoff_until_ns = cluster->now_ns + BACKOFF_NS + mesh_cluster_draw_below(cluster, 20 * CLUSTER_MS);
}

/* A joiner no longer wants to join; or another cluster is about to take the member in. */
static void on_unasked(struct mesh_cluster *cluster, struct cluster_peer *peer)
{
    mesh_cluster_ballot_stop(cluster);
    if (peer->rank < 0)
        mesh_cluster_admission_deny(cluster, peer, 0, 0, 0, 0);
    else if (!cluster->plan.is_urgent)
        cluster->plan.backoff_until_ns = cluster->now_ns + MOVING_NS;
}

/* The voter has an epoch of that number, or a higher one, or another than this process. */
static void on_elsewhere(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_vote *vote = &in->message->as.vote;
    bool is_member = mesh_cluster_is_member(in->peer);

    mesh_cluster_peer_raise(cluster, vote->epoch);
    if (is_member && vote->epoch < cluster->epoch.number && !in->peer->is_in)
        in->peer->commit_due = (uint8_t)mesh_cluster_mask(mesh_cluster_list_parts(&cluster->epoch.list)); /* behind */
    mesh_cluster_peer_state(cluster, in->peer, in->number, vote->epoch, vote->id, false);
    if (!is_member && vote->epoch > mesh_cluster_peer_limit(cluster)) {
        mesh_cluster_ballot_stop(cluster);
        mesh_cluster_admission_deny(cluster, in->peer, MESH_DENY_NUMBER, vote->epoch, mesh_cluster_peer_limit(cluster), CLUSTER_S);
    } else if (vote->epoch >= cluster->plan.ballot.number)
        mesh_cluster_ballot_stop(cluster); /* with a higher number */
    else if (!is_member)
        on_unasked(cluster, in->peer);
}

static void on_answer(struct mesh_cluster *cluster, const struct cluster_input *in, unsigned index)
{
    const struct mesh_vote *vote = &in->message->as.vote;
    struct cluster_plan *plan = &cluster->plan;

    switch (vote->answer) {
    case MESH_ANSWER_YES:
    case MESH_ANSWER_NOT_YET:
        plan->known |= UINT64_C(1) << index;
        plan->heard[index] |= vote->heard;
        if (plan->stage == MESH_STAGE_CHECK) /* those that prepare need it, also from a voter that hears all but one that is left out */
            plan->list.members[index].summary = vote->summary;
        if (vote->answer == MESH_ANSWER_YES)
            on_yes(cluster, index, vote);
        look(cluster);
        break;
    case MESH_ANSWER_PROMISED:
        on_promised(cluster, vote);
        break;
    case MESH_ANSWER_ELSEWHERE:
        on_elsewhere(cluster, in);
        break;
    default:
        on_unasked(cluster, in->peer);
    }
}

/* Two proposers may have the same number and round. An older release does not name the PLAN's proposer. */
static bool is_of_own_plan(const struct mesh_cluster *cluster, const struct mesh_vote *vote)
{
    static const uint8_t none[16];

    return vote->answer == MESH_ANSWER_PROMISED || memcmp(vote->rival, cluster->config.incarnation, sizeof vote->rival) == 0 ||
           memcmp(vote->rival, none, sizeof none) == 0;
}

int mesh_cluster_ballot_vote(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_vote *vote = &in->message->as.vote;
    struct cluster_plan *plan = &cluster->plan;
    int index = mesh_cluster_list_find(&plan->list, in->incarnation);
    bool is_leaver = plan->stage == MESH_STAGE_PREPARE && mesh_cluster_is_member(in->peer) && plan->leavers >> in->peer->rank & 1;

    if (!plan->stage || plan->stage != (enum mesh_stage)vote->stage || vote->number != plan->ballot.number ||
        vote->round != plan->ballot.round || !is_of_own_plan(cluster, vote) || (index < 0 && !is_leaver) || !in->peer)
        return MESH_ESTATE;
    mesh_cluster_peer_heard(cluster, in);
    in->peer->join_heard_ns = cluster->now_ns;
    if (index >= 0) {
        on_answer(cluster, in, (unsigned)index);
    } else if (vote->answer == MESH_ANSWER_YES) {
        plan->leavers_ready |= UINT64_C(1) << in->peer->rank;
        look(cluster);
    }
    return 0;
}

void mesh_cluster_ballot_ready(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;

    if (plan->stage != MESH_STAGE_PREPARE)
        return;
    if (plan->self >= 0)
        plan->voted |= UINT64_C(1) << plan->self;
    else
        plan->leavers_ready |= UINT64_C(1) << cluster->epoch.rank;
    look(cluster);
}

void mesh_cluster_ballot_ack(struct mesh_cluster *cluster, const uint8_t incarnation[16], const uint8_t id[16])
{
    struct cluster_plan *plan = &cluster->plan;
    int index = mesh_cluster_list_find(&plan->list, incarnation);

    if (plan->stage != MESH_STAGE_COMMIT || index < 0 || memcmp(id, plan->id, sizeof plan->id) != 0)
        return;
    count_vote(cluster, (unsigned)index);
    look(cluster);
}

/* ---- time ---- */

/* Of those that have not voted, members are suspected, joiners are left out. */
static void blame(struct mesh_cluster *cluster, bool are_members)
{
    struct cluster_plan *plan = &cluster->plan;

    for (unsigned i = 0; i < plan->list.count; i++) {
        struct cluster_peer *peer;

        if (plan->voted >> i & 1 || (int)i == plan->self)
            continue;
        peer = mesh_cluster_peer_find(cluster, plan->list.members[i].incarnation);
        if (mesh_cluster_is_member(peer)) {
            bool is_fine = plan->stage == MESH_STAGE_COMMIT && peer->is_in; /* only its acknowledgement is lost */

            if (are_members && !is_fine)
                mesh_cluster_suspect_unvoted(cluster, peer);
        } else if (peer && peer->is_joining)
            mesh_cluster_admission_deny(cluster, peer, 0, 0, 0, CLUSTER_S);
    }
}

static void on_deadline(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;
    unsigned members = cluster->epoch.list.count - mesh_cluster_count(plan->leavers);

    switch (plan->stage) {
    case MESH_STAGE_CHECK:
        mesh_cluster_plan_checked(cluster, true);
        break;
    case MESH_STAGE_PREPARE:
        if (mesh_cluster_mask(plan->list.count) & ~mesh_cluster_mask(members) & ~plan->voted) {
            blame(cluster, false);
            mesh_cluster_ballot_stop(cluster);
        } else {
            mesh_cluster_plan_passed(cluster); /* members that are not ready load later */
        }
        break;
    case MESH_STAGE_PROPOSE:
        blame(cluster, true);
        mesh_cluster_ballot_stop(cluster);
        break;
    default:
        if (plan->self >= 0)
            blame(cluster, true);
        finish(cluster);
    }
}

/* While many have not answered and answers still come, the others wait for what is in a queue on its way to them: sent once more, it would
 * only make that longer. */
static void repeat(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;
    const uint64_t slowest_ns = plan->stage == MESH_STAGE_PREPARE ? PREPARE_NS_MAX : REPEAT_NS_MAX;
    const unsigned answered = count_answers(plan);
    const bool is_under_way = answered > plan->answered && plan->list.count - answered > MANY;

    plan->answered = answered;
    if (!is_under_way) {
        send(cluster);
        plan->repeat_ns = 3 * plan->repeat_ns / 2 < slowest_ns ? 3 * plan->repeat_ns / 2 : at_least(plan->repeat_ns, slowest_ns);
    }
    plan->repeat_at_ns = cluster->now_ns + plan->repeat_ns;
}

void mesh_cluster_ballot_tick(struct mesh_cluster *cluster)
{
    struct cluster_plan *plan = &cluster->plan;

    if (!plan->stage)
        return;
    if (cluster->now_ns >= plan->deadline_ns) {
        on_deadline(cluster);
        return;
    }
    if (cluster->now_ns >= plan->repeat_at_ns)
        repeat(cluster);
    mesh_cluster_arm(cluster, plan->repeat_at_ns < plan->deadline_ns ? plan->repeat_at_ns : plan->deadline_ns);
}
