/* When a coordinator plans, what each answer does, and what members tell of their epochs, by the core's own functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proposal_case.h"

/* The vote of a process, to the plan; rival: an incarnation. */
static struct mesh_message vote_of(enum mesh_answer answer, int rival, uint32_t epoch)
{
    struct mesh_message message = {
        .header.type = MESH_TYPE_VOTE,
        .as.vote = {.stage = MESH_STAGE_PROPOSE, .number = NUMBER + 1, .round = 1, .answer = (uint8_t)answer, .epoch = epoch}};

    memset(message.as.vote.rival, rival, sizeof message.as.vote.rival);
    return message;
}

static int say(struct cluster_peer *from, const struct mesh_message *message)
{
    struct cluster_input in = {.from = from->addr, .message = message, .incarnation = from->incarnation, .peer = from, .is_newest = true};

    in.number = from->state_number + 1;
    return mesh_cluster_ballot_vote(cluster, &in);
}

static void vote(struct cluster_peer *from, enum mesh_answer answer, int rival, uint32_t epoch)
{
    const struct mesh_message message = vote_of(answer, rival, epoch);

    assert_int_equal(say(from, &message), 0);
}

static uint64_t delay_ns(void)
{
    return cluster->plan.backoff_until_ns ? cluster->plan.backoff_until_ns - cluster->now_ns : 0;
}

static void a_vote_counts_only_for_the_plan_as_it_stands(void **state)
{
    struct mesh_message right = vote_of(MESH_ANSWER_YES, SELF, NUMBER), wrong = right;
    struct cluster_peer stranger = {.is_used = true, .rank = -1};

    (void)state;
    wrong.as.vote.stage = MESH_STAGE_CHECK;
    assert_int_equal(say(member, &wrong), MESH_ESTATE);
    for (int by = -1; by <= 1; by += 2) {
        wrong = right;
        wrong.as.vote.number += (uint32_t)by;
        assert_int_equal(say(member, &wrong), MESH_ESTATE);
        wrong = right;
        wrong.as.vote.round += (uint32_t)by;
        assert_int_equal(say(member, &wrong), MESH_ESTATE);
    }
    wrong = vote_of(MESH_ANSWER_YES, MEMBER, NUMBER);
    assert_int_equal(say(member, &wrong), MESH_ESTATE);
    memset(stranger.incarnation, NOBODY, sizeof stranger.incarnation);
    assert_int_equal(say(&stranger, &right), MESH_ESTATE);
    assert_int_equal(cluster->plan.voted, 1);
    assert_int_equal(say(member, &right), 0);
    assert_int_equal(cluster->plan.voted, 3);
}

static void a_rival_that_is_alive_is_given_way_and_a_dead_one_is_outbid(void **state)
{
    static const struct {
        int rival;
        bool is_urgent, is_dead, gives_way;
    } cases[] = {
        {MEMBER, true, false, true},  {MEMBER, true, true, false},  {MEMBER, false, true, true},
        {NOBODY, true, false, false}, {NOBODY, false, false, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mesh_message promised = vote_of(MESH_ANSWER_PROMISED, cases[i].rival, NUMBER);

        if (i > 0)
            assert_int_equal(proposal_case_open(state), 0);
        promised.as.vote.rival_number = 40;
        cluster->plan.is_urgent = cases[i].is_urgent;
        member->liveness = cases[i].is_dead ? CLUSTER_DEAD : CLUSTER_TRUSTED;
        assert_int_equal(say(joiner, &promised), 0);
        assert_int_equal(cluster->plan.stage, 0);
        assert_int_equal(mesh_cluster_ballot_number(cluster), 41);
        if (cases[i].gives_way)
            assert_in_range(delay_ns(), 5 * CLUSTER_MS, 25 * CLUSTER_MS);
        else
            assert_int_equal(delay_ns(), 0);
        if (i + 1 < sizeof cases / sizeof *cases)
            proposal_case_close(state);
    }
}

static void assert_joiner_is_forgotten(void)
{
    uint8_t incarnation[16];

    memset(incarnation, JOINER, sizeof incarnation);
    assert_int_equal(cluster->plan.stage, 0);
    assert_null(mesh_cluster_peer_find(cluster, incarnation));
    assert_int_equal(cluster->bans[0].until_ns - cluster->now_ns, 100 * CLUSTER_MS);
}

static void a_newcomer_that_did_not_ask_is_forgotten(void **state)
{
    (void)state;
    vote(joiner, MESH_ANSWER_UNASKED, SELF, 0);
    assert_joiner_is_forgotten();
}

static void a_newcomer_that_is_elsewhere_is_forgotten(void **state)
{
    (void)state;
    vote(joiner, MESH_ANSWER_ELSEWHERE, SELF, NUMBER);
    assert_joiner_is_forgotten();
}

static void a_newcomer_with_a_higher_number_is_planned_for_with_one_above(void **state)
{
    (void)state;
    vote(joiner, MESH_ANSWER_ELSEWHERE, SELF, NUMBER + 1);
    assert_int_equal(cluster->plan.stage, 0);
    assert_true(joiner->is_used && joiner->is_joining);
    assert_int_equal(mesh_cluster_ballot_number(cluster), NUMBER + 2);
}

static void a_member_with_a_better_offer_is_waited_for_unless_somebody_is_dead(void **state)
{
    (void)state;
    vote(member, MESH_ANSWER_UNASKED, SELF, NUMBER);
    assert_int_equal(cluster->plan.stage, 0);
    assert_int_equal(delay_ns(), 100 * CLUSTER_MS);
    proposal_case_close(state);
    assert_int_equal(proposal_case_open(state), 0);
    cluster->plan.is_urgent = true;
    vote(member, MESH_ANSWER_UNASKED, SELF, NUMBER);
    assert_int_equal(delay_ns(), 0);
    assert_true(mesh_cluster_is_member(member));
}

static void a_member_that_is_elsewhere_is_behind_or_gone(void **state)
{
    (void)state;
    vote(member, MESH_ANSWER_ELSEWHERE, SELF, NUMBER - 1);
    assert_int_equal(member->commit_due, 1);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
    assert_int_equal(cluster->plan.stage, MESH_STAGE_PROPOSE);
    member->commit_due = 0;
    member->is_in = true;
    vote(member, MESH_ANSWER_ELSEWHERE, SELF, NUMBER - 1); /* it has said that before */
    assert_int_equal(member->commit_due, 0);
    member->is_in = false;
    vote(member, MESH_ANSWER_ELSEWHERE, SELF, NUMBER);
    assert_int_equal(member->commit_due, 0);
    assert_int_equal(member->liveness, CLUSTER_GONE);
}

/* Here the others of the list have said so before. */
static void own_readiness_is_one_vote_among_others(void **state)
{
    (void)state;
    cluster->plan.stage = MESH_STAGE_PREPARE;
    cluster->plan.self = 0;
    cluster->plan.voted = 2;
    mesh_cluster_ballot_ready(cluster);
    assert_int_equal(cluster->plan.voted, 3);
    cluster->plan.voted = 6;
    mesh_cluster_ballot_ready(cluster);
    assert_int_equal(cluster->plan.stage, MESH_STAGE_PROPOSE);
}

static void the_end_of_an_epoch_is_not_told_after_the_next_has_begun(void **state)
{
    struct cluster_ballot ballot = {.number = NUMBER + 3, .round = 1};
    struct mesh_cluster_event event;
    const uint8_t id[16] = {66};
    unsigned epochs = 0;

    (void)state;
    while (mesh_cluster_next_event(cluster, &event))
        ;
    mesh_cluster_evict(cluster);
    assert_true(cluster->evicted_is_pending);
    memset(ballot.proposer, MEMBER, sizeof ballot.proposer);
    mesh_cluster_install(cluster, &ballot, id, &cluster->plan.list);
    while (mesh_cluster_next_event(cluster, &event)) {
        assert_int_not_equal(event.type, MESH_CLUSTER_EVICTED);
        epochs += event.type == MESH_CLUSTER_EPOCH;
    }
    assert_int_equal(epochs, 1);
}

/* ---- when a plan begins ---- */

/* Whether the coordinator begins to plan for the newcomer, so long after now. */
static bool plans_after(uint64_t ns)
{
    cluster->now_ns += ns;
    mesh_cluster_plan_settle(cluster);
    const bool begins = cluster->plan.stage != 0;
    cluster->plan.stage = 0;
    return begins;
}

static void a_plan_waits_while_a_promise_to_another_holds(void **state)
{
    (void)state;
    cluster->plan.stage = 0;
    memcpy(cluster->vote.promised.proposer, member->incarnation, sizeof member->incarnation);
    cluster->vote.promised.number = NUMBER + 1;
    cluster->vote.promised_until_ns = cluster->now_ns + 30 * CLUSTER_MS;
    assert_false(plans_after(0));
    assert_false(plans_after(30 * CLUSTER_MS - 1));
    assert_true(plans_after(1));
}

static void a_plan_waits_for_its_delay_for_suspects_and_for_who_is_ahead(void **state)
{
    (void)state;
    cluster->plan.stage = 0;
    cluster->plan.backoff_until_ns = cluster->now_ns + 5 * CLUSTER_MS;
    assert_false(plans_after(5 * CLUSTER_MS - 1));
    assert_true(plans_after(1));
    member->liveness = CLUSTER_ASKING;
    assert_false(plans_after(CLUSTER_MS));
    member->liveness = CLUSTER_TRUSTED;
    member->is_ahead = true;
    assert_false(plans_after(CLUSTER_MS));
    member->is_ahead = false;
    cluster->vote.promised_until_ns = 0; /* to its own plan */
    assert_true(plans_after(CLUSTER_MS));
    assert_int_equal(cluster->plan.list.count, 3);
}

/* ---- what members tell of their epochs ---- */

static void a_member_that_is_ahead_for_a_tenth_of_a_second_is_gone(void **state)
{
    const uint8_t other_id[16] = {77};
    const uint64_t begun_ns = cluster->now_ns;

    (void)state;
    cluster->plan.stage = 0;
    mesh_cluster_peer_state(cluster, member, 1, NUMBER + 1, other_id, false);
    assert_true(member->is_ahead);
    cluster->now_ns += 50 * CLUSTER_MS;
    mesh_cluster_peer_state(cluster, member, 2, NUMBER + 1, other_id, false); /* that changes nothing */
    cluster->now_ns = begun_ns + 100 * CLUSTER_MS - 1;
    mesh_cluster_alive_tick(cluster);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
    cluster->now_ns++;
    mesh_cluster_alive_tick(cluster);
    assert_int_equal(member->liveness, CLUSTER_GONE);
}

/* It answers a JOIN, and tells that it is in a later epoch. */
static void a_cookie_tells_which_epoch_a_member_is_in(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_COOKIE, .as.cookie = {.nonce = 7, .members = 1, .number = NUMBER + 1}};
    struct cluster_input in = {.from = member->addr, .message = &message, .incarnation = member->incarnation, .peer = member, .number = 9};

    (void)state;
    cluster->joining = (struct cluster_joining){.is_active = true, .nonce = 7};
    assert_int_equal(mesh_cluster_joining_cookie(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_GONE);
}

static void only_a_member_of_the_epoch_can_send_it_elsewhere(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_MOVE, .as.move = {.members = 60, .number = NUMBER, .port = 7050}};
    struct cluster_input in = {.from = joiner->addr, .message = &message, .incarnation = joiner->incarnation, .peer = joiner};

    (void)state;
    memcpy(message.as.move.from, cluster->epoch.id, sizeof message.as.move.from);
    assert_int_equal(mesh_cluster_joining_move(cluster, &in), MESH_ESENDER);
    in.peer = NULL;
    assert_int_equal(mesh_cluster_joining_move(cluster, &in), MESH_ESENDER);
    in = (struct cluster_input){.from = member->addr, .message = &message, .incarnation = member->incarnation, .peer = member};
    assert_int_equal(mesh_cluster_joining_move(cluster, &in), 0);
    message.as.move.from[15] ^= 1;
    assert_int_equal(mesh_cluster_joining_move(cluster, &in), MESH_ESENDER);
}

/* ---- voting for the plan of another ---- */

/* Rank 1 proposes the same list. */
static int plan_of_member(uint32_t number)
{
    struct mesh_message message = {.header.type = MESH_TYPE_PLAN};
    struct cluster_input in = {.from = member->addr, .message = &message, .incarnation = member->incarnation, .peer = member};

    mesh_cluster_list_write(&cluster->plan.list, 0, &message);
    message.as.plan.stage = MESH_STAGE_PROPOSE;
    message.as.plan.number = number;
    message.as.plan.round = 8;
    message.as.plan.rank = 1;
    memcpy(message.as.plan.proposer, member->incarnation, sizeof message.as.plan.proposer);
    memcpy(message.as.plan.id, cluster->epoch.id, sizeof message.as.plan.id);
    return mesh_cluster_vote_plan(cluster, &in);
}

static void a_vote_names_its_plan_and_its_senders_epoch(void **state)
{
    struct mesh_message message;
    uint16_t port;

    (void)state;
    cluster->plan.stage = 0;
    for (uint32_t number = NUMBER; number <= NUMBER + 1; number++) {
        const struct mesh_vote *said = &message.as.vote;

        assert_int_equal(plan_of_member(number), number == NUMBER ? MESH_EEPOCH : 0);
        assert_true(proposal_case_sends(MESH_TYPE_VOTE, &message, &port));
        assert_int_equal(port, member->addr.port);
        assert_int_equal(said->answer, number == NUMBER ? MESH_ANSWER_ELSEWHERE : MESH_ANSWER_YES);
        assert_int_equal(said->stage, MESH_STAGE_PROPOSE);
        assert_int_equal(said->number, number);
        assert_int_equal(said->round, 8);
        assert_memory_equal(said->rival, member->incarnation, sizeof said->rival);
        assert_int_equal(said->epoch, NUMBER);
        assert_memory_equal(said->id, cluster->epoch.id, sizeof said->id);
    }
}

/* So that a COMMIT that is lost is brought by any of the list, also by one that is no member yet. */
static void who_has_agreed_asks_four_times_for_the_commit(void **state)
{
    static const uint64_t expected_ms[] = {10, 30, 90, 270};
    const uint64_t begun_ns = cluster->now_ns;
    struct mesh_message message;
    unsigned asked = 0;
    uint16_t port;

    (void)state;
    cluster->plan.stage = 0;
    joiner->is_used = joiner->is_joining = false;
    assert_int_equal(plan_of_member(NUMBER + 1), 0);
    for (uint64_t ms = 0; ms < 1000; ms++) {
        mesh_cluster_tick(cluster, begun_ns + ms * CLUSTER_MS);
        while (proposal_case_sends(MESH_TYPE_ALIVE, &message, &port)) {
            if (port != 7000 + JOINER)
                continue;
            assert_in_range(asked, 0, 3);
            assert_int_equal(ms, expected_ms[asked++]);
            assert_true(message.as.alive.state & MESH_ALIVE_ASKS);
        }
    }
    assert_int_equal(asked, 4);
}

#define VOTES_TEST(test) cmocka_unit_test_setup_teardown(test, proposal_case_open, proposal_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOTES_TEST(a_vote_counts_only_for_the_plan_as_it_stands),
        VOTES_TEST(a_rival_that_is_alive_is_given_way_and_a_dead_one_is_outbid),
        VOTES_TEST(a_newcomer_that_did_not_ask_is_forgotten),
        VOTES_TEST(a_newcomer_that_is_elsewhere_is_forgotten),
        VOTES_TEST(a_newcomer_with_a_higher_number_is_planned_for_with_one_above),
        VOTES_TEST(a_member_with_a_better_offer_is_waited_for_unless_somebody_is_dead),
        VOTES_TEST(a_member_that_is_elsewhere_is_behind_or_gone),
        VOTES_TEST(own_readiness_is_one_vote_among_others),
        VOTES_TEST(a_plan_waits_while_a_promise_to_another_holds),
        VOTES_TEST(a_plan_waits_for_its_delay_for_suspects_and_for_who_is_ahead),
        VOTES_TEST(a_member_that_is_ahead_for_a_tenth_of_a_second_is_gone),
        VOTES_TEST(a_cookie_tells_which_epoch_a_member_is_in),
        VOTES_TEST(only_a_member_of_the_epoch_can_send_it_elsewhere),
        VOTES_TEST(a_vote_names_its_plan_and_its_senders_epoch),
        VOTES_TEST(who_has_agreed_asks_four_times_for_the_commit),
        VOTES_TEST(the_end_of_an_epoch_is_not_told_after_the_next_has_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
