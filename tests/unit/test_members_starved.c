/* Members that hear one another, while no large datagrams pass between two of them: which is left out, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void who_starves_or_is_starved_again_stays_away_twice_as_long(void **state)
{
    uint16_t who, by;

    (void)state;
    members_case_form(3);
    who = simmembers_place(&members, 1);
    by = simmembers_place(&members, 2);
    starve(who, by, 3);
    assert_true(simmembers_run(&members, 14 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, members_case_without(7, by)));
    members_case_expect_agreement(7, 35 * SIMMEMBERS_S);
    starve(who, by, 3);
    assert_true(simmembers_run(&members, 29 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, members_case_without(7, by)));
    members_case_expect_agreement(7, 65 * SIMMEMBERS_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(of_two_that_starve_one_another_the_higher_rank_leaves_for_a_while, members_case_close),
        cmocka_unit_test_teardown(a_coordinator_that_starves_all_others_is_left_behind, members_case_close),
        cmocka_unit_test_teardown(who_starves_or_is_starved_again_stays_away_twice_as_long, members_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
