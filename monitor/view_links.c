/* The matrix of links, sender by receiver, and details of the selected one. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bar.h"
#include "columns.h"
#include "format.h"
#include "view.h"

enum { LABEL_COLUMNS = 7, CELL_COLUMNS_MAX = 9, CELL_COLUMNS_MIN = 2, TEXT_COLUMNS = 6, FACT_COLUMNS = 38 };

/* What the matrix shows of a link; NAN: nothing. */
static double value_of(const struct view *view, enum metric metric, int from, int to)
{
    const struct link_sample *sample = view->has_tick ? fleet_link_at(view->fleet, from, to, view->tick) : NULL;

    if (sample == NULL)
        return NAN;
    if (metric == METRIC_LOSS)
        return fleet_loss(view->fleet, from, to, view->tick, columns_window(view->fleet));
    if (metric == METRIC_WAITS)
        return fleet_waits(view->fleet, from, to, view->tick, columns_window(view->fleet));
    return (double)(metric == METRIC_P50 ? sample->p50_us : sample->p99_us);
}

/* From nothing to the worst: latencies double or so from 50 µs on, loss begins at 1 in 10,000, waiting at 2 %. */
static int heat_of(enum metric metric, double value)
{
    static const double us[HEAT_STEPS - 1] = {50, 100, 200, 500, 1000, 2000, 5000};
    static const double loss[HEAT_STEPS - 1] = {1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 2e-2, 5e-2};
    static const double waits[HEAT_STEPS - 1] = {0.02, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6};
    const double *steps = metric == METRIC_LOSS ? loss : metric == METRIC_WAITS ? waits : us;
    int heat = 0;

    while (heat < HEAT_STEPS - 1 && value >= steps[heat])
        heat++;
    return heat;
}

/* Has a cell room for values? Otherwise it shows grades, which are those of the colours. */
static bool has_values(int columns)
{
    return columns > TEXT_COLUMNS;
}

/* Are the link's figures old ones? They come from its receiver. */
static bool is_old(const struct view *view, int from, int to)
{
    return !fleet_is_alive(fleet_state_at(view->fleet, from, view->tick)) || fleet_is_old_at(view->fleet, to, view->tick);
}

/* Has no tile come for so long that its latencies are old ones? */
static bool is_old_latency(const struct view *view, enum metric metric, int from, int to)
{
    return (metric == METRIC_P50 || metric == METRIC_P99) &&
           !fleet_has_latency(view->fleet, from, to, view->tick, columns_window(view->fleet));
}

static void draw_cell(struct view *view, struct area cell, enum metric metric, int from, int to, bool is_selected)
{
    const double value = value_of(view, metric, from, to);
    const int heat = heat_of(metric, value);
    const bool is_stale = from == to || isnan(value) || is_old(view, from, to) || is_old_latency(view, metric, from, to);
    const enum style style = is_selected ? STYLE_SELECTED : is_stale ? STYLE_STALE : (enum style)(STYLE_HEAT + heat);
    char text[FORMAT_BYTES];

    canvas_fill(view->canvas, cell, style, ' ');
    if (from == to || isnan(value))
        snprintf(text, sizeof text, "%s", from == to ? "" : "-");
    else if (!has_values(cell.width))
        snprintf(text, sizeof text, "%d", heat);
    else if (metric == METRIC_LOSS || metric == METRIC_WAITS)
        format_fraction(value, text);
    else
        format_time_us(value, text);
    canvas_text_right(view->canvas, cell, cell.width, 0, style, text);
}

/* The nodes that a matrix shows, and its form. */
struct matrix {
    enum metric metric;
    int nodes[FLEET_NODES_MAX], count;
    int first_row, first_column, cell_columns;
    int head_lines; /* two where a cell has no room for two digits side by side */
};

/* In cells of one column, the digits of a heading stand one below the other. */
static void draw_head(struct view *view, struct area cell, const struct matrix *matrix, enum style style, const char *name)
{
    const int spare = matrix->head_lines - (int)strlen(name);

    if (matrix->head_lines == 1) {
        canvas_text_right(view->canvas, cell, cell.width, 0, style, name);
        return;
    }
    for (int i = spare < 0 ? -spare : 0; name[i] != '\0'; i++)
        canvas_put(view->canvas, cell, 0, spare + i, style, (uint32_t)(unsigned char)name[i]);
}

/* A row, or, with from < 0, the heading. */
static void draw_row(struct view *view, struct area line, const struct matrix *matrix, int from)
{
    const int sender = ui_selected(view->ui, view->fleet), receiver = ui_receiver(view->ui, view->fleet);
    char name[8];

    if (from >= 0)
        canvas_print(view->canvas, line, 0, 0, from == sender ? STYLE_STRONG : STYLE_NORMAL, "%5s →", view_name(view, from, name));
    else
        canvas_text(view->canvas, line, 0, 0, STYLE_DIM, "from\\to");
    for (int i = matrix->first_column; i < matrix->count; i++) {
        const int x = LABEL_COLUMNS + (i - matrix->first_column) * matrix->cell_columns, to = matrix->nodes[i];
        const struct area cell = area_part(line, x + 1, 0, matrix->cell_columns - 1, line.height);

        if (cell.width < matrix->cell_columns - 1)
            break;
        if (from >= 0)
            draw_cell(view, cell, matrix->metric, from, to, from == sender && to == receiver);
        else
            draw_head(view, cell, matrix, to == receiver ? STYLE_STRONG : STYLE_NORMAL, view_name(view, to, name));
    }
}

static int index_of(const int *nodes, int count, int node)
{
    for (int i = 0; i < count; i++)
        if (nodes[i] == node)
            return i;
    return 0;
}

/* "10 s": the window of loss and waiting. */
static void window_text(const struct view *view, char out[FORMAT_BYTES])
{
    format_age_s(columns_window(view->fleet) * (double)view->fleet->interval_ns / 1e9, out);
}

static void draw_matrix(struct view *view, struct area area, const struct matrix *matrix)
{
    static const char *const names[METRICS] = {
        [METRIC_P50] = "p50 of tile latency, one way",
        [METRIC_P99] = "p99 of tile latency, one way",
        [METRIC_LOSS] = "loss",
        [METRIC_WAITS] = "waiting: part of the receiver's time in steps",
    };
    static const char *const graded[METRICS] = {
        [METRIC_P50] = "p50 one way", [METRIC_P99] = "p99 one way", [METRIC_LOSS] = "loss", [METRIC_WAITS] = "waiting"};
    const bool is_graded = !has_values(matrix->cell_columns - 1);
    const bool is_over = matrix->metric == METRIC_LOSS || matrix->metric == METRIC_WAITS;
    char name[96], window[FORMAT_BYTES];
    const int rows = matrix->count - matrix->first_row, above = 1 + matrix->head_lines;

    window_text(view, window);
    snprintf(name, sizeof name, "%s%s%s%s", (is_graded ? graded : names)[matrix->metric], is_over ? ", over " : "", is_over ? window : "",
             is_graded ? ": 0 good to 7 bad" : "");
    canvas_rule(view->canvas, area, name);
    draw_row(view, area_part(area, 0, 1, area.width, matrix->head_lines), matrix, FLEET_NOBODY);
    for (int i = 0; i < area.height - above && i < rows; i++)
        draw_row(view, area_part(area, 0, i + above, area.width, 1), matrix, matrix->nodes[matrix->first_row + i]);
    ui_add_zone(view->ui, area_part(area, LABEL_COLUMNS, above, area.width, rows), ACTION_SELECT_CELL,
                matrix->first_row + (matrix->first_column << 8), matrix->cell_columns, 1);
}

/* The chosen metric's matrix, and the next metrics' below as long as there is room for all their rows. */
static void draw_matrices(struct view *view, struct area area)
{
    struct matrix matrix = {.metric = view->ui->metric};
    int room, columns, fitting;

    matrix.count = fleet_order_at(view->fleet, view->tick, matrix.nodes);
    fitting = matrix.count > 0 ? (area.width - LABEL_COLUMNS) / matrix.count : CELL_COLUMNS_MAX;
    matrix.cell_columns = fitting > CELL_COLUMNS_MAX ? CELL_COLUMNS_MAX : fitting < CELL_COLUMNS_MIN ? CELL_COLUMNS_MIN : fitting;
    columns = area.width > LABEL_COLUMNS ? (area.width - LABEL_COLUMNS) / matrix.cell_columns : 0;
    matrix.head_lines = matrix.cell_columns > CELL_COLUMNS_MIN ? 1 : 2;
    room = area.height - 1 - matrix.head_lines;
    matrix.first_row = view_first_line(index_of(matrix.nodes, matrix.count, ui_selected(view->ui, view->fleet)), matrix.count, room);
    matrix.first_column = view_first_line(index_of(matrix.nodes, matrix.count, ui_receiver(view->ui, view->fleet)), matrix.count, columns);
    for (int i = 0; i < METRICS && area.height > 0; i++) {
        draw_matrix(view, area, &matrix);
        area = area_below(area, matrix.count + 2 + matrix.head_lines);
        matrix.metric = (matrix.metric + 1) % METRICS;
        if (area.height < matrix.count + 1 + matrix.head_lines)
            break;
    }
}

/* ---- the selected link ---- */

/* Lines from top to bottom, then in another column while there is room for one. */
struct lines {
    struct view *view;
    struct area area;
    int x, used;
    enum style style; /* of texts */
};

__attribute__((format(printf, 3, 4))) static void line(struct lines *lines, const char *name, const char *format, ...)
{
    char text[96];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (lines->used == lines->area.height && lines->area.width - lines->x >= 2 * FACT_COLUMNS) {
        lines->x += FACT_COLUMNS;
        lines->used = 0;
    }
    canvas_text(lines->view->canvas, lines->area, lines->x + 1, lines->used, STYLE_DIM, name);
    canvas_text_cut(lines->view->canvas, area_part(lines->area, lines->x, lines->used++, FACT_COLUMNS, 1), 14, 0, lines->style, text);
}

static void draw_past(struct lines *lines, int from, int to)
{
    float values[2 * CANVAS_WIDTH_MAX];
    struct area area = area_part(lines->area, lines->x + 1, lines->used + 1, lines->area.width - 2, 4);
    const int count = bar_curve_values(lines->view->canvas, area.width);
    char text[FORMAT_BYTES];
    float top = 0;

    if (area.height < 3)
        return;
    for (int i = 0; i < count; i++) {
        const uint64_t back = (uint64_t)(count - 1 - i), tick = lines->view->tick;
        const struct link_sample *sample = back <= tick ? fleet_link_at(lines->view->fleet, from, to, tick - back) : NULL;

        values[i] = sample != NULL && sample->is_fresh ? sample->p99_us : NAN;
        top = values[i] > top ? values[i] : top;
    }
    format_time_us(top > 0 ? (double)top : NAN, text);
    canvas_print(lines->view->canvas, lines->area, lines->x + 1, lines->used, STYLE_DIM, "p99 one way, up to %s", text);
    bar_curve(lines->view->canvas, area, STYLE_GRAPH, values, count, top);
}

static void draw_latencies(struct lines *lines, const struct link_sample *sample, const struct fleet_link *link, enum style style)
{
    char p50[FORMAT_BYTES], p99[FORMAT_BYTES], error[FORMAT_BYTES];

    format_time_us((double)sample->p50_us, p50);
    format_time_us((double)sample->p99_us, p99);
    format_time_us((double)link->now.clock_error_ns / 1e3, error);
    lines->style = style;
    line(lines, "one way", "p50 %s  p99 %s", p50, p99);
    line(lines, "", "± %s, by the clocks", error);
    format_time_us((double)sample->use_p50_us, p50);
    format_time_us((double)sample->use_p99_us, p99);
    line(lines, "to its use", "p50 %s  p99 %s", p50, p99);
    lines->style = STYLE_NORMAL;
    format_time_us((double)sample->rtt_us, p50);
    format_time_us((double)link->now.rtt_ns_min / 1e3, p99);
    line(lines, "round trip", "%s  min %s", p50, p99);
}

static void draw_counts(struct lines *lines, const struct fleet_link *link, const struct fleet_link *back, double bytes_per_s)
{
    const struct mesh_telemetry_link *now = &link->now;
    char a[FORMAT_BYTES], b[FORMAT_BYTES];

    format_count((double)now->datagrams_received, a);
    format_bytes((double)now->bytes_received, b);
    line(lines, "received", "%s datagrams, %s", a, b);
    format_bytes(bytes_per_s, a);
    line(lines, "now", "%s%s", a, isnan(bytes_per_s) ? "" : "/s");
    format_count((double)now->tiles_received, a);
    line(lines, "tiles", "%s", a);
    format_count((double)now->lost, a);
    format_count((double)now->late, b);
    if (back != NULL && back->now.probes_lost > 0)
        line(lines, "lost", "%s, %" PRIu64 " of them probes  late %s", a, back->now.probes_lost, b);
    else
        line(lines, "lost", "%s  late %s", a, b);
    format_count((double)now->reordered, a);
    format_count((double)now->duplicate, b);
    line(lines, "reordered", "%s  duplicate %s", a, b);
    format_count((double)now->refused, a);
    line(lines, "refused", "%s", a);
    format_count((double)now->naks_sent, a);
    format_count(back != NULL ? (double)back->now.resent : NAN, b);
    line(lines, "NAKs", "%s  resent %s", a, b);
    format_count(back != NULL ? (double)back->now.duplicates_sent : NAN, a);
    format_count((double)now->duplicates_used, b);
    line(lines, "copies", "%s  used %s", a, b);
}

static void draw_link(struct view *view, struct area area)
{
    const int from = ui_selected(view->ui, view->fleet), to = ui_receiver(view->ui, view->fleet);
    const struct fleet_link *link = fleet_link(view->fleet, from, to), *back = fleet_link(view->fleet, to, from);
    const struct link_sample *sample = view->has_tick && link != NULL ? fleet_link_at(view->fleet, from, to, view->tick) : NULL;
    struct lines lines = {view, area_below(area, 1), 0, 0, STYLE_NORMAL};
    char name[64], during[FORMAT_BYTES], sender[8], receiver[8], loss[FORMAT_BYTES], waits[FORMAT_BYTES];

    if (area.height == 0)
        return;
    snprintf(name, sizeof name, "link %s → %s", view_name(view, from, sender), view_name(view, to, receiver));
    canvas_rule(view->canvas, area, name);
    if (from >= 0)
        line(&lines, "from", "%s", view->fleet->nodes[from].address);
    if (to >= 0)
        line(&lines, "to", "%s", view->fleet->nodes[to].address);
    if (sample == NULL) {
        canvas_text(view->canvas, lines.area, 1, 3, STYLE_DIM, from == to ? "a node has no link to itself" : "nothing is known of it then");
        return;
    }
    format_fraction(fleet_loss(view->fleet, from, to, view->tick, columns_window(view->fleet)), loss);
    format_fraction(fleet_waits(view->fleet, from, to, view->tick, columns_window(view->fleet)), waits);
    window_text(view, during);
    line(&lines, "loss", "%s over %s", loss, during);
    line(&lines, "waited for", "%s of its time", waits);
    draw_latencies(&lines, sample, link, is_old_latency(view, METRIC_P99, from, to) ? STYLE_STALE : STYLE_NORMAL);
    draw_counts(&lines, link, back, (double)sample->bytes_per_s);
    draw_past(&lines, from, to);
    if (is_old(view, from, to))
        canvas_restyle(view->canvas, lines.area, STYLE_STALE);
}

void view_links(struct view *view)
{
    int nodes[FLEET_NODES_MAX];

    if (fleet_order_at(view->fleet, view->tick, nodes) < 2) {
        canvas_rule(view->canvas, view->layout.part[PART_MAIN], "links");
        canvas_text(view->canvas, view->layout.part[PART_MAIN], 1, 1, STYLE_DIM, "none: a link is from one node to another");
        return;
    }
    draw_matrices(view, view->layout.part[PART_MAIN]);
    draw_link(view, view->layout.part[PART_SIDE]);
}
