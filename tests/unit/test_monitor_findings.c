/* What the monitor finds notable, now and in the past. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/columns.h"
#include "monitor/findings.h"
#include "monitor/report.h"
#include "monitor/ui.h"
#include "tests/unit/monitor_case.h"

static void lose_on(struct monitor_case *c, int from, int to, uint32_t ppm)
{
    c->made.loss_from = from;
    c->made.loss_to = to;
    c->made.loss_ppm = ppm;
}

static void what_was_lost_before_the_connection_was_is_of_no_last_seconds(void **state)
{
    struct monitor_case *c = *state;

    lose_on(c, 3, 1, 20000);
    monitor_case_run(c, 12);
    assert_true(monitor_case_finds(c, 0, "Link 3 → 1 loses 2.0 % of its datagrams"));
    assert_true(monitor_case_finds(c, 0, " in 10 s)."));
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), false, "gone");
    lose_on(c, -1, -1, 0);
    made_advance(&c->made, UINT64_C(60000000000));
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), true, "10.0.0.1:7411");
    monitor_case_run(c, 3);
    assert_false(monitor_case_finds(c, 0, "loses"));
    assert_true(fleet_loss(&c->fleet, monitor_case_node(c, 3), monitor_case_node(c, 1), c->fleet.ticks - 1, 10) == 0);
}

static void of_a_node_that_is_gone_no_link_loses(void **state)
{
    struct monitor_case *c = *state;

    lose_on(c, 3, 1, 20000);
    monitor_case_run(c, 12);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 6);
    assert_true(monitor_case_finds(c, 0, "is gone"));
    assert_true(fleet_loss(&c->fleet, monitor_case_node(c, 3), monitor_case_node(c, 1), c->fleet.ticks - 1, 10) >
                0.01); /* has not ended yet */
    assert_false(monitor_case_finds(c, 0, "loses"));
}

static void the_worst_comes_first(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];
    int count, last = 2;

    c->made.slow = 2;
    lose_on(c, 1, 0, 9000); /* a warning, which is found before those that follow from the node's death */
    monitor_case_run(c, 12);
    c->fleet.nodes[monitor_case_node(c, 0)].state = FLEET_LOADING;
    c->fleet.nodes[monitor_case_node(c, 3)].state = FLEET_DEAD;
    count = findings_find(&c->fleet, c->fleet.ticks - 1, findings);
    assert_true(count >= 4);
    for (int i = 0; i < count; i++) {
        const int now = findings[i].style == STYLE_BAD ? 2 : findings[i].style == STYLE_WARN ? 1 : 0;

        assert_true(now <= last);
        last = now;
    }
    assert_int_equal(findings[0].style, STYLE_BAD);
}

/* A user who looks at the past sees the findings of that time. */
static void in_the_past_a_node_was_what_it_was(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 10);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 10);
    assert_int_equal(fleet_state_at(&c->fleet, monitor_case_node(c, 3), c->fleet.ticks - 1), FLEET_DEAD);
    assert_int_equal(fleet_state_at(&c->fleet, monitor_case_node(c, 3), c->fleet.ticks - 12), FLEET_UP);
    assert_true(monitor_case_finds(c, 0, "is gone"));
    assert_true(monitor_case_finds(c, 0, "3 of 3 nodes compute"));
    assert_false(monitor_case_finds(c, 11, "is gone"));
    assert_true(monitor_case_finds(c, 11, "4 of 4 nodes compute"));
}

/* When node 1 dies, nodes 2 and 3 become ranks 1 and 2. */
static void in_the_past_ranks_were_what_they_were(void **state)
{
    struct monitor_case *c = *state;
    struct ui ui;
    struct settings settings = {.interval_ms = 1000};
    char name[8];
    int nodes[FLEET_NODES_MAX];

    lose_on(c, 3, 2, 20000);
    monitor_case_run(c, 12);
    c->made.is_dead[1] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 12);
    assert_true(monitor_case_finds(c, 0, "Link 2 → 1 loses"));
    assert_true(monitor_case_finds(c, 13, "Link 3 → 2 loses"));
    assert_string_equal(fleet_rank_text_at(&c->fleet, monitor_case_node(c, 3), c->fleet.ticks - 1, name), "2");
    assert_string_equal(fleet_rank_text_at(&c->fleet, monitor_case_node(c, 3), c->fleet.ticks - 14, name), "3");
    ui_init(&ui, &settings);
    assert_int_equal(ui_nodes(&ui, &c->fleet, nodes), 4);
    assert_int_equal(nodes[3], monitor_case_node(c, 1)); /* it is gone */
    ui_act(&ui, &c->fleet, ACTION_EARLIER, 13);
    assert_int_equal(ui_nodes(&ui, &c->fleet, nodes), 4);
    assert_int_equal(nodes[1], monitor_case_node(c, 1));
}

/* A slow node that has died since was waited for, and a snapshot of that time says so. */
static void in_the_past_a_node_was_waited_for_that_is_gone(void **state)
{
    static char text[200000];
    struct monitor_case *c = *state;
    FILE *out = fmemopen(text, sizeof text, "w");
    double part;

    assert_non_null(out);
    c->made.slow = 1;
    monitor_case_run(c, 12);
    c->made.is_dead[1] = true;
    c->made.slow = -1;
    made_new_epoch(&c->made);
    monitor_case_run(c, 12);
    assert_int_equal(findings_waited_for(&c->fleet, c->fleet.ticks - 1, &part), FLEET_NOBODY);
    assert_int_equal(findings_waited_for(&c->fleet, c->fleet.ticks - 14, &part), monitor_case_node(c, 1));
    report_json(&c->fleet, c->fleet.ticks - 14, NULL, out);
    fclose(out);
    assert_non_null(strstr(text, "{\"rank\":1,\"address\":\"10.0.0.2:7411\",\"state\":\"up\","));
    assert_non_null(strstr(text, "{\"rank\":3,\"address\":\"10.0.0.4:7411\",\"state\":\"up\","));
    assert_non_null(strstr(text, "\"waited_for\":1,"));
}

/* The first intervals of a monitor with long ones are short. */
static void a_minute_of_three_seconds_is_none(void **state)
{
    struct monitor_case *c = *state;

    c->fleet.interval_ns = UINT64_C(30000000000);
    monitor_case_run(c, 4);
    assert_int_equal(c->fleet.interval_ns, UINT64_C(30000000000));
    assert_false(monitor_case_finds(c, 0, "Speed"));
}

/* Node `from` reports that node `about` left this long ago. */
static void tell_of_farewell(struct monitor_case *c, unsigned from, unsigned about, uint64_t ago_ns)
{
    const struct fleet_node *teller = &c->fleet.nodes[monitor_case_node(c, from)];
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX], record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_telemetry_item item = {
        .kind = MESH_TELEMETRY_EVENT,
        .event = {.number = teller->event_last + 1, .happened = MESH_NODE_EVENT_LEAVING, .when_ns = teller->head.now_ns - ago_ns},
        .tail = (const uint8_t *)"has left",
        .tail_bytes = 8,
    };
    struct mesh_telemetry_report report = {.piece = piece};
    struct mesh_telemetry_writer writer;

    memcpy(item.event.ip, c->fleet.nodes[monitor_case_node(c, about)].addr.ip, sizeof item.event.ip);
    item.event.port = c->fleet.nodes[monitor_case_node(c, about)].addr.port;
    mesh_telemetry_begin(&writer, piece, sizeof piece, &teller->head);
    assert_true(mesh_telemetry_put(&writer, &item));
    report.piece_bytes = writer.used;
    assert_int_equal(
        fleet_report(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), record, mesh_telemetry_write_report(&report, record)), 0);
}

/* No report announces the leaving of a node that leaves within an interval. */
static void who_left_by_the_word_of_another_has_not_died(void **state)
{
    struct monitor_case *c = *state;

    for (int is_old = 0; is_old < 2; is_old++) {
        const unsigned leaver = is_old ? 2 : 3;

        monitor_case_run(c, 3);
        tell_of_farewell(c, 0, leaver, is_old ? UINT64_C(60000000000) : 0);
        c->made.is_dead[leaver] = true;
        made_new_epoch(&c->made);
        monitor_case_run(c, 1);
        assert_int_equal(c->fleet.nodes[monitor_case_node(c, leaver)].state, is_old ? FLEET_SUSPECTED : FLEET_LEFT);
        monitor_case_run(c, 8);
        assert_int_equal(c->fleet.nodes[monitor_case_node(c, leaver)].state, is_old ? FLEET_DEAD : FLEET_LEFT);
        assert_true(monitor_case_finds(c, 0, "is gone") == is_old);
    }
}

/* The last node's speed is not the mesh's when other nodes report its present speed. */
static void the_speed_is_that_of_nodes_that_have_reported(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    c->made.is_dead[3] = true;
    c->made.tok_per_s = 0;
    monitor_case_run(c, 1);
    assert_true(fleet_node_at(&c->fleet, monitor_case_node(c, 3), c->fleet.ticks - 1)->tok_per_s > 49);
    assert_true(fleet_tok_per_s(&c->fleet, c->fleet.ticks - 1) == 0);
}

static double share(const struct monitor_case *c, unsigned made)
{
    const struct node_row row = columns_row(&c->fleet, monitor_case_node(c, made), c->fleet.ticks - 1);

    for (int i = 0; i < columns_of_nodes_count; i++)
        if (columns_of_nodes[i].name != NULL && strcmp(columns_of_nodes[i].name, "share") == 0)
            return columns_of_nodes[i].key(&row);
    fail_msg("there is no share");
    return NAN;
}

/* A node that is left out has rows of an epoch that is over. */
static void shares_are_those_of_an_epoch(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    assert_true(fabs(share(c, 0) + share(c, 1) + share(c, 2) + share(c, 3) - 1) < 1e-6);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(c->fleet.nodes[monitor_case_node(c, 3)].state, FLEET_SUSPECTED);
    assert_true(fabs(share(c, 0) + share(c, 1) + share(c, 2) - 1) < 1e-6);
}

/* One finding, which leaves room for others. */
static void a_node_that_loses_of_all_is_one_finding(void **state)
{
    struct monitor_case *c = *state;
    struct finding findings[FINDINGS_MAX];
    int nodes = 0, links = 0;

    c->made.loss_from = MADE_ALL;
    c->made.loss_to = 1;
    c->made.loss_ppm = 50000;
    monitor_case_run(c, 10);
    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--) {
        nodes += strstr(findings[i - 1].text, "Node 1 at ") != NULL && strstr(findings[i - 1].text, "of what all others send it") != NULL;
        links += strstr(findings[i - 1].text, "Link ") != NULL;
    }
    assert_int_equal(nodes, 1);
    assert_int_equal(links, 0);
    c->made.loss_from = 0;
    monitor_case_run(c, 20);
    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--) {
        nodes += strstr(findings[i - 1].text, "of what all others send it") != NULL;
        links += strstr(findings[i - 1].text, "Link 0 → 1 loses ") != NULL;
    }
    assert_int_equal(nodes, 1);
    assert_int_equal(links, 1);
}

static void happen(struct monitor_case *c, unsigned made, enum mesh_node_event happened, const char *text)
{
    struct fleet_event *event = fleet_add_event(&c->fleet, (int64_t)made_now_ns(&c->made), made_wall_ns(&c->made));

    assert_non_null(event);
    event->node = (int16_t)monitor_case_node(c, made);
    event->happened = (uint8_t)happened;
    snprintf(event->text, sizeof event->text, "%s", text);
}

static unsigned count_found(const struct monitor_case *c, const char *text)
{
    struct finding findings[FINDINGS_MAX];
    unsigned found = 0;

    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        found += strstr(findings[i - 1].text, text) != NULL;
    return found;
}

static void what_a_node_knows_of_its_network_is_found_until_it_is_mended(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 2);
    happen(c, 1, MESH_NODE_EVENT_TROUBLE, "nothing can be sent to 10.0.0.1:7411: Operation not permitted");
    happen(c, 1, MESH_NODE_EVENT_TROUBLE, "alone for 5 s: nothing comes");
    monitor_case_run(c, 1);
    assert_true(monitor_case_finds(c, 0, "Node 1 at 10.0.0.2:7411: nothing can be sent to 10.0.0.1:7411: Operation not permitted"));
    assert_true(monitor_case_finds(c, 0, "alone for 5 s"));
    assert_false(monitor_case_finds(c, 2, "nothing can be sent")); /* it was not yet so at that time */
    happen(c, 2, MESH_NODE_EVENT_MENDED, "nothing can be sent");   /* the event of another node */
    monitor_case_run(c, 1);
    assert_true(monitor_case_finds(c, 0, "nothing can be sent"));
    happen(c, 1, MESH_NODE_EVENT_MENDED, "nothing can be sent");
    monitor_case_run(c, 1);
    assert_false(monitor_case_finds(c, 0, "nothing can be sent"));
    assert_true(monitor_case_finds(c, 1, "nothing can be sent"));
    assert_true(monitor_case_finds(c, 0, "alone for 5 s"));
    happen(c, 1, MESH_NODE_EVENT_TROUBLE, "nothing can be sent to 10.0.0.3:7411: Network is unreachable");
    monitor_case_run(c, 1);
    assert_true(monitor_case_finds(c, 0, "10.0.0.3:7411: Network is unreachable"));
    happen(c, 1, MESH_NODE_EVENT_START, "with 2 threads");
    monitor_case_run(c, 1);
    assert_false(monitor_case_finds(c, 0, "unreachable") || monitor_case_finds(c, 0, "alone"));
}

static void what_several_nodes_say_alike_is_found_once(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 2);
    for (unsigned i = 0; i < 3; i++)
        happen(c, i, MESH_NODE_EVENT_TROUBLE, "10.0.0.4:7411 is lost and comes back again and again");
    monitor_case_run(c, 1);
    assert_int_equal(count_found(c, "again and again"), 1);
}

static void run_at(struct monitor_case *c, double tok_per_s, unsigned seconds)
{
    c->made.tok_per_s = tok_per_s;
    monitor_case_run(c, seconds);
}

static void probes_that_do_not_arrive_are_no_loss(void **state)
{
    struct monitor_case *c = *state;

    run_at(c, 0, 5);
    c->made.links[1][3].counters.lost += FLEET_PROBES; /* as rank 1 counts */
    monitor_case_run(c, 1);
    assert_false(monitor_case_finds(c, 0, "loses"));
    c->made.links[3][1].counters.probes_lost += FLEET_PROBES; /* as rank 3 knows */
    monitor_case_run(c, 5);
    assert_false(monitor_case_finds(c, 0, "loses"));
    assert_true(fleet_lost(&c->fleet, monitor_case_node(c, 3), monitor_case_node(c, 1), c->fleet.ticks - 1, 10) == 0);
    c->made.links[1][3].counters.lost += FLEET_PROBES;
    monitor_case_run(c, 1 + FLEET_PROBES_TICKS);
    assert_true(monitor_case_finds(c, 0, "Link 3 → 1 loses"));
}

/* As when a switch is turned off. */
static void many_nodes_that_are_gone_are_one_finding(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_release(c);
    monitor_case_init(c, 8);
    monitor_case_run(c, 5);
    for (unsigned i = 0; i < 8; i++)
        c->made.is_dead[i] = i == 2 || i > 4;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_true(monitor_case_finds(c, 0, "4 nodes are suspected: 5, 6, 7, 10.0.0.3:7411."));
    monitor_case_run(c, 9);
    assert_true(monitor_case_finds(c, 0, "4 nodes are gone: 5, 6, 7, 10.0.0.3:7411."));
    assert_false(monitor_case_finds(c, 0, "is gone"));
}

/* Whatever it last reported. */
static void a_node_that_has_stopped_does_not_compute(void **state)
{
    struct monitor_case *c = *state;
    struct node_row row;

    monitor_case_run(c, 5);
    c->made.is_dead[1] = true; /* and no node has noticed */
    monitor_case_run(c, 2);
    assert_int_equal(c->fleet.nodes[monitor_case_node(c, 1)].state, FLEET_UP);
    assert_true(monitor_case_finds(c, 0, "3 of 4 nodes compute"));
    row = columns_row(&c->fleet, monitor_case_node(c, 1), c->fleet.ticks - 1);
    assert_null(row.sample);
    monitor_case_run(c, 1);
    assert_true(monitor_case_finds(c, 1, "3 of 4 nodes compute")); /* also when one goes back to it */
    assert_true(monitor_case_finds(c, 3, "4 of 4 nodes compute"));
    row = columns_row(&c->fleet, monitor_case_node(c, 0), c->fleet.ticks - 1);
    assert_non_null(row.sample);
}

static void that_all_is_well_takes_reports_of_all(void **state)
{
    struct monitor_case *c = *state;

    c->made.tok_per_s = 0;
    monitor_case_run(c, 1); /* counters from before are of no interval */
    assert_true(monitor_case_finds(c, 0, "No current report of what 4 nodes do."));
    assert_false(monitor_case_finds(c, 0, "up and idle"));
    monitor_case_run(c, 1);
    assert_true(monitor_case_finds(c, 0, "All 4 nodes are up and idle"));
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), false, "gone");
    made_advance(&c->made, UINT64_C(10000000000));
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), true, "10.0.0.1:7411");
    made_advance(&c->made, UINT64_C(1000000000)); /* nobody has reported since */
    fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    assert_false(monitor_case_finds(c, 0, "up and idle"));
}

/* Speed is that of steps: a request that ends or begins is no change of it. */
static void without_requests_the_speed_has_neither_fallen_nor_risen(void **state)
{
    struct monitor_case *c = *state;

    run_at(c, 0, 10);
    run_at(c, 50, 70);
    for (unsigned i = 0; i < 80; i++) {
        run_at(c, 0, 1);
        assert_false(monitor_case_finds(c, 0, "Speed"));
    }
    for (unsigned i = 0; i < 80; i++) {
        run_at(c, 50, 1);
        assert_false(monitor_case_finds(c, 0, "Speed"));
    }
    run_at(c, 0, 2);
    monitor_case_report(c, 500);
    c->made.tok_per_s = 50;
    monitor_case_report(c, 500); /* a request begins within an interval */
    fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    for (unsigned i = 0; i < 10; i++) {
        run_at(c, 50, 1);
        assert_false(monitor_case_finds(c, 0, "Speed"));
    }
    run_at(c, 25, 9);
    assert_true(monitor_case_finds(c, 0, "Speed fell from 50.0 to 25.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_lost_before_the_connection_was_is_of_no_last_seconds, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(of_a_node_that_is_gone_no_link_loses, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(the_worst_comes_first, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(in_the_past_a_node_was_what_it_was, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(in_the_past_ranks_were_what_they_were, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(in_the_past_a_node_was_waited_for_that_is_gone, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_minute_of_three_seconds_is_none, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(who_left_by_the_word_of_another_has_not_died, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(the_speed_is_that_of_nodes_that_have_reported, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(shares_are_those_of_an_epoch, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(what_a_node_knows_of_its_network_is_found_until_it_is_mended, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(what_several_nodes_say_alike_is_found_once, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(probes_that_do_not_arrive_are_no_loss, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_node_that_loses_of_all_is_one_finding, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_node_that_has_stopped_does_not_compute, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(that_all_is_well_takes_reports_of_all, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(without_requests_the_speed_has_neither_fallen_nor_risen, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(many_nodes_that_are_gone_are_one_finding, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
