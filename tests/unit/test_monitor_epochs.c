/* The tokens of an interval in the monitor's model: those of all epochs it contained, and what they say of the speed of the mesh; and
 * nodes in no epoch. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "monitor_case.h"

/* Tokens of the first listed node, in the newest interval. */
static uint32_t last_tokens(const struct monitor_case *c)
{
    int nodes[FLEET_NODES_MAX];

    assert_true(fleet_order(&c->fleet, nodes) > 0);
    return fleet_node_at(&c->fleet, nodes[0], c->fleet.ticks - 1)->tokens;
}

/* All these epochs end and begin within one interval. */
static void tokens_of_epochs_that_ended_since_are_of_the_interval(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    for (int i = 0; i < 2; i++) {
        monitor_case_report(c, 300);
        made_new_epoch(&c->made);
    }
    monitor_case_report(c, 400);
    fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    assert_int_equal(last_tokens(c), 50);
    monitor_case_run(c, 1);
    assert_int_equal(last_tokens(c), 50);
}

/* Each node's interval begins and ends a little earlier or later than the others', and so has some tokens more or fewer. */
static void speed_is_not_that_of_the_node_that_counted_most(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned node = 0; node < 4; node++)
            c->made.node[node].tokens += 4 * (i % 2 == 0 ? node : 3 - node); /* in two intervals, 12 more at each */
        monitor_case_run(c, 1);
        assert_true(fabsf(fleet_tok_per_s(&c->fleet, c->fleet.ticks - 1) - 56) < 0.01f);
    }
}

static bool is_found(const struct monitor_case *c, const char *sentence)
{
    struct finding findings[FINDINGS_MAX];
    int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings);

    while (i > 0 && strcmp(findings[i - 1].text, sentence) != 0)
        i--;
    return i > 0;
}

/* Its tokens took little of the interval's time. */
static void with_short_answers_it_is_not_said_that_there_are_no_requests(void **state)
{
    struct monitor_case *c = *state;

    c->made.tok_per_s = 0;
    monitor_case_run(c, 3);
    assert_true(is_found(c, "All 4 nodes are up and idle: no requests."));
    for (unsigned node = 0; node < 4; node++)
        c->made.node[node].tokens += 12;
    monitor_case_run(c, 1);
    assert_true(is_found(c, "All 4 nodes are up and idle for most of the time: 12.0 tok/s."));
}

/* As one that was started again and asks the others to take it in. */
static void a_node_in_no_epoch_seeks_one_and_is_not_suspected(void **state)
{
    struct monitor_case *c = *state;
    struct fleet_node *node = &c->fleet.nodes[3];

    monitor_case_run(c, 3);
    monitor_case_report(c, 1000);
    node->head.epoch = 0;
    node->now.state = MESH_NODE_SEEKING;
    node->named_epoch = 0;
    node->report_ns -= 1000000;
    node->named_ns -= 1000000;
    fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    assert_int_equal(node->state, FLEET_SEEKING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_short_answers_it_is_not_said_that_there_are_no_requests, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(a_node_in_no_epoch_seeks_one_and_is_not_suspected, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(speed_is_not_that_of_the_node_that_counted_most, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(tokens_of_epochs_that_ended_since_are_of_the_interval, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
