/* When it may be said that only large datagrams are lost: never of losses by chance, of damage that hits long datagrams more often, of a
 * cut that hits whatever is sent just then. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/sizes.h"
#include "libmesh/mix.h"

enum { SEEDS = 300, COUNT = 20000, SMALL = 100, LARGE = 1452 };

static struct sizes sizes;

static int set_up(void **state)
{
    (void)state;
    memset(&sizes, 0, sizeof sizes);
    return 0;
}

/* One of every so many is large. */
static void send(unsigned count, unsigned large_every, unsigned lost_every)
{
    unsigned large = 0;

    for (unsigned i = 1; i <= count; i++)
        if (i % large_every != 0)
            sizes_arrived(&sizes, SMALL);
        else if (++large % lost_every == 0)
            sizes_lost(&sizes, LARGE);
        else
            sizes_arrived(&sizes, LARGE);
}

static void where_nothing_large_arrives_it_is_said(void **state)
{
    struct sizes_verdict found;

    (void)state;
    send(110, 10, 1);
    found = sizes_judge(&sizes);
    assert_int_equal(found.bytes, LARGE);
    assert_int_equal(found.lost, 11);
    assert_int_equal(found.large, 0);
    assert_int_equal(found.small, 90); /* those before the first loss prove nothing */
}

static void where_half_of_the_large_ones_arrive_it_is_said_too(void **state)
{
    (void)state;
    send(2000, 10, 2);
    assert_int_equal(sizes_judge(&sizes).bytes, LARGE);
    assert_int_equal(sizes_judge(&sizes).large, 99);
}

static void few_losses_prove_nothing(void **state)
{
    (void)state;
    send(2000, 500, 1);
    assert_int_equal(sizes.lost, 4);
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

static void few_smaller_ones_prove_nothing(void **state)
{
    (void)state;
    send(80, 2, 1);
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

static void a_small_one_that_is_lost_takes_it_back(void **state)
{
    (void)state;
    send(2000, 10, 1);
    assert_int_not_equal(sizes_judge(&sizes).bytes, 0);
    sizes_lost(&sizes, SMALL);
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

/* They were captured where they left, and look as if they had arrived. */
static void what_may_be_among_those_lost_of_unknown_size_has_not_arrived_for_certain(void **state)
{
    struct sizes_verdict found;

    (void)state;
    send(2000, 10, 1);
    found = sizes_judge(&sizes);
    sizes_arrived(&sizes, LARGE);
    sizes_arrived(&sizes, LARGE);
    sizes_lost(&sizes, LARGE);
    assert_int_equal(sizes_judge(&sizes).large, 2);
    for (unsigned i = 0; i < 2; i++)
        sizes_lost(&sizes, 0);
    assert_int_equal(sizes_judge(&sizes).large, 0);
    assert_int_equal(sizes_judge(&sizes).small, found.small - 2);
    assert_int_equal(sizes_judge(&sizes).unknown, 2);
}

static void nothing_is_said_where_the_size_of_many_lost_ones_is_unknown(void **state)
{
    (void)state;
    send(2000, 10, 1);
    for (unsigned i = 0; i < 10; i++)
        sizes_lost(&sizes, 0);
    assert_int_not_equal(sizes_judge(&sizes).bytes, 0);
    sizes_lost(&sizes, 0);
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

/* Large ones go in bursts, and each cut hits one of these. */
static void what_a_cut_takes_in_a_row_counts_once(void **state)
{
    (void)state;
    for (unsigned cut = 0; cut < 4; cut++) {
        for (unsigned i = 0; i < 1000; i++)
            sizes_arrived(&sizes, SMALL);
        for (unsigned i = 0; i < 200; i++)
            sizes_lost(&sizes, LARGE);
    }
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

/* A queue with room for short bursts only loses the ends of long ones. */
static void a_queue_that_sometimes_overflows_is_not_named(void **state)
{
    (void)state;
    for (unsigned burst = 0; burst < 100; burst++) {
        for (unsigned i = 0; i < 1000; i++)
            sizes_arrived(&sizes, SMALL);
        for (unsigned i = 0; i < 100; i++)
            sizes_arrived(&sizes, LARGE);
        sizes_lost(&sizes, LARGE);
    }
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

/* Datagrams of any sizes, of which as many are lost as `loss` says of one with so many bytes. Returns whether something is said. */
static bool is_told(uint64_t seed, unsigned large_permille, double loss, bool by_byte)
{
    memset(&sizes, 0, sizeof sizes);
    for (unsigned i = 0; i < COUNT; i++) {
        const bool is_large = mesh_draw_below(mesh_draw(seed, 0, i), 1000) < large_permille;
        const unsigned bytes = (unsigned)(mesh_draw_below(mesh_draw(seed, 1, i), is_large ? 300 : 200) + (is_large ? 1200 : 60));
        const double chance = by_byte ? 1 - pow(1 - loss, bytes / 1500.0) : loss;

        if (mesh_draw_ppm(mesh_draw(seed, 2, i), (uint32_t)(1e6 * chance)))
            sizes_lost(&sizes, bytes);
        else
            sizes_arrived(&sizes, bytes);
        if (sizes.lost > 0 && i % 64 == 0 && sizes_judge(&sizes).bytes > 0)
            return true; /* a capture may end anywhere */
    }
    return false;
}

static void losses_by_chance_and_by_damage_are_never_laid_on_the_size(void **state)
{
    static const double losses[] = {0.0005, 0.005, 0.05, 0.2};
    static const unsigned permilles[] = {20, 300, 900};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        if (is_told(seed, permilles[seed % 3], losses[seed / 3 % 4], seed / 12 % 2 != 0))
            fail_msg("seed %llu: %u lost of %u bytes or more", (unsigned long long)seed, sizes.lost, sizes.least);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(where_nothing_large_arrives_it_is_said, set_up),
        cmocka_unit_test_setup(where_half_of_the_large_ones_arrive_it_is_said_too, set_up),
        cmocka_unit_test_setup(few_losses_prove_nothing, set_up),
        cmocka_unit_test_setup(few_smaller_ones_prove_nothing, set_up),
        cmocka_unit_test_setup(a_small_one_that_is_lost_takes_it_back, set_up),
        cmocka_unit_test_setup(what_may_be_among_those_lost_of_unknown_size_has_not_arrived_for_certain, set_up),
        cmocka_unit_test_setup(nothing_is_said_where_the_size_of_many_lost_ones_is_unknown, set_up),
        cmocka_unit_test_setup(what_a_cut_takes_in_a_row_counts_once, set_up),
        cmocka_unit_test_setup(a_queue_that_sometimes_overflows_is_not_named, set_up),
        cmocka_unit_test_setup(losses_by_chance_and_by_damage_are_never_laid_on_the_size, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
