/* The monitor's model and epochs that end: the tokens of an interval are those of all epochs it contained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "monitor_case.h"

static int set_up(void **state)
{
    struct monitor_case *c = calloc(1, sizeof *c);

    assert_non_null(c);
    monitor_case_init(c, 4);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    monitor_case_release(*state);
    free(*state);
    return 0;
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_of_epochs_that_ended_since_are_of_the_interval, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
