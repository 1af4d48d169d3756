/* Which members are dead, how soon the others agree on that, and what happens after false suspicions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "members_case.h"

/* count members whose links lose loss_ppm millionths of the datagrams. */
static void form(uint16_t count, uint64_t seed, uint32_t loss_ppm)
{
    struct mesh_sim_link link = simmembers_link();

    link.loss_ppm = loss_ppm;
    simmembers_open(&members, count, seed, &link);
    simmembers_form(&members);
}

static void block(uint16_t a, uint16_t b, bool is_one_way, bool blocked)
{
    mesh_sim_block(members.sim, a, b, blocked);
    if (!is_one_way)
        mesh_sim_block(members.sim, b, a, blocked);
}

/* ---- deaths ---- */

/* From suspect() to the new epoch at all survivors, at a round-trip time of 0.2 ms. */
static uint64_t death_ns(uint16_t count, uint64_t seed, uint32_t loss_ppm, uint16_t dead_rank, uint16_t by_rank)
{
    uint16_t dead, by;
    uint64_t took_ns;

    form(count, seed, loss_ppm);
    dead = simmembers_place(&members, dead_rank);
    by = simmembers_place(&members, by_rank);
    simmembers_crash(&members, dead);
    simmembers_suspect(&members, by, dead);
    took_ns = simmembers_run_agree(&members, members_case_without(simmembers_all(&members), dead), SIMMEMBERS_S);
    if (members.error[0])
        fail_msg("%s", members.error);
    simmembers_close(&members);
    return took_ns;
}

static void a_death_is_agreed_upon_within_ten_milliseconds(void **state)
{
    (void)state;
    for (uint16_t count = 2; count <= 12; count++)
        for (uint16_t dead = 0; dead < count; dead++)
            for (uint16_t by = 0; by < count; by = (uint16_t)(by + (by < 2 ? 1 : 5)))
                if (by != dead)
                    assert_in_range(death_ns(count, 1, 0, dead, by), 0, 10 * SIMMEMBERS_MS);
    for (uint16_t dead = 0; dead < 64; dead = (uint16_t)(dead + 21))
        assert_in_range(death_ns(64, 1, 0, dead, 40), 0, 10 * SIMMEMBERS_MS);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void with_one_percent_lost_it_takes_thirty_at_the_ninety_ninth_percentile(void **state)
{
    enum { TRIES = 300 };
    static uint64_t took_ns[TRIES];

    (void)state;
    for (unsigned i = 0; i < TRIES; i++)
        took_ns[i] = death_ns((uint16_t)(3 + i % 10), 100 + i, 10000, (uint16_t)(i / 2 % 2 ? 2 : 0), 1);
    qsort(took_ns, TRIES, sizeof *took_ns, compare);
    assert_in_range(took_ns[TRIES * 99 / 100], 0, 30 * SIMMEMBERS_MS);
}

static void two_deaths_at_once_are_one_epoch(void **state)
{
    uint64_t epochs;

    (void)state;
    form(6, 1, 0);
    epochs = members.epochs;
    for (uint16_t rank = 0; rank < 2; rank++)
        mesh_sim_crash(members.sim, simmembers_place(&members, rank));
    for (uint16_t rank = 2; rank < 6; rank++)
        for (uint16_t dead = 0; dead < 2; dead++)
            simmembers_suspect(&members, simmembers_place(&members, rank), simmembers_place(&members, dead));
    members_case_expect_agreement(
        members_case_without(members_case_without(63, simmembers_place(&members, 0)), simmembers_place(&members, 1)), 10 * SIMMEMBERS_MS);
    assert_int_equal(members.epochs, epochs + 1);
}

static bool note_question(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    bool *is_asked = all->app;

    *is_asked |= from == simmembers_place(all, 0) && to == simmembers_place(all, 2) && message->header.type == MESH_TYPE_ALIVE &&
                 (message->as.alive.state & MESH_ALIVE_ASKS) != 0;
    return false;
}

/* The suspect died a moment after it had answered one of the questions that all members ask all the time. */
static void an_answer_to_an_earlier_question_is_no_sign_of_life(void **state)
{
    bool is_asked = false;
    uint16_t dead;

    (void)state;
    form(3, 1, 0);
    members.app = &is_asked;
    members.loses = note_question;
    for (unsigned i = 0; i < 20000 && !is_asked; i++)
        assert_true(simmembers_run(&members, 20 * SIMMEMBERS_MS / 1000));
    assert_true(is_asked);
    dead = simmembers_place(&members, 2);
    simmembers_crash(&members, dead);
    simmembers_suspect(&members, simmembers_place(&members, 0), dead); /* the answer is on its way */
    members_case_expect_agreement(members_case_without(7, dead), 10 * SIMMEMBERS_MS);
}

/* The coordinator, which is told first, is dead too, and no member suspects it yet. */
static void a_dead_coordinator_does_not_hold_up_a_report_for_long(void **state)
{
    uint16_t dead[2];

    (void)state;
    form(5, 1, 0);
    for (uint16_t rank = 0; rank < 2; rank++)
        dead[rank] = simmembers_place(&members, rank);
    mesh_sim_crash(members.sim, dead[0]);
    mesh_sim_crash(members.sim, dead[1]);
    simmembers_suspect(&members, simmembers_place(&members, 4), dead[0]);
    members_case_expect_agreement(members_case_without(members_case_without(31, dead[0]), dead[1]), 50 * SIMMEMBERS_MS);
}

static void without_being_told_a_death_is_found_out_within_two_seconds(void **state)
{
    uint16_t dead;

    (void)state;
    form(4, 1, 0);
    dead = simmembers_place(&members, 2);
    simmembers_crash(&members, dead);
    members_case_expect_agreement(members_case_without(15, dead), 2 * SIMMEMBERS_S);
}

/* Their endpoints report that they hear one another, so no questions are needed; a member that is not heard there is asked nevertheless. */
static void the_mesh_layers_word_is_a_sign_of_life(void **state)
{
    uint64_t asked;

    (void)state;
    form(2, 1, 0);
    asked = members.received[MESH_TYPE_ALIVE];
    for (unsigned i = 0; i < 200; i++) {
        for (uint16_t place = 0; place < 2; place++)
            mesh_cluster_heard(members.at[place].cluster, simmembers_clock(&members, place), !members.at[place].rank);
        assert_true(simmembers_run(&members, 50 * SIMMEMBERS_MS));
    }
    assert_int_equal(members.received[MESH_TYPE_ALIVE], asked);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_true(members.received[MESH_TYPE_ALIVE] > asked);
    assert_true(simmembers_agree(&members, 3));
}

/* ---- false suspicions ---- */

static bool lose_answers(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    const uint16_t *suspect = all->app;

    (void)to, (void)message;
    return from == *suspect;
}

/* How long it is a member after the suspicion, if the mesh layer of the asking rank hears it every 3 ms until heard_ms. */
static uint64_t stays_ms(uint64_t heard_ms)
{
    uint16_t by, suspect;
    uint64_t ms = 0;

    form(3, 1, 0);
    by = simmembers_place(&members, 0);
    suspect = simmembers_place(&members, 2);
    members.app = &suspect;
    members.loses = lose_answers;
    simmembers_suspect(&members, by, suspect);
    for (; members.at[by].count == 3 && ms < 3000; ms++) {
        if (ms > 0 && ms <= heard_ms && ms % 3 == 0)
            mesh_cluster_heard(members.at[by].cluster, simmembers_clock(&members, by), 2);
        assert_true(simmembers_run(&members, SIMMEMBERS_MS));
    }
    simmembers_close(&members);
    return ms;
}

/* Its answers may wait in a queue behind its tiles for as long as they have been missing already. */
static void a_suspect_that_the_mesh_layer_hears_has_longer_to_answer(void **state)
{
    (void)state;
    assert_in_range(stays_ms(0), 7, 10);
    assert_in_range(stays_ms(3), 9, 13);
    assert_in_range(stays_ms(30), 90, 94);
    assert_in_range(stays_ms(2000), 600, 604); /* it does not hear the questions */
}

static void a_member_that_answers_stays(void **state)
{
    struct mesh_cluster_stats stats;
    uint32_t number;

    (void)state;
    form(5, 1, 0);
    number = members.at[0].number;
    for (unsigned i = 0; i < 2; i++) {
        simmembers_suspect(&members, simmembers_place(&members, 3), simmembers_place(&members, 0));
        simmembers_suspect(&members, simmembers_place(&members, 2), simmembers_place(&members, 4));
        assert_true(simmembers_run(&members, SIMMEMBERS_S));
    }
    assert_true(simmembers_agree(&members, 31));
    assert_int_equal(members.at[0].number, number);
    mesh_cluster_get_stats(members.at[simmembers_place(&members, 0)].cluster, &stats);
    assert_int_equal(stats.suspicions, 2);
    assert_int_equal(stats.suspicions_wrong, 2);
}

static void one_that_was_only_slow_is_back_within_a_second_of_being_heard(void **state)
{
    uint16_t slow;

    (void)state;
    for (uint16_t rank = 0; rank < 4; rank++) {
        form(4, 1, 0);
        slow = simmembers_place(&members, rank);
        mesh_sim_pause(members.sim, slow, true);
        simmembers_suspect(&members, simmembers_place(&members, !rank), slow);
        members_case_expect_agreement(members_case_without(15, slow), 10 * SIMMEMBERS_MS);
        assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
        mesh_sim_pause(members.sim, slow, false);
        members_case_expect_agreement(15, SIMMEMBERS_S);
        assert_int_equal(members.at[slow].events[MESH_CLUSTER_EVICTED], 1);
        if (rank < 3)
            simmembers_close(&members);
    }
}

/* Two members do not hear each other, while the coordinator hears both: with the third suspicion one of them is left out, and does not
 * return before the other hears it. */
static void of_two_without_a_way_between_them_one_leaves(void **state)
{
    for (unsigned one_way = 0; one_way < 2; one_way++) {
        struct mesh_addr unheard;
        uint16_t a, b;
        uint64_t epochs;

        (void)state;
        form(4, 1, 0);
        a = simmembers_place(&members, 2);
        b = simmembers_place(&members, 3);
        block(a, b, one_way, true);
        members_case_expect_agreement(members_case_without(15, b), 10 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
        epochs = members.epochs;
        assert_true(simmembers_run(&members, 20 * SIMMEMBERS_S));
        assert_int_equal(members.epochs, epochs); /* it is asked again and again, but no member is disturbed */
        assert_true(simmembers_agree(&members, members_case_without(15, b)));
        assert_int_equal(members.at[b].refused.reason_code, MESH_DENY_UNHEARD);
        assert_int_equal(members.at[b].refused.found, 2);
        unheard = mesh_sim_addr(a);
        assert_memory_equal(&members.at[b].refused.unheard, &unheard, sizeof unheard);
        block(a, b, one_way, false);
        members_case_expect_agreement(15, 5 * SIMMEMBERS_S);
        if (!one_way)
            simmembers_close(&members);
    }
}

/* More than can be counted at a time: the first ones count until they are settled. */
static void one_that_does_not_hear_many_leaves_as_well(void **state)
{
    uint16_t deaf;

    (void)state;
    form(48, 1, 0);
    deaf = simmembers_place(&members, 47);
    for (uint16_t rank = 1; rank < 41; rank++)
        mesh_sim_block(members.sim, simmembers_place(&members, rank), deaf, true);
    members_case_expect_agreement(members_case_without((UINT64_C(1) << 48) - 1, deaf), 10 * SIMMEMBERS_S);
}

static void the_mesh_layers_suspicions_tell_two_apart_sooner(void **state)
{
    uint16_t a, b;

    (void)state;
    form(4, 1, 0);
    a = simmembers_place(&members, 1);
    b = simmembers_place(&members, 3);
    block(a, b, false, true);
    for (unsigned i = 0; i < 5; i++) { /* the first ones come before signs of life are missing */
        simmembers_suspect(&members, a, b);
        assert_true(simmembers_run(&members, 250 * SIMMEMBERS_MS));
    }
    members_case_expect_agreement(members_case_without(15, b), 50 * SIMMEMBERS_MS);
}

/* The coordinator hears no member, and all members hear it. The others take it for dead; it takes them for dead. */
static void a_deaf_coordinator_is_left_behind(void **state)
{
    uint16_t deaf;

    (void)state;
    form(5, 1, 0);
    deaf = simmembers_place(&members, 0);
    for (uint16_t rank = 1; rank < 5; rank++)
        block(simmembers_place(&members, rank), deaf, true, true);
    members_case_expect_agreement(members_case_without(31, deaf), 5 * SIMMEMBERS_S);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, members_case_without(31, deaf)));
    for (uint16_t place = 0; place < 5; place++)
        if (place != deaf)
            block(place, deaf, true, false);
    members_case_expect_agreement(31, 5 * SIMMEMBERS_S);
}

/* The coordinator hears all members, and all but one hear it. The member that this one asks is not the coordinator, which has to be
 * told. */
static void who_does_not_hear_the_coordinator_is_left_out(void **state)
{
    (void)state;
    for (uint16_t count = 3; count <= 6; count++)
        for (uint16_t rank = 2; rank < count; rank++) {
            uint16_t first, deaf;
            uint64_t epochs;

            form(count, 1, 0);
            first = simmembers_place(&members, 0);
            deaf = simmembers_place(&members, rank);
            block(first, deaf, true, true);
            members_case_expect_agreement(members_case_without(simmembers_all(&members), deaf), 10 * SIMMEMBERS_S);
            assert_int_equal(members.at[first].rank, 0);
            assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
            for (uint16_t place = 0; place < count; place++) /* no member moves to the deaf one's temporary epoch */
                assert_int_equal(members.at[place].events[MESH_CLUSTER_EVICTED], place == deaf);
            epochs = members.epochs;
            assert_true(simmembers_run(&members, 60 * SIMMEMBERS_S));
            assert_int_equal(members.epochs, epochs);
            assert_true(simmembers_agree(&members, members_case_without(simmembers_all(&members), deaf)));
            block(first, deaf, true, false);
            members_case_expect_agreement(simmembers_all(&members), 5 * SIMMEMBERS_S);
            if (rank + 1 < count || count < 6)
                simmembers_close(&members);
        }
}

/* Suspected while it is paused for this long: true when the others went on without it, and it has returned. */
static bool stop_and_suspect(uint16_t slow, uint64_t stopped_ns)
{
    uint32_t number = members.at[simmembers_place(&members, 0)].number;

    mesh_sim_pause(members.sim, slow, true);
    simmembers_suspect(&members, simmembers_place(&members, 0), slow);
    assert_true(simmembers_run(&members, stopped_ns));
    mesh_sim_pause(members.sim, slow, false);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S)); /* until its late answers are forgotten as well */
    members_case_expect_agreement(15, SIMMEMBERS_S);
    return members.at[simmembers_place(&members, 0)].number != number;
}

static void who_was_wrongly_taken_for_dead_has_twice_as_long_until_calm_minutes_have_passed(void **state)
{
    const uint64_t stopped_ns = 11 * SIMMEMBERS_MS; /* more than 7, less than 14 */
    struct mesh_cluster_stats stats;
    uint16_t slow, other;

    (void)state;
    form(4, 1, 0);
    slow = simmembers_place(&members, 2);
    other = simmembers_place(&members, 1);
    assert_true(stop_and_suspect(slow, stopped_ns));
    mesh_cluster_get_stats(members.at[simmembers_place(&members, 0)].cluster, &stats);
    assert_int_equal(stats.mistakes, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_false(stop_and_suspect(slow, stopped_ns));
    assert_true(stop_and_suspect(other, stopped_ns));          /* each member has a separate record */
    assert_true(simmembers_run(&members, 601 * SIMMEMBERS_S)); /* its late answers are remembered for ten minutes */
    assert_true(stop_and_suspect(slow, stopped_ns));
}

/* A busy machine's tiles are late, again and again, but it is alive, and all hear it. */
static void nobody_is_left_out_for_being_slow(void **state)
{
    uint32_t number;

    (void)state;
    form(4, 1, 0);
    number = members.at[0].number;
    for (unsigned i = 0; i < 30; i++) {
        simmembers_suspect(&members, simmembers_place(&members, 0), simmembers_place(&members, 2));
        simmembers_suspect(&members, simmembers_place(&members, 1), simmembers_place(&members, 2));
        simmembers_suspect(&members, simmembers_place(&members, 3), simmembers_place(&members, 1));
        assert_true(simmembers_run(&members, 250 * SIMMEMBERS_MS));
    }
    assert_true(simmembers_agree(&members, 15));
    assert_int_equal(members.at[0].number, number);
}

/* However often suspicions were false, a death is detected: no member is given more than two seconds. */
static void nobody_is_waited_for_without_end(void **state)
{
    uint16_t slow;

    (void)state;
    form(4, 1, 0);
    slow = simmembers_place(&members, 3);
    for (unsigned i = 0; i < 12; i++)
        stop_and_suspect(slow, 2200 * SIMMEMBERS_MS);
    simmembers_crash(&members, slow);
    simmembers_suspect(&members, simmembers_place(&members, 0), slow);
    members_case_expect_agreement(members_case_without(15, slow), 2100 * SIMMEMBERS_MS);
}

/* As when a member is busy with the beginning of an epoch. */
static void one_late_answer_does_not_delay_the_next_agreement(void **state)
{
    struct mesh_sim_link slow_link = simmembers_link(), link = slow_link;
    uint16_t late;

    (void)state;
    slow_link.delay_ns = 60 * SIMMEMBERS_MS;
    form(3, 1, 0);
    late = simmembers_place(&members, 2);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    mesh_sim_set_link(members.sim, late, simmembers_place(&members, 0), &slow_link);
    assert_true(simmembers_run(&members, 215 * SIMMEMBERS_MS)); /* one question at most */
    mesh_sim_set_link(members.sim, late, simmembers_place(&members, 0), &link);
    assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
    simmembers_crash(&members, late);
    simmembers_suspect(&members, simmembers_place(&members, 0), late);
    members_case_expect_agreement(members_case_without(7, late), 10 * SIMMEMBERS_MS);
}

static void no_rank_but_the_epochs_can_be_suspected(void **state)
{
    struct mesh_cluster_peer_stats stats;

    (void)state;
    form(2, 1, 0);
    assert_int_equal(mesh_cluster_suspect(members.at[0].cluster, simmembers_clock(&members, 0), 2), MESH_EINVAL);
    assert_int_equal(mesh_cluster_suspect(members.at[0].cluster, simmembers_clock(&members, 0), members.at[0].rank), MESH_EINVAL);
    assert_int_equal(mesh_cluster_get_peer_stats(members.at[0].cluster, members.at[0].rank, &stats), MESH_EINVAL);
    assert_int_equal(mesh_cluster_get_peer_stats(members.at[0].cluster, members.at[1].rank, &stats), 0);
    assert_in_range(stats.rtt_ns, 200000, 210000);
    assert_true(stats.is_in && !stats.is_suspected && !stats.is_leaving);
    assert_int_equal(stats.speed, 101);
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, members_case_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_is_agreed_upon_within_ten_milliseconds),
        cmocka_unit_test(with_one_percent_lost_it_takes_thirty_at_the_ninety_ninth_percentile),
        MEMBERS_TEST(two_deaths_at_once_are_one_epoch),
        MEMBERS_TEST(an_answer_to_an_earlier_question_is_no_sign_of_life),
        MEMBERS_TEST(a_dead_coordinator_does_not_hold_up_a_report_for_long),
        MEMBERS_TEST(without_being_told_a_death_is_found_out_within_two_seconds),
        MEMBERS_TEST(the_mesh_layers_word_is_a_sign_of_life),
        MEMBERS_TEST(a_member_that_answers_stays),
        cmocka_unit_test(a_suspect_that_the_mesh_layer_hears_has_longer_to_answer),
        MEMBERS_TEST(one_that_was_only_slow_is_back_within_a_second_of_being_heard),
        MEMBERS_TEST(of_two_without_a_way_between_them_one_leaves),
        MEMBERS_TEST(one_that_does_not_hear_many_leaves_as_well),
        MEMBERS_TEST(the_mesh_layers_suspicions_tell_two_apart_sooner),
        MEMBERS_TEST(a_deaf_coordinator_is_left_behind),
        MEMBERS_TEST(who_does_not_hear_the_coordinator_is_left_out),
        MEMBERS_TEST(who_was_wrongly_taken_for_dead_has_twice_as_long_until_calm_minutes_have_passed),
        MEMBERS_TEST(nobody_is_left_out_for_being_slow),
        MEMBERS_TEST(nobody_is_waited_for_without_end),
        MEMBERS_TEST(one_late_answer_does_not_delay_the_next_agreement),
        MEMBERS_TEST(no_rank_but_the_epochs_can_be_suspected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
