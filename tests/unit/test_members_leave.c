/* Orderly leaving: all prepare, the others go on without the leaving member, and it is told when it may leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "members_case.h"

static void leave(uint16_t place)
{
    mesh_cluster_leave(members.at[place].cluster, simmembers_clock(&members, place));
    mesh_sim_wake(members.sim, place);
}

static void each_rank_can_leave_and_disturbs_nobody(void **state)
{
    for (uint16_t rank = 0; rank < 4; rank++) {
        uint16_t place;

        (void)state;
        members_case_form(4);
        place = simmembers_place(&members, rank);
        leave(place);
        members_case_expect_agreement(members_case_without(15, place), 5 * SIMMEMBERS_MS);
        assert_true(simmembers_run(&members, 5 * SIMMEMBERS_MS));
        assert_true(members.at[place].has_left);
        assert_int_equal(members.at[place].events[MESH_CLUSTER_EVICTED], 0);
        for (uint16_t other = 0; other < 4; other++) {
            struct mesh_cluster_stats stats;

            assert_int_equal(members.at[other].prepare_count, 3);
            assert_int_equal(members.at[other].events[MESH_CLUSTER_PEER_LOST], other == place ? 0 : 1);
            assert_int_equal(members.at[other].left, other == place ? 0 : 1);
            mesh_cluster_get_stats(members.at[other].cluster, &stats);
            assert_int_equal(stats.suspicions, 0);
        }
        const uint64_t asked = members.received[MESH_TYPE_ASK];
        assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
        assert_true(simmembers_agree(&members, members_case_without(15, place)));
        if (place != 0) /* the others' seed */
            assert_int_equal(members.received[MESH_TYPE_ASK], asked);
        if (rank < 3)
            simmembers_close(&members);
    }
}

static void the_old_epoch_goes_on_until_all_are_ready(void **state)
{
    uint16_t place;

    (void)state;
    members_case_form(3);
    place = simmembers_place(&members, 0);
    members.at[place].prepare_ns = 300 * SIMMEMBERS_MS; /* the leaving member itself has most to copy */
    leave(place);
    assert_true(simmembers_run(&members, 290 * SIMMEMBERS_MS));
    assert_true(simmembers_agree(&members, 7));
    members_case_expect_agreement(members_case_without(7, place), 20 * SIMMEMBERS_MS);
}

static void the_wish_to_leave_survives_losses(void **state)
{
    struct mesh_sim_link lossy = simmembers_link();
    uint16_t place;

    (void)state;
    members_case_form(4);
    lossy.loss_ppm = 300000;
    for (uint16_t from = 0; from < 4; from++)
        for (uint16_t to = 0; to < 4; to++)
            if (from != to)
                mesh_sim_set_link(members.sim, from, to, &lossy);
    place = simmembers_place(&members, 2);
    leave(place);
    members_case_expect_agreement(members_case_without(15, place), 2 * SIMMEMBERS_S);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_true(members.at[place].has_left);
}

static void the_last_one_leaves_at_once(void **state)
{
    (void)state;
    members_case_form(1);
    leave(0);
    assert_true(simmembers_run(&members, 1));
    assert_true(members.at[0].has_left);
    assert_true(mesh_cluster_timeout(members.at[0].cluster) == UINT64_MAX);
}

static void all_can_leave_together(void **state)
{
    (void)state;
    members_case_form(5);
    for (uint16_t place = 0; place < 5; place++)
        leave(place);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    for (uint16_t place = 0; place < 5; place++)
        assert_true(members.at[place].has_left);
}

static void one_that_is_still_looking_for_others_leaves_at_once(void **state)
{
    struct mesh_sim_link link = simmembers_link();

    (void)state;
    simmembers_open(&members, 2, 1, &link);
    simmembers_add_seed(&members, 0, 1);
    simmembers_start(&members, 0);
    leave(0);
    assert_true(simmembers_run(&members, SIMMEMBERS_MS));
    assert_true(members.at[0].has_left);
}

static void one_that_left_can_come_back_as_a_new_process(void **state)
{
    uint16_t place;

    (void)state;
    members_case_form(3);
    place = simmembers_place(&members, 1);
    leave(place);
    members_case_expect_agreement(members_case_without(7, place), 5 * SIMMEMBERS_MS);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    simmembers_crash(&members, place);
    simmembers_start(&members, place);
    members_case_expect_agreement(7, 5 * SIMMEMBERS_S);
}

static void a_death_while_one_leaves_does_not_keep_it(void **state)
{
    uint16_t place, dead;

    (void)state;
    members_case_form(4);
    place = simmembers_place(&members, 1);
    dead = simmembers_place(&members, 0);
    members.at[simmembers_place(&members, 2)].prepare_ns = 100 * SIMMEMBERS_MS;
    leave(place);
    assert_true(simmembers_run(&members, 50 * SIMMEMBERS_MS));
    simmembers_crash(&members, dead);
    simmembers_suspect(&members, simmembers_place(&members, 3), dead);
    members_case_expect_agreement(members_case_without(members_case_without(15, place), dead), 500 * SIMMEMBERS_MS);
    assert_true(simmembers_run(&members, 300 * SIMMEMBERS_MS));
    assert_true(members.at[place].has_left);
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, members_case_close)
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(each_rank_can_leave_and_disturbs_nobody),
        MEMBERS_TEST(the_old_epoch_goes_on_until_all_are_ready),
        MEMBERS_TEST(the_wish_to_leave_survives_losses),
        MEMBERS_TEST(the_last_one_leaves_at_once),
        MEMBERS_TEST(all_can_leave_together),
        MEMBERS_TEST(one_that_is_still_looking_for_others_leaves_at_once),
        MEMBERS_TEST(one_that_left_can_come_back_as_a_new_process),
        MEMBERS_TEST(a_death_while_one_leaves_does_not_keep_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
