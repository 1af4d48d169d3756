/* The other side of an agreement: plans of others, promises, nonces, commits.
 *
 * A plan comes from a member of the same epoch, or from the cluster that this process has asked to join; then it brings back the JOIN's
 * nonce. An epoch is installed only when its COMMIT names a nonce that this process has given to that very ballot, and its id is the hash
 * of the whole list. Invariant: a nonce is given to one ballot, and a ballot that is installed is forgotten. */
#include "cluster_parts.h"

#include <string.h>

#define CHECK_NS      (20 * CLUSTER_MS) /* between questions to those that are not heard yet */
#define CHECKING_NS   CLUSTER_S         /* how long CHECK goes on after the last sign of the plan */
#define AWAIT_NS      (10 * CLUSTER_MS) /* until the others are asked for a COMMIT; then twice as long, and three times that */
#define AWAIT_TRIES   4
#define OTHER_PLAN_NS (300 * CLUSTER_MS) /* without a sign of the other cluster's plan the own cluster's plans count again */
#define JOINING_NS    CLUSTER_S          /* how long a plan counts as a sign of life of the cluster it is joining */

_Static_assert(sizeof(struct mesh_vote_bytes) <= sizeof(struct mesh_plan_bytes) + sizeof(struct mesh_member_bytes),
               "the question is longer");
_Static_assert(sizeof(struct mesh_alive_bytes) <= sizeof(struct mesh_plan_bytes) + sizeof(struct mesh_member_bytes),
               "the same of a COMMIT");

static struct cluster_ballot ballot_of(const struct mesh_plan *plan)
{
    struct cluster_ballot ballot = {plan->number, plan->round, plan->rank, {0}};

    memcpy(ballot.proposer, plan->proposer, sizeof ballot.proposer);
    return ballot;
}

/* ---- nonces ---- */

static struct cluster_given *find_given(struct mesh_cluster *cluster, const struct cluster_ballot *ballot)
{
    for (unsigned i = 0; i < CLUSTER_GIVEN_MAX; i++)
        if (cluster->vote.given[i].ballot.number && mesh_cluster_ballot_same(&cluster->vote.given[i].ballot, ballot))
            return &cluster->vote.given[i];
    return NULL;
}

const uint8_t *mesh_cluster_vote_nonce(struct mesh_cluster *cluster, const struct cluster_ballot *ballot)
{
    struct cluster_given *given = find_given(cluster, ballot);

    if (!given) {
        given = &cluster->vote.given[cluster->vote.given_next++ % CLUSTER_GIVEN_MAX];
        given->ballot = *ballot;
        mesh_cluster_draw(cluster, given->nonce);
    }
    return given->nonce;
}

void mesh_cluster_vote_installed(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;

    for (unsigned i = 0; i < CLUSTER_GIVEN_MAX; i++)
        if (vote->given[i].ballot.number <= cluster->epoch.number)
            vote->given[i].ballot.number = 0;
    vote->promised_until_ns = 0;
    vote->is_checking = vote->is_preparing = cluster->prepare_is_pending = false;
    vote->await_at_ns = vote->other_plan_until_ns = 0;
    vote->plan.stage = vote->commit.stage = 0;
    cluster->joining.denied = 0;
    cluster->plan.backoff_until_ns = 0;
}

/* ---- votes ---- */

static struct mesh_vote *say_vote(struct mesh_cluster *cluster, struct mesh_addr to, const struct cluster_ballot *ballot,
                                  enum mesh_stage stage, enum mesh_answer answer)
{
    struct mesh_vote *vote = mesh_cluster_enqueue(cluster, to, MESH_TYPE_VOTE);

    vote->stage = (uint8_t)stage;
    vote->number = ballot->number;
    vote->round = ballot->round;
    vote->answer = (uint8_t)answer;
    memcpy(vote->rival, ballot->proposer, sizeof vote->rival);
    vote->epoch = cluster->epoch.number;
    memcpy(vote->id, cluster->epoch.id, sizeof vote->id);
    vote->summary = cluster->summary;
    vote->speed = cluster->config.speed;
    vote->app_flags = cluster->config.flags;
    return vote;
}

/* The answer to the plan that is assembled. */
static struct mesh_vote *answer(struct mesh_cluster *cluster, enum mesh_answer how)
{
    return say_vote(cluster, cluster->vote.plan_from, &cluster->vote.plan.ballot, cluster->vote.plan.stage, how);
}

/* ---- CHECK ---- */

static uint64_t own_bit(const struct mesh_cluster *cluster)
{
    int self = mesh_cluster_list_find(&cluster->vote.plan.list, cluster->config.incarnation);

    return self < 0 ? 0 : UINT64_C(1) << self;
}

/* Members of the epoch hear one another, or they would say so; the new ones have to be asked. */
static uint64_t known_from_epoch(const struct mesh_cluster *cluster)
{
    const struct cluster_list *list = &cluster->vote.plan.list;
    bool is_members = memcmp(cluster->vote.plan.id, cluster->epoch.id, sizeof cluster->epoch.id) == 0;
    uint64_t known = 0;

    for (unsigned i = 0; is_members && i < list->count; i++)
        if (mesh_cluster_list_find(&cluster->epoch.list, list->members[i].incarnation) >= 0)
            known |= UINT64_C(1) << i;
    return known;
}

static void answer_check(struct mesh_cluster *cluster)
{
    bool is_all = cluster->vote.heard == mesh_cluster_mask(cluster->vote.plan.list.count);

    answer(cluster, is_all ? MESH_ANSWER_YES : MESH_ANSWER_NOT_YET)->heard = cluster->vote.heard;
}

static void check(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;

    if (!vote->is_checking || !mesh_cluster_ballot_same(&vote->checked, &vote->plan.ballot)) {
        vote->is_checking = true;
        vote->checked = vote->plan.ballot;
        vote->heard = own_bit(cluster) | known_from_epoch(cluster);
        vote->check_from_ns = vote->check_at_ns = cluster->now_ns;
        mesh_cluster_arm(cluster, cluster->now_ns);
    }
    answer_check(cluster);
}

/* The plan that is assembled is still the one that is checked. */
static bool is_checking(const struct mesh_cluster *cluster)
{
    const struct cluster_vote *vote = &cluster->vote;

    return vote->is_checking && vote->plan.stage == MESH_STAGE_CHECK && mesh_cluster_ballot_same(&vote->checked, &vote->plan.ballot);
}

void mesh_cluster_vote_heard(struct mesh_cluster *cluster, const struct cluster_input *in, uint64_t origin_ns)
{
    struct cluster_vote *vote = &cluster->vote;
    int index = mesh_cluster_list_find(&vote->plan.list, in->incarnation);

    if (!is_checking(cluster) || index < 0 || origin_ns < vote->check_from_ns || vote->heard >> index & 1 ||
        !mesh_cluster_same_addr(&vote->plan.list.members[index].addr, &in->from))
        return;
    vote->heard |= UINT64_C(1) << index;
    if (vote->heard == mesh_cluster_mask(vote->plan.list.count))
        answer_check(cluster);
}

static void check_tick(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;
    const struct cluster_list *list = &vote->plan.list;

    vote->is_checking =
        is_checking(cluster) && cluster->now_ns - vote->plan.at_ns < CHECKING_NS && vote->heard != mesh_cluster_mask(list->count);
    if (!vote->is_checking)
        return;
    if (cluster->now_ns >= vote->check_at_ns) {
        for (unsigned i = 0; i < list->count; i++)
            if (!(vote->heard >> i & 1))
                mesh_cluster_alive_send(cluster, list->members[i].addr, MESH_ALIVE_ASKS, cluster->now_ns);
        vote->check_at_ns = cluster->now_ns + CHECK_NS;
    }
    mesh_cluster_arm(cluster, vote->check_at_ns);
}

/* ---- PREPARE ---- */

void mesh_cluster_vote_prepare(struct mesh_cluster *cluster, bool is_own)
{
    struct cluster_vote *vote = &cluster->vote;

    vote->is_own = is_own;
    vote->is_preparing = true;
    vote->is_ready = false;
    vote->token++;
    vote->prepared = is_own ? cluster->plan.ballot : vote->plan.ballot;
    vote->prepared_from = vote->plan_from;
    cluster->prepare_is_pending = true;
}

static void prepare(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;

    if (!vote->is_preparing || vote->is_own || !mesh_cluster_ballot_same(&vote->prepared, &vote->plan.ballot))
        mesh_cluster_vote_prepare(cluster, false);
    answer(cluster, vote->is_ready ? MESH_ANSWER_YES : MESH_ANSWER_NOT_YET);
}

void mesh_cluster_vote_ready(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;

    vote->is_ready = true;
    if (vote->is_own)
        mesh_cluster_ballot_ready(cluster);
    else
        say_vote(cluster, vote->prepared_from, &vote->prepared, MESH_STAGE_PREPARE, MESH_ANSWER_YES);
}

/* ---- PROPOSE ---- */

/* A promise holds unless its proposer is dead or gone, as far as this process knows. */
static bool has_promised_above(struct mesh_cluster *cluster, const struct cluster_ballot *ballot)
{
    const struct cluster_vote *vote = &cluster->vote;
    const struct cluster_peer *proposer;

    if (cluster->now_ns >= vote->promised_until_ns || mesh_cluster_ballot_compare(ballot, &vote->promised) >= 0)
        return false;
    proposer = mesh_cluster_peer_find(cluster, vote->promised.proposer);
    return !mesh_cluster_is_member(proposer) || proposer->liveness < CLUSTER_DEAD;
}

static void propose(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;
    struct mesh_vote *message;

    if (cluster->plan.stage == MESH_STAGE_PROPOSE)
        mesh_cluster_ballot_stop(cluster); /* it gives way: the other ballot is higher */
    vote->promised = vote->plan.ballot;
    vote->promised_until_ns = cluster->now_ns + CLUSTER_PROMISE_NS;
    vote->await_tries = 0;
    vote->await_at_ns = cluster->now_ns + AWAIT_NS;
    vote->await_ns = 2 * AWAIT_NS;
    mesh_cluster_arm(cluster, vote->await_at_ns);
    message = answer(cluster, MESH_ANSWER_YES);
    memcpy(message->nonce, mesh_cluster_vote_nonce(cluster, &vote->plan.ballot), sizeof message->nonce);
}

/* Agreed, but no COMMIT has come: ask the others. Those that have installed that epoch, or another one, say so. */
static void await_tick(struct mesh_cluster *cluster)
{
    struct cluster_vote *vote = &cluster->vote;
    const struct cluster_list *list = &vote->plan.list;
    bool is_it = vote->plan.stage == MESH_STAGE_PROPOSE && mesh_cluster_ballot_same(&vote->plan.ballot, &vote->promised);

    if (!vote->await_at_ns)
        return;
    if (cluster->now_ns >= vote->await_at_ns) {
        for (unsigned i = 0; is_it && i < list->count; i++)
            if (memcmp(list->members[i].incarnation, cluster->config.incarnation, 16) != 0)
                mesh_cluster_alive_send(cluster, list->members[i].addr, MESH_ALIVE_ASKS, cluster->now_ns);
        vote->await_tries++;
        vote->await_at_ns = cluster->now_ns + vote->await_ns;
        vote->await_ns *= 3;
    }
    if (vote->await_tries >= AWAIT_TRIES)
        vote->await_at_ns = 0;
    else
        mesh_cluster_arm(cluster, vote->await_at_ns);
}

/* ---- receiving ---- */

static bool brings_join_back(const struct mesh_cluster *cluster, const struct mesh_cluster_member *self)
{
    uint8_t nonce[16];

    mesh_cluster_join_nonce(cluster->joining.nonce, nonce);
    return cluster->joining.is_active && memcmp(self->nonce, nonce, sizeof nonce) == 0;
}

/* The cluster it is joining has a plan with this process: what its own cluster plans meanwhile comes to nothing. */
static void follow_host(struct mesh_cluster *cluster)
{
    cluster->joining.until_ns = cluster->now_ns + JOINING_NS;
    cluster->vote.other_plan_until_ns = cluster->now_ns + OTHER_PLAN_NS;
    if (cluster->plan.stage && cluster->plan.stage != MESH_STAGE_COMMIT && !cluster->plan.is_urgent)
        mesh_cluster_ballot_stop(cluster);
}

/* A plan that is whole. */
static int judge(struct mesh_cluster *cluster, bool is_members)
{
    struct cluster_vote *vote = &cluster->vote;
    int self = mesh_cluster_list_find(&vote->plan.list, cluster->config.incarnation);
    bool is_leaver = self < 0 && is_members && cluster->is_leaving && vote->plan.stage == MESH_STAGE_PREPARE;

    if (self < 0 ? !is_leaver : !is_members && !brings_join_back(cluster, &vote->plan.list.members[self])) {
        answer(cluster, MESH_ANSWER_UNASKED);
        vote->plan.stage = 0;
        return MESH_ESTATE;
    }
    if (!is_members)
        follow_host(cluster);
    if (vote->plan.stage == MESH_STAGE_CHECK)
        check(cluster);
    else if (vote->plan.stage == MESH_STAGE_PREPARE)
        prepare(cluster);
    else
        propose(cluster);
    return 0;
}

int mesh_cluster_vote_plan(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_plan *plan = &in->message->as.plan;
    struct cluster_ballot ballot = ballot_of(plan);
    bool is_member = mesh_cluster_is_member(in->peer);
    bool is_members = is_member && memcmp(plan->id, cluster->epoch.id, sizeof plan->id) == 0;
    struct mesh_vote *vote;
    int err;

    if (plan->stage == MESH_STAGE_COMMIT || plan->number > mesh_cluster_peer_limit(cluster) + CLUSTER_NUMBER_LEAP)
        return MESH_ERANGE; /* an epoch with the last number would be the last */
    if (memcmp(plan->proposer, in->incarnation, sizeof plan->proposer) != 0)
        return MESH_ESENDER;
    if (!is_member && !cluster->joining.is_active)
        return MESH_ESENDER;
    if (plan->number <= cluster->epoch.number || (!is_members && !cluster->joining.is_active)) {
        say_vote(cluster, in->from, &ballot, (enum mesh_stage)plan->stage, MESH_ANSWER_ELSEWHERE);
        return MESH_EEPOCH;
    }
    if (plan->stage == MESH_STAGE_PROPOSE && has_promised_above(cluster, &ballot)) {
        vote = say_vote(cluster, in->from, &ballot, MESH_STAGE_PROPOSE, MESH_ANSWER_PROMISED);
        vote->rival_number = cluster->vote.promised.number;
        memcpy(vote->rival, cluster->vote.promised.proposer, sizeof vote->rival);
        return MESH_ESTATE;
    }
    if (is_members && plan->stage != MESH_STAGE_PROPOSE && cluster->now_ns < cluster->vote.other_plan_until_ns) {
        say_vote(cluster, in->from, &ballot, (enum mesh_stage)plan->stage, MESH_ANSWER_UNASKED); /* another cluster takes it in */
        return MESH_ESTATE;
    }
    err = mesh_cluster_assemble(cluster, &cluster->vote.plan, in);
    if (err && err != MESH_AGAIN)
        return err;
    mesh_cluster_peer_heard(cluster, in);
    if (err)
        return 0; /* the other parts will come */
    cluster->vote.plan_from = in->from;
    return judge(cluster, is_members);
}

static void acknowledge(struct mesh_cluster *cluster, struct mesh_addr to, uint32_t number)
{
    mesh_cluster_alive_send(cluster, to, MESH_ALIVE_COMMIT, number);
}

static int install(struct mesh_cluster *cluster)
{
    struct cluster_assembly *commit = &cluster->vote.commit;
    const struct cluster_given *given = find_given(cluster, &commit->ballot);
    int self = mesh_cluster_list_find(&commit->list, cluster->config.incarnation);
    struct cluster_list list = commit->list;
    struct cluster_ballot ballot = commit->ballot;
    uint8_t id[16];

    mesh_cluster_list_id(cluster, &list, ballot.number, id);
    commit->stage = 0;
    if (self < 0 || memcmp(list.members[self].nonce, given->nonce, sizeof given->nonce) != 0)
        return MESH_ESTATE;
    if (memcmp(id, commit->id, sizeof id) != 0)
        return MESH_ERANGE;
    if (cluster->plan.stage && cluster->plan.stage != MESH_STAGE_COMMIT)
        mesh_cluster_ballot_stop(cluster);
    mesh_cluster_install(cluster, &ballot, id, &list);
    return 0;
}

int mesh_cluster_vote_commit(struct mesh_cluster *cluster, const struct cluster_input *in)
{
    const struct mesh_plan *commit = &in->message->as.plan;
    struct cluster_ballot ballot = ballot_of(commit);
    struct cluster_peer *sender;
    int err;

    if (commit->stage != MESH_STAGE_COMMIT)
        return MESH_ERANGE;
    if (memcmp(commit->id, cluster->epoch.id, sizeof commit->id) == 0) {
        mesh_cluster_peer_heard(cluster, in);
        acknowledge(cluster, in->from, commit->number);
        return 0;
    }
    if (commit->number <= cluster->epoch.number || !find_given(cluster, &ballot)) {
        acknowledge(cluster, in->from, commit->number);
        return MESH_EEPOCH;
    }
    err = mesh_cluster_assemble(cluster, &cluster->vote.commit, in);
    if (err)
        return err == MESH_AGAIN ? 0 : err;
    err = install(cluster);
    acknowledge(cluster, in->from, commit->number);
    if (err)
        return err;
    sender = mesh_cluster_peer_find(cluster, in->incarnation);
    if (sender)
        mesh_cluster_peer_state(cluster, sender, in->number, commit->number, commit->id, false);
    return 0;
}

void mesh_cluster_vote_tick(struct mesh_cluster *cluster)
{
    check_tick(cluster);
    await_tick(cluster);
}
