/* In what order the overview says things, and what it says of experiments, of recordings and of the past; and what it counts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "tests/unit/monitor_case.h"
#include "tests/unit/screen_golden.h"

/* Index of the finding with that text, this many ticks ago; -1: there is none. */
static int place_of(const struct monitor_case *c, uint64_t back, const char *text)
{
    struct finding findings[FINDINGS_MAX];
    const int count = findings_find(&c->fleet, c->fleet.ticks - 1 - back, findings);

    for (int i = 0; i < count; i++)
        if (strstr(findings[i].text, text) != NULL)
            return i;
    return -1;
}

static bool is_praised(const struct monitor_case *c)
{
    struct finding findings[FINDINGS_MAX];

    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        if (findings[i - 1].style == STYLE_GOOD)
            return true;
    return false;
}

static void run_at(struct monitor_case *c, double tok_per_s, unsigned seconds)
{
    c->made.tok_per_s = tok_per_s;
    monitor_case_run(c, seconds);
}

/* So it does not change its line every few seconds. */
static void what_the_nodes_do_comes_before_notes(void **state)
{
    struct monitor_case *c = *state;

    run_at(c, 25, 70);
    run_at(c, 50, 10);
    assert_true(place_of(c, 0, "Speed rose") == 1);
    assert_int_equal(place_of(c, 0, "4 of 4 nodes compute"), 0);
    assert_true(is_praised(c));
    run_at(c, 50, 60);
    run_at(c, 25, 10);
    assert_int_equal(place_of(c, 0, "Speed fell"), 0);
    assert_int_equal(place_of(c, 0, "4 of 4 nodes compute"), 1);
    assert_false(is_praised(c));
}

/* Whoever answered first. */
static void nodes_are_named_in_the_order_of_their_ranks(void **state)
{
    struct monitor_case *c = *state;

    c->made.is_dead[0] = true;
    monitor_case_run(c, 3);
    c->made.is_dead[0] = false;
    made_new_epoch(&c->made);
    c->made.loss_from = MADE_ALL;
    c->made.loss_to = 0;
    c->made.loss_ppm = 20000;
    for (int i = 0; i < 15; i++) {
        for (unsigned from = 0; from < 4; from++)
            c->made.links[1][from].counters.lost += 30;
        monitor_case_run(c, 1);
    }
    assert_true(c->fleet.nodes[0].rank > 0);
    assert_int_equal(place_of(c, 0, "Node 0 at 10.0.0.1:7411 loses"), 0);
    assert_int_equal(place_of(c, 0, "Node 1 at 10.0.0.2:7411 loses"), 1);
}

static void of_what_lab_does_to_several_nodes_one_sentence_is_said(void **state)
{
    struct monitor_case *c = *state;

    for (unsigned i = 0; i < 4; i++) {
        c->made.node[i].lab_pace = i == 3 ? 1000000000 : 2000000000;
        c->made.node[i].lab_loss_ppm = 20000;
    }
    monitor_case_run(c, 3);
    assert_true(place_of(c, 0, "--lab holds nodes 0, 1, 2 to 2.00 GB/s.") > 0);
    assert_true(place_of(c, 0, "--lab holds node 3 to 1.00 GB/s.") > 0);
    assert_true(place_of(c, 0, "--lab drops 2.0 % of what is sent to all nodes.") > 0);
}

/* When node 1 dies, nodes 2 and 3 become ranks 1 and 2. */
static void in_the_past_notes_are_of_the_nodes_and_ranks_of_then(void **state)
{
    struct monitor_case *c = *state;

    c->made.node[1].lab_loss_ppm = c->made.node[3].lab_loss_ppm = 20000;
    monitor_case_run(c, 12);
    c->made.is_dead[1] = true;
    made_new_epoch(&c->made);
    c->made.node[3].lab_loss_ppm = 20000;
    monitor_case_run(c, 12);
    assert_true(place_of(c, 0, "--lab drops 2.0 % of what is sent to node 2.") > 0);
    assert_true(place_of(c, 13, "--lab drops 2.0 % of what is sent to nodes 1, 3.") > 0);
}

static void what_lab_drops_is_no_fault_of_a_cable(void **state)
{
    struct monitor_case *c = *state;

    c->made.loss_from = MADE_ALL;
    c->made.loss_to = 1;
    c->made.loss_ppm = 20000;
    monitor_case_run(c, 12);
    assert_int_equal(place_of(c, 0, "check its cable."), 0);
    c->made.node[1].lab_loss_ppm = 20000;
    monitor_case_run(c, 1);
    assert_int_equal(place_of(c, 0, " in 10 s), by --lab."), 0);
    c->made.node[1].lab_loss_ppm = 1000; /* it loses much more than that */
    monitor_case_run(c, 1);
    assert_int_equal(place_of(c, 0, "check its cable."), 0);
}

/* As with -d 0.1, or after the past was forgotten. */
static void less_than_a_second_is_not_0_s(void **state)
{
    struct monitor_case *c = *state;

    c->fleet.interval_ns = UINT64_C(100000000);
    c->made.loss_from = 3;
    c->made.loss_to = 1;
    c->made.loss_ppm = 50000;
    for (int i = 0; i < 9; i++) {
        monitor_case_report(c, 100);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    }
    assert_true(place_of(c, 0, "Link 3 → 1 loses") >= 0);
    assert_true(place_of(c, 0, " in 0.9 s).") >= 0);
}

static void an_epoch_began_that_long_before_the_time_that_is_shown(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    made_new_epoch(&c->made);
    monitor_case_run(c, 10);
    assert_true(place_of(c, 0, " began 10 s ago") > 0);
    assert_true(place_of(c, 4, " began 6 s ago") > 0);
    assert_int_equal(place_of(c, 12, " began "), -1); /* not yet */
}

static void take_of_node_1(void *app, const uint8_t *record, size_t bytes)
{
    struct monitor_case *c = app;
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;

    assert_int_equal(mesh_telemetry_read_report(&report, record, bytes), 0);
    assert_int_equal(mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head), 0);
    if (head.rank == 1)
        assert_int_equal(fleet_report(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), record, bytes), 0);
}

static void run_node_1(struct monitor_case *c, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        made_advance(&c->made, UINT64_C(1000000000));
        made_report(&c->made, take_of_node_1, c);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    }
}

static enum fleet_state state_of(const struct monitor_case *c, unsigned made)
{
    for (int i = 0; i < c->fleet.node_end; i++)
        if (c->fleet.nodes[i].addr.ip[15] == made + 1)
            return c->fleet.nodes[i].state;
    fail_msg("node %u is not known", made);
    return FLEET_DEAD;
}

/* As of a machine that crashed, whose recording alone was kept. */
static void nodes_whose_recordings_are_not_there_are_up_and_do_not_count(void **state)
{
    struct monitor_case *c = *state;

    c->fleet.is_recorded = true;
    run_node_1(c, 5);
    assert_int_equal(state_of(c, 0), FLEET_UP);
    assert_int_equal(place_of(c, 0, "The node computes"), 0);
    assert_true(place_of(c, 0, "No recording of nodes 0, 2, 3 is read: add it with --trace.") > 0);
    assert_int_equal(c->fleet.nodes[fleet_witness(&c->fleet)].addr.ip[15], 2); /* it is no sequencer */
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    run_node_1(c, 1);
    assert_int_equal(state_of(c, 3), FLEET_SUSPECTED);
    run_node_1(c, 5);
    assert_int_equal(state_of(c, 3), FLEET_DEAD);
    c->fleet.is_recorded = false; /* a live mesh tells of all nodes soon */
    run_node_1(c, 1);
    assert_int_equal(state_of(c, 0), FLEET_JOINING);
}

static void without_the_sequencer_another_node_tells_the_epoch(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    assert_true(c->fleet.nodes[fleet_witness(&c->fleet)].now.is_sequencer);
    c->fleet.nodes[0].state = FLEET_DEAD;
    assert_true(fleet_witness(&c->fleet) > 0);
    assert_int_equal(c->fleet.nodes[fleet_witness(&c->fleet)].head.epoch, c->made.epoch);
}

/* The user may have chosen shorter intervals meanwhile. */
static void the_curve_goes_back_as_far_as_it_says(void **state)
{
    struct monitor_case *c = *state;
    const struct screen_time time = {made_now_ns(&c->made), made_wall_ns(&c->made)};
    static char screen[SCREEN_TEXT_BYTES];
    struct ui ui;

    monitor_case_run(c, 50); /* seconds */
    c->fleet.interval_ns = UINT64_C(100000000);
    for (int i = 0; i < 94; i++) {
        monitor_case_report(c, 100);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    }
    ui_init(&ui, &settings_default);
    screen_draw_text(&c->fleet, &ui, time, 80, 24, GLYPHS_FULL, screen); /* 72 columns of two values */
    assert_non_null(strstr(screen, "the last 58 s"));
}

static void of_a_single_node_that_is_said_plainly(void **state)
{
    static char screen[SCREEN_TEXT_BYTES];
    struct monitor_case c;
    struct screen_time time;
    struct ui ui;

    (void)state;
    monitor_case_init(&c, 1);
    run_at(&c, 0, 3);
    assert_int_equal(place_of(&c, 0, "The node is up and idle: no requests."), 0);
    run_at(&c, 50, 3);
    assert_int_equal(place_of(&c, 0, "The node computes: 50.0 tok/s."), 0);
    ui_init(&ui, &settings_default);
    ui.screen = SCREEN_LINKS;
    time = (struct screen_time){made_now_ns(&c.made), made_wall_ns(&c.made)};
    screen_draw_text(&c.fleet, &ui, time, 80, 24, GLYPHS_FULL, screen);
    assert_non_null(strstr(screen, "none: a link is from one node to another"));
    assert_null(strstr(screen, "0 →"));
    monitor_case_release(&c);
}

/* Its own last word is no older than an interval. */
static void of_a_node_that_reports_it_is_not_said_that_it_is_not_heard(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    c->fleet.nodes[1].named_ns = c->fleet.nodes[1].report_ns;
    c->fleet.nodes[1].named_state = MESH_NODE_SUSPECTED;
    fleet_tick(&c->fleet, made_now_ns(&c->made) + 1000000, made_wall_ns(&c->made) + 1000000);
    assert_int_equal(c->fleet.nodes[1].state, FLEET_SUSPECTED);
    assert_int_equal(place_of(c, 0, "is suspected by others."), 0);
    assert_int_equal(place_of(c, 0, "not heard for"), -1);
}

/* No other node needs to have heard so. */
static void a_node_whose_last_word_was_that_it_leaves_has_left(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    c->made.node[3].state = MESH_NODE_LEAVING;
    monitor_case_report(c, 500);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(state_of(c, 3), FLEET_LEFT);
    assert_int_equal(place_of(c, 0, "suspected"), -1);
}

/* Also in the first line. */
static void the_title_counts_the_nodes_of_the_time_that_is_shown(void **state)
{
    struct monitor_case *c = *state;
    static char screen[SCREEN_TEXT_BYTES];
    struct screen_time time;
    struct ui ui;

    monitor_case_run(c, 5);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 8);
    ui_init(&ui, &settings_default);
    time = (struct screen_time){made_now_ns(&c->made), made_wall_ns(&c->made)};
    screen_draw_text(&c->fleet, &ui, time, 100, 30, GLYPHS_FULL, screen);
    assert_non_null(strstr(screen, " mesh-monitor  3 nodes  epoch 2  stories"));
    ui.is_paused = true;
    ui.tick = c->fleet.ticks - 10;
    screen_draw_text(&c->fleet, &ui, time, 100, 30, GLYPHS_FULL, screen);
    assert_non_null(strstr(screen, " mesh-monitor  4 nodes  stories")); /* in which epoch is not known any more */
}

static void what_a_link_carries_is_told_per_second(void **state)
{
    struct monitor_case *c = *state;
    const double expected = c->made.tok_per_s * MADE_PHASES * 700;
    const struct link_sample *sample;

    monitor_case_run(c, 1);
    assert_true(isnan(fleet_link_at(&c->fleet, 0, 1, c->fleet.ticks - 1)->bytes_per_s)); /* since when is not known */
    c->fleet.interval_ns = UINT64_C(2000000000);
    monitor_case_report(c, 2000);
    fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    sample = fleet_link_at(&c->fleet, 0, 1, c->fleet.ticks - 1);
    assert_true(fabs((double)sample->bytes_per_s - expected) < expected / 100);
}

/* Of a large mesh a node reports in pieces, and a tick may come between the first ones. */
static void what_a_link_carried_before_it_was_known_is_not_of_one_interval(void **state)
{
    struct monitor_case *c = *state;
    struct fleet_link *link;

    monitor_case_run(c, 100);
    link = c->fleet.nodes[1].links[0];
    link->epoch_before = 0;
    memset(&link->before, 0, sizeof link->before);
    monitor_case_run(c, 1);
    assert_true(isnan(fleet_link_at(&c->fleet, 0, 1, c->fleet.ticks - 1)->bytes_per_s));
    monitor_case_run(c, 1);
    assert_true(isfinite(fleet_link_at(&c->fleet, 0, 1, c->fleet.ticks - 1)->bytes_per_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_nodes_do_comes_before_notes, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(nodes_are_named_in_the_order_of_their_ranks, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(of_what_lab_does_to_several_nodes_one_sentence_is_said, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(in_the_past_notes_are_of_the_nodes_and_ranks_of_then, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(what_lab_drops_is_no_fault_of_a_cable, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(less_than_a_second_is_not_0_s, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(an_epoch_began_that_long_before_the_time_that_is_shown, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(nodes_whose_recordings_are_not_there_are_up_and_do_not_count, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(the_curve_goes_back_as_far_as_it_says, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(of_a_node_that_reports_it_is_not_said_that_it_is_not_heard, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_node_whose_last_word_was_that_it_leaves_has_left, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(the_title_counts_the_nodes_of_the_time_that_is_shown, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(what_a_link_carries_is_told_per_second, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(what_a_link_carried_before_it_was_known_is_not_of_one_interval, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test(of_a_single_node_that_is_said_plainly),
        cmocka_unit_test_setup_teardown(without_the_sequencer_another_node_tells_the_epoch, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
