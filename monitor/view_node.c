/* One node: its workers' time, its figures, and histograms of what it receives. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bar.h"
#include "columns.h"
#include "format.h"
#include "view.h"

enum { BAR_BEGIN = 5, DOING_COLUMNS = 26, DOING_COLUMNS_NARROW = 14, WIDTH_FOR_DOING = 60, BAND_LINES_MAX = 24 };

/* ---- workers ---- */

static void draw_worker(struct view *view, struct area place, const struct fleet_node *node, unsigned index)
{
    const struct fleet_worker *worker = &node->workers[index];
    const bool is_narrow = place.width < WIDTH_FOR_DOING;
    const int bar = place.width - BAR_BEGIN - (is_narrow ? DOING_COLUMNS_NARROW : DOING_COLUMNS) - 7;
    const uint16_t rank = worker->now.waits_for;
    const int whom = rank < FLEET_RANKS_MAX ? node->of_rank[rank] : FLEET_NOBODY;
    char text[64], busy[FORMAT_BYTES], name[8];

    if (!worker->is_known)
        return;
    canvas_print(view->canvas, place, 0, 0, STYLE_DIM, "%4u", index);
    columns_time_bar(view->canvas, area_part(place, BAR_BEGIN, 0, bar, 1), worker->time);
    format_fraction((double)worker->time[TIME_COMPUTE], busy);
    canvas_text_right(view->canvas, place, BAR_BEGIN + bar + 6, 0, STYLE_NORMAL, busy);
    snprintf(text, sizeof text, "%s", mesh_telemetry_worker_name(worker->now.doing));
    if (worker->now.doing == MESH_WORKER_WAITING && whom >= 0 && is_narrow)
        snprintf(text, sizeof text, "waits for %s", view_name(view, whom, name));
    else if (worker->now.doing == MESH_WORKER_WAITING && whom >= 0)
        snprintf(text, sizeof text, "waits for %s, gather %u", view_name(view, whom, name), worker->now.waits_phase);
    canvas_text(view->canvas, place, BAR_BEGIN + bar + 8, 0, worker->now.doing == MESH_WORKER_WAITING ? STYLE_WAIT : STYLE_DIM, text);
}

/* Its time as a band over the past: from the bottom up computing, sending, polling, waiting. */
static void draw_band(struct view *view, struct area area, int selected)
{
    for (int x = 0; x < area.width; x++) {
        const uint64_t back = (uint64_t)(area.width - 1 - x);
        const struct node_sample *sample = back <= view->tick ? fleet_node_at(view->fleet, selected, view->tick - back) : NULL;
        double sum = 0;
        int y = 0;

        if (sample == NULL || isnan(sample->time[0]))
            continue;
        for (enum time_kind kind = 0; kind < TIME_IDLE; kind++) {
            sum += (double)sample->time[kind];
            for (; y < (int)lround(sum * area.height) && y < area.height; y++)
                canvas_put(view->canvas, area, x, area.height - 1 - y, columns_time_style(kind), columns_time_glyph(kind));
        }
    }
}

static void draw_workers(struct view *view, struct area area, int selected)
{
    const struct fleet_node *node = &view->fleet->nodes[selected];
    const int lines = (int)node->worker_count < area.height - 1 ? (int)node->worker_count : area.height - 1;
    char name[96], rank[8];
    int band;

    snprintf(name, sizeof name, "node %s  %s  %s: its workers now", view_name(view, selected, rank), node->address,
             fleet_state_name(fleet_state_at(view->fleet, selected, view->tick)));
    canvas_rule(view->canvas, area, name);
    for (int i = 0; i < lines; i++)
        draw_worker(view, area_part(area, 0, i + 1, area.width, 1), node, (unsigned)i);
    if (node->worker_count == 0)
        canvas_text(view->canvas, area, 1, 1, STYLE_DIM, "no workers known");
    band = area.height - lines - 3;
    if (band >= 2) {
        const struct area below = area_below(area, lines + 2);

        canvas_rule(view->canvas, below, "over the past: computing, sending, polling, waiting");
        draw_band(view, area_part(below, 1, 1, below.width - 2, band < BAND_LINES_MAX ? band : BAND_LINES_MAX), selected);
    }
}

/* ---- figures ---- */

static void put(struct view *view, struct area area, int *at, const char *name, const char *text, bool is_odd)
{
    const int lines = area.height > 0 ? area.height : 1, column = *at / lines, width = 25;
    const int x = 1 + column * width, y = *at % lines;

    *at += 1;
    canvas_text(view->canvas, area, x, y, STYLE_DIM, name);
    canvas_text_right(view->canvas, area, x + width - 2, y, is_odd ? STYLE_WARN : STYLE_NORMAL, text);
}

static void draw_figures(struct view *view, struct area area, int selected)
{
    const struct fleet_node *node = &view->fleet->nodes[selected];
    const struct area inner = area_below(area, 1);
    /* The node's metrics that are worth a line, by their names in telemetry. */
    static const struct {
        const char *field, *title;
        enum { BYTES, COUNT, AGE, ODD } how; /* ODD: a count that should be 0 */
    } figures[] = {
        {"threads", "threads", COUNT},
        {"uptime_ns", "uptime", AGE},
        {"epoch_age_ns", "epoch age", AGE},
        {"steps", "steps", COUNT},
        {"tokens", "tokens", COUNT},
        {"weight_bytes", "weights", BYTES},
        {"kv_bytes", "KV cache", BYTES},
        {"buffer_bytes", "buffers", BYTES},
        {"available_bytes", "available RAM", BYTES},
        {"requests_running", "requests running", COUNT},
        {"requests_begun", "requests", COUNT},
        {"requests_failed", "failed", ODD},
        {"clients", "clients", COUNT},
        {"recomputed", "recomputed", COUNT},
        {"epochs", "epochs seen", COUNT},
        {"evictions", "evictions", ODD},
        {"suspicions", "suspicions", ODD},
        {"kernel_drops", "dropped by kernel", ODD},
        {"send_errors", "send errors", ODD},
        {"refused_auth", "refused: key", ODD},
        {"refused_replay", "refused: replay", ODD},
        {"refused_range", "refused: range", ODD},
    };
    int at = 0;

    if (area.height == 0)
        return;
    canvas_rule(view->canvas, area, node->has_reported ? "figures" : "it has not reported yet");
    for (size_t i = 0; node->has_reported && i < sizeof figures / sizeof *figures; i++) {
        const struct mesh_metric *metric = mesh_metric_find(mesh_telemetry_part(MESH_TELEMETRY_NODE), figures[i].field);
        double value;
        char text[FORMAT_BYTES];

        assert(metric != NULL); /* a name in the table above that telemetry does not have */
        value = mesh_metric_value(metric, &node->now);

        if (figures[i].how == BYTES)
            format_bytes(value, text);
        else if (figures[i].how == AGE)
            format_age_s(value, text);
        else
            format_count(value, text);
        put(view, inner, &at, figures[i].title, text, figures[i].how == ODD && value > 0);
    }
}

/* ---- histograms ---- */

enum { OCTAVES = MESH_HISTOGRAM_BUCKETS / MESH_HISTOGRAM_PARTS, HALVES = 2 * OCTAVES, EACH_MAX = 6 };

/* All links to the node in its epoch in one histogram, with two values for each doubling of the latency. */
static double sum_histogram(const struct fleet_node *node, enum mesh_latency which, float values[HALVES])
{
    double count = 0;

    memset(values, 0, HALVES * sizeof *values);
    for (int from = 0; from < FLEET_NODES_MAX; from++) {
        const struct fleet_link *link = node->links[from];
        const struct mesh_histogram *histogram = link != NULL && link->epoch == node->head.epoch ? link->latency[which] : NULL;

        for (int i = 0; histogram != NULL && i < OCTAVES * MESH_HISTOGRAM_PARTS; i++) {
            values[2 * i / MESH_HISTOGRAM_PARTS] += (float)histogram->buckets[i];
            count += histogram->buckets[i];
        }
    }
    return count;
}

static void draw_histogram(struct view *view, struct area area, const struct fleet_node *node, enum mesh_latency which, const char *what)
{
    float values[HALVES];
    const double count = sum_histogram(node, which, values);
    int first = 0, end = HALVES, each, scale_end = 0;
    char name[96], text[FORMAT_BYTES];

    format_count(count, text);
    snprintf(name, sizeof name, "%s, %s tiles", what, text);
    canvas_rule(view->canvas, area, name);
    if (count <= 0 || area.height < 4)
        return;
    while (values[first] <= 0)
        first++;
    while (values[end - 1] <= 0)
        end--;
    each = (area.width - 2) / (end - first + 1);
    each = each < 1 ? 1 : each > EACH_MAX ? EACH_MAX : each;
    for (int i = first; i < end; i++) {
        const struct area column = area_part(area, 1 + (i - first) * each, 1, each > 1 ? each - 1 : 1, area.height - 2);
        float same[2 * EACH_MAX], top = 0;

        for (int k = first; k < end; k++)
            top = values[k] > top ? values[k] : top;
        for (int k = 0; k < 2 * EACH_MAX; k++)
            same[k] = sqrtf(values[i] / top); /* so that rare values, which matter, can be seen */
        bar_curve(view->canvas, column, STYLE_GRAPH, same, bar_curve_values(view->canvas, column.width), 1);
        if (i % 4 == 0 && (i - first) * each >= scale_end) { /* the scale: values of bucket b begin at 2^(b/2 + 3) */
            format_time_us(ldexp(1, i / 2 + 3) / 1e3, text);
            scale_end = (i - first) * each + canvas_text(view->canvas, area, 1 + (i - first) * each, area.height - 1, STYLE_DIM, text) + 2;
        }
    }
}

void view_node(struct view *view)
{
    const int selected = ui_selected(view->ui, view->fleet);
    const struct area below = view->layout.part[PART_CURVE];

    if (selected < 0) {
        canvas_text(view->canvas, view->layout.part[PART_MAIN], 1, 0, STYLE_DIM, "no node is known yet");
        return;
    }
    draw_workers(view, view->layout.part[PART_MAIN], selected);
    draw_figures(view, view->layout.part[PART_SIDE], selected);
    if (below.height > 0) {
        draw_histogram(view, area_part(below, 0, 0, below.width / 2 - 1, below.height), &view->fleet->nodes[selected], MESH_LATENCY_ONE_WAY,
                       "one-way latency");
        draw_histogram(view, area_part(below, below.width / 2, 0, below.width, below.height), &view->fleet->nodes[selected],
                       MESH_LATENCY_USE, "from sending to use");
    }
    for (enum part part = PART_MAIN; part < PART_KEYS && fleet_is_old_at(view->fleet, selected, view->tick); part++)
        canvas_restyle(view->canvas, view->layout.part[part], STYLE_STALE);
}
