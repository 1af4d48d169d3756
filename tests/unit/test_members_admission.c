/* Members and processes that were one: their questions, JOINs and denials, and when one of two that do not hear one another is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proposal_case.h"

static struct cluster_input input(struct cluster_peer *from, const struct mesh_message *message)
{
    return (struct cluster_input){
        .from = from->addr, .message = message, .incarnation = from->incarnation, .peer = from, .number = from->state_number + 1};
}

/* A JOIN of this peer with a cookie that it was given before. */
static struct mesh_message join_of(struct cluster_peer *from)
{
    struct mesh_message ask = {.header.type = MESH_TYPE_ASK, .as.ask = {.nonce = 6, .members = 1, .number = NUMBER - 1}}, answer;
    struct mesh_message join = {.header.type = MESH_TYPE_JOIN, .as.join = {.nonce = 7, .number = NUMBER - 1}};
    const struct cluster_input in = input(from, &ask);
    uint16_t port;

    assert_int_equal(mesh_cluster_admission_ask(cluster, &in), 0);
    assert_true(proposal_case_sends(MESH_TYPE_COOKIE, &answer, &port));
    memcpy(join.as.join.cookie, answer.as.cookie.cookie, sizeof join.as.join.cookie);
    return join;
}

static int open_calm(void **state)
{
    const int err = proposal_case_open(state);

    cluster->plan.stage = 0;
    joiner->is_joining = joiner->is_used = false;
    return err;
}

/* It asks for an address that somebody else told it of. */
static void a_member_that_asks_from_a_later_epoch_is_gone(void **state)
{
    struct mesh_message ask = {.header.type = MESH_TYPE_ASK, .as.ask = {.nonce = 6, .members = 1, .number = NUMBER + 1}};
    const struct cluster_input in = input(member, &ask);

    (void)state;
    assert_int_equal(mesh_cluster_admission_ask(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_GONE);
}

/* The epoch's COMMIT did not reach it. */
static void a_member_that_asks_to_be_taken_in_gets_the_epoch_once_more(void **state)
{
    const struct mesh_message join = join_of(member);
    const struct cluster_input in = input(member, &join);
    struct mesh_message answer;
    uint16_t port;

    (void)state;
    assert_int_equal(mesh_cluster_admission_join(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
    assert_false(member->is_joining);
    assert_int_equal(member->commit_due, 1);
    assert_true(proposal_case_sends(MESH_TYPE_COOKIE, &answer, &port));
    assert_int_equal(answer.as.cookie.is_waiting, 1);
}

/* For a second; and it stays a member until the others have agreed on the next epoch. */
static void a_member_that_has_left_and_is_not_taken_in_again_is_told_whom_it_does_not_hear(void **state)
{
    struct mesh_message join, deny;
    uint16_t port;

    (void)state;
    member->liveness = CLUSTER_GONE;
    member->is_joining = true;
    member->join_nonce = 7;
    mesh_cluster_admission_deny(cluster, member, MESH_DENY_UNHEARD, 5, 0, CLUSTER_S);
    assert_true(member->is_used && !member->is_joining);
    join = join_of(member);
    while (proposal_case_sends(MESH_TYPE_DENY, &deny, &port))
        ;
    for (unsigned i = 0; i < 2; i++) {
        struct cluster_input in = input(member, &join);

        in.number = member->highest + 2 + i;
        assert_int_equal(mesh_cluster_admission_join(cluster, &in), i == 0 ? MESH_EREFUSED : 0);
        assert_int_equal(proposal_case_sends(MESH_TYPE_DENY, &deny, &port), i == 0);
        if (i == 0) {
            assert_int_equal(deny.as.deny.reason, MESH_DENY_UNHEARD);
            assert_int_equal(deny.as.deny.found, 5);
        }
        cluster->now_ns += CLUSTER_S;
    }
    assert_true(member->is_joining);
}

/* ---- who does not hear whom ---- */

static void starve(void)
{
    mesh_cluster_suspect_starved(cluster, cluster->epoch.rank, UINT64_C(1) << member->rank);
    cluster->now_ns += 200 * CLUSTER_MS;
}

static void the_third_time_that_one_starves_another_the_higher_rank_is_out_and_counting_begins_anew(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        starve();
        starve();
        assert_int_equal(member->liveness, CLUSTER_TRUSTED);
        starve();
        assert_int_equal(member->liveness, CLUSTER_DEAD);
        assert_true(member->is_out);
        member->liveness = CLUSTER_TRUSTED;
        member->is_out = false;
    }
}

/* Ranks are the member, this process and the third. */
static void put_self_in_the_middle(void)
{
    const struct cluster_list three = cluster->plan.list;
    struct cluster_ballot ballot = {.number = NUMBER + 1, .round = 1};
    struct cluster_list list = three;
    const uint8_t id[16] = {66};

    list.members[0] = three.members[1];
    list.members[1] = three.members[0];
    memset(ballot.proposer, MEMBER, sizeof ballot.proposer);
    mesh_cluster_install(cluster, &ballot, id, &list);
    member = mesh_cluster_peer_find(cluster, list.members[2].incarnation);
}

static void who_asks_in_the_place_of_a_suspected_coordinator_leaves_nobody_out(void **state)
{
    (void)state;
    put_self_in_the_middle();
    mesh_cluster_peer_at(cluster, 0)->liveness = CLUSTER_SUSPECTED;
    for (unsigned i = 0; i < 5; i++)
        starve();
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
}

static void a_suspicion_is_reported_at_once(void **state)
{
    struct mesh_message message;
    uint16_t port;

    (void)state;
    put_self_in_the_middle();
    cluster->report.at_ns = cluster->now_ns + CLUSTER_S; /* of an earlier report */
    member->liveness = CLUSTER_SUSPECTED;
    mesh_cluster_suspect_settle(cluster);
    mesh_cluster_suspect_tick(cluster);
    assert_true(proposal_case_sends(MESH_TYPE_SUSPECT, &message, &port));
    assert_int_equal(port, 7000 + MEMBER);
    assert_int_equal(message.as.suspect.ranks, 4);
}

#define ADMISSION_TEST(test) cmocka_unit_test_setup_teardown(test, open_calm, proposal_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMISSION_TEST(a_member_that_asks_from_a_later_epoch_is_gone),
        ADMISSION_TEST(a_member_that_asks_to_be_taken_in_gets_the_epoch_once_more),
        ADMISSION_TEST(a_member_that_has_left_and_is_not_taken_in_again_is_told_whom_it_does_not_hear),
        ADMISSION_TEST(the_third_time_that_one_starves_another_the_higher_rank_is_out_and_counting_begins_anew),
        ADMISSION_TEST(who_asks_in_the_place_of_a_suspected_coordinator_leaves_nobody_out),
        ADMISSION_TEST(a_suspicion_is_reported_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
