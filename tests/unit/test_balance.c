/* Shares by speed: how they are computed, and that they are changed when speeds have differed for long enough, and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "balance_case.h"
#include "node/common/hash.h"

#define SECOND_NS UINT64_C(1000000000)
#define LOOK_NS   (SECOND_NS / 4)

enum { WORLDS = 60, NODES_MAX = 8, GB_PER_S = 1000000 };

static uint64_t draw(uint64_t seed, uint64_t index, uint64_t below)
{
    return hash_mix64(seed * 1000003 + index) % below;
}

static const struct model shape_of_1b = {
    .dim = 2048, .hidden = 5632, .layers = 22, .heads = 32, .kv_heads = 4, .head_dim = 64, .vocab = 32000};

static struct balance_member by_speed(uint32_t speed)
{
    return (struct balance_member){.speed = speed, .share = BALANCE_SHARE_AUTO, .ratio = BALANCE_RATIO_ONE};
}

/* ---- what members report ---- */

static void what_a_member_tells_comes_back(void **state)
{
    const uint32_t shares[] = {0, 1, 3, BALANCE_SHARE_MAX, BALANCE_SHARE_AUTO};

    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        for (uint16_t ratio = 0; ratio <= BALANCE_RATIO_MAX; ratio++) {
            const struct balance_member member = {.speed = 7, .share = shares[i], .ratio = ratio};
            const uint32_t flags = balance_flags(&member);
            const struct balance_member back = balance_member_of(7, flags | (BALANCE_FLAGS_FIRST - 1));

            assert_true(flags % BALANCE_FLAGS_FIRST == 0);
            assert_true(back.speed == 7 && back.share == shares[i] && back.ratio == ratio);
        }
}

static void a_ratio_tells_the_quotient_to_a_few_percent(void **state)
{
    (void)state;
    assert_int_equal(balance_ratio(5000, 5000), BALANCE_RATIO_ONE);
    assert_int_equal(balance_ratio(10000, 5000), BALANCE_RATIO_ONE + BALANCE_RATIO_OCTAVE);
    assert_int_equal(balance_ratio(1250, 5000), BALANCE_RATIO_ONE - 2 * BALANCE_RATIO_OCTAVE);
    assert_int_equal(balance_ratio(UINT32_MAX, 1), BALANCE_RATIO_MAX);
    assert_int_equal(balance_ratio(1, UINT32_MAX), 1);
}

/* ---- shares ---- */

static void shares_follow_speed(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    const struct balance_member member[] = {by_speed(30 * GB_PER_S), by_speed(20 * GB_PER_S), by_speed(10 * GB_PER_S)};
    uint32_t share[3];

    (void)state;
    balance_shares(&load, member, 3, share);
    assert_int_equal(share[0], 1500);
    assert_int_equal(share[1], 1000);
    assert_int_equal(share[2], 500);
}

static void members_of_nearly_the_same_speed_get_the_same_share(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    const struct balance_member member[] = {by_speed(1000000), by_speed(500000), by_speed(950000), by_speed(530000), by_speed(1040000)};
    uint32_t share[5];

    (void)state;
    balance_shares(&load, member, 5, share);
    assert_true(share[0] == share[2] && share[0] == share[4]);
    assert_int_equal(share[1], share[3]);
    assert_true(share[0] > share[1]);
}

static void benchmarks_are_believed_less(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[] = {by_speed(1000000), by_speed(800000), by_speed(500000)};
    uint32_t share[3];

    (void)state;
    balance_shares(&load, member, 3, share);
    assert_true(share[0] > share[1] && share[1] > share[2]);
    member[1].ratio = 0;
    balance_shares(&load, member, 3, share);
    assert_true(share[0] == share[1] && share[1] > share[2]);
}

static void unknown_speeds_count_as_the_mean_and_all_unknown_as_equal(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[] = {by_speed(1500000), by_speed(0), by_speed(500000)};
    uint32_t share[3];

    (void)state;
    balance_shares(&load, member, 3, share);
    assert_int_equal(share[1], BALANCE_EVEN);
    member[0].speed = member[2].speed = 0;
    balance_shares(&load, member, 3, share);
    for (int r = 0; r < 3; r++)
        assert_int_equal(share[r], BALANCE_EVEN);
}

static void a_fixed_share_counts_beside_nodes_of_average_speed(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[] = {by_speed(3000000), by_speed(1000000), by_speed(90)};
    uint32_t share[3];

    (void)state;
    member[2].share = 2;
    balance_shares(&load, member, 3, share);
    assert_int_equal(share[0], 1500);
    assert_int_equal(share[1], 500);
    assert_int_equal(share[2], 2000);
    member[2].share = 0;
    balance_shares(&load, member, 3, share);
    assert_int_equal(share[2], 0);
}

static void fixed_shares_alone_are_taken_as_they_are(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[] = {by_speed(1), by_speed(1000000)};
    uint32_t share[2];

    (void)state;
    member[0].share = 3;
    member[1].share = 1;
    balance_shares(&load, member, 2, share);
    assert_true(share[0] == 3 && share[1] == 1);
    member[0].share = member[1].share = 0;
    balance_shares(&load, member, 2, share);
    assert_true(share[0] == 1 && share[1] == 1); /* some member has to compute */
}

static void who_costs_more_than_its_rows_give_gets_none(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[] = {by_speed(20 * GB_PER_S), by_speed(20 * GB_PER_S), by_speed(50000)};
    uint32_t share[3];

    (void)state;
    balance_shares(&load, member, 3, share);
    assert_true(share[0] == share[1] && share[2] == 0);
    member[2].speed = 10 * GB_PER_S;
    balance_shares(&load, member, 3, share);
    assert_true(share[2] > 0);
}

static void equal_nodes_all_get_rows_however_small_the_model(void **state)
{
    const struct model small = {.dim = 256, .hidden = 512, .layers = 4, .heads = 8, .kv_heads = 8, .head_dim = 32, .vocab = 512};
    const struct balance_load load = balance_case_load(&small);
    const struct balance_member member[] = {by_speed(20 * GB_PER_S), by_speed(19 * GB_PER_S), by_speed(21 * GB_PER_S)};
    uint32_t share[3];

    (void)state;
    balance_shares(&load, member, 3, share);
    for (int r = 0; r < 3; r++)
        assert_int_equal(share[r], BALANCE_EVEN);
}

/* A member that has not computed yet knows only its benchmark, which flatters all members by the same factor. */
static void a_newcomers_benchmark_is_judged_by_the_others(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[3];
    uint32_t share[3];

    (void)state;
    for (int r = 0; r < 2; r++) {
        member[r] = by_speed(5 * GB_PER_S);
        member[r].ratio = balance_ratio(5 * GB_PER_S, 40 * GB_PER_S);
    }
    member[2] = (struct balance_member){.speed = 40 * GB_PER_S, .share = BALANCE_SHARE_AUTO};
    balance_shares(&load, member, 3, share);
    for (int r = 0; r < 3; r++)
        assert_int_equal(share[r], BALANCE_EVEN);
    member[2].speed = 20 * GB_PER_S;
    balance_shares(&load, member, 3, share);
    assert_in_range(share[0], 2 * share[2] - 20, 2 * share[2] + 20);
}

static void a_member_that_has_become_slow_says_nothing_of_a_newcomer(void **state)
{
    const struct balance_load load = balance_case_load(&shape_of_1b);
    struct balance_member member[] = {by_speed(8 * GB_PER_S), by_speed(GB_PER_S), by_speed(8 * GB_PER_S)};
    uint32_t share[3];

    (void)state;
    member[1].ratio = balance_ratio(GB_PER_S, 8 * GB_PER_S);
    member[2].ratio = 0;
    balance_shares(&load, member, 3, share);
    assert_int_equal(share[2], share[0]);
}

/* ---- when ---- */

/* A mesh whose members have these speeds; their reports are wrong by up to noise percent, differently each second. */
struct world {
    uint64_t seed, now_ns;
    struct model model;
    struct balance_load load;
    struct balance balance;
    uint16_t count;
    uint32_t speed[NODES_MAX], noise;
    struct balance_member member[NODES_MAX];
    struct rowmap map;
    uint32_t changes;
    uint64_t changed_ns;
};

static void deal(struct world *w, const uint32_t *share, bool is_change)
{
    struct fail fail;

    assert_int_equal(rowmap_init(&w->map, &w->model, share, w->count, &fail), 0);
    balance_begin(&w->balance, w->now_ns, is_change);
    w->changes += is_change;
    w->changed_ns = w->now_ns;
}

static void tell_speeds(struct world *w)
{
    for (uint16_t r = 0; r < w->count; r++) {
        const uint64_t wrong = draw(w->seed, w->now_ns / SECOND_NS * NODES_MAX + r, 2 * w->noise * 100 + 1);

        w->member[r] = by_speed((uint32_t)((uint64_t)w->speed[r] * (10000 - w->noise * 100 + wrong) / 10000));
    }
}

static void pass(struct world *w, uint64_t ns)
{
    const uint64_t end_ns = w->now_ns + ns;
    uint32_t share[NODES_MAX];

    for (; w->now_ns < end_ns; w->now_ns += LOOK_NS) {
        tell_speeds(w);
        if (balance_is_due(&w->balance, w->now_ns, &w->load, w->member, &w->map, share))
            deal(w, share, true);
    }
}

/* A random model and random speeds, from equal to 1 : 20; an epoch with shares by the speeds reported at its beginning. */
static void open_world(struct world *w, uint64_t seed)
{
    uint32_t share[NODES_MAX];

    *w = (struct world){.seed = seed, .now_ns = 1000 * SECOND_NS, .noise = (uint32_t)draw(seed, 1, 5)};
    w->model = (struct model){
        .dim = (uint32_t)(8 + draw(seed, 2, 120)) * 32,
        .hidden = (uint32_t)(16 + draw(seed, 3, 340)) * 32,
        .layers = (uint32_t)(2 + draw(seed, 4, 30)),
        .head_dim = 64,
        .kv_heads = (uint32_t)(1 + draw(seed, 5, 8)),
        .vocab = (uint32_t)(512 + draw(seed, 6, 32000)),
    };
    w->model.heads = w->model.kv_heads * (uint32_t)(1 + draw(seed, 7, 4));
    w->load = balance_case_load(&w->model);
    w->count = (uint16_t)(2 + draw(seed, 8, NODES_MAX - 1));
    for (uint16_t r = 0; r < w->count; r++)
        w->speed[r] = (uint32_t)(GB_PER_S + draw(seed, 100 + r, draw(seed, 9, 2) ? 19 * GB_PER_S : GB_PER_S));
    tell_speeds(w);
    balance_shares(&w->load, w->member, w->count, share);
    deal(w, share, false);
}

/* No other shares would be much faster. */
static bool is_balanced(const struct world *w)
{
    struct balance_member exact[NODES_MAX];
    uint32_t share[NODES_MAX];
    struct rowmap best;
    struct fail fail;

    for (uint16_t r = 0; r < w->count; r++)
        exact[r] = by_speed(w->speed[r]);
    balance_shares(&w->load, exact, w->count, share);
    assert_int_equal(rowmap_init(&best, &w->model, share, w->count, &fail), 0);
    return balance_step_ns(&w->load, exact, &w->map) * 75 <= balance_step_ns(&w->load, exact, &best) * 100;
}

static void noise_of_some_percent_changes_nothing(void **state)
{
    struct world w;

    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        open_world(&w, seed);
        pass(&w, 1800 * SECOND_NS);
        if (w.changes > 0)
            fail_msg("seed %llu: %u changes", (unsigned long long)seed, w.changes);
    }
}

static void wrong_shares_are_put_right_in_two_changes_at_most(void **state)
{
    struct world w;
    uint32_t share[NODES_MAX];

    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        open_world(&w, seed);
        for (uint16_t r = 0; r < w.count; r++)
            share[r] = (uint32_t)(1 + draw(seed, 200 + r, 20));
        deal(&w, share, false);
        pass(&w, 1800 * SECOND_NS);
        if (w.changes > 2 || !is_balanced(&w))
            fail_msg("seed %llu: %u changes, %s", (unsigned long long)seed, w.changes, is_balanced(&w) ? "balanced" : "not balanced");
    }
}

static void a_node_that_becomes_slow_for_good_gets_less_within_half_a_minute(void **state)
{
    struct world w;

    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        uint32_t before;
        uint16_t slow;

        open_world(&w, seed);
        slow = (uint16_t)draw(seed, 300, w.count);
        pass(&w, 60 * SECOND_NS);
        before = (uint32_t)(w.map.h[slow + 1] - w.map.h[slow]);
        if (before < 4)
            continue; /* it has almost no rows */
        w.speed[slow] /= 5;
        pass(&w, 30 * SECOND_NS);
        if (w.changes != 1 || (uint32_t)(w.map.h[slow + 1] - w.map.h[slow]) >= before)
            fail_msg("seed %llu: %u changes", (unsigned long long)seed, w.changes);
        pass(&w, 1800 * SECOND_NS);
        if (w.changes > 2 || !is_balanced(&w))
            fail_msg("seed %llu: %u changes in the end", (unsigned long long)seed, w.changes);
    }
}

static void a_neighbour_who_is_busy_for_three_seconds_changes_nothing(void **state)
{
    struct world w;

    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        const uint16_t slow = 0;

        open_world(&w, seed);
        for (int i = 0; i < 40; i++) {
            const uint32_t speed = w.speed[slow];

            pass(&w, (4 + draw(seed, 400 + (uint64_t)i, 5)) * SECOND_NS);
            w.speed[slow] /= 4;
            pass(&w, 3 * SECOND_NS);
            w.speed[slow] = speed;
        }
        if (w.changes > 0)
            fail_msg("seed %llu: %u changes", (unsigned long long)seed, w.changes);
    }
}

/* The worst case: whichever member gets more becomes slow by it, so that no shares are right. */
static void shares_that_are_never_right_change_ever_more_seldom(void **state)
{
    struct world w = {.now_ns = 1000 * SECOND_NS, .model = shape_of_1b, .count = 2, .seed = 5};
    const uint32_t even[] = {1, 1};
    uint32_t first_minute = 0, hour;

    (void)state;
    w.load = balance_case_load(&w.model);
    deal(&w, even, false);
    for (int i = 0; i < 3600; i++) {
        const bool first_has_more = w.map.h[1] > w.model.hidden / 32 / 2;

        w.speed[0] = first_has_more ? GB_PER_S : 10 * GB_PER_S;
        w.speed[1] = first_has_more ? 10 * GB_PER_S : GB_PER_S;
        pass(&w, SECOND_NS);
        first_minute = i < 60 ? w.changes : first_minute;
    }
    hour = w.changes;
    assert_in_range(first_minute, 1, 3);
    assert_in_range(hour, first_minute, 12);
}

static void members_with_fixed_shares_are_left_alone(void **state)
{
    struct world w;
    uint32_t share[NODES_MAX] = {5, 1};

    (void)state;
    open_world(&w, 3);
    w.count = 2;
    deal(&w, share, false);
    for (int i = 0; i < 400; i++) {
        w.now_ns += LOOK_NS;
        for (uint16_t r = 0; r < 2; r++) {
            w.member[r] = by_speed(GB_PER_S);
            w.member[r].share = share[r];
        }
        assert_false(balance_is_due(&w.balance, w.now_ns, &w.load, w.member, &w.map, share));
    }
}

/* New members get their shares by speed at once, so what was learnt of the old ones is no reason to wait. */
static void another_epoch_begins_with_no_haste(void **state)
{
    struct balance balance = {0};

    (void)state;
    for (int i = 0; i < 9; i++)
        balance_begin(&balance, SECOND_NS, true);
    assert_true(balance.rest_until_ns == 641 * SECOND_NS);
    balance_begin(&balance, SECOND_NS, false);
    assert_true(balance.rest_until_ns == 11 * SECOND_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_member_tells_comes_back),
        cmocka_unit_test(a_ratio_tells_the_quotient_to_a_few_percent),
        cmocka_unit_test(shares_follow_speed),
        cmocka_unit_test(members_of_nearly_the_same_speed_get_the_same_share),
        cmocka_unit_test(benchmarks_are_believed_less),
        cmocka_unit_test(unknown_speeds_count_as_the_mean_and_all_unknown_as_equal),
        cmocka_unit_test(a_fixed_share_counts_beside_nodes_of_average_speed),
        cmocka_unit_test(fixed_shares_alone_are_taken_as_they_are),
        cmocka_unit_test(who_costs_more_than_its_rows_give_gets_none),
        cmocka_unit_test(equal_nodes_all_get_rows_however_small_the_model),
        cmocka_unit_test(a_newcomers_benchmark_is_judged_by_the_others),
        cmocka_unit_test(a_member_that_has_become_slow_says_nothing_of_a_newcomer),
        cmocka_unit_test(noise_of_some_percent_changes_nothing),
        cmocka_unit_test(wrong_shares_are_put_right_in_two_changes_at_most),
        cmocka_unit_test(a_node_that_becomes_slow_for_good_gets_less_within_half_a_minute),
        cmocka_unit_test(a_neighbour_who_is_busy_for_three_seconds_changes_nothing),
        cmocka_unit_test(shares_that_are_never_right_change_ever_more_seldom),
        cmocka_unit_test(members_with_fixed_shares_are_left_alone),
        cmocka_unit_test(another_epoch_begins_with_no_haste),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
