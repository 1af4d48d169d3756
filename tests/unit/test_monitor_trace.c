/* The monitor over traces. They are made of the recorded telemetry of a real mesh (tests/golden/telemetry): three nodes, a trace for each,
 * with a token every 60 ms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/trace.h"
#include "monitor/player.h"
#include "monitor/report.h"
#include "tests/unit/screen_golden.h"
#include "tests/unit/telemetry_file.h"

#define RECORDING "tests/golden/telemetry/three-nodes.tel"

enum { NODES = 3, TOKENS = 40, TOKEN_MS = 60, FIRST_TOKEN_MS = 3500 };

static const uint64_t ms_ns = 1000000, second_ns = 1000000000;
static char folder[] = "/tmp/monitor-trace.XXXXXX";
static char path[NODES][64]; /* run.db, run.1.db, run.2.db */

/* ---- the traces ---- */

static void add_tokens(struct mesh_trace *trace, uint64_t begin_ns, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        const struct mesh_trace_token token = {.node = 1,
                                               .t_ns = (int64_t)(begin_ns + (FIRST_TOKEN_MS + i * TOKEN_MS) * ms_ns),
                                               .request = 1,
                                               .position = i,
                                               .step = MESH_TRACE_NULL,
                                               .logits_hash = MESH_TRACE_NULL};

        assert_int_equal(mesh_trace_add_row_token(trace, &token, NULL), 0);
    }
}

static void add_record(struct mesh_trace **traces, const struct telemetry_file *file, const struct telemetry_entry *entry)
{
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_trace_report row = {.node = 1};

    assert_int_equal(mesh_telemetry_read_report(&report, file->record, entry->bytes), 0);
    assert_int_equal(mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head), 0);
    if (head.rank >= NODES)
        return;
    /* Each node's clock has a different zero. */
    row.t_ns = (int64_t)(entry->since_ns + (head.rank + 1u) * 1000 * second_ns);
    row.unix_ms = (int64_t)((file->begin_wall_ns + entry->since_ns) / ms_ns);
    row.piece = (struct mesh_trace_bytes){report.piece, report.piece_bytes};
    assert_int_equal(mesh_trace_add_report(traces[head.rank], &row, NULL), 0);
}

static int make_traces(void **state)
{
    static struct telemetry_file file;
    struct mesh_trace *traces[NODES];
    char reason[MESH_TRACE_REASON_BYTES];
    struct telemetry_entry entry;
    FILE *in = fopen(RECORDING, "rb");

    (void)state;
    setenv("TZ", "UTC0", 1);
    tzset();
    assert_non_null(mkdtemp(folder));
    assert_non_null(in);
    assert_int_equal(telemetry_file_open(&file, in), 0);
    for (int i = 0; i < NODES; i++) {
        snprintf(path[i], sizeof path[i], i == 0 ? "%s/run.db" : "%s/run.%d.db", folder, i);
        assert_int_equal(mesh_trace_create(&traces[i], path[i], reason), 0);
        assert_int_equal(mesh_trace_begin(traces[i]), 0);
    }
    while (telemetry_file_next(&file, &entry))
        add_record(traces, &file, &entry);
    add_tokens(traces[0], 1000 * second_ns, 0, 25); /* each of the two nodes has been there for a part of the time */
    add_tokens(traces[1], 2000 * second_ns, 15, TOKENS);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(mesh_trace_commit(traces[i]), 0);
        mesh_trace_close(traces[i]);
    }
    fclose(in);
    return 0;
}

static int remove_traces(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++)
        unlink(path[i]);
    rmdir(folder);
    return 0;
}

/* ---- a player ---- */

struct show {
    struct recorded *recorded;
    struct fleet fleet;
    struct player player;
    struct fail fail;
};

static void open_show(struct show *show, size_t count)
{
    const char *paths[NODES] = {path[0], path[1], path[2]};

    assert_int_equal(fleet_init(&show->fleet), 0);
    if (recorded_open(&show->recorded, paths, count, &show->fail) < 0 ||
        player_open(&show->player, show->recorded, &show->fleet, second_ns, &show->fail) < 0)
        fail_msg("%s", show->fail.text);
}

static int set_up(void **state)
{
    struct show *show = calloc(1, sizeof *show);

    assert_non_null(show);
    open_show(show, 1);
    *state = show;
    return 0;
}

static int tear_down(void **state)
{
    struct show *show = *state;

    fleet_release(&show->fleet);
    recorded_close(show->recorded);
    free(show);
    return 0;
}

static void advance(struct show *show, uint64_t ns)
{
    assert_int_equal(player_advance(&show->player, ns, &show->fail), 0);
}

static void play_all(struct show *show)
{
    advance(show, 1000 * second_ns);
    assert_true(show->player.is_over);
}

static void step(struct show *show, int by)
{
    assert_int_equal(player_step(&show->player, by, &show->fail), 0);
}

static void note_part(void *app, double part)
{
    *(double *)app = part;
}

/* Everything known, as a snapshot; free it. */
static char *snapshot(const struct show *show)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    report_json(&show->fleet, show->fleet.ticks - 1, NULL, out);
    fclose(out);
    return text;
}

static struct ui ui_of(const struct show *show, enum screen screen)
{
    struct ui ui;

    ui_init(&ui, &settings_default);
    ui.screen = screen;
    ui.playback = (struct playback){.is_on = true,
                                    .is_over = show->player.is_over,
                                    .speed = 2,
                                    .seconds = player_seconds(&show->player),
                                    .total = player_seconds_total(&show->player),
                                    .token = show->player.token,
                                    .tokens = TOKENS};
    return ui;
}

static size_t draw(const struct show *show, struct ui *ui, char *text)
{
    const struct screen_time time = {player_now_ns(&show->player), show->player.now_ns};

    return screen_draw_text(&show->fleet, ui, time, 120, 36, GLYPHS_FULL, text);
}

static int known_nodes(const struct fleet *fleet)
{
    int nodes[FLEET_NODES_MAX], reported = 0;
    const int count = fleet_order(fleet, nodes);

    for (int i = 0; i < count; i++)
        reported += fleet->nodes[nodes[i]].has_reported;
    return reported;
}

/* ---- tests ---- */

static void of_one_trace_those_of_the_other_nodes_are_found(void **state)
{
    struct show *show = *state;

    play_all(show);
    assert_int_equal(known_nodes(&show->fleet), NODES);
    assert_string_equal(recorded_name(show->recorded), "run.db and 2 more");
}

static void and_the_files_that_follow_each_of_them(void **state)
{
    const char *paths[] = {path[0]};
    struct recorded *recorded;
    struct fail fail = {0};
    char next[2][80];

    (void)state;
    snprintf(next[0], sizeof next[0], "%s/run-2.db", folder);
    snprintf(next[1], sizeof next[1], "%s/run.2-2.db", folder);
    assert_int_equal(symlink(path[0], next[0]), 0);
    assert_int_equal(symlink(path[2], next[1]), 0);
    assert_int_equal(recorded_open(&recorded, paths, 1, &fail), 0);
    assert_string_equal(recorded_name(recorded), "run.db and 4 more");
    recorded_close(recorded);
    unlink(next[0]);
    unlink(next[1]);
}

static void of_several_only_those_that_are_named_are_read(void **state)
{
    struct show *two = calloc(1, sizeof *two);
    void *void_two = two;

    (void)state;
    assert_non_null(two);
    open_show(two, 2);
    play_all(two);
    assert_int_equal(known_nodes(&two->fleet), 2);
    tear_down(&void_two);
}

static void a_recording_gives_the_screens_of_its_time(void **state)
{
    static char text[SCREEN_TEXT_BYTES];
    struct show *show = *state;
    struct ui ui;

    advance(show, 5 * second_ns);
    ui = ui_of(show, SCREEN_OVERVIEW);
    screen_check_golden("recorded-overview-120x36", text, draw(show, &ui, text));
    ui = ui_of(show, SCREEN_TOKENS);
    screen_check_golden("recorded-tokens-120x36", text, draw(show, &ui, text));
}

static void that_it_has_ended_is_said(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    struct show *show = *state;
    struct ui ui;

    play_all(show);
    ui = ui_of(show, SCREEN_OVERVIEW);
    text[draw(show, &ui, text)] = '\0';
    assert_non_null(strstr(text, "END OF RECORDING"));
    assert_null(strstr(text, "LIVE"));
}

static void how_often_it_is_looked_at_makes_no_difference(void **state)
{
    struct show *often = calloc(1, sizeof *often), *once = *state;
    void *void_often = often;
    char *one, *other;

    assert_non_null(often);
    open_show(often, 1);
    for (int i = 0; i < 600; i++)
        advance(often, 10 * ms_ns);
    advance(once, 6 * second_ns);
    one = snapshot(once);
    other = snapshot(often);
    assert_string_equal(one, other);
    free(one);
    free(other);
    tear_down(&void_often);
}

static void going_back_shows_what_was_shown_before(void **state)
{
    struct show *show = *state;
    char *before, *after;
    int64_t then_ns;
    double told = 0;

    step(show, 10);
    before = snapshot(show);
    then_ns = show->player.now_ns;
    step(show, 20);
    assert_true(show->player.token == 30 && show->player.now_ns > then_ns);
    show->player.tell = note_part, show->player.app = &told;
    step(show, -20);
    assert_true(show->player.token == 10 && show->player.now_ns == then_ns && told > 0 && told <= 1);
    after = snapshot(show);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void a_step_goes_on_to_the_report_that_follows_the_token(void **state)
{
    struct show *show = *state;
    const double drawn_s = FIRST_TOKEN_MS / 1e3;

    step(show, 1);
    assert_true(player_seconds(&show->player) > drawn_s - 1 && player_seconds(&show->player) < drawn_s + 1.1);
    for (int i = 0; i < 2 * TOKENS; i++)
        step(show, 1);
    assert_int_equal(show->player.token, TOKENS);
    step(show, -2 * TOKENS);
    assert_int_equal(show->player.token, 1);
}

static void a_step_to_a_token_shows_what_was_reported_of_it(void **state)
{
    static char text[SCREEN_TEXT_BYTES + 1];
    struct show *show = *state;
    struct ui ui;

    advance(show, 2 * second_ns);
    player_set_interval(&show->player, 10 * second_ns); /* the token's report comes long before its end */
    step(show, 3);
    ui = ui_of(show, SCREEN_TOKENS);
    ui.is_paused = true;
    ui.tick = show->fleet.ticks - 1;
    text[draw(show, &ui, text)] = '\0';
    assert_non_null(strstr(text, " node 0"));
}

static void the_last_part_of_an_interval_is_one_too(void **state)
{
    struct show *show = *state;
    uint64_t ticks = 0;

    while (!show->player.is_over) {
        assert_int_equal(player_tick(&show->player, &show->fail), 0);
        ticks++;
    }
    assert_int_equal(show->fleet.ticks, ticks);
    /* And one more at the beginning, against which counters are compared. */
    assert_int_equal(ticks, 1 + (uint64_t)ceil((double)(recorded_end_ns(show->recorded) - recorded_whole_ns(show->recorded)) / 1e9));
}

static void another_interval_begins_after_the_present_one(void **state)
{
    struct show *show = *state;

    advance(show, 2 * second_ns);
    assert_int_equal(show->fleet.ticks, 2);
    player_set_interval(&show->player, 100 * ms_ns);
    advance(show, second_ns);
    assert_in_range(show->fleet.ticks, 11, 12);
}

/* ---- what is no recording ---- */

static void expect_refused(const char *file, enum exit_code code, const char *why)
{
    struct recorded *recorded;
    struct fail fail = {0};

    assert_int_equal(recorded_open(&recorded, &file, 1, &fail), -1);
    assert_int_equal(fail.exit_code, code);
    if (strstr(fail.text, file) == NULL || strstr(fail.text, why) == NULL)
        fail_msg("not said: %s: %s: %s", file, why, fail.text);
}

static void what_is_no_recording_is_refused_in_words(void **state)
{
    char other[80], reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    FILE *file;

    (void)state;
    snprintf(other, sizeof other, "%s/other.db", folder);
    expect_refused(other, EXIT_ENVIRONMENT, "No such file");
    file = fopen(other, "w");
    assert_non_null(file);
    fputs("a text, and no trace, which is longer than the header of a database: otherwise that would be too short to be looked at", file);
    fclose(file);
    expect_refused(other, EXIT_BAD_FILE, "");
    unlink(other);
    assert_int_equal(mesh_trace_create(&trace, other, reason), 0);
    mesh_trace_close(trace);
    expect_refused(other, EXIT_BAD_FILE, "no telemetry");
    unlink(other);
}

/* A trace of two reports, of a recording that began at this time by its clock. */
static void make_small(const char *file, const char *begun_ns, const int64_t times_ns[2], const int64_t unix_ms[2])
{
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    const struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION, .serial = 1};
    struct mesh_telemetry_writer writer;
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;

    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    assert_int_equal(mesh_trace_create(&trace, file, reason), 0);
    assert_int_equal(mesh_trace_set_meta(trace, "begun_ns", begun_ns), 0);
    assert_int_equal(mesh_trace_set_meta(trace, "begun_unix_ns", "0"), 0);
    for (int i = 0; i < 2; i++) {
        const struct mesh_trace_report row = {.node = 1, .t_ns = times_ns[i], .unix_ms = unix_ms[i], .piece = {piece, writer.used}};

        assert_int_equal(mesh_trace_add_report(trace, &row, NULL), 0);
    }
    mesh_trace_close(trace);
}

/* A trace of two reports at these times is refused. */
static void expect_times_refused(int64_t first_ns, int64_t last_ns, int64_t unix_ms, const char *why)
{
    char other[80];

    snprintf(other, sizeof other, "%s/other.db", folder);
    make_small(other, "1", (const int64_t[]){first_ns, last_ns}, (const int64_t[]){unix_ms, unix_ms});
    expect_refused(other, EXIT_BAD_FILE, why);
    unlink(other);
}

/* A node whose clock is set right, from 1970, while its first file is written or between two, and another node. */
static void a_clock_that_was_set_does_not_tear_a_recording_apart(void **state)
{
    static const char *const names[] = {"set.db", "set-2.db", "set-3.db", "set.1.db"};
    const int64_t noon_ms = INT64_C(1790000000000), second = (int64_t)second_ns;
    const int64_t times_ns[4][2] = {{1 * second, 5 * second}, {6 * second, 9 * second}, {10 * second, 14 * second}, {0, 13 * second}};
    const int64_t unix_ms[4][2] = {{1000, 5000}, {6000, noon_ms + 9000}, {noon_ms + 10000, noon_ms + 14000}, {noon_ms, noon_ms + 13000}};
    char files[4][80];
    const char *first = files[0];
    struct recorded *recorded;
    struct fail fail = {0};

    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(files[i], sizeof files[i], "%s/%s", folder, names[i]);
        make_small(files[i], i == 3 ? "2" : "1", times_ns[i], unix_ms[i]);
    }
    if (recorded_open(&recorded, &first, 1, &fail) < 0)
        fail_msg("%s", fail.text);
    assert_true(recorded_begin_ns(recorded) == noon_ms * 1000000);
    assert_true(recorded_end_ns(recorded) == noon_ms * 1000000 + 14 * second);
    recorded_close(recorded);
    unlink(files[2]); /* in the last file that is left, the clock was set */
    if (recorded_open(&recorded, &first, 1, &fail) < 0)
        fail_msg("%s", fail.text);
    assert_true(recorded_begin_ns(recorded) == noon_ms * 1000000);
    assert_true(recorded_end_ns(recorded) == noon_ms * 1000000 + 13 * second);
    recorded_close(recorded);
    for (int i = 0; i < 4; i++)
        unlink(files[i]);
}

static void times_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_times_refused(-1, 5, 1, "its time is impossible");
    expect_times_refused(INT64_MAX, 5, 1, "its time is impossible");
    expect_times_refused(5, 6, INT64_MAX, "its time is impossible");
    expect_times_refused(5, INT64_MAX / 5, 1, "more than a year");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_one_trace_those_of_the_other_nodes_are_found, set_up, tear_down),
        cmocka_unit_test(and_the_files_that_follow_each_of_them),
        cmocka_unit_test(of_several_only_those_that_are_named_are_read),
        cmocka_unit_test_setup_teardown(a_recording_gives_the_screens_of_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(that_it_has_ended_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(how_often_it_is_looked_at_makes_no_difference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(going_back_shows_what_was_shown_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_to_a_token_shows_what_was_reported_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_goes_on_to_the_report_that_follows_the_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_part_of_an_interval_is_one_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_interval_begins_after_the_present_one, set_up, tear_down),
        cmocka_unit_test(what_is_no_recording_is_refused_in_words),
        cmocka_unit_test(times_that_cannot_be_are_refused),
        cmocka_unit_test(a_clock_that_was_set_does_not_tear_a_recording_apart),
    };

    return cmocka_run_group_tests(tests, make_traces, remove_traces);
}
