/* Events: what nodes and the monitor itself noticed, the newest first. */
#include <stdio.h>
#include <string.h>

#include "columns.h"
#include "figure.h"
#include "view.h"

/* By their time: nodes are heard one after another, each with all that has happened to it. Of the same time the one heard last is first. */
static void insert(const struct view *view, int *indices, int count, int index)
{
    int at = count;

    for (; at > 0 && view->fleet->events[indices[at - 1]].wall_ns < view->fleet->events[index].wall_ns; at--)
        indices[at] = indices[at - 1];
    indices[at] = index;
}

/* Events that are kept, are of the shown time, and match the pattern: indices, the newest first. */
static int list_events(const struct view *view, const char *pattern, int *indices)
{
    const uint64_t kept = view->fleet->event_count < FLEET_EVENTS ? view->fleet->event_count : FLEET_EVENTS;
    int count = 0;

    for (uint64_t i = 0; i < kept; i++) {
        const int index = (int)((view->fleet->event_count - 1 - i) % FLEET_EVENTS);
        const struct fleet_event *event = &view->fleet->events[index];

        if (view->ui->is_paused && event->tick > view->tick + 1)
            continue;
        if (ui_matches(event->text, pattern) || ui_matches(mesh_telemetry_happening_name(event->happened), pattern))
            insert(view, indices, count++, index);
    }
    return count;
}

static void draw_event(struct view *view, struct area line, const struct fleet_event *event)
{
    const enum style style = event->is_bad ? STYLE_BAD : STYLE_NORMAL;
    char clock[FIGURE_BYTES], name[8], what[64];
    int x = 1;

    figure_clock(event->wall_ns, clock);
    x += canvas_text(view->canvas, line, x, 0, STYLE_DIM, clock) + 1;
    if (event->happened == 0) {
        canvas_text(view->canvas, line, x, 0, style, event->text);
        return;
    }
    snprintf(what, sizeof what, "node %s", view_name(view, event->node, name));
    canvas_text(view->canvas, line, x, 0, STYLE_DIM, what);
    x += 9;
    canvas_text(view->canvas, line, x, 0, style, mesh_telemetry_happening_name(event->happened));
    x += 11;
    if (event->about >= 0 && event->about != event->node && strcmp(event->text, view->fleet->nodes[event->about].address) != 0)
        x += canvas_print(view->canvas, line, x, 0, style, "%s ", view->fleet->nodes[event->about].address);
    canvas_text(view->canvas, line, x, 0, STYLE_NORMAL, event->text);
}

void view_events(struct view *view, struct area area, bool is_screen)
{
    int indices[FLEET_EVENTS];
    const char *pattern = is_screen ? view->ui->filter : ""; /* elsewhere it is meant for nodes */
    const int count = list_events(view, pattern, indices), room = area.height - 1;
    const int first = is_screen ? view_first_line(view->ui->line, count, room) : 0;

    if (area.height < 2)
        return;
    canvas_rule(view->canvas, area, "events, the newest first");
    for (int i = 0; i < room && first + i < count; i++) {
        const struct area line = area_part(area, 0, i + 1, area.width, 1);

        draw_event(view, line, &view->fleet->events[indices[first + i]]);
        if (is_screen && first + i == view->ui->line)
            canvas_select(view->canvas, line);
    }
    if (count == 0)
        canvas_text(view->canvas, area, 1, 1, STYLE_DIM, pattern[0] != '\0' ? "none that matches" : "none yet");
    if (is_screen) {
        view->ui->line_count = count;
        ui_add_zone(view->ui, area_below(area, 1), ACTION_SELECT, first, 0, 1);
    }
}
