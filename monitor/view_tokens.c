/* The last tokens as a waterfall: for each step a line per node, with its phases side by side, where it stalled, and for which rank. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "format.h"
#include "view.h"

enum {
    LABEL_COLUMNS = 17,
    STALL_COLUMNS = 40,
    DURATION_COLUMNS = 9,
    WIDTH_FOR_STALLS = 72,
    WIDTH_FOR_LEGEND = 104,
    STEPS_MAX = 64,
    LONG_TIMES = 4, /* a step that took so many times as long as most others goes on beyond its line */
    PHASES_OF_LAYER = 4
};

/* What is exchanged at the end of each phase of a layer, and of the last phase. */
static const struct kind {
    const char *name;
    enum style style;
    uint32_t glyph;
} kinds[PHASES_OF_LAYER + 1] = {
    {"attention", STYLE_POLL, 0x2593}, {"Wo", STYLE_SEND, 0x2588},       {"gate, up", STYLE_COMPUTE, 0x2593},
    {"down", STYLE_GRAPH, 0x2588},     {"sampling", STYLE_WARN, 0x2592},
};

static const struct kind *kind_of(const struct fleet_step *step, unsigned phase)
{
    return &kinds[phase + 1 >= step->step.phase_total ? PHASES_OF_LAYER : phase % PHASES_OF_LAYER];
}

/* A recording that is gone through token by token stands within an interval: what has been reported in that is of its present. */
static bool is_shown(const struct view *view, const struct fleet_step *step)
{
    const bool is_past = view->ui->is_paused && (!view->ui->playback.is_on || view->tick + 1 < view->fleet->ticks);

    return step->is_known && (!is_past || step->tick <= view->tick);
}

static const struct fleet_step *step_of(const struct view *view, int node, struct fleet_step_id id)
{
    for (int i = 0; i < FLEET_STEPS; i++) {
        const struct fleet_step *step = &view->fleet->nodes[node].steps[i];

        if (is_shown(view, step) && fleet_step_compare(fleet_step_id(step), id) == 0)
            return step;
    }
    return NULL;
}

/* All steps that any node reports, newest first; returns how many. */
static int list_steps(const struct view *view, struct fleet_step_id ids[STEPS_MAX])
{
    int count = 0;

    for (int node = 0; node < view->fleet->node_end; node++)
        for (int i = 0; view->fleet->nodes[node].is_used && i < FLEET_STEPS; i++) {
            const struct fleet_step *step = &view->fleet->nodes[node].steps[i];
            const struct fleet_step_id id = fleet_step_id(step);
            int at = 0, order = -1;

            if (!is_shown(view, step))
                continue;
            while (at < count && (order = fleet_step_compare(ids[at], id)) > 0)
                at++;
            if (at == STEPS_MAX || (at < count && order == 0))
                continue;
            count += count < STEPS_MAX;
            for (int k = count - 1; k > at; k--)
                ids[k] = ids[k - 1];
            ids[at] = id;
        }
    return count;
}

/* When the step began, by the reference's clock: as it was then, if the reference is the same. */
static double begin_of(const struct view *view, int node, const struct fleet_step *step)
{
    int64_t offset_ns;
    int reference;

    if (!fleet_clock(view->fleet, node, &offset_ns, &reference))
        offset_ns = 0;
    else if (reference == step->reference)
        offset_ns = step->clock_ns;
    return (double)step->step.begin_ns - (double)offset_ns;
}

struct span {
    double begin_ns, end_ns;
};

static struct span span_of(const struct view *view, const int *nodes, int count, struct fleet_step_id id)
{
    struct span span = {INFINITY, -INFINITY};

    for (int i = 0; i < count; i++) {
        const struct fleet_step *step = step_of(view, nodes[i], id);

        if (step == NULL)
            continue;
        span.begin_ns = fmin(span.begin_ns, begin_of(view, nodes[i], step));
        span.end_ns = fmax(span.end_ns, begin_of(view, nodes[i], step) + (double)step->step.duration_ns);
    }
    return span;
}

static double shared(double from, double to, double begin, double end)
{
    return fmax(0, fmin(to, end) - fmax(from, begin));
}

/* The phase that takes most of [begin, end), in ns from the step's beginning; -1: none. */
static int phase_at(const struct fleet_step *step, double begin, double end)
{
    double most = 0;
    int found = -1;

    for (unsigned i = 0; i < step->phases_known; i++) {
        const double from = (double)step->phases[i].begin * MESH_TELEMETRY_PHASE_NS;
        const double to = from + (double)step->phases[i].duration * MESH_TELEMETRY_PHASE_NS;

        if (shared(from, to, begin, end) > most) {
            most = shared(from, to, begin, end);
            found = (int)i;
        }
    }
    return found;
}

/* The number of columns behind the bars: for a step's duration and, where there is room, its stall. */
static int columns_behind(int width)
{
    return width >= WIDTH_FOR_STALLS ? STALL_COLUMNS : DURATION_COLUMNS;
}

static void draw_bar(struct view *view, struct area bar, const struct fleet_step *step, double offset_ns, double column_ns)
{
    for (int x = 0; x < bar.width; x++) {
        const double begin = x * column_ns - offset_ns, end = begin + column_ns;
        const double stall_begin = (double)step->step.stall_begin_ns, stall_end = stall_begin + (double)step->step.stall_ns;
        const int phase = phase_at(step, begin, end);

        if (end <= 0 || begin >= (double)step->step.duration_ns)
            continue;
        if (x + 1 == bar.width && (double)step->step.duration_ns > end)
            canvas_put(view->canvas, bar, x, 0, STYLE_STRONG, 0x2192);
        else if (2 * shared(stall_begin, stall_end, begin, end) > shared(0, (double)step->step.duration_ns, begin, end))
            canvas_put(view->canvas, bar, x, 0, STYLE_WAIT, 0x2591);
        else if (phase >= 0)
            canvas_put(view->canvas, bar, x, 0, kind_of(step, (unsigned)phase)->style, kind_of(step, (unsigned)phase)->glyph);
        else
            canvas_put(view->canvas, bar, x, 0, STYLE_IDLE, 0xb7);
    }
}

static void draw_stall(struct view *view, struct area place, int node, const struct fleet_step *step)
{
    const struct mesh_telemetry_step *s = &step->step;
    const int whom = fleet_step_waited_for(view->fleet, node, step);
    char text[96], took[FORMAT_BYTES], stalled[FORMAT_BYTES], name[8];

    format_time_us((double)s->duration_ns / 1e3, took);
    canvas_text_right(view->canvas, place, 8, 0, STYLE_NORMAL, took);
    if (s->stall_ns < 20000 || s->stall_rank == MESH_TELEMETRY_NOBODY)
        return;
    format_time_us((double)s->stall_ns / 1e3, stalled);
    if (whom == node)
        snprintf(text, sizeof text, "%s: another worker", stalled);
    else
        snprintf(text, sizeof text, "%s for %s, gather %u.%u", stalled, view_name(view, whom, name), s->stall_phase, s->stall_block);
    canvas_text(view->canvas, place, 9, 0, s->stall_ns * 4 > s->duration_ns ? STYLE_WAIT : STYLE_DIM, text);
}

static void draw_legend(struct view *view, struct area line)
{
    int x = 1;

    for (int i = 0; i <= PHASES_OF_LAYER; i++) {
        canvas_put(view->canvas, line, x, 0, kinds[i].style, kinds[i].glyph);
        x += 3 + canvas_text(view->canvas, line, x + 2, 0, STYLE_DIM, kinds[i].name) + 1;
    }
    canvas_put(view->canvas, line, x, 0, STYLE_WAIT, 0x2591);
    canvas_text(view->canvas, line, x + 2, 0, STYLE_DIM,
                line.width < WIDTH_FOR_LEGEND ? "longest stall" : "longest stall, for whom, in which gather and block");
}

/* Draw one step's lines from y on, without those of the first `skipped` nodes; returns the line after them. */
static int draw_step(struct view *view, struct area area, int y, struct fleet_step_id id, const int *nodes, int count, int skipped,
                     double column_ns)
{
    const struct span span = span_of(view, nodes, count, id);
    const int bar_columns = area.width - LABEL_COLUMNS - columns_behind(area.width);
    bool is_first = true;

    for (int i = skipped; i < count && y < area.height; i++) {
        const struct fleet_step *step = step_of(view, nodes[i], id);
        const struct area line = area_part(area, 0, y, area.width, 1);
        char name[8];

        if (step == NULL)
            continue;
        if (is_first)
            canvas_print(view->canvas, line, 0, 0, STYLE_STRONG, "%9llu", (unsigned long long)id.number);
        canvas_print(view->canvas, line, 10, 0, STYLE_DIM, "node %s", view_name(view, nodes[i], name));
        draw_bar(view, area_part(line, LABEL_COLUMNS + 1, 0, bar_columns - 1, 1), step, begin_of(view, nodes[i], step) - span.begin_ns,
                 column_ns);
        draw_stall(view, area_part(line, area.width - columns_behind(area.width), 0, columns_behind(area.width), 1), nodes[i], step);
        is_first = false;
        y++;
    }
    return y;
}

static int compare(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;

    return (one > other) - (one < other);
}

/* The time that a line has room for: that of the longest of these steps, unless a few, as of prompts, took far longer than the others. */
static double time_of_line(const struct view *view, const int *nodes, int count, const struct fleet_step_id *ids, int steps)
{
    double took[STEPS_MAX];

    for (int i = 0; i < steps; i++) {
        const struct span span = span_of(view, nodes, count, ids[i]);

        took[i] = span.end_ns - span.begin_ns;
    }
    if (steps == 0)
        return 1;
    qsort(took, (size_t)steps, sizeof *took, compare);
    return fmax(1, fmin(took[steps - 1], LONG_TIMES * took[(steps - 1) / 2]));
}

void view_tokens(struct view *view)
{
    const struct area all = view->layout.part[PART_MAIN], area = area_below(all, 2);
    struct fleet_step_id ids[STEPS_MAX];
    int nodes[FLEET_NODES_MAX], y = 0;
    const int count = fleet_order_at(view->fleet, view->tick, nodes), step_count = list_steps(view, ids);
    const int bar_columns = area.width - LABEL_COLUMNS - columns_behind(area.width);
    /* Where a step has more nodes than there are lines, it is gone through in parts. */
    const int parts = area.height > 0 && count > area.height ? (count + area.height - 1) / area.height : 1;
    const int part = view_line(view, step_count * parts), first = part / parts, skipped = part % parts * area.height;
    double longest;
    int shown = 0;
    char name[96], text[FORMAT_BYTES];

    assert(first >= 0);
    while (first + shown < step_count && shown * count < area.height)
        shown++;
    longest = time_of_line(view, nodes, count, ids + first, shown);
    format_time_us(longest / 1e3, text);
    snprintf(name, sizeof name, "steps, newest first%s%s", step_count > 0 ? "; width " : "", step_count > 0 ? text : "");
    canvas_rule(view->canvas, all, name);
    draw_legend(view, area_part(all, 0, 1, all.width, 1));
    for (int i = first; i < step_count && y < area.height; i++)
        y = draw_step(view, area, y, ids[i], nodes, count, i == first ? skipped : 0,
                      bar_columns > 1 ? longest / (bar_columns - 1) : longest);
    if (step_count == 0)
        canvas_text(view->canvas, area, 1, 0, STYLE_DIM, "no steps yet: nothing is generated");
}
