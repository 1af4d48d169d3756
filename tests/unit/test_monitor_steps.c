/* The screen of the last tokens, on which the steps of all nodes are side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

/* Draw the steps' screen; what follows on it after that text. */
static const char *after(const struct monitor_case *c, const char *what)
{
    static char text[SCREEN_TEXT_BYTES];
    const char *found;

    draw_bars(c, text);
    found = strstr(text, what);
    assert_non_null(found);
    return found + strlen(what);
}

static uint64_t number_of_first_line(const struct monitor_case *c)
{
    return strtoull(strstr(after(c, "longest stall"), "\n"), NULL, 10);
}

/* Their numbers begin at 0 again. */
static void steps_of_a_new_epoch_are_newer(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    assert_int_equal(number_of_first_line(c), 250);
    made_new_epoch(&c->made);
    monitor_case_run(c, 2);
    assert_int_equal(number_of_first_line(c), 100);
}

/* Its epoch, and steps, have the numbers of earlier ones, which a node has reported that is not there any more. */
static void steps_of_a_mesh_that_was_started_anew_are_newer_than_its_own_earlier_ones(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    c->made.is_dead[3] = true;
    made_start_anew(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(number_of_first_line(c), 50);
    monitor_case_run(c, 4);
    assert_int_equal(number_of_first_line(c), 250);
    assert_memory_equal(after(c, "width "), "13.", 3); /* not the seconds since the earlier step 250 */
}

/* As nodes do that are started again, until they have found one another. */
static void so_they_are_if_the_new_processes_were_in_no_epoch_at_first(void **state)
{
    struct monitor_case *c = *state;
    const double tok_per_s = c->made.tok_per_s;

    monitor_case_run(c, 5);
    c->made.is_dead[3] = true;
    made_start_anew(&c->made);
    c->made.epoch = 0;
    c->made.tok_per_s = 0;
    monitor_case_run(c, 2);
    c->made.tok_per_s = tok_per_s;
    made_new_epoch(&c->made);
    assert_int_equal(c->made.epoch, 1);
    monitor_case_run(c, 1);
    assert_int_equal(number_of_first_line(c), 50);
    assert_int_equal(c->fleet.life, 1); /* not once for each node */
}

/* Ranks are dealt anew, but who was waited for is no other node than before. */
static void a_stall_is_for_the_node_that_had_the_rank_then(void **state)
{
    struct monitor_case *c = *state;

    c->made.slow = 2;
    monitor_case_run(c, 5);
    assert_memory_equal(after(c, "2.00 ms for "), "2,", 2);
    c->made.is_dead[0] = true;
    c->made.tok_per_s = 0;
    made_new_epoch(&c->made);
    monitor_case_run(c, 6);
    assert_memory_equal(after(c, "2.00 ms for "), "1,", 2); /* its present rank, as in the lines' names */
}

/* As one does that reads a prompt: the others keep bars that can be read. */
static void a_step_that_took_far_longer_than_others_goes_on_beyond_its_line(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    assert_memory_equal(after(c, "width "), "13.", 3);
    for (int node = 0; node < c->fleet.node_end; node++)
        for (int i = 0; i < FLEET_STEPS; i++)
            if (c->fleet.nodes[node].steps[i].step.step == 250)
                c->fleet.nodes[node].steps[i].step.duration_ns *= 50;
    assert_memory_equal(after(c, "width "), "5", 1); /* four times as much as the others */
    assert_true(strtod(after(c, "→"), NULL) > 600);  /* ms */
}

/* A column that is hardly touched by a stall is no stall. */
static void a_stall_is_drawn_where_it_has_most_of_the_column(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    for (int node = 0; node < c->fleet.node_end; node++)
        for (int i = 0; i < FLEET_STEPS; i++)
            c->fleet.nodes[node].steps[i].step.stall_ns = 15000;
    assert_null(strstr(after(c, "longest stall"), "░"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_of_a_new_epoch_are_newer, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(steps_of_a_mesh_that_was_started_anew_are_newer_than_its_own_earlier_ones, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(so_they_are_if_the_new_processes_were_in_no_epoch_at_first, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_step_that_took_far_longer_than_others_goes_on_beyond_its_line, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(a_stall_is_drawn_where_it_has_most_of_the_column, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_stall_is_for_the_node_that_had_the_rank_then, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(steps_stay_where_they_were_while_clocks_drift, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
