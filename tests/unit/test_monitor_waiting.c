/* Whom the monitor says that nodes wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "tests/unit/monitor_case.h"

static void run_at(struct monitor_case *c, double tok_per_s, unsigned seconds)
{
    c->made.tok_per_s = tok_per_s;
    monitor_case_run(c, seconds);
}

/* In the last ten intervals that node waited for the other one this part of its time. */
static void wait_for(struct monitor_case *c, unsigned to, unsigned from, float part)
{
    for (uint64_t tick = c->fleet.ticks - 10; tick < c->fleet.ticks; tick++)
        c->fleet.nodes[monitor_case_node(c, to)].links[monitor_case_node(c, from)]->sample[tick % FLEET_LINK_HISTORY].waits = part;
}

/* Of equal nodes each is the last one now and then. */
static void nobody_is_waited_for_who_does_not_stand_out(void **state)
{
    struct monitor_case *c = *state;
    double part;

    monitor_case_run(c, 15);
    for (unsigned to = 0; to < 4; to++)
        for (unsigned from = 0; from < 4; from++)
            if (from != to)
                wait_for(c, to, from, 0.3f);
    assert_int_equal(findings_waited_for(&c->fleet, c->fleet.ticks - 1, &part), FLEET_NOBODY);
    assert_false(monitor_case_finds(c, 0, "Others wait"));
    for (unsigned to = 0; to < 4; to++)
        if (to != 2)
            wait_for(c, to, 2, 0.7f);
    assert_int_equal(findings_waited_for(&c->fleet, c->fleet.ticks - 1, &part), monitor_case_node(c, 2));
    assert_true(monitor_case_finds(c, 0, "Others wait for node 2"));
}

/* In the last ten intervals 99 % of what went this way took that long at most. */
static void take(struct monitor_case *c, unsigned from, unsigned to, float p99_us)
{
    for (uint64_t tick = c->fleet.ticks - 10; tick < c->fleet.ticks; tick++)
        c->fleet.nodes[monitor_case_node(c, to)].links[monitor_case_node(c, from)]->sample[tick % FLEET_LINK_HISTORY].p99_us = p99_us;
}

static void spend(struct monitor_case *c, unsigned made, float computing, float waiting)
{
    for (uint64_t tick = c->fleet.ticks - 10; tick < c->fleet.ticks; tick++) {
        c->fleet.nodes[monitor_case_node(c, made)].sample[tick % FLEET_HISTORY].time[TIME_COMPUTE] = computing;
        c->fleet.nodes[monitor_case_node(c, made)].sample[tick % FLEET_HISTORY].time[TIME_WAIT] = waiting;
    }
}

/* Not the node behind it. */
static void a_slow_link_is_named_where_others_wait_for_it(void **state)
{
    struct monitor_case *c = *state;

    c->made.slow = 2;
    monitor_case_run(c, 15);
    for (unsigned from = 0; from < 4; from++)
        for (unsigned to = 0; to < 4; to++)
            if (from != to)
                take(c, from, to, to != 2 ? 27.0f : from == 1 ? 13900.0f : 13600.0f);
    assert_false(monitor_case_finds(c, 0, "Its link is slow")); /* it computes all the time, and so receives late */
    spend(c, 2, 0.24f, 0.7f);
    assert_true(
        monitor_case_finds(c, 0,
                           "Others wait for node 2 at 10.0.0.3:7411: 36 % of their time. Its link is slow: 1 → 2 takes 13.9 ms (p99), "
                           "others 27 µs: check the rate and queue of its interface (tc -s qdisc, ethtool), not its share."));
    take(c, 0, 1, 5000.0f); /* now it does not stand out */
    assert_true(monitor_case_finds(c, 0, "Others wait for node 2"));
    assert_false(monitor_case_finds(c, 0, "Its link is slow"));
}

static enum style style_of(const struct monitor_case *c, const char *text)
{
    struct finding findings[FINDINGS_MAX];

    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        if (strstr(findings[i - 1].text, text) != NULL)
            return findings[i - 1].style;
    fail_msg("there is no finding '%s'", text);
    return STYLE_NORMAL;
}

static void all_spend(struct monitor_case *c, float computing, float waiting)
{
    for (unsigned i = 0; i < 4; i++) {
        spend(c, i, computing, waiting);
        for (uint64_t tick = c->fleet.ticks - 10; tick < c->fleet.ticks; tick++)
            c->fleet.nodes[monitor_case_node(c, i)].sample[tick % FLEET_HISTORY].time[TIME_IDLE] = 1 - computing - waiting;
    }
}

/* No praise, and no alarm: it may be as it has to be. */
static void equal_nodes_that_rather_wait_than_compute_are_not_praised(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 15);
    all_spend(c, 0.8f, 0.15f);
    assert_int_equal(style_of(c, "4 of 4 nodes compute: 50.0 tok/s."), STYLE_GOOD);
    all_spend(c, 0.02f, 0.78f);
    for (unsigned to = 0; to < 4; to++)
        for (unsigned from = 0; from < 4; from++)
            if (from != to)
                wait_for(c, to, from, 0.26f);
    assert_int_equal(
        style_of(c, "4 nodes at work: 50.0 tok/s. While steps run, they wait for one another for 98 % of the time; tiles take "),
        STYLE_NORMAL);
    for (unsigned i = 1; i < 4; i++)
        memcpy(c->fleet.nodes[monitor_case_node(c, i)].addr.ip, c->fleet.nodes[monitor_case_node(c, 0)].addr.ip,
               sizeof c->fleet.nodes[0].addr.ip);
    assert_int_equal(style_of(c, "they wait for one another for 98 % of the time: they share one machine."), STYLE_NORMAL);
}

static void who_is_waited_for_is_said_once(void **state)
{
    struct monitor_case *c = *state;

    c->made.slow = 2;
    monitor_case_run(c, 15);
    all_spend(c, 0.1f, 0.9f);
    assert_true(monitor_case_finds(c, 0, "Others wait for node 2"));
    assert_false(monitor_case_finds(c, 0, "wait for one another"));
}

static void neither_a_prompt_nor_the_first_interval_is_waiting(void **state)
{
    struct monitor_case *c = *state;

    run_at(c, 0, 12);
    all_spend(c, 0.1f, 0.9f);
    assert_false(monitor_case_finds(c, 0, "wait for one another")); /* no token comes */
    all_spend(c, 0, 0);
    run_at(c, 50, 1);
    spend(c, 0, 0.1f, 0.9f);
    assert_false(monitor_case_finds(c, 0, "wait for one another"));
}

static void nobody_is_waited_for_by_a_node_that_does_not_report(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 15);
    wait_for(c, 1, 0, 0.9f);
    assert_true(monitor_case_finds(c, 0, "Others wait for node 0"));
    c->made.is_dead[1] = true;
    monitor_case_run(c, 2);
    assert_false(monitor_case_finds(c, 0, "Others wait"));
}

static void nobody_is_waited_for_when_no_steps_run(void **state)
{
    struct monitor_case *c = *state;

    run_at(c, 0, 12);
    c->made.slow = 2;
    run_at(c, 50, 1);
    assert_false(monitor_case_finds(c, 0, "Others wait")); /* for too short a time to tell */
    monitor_case_run(c, 14);
    assert_true(monitor_case_finds(c, 0, "Others wait for node 2"));
    c->made.tok_per_s = 0;
    c->made.slow = -1;
    monitor_case_run(c, 2);
    assert_false(monitor_case_finds(c, 0, "Others wait"));
    assert_true(monitor_case_finds(c, 2, "Others wait for node 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_is_waited_for_who_does_not_stand_out, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_slow_link_is_named_where_others_wait_for_it, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(equal_nodes_that_rather_wait_than_compute_are_not_praised, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(who_is_waited_for_is_said_once, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(neither_a_prompt_nor_the_first_interval_is_waiting, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(nobody_is_waited_for_by_a_node_that_does_not_report, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(nobody_is_waited_for_when_no_steps_run, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
