#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/columns.h"
#include "monitor/ui.h"
#include "monitor/view.h"
#include "tests/unit/monitor_case.h"
#include "tests/unit/screen_golden.h"

struct world {
    struct monitor_case c;
    struct ui ui;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    monitor_case_init(&w->c, 4);
    w->c.made.slow = 2;
    monitor_case_run(&w->c, 12);
    ui_init(&w->ui, &settings_default);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    monitor_case_release(&w->c);
    free(w);
    return 0;
}

static void keys(struct world *w, const char *text)
{
    for (; *text != '\0'; text++)
        ui_key(&w->ui, &w->c.fleet, (uint32_t)*text);
}

static void draw(struct world *w, struct canvas *canvas)
{
    assert_int_equal(canvas_init(canvas, 120, 40, GLYPHS_FULL), 0);
    view_draw(canvas, &w->c.fleet, &w->ui, made_now_ns(&w->c.made), made_wall_ns(&w->c.made));
}

static uint16_t rank(const struct world *w, int node)
{
    return w->c.fleet.nodes[node].head.rank;
}

static void tab_goes_through_all_screens_and_back_to_the_first(void **state)
{
    struct world *w = *state;

    for (int i = 1; i <= SCREENS; i++) {
        ui_key(&w->ui, &w->c.fleet, KEY_IS_TAB);
        assert_int_equal(w->ui.screen, i % SCREENS);
    }
    ui_key(&w->ui, &w->c.fleet, KEY_IS_BACK_TAB);
    assert_int_equal(w->ui.screen, SCREENS - 1);
}

static void each_screen_has_its_number_as_a_key(void **state)
{
    struct world *w = *state;

    for (int screen = 0; screen < SCREENS; screen++) {
        ui_key(&w->ui, &w->c.fleet, (uint32_t)('1' + screen));
        assert_int_equal(w->ui.screen, screen);
    }
}

static void arrows_and_hjkl_select_and_enter_opens(void **state)
{
    struct world *w = *state;

    assert_int_equal(rank(w, ui_selected(&w->ui, &w->c.fleet)), 0);
    keys(w, "jj");
    assert_int_equal(rank(w, w->ui.selected), 2);
    ui_key(&w->ui, &w->c.fleet, KEY_IS_UP);
    assert_int_equal(rank(w, w->ui.selected), 1);
    keys(w, "G");
    assert_int_equal(rank(w, w->ui.selected), 3);
    ui_key(&w->ui, &w->c.fleet, KEY_IS_ENTER);
    assert_int_equal(w->ui.screen, SCREEN_NODE);
    ui_key(&w->ui, &w->c.fleet, KEY_IS_ESCAPE);
    assert_int_equal(w->ui.screen, SCREEN_OVERVIEW);
}

static void in_the_matrix_rows_are_senders_and_columns_receivers(void **state)
{
    struct world *w = *state;

    keys(w, "2jll");
    assert_int_equal(rank(w, ui_selected(&w->ui, &w->c.fleet)), 1);
    assert_int_equal(rank(w, ui_receiver(&w->ui, &w->c.fleet)), 3);
}

static void nodes_are_sorted_by_the_chosen_column(void **state)
{
    struct world *w = *state;
    int nodes[FLEET_NODES_MAX];

    while (strcmp(columns_of_nodes[w->ui.sort].name, "busy") != 0)
        keys(w, ">");
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 4);
    assert_int_equal(rank(w, nodes[0]), 2); /* the node that the others wait for */
    keys(w, "I");
    ui_nodes(&w->ui, &w->c.fleet, nodes);
    assert_int_equal(rank(w, nodes[3]), 2);
    keys(w, "<");
    assert_string_not_equal(columns_of_nodes[w->ui.sort].name, "busy");
}

static void a_filter_leaves_what_contains_it_and_escape_takes_it_away(void **state)
{
    struct world *w = *state;
    int nodes[FLEET_NODES_MAX];

    keys(w, "\\0.3:\n");
    assert_string_equal(w->ui.filter, "0.3:");
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 1);
    assert_int_equal(rank(w, nodes[0]), 2);
    ui_key(&w->ui, &w->c.fleet, KEY_IS_ESCAPE);
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 4);
}

static void a_search_selects_and_letters_that_are_typed_are_no_keys(void **state)
{
    struct world *w = *state;

    keys(w, "/q10.0.0.4\b\b\b\b\b\b\b\b\b10.0.0.4");
    assert_false(w->ui.is_over);
    keys(w, "\x1b");
    keys(w, "/10.0.0.4\n");
    assert_int_equal(rank(w, w->ui.selected), 3);
    keys(w, "gn");
    assert_int_equal(rank(w, w->ui.selected), 3);
}

static void paused_it_shows_the_past_while_data_go_on(void **state)
{
    struct world *w = *state;
    uint64_t tick, later;

    keys(w, " ");
    assert_true(ui_tick(&w->ui, &w->c.fleet, &tick));
    monitor_case_run(&w->c, 5);
    assert_true(ui_tick(&w->ui, &w->c.fleet, &later));
    assert_int_equal(tick, later);
    keys(w, "[[[");
    ui_tick(&w->ui, &w->c.fleet, &later);
    assert_int_equal(later, tick - 3);
    keys(w, "}}}}");
    ui_tick(&w->ui, &w->c.fleet, &later);
    assert_int_equal(later, w->c.fleet.ticks - 1);
    keys(w, "{{{{{{");
    ui_tick(&w->ui, &w->c.fleet, &later);
    assert_int_equal(later, 0);
    keys(w, "p");
    ui_tick(&w->ui, &w->c.fleet, &later);
    assert_int_equal(later, w->c.fleet.ticks - 1);
    keys(w, "[");
    assert_true(w->ui.is_paused);
}

/* When node 1 dies, nodes 2 and 3 become ranks 1 and 2. */
static void in_the_past_nodes_are_found_by_the_ranks_and_states_of_then(void **state)
{
    struct world *w = *state;
    const int third = monitor_case_node(&w->c, 2), fourth = monitor_case_node(&w->c, 3);
    int nodes[FLEET_NODES_MAX];

    w->c.made.is_dead[1] = true;
    made_new_epoch(&w->c.made);
    monitor_case_run(&w->c, 12);
    keys(w, "\\3 1\n");
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 0);
    keys(w, "\\\b\b\bdead\n");
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 1);
    ui_act(&w->ui, &w->c.fleet, ACTION_EARLIER, 13);
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 0);
    keys(w, "\\\b\b\b\b3 1\n");
    assert_int_equal(ui_nodes(&w->ui, &w->c.fleet, nodes), 1);
    assert_int_equal(nodes[0], fourth);
    keys(w, "\\\b\b\b\n/2 1\n");
    assert_int_equal(w->ui.selected, third);
}

static void a_request_entered_at_the_rank_of_the_time_that_is_shown(void **state)
{
    struct world *w = *state;
    static char text[SCREEN_TEXT_BYTES + 1];
    const struct screen_time time = {made_now_ns(&w->c.made), made_wall_ns(&w->c.made)};

    w->c.made.tok_per_s = 25;
    w->c.made.is_dead[0] = true;
    made_new_epoch(&w->c.made);
    monitor_case_run(&w->c, 12);
    keys(w, "5");
    text[screen_draw_text(&w->c.fleet, &w->ui, time, 120, 40, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "0000000000001234      1 generating"));
    ui_act(&w->ui, &w->c.fleet, ACTION_EARLIER, 13);
    text[screen_draw_text(&w->c.fleet, &w->ui, time, 120, 40, GLYPHS_FULL, text)] = '\0';
    assert_non_null(strstr(text, "0000000000001234      2 generating"));
}

static void paused_for_longer_than_is_kept_it_shows_the_oldest(void **state)
{
    struct world *w = *state;
    uint64_t tick;

    keys(w, "Z");
    monitor_case_run(&w->c, FLEET_HISTORY + 50);
    assert_true(ui_tick(&w->ui, &w->c.fleet, &tick));
    assert_int_equal(tick, w->c.fleet.ticks - FLEET_HISTORY);
}

static void plus_and_minus_change_the_interval_within_limits(void **state)
{
    struct world *w = *state;

    keys(w, "+");
    assert_int_equal(w->ui.interval_ms, 2000);
    keys(w, "--");
    assert_int_equal(w->ui.interval_ms, 500);
    keys(w, "--------");
    assert_int_equal(w->ui.interval_ms, INTERVAL_MS_MIN);
    keys(w, "+++++++++++");
    assert_int_equal(w->ui.interval_ms, INTERVAL_MS_MAX);
}

static void read_only_it_saves_nothing(void **state)
{
    struct world *w = *state;

    keys(w, "s");
    assert_true(w->ui.wants_save);
    w->ui.wants_save = false;
    w->ui.is_read_only = true;
    keys(w, "s");
    assert_false(w->ui.wants_save);
}

static void clicks_do_what_is_drawn_there(void **state)
{
    struct world *w = *state;
    struct canvas canvas;
    const struct ui_zone *zone;

    draw(w, &canvas);
    for (int i = 0; i < w->ui.zone_count; i++) {
        zone = &w->ui.zone[i];
        assert_true(zone->area.x + zone->area.width <= 120 && zone->area.y + zone->area.height <= 40);
        if (zone->action != ACTION_SELECT)
            continue;
        ui_mouse(&w->ui, &w->c.fleet, zone->area.x + 3, zone->area.y + 2, 0);
        assert_int_equal(rank(w, w->ui.selected), 2);
        ui_mouse(&w->ui, &w->c.fleet, zone->area.x + 3, zone->area.y + 2, 0);
        assert_int_equal(w->ui.screen, SCREEN_NODE);
        break;
    }
    canvas_release(&canvas);
    keys(w, "2");
    draw(w, &canvas);
    for (int i = 0; i < w->ui.zone_count; i++)
        if (w->ui.zone[i].action == ACTION_SELECT_CELL) {
            zone = &w->ui.zone[i];
            ui_mouse(&w->ui, &w->c.fleet, zone->area.x + zone->step_x + 1, zone->area.y + 3, 0);
            break;
        }
    assert_int_equal(rank(w, w->ui.selected), 3);
    assert_int_equal(rank(w, w->ui.receiver), 1);
    canvas_release(&canvas);
}

static void any_keys_in_any_order_are_fine(void **state)
{
    static const uint32_t others[] = {KEY_IS_UP,   KEY_IS_DOWN, KEY_IS_LEFT, KEY_IS_RIGHT,  KEY_IS_PAGE_UP,   KEY_IS_PAGE_DOWN,
                                      KEY_IS_HOME, KEY_IS_END,  KEY_IS_F1,   KEY_IS_F1 + 5, KEY_IS_BACKSPACE, KEY_IS_BACK_TAB};
    struct world *w = *state;
    struct canvas canvas;
    uint64_t random = 12345;

    for (int i = 0; i < 20000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        ui_key(&w->ui, &w->c.fleet, (random >> 40) % 8 == 0 ? others[(random >> 50) % 12] : (uint32_t)(random >> 50) % 128);
        if (i % 50 == 0) {
            draw(w, &canvas);
            canvas_release(&canvas);
            ui_mouse(&w->ui, &w->c.fleet, (int)(random >> 33) % 120, (int)(random >> 43) % 40, (int)(random >> 60) % 3 - 1);
        }
    }
}

/* ---- a recording ---- */

static void keys_of_a_recording_do_nothing_to_a_living_mesh_but_say_so(void **state)
{
    struct world *w = *state;

    for (const char *key = ",.()B"; *key != '\0'; key++) {
        w->ui.notice_ns = 0;
        ui_key(&w->ui, &w->c.fleet, (uint32_t)*key);
        assert_non_null(strstr(w->ui.notice, "only in a recording"));
        assert_true(w->ui.notice_ns > 0 && !w->ui.is_paused && w->ui.playback.wants_tokens == 0);
    }
}

static void parentheses_change_the_speed_of_a_recording_within_bounds(void **state)
{
    struct world *w = *state;

    w->ui.playback = (struct playback){.is_on = true, .speed = 3};
    keys(w, ")");
    assert_true(w->ui.playback.speed > 4.9 && w->ui.playback.speed < 5.1);
    keys(w, "((");
    assert_true(w->ui.playback.speed > 0.9 && w->ui.playback.speed < 1.1);
    keys(w, "(((((((((((((((((((((((((");
    assert_true(w->ui.playback.speed > 0.009 && w->ui.playback.speed < 0.011);
    keys(w, "))))))))))))))))))))))))))");
    assert_true(w->ui.playback.speed > 999 && w->ui.playback.speed < 1001);
}

static void a_full_stop_pauses_and_wants_the_next_token_and_a_comma_the_one_before(void **state)
{
    struct world *w = *state;

    w->ui.playback = (struct playback){.is_on = true, .speed = 1};
    keys(w, "...");
    assert_true(w->ui.is_paused);
    assert_int_equal(w->ui.playback.wants_tokens, 3);
    keys(w, ",,,,");
    assert_int_equal(w->ui.playback.wants_tokens, -1);
    keys(w, "B");
    assert_true(w->ui.playback.wants_begin);
}

static void beyond_what_has_been_played_the_past_goes_on_as_the_future(void **state)
{
    struct world *w = *state;

    w->ui.playback = (struct playback){.is_on = true, .speed = 1};
    keys(w, " ");
    assert_true(w->ui.is_paused);
    keys(w, "[[]]");
    assert_int_equal(w->ui.playback.wants_ticks, 0);
    keys(w, "]");
    assert_int_equal(w->ui.playback.wants_ticks, 1);
    keys(w, "}");
    assert_int_equal(w->ui.playback.wants_ticks, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tab_goes_through_all_screens_and_back_to_the_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_screen_has_its_number_as_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arrows_and_hjkl_select_and_enter_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_the_matrix_rows_are_senders_and_columns_receivers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nodes_are_sorted_by_the_chosen_column, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_filter_leaves_what_contains_it_and_escape_takes_it_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_search_selects_and_letters_that_are_typed_are_no_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paused_it_shows_the_past_while_data_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_the_past_nodes_are_found_by_the_ranks_and_states_of_then, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_entered_at_the_rank_of_the_time_that_is_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paused_for_longer_than_is_kept_it_shows_the_oldest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plus_and_minus_change_the_interval_within_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_only_it_saves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clicks_do_what_is_drawn_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_keys_in_any_order_are_fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_of_a_recording_do_nothing_to_a_living_mesh_but_say_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parentheses_change_the_speed_of_a_recording_within_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_stop_pauses_and_wants_the_next_token_and_a_comma_the_one_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(beyond_what_has_been_played_the_past_goes_on_as_the_future, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
