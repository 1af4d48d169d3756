/* Events: what nodes and the monitor itself noticed, the newest first. */
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "view.h"

enum { WIDTH_FOR_ADDRESSES = 76, ADDRESS_COLUMNS_MAX = 24, NODE_COLUMNS = 8, HAPPENED_COLUMNS = 10 };
enum { WHOLE_LINES = 4, HEIGHT_FOR_WHOLE = 14 };

/* What all lines of a list share. */
struct columns {
    bool has_dates, has_addresses;
    int reporter;
};

static bool matches(const struct view *view, const struct fleet_event *event, const char *pattern)
{
    return ui_matches(event->text, pattern) || ui_matches(fleet_event_reporter(view->fleet, event), pattern) ||
           ui_matches(fleet_event_subject(view->fleet, event), pattern) ||
           (event->happened != 0 && ui_matches(mesh_telemetry_event_name(event->happened), pattern));
}

/* Kept events, up to the shown time, that match the pattern; newest first. */
static int list_events(const struct view *view, const char *pattern, const struct fleet_event *list[FLEET_EVENTS])
{
    const int kept = fleet_list_events(view->fleet, 0, list);
    int count = 0;

    for (int i = 0; i < kept; i++)
        if ((!view->ui->is_paused || list[i]->tick <= view->tick + 1) && matches(view, list[i], pattern))
            list[count++] = list[i];
    return count;
}

static struct columns columns_of(const struct view *view, int width, const struct fleet_event **list, int count)
{
    struct columns columns = {.has_addresses = width >= WIDTH_FOR_ADDRESSES, .reporter = NODE_COLUMNS};

    for (int i = 0; i < count; i++) {
        const int reporter = glyph_columns(fleet_event_reporter(view->fleet, list[i]));

        columns.has_dates |= !format_is_same_day(list[i]->wall_ns, view->wall_ns);
        if (columns.has_addresses && reporter > columns.reporter)
            columns.reporter = reporter < ADDRESS_COLUMNS_MAX ? reporter : ADDRESS_COLUMNS_MAX;
    }
    return columns;
}

/* Is the event's subject named in its text, or is it the reporter itself? */
static bool names_subject(const struct view *view, const struct fleet_event *event)
{
    const char *subject = fleet_event_subject(view->fleet, event);

    return subject[0] == '\0' || strcmp(subject, fleet_event_reporter(view->fleet, event)) == 0 || strstr(event->text, subject) != NULL;
}

static void draw_event(struct view *view, struct area line, const struct columns *columns, const struct fleet_event *event)
{
    const enum style style = event->is_bad ? STYLE_BAD : STYLE_NORMAL;
    char clock[FORMAT_BYTES], name[8];
    struct area reporter;
    int x = 1, columns_used;

    (columns->has_dates ? format_date : format_clock)(event->wall_ns, clock);
    x += canvas_text(view->canvas, line, x, 0, STYLE_DIM, clock) + 1;
    if (event->happened == 0) {
        canvas_text_cut(view->canvas, line, x, 0, style, event->text);
        return;
    }
    reporter = area_part(line, x, 0, columns->reporter, 1);
    if (columns->has_addresses)
        canvas_text_cut(view->canvas, reporter, 0, 0, STYLE_DIM, fleet_event_reporter(view->fleet, event));
    else
        canvas_print(view->canvas, reporter, 0, 0, STYLE_DIM, "node %s", view_name(view, event->node, name));
    x += columns->reporter + 1;
    columns_used = canvas_text(view->canvas, line, x, 0, style, mesh_telemetry_event_name(event->happened));
    x += (columns_used > HAPPENED_COLUMNS ? columns_used : HAPPENED_COLUMNS) + 1;
    if (!names_subject(view, event))
        x += canvas_print(view->canvas, line, x, 0, style, "%s ", fleet_event_subject(view->fleet, event));
    canvas_text_cut(view->canvas, line, x, 0, STYLE_NORMAL, event->text);
}

/* The selected event with all of its text, for which its line may lack room. */
static void draw_whole(struct view *view, struct area area, const struct fleet_event *event)
{
    const char *subject = names_subject(view, event) ? "" : fleet_event_subject(view->fleet, event);
    const bool is_own = event->happened == 0;
    char moment[FORMAT_BYTES], name[96], rank[16] = "", text[2 * FLEET_NAME_BYTES];

    format_moment(event->wall_ns, moment);
    if (event->node >= 0)
        snprintf(rank, sizeof rank, ", node %s", view_name(view, event->node, name));
    snprintf(name, sizeof name, "%s  %.64s%s", moment, is_own ? "the monitor" : fleet_event_reporter(view->fleet, event), rank);
    canvas_rule(view->canvas, area, name);
    snprintf(text, sizeof text, "%s%s%s%s%s", is_own ? "" : mesh_telemetry_event_name(event->happened), is_own ? "" : "  ", subject,
             subject[0] != '\0' ? " " : "", event->text);
    canvas_text_wrapped(view->canvas, area_part(area, 1, 1, area.width - 2, area.height), STYLE_NORMAL, text);
}

void view_events(struct view *view, struct area area, bool is_screen)
{
    const struct fleet_event *list[FLEET_EVENTS];
    const char *pattern = is_screen ? view->ui->filter : ""; /* elsewhere the filter is meant for nodes */
    const int count = list_events(view, pattern, list);
    const int below = is_screen && count > 0 && area.height >= HEIGHT_FOR_WHOLE ? WHOLE_LINES : 0, room = area.height - 1 - below;
    const int selected = is_screen ? view_line(view, count) : 0;
    const int first = is_screen ? view_first_line(selected, count, room) : 0;
    const struct columns columns = columns_of(view, area.width, list, count < first + room ? count : first + room);

    if (area.height < 2)
        return;
    canvas_rule(view->canvas, area, "events, the newest first");
    for (int i = 0; i < room && first + i < count; i++) {
        const struct area line = area_part(area, 0, i + 1, area.width, 1);

        draw_event(view, line, &columns, list[first + i]);
        if (is_screen && first + i == selected)
            canvas_select(view->canvas, line);
    }
    if (count == 0)
        canvas_text(view->canvas, area, 1, 1, STYLE_DIM, pattern[0] != '\0' ? "none that matches" : "none yet");
    if (below > 0)
        draw_whole(view, area_below(area, area.height - below), list[selected]);
    if (is_screen) {
        ui_add_zone(view->ui, area_part(area, 0, 1, area.width, room), ACTION_SELECT, first, 0, 1);
    }
}
