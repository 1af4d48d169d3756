/* What the screens show of an earlier time is grey, or not there: figures of nodes that are gone, of earlier epochs and processes, and
 * latencies of links on which nothing comes, ranks that others have now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/monitor_case.h"
#include "tests/unit/screen_golden.h"

enum { WIDTH = 160, HEIGHT = 40 };

static struct ui fresh_ui(enum screen screen)
{
    struct ui ui;

    ui_init(&ui, &settings_default);
    ui.screen = screen;
    return ui;
}

static bool shows(const struct monitor_case *c, struct ui ui, const char *text)
{
    static char screen[SCREEN_TEXT_BYTES];
    const struct screen_time time = {made_now_ns(&c->made), made_wall_ns(&c->made)};

    screen_draw_text(&c->fleet, &ui, time, WIDTH, HEIGHT, GLYPHS_FULL, screen);
    return strstr(screen, text) != NULL;
}

/* Does the style of the text's first letter say that it is old? The text is ASCII, and on the screen. */
static bool is_grey(const struct monitor_case *c, struct ui ui, const char *text)
{
    struct canvas canvas;
    bool is_found = false, is_old = false;

    assert_int_equal(canvas_init(&canvas, WIDTH, HEIGHT, GLYPHS_FULL), 0);
    view_draw(&canvas, &c->fleet, &ui, made_now_ns(&c->made), made_wall_ns(&c->made));
    for (size_t i = 0; i + strlen(text) <= WIDTH * HEIGHT && !is_found; i++) {
        size_t at = 0;

        while (text[at] != '\0' && canvas.cells[i + at].glyph[0] == text[at])
            at++;
        is_found = text[at] == '\0';
        is_old = canvas.cells[i].style == STYLE_STALE;
    }
    canvas_release(&canvas);
    assert_true(is_found);
    return is_old;
}

static int node_at(const struct monitor_case *c, unsigned rank)
{
    int nodes[FLEET_NODES_MAX];

    assert_true(fleet_order(&c->fleet, nodes) > (int)rank);
    return nodes[rank];
}

/* Of each link, 20 tiles an interval. */
static void histograms_are_of_the_present_epoch(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    assert_true(shows(c, fresh_ui(SCREEN_NODE), "one-way latency, 300 tiles"));
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 2);
    assert_true(shows(c, fresh_ui(SCREEN_NODE), "one-way latency, 80 tiles"));
}

/* The epoch of the new processes has the number of that of the old ones. */
static void counters_of_a_new_process_do_not_continue_those_of_the_one_before(void **state)
{
    struct monitor_case *c = *state;
    const struct link_sample *sample;

    made_new_epoch(&c->made);
    monitor_case_run(c, 5);
    for (int i = 1; i < 4; i++)
        c->made.is_dead[i] = true;
    made_start_anew(&c->made);
    monitor_case_run(c, 2); /* it is alone in epoch 1 */
    c->made.is_dead[1] = false;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_int_equal(c->made.epoch, 2);
    sample = fleet_link_at(&c->fleet, 1, 0, c->fleet.ticks - 1);
    assert_non_null(sample);
    assert_true(sample->begins);
}

static void the_figures_of_a_dead_node_are_grey(void **state)
{
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_NODE);

    monitor_case_run(c, 5);
    ui.selected = node_at(c, 3);
    assert_false(is_grey(c, ui, "1.10 GB"));
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 6);
    assert_true(shows(c, ui, "dead: its workers"));
    assert_true(is_grey(c, ui, "1.10 GB"));
}

static void the_figures_of_a_link_are_grey_when_its_sender_is_dead(void **state)
{
    struct monitor_case *c = *state;
    struct ui ui = fresh_ui(SCREEN_LINKS);

    monitor_case_run(c, 5);
    ui.selected = node_at(c, 3);
    ui.receiver = node_at(c, 0);
    assert_false(is_grey(c, ui, "p50 "));
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 6);
    assert_true(is_grey(c, ui, "p50 "));
}

/* A slow tile of the last question would seem to be one of now, all night long. */
static void latencies_are_grey_when_nothing_has_come_for_a_while(void **state)
{
    struct monitor_case *c = *state;
    struct ui links = fresh_ui(SCREEN_LINKS);

    links.selected = 0;
    monitor_case_run(c, 5);
    c->made.tok_per_s = 0;
    monitor_case_run(c, 9);
    assert_false(is_grey(c, fresh_ui(SCREEN_OVERVIEW), "464 "));
    assert_false(is_grey(c, links, "p50 "));
    monitor_case_run(c, 2);
    assert_true(is_grey(c, fresh_ui(SCREEN_OVERVIEW), "464 "));
    assert_true(is_grey(c, links, "461 "));
    assert_true(is_grey(c, links, "p50 "));
    assert_false(is_grey(c, links, "95 "));
}

/* It would have all rows of its old epoch, in which nobody else is. */
static void a_node_that_the_others_have_left_out_has_no_share(void **state)
{
    struct monitor_case *c = *state;

    monitor_case_run(c, 5);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 2);
    assert_true(shows(c, fresh_ui(SCREEN_OVERVIEW), "suspected"));
    assert_false(shows(c, fresh_ui(SCREEN_OVERVIEW), "100 %"));
}

/* With two nodes 0 a link between them would be "0 → 0". */
static void a_rank_that_another_node_has_now_is_not_the_dead_nodes_any_more(void **state)
{
    struct monitor_case *c = *state;
    char rank[8];
    int dead;

    monitor_case_run(c, 5);
    dead = node_at(c, 0);
    c->made.is_dead[0] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 6);
    assert_string_equal(fleet_rank_text(&c->fleet.nodes[dead], rank), "-");
    assert_string_equal(fleet_rank_text(&c->fleet.nodes[node_at(c, 0)], rank), "0");
    assert_true(shows(c, fresh_ui(SCREEN_OVERVIEW), "Former node 0 at 10.0.0.1:7411 is gone"));
    assert_true(shows(c, fresh_ui(SCREEN_EVENTS), "10.0.0.1:7411 (rank 0) is gone"));
    c->made.is_dead[0] = false;
    made_new_epoch(&c->made);
    monitor_case_run(c, 1);
    assert_string_equal(fleet_rank_text(&c->fleet.nodes[dead], rank), "0");
}

/* One that was the last has no successor in its rank. */
static void a_dead_node_keeps_a_rank_that_no_other_node_has(void **state)
{
    struct monitor_case *c = *state;
    char rank[8];
    int dead;

    monitor_case_run(c, 5);
    dead = node_at(c, 3);
    c->made.is_dead[3] = true;
    made_new_epoch(&c->made);
    monitor_case_run(c, 6);
    assert_string_equal(fleet_rank_text(&c->fleet.nodes[dead], rank), "3");
}

#define MESH(test) cmocka_unit_test_setup_teardown(test, monitor_case_open, monitor_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MESH(histograms_are_of_the_present_epoch),
        MESH(counters_of_a_new_process_do_not_continue_those_of_the_one_before),
        MESH(the_figures_of_a_dead_node_are_grey),
        MESH(the_figures_of_a_link_are_grey_when_its_sender_is_dead),
        MESH(latencies_are_grey_when_nothing_has_come_for_a_while),
        MESH(a_node_that_the_others_have_left_out_has_no_share),
        MESH(a_rank_that_another_node_has_now_is_not_the_dead_nodes_any_more),
        MESH(a_dead_node_keeps_a_rank_that_no_other_node_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
