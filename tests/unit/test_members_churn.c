/* All faults at once, from a seed: see simchurn.h. mesh-explore --kind members runs the same scenarios, as many as time permits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>

#include "simchurn.h"

enum { PLACES_MAX = 24 };

static struct simchurn churn; /* too large for the stack */

static void run(uint64_t seed)
{
    char text[800];

    simchurn_run(&churn, seed, PLACES_MAX);
    simchurn_describe(&churn, text, sizeof text);
    if (churn.members.error[0])
        fail_msg("seed %" PRIu64 ": %s\n%s\nrepeat with: bin/mesh-explore --kind members --seeds %" PRIu64 ":1", seed, text,
                 churn.members.error, seed);
    simchurn_close(&churn);
}

static void whatever_happens_one_epoch_is_left_in_the_end(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        run(seed);
}

/* While another plan's parts arrived, the previous plan's members were asked for its COMMIT, by addresses that had not arrived yet. */
static void a_plan_that_is_half_here_is_not_used(void **state)
{
    (void)state;
    run(118);
}

/* The answer to a question about a plan arrived after the plan had been replaced. */
static void a_check_ends_with_its_plan(void **state)
{
    (void)state;
    run(163);
}

/* On a link without delay a joiner that had joined another cluster was asked again the moment it refused, for ever. */
static void a_joiner_that_went_elsewhere_is_let_go(void **state)
{
    (void)state;
    run(1934);
}

/* A seed that had just been a member was not asked for half a minute, although another process was there by then. */
static void a_seed_is_asked_soon_after_it_was_a_member(void **state)
{
    (void)state;
    run(8874);
}

/* Answers that had waited in the socket of a paused process were measured as round trips of ten seconds. */
static void a_sleep_is_no_round_trip(void **state)
{
    (void)state;
    run(20050);
    run(10013185);
}

/* A paused process finds thousands of questions at once. */
static void more_questions_than_the_queue_holds_are_survived(void **state)
{
    (void)state;
    run(19059);
}

/* Between two polls of its events a process was admitted and left out again; only the latter was reported to it, twice. */
static void an_epoch_that_was_not_told_of_is_not_told_to_be_over(void **state)
{
    (void)state;
    run(320663);
}

/* A coordinator, and the cluster that admitted its members, both asked them to prepare, in turns, and they were never ready. */
static void two_plans_do_not_take_turns(void **state)
{
    (void)state;
    run(235574);
}

/* Late parts of a plan that was over replaced the plan that was being checked, of which only the first part was sent again. And a cluster
 * that had grown was invited anew, so that its plan no longer knew the JOIN. */
static void late_parts_do_not_undo_a_plan(void **state)
{
    (void)state;
    run(358997);
}

/* A replayed JOIN had told a process that was alone another's address as its own: that of the coordinator that it was invited to ask. */
static void a_process_that_is_alone_is_not_sure_of_its_address(void **state)
{
    (void)state;
    run(64239999713);
}

/* One question to a process that had just begun came back, and a member gave the answer to the next one: each put the next one off. */
static void replayed_questions_keep_nobody_from_asking(void **state)
{
    (void)state;
    run(63973973760);
}

static void equal_seeds_give_equal_runs(void **state)
{
    uint64_t now_ns[2], epochs[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        simchurn_run(&churn, 77, PLACES_MAX);
        now_ns[i] = mesh_sim_now_ns(churn.members.sim);
        epochs[i] = churn.members.epochs;
        simchurn_close(&churn);
    }
    assert_true(now_ns[0] == now_ns[1] && epochs[0] == epochs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_one_epoch_is_left_in_the_end),
        cmocka_unit_test(a_plan_that_is_half_here_is_not_used),
        cmocka_unit_test(a_check_ends_with_its_plan),
        cmocka_unit_test(a_joiner_that_went_elsewhere_is_let_go),
        cmocka_unit_test(a_seed_is_asked_soon_after_it_was_a_member),
        cmocka_unit_test(a_sleep_is_no_round_trip),
        cmocka_unit_test(more_questions_than_the_queue_holds_are_survived),
        cmocka_unit_test(an_epoch_that_was_not_told_of_is_not_told_to_be_over),
        cmocka_unit_test(two_plans_do_not_take_turns),
        cmocka_unit_test(late_parts_do_not_undo_a_plan),
        cmocka_unit_test(a_process_that_is_alone_is_not_sure_of_its_address),
        cmocka_unit_test(replayed_questions_keep_nobody_from_asking),
        cmocka_unit_test(equal_seeds_give_equal_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
