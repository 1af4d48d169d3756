#include "ui.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "columns.h"
#include "table.h"

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

bool ui_node_matches(const struct fleet *fleet, int node, uint64_t tick, const char *pattern)
{
    char text[MESH_ADDR_TEXT_BYTES + 32], rank[8];

    snprintf(text, sizeof text, "%s %s %s", fleet_rank_text_at(fleet, node, tick, rank), fleet->nodes[node].address,
             fleet_state_name(fleet_state_at(fleet, node, tick)));
    return ui_matches(text, pattern);
}

int ui_nodes(const struct ui *ui, const struct fleet *fleet, int nodes[FLEET_NODES_MAX])
{
    struct node_row rows[FLEET_NODES_MAX];
    const void *sorted[FLEET_NODES_MAX];
    uint64_t tick;
    int all[FLEET_NODES_MAX], count = 0;
    int all_count;

    ui_tick(ui, fleet, &tick);
    all_count = fleet_order_at(fleet, tick, all);
    for (int i = 0; i < all_count; i++)
        if (ui_node_matches(fleet, all[i], tick, ui->filter)) {
            rows[count] = columns_row(fleet, all[i], tick);
            sorted[count] = &rows[count];
            count++;
        }
    table_sort(&columns_of_nodes[ui->sort], ui->is_inverted, sorted, count);
    for (int i = 0; i < count; i++)
        nodes[i] = ((const struct node_row *)sorted[i])->node;
    return count;
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

/* ---- keys and clicks ---- */

static void end_typing(struct ui *ui, const struct fleet *fleet)
{
    const bool is_search = ui->mode == UI_SEARCHING;

    snprintf(is_search ? ui->search : ui->filter, UI_TEXT_BYTES, "%s", ui->typed);
    ui->mode = UI_BROWSING;
    if (is_search)
        ui_act(ui, fleet, ACTION_SEARCH_NEXT, 0);
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
        ui->help_line = ui->help_line + lines[action] < 0 ? 0 : ui->help_line + lines[action]; /* at most all: view.c */
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
        ui_move(ui, fleet, wheel_lines, 0);
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
