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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_stay_where_they_were_while_clocks_drift, monitor_case_open, monitor_case_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
