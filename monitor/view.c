#include "view.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bar.h"
#include "columns.h"
#include "format.h"

static const char *const screen_names[] = {"Overview", "Links", "Node", "Tokens", "Requests", "Events"};
_Static_assert(sizeof screen_names / sizeof *screen_names == SCREENS, "each screen has a name");

const char *view_name(const struct view *view, int node, char out[8])
{
    if (node < 0) {
        snprintf(out, 8, "?");
        return out;
    }
    return view->has_tick ? fleet_rank_text_at(view->fleet, node, view->tick, out) : fleet_rank_text(&view->fleet->nodes[node], out);
}

/* ---- first line ---- */

/* Of the time that is shown. */
static int alive_count(const struct view *view)
{
    const struct fleet *fleet = view->fleet;
    int count = 0;

    for (int i = 0; i < fleet->node_end; i++)
        count += fleet->nodes[i].is_used && fleet_is_alive(view->has_tick ? fleet_state_at(fleet, i, view->tick) : fleet->nodes[i].state);
    return count;
}

static void clock_text(const struct view *view, char out[FORMAT_BYTES])
{
    snprintf(out, FORMAT_BYTES, "-");
    if (view->has_tick)
        format_clock(view->fleet->tick_wall_ns[view->tick % FLEET_HISTORY], out);
}

/* The same for a recording: its position and speed. */
static enum style how_it_is_played(const struct view *view, char *out, size_t size)
{
    const struct playback *p = &view->ui->playback;
    const bool is_past = view->ui->is_paused && view->has_tick && view->tick + 1 < view->fleet->ticks;
    char clock[FORMAT_BYTES], token[64] = "";

    clock_text(view, clock);
    if (p->tokens > 0 && view->canvas->width >= 100)
        snprintf(token, sizeof token, "token %zu of %zu  ", p->token, p->tokens);
    if (view->canvas->width < 60 && !is_past)
        clock[0] = '\0';
    if (view->ui->is_paused)
        snprintf(out, size, " PAUSED %s%.1f of %.1f s  %s ", is_past ? "" : token, p->seconds, p->total, clock);
    else if (p->is_over)
        snprintf(out, size, " END OF RECORDING  %.1f s  %s ", p->total, clock);
    else
        snprintf(out, size, " ▶ ×%g  %s%.1f of %.1f s  %s ", p->speed, token, p->seconds, p->total, clock);
    return view->ui->is_paused || p->is_over ? STYLE_FOUND : STYLE_TITLE;
}

/* "LIVE", "PAUSED", ... at the right; its style. */
static enum style how_it_goes(const struct view *view, char *out, size_t size)
{
    const struct fleet *fleet = view->fleet;
    char clock[FORMAT_BYTES];

    clock_text(view, clock);
    if (view->ui->playback.is_on)
        return how_it_is_played(view, out, size);
    if (view->ui->is_paused) {
        char age[FORMAT_BYTES] = "0 s";

        if (view->has_tick)
            format_age_s((double)(view->now_ns - fleet->tick_ns[view->tick % FLEET_HISTORY]) / 1e9, age); /* clocks may be set meanwhile */
        snprintf(out, size, " PAUSED %s, %s ago ", clock, age);
        return STYLE_FOUND;
    }
    if (!fleet->is_connected) {
        if (view->has_tick)
            format_when(fleet->tick_wall_ns[view->tick % FLEET_HISTORY], view->wall_ns, clock);
        snprintf(out, size, fleet->ticks > 0 ? " NO CONNECTION since %s " : " NOT CONNECTED ", clock);
        return STYLE_BAD;
    }
    snprintf(out, size, " ● LIVE %g s  %s ", view->ui->interval_ms / 1e3, clock);
    return STYLE_TITLE;
}

static void draw_title(struct view *view)
{
    const struct area area = view->layout.part[PART_TITLE];
    const int witness = fleet_witness(view->fleet);
    const struct fleet_node *node = witness >= 0 ? &view->fleet->nodes[witness] : NULL;
    const int alive = alive_count(view);
    const bool has_begun = !view->has_tick || view->tick + 1 >= view->fleet->ticks || fleet_epoch_age_ns(view->fleet, view->tick) > 0;
    char right[800], epoch[24];
    const enum style style = how_it_goes(view, right, sizeof right);
    const struct area left = area_part(area, 0, 0, area.width - glyph_columns(right), 1);
    int x;

    canvas_fill(view->canvas, area, STYLE_TITLE, ' ');
    x = canvas_text(view->canvas, left, 0, 0, STYLE_TITLE, area.width < 60 && node != NULL ? " " : " mesh-monitor  ");
    if (node != NULL) {
        const char *slash = strrchr(node->model, '/');

        x += canvas_print(view->canvas, left, x, 0, STYLE_TITLE, "%d node%s  ", alive, alive == 1 ? "" : "s");
        snprintf(epoch, sizeof epoch, "epoch %u", node->head.epoch);
        if (has_begun && x + glyph_columns(epoch) <= left.width) /* half a number would be another one */
            x += canvas_text(view->canvas, left, x, 0, STYLE_TITLE, epoch) + 2;
        canvas_text_cut(view->canvas, left, x, 0, STYLE_TITLE, slash != NULL ? slash + 1 : node->model);
    }
    canvas_text_right(view->canvas, area, area.width, 0, style, right);
}

/* ---- second and last line ---- */

static void draw_tabs(struct view *view)
{
    const struct area area = view->layout.part[PART_TABS];
    const bool is_narrow = area.width < 70;
    int x = 0;

    canvas_fill(view->canvas, area, STYLE_TAB, ' ');
    for (int i = 0; i < SCREENS; i++) {
        const enum style style = (int)view->ui->screen == i ? STYLE_TAB_SHOWN : STYLE_TAB;
        const int begin = x;

        if (is_narrow && (int)view->ui->screen != i)
            x += canvas_print(view->canvas, area, x, 0, style, " %d ", i + 1);
        else
            x += canvas_print(view->canvas, area, x, 0, style, " %d %s ", i + 1, screen_names[i]);
        ui_add_zone(view->ui, area_part(area, begin, 0, x - begin, 1), ACTION_SCREEN, i, 0, 0);
    }
    if (view->ui->filter[0] != '\0')
        canvas_print(view->canvas, area, x + 1, 0, STYLE_FOUND, " filter: %s ", view->ui->filter);
}

/* Has the action an effect on that screen? */
static bool is_of_screen(enum action action, enum screen screen)
{
    return action == ACTION_METRIC ? screen == SCREEN_LINKS : action != ACTION_SORT_NEXT || screen == SCREEN_OVERVIEW;
}

/* As many as there is room for, with the way out. */
static void draw_keys(struct view *view)
{
    enum { QUIT_COLUMNS = 5 };
    static const struct {
        const char *key, *text;
        enum action action;
    } keys[] = {
        {"F1", "Help", ACTION_HELP},      {"Tab", "Screen", ACTION_NEXT_SCREEN},
        {"/", "Search", ACTION_SEARCH},   {"\\", "Filter", ACTION_FILTER},
        {"F6", "Sort", ACTION_SORT_NEXT}, {"Space", "Pause", ACTION_PAUSE},
        {"m", "Metric", ACTION_METRIC},   {"s", "Save", ACTION_SAVE},
        {"q", "Quit", ACTION_QUIT},
    };
    const struct area area = view->layout.part[PART_KEYS];
    int x = 0;

    if (view->ui->mode == UI_SEARCHING || view->ui->mode == UI_FILTERING) {
        canvas_print(view->canvas, area, 0, 0, STYLE_STRONG, "%s: %s_", view->ui->mode == UI_SEARCHING ? "Search" : "Filter",
                     view->ui->typed);
        return;
    }
    if (view->ui->notice_ns > view->now_ns) {
        canvas_text(view->canvas, area, 0, 0, STYLE_STRONG, view->ui->notice);
        return;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const int columns = glyph_columns(keys[i].key) + glyph_columns(keys[i].text), begin = x;
        const bool has_room = keys[i].action == ACTION_QUIT || x + columns + 1 + QUIT_COLUMNS <= area.width;

        if (!has_room || !is_of_screen(keys[i].action, view->ui->screen))
            continue;
        x += canvas_text(view->canvas, area, x, 0, STYLE_KEY, keys[i].key);
        x += canvas_print(view->canvas, area, x, 0, STYLE_KEY_TEXT, "%s", keys[i].text);
        ui_add_zone(view->ui, area_part(area, begin, 0, x - begin, 1), keys[i].action, 0, 0, 0);
        x += 1;
    }
}

/* ---- shared by screens ---- */

/* How long ago the first of so many values was; intervals may have been longer or shorter before. */
static double span_s(const struct view *view, int count)
{
    const struct fleet *fleet = view->fleet;
    const uint64_t wanted = count > 1 ? (uint64_t)count - 1 : 0;
    uint64_t back = 0;

    while (back < wanted && back < view->tick && fleet_has_tick(fleet, view->tick - back - 1))
        back++;
    return (double)(fleet->tick_ns[view->tick % FLEET_HISTORY] - fleet->tick_ns[(view->tick - back) % FLEET_HISTORY]) / 1e9 +
           (double)(wanted - back + 1) * (double)fleet->interval_ns / 1e9;
}

void view_speed(struct view *view, struct area area)
{
    float values[2 * CANVAS_WIDTH_MAX], top = 0;
    const struct area curve = area_part(area, 8, 1, area.width - 8, area.height - 1);
    const int count = bar_curve_values(view->canvas, curve.width);
    char text[FORMAT_BYTES], age[FORMAT_BYTES], name[96];

    if (area.height < 2)
        return;
    for (int i = 0; i < count; i++) {
        const uint64_t back = (uint64_t)(count - 1 - i);

        values[i] = back <= view->tick ? fleet_tok_per_s(view->fleet, view->tick - back) : NAN;
        if (values[i] > top)
            top = values[i];
    }
    format_speed(count > 0 ? (double)values[count - 1] : 0, text);
    format_age_s(span_s(view, count), age);
    snprintf(name, sizeof name, "tokens per second: %s, the last %s", count > 0 ? text : "-", age);
    canvas_rule(view->canvas, area, name);
    if (!(top > 0))
        return;
    format_speed((double)top, text);
    canvas_text_right(view->canvas, area, 7, 1, STYLE_DIM, text);
    canvas_text_right(view->canvas, area, 7, area.height - 1, STYLE_DIM, "0");
    bar_curve(view->canvas, curve, STYLE_GRAPH, values, count, top);
}

int view_line(struct view *view, int count)
{
    if (view->ui->line >= count)
        view->ui->line = count > 0 ? count - 1 : 0;
    view->ui->line_count = count;
    return view->ui->line;
}

int view_first_line(int selected, int count, int room)
{
    if (room <= 0 || count <= room || selected < room / 2)
        return 0;
    return selected + (room + 1) / 2 > count ? count - room : selected - room / 2;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

enum { HELP_WIDTH = 66, HELP_NOTES = 4 /* an empty line, kinds of time, two sentences */ };

/* Line of the notes below the keys. */
static void draw_note(struct view *view, struct area line, int note)
{
    int x = 2;

    for (enum time_kind kind = 0; kind < TIME_KINDS && note == 1; kind++) {
        canvas_put(view->canvas, line, x, 0, columns_time_style(kind), columns_time_glyph(kind));
        x += 2 + canvas_text(view->canvas, line, x + 2, 0, STYLE_NORMAL, columns_time_name(kind)) + 2;
    }
    if (note == 2)
        canvas_text_cut(view->canvas, line, 2, 0, STYLE_DIM, "waiting: a step is open, its next input has not arrived");
    if (note == 3)
        canvas_text_cut(view->canvas, line, 2, 0, STYLE_DIM, "links are one-way: sender → receiver, as the receiver measures");
}

static void draw_help(struct view *view)
{
    const int width = least(HELP_WIDTH, view->canvas->width);
    int keys = 0, first, at = 0, room;
    struct area area = {(view->canvas->width - width) / 2, 0, width, 0}, inside;

    for (int i = 0; i < key_binding_count; i++)
        keys += key_bindings[i].name != NULL;
    area.height = least(keys + HELP_NOTES + 2, view->canvas->height);
    area.y = (view->canvas->height - area.height) / 2;
    room = area.height > 2 ? area.height - 2 : 0;
    view->ui->help_room = room;
    view->ui->help_hidden = keys + HELP_NOTES - room;
    first = view->ui->help_line = least(view->ui->help_line, view->ui->help_hidden);
    canvas_fill(view->canvas, area, STYLE_NORMAL, ' ');
    canvas_rule(view->canvas, area,
                view->ui->help_hidden > 0 ? "help: ↑ ↓ show the rest, any other key closes it" : "help: any key closes it");
    inside = area_part(area, 0, 1, area.width, room);
    for (int i = 0; i < key_binding_count; i++)
        if (key_bindings[i].name != NULL) {
            const struct area line = area_part(inside, 0, at - first, inside.width, at >= first);

            canvas_text(view->canvas, line, 2, 0, STYLE_STRONG, key_bindings[i].name);
            canvas_text_cut(view->canvas, line, 16, 0, STYLE_NORMAL, key_bindings[i].help);
            at++;
        }
    for (int note = 0; note < HELP_NOTES; note++, at++)
        draw_note(view, area_part(inside, 0, at - first, inside.width, at >= first), note);
    canvas_rule(view->canvas, area_below(area, area.height - 1), "");
}

/* Without a connection all but the findings is grey, except while paused. */
static void grey(struct view *view)
{
    if (view->fleet->is_connected || view->ui->is_paused)
        return;
    for (int part = PART_MAIN; part < PART_KEYS; part++)
        if (part != PART_FINDINGS)
            canvas_restyle(view->canvas, view->layout.part[part], STYLE_STALE);
}

/* Lines of the main part: one for each node or worker, and a heading. */
static int rows_of(const struct view *view)
{
    const int selected = ui_selected(view->ui, view->fleet);
    int count = 0;

    if (view->ui->screen == SCREEN_NODE)
        return (selected >= 0 ? (int)view->fleet->nodes[selected].worker_count : 0) + 1;
    for (int i = 0; i < view->fleet->node_end; i++)
        count += view->fleet->nodes[i].is_used;
    return count + 1;
}

void view_draw(struct canvas *canvas, const struct fleet *fleet, struct ui *ui, uint64_t now_ns, int64_t wall_ns)
{
    struct view view = {.canvas = canvas, .fleet = fleet, .ui = ui, .now_ns = now_ns, .wall_ns = wall_ns};
    struct layout_findings lines = {0};

    canvas_clear(canvas);
    ui->zone_count = 0;
    view.has_tick = ui_tick(ui, fleet, &view.tick);
    if (ui->screen == SCREEN_OVERVIEW)
        lines = view_find(&view);
    view.layout = layout_make(ui->screen, canvas->width, canvas->height, rows_of(&view), lines);
    ui->page = view.layout.part[PART_MAIN].height - 1;
    switch (ui->screen) {
    case SCREEN_OVERVIEW:
        view_overview(&view);
        break;
    case SCREEN_LINKS:
        view_links(&view);
        break;
    case SCREEN_NODE:
        view_node(&view);
        break;
    case SCREEN_TOKENS:
        view_tokens(&view);
        break;
    case SCREEN_REQUESTS:
        view_requests(&view);
        break;
    case SCREEN_EVENTS:
        view_events(&view, view.layout.part[PART_MAIN], true);
        break;
    case SCREENS:
        assert(!"a screen");
    }
    grey(&view);
    draw_title(&view);
    draw_tabs(&view);
    draw_keys(&view);
    if (ui->mode == UI_HELP)
        draw_help(&view);
}
