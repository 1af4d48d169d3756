/* Finding one another, and joining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "members_case.h"

#define RTT_NS    (200 * UINT64_C(1000))
#define GATHER_NS (10 * SIMMEMBERS_MS)

static int open_members(uint16_t count)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, count, 1, &link);
    return 0;
}

/* ---- alone ---- */

static void without_seeds_a_process_is_an_epoch_of_one_at_once(void **state)
{
    (void)state;
    open_members(1);
    simmembers_start(&members, 0);
    members_case_expect_agreement(1, 1);
    assert_int_equal(members.at[0].number, 1);
    assert_true(mesh_cluster_is_coordinator(members.at[0].cluster));
}

static void with_seeds_it_looks_for_others_for_half_a_second(void **state)
{
    (void)state;
    open_members(2);
    simmembers_add_seed(&members, 0, 1);
    simmembers_start(&members, 0);
    assert_true(simmembers_run(&members, 490 * SIMMEMBERS_MS));
    assert_false(members.at[0].has_epoch);
    members_case_expect_agreement(1, 20 * SIMMEMBERS_MS);
}

static void an_address_of_its_own_among_the_seeds_does_no_harm(void **state)
{
    (void)state;
    open_members(2);
    simmembers_add_seed(&members, 0, 0);
    simmembers_add_seed(&members, 0, 1);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    members_case_expect_agreement(3, 50 * SIMMEMBERS_MS);
}

/* ---- joining ---- */

static void a_newcomer_is_in_after_three_round_trips_and_the_gathering(void **state)
{
    (void)state;
    for (uint16_t count = 2; count <= 10; count++)
        for (unsigned asks_coordinator = 0; asks_coordinator < 2; asks_coordinator++) {
            uint16_t last = (uint16_t)(count - 1);

            open_members(count);
            members.count = last;
            simmembers_form(&members);
            members.count = count;
            simmembers_add_seed(&members, last, simmembers_place(&members, asks_coordinator ? 0 : (uint16_t)(last - 1)));
            simmembers_start(&members, last);
            members_case_expect_agreement(simmembers_all(&members), 3 * RTT_NS + GATHER_NS);
            assert_int_equal(members.at[last].events[MESH_CLUSTER_JOINED], 1);
            assert_int_equal(members.at[last].rank, last);
            if (count < 10 || !asks_coordinator)
                simmembers_close(&members);
        }
}

static void the_others_keep_their_order_and_newcomers_come_last(void **state)
{
    uint16_t before[5];

    (void)state;
    open_members(8);
    members.count = 5;
    simmembers_form(&members);
    members.count = 8;
    for (uint16_t rank = 0; rank < 5; rank++)
        before[rank] = simmembers_place(&members, rank);
    for (uint16_t place = 5; place < 8; place++) {
        simmembers_add_seed(&members, place, 2);
        simmembers_start(&members, place);
    }
    members_case_expect_agreement(255, 100 * SIMMEMBERS_MS);
    for (uint16_t rank = 0; rank < 5; rank++)
        assert_int_equal(simmembers_place(&members, rank), before[rank]);
}

static void simultaneous_start(uint16_t count, uint16_t (*seed_of)(uint16_t place), uint64_t seed)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, count, seed, &link);
    for (uint16_t place = 0; place < count; place++)
        simmembers_add_seed(&members, place, seed_of(place));
    for (uint16_t i = 0; i < count; i++)
        simmembers_start(&members, (uint16_t)((i * 5 + seed) % count));
    members_case_expect_agreement(simmembers_all(&members), 2 * SIMMEMBERS_S);
    simmembers_close(&members);
}

static uint16_t the_one_before(uint16_t place)
{
    return (uint16_t)(place ? place - 1 : 0);
}

static uint16_t the_first(uint16_t place)
{
    (void)place;
    return 0;
}

static uint16_t the_last(uint16_t place)
{
    (void)place;
    return 15;
}

static uint16_t its_parent(uint16_t place)
{
    return place / 2;
}

static void sixteen_at_once_are_one_epoch_within_two_seconds(void **state)
{
    uint16_t (*const forms[])(uint16_t place) = {the_one_before, the_first, the_last, its_parent};

    (void)state;
    for (unsigned form = 0; form < 4; form++)
        for (uint64_t seed = 1; seed <= 20; seed++)
            simultaneous_start(16, forms[form], seed);
}

static void sixty_four_are_one_epoch_and_one_more_is_refused(void **state)
{
    struct mesh_sim_link link = simmembers_link();

    (void)state;
    simmembers_open(&members, 64, 1, &link);
    for (uint16_t place = 0; place < 64; place++)
        simmembers_add_seed(&members, place, the_one_before(place));
    for (uint16_t place = 0; place < 64; place++)
        simmembers_start(&members, place);
    members_case_expect_agreement(UINT64_MAX, 2 * SIMMEMBERS_S);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));

    /* The simulator has no 65th place: the newcomer takes the address of a place that no longer answers. */
    mesh_sim_crash(members.sim, 63);
    members.at[63].cluster = NULL;
    simmembers_add_seed(&members, 63, 0);
    simmembers_start(&members, 63);
    assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
    assert_int_equal(members.at[63].events[MESH_CLUSTER_REFUSED], 1);
    assert_int_equal(members.at[63].refused.reason_code, MESH_DENY_FULL);
    assert_string_equal(members.at[63].reason,
                        "the cluster does not take this node in: number of members with this node is 65, at most 64: "
                        "start fewer nodes");
    members_case_expect_agreement(UINT64_MAX, 5 * SIMMEMBERS_S); /* once the dead member is detected, there is room */
}

static void nobody_is_suspected_or_evicted_where_nothing_happens(void **state)
{
    (void)state;
    open_members(9);
    simmembers_form(&members);
    assert_true(simmembers_run(&members, 20 * SIMMEMBERS_S));
    for (uint16_t place = 0; place < 9; place++) {
        struct mesh_cluster_stats stats;

        mesh_cluster_get_stats(members.at[place].cluster, &stats);
        assert_int_equal(stats.suspicions + stats.evictions + stats.plans_over + stats.pauses, 0);
    }
}

static void own_addresses_are_learnt_from_those_who_join(void **state)
{
    struct mesh_cluster_event epoch;

    (void)state;
    open_members(3);
    members.at[1].config.addr = mesh_sim_addr(1);
    simmembers_form(&members);
    for (uint16_t place = 0; place < 3; place++) {
        mesh_cluster_get_epoch(members.at[place].cluster, &epoch);
        assert_int_equal(epoch.member_count, 3);
        for (uint16_t rank = 0; rank < 3; rank++)
            assert_int_equal(epoch.members[rank].addr.port, simmembers_place(&members, rank));
        assert_int_equal(epoch.members[epoch.own_rank].addr.port, place);
    }
}

/* ---- prepared joins ---- */

static void newcomers_load_before_they_come_in(void **state)
{
    (void)state;
    open_members(3);
    members.count = 2;
    members.at[0].config.prepares_joins = members.at[1].config.prepares_joins = true;
    simmembers_form(&members);
    members.count = 3;
    members.at[1].prepare_ns = 40 * SIMMEMBERS_MS;
    members.at[2].prepare_ns = 300 * SIMMEMBERS_MS;
    simmembers_add_seed(&members, 2, 0);
    simmembers_start(&members, 2);
    assert_true(simmembers_run(&members, 290 * SIMMEMBERS_MS));
    assert_true(simmembers_agree(&members, 3)); /* the old epoch continues */
    assert_int_equal(members.at[0].prepare_count, 3);
    assert_int_equal(members.at[2].prepare_count, 3);
    members_case_expect_agreement(7, 30 * SIMMEMBERS_MS);
}

/* Preparing members know the summaries of all others, including newcomers; and an epoch has the latest ones. */
static void what_a_newcomer_says_of_itself_is_known_before_all_prepare(void **state)
{
    (void)state;
    open_members(3);
    members.count = 2;
    for (uint16_t place = 0; place < 3; place++) {
        members.at[place].config.prepares_joins = true;
        members.at[place].summary = 1000 + place;
    }
    simmembers_form(&members);
    members.count = 3;
    mesh_cluster_set_summary(members.at[0].cluster, 66);
    mesh_cluster_set_summary(members.at[1].cluster, 77);
    members.at[2].prepare_ns = 300 * SIMMEMBERS_MS;
    simmembers_add_seed(&members, 2, 0);
    simmembers_start(&members, 2);
    assert_true(simmembers_run(&members, 290 * SIMMEMBERS_MS));
    for (uint16_t place = 0; place < 3; place++) {
        assert_int_equal(members.at[place].prepare_summary[0], 66);
        assert_int_equal(members.at[place].prepare_summary[1], 77);
        assert_int_equal(members.at[place].prepare_summary[2], 1002);
    }
    mesh_cluster_set_summary(members.at[2].cluster, 88);
    members_case_expect_agreement(7, 30 * SIMMEMBERS_MS);
    assert_int_equal(members.at[0].list[2].summary, 88);
}

/* It never reports that it hears all: one of the newcomers, which is left out, has no path to it. */
static void so_it_is_of_one_that_does_not_hear_who_is_left_out(void **state)
{
    (void)state;
    open_members(4);
    members.count = 2;
    for (uint16_t place = 0; place < 4; place++) {
        members.at[place].config.prepares_joins = true;
        members.at[place].summary = 1000 + place;
    }
    simmembers_form(&members);
    members.count = 4;
    mesh_sim_block(members.sim, 2, 3, true);
    mesh_sim_block(members.sim, 3, 2, true);
    for (uint16_t place = 2; place < 4; place++) {
        members.at[place].prepare_ns = 300 * SIMMEMBERS_MS;
        simmembers_add_seed(&members, place, 0);
        simmembers_start(&members, place);
    }
    assert_true(simmembers_run(&members, 600 * SIMMEMBERS_MS));
    for (uint16_t place = 0; place < 2; place++) {
        assert_int_equal(members.at[place].prepare_count, 3);
        assert_int_equal(members.at[place].prepare_summary[2] + members.at[place].prepare_summary[3],
                         members.at[2].prepare_count > 0 ? 1002 : 1003);
    }
}

/* The check of a newcomer says nothing of the next one: no member hears this one for having heard the one before. */
static void each_newcomer_has_to_be_heard_itself(void **state)
{
    (void)state;
    open_members(4);
    members.count = 2;
    for (uint16_t place = 0; place < 4; place++)
        members.at[place].config.prepares_joins = true;
    simmembers_form(&members);
    members.count = 4;
    simmembers_add_seed(&members, 2, 0);
    simmembers_start(&members, 2);
    members_case_expect_agreement(7, SIMMEMBERS_S);
    simmembers_crash(&members, 2);
    members_case_expect_agreement(3, 3 * SIMMEMBERS_S);
    const uint32_t number = members.at[0].number;
    mesh_sim_block(members.sim, 1, 3, true);
    mesh_sim_block(members.sim, 3, 1, true);
    simmembers_add_seed(&members, 3, 0);
    simmembers_start(&members, 3);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_int_equal(members.at[0].number, number);
    assert_int_equal(members.at[3].refused.reason_code, MESH_DENY_UNHEARD);
}

/* The members are near one another; the newcomer asks at the coordinator, whose answers come late. */
static void a_newcomer_far_away_has_the_time_that_its_answers_take(void **state)
{
    const uint64_t far_ns[] = {150 * SIMMEMBERS_MS, 225 * SIMMEMBERS_MS}; /* each way */

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct mesh_sim_link near = simmembers_link();
        struct mesh_sim_link far = near;

        far.delay_ns = far_ns[i];
        open_members(3);
        members.count = 2;
        for (uint16_t place = 0; place < 3; place++)
            members.at[place].config.prepares_joins = true;
        simmembers_form(&members);
        members.count = 3;
        for (uint16_t place = 0; place < 2; place++) {
            mesh_sim_set_link(members.sim, place, 2, &far);
            mesh_sim_set_link(members.sim, 2, place, &far);
        }
        simmembers_add_seed(&members, 2, 0);
        simmembers_start(&members, 2);
        members_case_expect_agreement(7, 8 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, 20 * SIMMEMBERS_S));
        assert_true(simmembers_agree(&members, 7)); /* and stays in */
        assert_int_equal(members.at[2].events[MESH_CLUSTER_REFUSED], 0);
        if (i == 0)
            simmembers_close(&members);
    }
}

static void a_newcomer_that_never_finishes_loading_stays_out(void **state)
{
    uint32_t number;

    (void)state;
    open_members(3);
    members.count = 2;
    for (uint16_t place = 0; place < 2; place++) {
        members.at[place].config.prepares_joins = true;
        members.at[place].config.prepare_ns_max = 500 * SIMMEMBERS_MS;
    }
    simmembers_form(&members);
    members.count = 3;
    number = members.at[0].number;
    members.at[2].prepare_ns = 1000 * SIMMEMBERS_S;
    simmembers_add_seed(&members, 2, 0);
    simmembers_start(&members, 2);
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 3));
    assert_int_equal(members.at[0].number, number); /* and disturbs no member */
}

static void a_death_goes_before_a_plan(void **state)
{
    uint16_t dead;

    (void)state;
    open_members(5);
    members.count = 4;
    for (uint16_t place = 0; place < 5; place++) {
        members.at[place].config.prepares_joins = true;
        members.at[place].prepare_ns = 500 * SIMMEMBERS_MS;
    }
    simmembers_form(&members);
    members.count = 5;
    simmembers_add_seed(&members, 4, 0);
    simmembers_start(&members, 4);
    assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
    assert_true(members.at[4].events[MESH_CLUSTER_PREPARE] == 1);
    dead = simmembers_place(&members, 2);
    simmembers_crash(&members, dead);
    simmembers_suspect(&members, simmembers_place(&members, 1), dead);
    members_case_expect_agreement(15 & ~(UINT64_C(1) << dead), 10 * SIMMEMBERS_MS);
    members_case_expect_agreement(31 & ~(UINT64_C(1) << dead), 2 * SIMMEMBERS_S);
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_setup_teardown(name, NULL, members_case_close)
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(without_seeds_a_process_is_an_epoch_of_one_at_once),
        MEMBERS_TEST(with_seeds_it_looks_for_others_for_half_a_second),
        MEMBERS_TEST(an_address_of_its_own_among_the_seeds_does_no_harm),
        MEMBERS_TEST(a_newcomer_is_in_after_three_round_trips_and_the_gathering),
        MEMBERS_TEST(the_others_keep_their_order_and_newcomers_come_last),
        cmocka_unit_test(sixteen_at_once_are_one_epoch_within_two_seconds),
        MEMBERS_TEST(sixty_four_are_one_epoch_and_one_more_is_refused),
        MEMBERS_TEST(nobody_is_suspected_or_evicted_where_nothing_happens),
        MEMBERS_TEST(own_addresses_are_learnt_from_those_who_join),
        MEMBERS_TEST(newcomers_load_before_they_come_in),
        MEMBERS_TEST(what_a_newcomer_says_of_itself_is_known_before_all_prepare),
        MEMBERS_TEST(so_it_is_of_one_that_does_not_hear_who_is_left_out),
        MEMBERS_TEST(each_newcomer_has_to_be_heard_itself),
        MEMBERS_TEST(a_newcomer_far_away_has_the_time_that_its_answers_take),
        MEMBERS_TEST(a_newcomer_that_never_finishes_loading_stays_out),
        MEMBERS_TEST(a_death_goes_before_a_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
