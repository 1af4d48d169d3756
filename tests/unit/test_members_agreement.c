/* Agreeing on epochs: lists in parts, nonces, rivals, lost commits, shares, summaries that members give of themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "members_case.h"

static void kill_and_tell(uint16_t dead_rank, uint16_t by_rank)
{
    uint16_t dead = simmembers_place(&members, dead_rank), by = simmembers_place(&members, by_rank);

    simmembers_crash(&members, dead);
    simmembers_suspect(&members, by, dead);
}

/* ---- lists ---- */

/* Five parts of up to fifteen members each; three of ten datagrams are lost. */
static void a_long_list_arrives_in_parts_whatever_is_lost(void **state)
{
    struct mesh_sim_link lossy = simmembers_link();
    uint16_t dead;

    (void)state;
    members_case_form(40);
    lossy.loss_ppm = 300000;
    dead = simmembers_place(&members, 7);
    for (uint16_t from = 0; from < 40; from++)
        for (uint16_t to = 0; to < 40; to++)
            if (from != to)
                mesh_sim_set_link(members.sim, from, to, &lossy);
    simmembers_crash(&members, dead);
    simmembers_suspect(&members, simmembers_place(&members, 3), dead);
    members_case_expect_agreement(members_case_without(simmembers_all(&members), dead), 100 * SIMMEMBERS_MS);
}

static void the_list_says_what_members_say_of_themselves(void **state)
{
    (void)state;
    members_case_form(3);
    for (uint16_t place = 0; place < 3; place++) {
        mesh_cluster_set_summary(members.at[place].cluster, UINT64_C(1000000000000) + place);
        mesh_cluster_set_speed(members.at[place].cluster, 500u + place);
        mesh_cluster_set_flags(members.at[place].cluster, 8u + place);
    }
    kill_and_tell(1, 0);
    members_case_expect_agreement(members_case_without(7, simmembers_place(&members, 1)), 10 * SIMMEMBERS_MS);
    for (uint16_t rank = 0; rank < 2; rank++) {
        uint16_t place = simmembers_place(&members, rank);
        const struct mesh_cluster_member *member = &members.at[place].list[rank];

        assert_true(member->summary == UINT64_C(1000000000000) + place);
        assert_int_equal(member->speed, 500 + place);
        assert_int_equal(member->flags, 8 + place);
    }
}

/* ---- commits ---- */

/* The next COMMIT to one place and all later ones from the same sender are lost; then the proposer dies. */
struct loss {
    uint16_t from, to;
    bool is_on;
};

static bool lose_commits(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    const struct loss *loss = all->app;

    return loss->is_on && message->header.type == MESH_TYPE_COMMIT && from == loss->from && to == loss->to;
}

static void any_member_brings_a_commit_that_was_lost(void **state)
{
    struct loss loss;
    uint16_t proposer, behind, other;

    (void)state;
    members_case_form(4);
    proposer = simmembers_place(&members, 0);
    other = simmembers_place(&members, 1);
    behind = simmembers_place(&members, 2);
    loss = (struct loss){proposer, behind, true};
    members.app = &loss;
    members.loses = lose_commits;
    kill_and_tell(3, 0);
    while (members.at[other].count != 3)
        assert_true(simmembers_run(&members, 100000));
    simmembers_crash(&members, proposer); /* only the proposer has promised to send it again */
    assert_int_equal(members.at[behind].count, 4);
    assert_true(simmembers_run(&members, 300 * SIMMEMBERS_MS));
    assert_int_equal(members.at[behind].count, 3);
    assert_int_equal(members.at[behind].number, members.at[other].number);
    members_case_expect_agreement((UINT64_C(1) << other) | (UINT64_C(1) << behind), 3 * SIMMEMBERS_S);
}

/* The member agreed, then received no COMMIT, and the others never install that epoch: nothing holds the member up for long. */
static void a_proposal_that_comes_to_nothing_is_forgotten(void **state)
{
    uint16_t proposer;

    (void)state;
    members_case_form(4);
    proposer = simmembers_place(&members, 0);
    kill_and_tell(3, 0);
    while (!members.received[MESH_TYPE_PLAN])
        assert_true(simmembers_run(&members, 10000));
    members.received[MESH_TYPE_PLAN] = 0;
    while (!members.received[MESH_TYPE_PLAN])
        assert_true(simmembers_run(&members, 10000));
    simmembers_crash(&members, proposer);
    for (uint16_t rank = 1; rank < 3; rank++)
        simmembers_suspect(&members, simmembers_place(&members, rank), proposer);
    members_case_expect_agreement((UINT64_C(1) << simmembers_place(&members, 1)) | (UINT64_C(1) << simmembers_place(&members, 2)),
                                  50 * SIMMEMBERS_MS);
}

static uint8_t recorded[MESH_DATAGRAM_BYTES_MIN];
static size_t recorded_bytes;

static void record_commit(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped)
{
    const uint16_t *wanted = app;

    (void)now_ns, (void)from, (void)dropped;
    if (packet[3] == MESH_TYPE_COMMIT && to == *wanted) {
        memcpy(recorded, packet, bytes);
        recorded_bytes = bytes;
    }
}

static int feed(uint16_t to, const struct mesh_message *message)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes = mesh_wire_encode(message, packet, sizeof packet);

    return mesh_cluster_receive(members.at[to].cluster, simmembers_clock(&members, to), mesh_sim_addr(simmembers_place(&members, 0)),
                                packet, bytes);
}

/* Each change but the last makes a COMMIT that must not be installed. */
static void a_commit_is_installed_only_with_the_own_nonce_and_the_right_id(void **state)
{
    struct loss loss;
    struct mesh_message message, changed;
    uint16_t behind;

    (void)state;
    members_case_form(3);
    behind = simmembers_place(&members, 1);
    loss = (struct loss){simmembers_place(&members, 0), behind, true};
    members.app = &loss;
    members.loses = lose_commits;
    mesh_sim_watch(members.sim, record_commit, &behind);
    kill_and_tell(2, 0);
    assert_true(simmembers_run(&members, 9 * SIMMEMBERS_MS));
    assert_int_equal(mesh_wire_decode(recorded, recorded_bytes, &message), 0);
    message.header.number += 100;

    changed = message;
    changed.as.commit.id[3] ^= 1;
    assert_int_equal(feed(behind, &changed), MESH_ERANGE);
    changed = message;
    changed.members[0].speed++; /* a list that does not match the id */
    assert_int_equal(feed(behind, &changed), MESH_ERANGE);
    changed = message;
    changed.members[1].nonce[0] ^= 1;
    assert_int_equal(feed(behind, &changed), MESH_ESTATE);
    changed = message;
    changed.as.commit.round++; /* a ballot for which it has given no nonce */
    assert_int_equal(feed(behind, &changed), MESH_EEPOCH);
    changed = message;
    memset(changed.as.commit.proposer, 3, sizeof changed.as.commit.proposer);
    assert_int_equal(feed(behind, &changed), MESH_EEPOCH);
    assert_int_equal(feed(behind, &message), 0);
    message.header.number++;
    assert_int_equal(feed(behind, &message), 0); /* a repetition is acknowledged again */
    members_case_expect_agreement((UINT64_C(1) << behind) | (UINT64_C(1) << loss.from), SIMMEMBERS_MS);
}

static void a_plan_of_a_stranger_is_not_looked_at(void **state)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_PLAN, .number = 1},
                                   .as.plan = {.stage = MESH_STAGE_PROPOSE, .number = 9, .round = 1, .total = 1, .member_count = 1}};
    uint32_t before;

    (void)state;
    members_case_form(2);
    before = mesh_cluster_state_hash(members.at[0].cluster);
    memset(message.as.plan.incarnation, 5, sizeof message.as.plan.incarnation);
    memset(message.as.plan.proposer, 5, sizeof message.as.plan.proposer);
    memcpy(message.members[0].incarnation, members.at[0].config.incarnation, sizeof message.members[0].incarnation);
    assert_int_equal(feed(0, &message), MESH_ESENDER);
    memset(message.as.plan.proposer, 6, sizeof message.as.plan.proposer);
    assert_int_equal(feed(0, &message), MESH_ESENDER);
    assert_int_equal(mesh_cluster_state_hash(members.at[0].cluster), before);
}

/* ---- rivals ---- */

/* Two members take each other for dead, and each asks the rest: one of them is left out, and returns when it is heard. */
static void of_two_rivals_one_wins(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        uint16_t a, b;

        (void)state;
        members_case_form(5);
        a = simmembers_place(&members, 0);
        b = simmembers_place(&members, 1);
        mesh_sim_block(members.sim, a, b, true);
        mesh_sim_block(members.sim, b, a, true);
        simmembers_suspect(&members, a, b);
        assert_true(simmembers_run(&members, seed * 50000));
        simmembers_suspect(&members, b, a);
        assert_true(simmembers_run(&members, SIMMEMBERS_S));
        assert_true(simmembers_agree(&members, members_case_without(31, a)) || simmembers_agree(&members, members_case_without(31, b)));
        mesh_sim_block(members.sim, a, b, false);
        mesh_sim_block(members.sim, b, a, false);
        members_case_expect_agreement(31, 5 * SIMMEMBERS_S);
        if (seed < 19)
            simmembers_close(&members);
    }
}

/* ---- shares ---- */

static int propose(uint16_t rank, const uint32_t *shares, unsigned count)
{
    uint16_t place = simmembers_place(&members, rank);
    int err = mesh_cluster_propose_shares(members.at[place].cluster, simmembers_clock(&members, place), shares, count);

    mesh_sim_wake(members.sim, place);
    return err;
}

static void shares_are_prepared_and_then_agreed_upon(void **state)
{
    const uint32_t shares[3] = {10, 0, 22};
    uint32_t number;

    (void)state;
    members_case_form(3);
    number = members.at[0].number;
    members.at[2].prepare_ns = 200 * SIMMEMBERS_MS;
    assert_int_equal(propose(1, shares, 3), MESH_ESTATE); /* only the coordinator may propose */
    assert_int_equal(propose(0, shares, 2), MESH_ESTATE);
    assert_int_equal(propose(0, shares, 3), 0);
    assert_int_equal(propose(0, shares, 3), MESH_AGAIN);
    assert_true(simmembers_run(&members, 190 * SIMMEMBERS_MS));
    assert_int_equal(members.at[0].number, number);
    assert_true(simmembers_run(&members, 15 * SIMMEMBERS_MS));
    assert_true(simmembers_agree(&members, 7));
    assert_int_equal(members.at[0].number, number + 1);
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(members.at[0].list[rank].share, shares[rank]);
    kill_and_tell(2, 0);
    members_case_expect_agreement(members_case_without(7, simmembers_place(&members, 2)), 10 * SIMMEMBERS_MS);
    assert_int_equal(members.at[simmembers_place(&members, 0)].list[0].share, 0); /* shares agreed for other members do not apply */
}

static void only_the_plan_of_the_last_event_can_be_ready(void **state)
{
    const uint32_t shares[2] = {1, 2};
    struct simmember *member = &members.at[0];
    uint32_t plan;

    (void)state;
    members_case_form(2);
    assert_int_equal(mesh_cluster_ready(member->cluster, simmembers_clock(&members, 0), 1), MESH_ESTATE);
    member->prepare_ns = 100 * SIMMEMBERS_S;
    assert_int_equal(propose(0, shares, 2), 0);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_MS));
    plan = member->ready_plan;
    assert_int_equal(mesh_cluster_ready(member->cluster, simmembers_clock(&members, 0), plan + 1), MESH_ESTATE);
    assert_int_equal(mesh_cluster_ready(member->cluster, simmembers_clock(&members, 0), plan), 0);
    mesh_sim_wake(members.sim, 0);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_MS));
    assert_int_equal(member->list[1].share, 2);
    assert_int_equal(mesh_cluster_ready(member->cluster, simmembers_clock(&members, 0), plan), MESH_ESTATE);
}

/* ---- the same inputs ---- */

static void equal_seeds_give_equal_states(void **state)
{
    uint32_t hash[2][6];

    (void)state;
    for (unsigned run = 0; run < 2; run++) {
        members_case_form(6);
        kill_and_tell(2, 4);
        assert_true(simmembers_run(&members, 20 * SIMMEMBERS_MS));
        for (uint16_t place = 0; place < 6; place++)
            hash[run][place] = members.at[place].cluster ? mesh_cluster_state_hash(members.at[place].cluster) : 0;
        if (!run)
            simmembers_close(&members);
    }
    assert_memory_equal(hash[0], hash[1], sizeof hash[0]);
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, members_case_close)
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(a_long_list_arrives_in_parts_whatever_is_lost),
        MEMBERS_TEST(the_list_says_what_members_say_of_themselves),
        MEMBERS_TEST(any_member_brings_a_commit_that_was_lost),
        MEMBERS_TEST(a_proposal_that_comes_to_nothing_is_forgotten),
        MEMBERS_TEST(a_commit_is_installed_only_with_the_own_nonce_and_the_right_id),
        MEMBERS_TEST(a_plan_of_a_stranger_is_not_looked_at),
        MEMBERS_TEST(of_two_rivals_one_wins),
        MEMBERS_TEST(shares_are_prepared_and_then_agreed_upon),
        MEMBERS_TEST(only_the_plan_of_the_last_event_can_be_ready),
        MEMBERS_TEST(equal_seeds_give_equal_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
