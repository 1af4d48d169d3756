/* What a member does with the plans of others, message by message, and what becomes of its own ones meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proposal_case.h"

/* A PLAN of all three, as this peer proposes it. It names the epoch of `cluster`. */
static struct mesh_message plan_of(const struct cluster_peer *from, enum mesh_stage stage, uint32_t round)
{
    struct mesh_message message = {.header.type = MESH_TYPE_PLAN};

    mesh_cluster_list_write(&cluster->plan.list, 0, &message);
    message.as.plan.stage = (uint8_t)stage;
    message.as.plan.number = NUMBER + 1;
    message.as.plan.round = round;
    message.as.plan.rank = 1;
    memcpy(message.as.plan.proposer, from->incarnation, sizeof message.as.plan.proposer);
    memcpy(message.as.plan.id, cluster->epoch.id, sizeof message.as.plan.id);
    return message;
}

static struct cluster_input input(struct cluster_peer *from, const struct mesh_message *message)
{
    return (struct cluster_input){
        .from = from->addr, .message = message, .incarnation = from->incarnation, .peer = from, .number = from->state_number + 1};
}

static int plan(struct cluster_peer *from, enum mesh_stage stage, uint32_t round)
{
    const struct mesh_message message = plan_of(from, stage, round);
    const struct cluster_input in = input(from, &message);

    return mesh_cluster_vote_plan(cluster, &in);
}

static struct mesh_vote said(void)
{
    struct mesh_message message;
    uint16_t port;

    assert_true(proposal_case_sends(MESH_TYPE_VOTE, &message, &port));
    return message.as.vote;
}

/* Its own plan is over, so that it may vote for others' at once. */
static int open_voter(void **state)
{
    const int err = proposal_case_open(state);

    cluster->plan.stage = 0;
    return err;
}

/* ---- CHECK ---- */

static void members_of_the_epoch_count_as_heard(void **state)
{
    struct mesh_vote vote;

    (void)state;
    assert_int_equal(plan(member, MESH_STAGE_CHECK, 1), 0);
    vote = said();
    assert_int_equal(vote.answer, MESH_ANSWER_NOT_YET);
    assert_int_equal(vote.heard, 3);
}

/* How often the newcomer is asked from now on, in three seconds. */
static unsigned count_questions(void)
{
    const uint64_t begun_ns = cluster->now_ns;
    struct mesh_message message;
    unsigned asked = 0;
    uint16_t port;

    for (uint64_t ms = 0; ms < 3000; ms++) {
        member->heard_ns = member->mesh_heard_ns = begun_ns + ms * CLUSTER_MS; /* no other reason to ask anybody */
        mesh_cluster_tick(cluster, begun_ns + ms * CLUSTER_MS);
        while (proposal_case_sends(MESH_TYPE_ALIVE, &message, &port))
            asked += port == 7000 + JOINER;
    }
    return asked;
}

static void a_check_ends_a_second_after_the_last_sign_of_its_plan(void **state)
{
    (void)state;
    joiner->is_used = joiner->is_joining = false;
    assert_int_equal(plan(member, MESH_STAGE_CHECK, 1), 0);
    assert_int_equal(count_questions(), 1000 / 20);
}

/* ---- whose plan it is ---- */

/* An epoch's id is no secret. */
static void a_plan_is_of_the_own_cluster_only_if_a_member_proposes_it(void **state)
{
    (void)state;
    cluster->joining = (struct cluster_joining){.is_active = true, .nonce = 7};
    assert_int_equal(plan(joiner, MESH_STAGE_CHECK, 1), MESH_ESTATE);
    assert_int_equal(said().answer, MESH_ANSWER_UNASKED);
    cluster->joining.is_active = false;
    assert_int_equal(plan(joiner, MESH_STAGE_CHECK, 2), MESH_ESENDER);
}

static void a_plan_of_another_epoch_is_answered_with_the_own_one(void **state)
{
    struct mesh_message message = plan_of(member, MESH_STAGE_CHECK, 1);
    const struct cluster_input in = input(member, &message);
    struct mesh_vote vote;

    (void)state;
    message.as.plan.id[0] ^= 1;
    assert_int_equal(mesh_cluster_vote_plan(cluster, &in), MESH_EEPOCH);
    vote = said();
    assert_int_equal(vote.answer, MESH_ANSWER_ELSEWHERE);
    assert_int_equal(vote.epoch, NUMBER);
}

static void a_plan_that_takes_it_into_a_better_cluster_comes_first(void **state)
{
    struct mesh_message host = plan_of(joiner, MESH_STAGE_CHECK, 1);
    const struct cluster_input in = input(joiner, &host);

    (void)state;
    cluster->joining = (struct cluster_joining){.is_active = true, .nonce = 7};
    memset(host.as.plan.id, 99, sizeof host.as.plan.id);
    mesh_cluster_join_nonce(7, host.members[0].nonce);
    assert_int_equal(mesh_cluster_vote_plan(cluster, &in), 0);
    assert_int_equal(said().answer, MESH_ANSWER_NOT_YET);
    assert_int_equal(plan(member, MESH_STAGE_CHECK, 2), MESH_ESTATE);
    assert_int_equal(said().answer, MESH_ANSWER_UNASKED);
    cluster->now_ns += 300 * CLUSTER_MS - 1;
    assert_int_equal(plan(member, MESH_STAGE_CHECK, 2), MESH_ESTATE);
    assert_int_equal(said().answer, MESH_ANSWER_UNASKED);
    cluster->now_ns++;
    assert_int_equal(plan(member, MESH_STAGE_CHECK, 2), 0);
    assert_int_equal(said().answer, MESH_ANSWER_NOT_YET);
}

/* ---- PREPARE ---- */

/* The number of the PREPARE that is told now; 0: none is. */
static uint32_t told(void)
{
    struct mesh_cluster_event event;
    uint32_t token = 0;

    while (mesh_cluster_next_event(cluster, &event))
        if (event.type == MESH_CLUSTER_PREPARE)
            token = event.plan;
    return token;
}

static void each_plan_is_prepared_for_once_and_anew(void **state)
{
    uint32_t first, second;

    (void)state;
    assert_int_equal(plan(member, MESH_STAGE_PREPARE, 1), 0);
    assert_int_equal(said().answer, MESH_ANSWER_NOT_YET);
    first = told();
    assert_int_not_equal(first, 0);
    assert_int_equal(mesh_cluster_ready(cluster, cluster->now_ns, first), 0);
    assert_int_equal(said().answer, MESH_ANSWER_YES);
    assert_int_equal(plan(member, MESH_STAGE_PREPARE, 1), 0);
    assert_int_equal(said().answer, MESH_ANSWER_YES);
    assert_int_equal(told(), 0);
    assert_int_equal(plan(member, MESH_STAGE_PREPARE, 2), 0);
    assert_int_equal(said().answer, MESH_ANSWER_NOT_YET);
    second = told();
    assert_int_not_equal(second, 0);
    assert_int_equal(mesh_cluster_ready(cluster, cluster->now_ns, first), MESH_ESTATE);
    assert_int_equal(mesh_cluster_ready(cluster, cluster->now_ns, second), 0);
}

static int propose(uint32_t number)
{
    struct mesh_message message = plan_of(member, MESH_STAGE_PROPOSE, 1);
    const struct cluster_input in = input(member, &message);

    message.as.plan.number = number;
    return mesh_cluster_vote_plan(cluster, &in);
}

static void a_promise_holds_against_lower_ballots_for_thirty_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(propose(NUMBER + 3), 0);
    assert_int_equal(said().answer, MESH_ANSWER_YES);
    cluster->now_ns += 30 * CLUSTER_MS - 1;
    assert_int_equal(propose(NUMBER + 2), MESH_ESTATE);
    assert_int_equal(said().answer, MESH_ANSWER_PROMISED);
    cluster->now_ns++;
    assert_int_equal(propose(NUMBER + 2), 0);
    assert_int_equal(said().answer, MESH_ANSWER_YES);
}

/* Also the plan of another cluster, which it was to be taken into. */
static void what_was_promised_before_an_epoch_does_not_hold_in_it(void **state)
{
    struct cluster_ballot ballot = {.number = NUMBER + 1, .round = 1, .proposer = {SELF}};
    struct cluster_list list = cluster->epoch.list;
    struct mesh_message message;
    const struct cluster_input in = input(member, &message);
    const uint8_t id[16] = {66};

    (void)state;
    assert_int_equal(propose(NUMBER + 9), 0);
    assert_int_equal(said().answer, MESH_ANSWER_YES);
    cluster->vote.other_plan_until_ns = cluster->now_ns + CLUSTER_S;
    mesh_cluster_install(cluster, &ballot, id, &list);
    assert_int_equal(mesh_cluster_ballot_number(cluster), NUMBER + 2);
    message = plan_of(member, MESH_STAGE_CHECK, 2);
    message.as.plan.number = NUMBER + 2;
    assert_int_equal(mesh_cluster_vote_plan(cluster, &in), 0);
    assert_int_equal(said().answer, MESH_ANSWER_NOT_YET);
}

/* ---- the own plan ---- */

/* By which of three what is not heard, and the place in the list that the newcomer is told; members are 0, the own one, and 1. */
static void a_newcomer_is_taken_in_if_it_and_each_member_hear_one_another(void **state)
{
    static const struct {
        uint64_t heard[3];
        int unheard; /* -1: none */
    } cases[] = {{{7, 7, 7}, -1}, {{7, 7, 6}, 0}, {{3, 7, 7}, 0}, {{7, 3, 7}, 1}, {{7, 7, 5}, 1}, {{7, 4, 7}, -1}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mesh_message message;
        uint16_t port;

        if (i > 0)
            assert_int_equal(proposal_case_open(state), 0);
        cluster->plan.stage = MESH_STAGE_CHECK;
        cluster->plan.known = 7;
        joiner->join_nonce = 1;
        memcpy(cluster->plan.heard, cases[i].heard, sizeof cases[i].heard);
        mesh_cluster_plan_checked(cluster, true);
        assert_int_equal(cluster->plan.stage, cases[i].unheard < 0 ? MESH_STAGE_PROPOSE : 0);
        assert_int_equal(proposal_case_sends(MESH_TYPE_DENY, &message, &port), cases[i].unheard >= 0);
        if (cases[i].unheard >= 0) {
            assert_int_equal(port, 7000 + JOINER);
            assert_int_equal(message.as.deny.reason, MESH_DENY_UNHEARD);
            assert_int_equal(message.as.deny.found, cases[i].unheard);
        }
        if (i + 1 < sizeof cases / sizeof *cases)
            proposal_case_close(state);
    }
}

/* Nothing is said against the newcomer, which may not be heard for that very reason. */
static void a_member_that_does_not_answer_a_check_is_suspected_unless_it_is_already(void **state)
{
    (void)state;
    for (enum cluster_liveness before = CLUSTER_TRUSTED; before <= CLUSTER_ASKING; before += CLUSTER_ASKING) {
        cluster->plan.list.count = 3;
        cluster->plan.stage = MESH_STAGE_CHECK;
        cluster->plan.known = 5;
        cluster->plan.heard[0] = 5;
        member->liveness = before;
        mesh_cluster_plan_checked(cluster, true);
        assert_int_equal(cluster->plan.stage, 0);
        assert_int_equal(member->liveness, before == CLUSTER_TRUSTED ? CLUSTER_SUSPECTED : before);
        assert_true(joiner->is_joining);
    }
}

static void a_newcomer_that_does_not_load_in_time_is_left_out_and_no_member_is_suspected(void **state)
{
    uint8_t incarnation[16];

    (void)state;
    memset(incarnation, JOINER, sizeof incarnation);
    cluster->plan.stage = MESH_STAGE_PREPARE;
    cluster->plan.deadline_ns = cluster->now_ns;
    mesh_cluster_ballot_tick(cluster);
    assert_int_equal(cluster->plan.stage, 0);
    assert_null(mesh_cluster_peer_find(cluster, incarnation));
    assert_int_equal(cluster->bans[0].until_ns - cluster->now_ns, CLUSTER_S);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
    cluster->plan.stage = MESH_STAGE_PREPARE; /* with one that is not noted any more */
    mesh_cluster_ballot_tick(cluster);
    assert_int_equal(cluster->plan.stage, 0);
}

/* After 5 ms, 7.5 ms and so on, up to 100 ms. */
static void a_plan_is_repeated_ever_less_often(void **state)
{
    const uint64_t begun_ns = cluster->now_ns;
    struct mesh_message message;
    unsigned sent[10] = {0};
    uint16_t port;

    (void)state;
    cluster->plan.prepares = true;
    mesh_cluster_ballot_start(cluster, MESH_STAGE_PREPARE);
    for (unsigned ms = 0; ms < 10000; ms++) {
        cluster->now_ns = begun_ns + ms * CLUSTER_MS;
        mesh_cluster_ballot_tick(cluster);
        while (proposal_case_sends(MESH_TYPE_PLAN, &message, &port))
            sent[ms / 1000] += port == 7000 + JOINER;
    }
    assert_in_range(sent[0], 12, 18);
    for (unsigned second = 1; second < 10; second++)
        assert_in_range(sent[second], 9, 11);
}

/* It has a nonce of this process, as agreed, and comes while this process plans, too. */
static void the_commit_of_another_ends_the_own_plan(void **state)
{
    struct mesh_message commit = plan_of(member, MESH_STAGE_COMMIT, 1);
    const struct cluster_input in = input(member, &commit);
    struct cluster_ballot ballot = {.number = NUMBER + 1, .round = 1, .rank = 1};
    struct cluster_list list = cluster->plan.list;

    (void)state;
    memcpy(ballot.proposer, member->incarnation, sizeof ballot.proposer);
    memcpy(list.members[0].nonce, mesh_cluster_vote_nonce(cluster, &ballot), sizeof list.members[0].nonce);
    mesh_cluster_list_write(&list, 0, &commit);
    mesh_cluster_list_id(cluster, &list, NUMBER + 1, commit.as.plan.id);
    commit.header.type = MESH_TYPE_COMMIT;
    cluster->plan.stage = MESH_STAGE_CHECK;
    assert_int_equal(mesh_cluster_vote_commit(cluster, &in), 0);
    assert_int_equal(cluster->epoch.number, NUMBER + 1);
    assert_int_equal(cluster->stats.epochs, 2);
    assert_int_equal(cluster->plan.stage, 0);
}

/* Such a newcomer is no longer noted, so the plan with it must not go on. */
static void a_plan_ends_when_a_newcomer_names_a_number_that_is_not_believed(void **state)
{
    struct mesh_message vote = {
        .header.type = MESH_TYPE_VOTE,
        .as.vote = {.stage = MESH_STAGE_CHECK, .number = NUMBER + 1, .round = 1, .answer = MESH_ANSWER_ELSEWHERE, .epoch = MESH_EPOCH_MAX}};
    const struct cluster_input in = input(joiner, &vote);

    (void)state;
    cluster->plan.stage = MESH_STAGE_CHECK;
    memset(vote.as.vote.rival, SELF, sizeof vote.as.vote.rival);
    assert_int_equal(mesh_cluster_ballot_vote(cluster, &in), 0);
    assert_int_equal(cluster->plan.stage, 0);
}

static void a_ballot_is_above_the_one_that_was_promised_as_long_as_that_holds(void **state)
{
    (void)state;
    cluster->vote.promised.number = NUMBER + 4;
    cluster->vote.promised_until_ns = cluster->now_ns + 1;
    assert_int_equal(mesh_cluster_ballot_number(cluster), NUMBER + 5);
    cluster->now_ns++;
    assert_int_equal(mesh_cluster_ballot_number(cluster), NUMBER + 1);
}

/* What a newcomer will tell of itself when it agrees is not known yet; an earlier plan had somebody else in its place. */
static void a_plan_begins_with_nothing_from_the_one_before(void **state)
{
    const struct mesh_cluster_member *newcomer = &cluster->plan.list.members[2];

    (void)state;
    cluster->plan.stage = 0;
    cluster->plan.list.members[2].summary = 55;
    cluster->plan.list.members[2].share = 66;
    memset(cluster->plan.list.members[2].nonce, 77, sizeof newcomer->nonce);
    joiner->join_nonce = 7;
    cluster->plan.is_urgent = cluster->plan.prepares = true; /* somebody was dead; all had to load */
    cluster->plan.lost = cluster->plan.leavers = 2;
    cluster->plan.has_shares = true; /* for two members */
    cluster->plan.shares[0] = cluster->plan.shares[1] = 5;
    mesh_cluster_plan_settle(cluster);
    assert_int_equal(cluster->plan.stage, MESH_STAGE_PROPOSE);
    assert_false(cluster->plan.is_urgent);
    assert_int_equal(cluster->plan.lost | cluster->plan.leavers, 0);
    assert_memory_equal(newcomer->incarnation, joiner->incarnation, sizeof newcomer->incarnation);
    assert_int_equal(newcomer->summary, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(cluster->plan.list.members[i].share, 0);
    assert_int_equal(newcomer->nonce[0], 7);
    assert_int_equal(newcomer->nonce[15], 0);
}

/* They were worked out for all. Here this process is the only one left, so that the plan is agreed on at once. */
static void shares_that_were_proposed_are_forgotten_when_a_member_dies(void **state)
{
    (void)state;
    cluster->plan.stage = 0;
    cluster->plan.has_shares = true;
    cluster->plan.shares[0] = cluster->plan.shares[1] = 5;
    joiner->is_used = joiner->is_joining = false;
    member->liveness = CLUSTER_DEAD;
    mesh_cluster_plan_settle(cluster);
    assert_int_equal(cluster->epoch.number, NUMBER + 1);
    assert_int_equal(cluster->epoch.list.count, 1);
    assert_int_equal(cluster->epoch.list.members[0].share, 0);
}

/* It has been told to wait for a plan of the other cluster; without that it goes on where it is. */
static void who_is_about_to_go_elsewhere_plans_nothing(void **state)
{
    (void)state;
    cluster->joining.is_active = true;
    for (unsigned waits = 2; waits-- > 0;) {
        cluster->joining.is_waiting = waits;
        cluster->plan.stage = 0;
        mesh_cluster_plan_settle(cluster);
        assert_int_equal(cluster->plan.stage, waits ? 0 : MESH_STAGE_PROPOSE);
    }
}

/* Nobody waits any longer for one that went on without the others: here this process is alone, and looks for it. */
static void a_member_that_is_ahead_and_gone_holds_up_no_plan(void **state)
{
    (void)state;
    cluster->plan.stage = 0;
    member->is_ahead = true;
    member->liveness = CLUSTER_GONE;
    mesh_cluster_plan_settle(cluster);
    assert_true(cluster->epoch.is_seeking);
}

static void the_last_number_of_an_epoch_can_be_proposed(void **state)
{
    (void)state;
    for (uint32_t floor = MESH_EPOCH_MAX - 1; floor <= MESH_EPOCH_MAX; floor++) {
        cluster->number_floor = floor;
        mesh_cluster_ballot_start(cluster, MESH_STAGE_CHECK);
        assert_int_equal(cluster->plan.stage, floor < MESH_EPOCH_MAX ? MESH_STAGE_CHECK : 0);
    }
}

#define VOTER_TEST(test)    cmocka_unit_test_setup_teardown(test, open_voter, proposal_case_close)
#define PROPOSER_TEST(test) cmocka_unit_test_setup_teardown(test, proposal_case_open, proposal_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOTER_TEST(members_of_the_epoch_count_as_heard),
        VOTER_TEST(a_check_ends_a_second_after_the_last_sign_of_its_plan),
        VOTER_TEST(a_plan_is_of_the_own_cluster_only_if_a_member_proposes_it),
        VOTER_TEST(a_plan_of_another_epoch_is_answered_with_the_own_one),
        VOTER_TEST(a_plan_that_takes_it_into_a_better_cluster_comes_first),
        VOTER_TEST(each_plan_is_prepared_for_once_and_anew),
        VOTER_TEST(a_promise_holds_against_lower_ballots_for_thirty_milliseconds),
        VOTER_TEST(what_was_promised_before_an_epoch_does_not_hold_in_it),
        PROPOSER_TEST(a_newcomer_is_taken_in_if_it_and_each_member_hear_one_another),
        PROPOSER_TEST(a_member_that_does_not_answer_a_check_is_suspected_unless_it_is_already),
        PROPOSER_TEST(a_newcomer_that_does_not_load_in_time_is_left_out_and_no_member_is_suspected),
        PROPOSER_TEST(a_plan_is_repeated_ever_less_often),
        PROPOSER_TEST(the_commit_of_another_ends_the_own_plan),
        PROPOSER_TEST(a_plan_ends_when_a_newcomer_names_a_number_that_is_not_believed),
        PROPOSER_TEST(a_ballot_is_above_the_one_that_was_promised_as_long_as_that_holds),
        PROPOSER_TEST(a_plan_begins_with_nothing_from_the_one_before),
        PROPOSER_TEST(shares_that_were_proposed_are_forgotten_when_a_member_dies),
        PROPOSER_TEST(who_is_about_to_go_elsewhere_plans_nothing),
        PROPOSER_TEST(a_member_that_is_ahead_and_gone_holds_up_no_plan),
        PROPOSER_TEST(the_last_number_of_an_epoch_can_be_proposed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
