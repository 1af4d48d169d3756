/* Partitions and their healing; processes that were paused, and others at their addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "members_case.h"

static void cut(uint64_t side, bool is_cut)
{
    for (uint16_t from = 0; from < members.count; from++)
        for (uint16_t to = 0; to < members.count; to++)
            if (from != to && (side >> from & 1) != (side >> to & 1))
                mesh_sim_block(members.sim, from, to, is_cut);
}

static uint64_t lowest_ranks(uint16_t count)
{
    uint64_t places = 0;

    for (uint16_t rank = 0; rank < count; rank++)
        places |= UINT64_C(1) << simmembers_place(&members, rank);
    return places;
}

/* ---- partitions ---- */

static void both_sides_of_a_split_go_on_and_become_one_again(void **state)
{
    for (uint16_t minority = 1; minority <= 3; minority++) {
        uint64_t side;

        (void)state;
        members_case_form(6);
        side = lowest_ranks(minority);
        cut(side, true);
        members_case_expect_agreement(side, 3 * SIMMEMBERS_S);
        members_case_expect_agreement(63 & ~side, 3 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, 7 * SIMMEMBERS_S));
        cut(side, false);
        members_case_expect_agreement(63, 5 * SIMMEMBERS_S);
        if (minority < 3)
            simmembers_close(&members);
    }
}

/* Each half has another id, so no key is shared between them; otherwise the checks of simmembers would fail. */
static void two_halves_never_have_the_same_id(void **state)
{
    uint16_t a, b;

    (void)state;
    members_case_form(2);
    a = simmembers_place(&members, 0);
    b = simmembers_place(&members, 1);
    cut(UINT64_C(1) << a, true);
    members_case_expect_agreement(UINT64_C(1) << a, 3 * SIMMEMBERS_S);
    members_case_expect_agreement(UINT64_C(1) << b, 3 * SIMMEMBERS_S);
    assert_int_equal(members.at[a].number, members.at[b].number);
    assert_memory_not_equal(members.at[a].id, members.at[b].id, 16);
}

static void the_greater_part_takes_the_other_in(void **state)
{
    uint64_t side;
    uint32_t number;
    uint16_t rank0;

    (void)state;
    members_case_form(5);
    side = lowest_ranks(2);
    cut(side, true);
    members_case_expect_agreement(side, 3 * SIMMEMBERS_S);
    members_case_expect_agreement(31 & ~side, 3 * SIMMEMBERS_S);
    rank0 = members.at[__builtin_ctzll(31 & ~side)].list[0].addr.port;
    number = members.at[rank0].number;
    cut(side, false);
    members_case_expect_agreement(31, 5 * SIMMEMBERS_S);
    assert_int_equal(members.at[rank0].rank, 0);
    assert_true(members.at[rank0].number > number);
    for (uint64_t left = side; left; left &= left - 1) {
        assert_in_range(members.at[__builtin_ctzll(left)].rank, 3, 4);
        assert_int_equal(members.at[__builtin_ctzll(left)].events[MESH_CLUSTER_EVICTED], 0); /* it moved, and was never without an epoch */
    }
}

/* After a minute it is asked ever more rarely, but never given up. */
static void a_split_of_ten_minutes_heals_within_half_a_minute_more(void **state)
{
    uint64_t side;

    (void)state;
    members_case_form(4);
    side = lowest_ranks(2);
    cut(side, true);
    assert_true(simmembers_run(&members, 600 * SIMMEMBERS_S));
    cut(side, false);
    members_case_expect_agreement(15, 35 * SIMMEMBERS_S);
}

static void three_parts_become_one(void **state)
{
    (void)state;
    members_case_form(9);
    cut(7, true);
    cut(7 << 3, true);
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7) && simmembers_agree(&members, 7 << 3) && simmembers_agree(&members, 7 << 6));
    cut(7, false);
    cut(7 << 3, false);
    members_case_expect_agreement(511, 5 * SIMMEMBERS_S);
}

/* Two clusters that have never heard of each other, until one is told of the other's address. */
static void two_clusters_meet_when_one_is_told_of_the_other(void **state)
{
    struct mesh_sim_link link = simmembers_link();
    struct mesh_addr addr = mesh_sim_addr(7);

    (void)state;
    simmembers_open(&members, 8, 1, &link);
    for (uint16_t place = 0; place < 8; place++) {
        if (place != 0 && place != 3)
            simmembers_add_seed(&members, place, place < 3 ? 0 : 3);
        simmembers_start(&members, place);
    }
    assert_true(simmembers_run(&members, 2 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7) && simmembers_agree(&members, 31 << 3));
    assert_int_equal(mesh_cluster_join(members.at[2].cluster, simmembers_clock(&members, 2), &addr, 1), 0);
    mesh_sim_wake(members.sim, 2);
    members_case_expect_agreement(255, SIMMEMBERS_S);
    for (uint16_t place = 0; place < 3; place++)
        assert_int_equal(members.at[place].events[MESH_CLUSTER_EVICTED], 0);
}

static void losses_and_returns_are_told(void **state)
{
    uint16_t place;

    (void)state;
    members_case_form(3);
    place = simmembers_place(&members, 2);
    cut(UINT64_C(1) << place, true);
    members_case_expect_agreement(7 & ~(UINT64_C(1) << place), 3 * SIMMEMBERS_S);
    cut(UINT64_C(1) << place, false);
    members_case_expect_agreement(7, 5 * SIMMEMBERS_S);
    for (uint16_t other = 0; other < 3; other++) {
        assert_int_equal(members.at[other].events[MESH_CLUSTER_PEER_LOST], other == place ? 2 : 1);
        assert_int_equal(members.at[other].events[MESH_CLUSTER_PEER_BACK], other == place ? 2 : 1);
        assert_int_equal(members.at[other].left, 0);
    }
}

/* ---- processes ---- */

static void a_process_that_slept_ten_seconds_joins_again(void **state)
{
    for (uint16_t rank = 0; rank < 3; rank++) {
        uint64_t others, installs;
        uint16_t place;

        (void)state;
        members_case_form(3);
        place = simmembers_place(&members, rank);
        others = 7 & ~(UINT64_C(1) << place);
        mesh_sim_pause(members.sim, place, true);
        members_case_expect_agreement(others, 3 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, 8 * SIMMEMBERS_S));
        installs = members.at[place].events[MESH_CLUSTER_EPOCH];
        mesh_sim_pause(members.sim, place, false);
        members_case_expect_agreement(7, SIMMEMBERS_S);
        assert_int_equal(members.at[place].events[MESH_CLUSTER_EVICTED], 1);
        assert_int_equal(members.at[place].events[MESH_CLUSTER_EPOCH], installs + 1); /* and never one of its own */
        if (rank < 2)
            simmembers_close(&members);
    }
}

/* Such a member has longer to answer the next time. */
static void only_who_is_back_soon_was_wrongly_taken_for_dead(void **state)
{
    static const unsigned asleep_s[] = {1, 8};

    for (unsigned i = 0; i < 2; i++) {
        struct mesh_cluster_stats stats;
        uint16_t place, other;

        (void)state;
        members_case_form(3);
        place = simmembers_place(&members, 2);
        other = simmembers_place(&members, 0);
        mesh_sim_pause(members.sim, place, true);
        simmembers_suspect(&members, other, place);
        members_case_expect_agreement(members_case_without(7, place), 3 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, asleep_s[i] * SIMMEMBERS_S));
        mesh_sim_pause(members.sim, place, false);
        members_case_expect_agreement(7, SIMMEMBERS_S);
        mesh_cluster_get_stats(members.at[other].cluster, &stats);
        assert_int_equal(stats.mistakes, i == 0);
        if (i == 0)
            simmembers_close(&members);
    }
}

static void if_all_sleep_they_go_on_as_they_were(void **state)
{
    uint32_t number;

    (void)state;
    members_case_form(4);
    number = members.at[0].number;
    for (uint16_t place = 0; place < 4; place++)
        mesh_sim_pause(members.sim, place, true);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_S));
    for (uint16_t place = 0; place < 4; place++)
        mesh_sim_pause(members.sim, place, false);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 15));
    assert_int_equal(members.at[0].number, number);
}

static void a_short_sleep_is_forgiven(void **state)
{
    uint32_t number;

    (void)state;
    members_case_form(3);
    number = members.at[0].number;
    mesh_sim_pause(members.sim, 1, true);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    mesh_sim_pause(members.sim, 1, false);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7));
    assert_int_equal(members.at[1].number, number);
}

/* A new process at an old member's address, before the old process is missed: the first JOIN from there reveals it. */
static void a_restarted_process_is_back_before_the_old_one_is_missed(void **state)
{
    for (uint16_t rank = 0; rank < 4; rank++) {
        uint16_t place;

        (void)state;
        members_case_form(4);
        place = simmembers_place(&members, rank);
        simmembers_crash(&members, place);
        if (!place)
            simmembers_add_seed(&members, place, 1);
        simmembers_start(&members, place);
        members_case_expect_agreement(15, 600 * SIMMEMBERS_MS);
        assert_int_equal(members.at[place].rank, 3);
        if (rank < 3)
            simmembers_close(&members);
    }
}

static void clocks_need_not_agree(void **state)
{
    struct mesh_sim_link link = simmembers_link();

    (void)state;
    simmembers_open(&members, 6, 1, &link);
    for (uint16_t place = 0; place < 6; place++) {
        members.at[place].clock_ppm = 900000 + place * 40000u;
        members.at[place].clock_offset_ns = place * UINT64_C(1000000000000000);
    }
    simmembers_form(&members);
    cut(9, true);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 9));
    cut(9, false);
    members_case_expect_agreement(63, 5 * SIMMEMBERS_S);
}

/* ---- addresses that change ---- */

/* All at these places are in one epoch, in which each has the address that its datagrams come from, and stay in it. */
static void expect_addresses(uint64_t places, uint64_t within_ns)
{
    uint32_t number;

    assert_true(simmembers_run(&members, within_ns));
    members_case_expect_agreement(places, 0);
    number = members.at[__builtin_ctzll(places)].number;
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    members_case_expect_agreement(places, 0);
    assert_int_equal(members.at[__builtin_ctzll(places)].number, number);
    for (uint64_t left = places; left; left &= left - 1) {
        const struct simmember *member = &members.at[__builtin_ctzll(left)];

        for (uint16_t rank = 0; rank < member->count; rank++) {
            const struct mesh_addr addr = simmembers_addr(&members, member->list[rank].addr.port);

            assert_memory_equal(member->list[rank].addr.ip, addr.ip, sizeof addr.ip);
        }
    }
}

/* It is reached at the old one as well, but the mesh layer drops what comes from the new one. */
static void a_member_whose_address_has_changed_comes_back_with_the_new_one(void **state)
{
    (void)state;
    for (uint16_t rank = 0; rank < 3; rank++) {
        uint16_t moved;

        members_case_form(3);
        moved = simmembers_place(&members, rank);
        members.at[moved].is_elsewhere = true;
        expect_addresses(7, 4 * SIMMEMBERS_S);
        for (uint16_t place = 0; place < 3; place++)
            assert_int_equal(members.at[place].events[MESH_CLUSTER_PEER_LOST], place == moved ? 2 : 1);
        if (rank < 2)
            simmembers_close(&members);
    }
}

static void nor_does_it_name_the_old_one_when_it_coordinates(void **state)
{
    uint16_t a, b, c;

    (void)state;
    members_case_form(3);
    a = simmembers_place(&members, 0);
    b = simmembers_place(&members, 1);
    c = simmembers_place(&members, 2);
    members.at[c].is_elsewhere = true;
    expect_addresses(7, 4 * SIMMEMBERS_S);
    simmembers_crash(&members, a);
    expect_addresses(members_case_without(7, a), 3 * SIMMEMBERS_S);
    if (members.at[a].config.seed_count == 0)
        simmembers_add_seed(&members, a, b);
    simmembers_start(&members, a);
    expect_addresses(7, 4 * SIMMEMBERS_S);
    simmembers_crash(&members, b);
    expect_addresses(members_case_without(7, b), 3 * SIMMEMBERS_S);
    assert_int_equal(simmembers_place(&members, 0), c);
}

static void nor_when_it_was_alone_meanwhile(void **state)
{
    (void)state;
    for (uint16_t rank = 0; rank < 2; rank++) {
        uint16_t moved;

        members_case_form(2);
        moved = simmembers_place(&members, rank);
        cut(1, true);
        assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
        members.at[moved].is_elsewhere = true;
        cut(1, false);
        expect_addresses(3, 5 * SIMMEMBERS_S);
        if (rank == 0)
            simmembers_close(&members);
    }
}

static void nor_to_a_process_that_is_started_anew(void **state)
{
    uint16_t moved, other;

    (void)state;
    members_case_form(2);
    moved = simmembers_place(&members, 0);
    other = simmembers_place(&members, 1);
    simmembers_crash(&members, other);
    expect_addresses(UINT64_C(1) << moved, 3 * SIMMEMBERS_S);
    members.at[moved].is_elsewhere = true;
    if (members.at[other].config.seed_count == 0)
        simmembers_add_seed(&members, other, moved);
    simmembers_start(&members, other);
    expect_addresses(3, 5 * SIMMEMBERS_S);
    assert_int_equal(members.at[other].events[MESH_CLUSTER_PEER_LOST], 0);
    assert_int_equal(members.at[other].events[MESH_CLUSTER_REFUSED], 0);
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, members_case_close)
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(both_sides_of_a_split_go_on_and_become_one_again),
        MEMBERS_TEST(two_halves_never_have_the_same_id),
        MEMBERS_TEST(the_greater_part_takes_the_other_in),
        MEMBERS_TEST(a_split_of_ten_minutes_heals_within_half_a_minute_more),
        MEMBERS_TEST(three_parts_become_one),
        MEMBERS_TEST(two_clusters_meet_when_one_is_told_of_the_other),
        MEMBERS_TEST(losses_and_returns_are_told),
        MEMBERS_TEST(a_process_that_slept_ten_seconds_joins_again),
        MEMBERS_TEST(only_who_is_back_soon_was_wrongly_taken_for_dead),
        MEMBERS_TEST(if_all_sleep_they_go_on_as_they_were),
        MEMBERS_TEST(a_short_sleep_is_forgiven),
        MEMBERS_TEST(a_restarted_process_is_back_before_the_old_one_is_missed),
        MEMBERS_TEST(clocks_need_not_agree),
        MEMBERS_TEST(a_member_whose_address_has_changed_comes_back_with_the_new_one),
        MEMBERS_TEST(nor_does_it_name_the_old_one_when_it_coordinates),
        MEMBERS_TEST(nor_when_it_was_alone_meanwhile),
        MEMBERS_TEST(nor_to_a_process_that_is_started_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
