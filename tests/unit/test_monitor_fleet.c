#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "monitor/report.h"
#include "tests/unit/monitor_case.h"

static int node(const struct monitor_case *c, unsigned made)
{
    for (int i = 0; i < FLEET_NODES_MAX; i++)
        if (c->fleet.nodes[i].is_used && c->fleet.nodes[i].addr.ip[15] == made + 1)
            return i;
    fail_msg("node %u is not known", made);
    return FLEET_NOBODY;
}

static const struct node_sample *last(const struct monitor_case *c, unsigned made)
{
    return fleet_node_at(&c->fleet, node(c, made), c->fleet.ticks - 1);
}

static void counters_become_rates_of_the_interval(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    for (unsigned i = 0; i < 4; i++) {
        const struct node_sample *sample = last(c, i);
        double sum = 0;

        assert_true(sample->is_fresh);
        assert_true(fabsf(sample->tok_per_s - 50) < 0.01f);
        assert_true(fabsf(sample->utilisation - 0.79f) < 0.01f);
        for (int kind = 0; kind < TIME_KINDS; kind++)
            sum += (double)sample->time[kind];
        assert_true(fabs(sum - 1) < 1e-4);
    }
    assert_true(fabsf(fleet_tok_per_s(&c->fleet, c->fleet.ticks - 1) - 50) < 0.01f);
}

static void the_first_report_is_no_interval(void **state)
{
    struct monitor_case *c = *state;

    made_advance(&c->made, UINT64_C(3600000000000));
    monitor_case_run(c, 1);
    assert_false(last(c, 0)->is_fresh);
    assert_true(isnan(last(c, 0)->tok_per_s));
    monitor_case_run(c, 1);
    assert_true(fabsf(last(c, 0)->tok_per_s - 50) < 0.01f);
}

static void loss_on_one_link_shows_there_and_nowhere_else(void **state)
{
    struct monitor_case *c = *state;

    c->made.loss_from = 3;
    c->made.loss_to = 1;
    c->made.loss_ppm = 10000;
    monitor_case_run(c, 20);
    for (unsigned from = 0; from < 4; from++)
        for (unsigned to = 0; to < 4; to++) {
            const double loss = from == to ? 0 : fleet_loss(&c->fleet, node(c, from), node(c, to), c->fleet.ticks - 1, 10);

            if (from == 3 && to == 1)
                assert_true(loss > 0.008 && loss < 0.012);
            else
                assert_true(loss == 0);
        }
}

static void a_slowed_node_is_named_as_the_one_others_wait_for(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];
    double part;

    c->made.slow = 2;
    monitor_case_run(c, 12);
    assert_int_equal(findings_waited_for(&c->fleet, c->fleet.ticks - 1, &part), node(c, 2));
    assert_true(part > 0.3 && part < 0.5);
    assert_true(findings_find(&c->fleet, c->fleet.ticks - 1, findings) > 0);
    assert_non_null(strstr(findings[0].text, "wait for node 2"));
    assert_int_equal(last(c, 0)->waits_for, node(c, 2));
    assert_int_equal(last(c, 2)->waits_for, FLEET_NOBODY);
}

static void when_all_is_well_that_is_what_is_found(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];

    monitor_case_run(c, 5);
    findings_find(&c->fleet, c->fleet.ticks - 1, findings);
    assert_int_equal(findings[0].style, STYLE_GOOD);
    assert_string_equal(findings[0].text, "4 of 4 nodes compute: 50.0 tok/s.");
    c->made.tok_per_s = 0;
    monitor_case_run(c, 3);
    findings_find(&c->fleet, c->fleet.ticks - 1, findings);
    assert_string_equal(findings[0].text, "All 4 nodes are up and idle: no requests.");
}

/* A silent node is not up, nor is a loading one. */
static void not_all_are_up_when_one_is_something_else(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];

    c->made.tok_per_s = 0;
    monitor_case_run(c, 5);
    for (enum fleet_state other = FLEET_SEEKING; other <= FLEET_SILENT; other++) {
        const bool is_up = other == FLEET_UP;
        bool is_said = false;

        c->fleet.nodes[node(c, 2)].state = other;
        for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--) {
            is_said |= strcmp(findings[i - 1].text,
                              is_up ? "All 4 nodes are up and idle: no requests." : "3 of 4 nodes are up and idle: no requests.") == 0;
            assert_true(is_up || strstr(findings[i - 1].text, "All 4 nodes") == NULL);
        }
        assert_true(is_said);
    }
}

static void a_request_that_is_not_told_of_any_more_is_not_taken_for_running(void **state)
{
    struct monitor_case *c = *state;
    struct fleet_request *request = &c->fleet.requests[0];

    monitor_case_run(c, 3);
    assert_true(request->is_used && fleet_request_runs(request));
    c->made.tok_per_s = 0;
    monitor_case_run(c, 2);
    assert_true(fleet_request_runs(request)); /* one report may be missed */
    monitor_case_run(c, 5);
    assert_false(fleet_request_runs(request));
    assert_string_equal(fleet_request_state(request), "unknown");
    c->made.tok_per_s = 50;
    monitor_case_run(c, 1);
    assert_true(fleet_request_runs(request));
    request->now.state = MESH_REQUEST_DONE;
    c->made.tok_per_s = 0;
    monitor_case_run(c, 9);
    assert_string_equal(fleet_request_state(request), "done");
}

static bool is_found(const struct monitor_case *c, const char *text)
{
    struct finding findings[FINDINGS_MAX];

    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        if (strcmp(findings[i - 1].text, text) == 0)
            return true;
    return false;
}

static void what_changed_within_a_minute_is_found(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 65);
    c->made.tok_per_s = 20;
    monitor_case_run(c, 15);
    assert_true(is_found(c, "Speed fell from 50.0 to 20.0 tok/s within the last minute."));
}

static void a_new_epoch_begins_counters_anew_without_a_leap(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_true(last(c, 0)->tok_per_s >= 0 && last(c, 0)->tok_per_s <= 50.01f);
    assert_true(last(c, 0)->utilisation <= 1);
    monitor_case_run(c, 2);
    assert_true(fabsf(last(c, 0)->tok_per_s - 50) < 0.01f);
}

/* These datagrams were sent to a rank that was not in the epoch yet: no cable is at fault. */
static void what_is_lost_while_an_epoch_begins_is_no_loss_of_a_link(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];

    monitor_case_run(c, 5);
    c->made.loss_from = 3;
    c->made.loss_to = 1;
    c->made.loss_ppm = 100000;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    c->made.loss_ppm = 0;
    monitor_case_run(c, 2);
    assert_true(fleet_loss(&c->fleet, node(c, 3), node(c, 1), c->fleet.ticks - 1, 8) == 0);
    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        assert_null(strstr(findings[i - 1].text, "loses"));
    c->made.loss_ppm = 100000;
    monitor_case_run(c, 1);
    assert_true(fleet_loss(&c->fleet, node(c, 3), node(c, 1), c->fleet.ticks - 1, 8) > 0.01);
}

static void a_node_that_dies_stays_listed_with_when_it_was_last_heard(void **state)
{
    struct monitor_case *c = *state;
    int64_t died_ns;
    int order[FLEET_NODES_MAX];

    monitor_case_run(c, 5);
    died_ns = made_wall_ns(&c->made);
    c->made.is_dead[1] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 2);
    assert_true(fleet_is_alive(c->fleet.nodes[node(c, 1)].state));
    monitor_case_run(c, 5);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_DEAD);
    assert_true(llabs(c->fleet.nodes[node(c, 1)].gone_wall_ns - died_ns) < 1000000000);
    assert_int_equal(fleet_order(&c->fleet, order), 4);
    assert_int_equal(order[3], node(c, 1));
    assert_true(isnan(last(c, 1)->tok_per_s));
    fleet_reset(&c->fleet);
    assert_int_equal(fleet_order(&c->fleet, order), 3);
}

/* Before its silence reveals it: no node names it in the others' present epoch. */
static void one_that_the_others_go_on_without_is_suspected_at_once(void **state)
{
    struct monitor_case *c = *state;

    c->made.tok_per_s = 0;
    monitor_case_run(c, 5);
    c->made.is_dead[1] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_SUSPECTED);
    assert_true(is_found(c, "Former node 1 at 10.0.0.2:7411 is suspected: not heard for 1.0 s."));
    assert_true(is_found(c, "3 of 4 nodes are up and idle: no requests."));
    for (int i = 0; i < 4; i++)
        assert_true(i == 1 || c->fleet.nodes[node(c, (unsigned)i)].state == FLEET_UP);
    c->made.is_dead[0] = true; /* the sequencer; another node takes over */
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(c->fleet.nodes[node(c, 0)].state, FLEET_SUSPECTED);
    assert_int_equal(c->fleet.nodes[fleet_witness(&c->fleet)].head.epoch, c->made.epoch);
}

static void one_that_leaves_has_left_with_the_next_epoch(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    c->made.node[1].state = MESH_NODE_LEAVING;
    monitor_case_run(c, 2);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_LEAVING);
    c->made.is_dead[1] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_LEFT);
    monitor_case_run(c, 6);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_LEFT);
}

static void one_whose_report_is_overdue_is_not_counted_as_up(void **state)
{
    struct monitor_case *c = *state;

    c->made.tok_per_s = 0;
    monitor_case_run(c, 5);
    c->made.is_dead[1] = true; /* and no node has noticed */
    monitor_case_run(c, 2);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_UP);
    assert_true(is_found(c, "Node 1 at 10.0.0.2:7411 has not reported for 2.0 s."));
    assert_true(is_found(c, "3 of 4 nodes are up and idle: no requests."));
}

static void one_that_comes_back_has_its_old_line(void **state)
{
    struct monitor_case *c = *state;
    int before;

    monitor_case_run(c, 3);
    before = node(c, 1);
    c->made.is_dead[1] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 8);
    c->made.is_dead[1] = false;
    made_new_epoch(&c->made);
    monitor_case_run(c, 3);
    assert_int_equal(node(c, 1), before);
    assert_int_equal(c->fleet.nodes[before].state, FLEET_UP);
}

/* They listen at any address, and have lost the members who told them which one it is. */
static void those_that_forget_their_address_keep_it_here(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    memset(c->made.node[1].ip + 12, 0, 4);
    memset(c->made.node[2].ip + 12, 0, 4);
    monitor_case_run(c, 3);
    assert_int_equal(c->fleet.nodes[node(c, 1)].state, FLEET_UP);
    assert_int_equal(c->fleet.nodes[node(c, 2)].state, FLEET_UP);
}

static void one_that_learns_its_address_is_listed_once(void **state)
{
    struct monitor_case *c = *state;
    int order[FLEET_NODES_MAX];

    monitor_case_run(c, 2);
    fleet_move(&c->fleet, node(c, 1), (const uint8_t[16]){0}, 7411); /* as a node reports that is in no epoch */
    monitor_case_run(c, 3);
    assert_int_equal(fleet_order(&c->fleet, order), 4);
    assert_true(fabsf(last(c, 1)->tok_per_s - 50) < 0.01f);
}

static void when_all_are_silent_nobody_is_taken_for_dead(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    for (int i = 0; i < 20; i++) {
        made_advance(&c->made, 1000000000);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(fleet_is_alive(c->fleet.nodes[node(c, i)].state));
}

/* Nor a summary that all are up. */
static void when_nobody_is_heard_it_is_said_and_nothing_of_how_all_are(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];

    c->made.tok_per_s = 0;
    monitor_case_run(c, 5);
    assert_true(is_found(c, "All 4 nodes are up and idle: no requests."));
    for (int i = 0; i < 2; i++) {
        made_advance(&c->made, 1000000000);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    }
    assert_true(is_found(c, "Nothing heard of any node for 2.0 s."));
    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        assert_null(strstr(findings[i - 1].text, "up and idle"));
    monitor_case_run(c, 1);
    assert_true(is_found(c, "All 4 nodes are up and idle: no requests."));
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), false, "nothing heard");
    assert_false(is_found(c, "All 4 nodes are up and idle: no requests."));
}

static void without_a_connection_nobody_is_taken_for_dead(void **state)
{
    struct monitor_case *c = *state;
    const uint64_t minute = UINT64_C(60000000000);
    uint64_t ticks;

    monitor_case_run(c, 5);
    ticks = c->fleet.ticks;
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), false, "nothing heard");
    fleet_tick(&c->fleet, made_now_ns(&c->made) + minute, made_wall_ns(&c->made) + (int64_t)minute);
    assert_int_equal(c->fleet.ticks, ticks);
    made_advance(&c->made, minute);
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), true, "10.0.0.1:7411");
    monitor_case_run(c, 1);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(c->fleet.nodes[node(c, i)].state, FLEET_UP);
}

static void an_event_that_is_told_again_and_again_is_listed_once(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 30);
    assert_int_equal(c->fleet.event_count, 5); /* connected, and four that started */
}

struct lossy {
    struct monitor_case *c;
    unsigned count;
};

static void take_two_of_three(void *app, const uint8_t *record, size_t bytes)
{
    struct lossy *lossy = app;

    if (lossy->count++ % 3 != 1)
        fleet_report(&lossy->c->fleet, made_now_ns(&lossy->c->made), made_wall_ns(&lossy->c->made), record, bytes);
}

static void pieces_that_are_lost_cost_no_token(void **state)
{
    struct lossy lossy = {*state, 0};
    struct monitor_case *c = *state;
    double tokens = 0;

    monitor_case_run(c, 1);
    for (int i = 0; i < 40; i++) {
        made_advance(&c->made, 1000000000);
        made_report(&c->made, take_two_of_three, &lossy);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
        tokens += last(c, 0)->is_fresh ? (double)last(c, 0)->tok_per_s : 0;
    }
    monitor_case_run(c, 1);
    assert_true(fabsf(last(c, 0)->tok_per_s - 50) < 0.01f);
    assert_true(tokens > 0);
}

static void bytes_that_are_no_report_are_counted_and_change_nothing(void **state)
{
    struct monitor_case *c = *state;
    uint8_t junk[200];

    memset(junk, 40, sizeof junk);
    for (size_t size = 0; size < sizeof junk; size++)
        assert_true(fleet_report(&c->fleet, 1, 1, junk, size) < 0);
    assert_int_equal(c->fleet.refused, sizeof junk);
    assert_int_equal(c->fleet.reports, 0);
}

static void more_nodes_than_there_is_room_for_are_left_out(void **state)
{
    struct monitor_case *c = *state;
    uint8_t ip[16] = {0};

    for (unsigned i = 0; i < 3 * FLEET_NODES_MAX; i++) {
        ip[14] = (uint8_t)(i >> 8);
        ip[15] = (uint8_t)i;
        fleet_find(&c->fleet, ip, 1, made_now_ns(&c->made));
    }
    assert_int_equal(c->fleet.refused_full, 2 * FLEET_NODES_MAX);
}

/* Only what a program that reads it needs: the beginning, the nodes and their peers. */
static void json_has_a_version_first_and_numbers_as_numbers(void **state)
{
    static char text[200000];
    struct monitor_case *c = *state;
    FILE *out = fmemopen(text, sizeof text, "w");
    struct report_cursor cursor = {0};

    assert_non_null(out);
    c->made.slow = 2;
    monitor_case_run(c, 12);
    report_json(&c->fleet, c->fleet.ticks - 1, &cursor, out);
    fclose(out);
    assert_memory_equal(text, "{\"schema_version\":1,\"event\":\"interval\",", 38);
    assert_non_null(strstr(text, "\"nodes\":[{\"rank\":0,\"address\":\"10.0.0.1:7411\",\"state\":\"up\",\"share\":300,"));
    assert_non_null(strstr(text, "\"tok_per_s\":50,"));
    assert_non_null(strstr(text, "\"peers\":[{\"rank\":1,\"p50_us\":"));
    assert_non_null(strstr(text, "\"waited_for\":2,"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters_become_rates_of_the_interval, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(the_first_report_is_no_interval, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(loss_on_one_link_shows_there_and_nowhere_else, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_slowed_node_is_named_as_the_one_others_wait_for, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(when_all_is_well_that_is_what_is_found, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(not_all_are_up_when_one_is_something_else, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_request_that_is_not_told_of_any_more_is_not_taken_for_running, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(what_changed_within_a_minute_is_found, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_new_epoch_begins_counters_anew_without_a_leap, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(what_is_lost_while_an_epoch_begins_is_no_loss_of_a_link, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_node_that_dies_stays_listed_with_when_it_was_last_heard, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(one_that_the_others_go_on_without_is_suspected_at_once, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(one_that_leaves_has_left_with_the_next_epoch, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(one_whose_report_is_overdue_is_not_counted_as_up, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(one_that_comes_back_has_its_old_line, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(those_that_forget_their_address_keep_it_here, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(one_that_learns_its_address_is_listed_once, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(when_all_are_silent_nobody_is_taken_for_dead, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(when_nobody_is_heard_it_is_said_and_nothing_of_how_all_are, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(without_a_connection_nobody_is_taken_for_dead, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(an_event_that_is_told_again_and_again_is_listed_once, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(pieces_that_are_lost_cost_no_token, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_report_are_counted_and_change_nothing, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(more_nodes_than_there_is_room_for_are_left_out, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(json_has_a_version_first_and_numbers_as_numbers, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
