/* Which links or nodes the monitor names where datagrams are lost on several links. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "tests/unit/monitor_case.h"

static int count_of(const struct monitor_case *c, const char *text)
{
    struct finding findings[FINDINGS_MAX];
    int count = 0;

    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        count += strstr(findings[i - 1].text, text) != NULL;
    return count;
}

/* The cable of node 1 loses some of everything, and the link from node 0 to it so many more per second. */
static void run_with_losses(struct monitor_case *c, unsigned more)
{
    c->made.loss_from = MADE_ALL;
    c->made.loss_to = 1;
    c->made.loss_ppm = 8000;
    for (int i = 0; i < 15; i++) {
        c->made.links[1][0].counters.lost += more;
        monitor_case_run(c, 1);
    }
}

static void a_link_that_loses_much_more_than_the_others_is_named(void **state)
{
    struct monitor_case *c = *state;

    run_with_losses(c, 200);
    assert_int_equal(count_of(c, "of what all others send it"), 0);
    assert_int_equal(count_of(c, "Link 0 → 1 loses "), 1);
    assert_int_equal(count_of(c, "Link "), 3);
}

static void one_that_loses_somewhat_more_is_not(void **state)
{
    struct monitor_case *c = *state;

    run_with_losses(c, 15);
    assert_int_equal(count_of(c, "of what all others send it"), 1);
    assert_int_equal(count_of(c, "Link "), 0);
}

/* They leave room for other findings. */
static void many_links_that_lose_are_one_finding(void **state)
{
    struct monitor_case *c = *state;

    for (int i = 0; i < 15; i++) {
        c->made.links[2][1].counters.lost += 40;
        for (int to = 0; to < 2; to++)
            for (int from = 0; from < 4; from++)
                if (from != to && from != 3)
                    c->made.links[to][from].counters.lost += 5;
        monitor_case_run(c, 1);
    }
    assert_int_equal(count_of(c, "5 links lose datagrams, most 1 → 2: "), 1);
    assert_int_equal(count_of(c, "Link "), 0);
}

static void many_nodes_that_lose_are_one_finding(void **state)
{
    struct monitor_case *c = *state;

    for (int i = 0; i < 15; i++) {
        for (int to = 0; to < 4; to++)
            for (int from = 0; from < 4; from++)
                if (from != to)
                    c->made.links[to][from].counters.lost += to == 2 ? 20 : 10;
        monitor_case_run(c, 1);
    }
    assert_int_equal(count_of(c, "4 nodes lose some of what all others send them, most node 2 at 10.0.0.3:7411: "), 1);
    assert_int_equal(count_of(c, "of what all others send"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_link_that_loses_much_more_than_the_others_is_named, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(one_that_loses_somewhat_more_is_not, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(many_links_that_lose_are_one_finding, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(many_nodes_that_lose_are_one_finding, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
