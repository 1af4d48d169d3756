/* What each action does to what the user sees and has chosen. */
#include <stdio.h>

#include "columns.h"
#include "ui.h"

static const uint32_t intervals_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};

enum { INTERVALS = sizeof intervals_ms / sizeof *intervals_ms };

/* ---- moving ---- */

static int index_of(const int *nodes, int count, int node)
{
    for (int i = 0; i < count; i++)
        if (nodes[i] == node)
            return i;
    return -1;
}

static int clamp(int value, int count)
{
    return value >= count ? (count > 0 ? count - 1 : 0) : value < 0 ? 0 : value;
}

/* Nodes as the matrix of links lists them. */
static int order_shown(const struct ui *ui, const struct fleet *fleet, int nodes[FLEET_NODES_MAX])
{
    uint64_t tick;

    ui_tick(ui, fleet, &tick);
    return fleet_order_at(fleet, tick, nodes);
}

static void move_node(const struct ui *ui, const struct fleet *fleet, int *node, int present, int by)
{
    int nodes[FLEET_NODES_MAX];
    const int count = ui->screen == SCREEN_LINKS ? order_shown(ui, fleet, nodes) : ui_nodes(ui, fleet, nodes);

    if (count > 0)
        *node = nodes[clamp(index_of(nodes, count, present) + by, count)];
}

void ui_move(struct ui *ui, const struct fleet *fleet, int lines, int columns)
{
    if (ui->screen == SCREEN_LINKS) {
        if (lines != 0)
            move_node(ui, fleet, &ui->selected, ui_selected(ui, fleet), lines);
        if (columns != 0)
            move_node(ui, fleet, &ui->receiver, ui_receiver(ui, fleet), columns);
    } else if (columns != 0 && ui->screen != SCREEN_NODE) {
        ui_act(ui, fleet, columns < 0 ? ACTION_EARLIER : ACTION_LATER, 1);
    } else if (ui->screen == SCREEN_OVERVIEW || ui->screen == SCREEN_NODE) {
        move_node(ui, fleet, &ui->selected, ui_selected(ui, fleet), lines + columns);
    } else {
        ui->line = clamp(ui->line + lines, ui->line_count);
    }
}

/* Move through the past. Moving back pauses; reaching the present does not resume. */
static void travel(struct ui *ui, const struct fleet *fleet, int64_t by)
{
    const uint64_t last = fleet->ticks > 0 ? fleet->ticks - 1 : 0;
    const uint64_t oldest = fleet->ticks > FLEET_HISTORY ? fleet->ticks - FLEET_HISTORY : 0;
    const uint64_t first = fleet->first_tick > oldest ? fleet->first_tick : oldest;
    int64_t tick;

    if (!ui->is_paused && by >= 0)
        return;
    if (!ui->is_paused)
        ui->tick = last;
    ui->is_paused = true;
    tick = (int64_t)ui->tick + by;
    if (ui->playback.is_on && tick > (int64_t)last) /* beyond what has been played: play on */
        ui->playback.wants_ticks += (int)(tick - (int64_t)last);
    ui->tick = tick < (int64_t)first ? first : (uint64_t)tick > last ? last : (uint64_t)tick;
}

static void change_interval(struct ui *ui, bool is_longer)
{
    int at = 0;

    while (at < INTERVALS - 1 && intervals_ms[at] < ui->interval_ms)
        at++;
    if (is_longer)
        at += intervals_ms[at] <= ui->interval_ms;
    else
        at--;
    ui->interval_ms = intervals_ms[clamp(at, INTERVALS)];
}

static void act_on_recording(struct ui *ui, const struct fleet *fleet, enum action action, int argument)
{
    if (ui->playback.is_on) {
        playback_act(&ui->playback, action, argument);
        if (!ui->is_paused) /* until the step is made, what is shown stays */
            ui->tick = fleet->ticks > 0 ? fleet->ticks - 1 : 0;
        ui->is_paused |= action == ACTION_STEP_TOKEN;
    } else {
        ui_notice(ui, UINT64_MAX, "only in a recording: mesh-monitor --trace TRACE.db");
    }
}

static void sort_by(struct ui *ui, int column)
{
    if (column == ui->sort)
        ui->is_inverted = !ui->is_inverted;
    ui->sort = column;
}

/* Sort by the next column that can be sorted by. */
static void sort_next(struct ui *ui, int step)
{
    do
        ui->sort = (ui->sort + columns_of_nodes_count + step) % columns_of_nodes_count;
    while (columns_of_nodes[ui->sort].name == NULL);
}

static void search_next(struct ui *ui, const struct fleet *fleet)
{
    int nodes[FLEET_NODES_MAX];
    const int count = ui_nodes(ui, fleet, nodes), at = index_of(nodes, count, ui_selected(ui, fleet));
    uint64_t tick;

    ui_tick(ui, fleet, &tick);
    for (int i = 1; i <= count && ui->search[0] != '\0'; i++)
        if (ui_node_matches(fleet, nodes[(at + i) % count], tick, ui->search)) {
            ui->selected = nodes[(at + i) % count];
            return;
        }
}

static void show(struct ui *ui, enum screen screen)
{
    if (ui->screen != screen) {
        ui->screen_before = ui->screen;
        ui->line = 0;
    }
    ui->screen = screen;
}

static void open_selected(struct ui *ui, const struct fleet *fleet)
{
    if (ui->screen == SCREEN_LINKS)
        ui->selected = ui_receiver(ui, fleet);
    if (ui->screen == SCREEN_OVERVIEW || ui->screen == SCREEN_LINKS) {
        ui->selected = ui_selected(ui, fleet);
        show(ui, SCREEN_NODE);
    }
}

static void go_back(struct ui *ui)
{
    if (ui->mode == UI_HELP)
        ui->mode = UI_BROWSING;
    else if (ui->filter[0] != '\0')
        ui->filter[0] = '\0';
    else if (ui->search[0] != '\0')
        ui->search[0] = '\0';
    else if (ui->screen == SCREEN_NODE)
        show(ui, ui->screen_before != SCREEN_NODE ? ui->screen_before : SCREEN_OVERVIEW);
    else
        show(ui, SCREEN_OVERVIEW);
}

static void select_cell(struct ui *ui, const struct fleet *fleet, int argument)
{
    int nodes[FLEET_NODES_MAX];
    const int count = order_shown(ui, fleet, nodes), row = argument & 0xff, column = argument >> 8;

    if (row >= count || column >= count)
        return;
    if (ui->selected == nodes[row] && ui->receiver == nodes[column])
        open_selected(ui, fleet);
    else
        ui->selected = nodes[row], ui->receiver = nodes[column];
}

/* A click selects a line; a second one opens it. */
static void select_line(struct ui *ui, const struct fleet *fleet, int line)
{
    int nodes[FLEET_NODES_MAX];
    const int count = ui_nodes(ui, fleet, nodes);

    if (ui->screen != SCREEN_OVERVIEW)
        ui->line = clamp(line, ui->line_count);
    else if (line < count && ui->selected == nodes[line])
        open_selected(ui, fleet);
    else if (line < count)
        ui->selected = nodes[line];
}

static void begin_typing(struct ui *ui, enum ui_mode mode)
{
    ui->mode = mode;
    snprintf(ui->typed, sizeof ui->typed, "%s", mode == UI_SEARCHING ? "" : ui->filter);
}

/* ---- actions ---- */

static void act_on_state(struct ui *ui, const struct fleet *fleet, enum action action)
{
    switch (action) {
    case ACTION_PAUSE:
        ui->tick = fleet->ticks > 0 ? fleet->ticks - 1 : 0;
        ui->is_paused = !ui->is_paused;
        break;
    case ACTION_METRIC:
        ui->metric = (ui->metric + 1) % METRICS;
        break;
    case ACTION_FASTER:
    case ACTION_SLOWER:
        change_interval(ui, action == ACTION_SLOWER);
        break;
    case ACTION_RESET:
        ui->wants_reset = true;
        ui->is_paused = false;
        break;
    case ACTION_SAVE:
        if (ui->is_read_only)
            ui_notice(ui, UINT64_MAX, "nothing is written: --readonly");
        else
            ui->wants_save = true;
        break;
    case ACTION_SEARCH:
        begin_typing(ui, UI_SEARCHING);
        break;
    case ACTION_FILTER:
        begin_typing(ui, UI_FILTERING);
        break;
    case ACTION_SEARCH_NEXT:
        search_next(ui, fleet);
        break;
    case ACTION_HELP:
        ui->mode = ui->mode == UI_HELP ? UI_BROWSING : UI_HELP;
        ui->help_line = 0;
        break;
    case ACTION_BACK:
        go_back(ui);
        break;
    case ACTION_QUIT:
        ui->is_over = true;
        break;
    default:
        break;
    }
}

void ui_act(struct ui *ui, const struct fleet *fleet, enum action action, int argument)
{
    const int page = ui->page > 1 ? ui->page - 1 : 1, all = 1 << 16;

    switch (action) {
    case ACTION_SCREEN:
        show(ui, (enum screen)argument);
        break;
    case ACTION_NEXT_SCREEN:
        show(ui, (ui->screen + 1) % SCREENS);
        break;
    case ACTION_PREVIOUS_SCREEN:
        show(ui, (ui->screen + SCREENS - 1) % SCREENS);
        break;
    case ACTION_UP:
    case ACTION_DOWN:
        ui_move(ui, fleet, action == ACTION_UP ? -1 : 1, 0);
        break;
    case ACTION_LEFT:
    case ACTION_RIGHT:
        ui_move(ui, fleet, 0, action == ACTION_LEFT ? -1 : 1);
        break;
    case ACTION_PAGE_UP:
    case ACTION_PAGE_DOWN:
        ui_move(ui, fleet, action == ACTION_PAGE_UP ? -page : page, 0);
        break;
    case ACTION_FIRST:
    case ACTION_LAST:
        ui_move(ui, fleet, action == ACTION_FIRST ? -all : all, 0);
        break;
    case ACTION_OPEN:
        open_selected(ui, fleet);
        break;
    case ACTION_SORT_NEXT:
    case ACTION_SORT_PREVIOUS:
        sort_next(ui, action == ACTION_SORT_NEXT ? 1 : -1);
        break;
    case ACTION_SORT_BY:
        sort_by(ui, argument);
        break;
    case ACTION_INVERT:
        ui->is_inverted = !ui->is_inverted;
        break;
    case ACTION_EARLIER:
    case ACTION_LATER:
        travel(ui, fleet, action == ACTION_EARLIER ? -argument : argument);
        break;
    case ACTION_SPEED:
    case ACTION_STEP_TOKEN:
    case ACTION_BEGIN:
        act_on_recording(ui, fleet, action, argument);
        break;
    case ACTION_SELECT:
        select_line(ui, fleet, argument);
        break;
    case ACTION_SELECT_CELL:
        select_cell(ui, fleet, argument);
        break;
    default:
        act_on_state(ui, fleet, action);
    }
}
