/* Screens of a made mesh as text (screen_golden.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "tests/unit/monitor_case.h"
#include "tests/unit/screen_golden.h"

static size_t draw(const struct monitor_case *c, struct ui *ui, int width, int height, enum glyph_level level, char *text)
{
    const struct screen_time time = {made_now_ns(&c->made), made_wall_ns(&c->made)};

    return screen_draw_text(&c->fleet, ui, time, width, height, level, text);
}

static void check_screen(const struct monitor_case *c, struct ui *ui, int width, int height, enum glyph_level level, const char *name)
{
    static char text[SCREEN_TEXT_BYTES];

    screen_check_golden(name, text, draw(c, ui, width, height, level, text));
}

/* Four nodes; node 2 is slow, and the link from 1 to 0 loses 1 %. */
static int set_up(void **state)
{
    static struct monitor_case c;

    setenv("TZ", "UTC0", 1);
    tzset();
    monitor_case_init(&c, 4);
    monitor_case_run(&c, 20);
    c.made.slow = 2;
    c.made.loss_from = 1;
    c.made.loss_to = 0;
    c.made.loss_ppm = 10000;
    monitor_case_run(&c, 15);
    *state = &c;
    return 0;
}

static int tear_down(void **state)
{
    monitor_case_release(*state);
    return 0;
}

static struct ui fresh_ui(enum screen screen)
{
    struct ui ui;

    ui_init(&ui, &settings_default);
    ui.screen = screen;
    return ui;
}

static void the_overview_is_drawn_as_it_was(void **state)
{
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);

    check_screen(*state, &ui, 120, 36, GLYPHS_FULL, "overview-120x36");
    check_screen(*state, &ui, 80, 24, GLYPHS_BOX, "overview-80x24-box");
    check_screen(*state, &ui, 80, 24, GLYPHS_ASCII, "overview-80x24-ascii");
    check_screen(*state, &ui, 40, 10, GLYPHS_FULL, "overview-40x10");
    check_screen(*state, &ui, 200, 60, GLYPHS_FULL, "overview-200x60");
}

static void the_matrix_of_links_is_drawn_as_it_was(void **state)
{
    struct ui ui = fresh_ui(SCREEN_LINKS);

    check_screen(*state, &ui, 120, 36, GLYPHS_FULL, "links-120x36");
    check_screen(*state, &ui, 80, 24, GLYPHS_ASCII, "links-80x24-ascii");
    ui.metric = METRIC_LOSS;
    check_screen(*state, &ui, 40, 10, GLYPHS_FULL, "links-40x10");
}

static void a_node_is_drawn_as_it_was(void **state)
{
    struct ui ui = fresh_ui(SCREEN_NODE);

    check_screen(*state, &ui, 120, 36, GLYPHS_FULL, "node-120x36");
    check_screen(*state, &ui, 80, 24, GLYPHS_BOX, "node-80x24-box");
    check_screen(*state, &ui, 40, 10, GLYPHS_ASCII, "node-40x10-ascii");
}

static void steps_are_drawn_as_they_were(void **state)
{
    struct ui ui = fresh_ui(SCREEN_TOKENS);

    check_screen(*state, &ui, 120, 36, GLYPHS_FULL, "tokens-120x36");
    check_screen(*state, &ui, 80, 24, GLYPHS_ASCII, "tokens-80x24-ascii");
    check_screen(*state, &ui, 40, 10, GLYPHS_FULL, "tokens-40x10");
}

static void requests_and_events_are_drawn_as_they_were(void **state)
{
    struct ui ui = fresh_ui(SCREEN_REQUESTS);

    check_screen(*state, &ui, 100, 24, GLYPHS_FULL, "requests-100x24");
    ui = fresh_ui(SCREEN_EVENTS);
    check_screen(*state, &ui, 100, 24, GLYPHS_FULL, "events-100x24");
}

static void help_lists_every_key(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);

    ui.mode = UI_HELP;
    text[draw(*state, &ui, 100, 40, GLYPHS_FULL, text)] = '\0';
    for (int i = 0; i < key_binding_count; i++)
        if (key_bindings[i].name != NULL)
            assert_non_null(strstr(text, key_bindings[i].help));
}

static bool has_help(const char *text, int binding)
{
    return key_bindings[binding].name != NULL && strstr(text, key_bindings[binding].help) != NULL;
}

static void help_that_does_not_fit_is_shown_in_parts(void **state)
{
    static const uint32_t keys[] = {KEY_IS_DOWN, 'j', KEY_IS_PAGE_DOWN, KEY_IS_END};
    static char first[SCREEN_TEXT_BYTES], text[SCREEN_TEXT_BYTES];
    const struct monitor_case *c = *state;

    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        struct ui ui = fresh_ui(SCREEN_OVERVIEW);

        ui_key(&ui, &c->fleet, '?');
        first[draw(c, &ui, 80, 16, GLYPHS_FULL, first)] = '\0';
        assert_non_null(strstr(first, "show the rest"));
        for (int i = 0; i < key_binding_count; i++)
            ui_key(&ui, &c->fleet, keys[k]);
        text[draw(c, &ui, 80, 16, GLYPHS_FULL, text)] = '\0';
        assert_int_equal(ui.mode, UI_HELP);
        assert_non_null(strstr(text, "as the receiver measures"));
        for (int i = 0; i < key_binding_count; i++)
            assert_true(key_bindings[i].name == NULL || has_help(first, i) || has_help(text, i) || keys[k] == KEY_IS_DOWN ||
                        keys[k] == 'j');
        ui_key(&ui, &c->fleet, KEY_IS_UP);
        text[draw(c, &ui, 80, 16, GLYPHS_FULL, text)] = '\0';
        assert_null(strstr(text, "as the receiver measures"));
        ui_key(&ui, &c->fleet, 's');
        assert_int_equal(ui.mode, UI_BROWSING);
    }
}

static void help_that_fits_is_closed_by_any_key(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    const struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);

    ui_key(&ui, &c->fleet, '?');
    text[draw(c, &ui, 80, 40, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "any key closes it"));
    ui_key(&ui, &c->fleet, KEY_IS_DOWN);
    assert_int_equal(ui.mode, UI_BROWSING);
}

/* Line of a text, from 0. */
static const char *line_of(const char *text, int line)
{
    while (line-- > 0)
        text = strchr(text, '\n') + 1;
    return text;
}

static void the_matrix_of_64_nodes_names_each_column(void **state)
{
    static struct monitor_case c;
    static char text[SCREEN_TEXT_BYTES];
    struct ui ui = fresh_ui(SCREEN_LINKS);
    const char *tens, *ones;

    (void)state;
    monitor_case_init(&c, 64);
    monitor_case_run(&c, 3);
    text[draw(&c, &ui, 200, 80, GLYPHS_ASCII, text)] = '\0';
    tens = line_of(text, 3);
    ones = line_of(text, 4);
    assert_memory_equal(tens, "from\\to", 7);
    for (int node = 0; node < 64; node++) {
        assert_int_equal(tens[7 + 2 * node + 1], node < 10 ? ' ' : '0' + node / 10);
        assert_int_equal(ones[7 + 2 * node + 1], '0' + node % 10);
    }
    assert_memory_equal(line_of(text, 5), "    0 >", 7);
    monitor_case_release(&c);
}

/* In cells too narrow for a value there is a grade, which must not be taken for one. */
static void a_matrix_of_grades_says_so(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    static struct monitor_case c;

    (void)state;
    monitor_case_init(&c, 16);
    monitor_case_run(&c, 3);
    for (enum metric metric = 0; metric < METRICS; metric++) {
        struct ui ui = fresh_ui(SCREEN_LINKS);

        ui.metric = metric;
        text[draw(&c, &ui, 40, 10, GLYPHS_FULL, text)] = '\0';
        assert_non_null(strstr(line_of(text, 2), ": 0 good to 7 bad "));
        text[draw(&c, &ui, 240, 30, GLYPHS_FULL, text)] = '\0';
        assert_null(strstr(text, "good"));
    }
    monitor_case_release(&c);
}

static void ranks_of_two_digits_stand_apart_from_their_bars(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    static struct monitor_case c;
    struct ui ui = fresh_ui(SCREEN_TOKENS);

    (void)state;
    monitor_case_init(&c, 16);
    monitor_case_run(&c, 3);
    text[draw(&c, &ui, 80, 24, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "node 15 "));
    monitor_case_release(&c);
}

/* As after a step into the past, with a filter, or when a request has been forgotten. */
static void a_list_that_has_become_shorter_shows_its_end(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    const struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_TOKENS);

    ui.line = 1000;
    text[draw(c, &ui, 120, 36, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "node 0 "));
    assert_int_equal(ui.line, ui.line_count - 1);
    ui = fresh_ui(SCREEN_REQUESTS);
    ui.line = 1000;
    draw(c, &ui, 120, 36, GLYPHS_FULL, text);
    assert_int_equal(ui.line, ui.line_count - 1);
}

static void the_title_has_no_half_of_an_epoch(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    struct monitor_case *c = *state;
    const uint32_t epoch = c->fleet.nodes[0].head.epoch;

    c->fleet.nodes[0].head.epoch = 1234567;
    for (int width = 40; width <= 120; width++) {
        struct ui ui = fresh_ui(SCREEN_OVERVIEW);
        const char *found;

        text[draw(c, &ui, width, 10, GLYPHS_FULL, text)] = '\0';
        *strchr(text, '\n') = '\0';
        found = strstr(text, "epoch");
        assert_true(found == NULL || strncmp(found, "epoch 1234567 ", 14) == 0);
        assert_true(found != NULL || width < 60);
    }
    c->fleet.nodes[0].head.epoch = epoch;
}

static void every_screen_can_be_drawn_at_any_size(void **state)
{
    static const int widths[] = {0, 1, 2, 3, 7, 12, 20, 39, 40, 41, 59, 60, 79, 80, 99, 120, 160, 300};
    static const int heights[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 20, 24, 25, 40, 100};
    static char text[SCREEN_TEXT_BYTES];

    for (int screen = 0; screen < SCREENS; screen++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
                struct ui ui = fresh_ui((enum screen)screen);

                draw(*state, &ui, widths[w], heights[h], GLYPHS_FULL, text);
                ui.mode = UI_HELP;
                draw(*state, &ui, widths[w], heights[h], GLYPHS_ASCII, text);
            }
}

static void text_without_colour_tells_all_levels_apart(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);
    const size_t size = draw(*state, &ui, 120, 36, GLYPHS_ASCII, text);

    for (size_t i = 0; i < size; i++)
        assert_true(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
}

static void a_lost_connection_greys_the_data_and_says_so(void **state)
{
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);
    struct canvas canvas;
    const struct area *main_part;
    struct layout layout;

    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), false, "10.0.0.1:7411: nothing heard for 10 s");
    assert_int_equal(canvas_init(&canvas, 120, 36, GLYPHS_FULL), 0);
    view_draw(&canvas, &c->fleet, &ui, made_now_ns(&c->made), made_wall_ns(&c->made));
    layout = layout_make(SCREEN_OVERVIEW, 120, 36, 5, (struct layout_findings){0});
    main_part = &layout.part[PART_MAIN];
    for (int y = main_part->y; y < main_part->y + main_part->height; y++)
        for (int x = 0; x < 120; x++)
            assert_int_equal(canvas.cells[y * 120 + x].style, STYLE_STALE);
    canvas_release(&canvas);
    check_screen(c, &ui, 100, 24, GLYPHS_FULL, "lost-100x24");
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), true, "10.0.0.2:7411");
}

static void a_node_that_dies_stays_with_the_time_it_was_last_heard(void **state)
{
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);

    c->made.is_dead[3] = true;
    monitor_case_run(c, 2);
    check_screen(c, &ui, 80, 24, GLYPHS_FULL, "stopped-80x24"); /* no other node has noticed so far */
    made_new_epoch(&c->made);
    monitor_case_run(c, 10);
    check_screen(c, &ui, 120, 36, GLYPHS_FULL, "dead-120x36");
}

static void happen(struct monitor_case *c, int node, enum mesh_node_event happened, const char *text)
{
    struct fleet_event *event = fleet_add_event(&c->fleet, (int64_t)made_now_ns(&c->made), made_wall_ns(&c->made));

    event->node = (int16_t)node;
    event->happened = (uint8_t)happened;
    snprintf(event->text, sizeof event->text, "%s", text);
}

/* What to do is at the end of the sentence: nothing of it is cut off for the sake of a curve or of lesser findings. */
static void a_bad_finding_has_the_lines_that_it_needs(void **state)
{
    static const char large[] = "large datagrams do not pass between this node and 10.0.0.2:7411, and small ones do: raise the MTU between "
                                "them to 1280 (a tunnel, bridge, switch or firewall): try ping -M do -s 1200 from one to the…";
    static char text[SCREEN_TEXT_BYTES + 1];
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);

    happen(c, 0, MESH_NODE_EVENT_TROUBLE, large);
    monitor_case_run(c, 1);
    check_screen(c, &ui, 80, 24, GLYPHS_FULL, "trouble-80x24");
    check_screen(c, &ui, 60, 15, GLYPHS_FULL, "trouble-60x15");
    check_screen(c, &ui, 60, 10, GLYPHS_FULL, "trouble-60x10");
    for (int width = 60; width <= 120; width++) {
        text[draw(c, &ui, width, 24, GLYPHS_FULL, text)] = '\0';
        assert_non_null(strstr(text, "1200"));
    }
    happen(c, 0, MESH_NODE_EVENT_MENDED, "large datagrams do not pass");
    monitor_case_run(c, 1);
}

static void every_node_of_a_step_can_be_reached_where_there_are_fewer_lines(void **state)
{
    static struct monitor_case c;
    static char text[SCREEN_TEXT_BYTES + 1];
    struct ui ui = fresh_ui(SCREEN_TOKENS);
    char name[16];

    (void)state;
    monitor_case_init(&c, 64);
    monitor_case_run(&c, 3);
    for (int node = 0; node < 64; node++) {
        snprintf(name, sizeof name, " node %d ", node);
        if (node % 19 == 0 && node > 0) /* the lines of 80 x 24 */
            ui_key(&ui, &c.fleet, 'j');
        text[draw(&c, &ui, 80, 24, GLYPHS_FULL, text)] = '\0';
        assert_non_null(strstr(text, name));
    }
    monitor_case_release(&c);
}

static void how_long_a_pause_lasts_does_not_depend_on_the_clock(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_OVERVIEW);
    struct screen_time time = {made_now_ns(&c->made), made_wall_ns(&c->made)};

    ui_key(&ui, &c->fleet, ' ');
    time.now_ns += UINT64_C(7000000000);
    time.wall_ns -= INT64_C(3600000000000); /* set back by an hour meanwhile */
    text[screen_draw_text(&c->fleet, &ui, time, 100, 24, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, ", 7 s ago"));
}

static void events_are_listed_by_their_time_whoever_told_of_them_first(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_EVENTS);
    const uint64_t now_ns = made_now_ns(&c->made);
    const int64_t wall_ns = made_wall_ns(&c->made);

    fleet_note(&c->fleet, now_ns, wall_ns, false, "this is the second");
    fleet_note(&c->fleet, now_ns - 3000000000, wall_ns - 3000000000, false, "this is the first");
    fleet_note(&c->fleet, now_ns + 3000000000, wall_ns + 3000000000, false, "this is the third");
    text[draw(c, &ui, 100, 40, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "this is the first"));
    assert_true(strstr(text, "this is the third") < strstr(text, "this is the second"));
    assert_true(strstr(text, "this is the second") < strstr(text, "this is the first"));
}

static void the_selected_event_is_shown_with_all_of_its_text_and_its_date(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_EVENTS);
    struct fleet_event *event;

    fleet_reset(&c->fleet);
    event = fleet_add_event(&c->fleet, (int64_t)made_now_ns(&c->made), made_wall_ns(&c->made) - INT64_C(3 * 86400) * 1000000000);
    event->node = 1;
    event->happened = MESH_NODE_EVENT_REQUEST_FAILED;
    snprintf(event->text, sizeof event->text,
             "request 0123456789abcdef: its prompt was longer than what the model can take, and so on to the end");
    text[draw(c, &ui, 80, 24, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "10.0.0.2:7411 request failed request 0123456789abcdef: "));
    assert_non_null(strstr(text, "…"));
    assert_non_null(strstr(text, "and so on to the end\n"));
    assert_non_null(strstr(text, "2026-09-18 14:1"));
    assert_non_null(strstr(text, "\n 09-18 14:1"));
}

/* Grey cells in a row of the matrix of links: 0 is the heading. */
static int grey_in_row(const struct monitor_case *c, struct ui *ui, int row)
{
    const struct layout layout = layout_make(SCREEN_LINKS, 120, 36, 5, (struct layout_findings){0});
    const int y = layout.part[PART_MAIN].y + 1 + row;
    struct canvas canvas;
    int count = 0;

    assert_int_equal(canvas_init(&canvas, 120, 36, GLYPHS_FULL), 0);
    view_draw(&canvas, &c->fleet, ui, made_now_ns(&c->made), made_wall_ns(&c->made));
    for (int x = 0; x < 80; x++)
        count += canvas.cells[y * 120 + x].style == STYLE_STALE;
    canvas_release(&canvas);
    return count;
}

static void what_a_node_whose_report_is_overdue_receives_is_grey(void **state)
{
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_LINKS);
    int grey;

    c->made.is_dead[3] = false;
    made_new_epoch(&c->made);
    monitor_case_run(c, 3);
    grey = grey_in_row(c, &ui, 2);
    c->made.is_dead[3] = true;
    monitor_case_run(c, 2);
    assert_true(fleet_is_alive(c->fleet.nodes[3].state));
    assert_int_equal(grey_in_row(c, &ui, 2), 2 * grey);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_overview_is_drawn_as_it_was),
        cmocka_unit_test(the_matrix_of_links_is_drawn_as_it_was),
        cmocka_unit_test(a_node_is_drawn_as_it_was),
        cmocka_unit_test(steps_are_drawn_as_they_were),
        cmocka_unit_test(requests_and_events_are_drawn_as_they_were),
        cmocka_unit_test(help_lists_every_key),
        cmocka_unit_test(help_that_does_not_fit_is_shown_in_parts),
        cmocka_unit_test(help_that_fits_is_closed_by_any_key),
        cmocka_unit_test(the_matrix_of_64_nodes_names_each_column),
        cmocka_unit_test(every_node_of_a_step_can_be_reached_where_there_are_fewer_lines),
        cmocka_unit_test(a_matrix_of_grades_says_so),
        cmocka_unit_test(ranks_of_two_digits_stand_apart_from_their_bars),
        cmocka_unit_test(a_list_that_has_become_shorter_shows_its_end),
        cmocka_unit_test(the_title_has_no_half_of_an_epoch),
        cmocka_unit_test(every_screen_can_be_drawn_at_any_size),
        cmocka_unit_test(text_without_colour_tells_all_levels_apart),
        cmocka_unit_test(a_lost_connection_greys_the_data_and_says_so),
        cmocka_unit_test(a_node_that_dies_stays_with_the_time_it_was_last_heard),
        cmocka_unit_test(a_bad_finding_has_the_lines_that_it_needs),
        cmocka_unit_test(how_long_a_pause_lasts_does_not_depend_on_the_clock),
        cmocka_unit_test(events_are_listed_by_their_time_whoever_told_of_them_first), /* from here on events are changed */
        cmocka_unit_test(the_selected_event_is_shown_with_all_of_its_text_and_its_date),
        cmocka_unit_test(what_a_node_whose_report_is_overdue_receives_is_grey),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
