/* Gathers of several ranks, put together into steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dissector/steps.h"

enum { TOLD_MAX = 64 };

static struct steps steps;
static struct steps_step told[TOLD_MAX];
static size_t told_count;

static void on_step(void *context, const struct steps_step *step)
{
    (void)context;
    assert_true(told_count < TOLD_MAX);
    told[told_count++] = *step;
}

static int start(void **state)
{
    (void)state;
    memset(&steps, 0, sizeof steps);
    steps.on_step = on_step;
    told_count = 0;
    return 0;
}

/* A rank is done with a gather: it began at begin_ns, computed 10 ns, and then waited for rank 3. */
static void add(unsigned mesh, uint32_t epoch, uint64_t step, uint16_t rank, uint64_t begin_ns, uint64_t wait_ns)
{
    const struct steps_gather gather = {.epoch = epoch,
                                        .mesh = mesh,
                                        .step = step,
                                        .begin_ns = begin_ns,
                                        .end_ns = begin_ns + 10 + wait_ns,
                                        .compute_ns = 10,
                                        .wait_ns = wait_ns,
                                        .phase = (uint16_t)(wait_ns % 7),
                                        .rank = rank,
                                        .wait_for = 3,
                                        .tokens = 1 + rank};

    steps_add(&steps, &gather);
}

static void what_ranks_did_is_added_up(void **state)
{
    unsigned rank;

    (void)state;
    add(0, 1, 1, 1, 100, 30);
    add(0, 1, 1, 1, 140, 50);
    add(0, 1, 1, 1, 200, 20);
    add(0, 1, 1, 0, 90, 5);
    steps_end(&steps);
    assert_int_equal(told_count, 1);
    assert_int_equal(told[0].tokens, 2);
    assert_int_equal(told[0].ranks[1].begin_ns, 100);
    assert_int_equal(told[0].ranks[1].end_ns, 230);
    assert_int_equal(told[0].ranks[1].compute_ns, 30);
    assert_int_equal(told[0].ranks[1].wait_ns, 100);
    assert_int_equal(told[0].ranks[1].wait_for_ns[3], 100);
    assert_int_equal(steps_duration_ns(&told[0]), 140);
    assert_ptr_equal(steps_longest(&told[0], &rank), &told[0].ranks[1]);
    assert_int_equal(rank, 1);
    assert_int_equal(told[0].ranks[1].longest_ns, 50);
    assert_int_equal(told[0].ranks[1].longest_phase, 50 % 7);
    assert_int_equal(told[0].ranks[1].longest_for, 3);
}

/* Numbers of epochs and steps are the same in each mesh. */
static void steps_of_other_meshes_and_epochs_are_others(void **state)
{
    (void)state;
    for (unsigned mesh = 0; mesh < 2; mesh++)
        for (uint32_t epoch = 1; epoch <= 2; epoch++)
            for (uint64_t step = 1; step <= 2; step++)
                for (uint16_t rank = 0; rank < 2; rank++)
                    add(mesh, epoch, step, rank, 100 * step, 10);
    steps_end(&steps);
    assert_int_equal(told_count, 8);
    for (size_t i = 0; i < 8; i++)
        for (unsigned rank = 0; rank < 2; rank++)
            assert_int_equal(told[i].ranks[rank].wait_ns, 10);
}

/* Rank 1 lags behind in the first step. */
static void the_step_to_which_nothing_was_added_for_longest_makes_room(void **state)
{
    (void)state;
    for (uint64_t step = 1; step <= STEPS_KEPT + 3; step++) {
        add(0, 1, step, 0, 100 * step, 10);
        add(0, 1, 1, 1, 100 * step, 1);
    }
    assert_int_equal(told_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(told[i].step, i + 2);
    steps_end(&steps);
    assert_int_equal(told_count, STEPS_KEPT + 3);
    assert_int_equal(told[3].step, 1);
    assert_int_equal(told[3].ranks[1].wait_ns, STEPS_KEPT + 3);
}

#define STEPS_TEST(test) cmocka_unit_test_setup(test, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STEPS_TEST(what_ranks_did_is_added_up),
        STEPS_TEST(steps_of_other_meshes_and_epochs_are_others),
        STEPS_TEST(the_step_to_which_nothing_was_added_for_longest_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
