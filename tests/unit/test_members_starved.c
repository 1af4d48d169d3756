/* Members that hear one another, while no large datagrams pass between two of them: which is left out, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "members_case.h"

/* All members hear all others, but large datagrams do not pass between two of them. */
static void starve(uint16_t who, uint16_t by, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        simmembers_starved(&members, who, by);
        assert_true(simmembers_run(&members, 300 * SIMMEMBERS_MS));
    }
}

static void of_two_that_starve_one_another_the_higher_rank_leaves_for_a_while(void **state)
{
    static const uint16_t pair[][2] = {{1, 3}, {3, 1}, {0, 2}, {2, 0}}; /* who is starved, and by whom; rank 0 is told, or notices itself */

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const uint16_t high = pair[i][0] > pair[i][1] ? pair[i][0] : pair[i][1];
        uint16_t who, by, out, coordinator;

        members_case_form(4);
        who = simmembers_place(&members, pair[i][0]);
        by = simmembers_place(&members, pair[i][1]);
        out = simmembers_place(&members, high);
        coordinator = simmembers_place(&members, 0);
        starve(who, by, 2);
        assert_true(simmembers_agree(&members, 15)); /* two reports may be a mistake */
        starve(who, by, 1);
        members_case_expect_agreement(members_case_without(15, out), 100 * SIMMEMBERS_MS);
        assert_int_equal(members.at[coordinator].lost.addr.port, out);
        assert_memory_equal(members.at[coordinator].lost.unheard.ip, members.at[coordinator].lost.addr.ip, 16);
        assert_int_equal(members.at[coordinator].lost.unheard.port, out == who ? by : who); /* the reason */
        assert_true(simmembers_run(&members, 14 * SIMMEMBERS_S));
        assert_true(simmembers_agree(&members, members_case_without(15, out)));
        assert_int_equal(members.at[out].refused.reason_code, MESH_DENY_UNHEARD);
        members_case_expect_agreement(15, 35 * SIMMEMBERS_S); /* it asks every 30 s by then */
        if (i < 3)
            simmembers_close(&members);
    }
}

/* Rank 0 leaves out both others, as their ranks are higher. They find each other but not rank 0, and when they meet again it gets the last
 * rank. */
static void a_coordinator_that_starves_all_others_is_left_behind(void **state)
{
    uint16_t alone, a, b;

    (void)state;
    members_case_form(3);
    alone = simmembers_place(&members, 0);
    a = simmembers_place(&members, 1);
    b = simmembers_place(&members, 2);
    for (unsigned i = 0; i < 3; i++) {
        simmembers_starved(&members, a, alone);
        simmembers_starved(&members, b, alone);
        assert_true(simmembers_run(&members, 300 * SIMMEMBERS_MS));
    }
    members_case_expect_agreement(members_case_without(7, alone), 3 * SIMMEMBERS_S);
    assert_true(simmembers_run(&members, 8 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, members_case_without(7, alone)));
    members_case_expect_agreement(7, 35 * SIMMEMBERS_S);
    assert_int_equal(simmembers_place(&members, 2), alone);
}

/* Three members, of which ranks 1 and 2 have starved one another, so that *by is left out. */
static void form_and_starve(uint16_t *who, uint16_t *by)
{
    members_case_form(3);
    *who = simmembers_place(&members, 1);
    *by = simmembers_place(&members, 2);
    starve(*who, *by, 3);
}

static void who_starves_or_is_starved_again_stays_away_twice_as_long(void **state)
{
    uint16_t who, by;

    (void)state;
    form_and_starve(&who, &by);
    assert_true(simmembers_run(&members, 14 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, members_case_without(7, by)));
    members_case_expect_agreement(7, 35 * SIMMEMBERS_S);
    starve(who, by, 3);
    assert_true(simmembers_run(&members, 29 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, members_case_without(7, by)));
    members_case_expect_agreement(7, 65 * SIMMEMBERS_S);
}

static bool loses_votes_of_3(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all, (void)to;
    return from == 3 && message->header.type == MESH_TYPE_VOTE;
}

/* Each of these newcomers is itself denied for a while, which the coordinator has to remember, too. */
static void newcomers_that_fail_one_after_the_other_shorten_no_time_of_who_starves(void **state)
{
    const struct mesh_sim_link link = simmembers_link();
    uint16_t who, by;

    (void)state;
    simmembers_open(&members, 4, 1, &link);
    members.count = 3;
    simmembers_form(&members);
    who = simmembers_place(&members, 1);
    by = simmembers_place(&members, 2);
    starve(who, by, 3);
    members.count = 4;
    members.loses = loses_votes_of_3;
    simmembers_add_seed(&members, 3, 0);
    for (unsigned i = 0; i < 40; i++) {
        simmembers_start(&members, 3);
        assert_true(simmembers_run(&members, 300 * SIMMEMBERS_MS));
        simmembers_crash(&members, 3);
    }
    assert_true(simmembers_run(&members, 2 * SIMMEMBERS_S)); /* 14 s by now */
    assert_true(simmembers_agree(&members, members_case_without(7, by)));
    members_case_expect_agreement(7, 35 * SIMMEMBERS_S);
}

/* What is sent to and from the place is lost if it is longer than some messages, and shorter than a part of a long list. */
static void narrow(uint16_t place, bool is_narrow)
{
    struct mesh_sim_link link = simmembers_link();

    link.datagram_bytes_max = is_narrow ? 800 : 0;
    for (uint16_t other = 0; other < members.count; other++) {
        if (other == place)
            continue;
        mesh_sim_set_link(members.sim, place, other, &link);
        mesh_sim_set_link(members.sim, other, place, &link);
    }
}

/* It hears all and is heard by all, so nobody suspects it for long; but nothing is agreed upon without it. */
static void who_cannot_receive_a_plan_is_left_out_after_plans_in_vain(void **state)
{
    (void)state;
    for (unsigned coordinates = 0; coordinates < 2; coordinates++) {
        uint16_t place, dead;
        uint64_t others;

        members_case_form(16);
        place = simmembers_place(&members, coordinates ? 0 : 15);
        dead = simmembers_place(&members, 7);
        others = members_case_without(members_case_without(0xffff, place), dead);
        narrow(place, true);
        simmembers_crash(&members, dead);
        members_case_expect_agreement(others, 8 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, 10 * SIMMEMBERS_S));
        assert_true(simmembers_agree(&members, others)); /* it asks to be taken in meanwhile */
        narrow(place, false);
        members_case_expect_agreement(members_case_without(0xffff, dead), 5 * SIMMEMBERS_S);
        if (!coordinates)
            simmembers_close(&members);
    }
}

static void nor_does_it_keep_out_who_is_to_be_prepared_for(void **state)
{
    const struct mesh_sim_link link = simmembers_link();
    uint16_t place;

    (void)state;
    simmembers_open(&members, 17, 1, &link);
    for (uint16_t i = 0; i < 17; i++)
        members.at[i].config.prepares_joins = true;
    members.count = 16;
    simmembers_form(&members);
    place = simmembers_place(&members, 15);
    narrow(place, true);
    members.count = 17;
    simmembers_add_seed(&members, 16, 0);
    simmembers_start(&members, 16);
    members_case_expect_agreement(members_case_without(0x1ffff, place), 30 * SIMMEMBERS_S);
}

static void expect_lost(uint16_t place, bool is_starved)
{
    static const struct mesh_addr nobody;
    const struct mesh_cluster_event *lost = &members.at[simmembers_place(&members, 0)].lost;

    assert_int_equal(lost->addr.port, place);
    assert_int_equal(memcmp(&lost->unheard.ip, nobody.ip, sizeof nobody.ip) != 0, is_starved);
}

static void who_starved_once_and_is_not_heard_later_is_left_out_for_that_alone(void **state)
{
    uint16_t who, by;

    (void)state;
    form_and_starve(&who, &by);
    expect_lost(by, true);
    members_case_expect_agreement(7, 35 * SIMMEMBERS_S);
    mesh_sim_block(members.sim, who, by, true);
    mesh_sim_block(members.sim, by, who, true);
    members_case_expect_agreement(members_case_without(7, by), 5 * SIMMEMBERS_S);
    expect_lost(by, false);
}

/* Its coordinator was stopped before the epoch without it began, and trusts it again; later it dies. */
static void who_starved_and_stayed_is_lost_for_another_reason(void **state)
{
    uint16_t coordinator, by;
    uint64_t lost;

    (void)state;
    members_case_form(3);
    coordinator = simmembers_place(&members, 0);
    by = simmembers_place(&members, 2);
    starve(coordinator, by, 2);
    simmembers_starved(&members, coordinator, by);
    lost = members.at[coordinator].events[MESH_CLUSTER_PEER_LOST];
    mesh_sim_pause(members.sim, coordinator, true);
    assert_true(simmembers_run(&members, 600 * SIMMEMBERS_MS));
    mesh_sim_pause(members.sim, coordinator, false);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7));
    assert_int_equal(members.at[coordinator].events[MESH_CLUSTER_PEER_LOST], lost);
    simmembers_crash(&members, by);
    members_case_expect_agreement(members_case_without(7, by), 5 * SIMMEMBERS_S);
    expect_lost(by, false);
}

/* A verdict may have been lost, so it is reported again soon. */
static void reports_in_quick_succession_count_as_one(void **state)
{
    uint16_t who, by;

    (void)state;
    members_case_form(3);
    who = simmembers_place(&members, 1);
    by = simmembers_place(&members, 2);
    for (unsigned i = 0; i < 6; i++) {
        simmembers_starved(&members, who, by);
        assert_true(simmembers_run(&members, 20 * SIMMEMBERS_MS));
    }
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7));
}

static void reports_of_long_ago_are_forgotten(void **state)
{
    uint16_t who, by;

    (void)state;
    members_case_form(3);
    who = simmembers_place(&members, 1);
    by = simmembers_place(&members, 2);
    for (unsigned i = 0; i < 3; i++) {
        starve(who, by, 2);
        assert_true(simmembers_agree(&members, 7));
        assert_true(simmembers_run(&members, 11 * SIMMEMBERS_S));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(of_two_that_starve_one_another_the_higher_rank_leaves_for_a_while, members_case_close),
        cmocka_unit_test_teardown(reports_in_quick_succession_count_as_one, members_case_close),
        cmocka_unit_test_teardown(reports_of_long_ago_are_forgotten, members_case_close),
        cmocka_unit_test_teardown(a_coordinator_that_starves_all_others_is_left_behind, members_case_close),
        cmocka_unit_test_teardown(who_starves_or_is_starved_again_stays_away_twice_as_long, members_case_close),
        cmocka_unit_test_teardown(newcomers_that_fail_one_after_the_other_shorten_no_time_of_who_starves, members_case_close),
        cmocka_unit_test_teardown(who_cannot_receive_a_plan_is_left_out_after_plans_in_vain, members_case_close),
        cmocka_unit_test_teardown(nor_does_it_keep_out_who_is_to_be_prepared_for, members_case_close),
        cmocka_unit_test_teardown(who_starved_once_and_is_not_heard_later_is_left_out_for_that_alone, members_case_close),
        cmocka_unit_test_teardown(who_starved_and_stayed_is_lost_for_another_reason, members_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
