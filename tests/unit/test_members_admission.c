/* Members and processes that were one: their questions, JOINs and denials, their signs of life, who leaves and who does not hear whom. */
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

/* It is in no epoch with this process any more, and can come back in the next. */
static void a_member_that_asks_from_a_later_epoch_to_be_taken_in_is_a_newcomer(void **state)
{
    struct mesh_message join = join_of(member);
    const struct cluster_input in = input(member, &join);

    (void)state;
    cluster->addr.port = 7000 + SELF;
    join.as.join.number = NUMBER + 1;
    assert_int_equal(mesh_cluster_admission_join(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_GONE);
    assert_true(member->is_joining);
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

/* Of link-local addresses, fe80::/10, a message tells no link. */
static void an_address_in_a_message_has_a_scope_if_it_is_link_local(void **state)
{
    static const struct {
        uint8_t ip[2];
        bool is_local;
    } cases[] = {{{0xfe, 0x80}, true}, {{0xfe, 0xbf}, true}, {{0xfe, 0xc0}, false}, {{0xfe, 0x40}, false}, {{0xfd, 0x80}, false}};
    const struct mesh_addr from = {.ip = {0xfe, 0x80, [15] = 9}, .port = 9, .scope = 3};
    const uint8_t none[16] = {0};
    struct mesh_addr addr;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t ip[16] = {cases[i].ip[0], cases[i].ip[1], [15] = 5};

        addr = mesh_cluster_addr(ip, 7, &from);
        assert_memory_equal(addr.ip, ip, sizeof ip);
        assert_int_equal(addr.port, 7);
        assert_int_equal(addr.scope, cases[i].is_local ? 3 : 0);
    }
    addr = mesh_cluster_addr(none, 0, &from); /* of the sender itself */
    assert_memory_equal(addr.ip, from.ip, sizeof from.ip);
    assert_int_equal(addr.scope, 3);
}

/* ---- who does not hear whom ---- */

static void starve(void)
{
    mesh_cluster_suspect_report_starved(cluster, (uint16_t)member->rank);
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

/* This process, the member, the newcomer and one more are members; the third is accused by all others, and answers. */
static void all_that_accuse_a_member_are_told_that_it_is_alive(void **state)
{
    const uint8_t id[16] = {66};
    struct cluster_ballot ballot = {.number = NUMBER + 1, .round = 1};
    struct cluster_list list = cluster->plan.list;
    struct mesh_message suspect = {.header.type = MESH_TYPE_SUSPECT, .as.suspect = {.id = {66}, .ranks = 1 << 2}}, message;
    unsigned told[4] = {0};
    uint16_t port;

    (void)state;
    memset(list.members[3].incarnation, NOBODY, sizeof list.members[3].incarnation);
    list.members[3].addr.port = 7000 + NOBODY;
    list.count = 4;
    mesh_cluster_install(cluster, &ballot, id, &list);
    for (unsigned rank = 1; rank < 4; rank += 2) {
        struct cluster_peer *from = mesh_cluster_peer_at(cluster, rank);
        struct cluster_input in = input(from, &suspect);

        in.is_newest = true;
        assert_int_equal(mesh_cluster_suspect_report(cluster, &in), 0);
    }
    while (proposal_case_sends(MESH_TYPE_VERDICT, &message, &port))
        assert_int_equal(message.as.verdict.alive, 0);
    mesh_cluster_suspect_answered(cluster, mesh_cluster_peer_at(cluster, 2), cluster->now_ns);
    while (proposal_case_sends(MESH_TYPE_VERDICT, &message, &port)) {
        assert_int_equal(message.as.verdict.alive, 1 << 2);
        told[port == 7000 + MEMBER ? 1 : port == 7000 + NOBODY ? 3 : 0]++;
    }
    assert_int_equal(told[1], 1);
    assert_int_equal(told[3], 1);
    assert_int_equal(told[0], 0);
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

#define ADMISSION_TEST(test) cmocka_unit_test_setup_teardown(test, open_calm, proposal_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMISSION_TEST(a_member_that_asks_from_a_later_epoch_is_gone),
        ADMISSION_TEST(a_member_that_asks_to_be_taken_in_gets_the_epoch_once_more),
        ADMISSION_TEST(a_member_that_asks_from_a_later_epoch_to_be_taken_in_is_a_newcomer),
        ADMISSION_TEST(a_member_that_has_left_and_is_not_taken_in_again_is_told_whom_it_does_not_hear),
        ADMISSION_TEST(an_address_in_a_message_has_a_scope_if_it_is_link_local),
        ADMISSION_TEST(the_third_time_that_one_starves_another_the_higher_rank_is_out_and_counting_begins_anew),
        ADMISSION_TEST(who_asks_in_the_place_of_a_suspected_coordinator_leaves_nobody_out),
        ADMISSION_TEST(a_suspicion_is_reported_at_once),
        ADMISSION_TEST(all_that_accuse_a_member_are_told_that_it_is_alive),
        ADMISSION_TEST(a_new_epoch_begins_without_suspicions_and_accusations),
        ADMISSION_TEST(a_member_taken_for_dead_comes_back_with_its_newest_sign_of_life_only),
        ADMISSION_TEST(whom_the_mesh_layer_hears_is_not_asked_once_it_is_in_the_epoch),
        ADMISSION_TEST(who_is_stopped_again_and_again_waits_two_seconds_for_an_answer),
        ADMISSION_TEST(one_that_leaves_tells_the_coordinator_at_once_and_again),
        ADMISSION_TEST(there_are_figures_of_every_other_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
