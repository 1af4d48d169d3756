#include "ui.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "columns.h"
#include "table.h"

static const uint32_t intervals_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};

enum { INTERVALS = sizeof intervals_ms / sizeof *intervals_ms };

void ui_init(struct ui *ui, const struct settings *settings)
{
    *ui = (struct ui){.selected = FLEET_NOBODY, .receiver = FLEET_NOBODY, .page = 10};
    ui->screen = settings->screen < SCREENS ? (enum screen)settings->screen : SCREEN_OVERVIEW;
    ui->metric = settings->metric < METRICS ? (enum metric)settings->metric : METRIC_P99;
    ui->interval_ms = settings->interval_ms;
    ui->playback.speed = 1;
    ui->is_inverted = settings->is_inverted;
    for (int i = 0; i < columns_of_nodes_count; i++)
        if (columns_of_nodes[i].name != NULL && strcmp(columns_of_nodes[i].name, settings->sort) == 0)
            ui->sort = i;
}

void ui_settings(const struct ui *ui, struct settings *settings)
{
    settings->screen = ui->screen;
    settings->metric = ui->metric;
    settings->interval_ms = ui->interval_ms;
    settings->is_inverted = ui->is_inverted;
    snprintf(settings->sort, sizeof settings->sort, "%s", columns_of_nodes[ui->sort].name);
}

void ui_notice(struct ui *ui, uint64_t until_ns, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ui->notice, sizeof ui->notice, format, arguments);
    va_end(arguments);
    ui->notice_ns = until_ns;
}

void ui_add_zone(struct ui *ui, struct area area, enum action action, int argument, int step_x, int step_y)
{
    if (ui->zone_count < UI_ZONES && area.width > 0 && area.height > 0)
        ui->zone[ui->zone_count++] = (struct ui_zone){area, action, argument, step_x, step_y};
}

/* ---- what is shown ---- */

bool ui_tick(const struct ui *ui, const struct fleet *fleet, uint64_t *tick)
{
    *tick = ui->is_paused ? ui->tick : fleet->ticks > 0 ? fleet->ticks - 1 : 0;
    if (ui->is_paused && fleet->ticks > FLEET_HISTORY && *tick < fleet->ticks - FLEET_HISTORY)
        *tick = fleet->ticks - FLEET_HISTORY;
    return fleet_has_tick(fleet, *tick);
}

bool ui_matches(const char *text, const char *pattern)
{
    const size_t size = strlen(pattern);

    for (; strlen(text) >= size; text++) {
        if (strncasecmp(text, pattern, size) == 0)
            return true;
        if (*text == '\0')
            break;
    }
    return false;
}

static bool node_matches(const struct fleet_node *node, const char *pattern)
{
    char text[MESH_ADDR_TEXT_BYTES + 32], rank[8];

    snprintf(text, sizeof text, "%s %s %s", fleet_rank_text(node, rank), node->address, fleet_state_name(node->state));
    return ui_matches(text, pattern);
}

int ui_nodes(const struct ui *ui, const struct fleet *fleet, int nodes[FLEET_NODES_MAX])
{
    struct node_row rows[FLEET_NODES_MAX];
    const void *sorted[FLEET_NODES_MAX];
    uint64_t tick;
    int all[FLEET_NODES_MAX], count = 0;
    const int all_count = fleet_order(fleet, all);

    ui_tick(ui, fleet, &tick);
    for (int i = 0; i < all_count; i++)
        if (node_matches(&fleet->nodes[all[i]], ui->filter)) {
            rows[count] = columns_row(fleet, all[i], tick);
            sorted[count] = &rows[count];
            count++;
        }
    table_sort(&columns_of_nodes[ui->sort], ui->is_inverted, sorted, count);
    for (int i = 0; i < count; i++)
        nodes[i] = ((const struct node_row *)sorted[i])->node;
    return count;
}

static int index_of(const int *nodes, int count, int node)
{
    for (int i = 0; i < count; i++)
        if (nodes[i] == node)
            return i;
    return -1;
}

static int chosen(const struct ui *ui, const struct fleet *fleet, int node, int other)
{
    int nodes[FLEET_NODES_MAX];
    const int count = ui_nodes(ui, fleet, nodes);

    if (node >= 0 && fleet->nodes[node].is_used)
        return node;
    return count > other ? nodes[other] : count > 0 ? nodes[0] : FLEET_NOBODY;
}

int ui_selected(const struct ui *ui, const struct fleet *fleet)
{
    return chosen(ui, fleet, ui->selected, 0);
}

int ui_receiver(const struct ui *ui, const struct fleet *fleet)
{
    return chosen(ui, fleet, ui->receiver, 1);
}

/* ---- moving ---- */

static int clamp(int value, int count)
{
    return value >= count ? (count > 0 ? count - 1 : 0) : value < 0 ? 0 : value;
}

static void move_node(const struct ui *ui, const struct fleet *fleet, int *node, int present, int by)
{
    int nodes[FLEET_NODES_MAX];
    const int count = ui->screen == SCREEN_LINKS ? fleet_order(fleet, nodes) : ui_nodes(ui, fleet, nodes);

    if (count > 0)
        *node = nodes[clamp(index_of(nodes, count, present) + by, count)];
}

static void move(struct ui *ui, const struct fleet *fleet, int lines, int columns)
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

static void act_on_recording(struct ui *ui, enum action action, int argument)
{
    if (ui->playback.is_on) {
        playback_act(&ui->playback, action, argument);
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

    for (int i = 1; i <= count && ui->search[0] != '\0'; i++)
        if (node_matches(&fleet->nodes[nodes[(at + i) % count]], ui->search)) {
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
    const int count = fleet_order(fleet, nodes), row = argument & 0xff, column = argument >> 8;

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
        move(ui, fleet, action == ACTION_UP ? -1 : 1, 0);
        break;
    case ACTION_LEFT:
    case ACTION_RIGHT:
        move(ui, fleet, 0, action == ACTION_LEFT ? -1 : 1);
        break;
    case ACTION_PAGE_UP:
    case ACTION_PAGE_DOWN:
        move(ui, fleet, action == ACTION_PAGE_UP ? -page : page, 0);
        break;
    case ACTION_FIRST:
    case ACTION_LAST:
        move(ui, fleet, action == ACTION_FIRST ? -all : all, 0);
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
        act_on_recording(ui, action, argument);
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

/* ---- keys and clicks ---- */

static void end_typing(struct ui *ui, const struct fleet *fleet)
{
    const bool is_search = ui->mode == UI_SEARCHING;

    snprintf(is_search ? ui->search : ui->filter, UI_TEXT_BYTES, "%s", ui->typed);
    ui->mode = UI_BROWSING;
    if (is_search)
        search_next(ui, fleet);
}

static void type_key(struct ui *ui, const struct fleet *fleet, uint32_t key)
{
    const size_t size = strlen(ui->typed);

    if (key == KEY_IS_ENTER || key == '\r') {
        end_typing(ui, fleet);
    } else if (key == KEY_IS_ESCAPE || key == 3) {
        ui->mode = UI_BROWSING;
    } else if (key == KEY_IS_BACKSPACE || key == 127 || key == 8) {
        if (size > 0)
            ui->typed[size - 1] = '\0';
    } else if (key >= ' ' && key < 127 && size + 1 < sizeof ui->typed) {
        ui->typed[size] = (char)key;
        ui->typed[size + 1] = '\0';
    }
    if (ui->mode == UI_FILTERING) /* the filter applies while it is typed */
        snprintf(ui->filter, sizeof ui->filter, "%s", ui->typed);
}

/* Where the help does not fit. False: that shows no other part of it. */
static bool scroll_help(struct ui *ui, enum action action)
{
    const int all = ui->help_hidden, page = ui->help_room;
    const int lines[ACTIONS] = {[ACTION_UP] = -1,          [ACTION_DOWN] = 1,     [ACTION_PAGE_UP] = -page,
                                [ACTION_PAGE_DOWN] = page, [ACTION_FIRST] = -all, [ACTION_LAST] = all};

    if (all > 0)
        ui->help_line = ui->help_line + lines[action] < 0 ? 0 : ui->help_line + lines[action]; /* at most all: view_help */
    return all > 0 && lines[action] != 0;
}

void ui_key(struct ui *ui, const struct fleet *fleet, uint32_t key)
{
    const struct key_binding *binding = key_find(key);

    if (ui->notice_ns == UINT64_MAX)
        ui->notice_ns = 0;
    if (ui->mode == UI_SEARCHING || ui->mode == UI_FILTERING) {
        type_key(ui, fleet, key);
    } else if (ui->mode == UI_HELP && (binding == NULL || binding->action != ACTION_QUIT)) {
        if (binding == NULL || !scroll_help(ui, binding->action))
            ui->mode = UI_BROWSING; /* any other key closes it */
    } else if (binding != NULL) {
        ui_act(ui, fleet, binding->action, binding->argument);
    }
}

static bool is_in(struct area area, int x, int y)
{
    return x >= area.x && y >= area.y && x < area.x + area.width && y < area.y + area.height;
}

void ui_mouse(struct ui *ui, const struct fleet *fleet, int x, int y, int wheel_lines)
{
    if (ui->mode == UI_HELP && wheel_lines != 0 && scroll_help(ui, wheel_lines < 0 ? ACTION_UP : ACTION_DOWN))
        return;
    if (ui->mode != UI_BROWSING) {
        ui->mode = UI_BROWSING;
        return;
    }
    if (wheel_lines != 0) {
        move(ui, fleet, wheel_lines, 0);
        return;
    }
    for (int i = ui->zone_count; i-- > 0;) {
        const struct ui_zone *zone = &ui->zone[i];

        if (is_in(zone->area, x, y)) {
            const int down = zone->step_y > 0 ? (y - zone->area.y) / zone->step_y : 0;
            const int across = zone->step_x > 0 ? (x - zone->area.x) / zone->step_x : 0;

            ui_act(ui, fleet, zone->action, zone->argument + down + (across << 8));
            return;
        }
    }
}
