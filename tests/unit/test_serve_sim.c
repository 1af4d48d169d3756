/* Serving nodes in the simulator: faults of a cluster that generates, none of which changes a token.
 *
 * Every token and every digest is compared as it arrives (simserve.h), so a test states only the fault and its required outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serve_case.h"
#include "simstorm.h"

enum { FOUR = 4, STORM_SEEDS = 6 };

static struct simserve serve; /* too large for the stack */
static unsigned question;     /* one with a long answer */
static int first;             /* the first ask */

/* Four nodes at 100 µs; so slow that an answer takes half a second. */
static int open_four(void **state)
{
    const struct simserve_config config = {.count = FOUR,
                                           .seed = 1,
                                           .batch = 8,
                                           .slots = 4,
                                           .datagram_bytes = 1472,
                                           .unit_ns = SIMMEMBERS_MS,
                                           .load_ns = 100000,
                                           .link = {.delay_ns = 100000}};

    (void)state;
    question = serve_case_question(0);
    simserve_open(&serve, &config);
    simserve_form(&serve);
    return 0;
}

static int close_four(void **state)
{
    (void)state;
    simserve_close(&serve);
    return 0;
}

static void expect_settles(void)
{
    serve_case_expect(&serve, simserve_run_until(&serve, simserve_is_settled, 20 * SIMMEMBERS_S));
    assert_true(serve.ask[first].is_done);
}

static uint16_t other_than(uint16_t place)
{
    return (uint16_t)((place + 1) % FOUR);
}

static uint32_t number_at(uint16_t place)
{
    return serve.members.at[place].number;
}

/* ---- deaths ---- */

static void a_death_of_the_sequencer_costs_no_token(void **state)
{
    const uint16_t dead = simserve_sequencer(&serve);

    (void)state;
    first = serve_case_ask(&serve, other_than(dead), question);
    simserve_crash(&serve, dead);
    expect_settles();
    assert_true(serve.resubmitted >= 1);
}

static void two_of_four_may_die_at_once(void **state)
{
    const uint16_t stays = other_than(simserve_sequencer(&serve));

    (void)state;
    first = serve_case_ask(&serve, stays, question);
    for (uint16_t place = 0; place < FOUR; place++)
        if (place != stays && place != other_than(stays))
            simserve_crash(&serve, place);
    expect_settles();
    assert_int_equal(__builtin_popcountll(simserve_alive(&serve)), 2);
}

static void the_last_one_goes_on_alone(void **state)
{
    (void)state;
    first = serve_case_ask(&serve, 2, question);
    for (uint16_t place = 0; place < FOUR; place++)
        if (place != 2)
            simserve_crash(&serve, place);
    expect_settles();
    assert_int_equal(serve.members.at[2].count, 1);
}

static void a_death_while_the_others_load_is_another_epoch(void **state)
{
    const uint16_t dead = simserve_sequencer(&serve), stays = other_than(dead);
    const uint32_t number = number_at(stays);

    (void)state;
    first = serve_case_ask(&serve, stays, question);
    simserve_crash(&serve, dead);
    while (number_at(stays) == number)
        serve_case_expect(&serve, simserve_run(&serve, SIMMEMBERS_MS));
    simserve_crash(&serve, other_than(stays));
    expect_settles();
}

/* ---- joining and leaving ---- */

static void all_are_restarted_one_by_one_under_a_running_request(void **state)
{
    (void)state;
    first = serve_case_ask(&serve, 3, question);
    for (uint16_t place = 0; place < 3; place++) {
        simserve_crash(&serve, place);
        serve_case_expect(&serve, simserve_run(&serve, 50 * SIMMEMBERS_MS));
        simserve_start(&serve, place);
        serve_case_expect(&serve, simserve_run(&serve, 50 * SIMMEMBERS_MS));
    }
    assert_false(serve.ask[first].is_done);
    expect_settles();
    assert_int_equal(simserve_alive(&serve), 15);
}

static void who_leaves_in_order_disturbs_no_request(void **state)
{
    (void)state;
    first = serve_case_ask(&serve, 3, question);
    for (uint16_t place = 0; place < 3; place++) {
        simserve_leave(&serve, place);
        serve_case_expect(&serve, simserve_run(&serve, 30 * SIMMEMBERS_MS));
    }
    expect_settles();
    assert_int_equal(simserve_alive(&serve), 8);
    assert_true(serve.prepared > 0); /* the remaining nodes had loaded their new rows */
}

static void one_that_joins_takes_its_share_of_a_running_request(void **state)
{
    (void)state;
    simserve_crash(&serve, 0);
    first = serve_case_ask(&serve, 3, question);
    simserve_start(&serve, 0);
    serve_case_expect(&serve, simserve_run(&serve, 100 * SIMMEMBERS_MS));
    assert_int_equal(serve.members.at[3].count, FOUR);
    assert_true(serve.prepared > 0);
    assert_false(serve.ask[first].is_done);
    expect_settles();
}

/* ---- partitions ---- */

static void both_halves_of_a_split_go_on_and_are_one_again(void **state)
{
    int second;

    (void)state;
    first = serve_case_ask(&serve, 0, question);
    second = simserve_ask(&serve, 3, question);
    simserve_cut(&serve, 3, true, true);
    serve_case_expect(&serve, simserve_run(&serve, 3 * SIMMEMBERS_S));
    assert_true(serve.ask[first].is_done && serve.ask[second].is_done);
    assert_int_equal(serve.members.at[0].count, 2);
    assert_int_equal(serve.members.at[3].count, 2);
    simserve_heal(&serve);
    expect_settles();
}

static void a_link_that_is_dead_one_way_stops_nobody(void **state)
{
    (void)state;
    first = serve_case_ask(&serve, 1, question);
    simserve_cut(&serve, 4, true, false); /* place 2 hears the others, who do not hear it */
    serve_case_expect(&serve, simserve_run(&serve, 3 * SIMMEMBERS_S));
    assert_true(serve.ask[first].is_done);
    simserve_heal(&serve);
    expect_settles();
}

static bool are_all_answered(const struct simserve *s)
{
    for (uint32_t i = 0; i < s->ask_count; i++)
        if (!s->ask[i].is_done)
            return false;
    return true;
}

/* Between two ranks nothing passes, or nothing in one direction, while all other ranks hear both: questions are answered at each place, and
 * there are few epochs in a minute. */
static void cut_two(uint16_t from, uint16_t to, bool both_ways)
{
    const uint16_t a = simmembers_place(&serve.members, from), b = simmembers_place(&serve.members, to);
    uint64_t before = serve.members.epochs;

    mesh_sim_block(serve.members.sim, a, b, true);
    mesh_sim_block(serve.members.sim, b, a, both_ways);
    for (unsigned second = 0; second < 60; second += 10) {
        for (uint16_t place = 0; place < FOUR; place++)
            assert_true(simserve_ask(&serve, place, question) >= 0);
        serve_case_expect(&serve, simserve_run(&serve, 10 * SIMMEMBERS_S));
        assert_true(are_all_answered(&serve));
        assert_in_range(serve.members.epochs - before, 0, second == 0 ? 8 : 0);
        before = serve.members.epochs;
    }
    simserve_heal(&serve);
    first = simserve_ask(&serve, 0, question);
    expect_settles();
}

static void a_way_between_two_that_is_dead_is_soon_settled(void **state)
{
    for (uint16_t from = 0; from < FOUR; from++)
        for (uint16_t to = 0; to < FOUR; to++)
            for (unsigned both_ways = 0; from != to && both_ways < (from < to ? 2 : 1); both_ways++) {
                open_four(state);
                cut_two(from, to, both_ways);
                close_four(state);
            }
}

/* All four are at a switch; while they answer, their wires become so slow that signs of life wait in queues for tenths of a second. */
static void slow_down(uint64_t seed)
{
    const struct simserve_config config = {.count = FOUR,
                                           .seed = seed,
                                           .model = (unsigned)(seed - 1) % SIMQUESTION_MODELS,
                                           .batch = 64,
                                           .slots = 4,
                                           .datagram_bytes = 1472,
                                           .unit_ns = 20000,
                                           .load_ns = 20000,
                                           .link = {.delay_ns = 50000, .datagram_bytes_max = 1472}};
    uint64_t epochs;

    simserve_open(&serve, &config);
    for (uint16_t place = 0; place < FOUR; place++)
        mesh_sim_set_port(serve.members.sim, place, 1000000000);
    simserve_form(&serve);
    serve_case_expect(&serve, simserve_run(&serve, 2 * SIMMEMBERS_S));
    epochs = serve.members.epochs;
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < FOUR; i++)
            simserve_ask(&serve, (uint16_t)((seed - 1 + i) % FOUR), (unsigned)(((seed - 1) * 5 + round * 4 + i) % SIMQUESTIONS));
        serve_case_expect(&serve, simserve_run(&serve, 3 * SIMMEMBERS_MS));
        for (uint16_t place = 0; place < FOUR; place++)
            mesh_sim_set_port(serve.members.sim, place, 2500000);
        serve_case_expect(&serve, simserve_run_until(&serve, simserve_is_settled, 20 * SIMMEMBERS_S));
    }
    assert_int_equal(serve.members.epochs, epochs);
    simserve_close(&serve);
}

static void members_whose_wires_become_slow_stay_together(void **state)
{
    static const uint64_t seeds[] = {3, 6, 8, 9}; /* of which each lost members when only the cluster layer was listened to */

    (void)state;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        slow_down(seeds[i]);
}

/* ---- time ---- */

static void one_that_was_stopped_for_ten_seconds_comes_back_quietly(void **state)
{
    uint32_t number;
    int asleep;

    (void)state;
    asleep = simserve_ask(&serve, 2, question);
    first = serve_case_ask(&serve, 1, question);
    simserve_pause(&serve, 2, true);
    serve_case_expect(&serve, simserve_run(&serve, 10 * SIMMEMBERS_S));
    assert_true(serve.ask[first].is_done);
    assert_int_equal(serve.members.at[1].count, 3);
    number = number_at(1);
    simserve_pause(&serve, 2, false);
    expect_settles();
    assert_true(serve.ask[asleep].is_done);
    assert_int_equal(number_at(1), number + 1); /* it is admitted, and nothing else happens */
}

static void a_clock_that_leaps_is_no_death_of_the_others(void **state)
{
    (void)state;
    first = serve_case_ask(&serve, 1, question);
    simserve_jump(&serve, 1, 1000 * SIMMEMBERS_S);
    expect_settles();
    assert_int_equal(simserve_alive(&serve), 15);
}

static void who_is_only_slow_stays(void **state)
{
    uint32_t number;

    (void)state;
    first = serve_case_ask(&serve, 1, question);
    number = number_at(1);
    simserve_slow(&serve, 2, 10);
    expect_settles();
    assert_int_equal(number_at(1), number);
}

/* All nodes are on machines that do other work: one after the other is paused for 20 to 100 ms, while idle and while answering. */
static void nodes_that_are_stopped_again_and_again_stay(void **state)
{
    uint32_t number;

    (void)state;
    number = number_at(1);
    for (unsigned i = 0; i < 240; i++) {
        const uint16_t place = (uint16_t)(i * 7 / 3 % FOUR);

        if (i >= 120 && i % 8 == 0)
            first = serve_case_ask(&serve, other_than(place), question);
        simserve_pause(&serve, place, true);
        serve_case_expect(&serve, simserve_run(&serve, (20 + i * 37 % 81) * SIMMEMBERS_MS));
        simserve_pause(&serve, place, false);
        serve_case_expect(&serve, simserve_run(&serve, (20 + i * 53 % 71) * SIMMEMBERS_MS));
    }
    expect_settles();
    assert_true(serve.suspected > 0);
    assert_int_equal(number_at(1), number);
    assert_int_equal(simserve_alive(&serve), 15);
}

/* ---- clients ---- */

static void a_client_that_goes_away_frees_its_slot(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_true(simserve_ask(&serve, 0, question) >= 0);
    first = serve_case_ask(&serve, 0, question); /* waits for one of four slots, so the other questions must end first */
    for (unsigned i = 0; i < 4; i++)
        simserve_end_ask(&serve, i);
    expect_settles();
}

/* ---- the harness ---- */

static void a_wrong_token_is_noticed(void **state)
{
    const struct engine_token token = {.id = UINT32_MAX, .index = 0};
    struct engine_token wrong = token;

    (void)state;
    first = simserve_ask(&serve, 0, question);
    wrong.request = serve.ask[first].id;
    simserve_on_token(&serve.node[0], 0, &wrong);
    assert_true(serve.members.error[0] != '\0');
}

static void storms_change_no_token(void **state)
{
    struct simstorm *storm = malloc(sizeof *storm);
    const char *seed = getenv("MESH_TEST_SEED");
    uint64_t reused = 0;

    (void)state;
    assert_non_null(storm);
    for (uint64_t s = seed != NULL ? strtoull(seed, NULL, 10) : 1, end = s + (seed != NULL ? 1 : STORM_SEEDS); s < end; s++) {
        simstorm_run(storm, s);
        if (storm->serve.members.error[0] != '\0')
            fail_msg("%s: repeat with: bin/mesh-explore --kind serve --seeds %llu:1", storm->serve.members.error, (unsigned long long)s);
        simstorm_close(storm);
        reused += storm->serve.reused; /* what engines that end report, also these last ones */
    }
    assert_true(seed != NULL || reused > 0);
    free(storm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_death_of_the_sequencer_costs_no_token, open_four, close_four),
        cmocka_unit_test_setup_teardown(two_of_four_may_die_at_once, open_four, close_four),
        cmocka_unit_test_setup_teardown(the_last_one_goes_on_alone, open_four, close_four),
        cmocka_unit_test_setup_teardown(a_death_while_the_others_load_is_another_epoch, open_four, close_four),
        cmocka_unit_test_setup_teardown(all_are_restarted_one_by_one_under_a_running_request, open_four, close_four),
        cmocka_unit_test_setup_teardown(who_leaves_in_order_disturbs_no_request, open_four, close_four),
        cmocka_unit_test_setup_teardown(one_that_joins_takes_its_share_of_a_running_request, open_four, close_four),
        cmocka_unit_test_setup_teardown(both_halves_of_a_split_go_on_and_are_one_again, open_four, close_four),
        cmocka_unit_test_setup_teardown(a_link_that_is_dead_one_way_stops_nobody, open_four, close_four),
        cmocka_unit_test(a_way_between_two_that_is_dead_is_soon_settled),
        cmocka_unit_test(members_whose_wires_become_slow_stay_together),
        cmocka_unit_test_setup_teardown(one_that_was_stopped_for_ten_seconds_comes_back_quietly, open_four, close_four),
        cmocka_unit_test_setup_teardown(a_clock_that_leaps_is_no_death_of_the_others, open_four, close_four),
        cmocka_unit_test_setup_teardown(who_is_only_slow_stays, open_four, close_four),
        cmocka_unit_test_setup_teardown(nodes_that_are_stopped_again_and_again_stay, open_four, close_four),
        cmocka_unit_test_setup_teardown(a_client_that_goes_away_frees_its_slot, open_four, close_four),
        cmocka_unit_test_setup_teardown(a_wrong_token_is_noticed, open_four, close_four),
        cmocka_unit_test(storms_change_no_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
