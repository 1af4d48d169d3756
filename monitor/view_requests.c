/* Requests, running ones first: a table with one entry per column, like the overview's. */
#include <math.h>
#include <stdio.h>

#include "format.h"
#include "table.h"
#include "view.h"

struct request_row {
    const struct view *view;
    const struct fleet_request *request;
};

static const struct mesh_telemetry_request *now_of(const void *row)
{
    return &((const struct request_row *)row)->request->now;
}

static void draw_id(const void *row, const struct table_cell *cell)
{
    char text[TABLE_TEXT_BYTES];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)now_of(row)->request);
    table_text(cell, false, cell->style, text);
}

static void draw_node(const void *row, const struct table_cell *cell)
{
    const struct request_row *r = row;
    char name[8];

    table_text(cell, true, cell->style, view_name(r->view, r->request->node, name));
}

static void draw_state(const void *row, const struct table_cell *cell)
{
    const struct fleet_request *request = ((const struct request_row *)row)->request;
    const unsigned state = request->now.state;
    const bool is_good = state == MESH_REQUEST_GENERATING && !request->is_lost;

    table_text(cell, false, state == MESH_REQUEST_FAILED ? STYLE_BAD : is_good ? STYLE_GOOD : cell->style, fleet_request_state(request));
}

static void draw_count(const struct table_cell *cell, double count)
{
    char text[FORMAT_BYTES];

    format_count(count, text);
    table_text(cell, true, cell->style, text);
}

static void draw_rate(const struct table_cell *cell, double per_s)
{
    char text[FORMAT_BYTES];

    format_speed(per_s, text);
    table_text(cell, true, cell->style, text);
}

static void draw_prompt(const void *row, const struct table_cell *cell)
{
    draw_count(cell, now_of(row)->prompt_tokens);
}

static void draw_tokens(const void *row, const struct table_cell *cell)
{
    draw_count(cell, now_of(row)->tokens);
}

/* The speed from the request's first token to its last. */
static void draw_speed(const void *row, const struct table_cell *cell)
{
    const struct mesh_telemetry_request *now = now_of(row);
    const bool is_known = now->tokens > 1 && now->last_ns > now->first_ns && now->first_ns > 0;

    draw_rate(cell, is_known ? (now->tokens - 1) * 1e9 / (double)(now->last_ns - now->first_ns) : NAN);
}

static void draw_prompt_speed(const void *row, const struct table_cell *cell)
{
    const struct mesh_telemetry_request *now = now_of(row);

    draw_rate(cell, now->first_ns > 0 ? now->prompt_tokens * 1e9 / (double)now->first_ns : NAN);
}

static void draw_first(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];

    format_time_us(now_of(row)->first_ns > 0 ? (double)now_of(row)->first_ns / 1e3 : NAN, text);
    table_text(cell, true, cell->style, text);
}

static void draw_age(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];

    format_time_us((double)now_of(row)->age_ns / 1e3, text);
    table_text(cell, true, cell->style, text);
}

static void draw_epochs(const void *row, const struct table_cell *cell)
{
    draw_count(cell, now_of(row)->epochs);
}

static double key_order(const void *row)
{
    const struct request_row *r = row;

    return (fleet_request_runs(r->request) ? 1e18 : 0) + (double)r->request->changed_ns / 1e6;
}

static const struct table_column columns[] = {
    {NULL, "REQUEST", "its id", 10, 8, 2, false, draw_id, key_order, NULL},
    {NULL, "AT", "rank of the node where it entered", 4, 0, 1, true, draw_node, NULL, NULL},
    {NULL, "STATE", "", 11, 0, 0, false, draw_state, NULL, NULL},
    {NULL, "PROMPT", "tokens of the prompt", 7, 0, 3, true, draw_prompt, NULL, NULL},
    {NULL, "TOKENS", "generated", 7, 0, 0, true, draw_tokens, NULL, NULL},
    {NULL, "TOK/S", "from the first token to the last", 7, 0, 1, true, draw_speed, NULL, NULL},
    {NULL, "PROMPT/S", "tokens of the prompt per second", 9, 0, 5, true, draw_prompt_speed, NULL, NULL},
    {NULL, "TTFT", "time to first token", 8, 0, 4, true, draw_first, NULL, NULL},
    {NULL, "AGE", "since it was asked, or until its end", 8, 0, 2, true, draw_age, NULL, NULL},
    {NULL, "EPOCHS", "that began while it ran", 7, 0, 6, true, draw_epochs, NULL, NULL},
};

enum { COLUMNS = sizeof columns / sizeof *columns };

/* Requests that match the filter: running ones first, then the newest; returns their number. */
static int list_requests(const struct view *view, struct request_row rows[FLEET_REQUESTS], const void *sorted[FLEET_REQUESTS])
{
    static const struct table_column order = {"", "", "", 1, 0, 0, true, NULL, key_order, NULL};
    int count = 0;

    for (int i = 0; i < FLEET_REQUESTS; i++) {
        const struct fleet_request *request = &view->fleet->requests[i];

        if (!request->is_used || !ui_matches(fleet_request_state(request), view->ui->filter))
            continue;
        rows[count] = (struct request_row){view, request};
        sorted[count] = &rows[count];
        count++;
    }
    table_sort(&order, false, sorted, count);
    return count;
}

void view_requests(struct view *view)
{
    const struct area area = view->layout.part[PART_MAIN];
    struct request_row rows[FLEET_REQUESTS];
    const void *sorted[FLEET_REQUESTS];
    int widths[TABLE_COLUMNS_MAX];
    const int count = list_requests(view, rows, sorted), room = area.height - 1;
    const int selected = view_line(view, count), first = view_first_line(selected, count, room);

    table_fit(columns, COLUMNS, area.width, widths);
    table_head(view->canvas, area, columns, COLUMNS, widths, -1, false);
    for (int i = 0; i < room && first + i < count; i++) {
        const struct request_row *row = sorted[first + i];
        const struct area line = area_part(area, 0, i + 1, area.width, 1);

        table_row(view->canvas, line, columns, COLUMNS, widths, row, fleet_request_runs(row->request) ? STYLE_NORMAL : STYLE_DIM);
        if (first + i == selected)
            canvas_select(view->canvas, line);
    }
    if (count == 0)
        canvas_text(view->canvas, area, 1, 1, STYLE_DIM, "none yet");
    ui_add_zone(view->ui, area_below(area, 1), ACTION_SELECT, first, 0, 1);
    view_speed(view, view->layout.part[PART_CURVE]);
}
