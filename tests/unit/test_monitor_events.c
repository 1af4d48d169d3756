/* The monitor's events, and their output for scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "monitor/report.h"
#include "tests/unit/monitor_case.h"

enum { TEXT_BYTES = 1 << 19 };

static char text[TEXT_BYTES];

static const char *json(const struct monitor_case *c, struct report_cursor *cursor)
{
    FILE *out = fmemopen(text, sizeof text, "w");

    assert_non_null(out);
    report_json(&c->fleet, c->fleet.ticks - 1, cursor, out);
    fclose(out);
    return text;
}

static unsigned count(const char *in, const char *what)
{
    unsigned found = 0;

    while ((in = strstr(in, what)) != NULL) {
        found++;
        in += strlen(what);
    }
    return found;
}

/* Events arrive with the first report, but the first interval that is printed may be a later one. */
static void a_script_is_told_once_of_what_happened_before_it_looked(void **state)
{
    struct monitor_case *c = *state;
    struct report_cursor cursor = {0};

    monitor_case_run(c, 3);
    assert_int_equal(count(json(c, &cursor), "\"happened\":\"start\",\"level\":\"note\""), 4);
    assert_int_equal(count(text, "\"happened\":\"monitor\""), 1);
    assert_int_equal(count(text, "\"address\":\"10.0.0.2:7411\",\"happened\":\"start\""), 1);
    monitor_case_run(c, 1);
    assert_non_null(strstr(json(c, &cursor), "\"events\":[]"));
    fleet_note(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), true, "something");
    monitor_case_run(c, 1);
    assert_int_equal(count(json(c, &cursor), "\"address\":null,\"happened\":\"monitor\",\"level\":\"bad\""), 1);
    assert_int_equal(count(json(c, NULL), "\"happened\":"), 6); /* a snapshot contains all events */
}

static void text_for_people_has_them_too(void **state)
{
    struct monitor_case *c = *state;
    struct report_cursor cursor = {0};
    struct ui ui;

    ui_init(&ui, &settings_default);
    monitor_case_run(c, 3);
    for (int i = 0; i < 2; i++) {
        FILE *out = fmemopen(text, sizeof text, "w");

        assert_non_null(out);
        assert_int_equal(report_text(&c->fleet, &ui, &cursor, 100, GLYPHS_FULL, out), 0);
        fclose(out);
        assert_int_equal(count(text, " start: "), i == 0 ? 4 : 0);
    }
}

/* As on the screens; lost nodes are in the table. */
static void text_counts_the_nodes_that_live(void **state)
{
    struct monitor_case *c = *state;
    struct report_cursor cursor = {0};
    FILE *out = fmemopen(text, sizeof text, "w");
    struct ui ui;

    assert_non_null(out);
    ui_init(&ui, &settings_default);
    monitor_case_run(c, 3);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 10);
    assert_int_equal(report_text(&c->fleet, &ui, &cursor, 100, GLYPHS_FULL, out), 0);
    fclose(out);
    assert_non_null(strstr(text, "  3 nodes  50.0 tok/s"));
    assert_int_equal(count(text, "gone"), 3); /* in a finding, its line, and an event */
}

/* A node that is heard late reports its old events after the new ones of the others. */
static void of_more_than_there_is_room_for_the_newest_are_kept(void **state)
{
    struct monitor_case *c = *state;
    const struct fleet_event *list[FLEET_EVENTS];
    const uint64_t now_ns = made_now_ns(&c->made), second_ns = 1000000000;
    const int64_t wall_ns = made_wall_ns(&c->made);

    fleet_reset(&c->fleet);
    for (int i = 0; i < FLEET_EVENTS; i++)
        fleet_note(&c->fleet, now_ns + (uint64_t)i * second_ns, wall_ns, false, "new");
    fleet_note(&c->fleet, now_ns - second_ns, wall_ns, false, "too old");
    fleet_note(&c->fleet, now_ns + second_ns * 3 / 2, wall_ns, false, "late");
    assert_int_equal(fleet_list_events(&c->fleet, 0, list), FLEET_EVENTS);
    for (int i = 1; i < FLEET_EVENTS; i++)
        assert_true(list[i - 1]->happened_ns > list[i]->happened_ns);
    assert_string_equal(list[FLEET_EVENTS - 2]->text, "late");
    assert_true(list[FLEET_EVENTS - 1]->happened_ns == (int64_t)(now_ns + second_ns));
}

/* A report with one item. */
static void take_piece(struct monitor_case *c, const struct mesh_telemetry_head *head, const struct mesh_telemetry_item *item)
{
    struct mesh_telemetry_report report = {.now_ns = made_now_ns(&c->made)};
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX], record[sizeof piece + MESH_TELEMETRY_REPORT_OVERHEAD_BYTES];
    struct mesh_telemetry_writer writer;
    size_t bytes;

    mesh_telemetry_begin(&writer, piece, sizeof piece, head);
    assert_true(mesh_telemetry_put(&writer, item));
    report.piece = piece;
    report.piece_bytes = writer.used;
    bytes = mesh_telemetry_write_report(&report, record);
    assert_int_equal(fleet_report(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), record, bytes), 0);
}

/* A report with one event, which happened some time before and is told by a clock that may be wrong. */
struct told {
    uint8_t incarnation; /* 1, 2, ...: of which node */
    uint32_t number;
    enum mesh_node_event happened;
    unsigned age_ms;
    int64_t wrong_s; /* the node's clock minus the right one */
    const char *text;
};

static void tell(struct monitor_case *c, const struct told *told)
{
    const uint64_t own_ns = made_now_ns(&c->made) / 2; /* the node's monotonic clock */
    const struct mesh_telemetry_head head = {
        .version = MESH_TELEMETRY_VERSION, .incarnation = {told->incarnation}, .epoch = c->made.epoch, .serial = 1, .now_ns = own_ns};
    struct mesh_telemetry_item item = {
        .kind = MESH_TELEMETRY_EVENT, .tail = (const uint8_t *)told->text, .tail_bytes = (uint16_t)strlen(told->text)};

    item.event.number = told->number;
    item.event.happened = (uint8_t)told->happened;
    item.event.rank = MESH_TELEMETRY_NOBODY;
    item.event.when_ns = own_ns - told->age_ms * UINT64_C(1000000);
    item.event.unix_ms = (uint64_t)(made_wall_ns(&c->made) / 1000000 + told->wrong_s * 1000) - told->age_ms;
    take_piece(c, &head, &item);
}

/* The newest events in one line. */
static const char *newest(const struct monitor_case *c, int most)
{
    const struct fleet_event *list[FLEET_EVENTS];
    const int kept = fleet_list_events(&c->fleet, 0, list);

    text[0] = '\0';
    for (int i = 0; i < kept && i < most; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? ", " : "", list[i]->text);
    return text;
}

/* The clock of a machine may be hours ahead, for example, until the network is there. */
static void the_newest_event_is_what_happened_last_whatever_clocks_say(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    tell(c, &(struct told){1, 2, MESH_NODE_EVENT_LOST, .wrong_s = 10800, .text = "first"});
    monitor_case_run(c, 5);
    tell(c, &(struct told){2, 2, MESH_NODE_EVENT_LOST, .text = "second"});
    monitor_case_run(c, 5);
    tell(c, &(struct told){1, 3, MESH_NODE_EVENT_LOST, .text = "third"}); /* its clock was set right */
    monitor_case_run(c, 5);
    tell(c, &(struct told){2, 3, MESH_NODE_EVENT_LOST, .wrong_s = -3 * 86400, .age_ms = 7000, .text = "told late"});
    fleet_note(&c->fleet, made_now_ns(&c->made), 0, false, "own"); /* the clock of the monitor's machine was set to 1970 */
    assert_string_equal(newest(c, 5), "own, third, told late, second, first");
}

static void what_happened_later_at_a_node_is_newer_however_long_its_report_took(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    tell(c, &(struct told){1, 2, MESH_NODE_EVENT_LOST, .age_ms = 10, .text = "lost"});
    tell(c, &(struct told){1, 3, MESH_NODE_EVENT_LOST, .age_ms = 90, .text = "back"}); /* the report before waited for longer */
    assert_string_equal(newest(c, 2), "back, lost");
}

static unsigned troubles_found(const struct monitor_case *c)
{
    struct finding findings[FINDINGS_MAX];
    unsigned found = 0;

    for (int i = findings_find(&c->fleet, c->fleet.ticks - 1, findings); i > 0; i--)
        found += strstr(findings[i - 1].text, "nothing can be sent") != NULL;
    return found;
}

/* A trouble that seems to be newer than its end would be found until the node restarts. */
static void what_is_mended_is_over_though_the_clock_was_set_back(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 3);
    tell(c, &(struct told){2, 2, MESH_NODE_EVENT_TROUBLE, .text = "nothing can be sent to 10.0.0.1:7411"});
    monitor_case_run(c, 1);
    assert_int_equal(troubles_found(c), 1);
    tell(c, &(struct told){2, 3, MESH_NODE_EVENT_MENDED, .wrong_s = -3600, .text = "nothing can be sent"});
    monitor_case_run(c, 1);
    assert_int_equal(troubles_found(c), 0);
}

/* The monitor's clock begins when its machine is switched on. */
static void a_node_that_has_never_reported_is_not_silent_since_the_beginning_of_the_clock(void **state)
{
    struct monitor_case *c = *state;
    const struct mesh_telemetry_head head = {
        .version = MESH_TELEMETRY_VERSION, .incarnation = {1}, .epoch = c->made.epoch, .serial = 1, .now_ns = 1};
    const struct mesh_telemetry_item item = {
        .kind = MESH_TELEMETRY_LINK,
        .link = {.peer = 9, .state = MESH_NODE_SUSPECTED, .ip = {[10] = 255, [11] = 255, [12] = 10, [15] = 10}, .port = 7411}};

    monitor_case_run(c, 3);
    take_piece(c, &head, &item);
    monitor_case_run(c, 1);
    assert_non_null(strstr(json(c, NULL), "Node 9 at 10.0.0.10:7411 is suspected."));
}

static void what_a_node_told_keeps_its_address_when_the_node_is_forgotten(void **state)
{
    struct monitor_case *c = *state;
    const struct fleet_event *list[FLEET_EVENTS];
    unsigned of_it = 0;
    int events;

    monitor_case_run(c, 3);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 10);
    /* Another node reports that address: the listed one is gone for good. */
    for (int i = 0; i < c->fleet.node_end; i++)
        if (c->fleet.nodes[i].addr.ip[15] == 1)
            fleet_move(&c->fleet, i, (const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 4}, 7411);
    events = fleet_list_events(&c->fleet, 0, list);
    for (int i = 0; i < events; i++)
        of_it += list[i]->node == FLEET_NOBODY && strcmp(fleet_event_reporter(&c->fleet, list[i]), "10.0.0.4:7411") == 0;
    assert_int_equal(of_it, 1);
}

/* Without a connection there is no new interval: programs that add tokens up would count the last one twice. */
static void an_interval_that_is_told_again_counts_nothing(void **state)
{
    struct monitor_case *c = *state;
    struct report_cursor cursor = {0};

    monitor_case_run(c, 5);
    assert_int_equal(count(json(c, &cursor), "\"generated_tokens\":50,"), 4);
    assert_int_equal(count(text, "\"is_fresh\":true"), 4);
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), false, "gone");
    monitor_case_run(c, 1);
    assert_non_null(strstr(json(c, &cursor), "\"is_connected\":false"));
    assert_int_equal(count(text, "\"generated_tokens\":0,"), 4);
    assert_int_equal(count(text, "\"datagrams_received\":0,"), 12);
    assert_int_equal(count(text, "\"is_fresh\":false"), 4);
    assert_int_equal(count(text, "\"tok_per_s\":50,\"generated_tokens\":0,"), 4); /* unchanged */
}

static void loss_is_null_where_it_is_not_known(void **state)
{
    struct monitor_case *c = *state;
    struct report_cursor cursor = {0};

    monitor_case_run(c, 5);
    assert_null(strstr(json(c, &cursor), "\"loss\":null"));
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(count(json(c, &cursor), "\"loss\":null"), 12);
    monitor_case_run(c, 1);
    assert_null(strstr(json(c, &cursor), "\"loss\":null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_script_is_told_once_of_what_happened_before_it_looked, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(text_for_people_has_them_too, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(text_counts_the_nodes_that_live, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(of_more_than_there_is_room_for_the_newest_are_kept, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(the_newest_event_is_what_happened_last_whatever_clocks_say, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(what_happened_later_at_a_node_is_newer_however_long_its_report_took, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(what_is_mended_is_over_though_the_clock_was_set_back, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(a_node_that_has_never_reported_is_not_silent_since_the_beginning_of_the_clock, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(what_a_node_told_keeps_its_address_when_the_node_is_forgotten, monitor_case_open,
                                        monitor_case_close),
        cmocka_unit_test_setup_teardown(an_interval_that_is_told_again_counts_nothing, monitor_case_open, monitor_case_close),
        cmocka_unit_test_setup_teardown(loss_is_null_where_it_is_not_known, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
