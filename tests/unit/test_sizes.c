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

#include "dissector/analysis.h"
#include "dissector/sizes.h"
#include "libmesh/core/mix.h"

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

/* ---- where the limits are ---- */

static void arrive(unsigned count, unsigned bytes)
{
    for (unsigned i = 0; i < count; i++)
        sizes_arrived(&sizes, bytes);
}

/* After a first loss of so many bytes, `times` times a part of the small ones, some as large, and another loss. */
static bool is_said_of(unsigned times, unsigned bytes, unsigned small_count, unsigned small_bytes, unsigned large_each)
{
    memset(&sizes, 0, sizeof sizes);
    sizes_lost(&sizes, bytes);
    for (unsigned i = 1; i <= times; i++) {
        arrive(small_count * i / times - small_count * (i - 1) / times, small_bytes);
        arrive(large_each, bytes);
        sizes_lost(&sizes, bytes);
    }
    assert_int_equal(sizes.events, times + 1);
    return sizes_judge(&sizes).bytes > 0;
}

/* Steps of 16 bytes, above 2 kB of 256, above 10 kB of 1024. */
static void sizes_are_told_apart_the_more_coarsely_the_larger_they_are(void **state)
{
    unsigned bin = 0;

    (void)state;
    sizes_lost(&sizes, LARGE);
    for (unsigned bytes = 1; bytes <= UINT16_MAX; bytes++) {
        bin += bytes % (bytes <= 2048 ? 16 : bytes <= 10240 ? 256 : 1024) == 0;
        sizes_arrived(&sizes, bytes);
        assert_int_equal(sizes.since[bin], 1);
        sizes.since[bin] = 0;
    }
    assert_true(bin < SIZES_BINS);
}

static void five_losses_and_fifty_smaller_ones_are_enough(void **state)
{
    (void)state;
    assert_true(is_said_of(4, LARGE, 1000, SMALL, 0));
    assert_false(is_said_of(3, LARGE, 1000, SMALL, 0));
    assert_true(is_said_of(20, LARGE, 50, SMALL, 0));
    assert_false(is_said_of(20, LARGE, 49, SMALL, 0));
}

static void a_tenth_of_the_large_ones_must_be_lost(void **state)
{
    (void)state;
    assert_true(is_said_of(19, LARGE, 10000, SMALL, 9)); /* 20 of 191 */
    assert_int_equal(sizes_judge(&sizes).large, 171);
    sizes.arrived[LARGE / 16] += 9;
    assert_true(sizes_judge(&sizes).bytes > 0); /* of 200 */
    sizes.arrived[LARGE / 16]++;
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
}

/* By chance the ten that are lost of 100 large ones would all be large, where there are 663 smaller ones: once in a thousand million times.
 * These are nearly as large, so no damage by length could have spared them. */
static void it_is_said_when_chance_would_do_it_once_in_a_thousand_million_times(void **state)
{
    (void)state;
    assert_true(is_said_of(9, LARGE, 663, 1424, 10));
    assert_false(is_said_of(9, LARGE, 662, 1424, 10));
}

/* If half of the large ones are lost, so much of small ones is spared by damage by length once in as many times, if they are of sizes
 * at least as large as these, which share their bins with larger ones. */
static void it_is_said_when_damage_would_do_it_once_in_a_thousand_million_times(void **state)
{
    static const struct {
        unsigned bytes, count;
    } small[] = {{992 + 15, 1809}, {8448 + 255, 213}, {20480 + 1023, 88}};

    (void)state;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        for (unsigned less = 0; less < 2; less++) {
            is_said_of(21, 60000, small[i].count - less, small[i].bytes, 1);
            sizes.arrived[128 + 32 + (60000 - 10240) / 1024]++; /* as many as are lost */
            assert_int_equal(sizes_judge(&sizes).bytes, less > 0 ? 0 : 60000);
        }
    }
}

/* Of the longest one that is lost, damage would have been the likeliest. */
static void what_is_lost_is_known_by_its_least_and_its_most_bytes(void **state)
{
    (void)state;
    sizes_lost(&sizes, 1400);
    sizes_lost(&sizes, 1452);
    sizes_lost(&sizes, 1300);
    sizes_lost(&sizes, 1350);
    assert_int_equal(sizes.least, 1300);
    assert_int_equal(sizes.most, 1452);
}

static void losses_between_which_nothing_smaller_arrives_are_one_event(void **state)
{
    (void)state;
    sizes_lost(&sizes, LARGE);
    arrive(5, LARGE);
    arrive(5, LARGE + 100);
    sizes_lost(&sizes, LARGE);
    assert_int_equal(sizes.events, 1);
    arrive(1, LARGE - 100);
    sizes_lost(&sizes, LARGE);
    sizes_lost(&sizes, LARGE);
    assert_int_equal(sizes.events, 2);
    arrive(1, 1); /* of the smallest */
    sizes_lost(&sizes, LARGE);
    assert_int_equal(sizes.events, 3);
    assert_int_equal(sizes_judge(&sizes).bytes, 0);
    assert_int_equal(sizes.arrived[0], 1);
}

/* ---- the numbers of a link ---- */

enum { HERE = 1, THERE = 2, NOWHERE = -1 };

static struct link numbered; /* too large for the stack */

/* Captured at a place, or, without bytes, missing there; the receiver reports all numbers. */
static struct link_entry *number(bool is_all, uint64_t ts_ns, uint16_t bytes)
{
    struct link_space *space = &numbered.spaces[is_all];
    const uint64_t next = space->highest + 1;
    struct link_entry *entry = &space->entries[next % LINKS_WINDOW];

    *entry = (struct link_entry){.number = next, .ts_ns = ts_ns, .bytes = bytes, .is_missing = bytes == 0};
    space->highest = space->seen = next;
    return entry;
}

static int set_up_link(void **state)
{
    (void)state;
    memset(&numbered, 0, sizeof numbered);
    numbered.has_report = true;
    numbered.at_receiver = NOWHERE;
    numbered.point = HERE;
    return 0;
}

static void lose(bool is_all, uint64_t ts_ns, uint16_t bytes)
{
    number(is_all, ts_ns, bytes)->is_lost = true;
}

static unsigned arrived_since(unsigned bytes)
{
    return numbered.sizes.since[bytes / 16];
}

static void numbers_of_both_spaces_are_taken_in_the_order_of_time(void **state)
{
    (void)state;
    lose(false, 10, LARGE);
    number(true, 20, SMALL);
    number(true, 25, SMALL);
    lose(false, 30, LARGE);
    number(false, 40, SMALL);
    lose(true, 50, LARGE);
    sizes_follow(&numbered, 24);
    assert_int_equal(numbered.sizes.lost, 1);
    assert_int_equal(arrived_since(SMALL), 1);
    sizes_follow(&numbered, 25);
    assert_int_equal(arrived_since(SMALL), 2);
    sizes_follow(&numbered, 100);
    sizes_follow(&numbered, 100); /* each of them once */
    assert_int_equal(numbered.sizes.lost, 3);
    assert_int_equal(numbered.sizes.events, 3);
    assert_int_equal(numbered.sizes.arrived[SMALL / 16], 3);
}

/* What is older has left the window, and its place is another's. */
static void only_numbers_that_are_still_kept_are_taken(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LINKS_WINDOW + 10; i++)
        lose(false, i, LARGE);
    sizes_follow(&numbered, UINT64_MAX);
    assert_int_equal(numbered.sizes.lost, LINKS_WINDOW);
    assert_int_equal(numbered.spaces[0].sized, LINKS_WINDOW + 10);
}

static void what_arrived_was_captured_and_reported_and_is_not_doubtful(void **state)
{
    (void)state;
    lose(false, 1, LARGE);
    number(false, 2, SMALL);
    number(false, 3, SMALL)->is_doubtful = true;
    number(false, 4, 0); /* missing, of unknown size */
    sizes_follow(&numbered, 4);
    assert_int_equal(arrived_since(SMALL), 1);
    assert_int_equal(arrived_since(0), 0);
    number(false, 5, SMALL);
    numbered.spaces[0].seen--;
    sizes_follow(&numbered, 5);
    assert_int_equal(arrived_since(SMALL), 1);
    number(false, 6, SMALL);
    numbered.has_report = false;
    sizes_follow(&numbered, 6);
    assert_int_equal(arrived_since(SMALL), 1);
    assert_int_equal(numbered.sizes.lost, 1);
}

/* Its socket had no room, or nobody listened. */
static void what_was_captured_at_the_receiver_has_passed_the_path(void **state)
{
    (void)state;
    numbered.at_receiver = HERE;
    number(false, 1, 0)->is_lost = true;
    assert_int_equal(numbered.sizes.lost, 0);
    sizes_follow(&numbered, 1);
    assert_int_equal(numbered.sizes.unknown, 1);
    numbered.sizes.lost = 1;
    numbered.has_report = false;
    lose(false, 2, LARGE);
    number(false, 3, SMALL);
    sizes_follow(&numbered, 3);
    assert_int_equal(numbered.sizes.lost, 1);
    assert_int_equal(arrived_since(LARGE), 1);
    assert_int_equal(arrived_since(SMALL), 1);
    sizes_take_lost(&numbered, false, &numbered.spaces[0].entries[2]); /* found out later */
    assert_int_equal(numbered.sizes.lost, 1);
    numbered.at_receiver = THERE; /* judged by another capture */
    lose(false, 4, LARGE);
    sizes_follow(&numbered, 4);
    assert_int_equal(numbered.sizes.lost, 2);
}

static void what_is_found_lost_later_counts_once(void **state)
{
    struct link_entry *entry;

    (void)state;
    lose(false, 1, LARGE);
    entry = number(false, 2, LARGE);
    entry->is_doubtful = true;
    sizes_follow(&numbered, 2);
    assert_int_equal(numbered.sizes.lost, 1);
    entry->is_lost = true;
    sizes_take_lost(&numbered, false, entry);
    sizes_take_lost(&numbered, false, entry);
    assert_int_equal(numbered.sizes.lost, 2);
    lose(false, 3, LARGE);
    sizes_take_lost(&numbered, false, &numbered.spaces[0].entries[3]);
    sizes_follow(&numbered, 3);
    assert_int_equal(numbered.sizes.lost, 3);
}

static void lose_probe(uint64_t ts_ns, uint16_t bytes)
{
    struct link_entry *probe = number(true, ts_ns, bytes);

    probe->is_lost = true;
    probe->type = MESH_TYPE_PROBE;
    probe->step = bytes;
}

static void what_nobody_listened_for_and_probes_do_not_count(void **state)
{
    (void)state;
    number(false, 1, LARGE)->is_early = true;
    numbered.spaces[0].entries[1].is_lost = true;
    lose_probe(2, 9000);
    sizes_follow(&numbered, 2);
    assert_int_equal(numbered.sizes.lost, 0);
    numbered.proved_bytes[1] = 9000; /* the path carries so many, so the next one is lost like others */
    lose_probe(3, 9000);
    sizes_follow(&numbered, 3);
    assert_int_equal(numbered.sizes.lost, 1);
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
        cmocka_unit_test_setup(sizes_are_told_apart_the_more_coarsely_the_larger_they_are, set_up),
        cmocka_unit_test_setup(five_losses_and_fifty_smaller_ones_are_enough, set_up),
        cmocka_unit_test_setup(a_tenth_of_the_large_ones_must_be_lost, set_up),
        cmocka_unit_test_setup(it_is_said_when_chance_would_do_it_once_in_a_thousand_million_times, set_up),
        cmocka_unit_test_setup(it_is_said_when_damage_would_do_it_once_in_a_thousand_million_times, set_up),
        cmocka_unit_test_setup(what_is_lost_is_known_by_its_least_and_its_most_bytes, set_up),
        cmocka_unit_test_setup(losses_between_which_nothing_smaller_arrives_are_one_event, set_up),
        cmocka_unit_test_setup(numbers_of_both_spaces_are_taken_in_the_order_of_time, set_up_link),
        cmocka_unit_test_setup(only_numbers_that_are_still_kept_are_taken, set_up_link),
        cmocka_unit_test_setup(what_arrived_was_captured_and_reported_and_is_not_doubtful, set_up_link),
        cmocka_unit_test_setup(what_was_captured_at_the_receiver_has_passed_the_path, set_up_link),
        cmocka_unit_test_setup(what_is_found_lost_later_counts_once, set_up_link),
        cmocka_unit_test_setup(what_nobody_listened_for_and_probes_do_not_count, set_up_link),
        cmocka_unit_test_setup(losses_by_chance_and_by_damage_are_never_laid_on_the_size, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
