/* Members and processes that were one: their questions, JOINs and denials, when one of two that do not hear one another is left out, and
 * whom this process asks itself. */
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

static void a_new_epoch_begins_without_suspicions_and_accusations(void **state)
{
    (void)state;
    member->liveness = CLUSTER_ASKING;
    member->accusers = member->deaf = 1;
    cluster->report.is_active = true;
    put_self_in_the_middle();
    for (unsigned at = 0; at < 3; at += 2) {
        const struct cluster_peer *peer = mesh_cluster_peer_at(cluster, at);

        assert_int_equal(peer->liveness, CLUSTER_TRUSTED);
        assert_int_equal(peer->accusers, 0);
        assert_int_equal(peer->deaf, 0);
    }
    assert_false(cluster->report.is_active);
}

/* A datagram that is played back says nothing of now. */
static void a_member_taken_for_dead_comes_back_with_its_newest_sign_of_life_only(void **state)
{
    struct mesh_message alive = {.header.type = MESH_TYPE_ALIVE, .as.alive = {.number = NUMBER}};
    struct cluster_input in = input(member, &alive);

    (void)state;
    memcpy(alive.as.alive.id, cluster->epoch.id, sizeof alive.as.alive.id);
    member->liveness = CLUSTER_DEAD;
    assert_int_equal(mesh_cluster_alive_receive(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_DEAD);
    in.is_newest = true;
    assert_int_equal(mesh_cluster_alive_receive(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
}

/* The mesh layer hears the first member, so the cluster layer need not ask it; unless it may not be in this epoch yet. */
static void whom_the_mesh_layer_hears_is_not_asked_once_it_is_in_the_epoch(void **state)
{
    (void)state;
    member->rtt_ns = CLUSTER_MS;
    for (unsigned is_in = 0; is_in < 2; is_in++) {
        struct mesh_message message;
        uint16_t port;

        member->is_in = is_in;
        member->mesh_heard_ns = member->ping_at_ns = cluster->now_ns;
        mesh_cluster_alive_tick(cluster);
        assert_int_equal(proposal_case_sends(MESH_TYPE_ALIVE, &message, &port), !is_in);
        member->ping_at_ns = UINT64_MAX;
        mesh_cluster_alive_ask_all(cluster);
        assert_int_equal(member->ping_at_ns, cluster->now_ns);
    }
}

/* Its time is longer by that in which this process could not hear it; but not without end. */
static void who_is_stopped_again_and_again_waits_two_seconds_for_an_answer(void **state)
{
    (void)state;
    member->liveness = CLUSTER_ASKING;
    member->asked_ns = cluster->now_ns;
    member->asked_until_ns = cluster->now_ns + 100 * CLUSTER_MS;
    for (unsigned i = 1; i <= 50; i++) {
        cluster->now_ns += 200 * CLUSTER_MS;
        mesh_cluster_response_excuse(cluster, 100 * CLUSTER_MS);
        assert_int_equal(member->asked_until_ns - member->asked_ns, (i < 19 ? 100 + i * 100 : 2000) * CLUSTER_MS);
    }
}

static void one_that_leaves_tells_the_coordinator_at_once_and_again(void **state)
{
    struct mesh_message message;
    unsigned told = 0;
    uint16_t port;

    (void)state;
    put_self_in_the_middle();
    mesh_cluster_leave(cluster, cluster->now_ns);
    for (unsigned ms = 0; ms < 200; ms++) {
        mesh_cluster_peer_at(cluster, 0)->ping_at_ns = UINT64_MAX; /* no other reason to ask it */
        mesh_cluster_tick(cluster, cluster->now_ns + CLUSTER_MS);
        while (proposal_case_sends(MESH_TYPE_ALIVE, &message, &port))
            if (port == 7000 + MEMBER) {
                assert_true(message.as.alive.state & MESH_ALIVE_LEAVING);
                told++;
            }
        assert_true(told > 0);
    }
    assert_in_range(told, 2, 20);
}

static void there_are_figures_of_every_other_member(void **state)
{
    struct mesh_cluster_peer_stats stats;

    (void)state;
    put_self_in_the_middle();
    for (uint16_t rank = 0; rank < 4; rank++)
        assert_int_equal(mesh_cluster_get_peer_stats(cluster, rank, &stats), rank == 1 || rank == 3 ? MESH_EINVAL : 0);
}

/* ---- addresses that are asked ---- */

static bool asks(uint64_t *nonce)
{
    struct mesh_message message;
    uint16_t port;

    mesh_cluster_contact_tick(cluster);
    if (!proposal_case_sends(MESH_TYPE_ASK, &message, &port))
        return false;
    assert_int_equal(port, joiner->addr.port);
    *nonce = message.as.ask.nonce;
    return true;
}

/* The answer of a larger cluster to the question. */
static int meet(uint64_t nonce)
{
    struct mesh_message cookie = {.header.type = MESH_TYPE_COOKIE,
                                  .as.cookie = {.nonce = nonce, .members = 9, .number = NUMBER, .id = {9}}};
    const struct cluster_input in = {.from = joiner->addr, .message = &cookie, .incarnation = joiner->incarnation};

    return mesh_cluster_joining_cookie(cluster, &in);
}

static void a_process_that_leaves_joins_no_other_cluster(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    for (unsigned leaves = 2; leaves-- > 0;) {
        cluster->is_leaving = false;
        assert_true(asks(&nonce));
        cluster->is_leaving = leaves;
        assert_int_equal(meet(nonce), 0);
        assert_int_equal(cluster->joining.is_active, !leaves);
        cluster->now_ns += CLUSTER_S;
    }
}

/* A member that has met the other cluster has told the others where it is; of an address that was a member's it has not. */
static void the_others_are_told_of_a_better_cluster_unless_it_is_one_of_them_who_told(void **state)
{
    static const struct {
        bool is_by_move, is_lost;
    } cases[] = {{false, false}, {true, false}, {true, true}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mesh_message message;
        uint64_t nonce;
        uint16_t port;

        if (i > 0)
            assert_int_equal(open_calm(state), 0);
        mesh_cluster_contact_learn(cluster, &joiner->addr, cases[i].is_by_move);
        if (cases[i].is_lost)
            mesh_cluster_contact_lost(cluster, &joiner->addr);
        cluster->now_ns += CLUSTER_S;
        assert_true(asks(&nonce));
        assert_int_equal(meet(nonce), 0);
        assert_true(cluster->joining.is_active);
        assert_int_equal(proposal_case_sends(MESH_TYPE_MOVE, &message, &port), !cases[i].is_by_move || cases[i].is_lost);
        if (i + 1 < sizeof cases / sizeof *cases)
            proposal_case_close(state);
    }
}

/* How often the address is asked within these seconds. */
static unsigned count_questions(unsigned from_s, unsigned to_s)
{
    const uint64_t begun_ns = cluster->now_ns;
    unsigned asked = 0;
    uint64_t nonce;

    for (uint64_t ms = 0; ms < (to_s - from_s) * 1000; ms++) {
        cluster->now_ns = begun_ns + ms * CLUSTER_MS;
        asked += asks(&nonce);
    }
    cluster->now_ns = begun_ns + (to_s - from_s) * CLUSTER_S;
    return asked;
}

/* Ends with the first second, in which both know of each other and one of them joins. */
static void a_cluster_that_was_met_is_asked_every_twentieth_of_a_second(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    cluster->now_ns += 70 * CLUSTER_S; /* the answer to a question that took long */
    assert_int_equal(meet(nonce), 0);
    assert_in_range(count_questions(0, 1), 17, 20);
    assert_in_range(count_questions(1, 10), 8, 14);
}

static void an_address_that_was_met_a_moment_ago_is_not_asked_anew(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    assert_int_equal(meet(nonce), 0);
    cluster->now_ns += 50 * CLUSTER_MS - 1;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_false(asks(&nonce));
    cluster->now_ns++;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
}

static void a_question_is_answered_once(void **state)
{
    uint64_t nonce, number;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    number = mesh_cluster_contact_by_nonce(cluster, nonce)->asked_number;
    assert_non_null(mesh_cluster_contact_by_number(cluster, number, &joiner->addr));
    assert_int_equal(meet(nonce), 0);
    assert_null(mesh_cluster_contact_by_number(cluster, number, &joiner->addr));
    cluster->now_ns += 3 * CLUSTER_S;
    assert_true(asks(&nonce));
    mesh_cluster_contact_denied(cluster, mesh_cluster_contact_by_nonce(cluster, nonce), true);
    assert_null(mesh_cluster_contact_by_nonce(cluster, nonce));
}

/* Its own questions come back for a while, from an address that another process gets afterwards. */
static void an_address_that_was_its_own_is_asked_as_often_as_others_again(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    for (unsigned i = 0; i < 9; i++) { /* the last time after five seconds */
        while (!asks(&nonce))
            cluster->now_ns += 10 * CLUSTER_MS;
        assert_true(mesh_cluster_contact_self(cluster, nonce));
    }
    assert_in_range(count_questions(0, 60), 12, 60);
}

/* After 20, 40, 80 ms and so on; every second; after a minute twice, four times as long and so on; each time up to an eighth longer. */
static void a_silent_address_is_asked_ever_less_often(void **state)
{
    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_in_range(count_questions(0, 1), 6, 7);
    assert_in_range(count_questions(1, 60), 51, 60);
    assert_in_range(count_questions(60, 120), 4, 6);
    assert_in_range(count_questions(120, 420), 8, 11);
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
        ADMISSION_TEST(a_new_epoch_begins_without_suspicions_and_accusations),
        ADMISSION_TEST(a_member_taken_for_dead_comes_back_with_its_newest_sign_of_life_only),
        ADMISSION_TEST(whom_the_mesh_layer_hears_is_not_asked_once_it_is_in_the_epoch),
        ADMISSION_TEST(who_is_stopped_again_and_again_waits_two_seconds_for_an_answer),
        ADMISSION_TEST(one_that_leaves_tells_the_coordinator_at_once_and_again),
        ADMISSION_TEST(there_are_figures_of_every_other_member),
        ADMISSION_TEST(a_cluster_that_was_met_is_asked_every_twentieth_of_a_second),
        ADMISSION_TEST(a_process_that_leaves_joins_no_other_cluster),
        ADMISSION_TEST(the_others_are_told_of_a_better_cluster_unless_it_is_one_of_them_who_told),
        ADMISSION_TEST(an_address_that_was_met_a_moment_ago_is_not_asked_anew),
        ADMISSION_TEST(a_question_is_answered_once),
        ADMISSION_TEST(an_address_that_was_its_own_is_asked_as_often_as_others_again),
        ADMISSION_TEST(a_silent_address_is_asked_ever_less_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
