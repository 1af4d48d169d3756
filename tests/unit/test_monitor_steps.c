/* The screen of the last tokens, on which the steps of all nodes are side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/monitor_case.h"
#include "tests/unit/screen_golden.h"

/* The part of the screen with the steps' bars. */
static const char *draw_bars(const struct monitor_case *c, char text[SCREEN_TEXT_BYTES])
{
    const struct screen_time time = {made_now_ns(&c->made), made_wall_ns(&c->made)};
    const char *bars;
    struct ui ui;

    ui_init(&ui, &settings_default);
    ui.screen = SCREEN_TOKENS;
    screen_draw_text(&c->fleet, &ui, time, 120, 30, GLYPHS_FULL, text);
    bars = strstr(text, "node 0");
    assert_non_null(bars);
    return bars;
}

/* The last question was a while ago: what clocks have drifted since does not move its steps. */
static void steps_stay_where_they_were_while_clocks_drift(void **state)
{
    static char before[SCREEN_TEXT_BYTES], after[SCREEN_TEXT_BYTES];
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    c->made.tok_per_s = 0;
    monitor_case_run(c, 2);
    draw_bars(c, before);
    c->made.drift_ns = 24000000;
    monitor_case_run(c, 2);
    assert_string_equal(draw_bars(c, after), strstr(before, "node 0"));
}

/* An epoch begins without the members that `dead` has, and so do the numbers of steps. */
static void begin_epoch_without(struct monitor_case *c, unsigned dead)
{
    c->made.is_dead[dead] = true;
    made_new_epoch(&c->made);
    c->made.steps = 0;
}

/* It keeps those of its last epoch, with greater numbers, until it is forgotten. */
static void steps_of_a_node_that_is_gone_are_not_the_newest(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    struct monitor_case *c = *state;
    char newest[32];

    monitor_case_run(c, 20);
    begin_epoch_without(c, 3);
    monitor_case_run(c, 5);
    draw_bars(c, text);
    snprintf(newest, sizeof newest, "%9u node 0", (unsigned)c->made.steps);
    assert_non_null(strstr(text, newest));
    assert_null(strstr(strstr(text, newest) + 1, newest));
    assert_true(strstr(text, newest) + strlen("          ") == strstr(text, "node 0"));
}

/* Node 3 computed its step of that number in an epoch before, long ago. */
static void steps_of_one_number_in_two_epochs_are_not_one_step(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    struct monitor_case *c = *state;
    const char *width;

    monitor_case_run(c, 5);
    begin_epoch_without(c, 3);
    monitor_case_run(c, 5);
    draw_bars(c, text);
    width = strstr(text, "; width ");
    assert_non_null(width);
    assert_non_null(strstr(width, " ms "));
    assert_true(strstr(width, " ms ") < strchr(width, '\n'));
}

/* Its rank has another node now. */
static void a_stall_is_for_the_node_that_had_the_rank_then(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    struct monitor_case *c = *state;

    c->made.slow = 2;
    monitor_case_run(c, 5);
    assert_non_null(strstr(draw_bars(c, text), " for 2, gather"));
    begin_epoch_without(c, 1); /* node 2 has rank 1 now, and node 3 rank 2 */
    c->made.tok_per_s = 0;
    c->made.slow = -1;
    monitor_case_run(c, 1);
    assert_null(strstr(draw_bars(c, text), " for 2, gather"));
    assert_non_null(strstr(draw_bars(c, text), " for 1, gather"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stall_is_for_the_node_that_had_the_rank_then, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(steps_of_a_node_that_is_gone_are_not_the_newest, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(steps_of_one_number_in_two_epochs_are_not_one_step, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(steps_stay_where_they_were_while_clocks_drift, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
