#include "columns.h"

#include <math.h>
#include <stdio.h>

#include "bar.h"
#include "format.h"

static const struct kind {
    const char *name;
    enum style style;
    uint32_t glyph;
} kinds[TIME_KINDS] = {
    [TIME_COMPUTE] = {"computing", STYLE_COMPUTE, 0x2588},
    [TIME_SEND] = {"sending", STYLE_SEND, 0x2593},
    [TIME_POLL] = {"polling", STYLE_POLL, 0x2592},
    [TIME_WAIT] = {"waiting", STYLE_WAIT, 0x2591},
    [TIME_IDLE] = {"idle", STYLE_IDLE, 0xb7},
};

enum style columns_time_style(enum time_kind kind)
{
    return kinds[kind].style;
}

uint32_t columns_time_glyph(enum time_kind kind)
{
    return kinds[kind].glyph;
}

const char *columns_time_name(enum time_kind kind)
{
    return kinds[kind].name;
}

static enum style state_style(enum fleet_state state)
{
    switch (state) {
    case FLEET_UP:
        return STYLE_GOOD;
    case FLEET_SUSPECTED:
    case FLEET_SILENT:
    case FLEET_DEAD:
        return STYLE_BAD;
    case FLEET_LEFT:
        return STYLE_STALE;
    default:
        return STYLE_WARN;
    }
}

struct node_row columns_row(const struct fleet *fleet, int node, uint64_t tick)
{
    return (struct node_row){fleet, node, tick, fleet_is_late_at(fleet, node, tick) ? NULL : fleet_node_at(fleet, node, tick)};
}

void columns_time_bar(struct canvas *canvas, struct area area, const float time[TIME_KINDS])
{
    struct bar_part parts[TIME_KINDS];

    for (int kind = 0; kind < TIME_KINDS; kind++)
        parts[kind] = (struct bar_part){(double)time[kind], kinds[kind].style, kinds[kind].glyph};
    bar_split(canvas, area, parts, TIME_KINDS);
}

unsigned columns_window(const struct fleet *fleet)
{
    const uint64_t ticks = fleet->interval_ns > 0 ? UINT64_C(10000000000) / fleet->interval_ns : 1;

    return ticks < 1 ? 1 : ticks > 100 ? 100 : (unsigned)ticks;
}

/* How busy a node was in the last `count` ticks, for a curve: values, oldest first. */
static void get_history(const struct fleet *fleet, int node, uint64_t tick, float *values, int count)
{
    for (int i = 0; i < count; i++) {
        const uint64_t back = (uint64_t)(count - 1 - i);
        const struct node_sample *sample = back <= tick ? fleet_node_at(fleet, node, tick - back) : NULL;

        values[i] = sample == NULL || fleet_is_late_at(fleet, node, tick - back) ? NAN : sample->utilisation;
    }
}

enum { BY_LOSS, BY_LATENCY, BY_OLD_LATENCY };

/* The worst of a node's incoming links at that tick: loss, or one-way p99, of links on which tiles came lately, or of the others. */
static double of_worst_link(const struct node_row *row, int by)
{
    const unsigned window = columns_window(row->fleet);
    double worst = NAN;

    for (int from = 0; from < row->fleet->node_end; from++) {
        const struct link_sample *sample = fleet_link_at(row->fleet, from, row->node, row->tick);
        double found;

        if (sample == NULL || !fleet_is_alive(row->fleet->nodes[from].state))
            continue;
        if (by != BY_LOSS && fleet_has_latency(row->fleet, from, row->node, row->tick, window) != (by == BY_LATENCY))
            continue;
        found = by == BY_LOSS ? fleet_loss(row->fleet, from, row->node, row->tick, window) : (double)sample->p99_us;
        if (!isnan(found) && !(found <= worst))
            worst = found;
    }
    return worst;
}

/* ---- cells ---- */

static const struct fleet_node *node_of(const struct node_row *row)
{
    return &row->fleet->nodes[row->node];
}

static enum fleet_state state_of(const struct node_row *row)
{
    return fleet_state_at(row->fleet, row->node, row->tick);
}

static bool is_gone(const struct node_row *row)
{
    return !fleet_is_alive(state_of(row));
}

static void draw_rank(const void *row, const struct table_cell *cell)
{
    const struct node_row *r = row;
    char rank[8];

    table_text(cell, true, cell->style, fleet_rank_text_at(r->fleet, r->node, r->tick, rank));
}

static void draw_address(const void *row, const struct table_cell *cell)
{
    table_text(cell, false, cell->style, node_of(row)->address);
}

static void draw_state(const void *row, const struct table_cell *cell)
{
    const struct node_row *r = row;
    const enum fleet_state state = state_of(r);
    const bool is_up = state == FLEET_UP && !fleet_is_late_at(r->fleet, r->node, r->tick);
    const bool is_today = format_is_same_day(node_of(r)->gone_wall_ns, r->fleet->tick_wall_ns[r->tick % FLEET_HISTORY]);
    char text[TABLE_TEXT_BYTES], when[FORMAT_BYTES];

    (is_today ? format_clock : format_date)(node_of(r)->gone_wall_ns, when);
    if (fleet_is_alive(state))
        snprintf(text, sizeof text, "%s %s", is_up ? "●" : "○", fleet_state_name(state));
    else /* of another day: there is room for the date only */
        snprintf(text, sizeof text, "%s %.*s", state == FLEET_DEAD ? "✗" : "○", is_today ? 8 : 5, when);
    table_text(cell, false, state == FLEET_UP && !is_up ? STYLE_STALE : state_style(state), text);
}

static void draw_role(const void *row, const struct table_cell *cell)
{
    const struct fleet_node *node = node_of(row);

    table_text(cell, false, cell->style,
               is_gone(row)                 ? ""
               : node->now.is_sequencer     ? "sequencer"
               : node->now.requests_running ? "entry"
               : node->now.lab_pace != 0    ? "paced"
                                            : "member");
}

/* NAN: not all members of its epoch report, as of an epoch that the others have left. */
static double share_of(const struct node_row *row)
{
    double sum = 0;
    int members = 0;

    for (int i = 0; i < row->fleet->node_end; i++) {
        const struct fleet_node *node = &row->fleet->nodes[i];

        if (node->is_used && node->has_reported && fleet_is_alive(node->state) && node->head.epoch == node_of(row)->head.epoch) {
            sum += node->now.share;
            members++;
        }
    }
    return sum > 0 && node_of(row)->has_reported && !is_gone(row) && members >= node_of(row)->now.members ? node_of(row)->now.share / sum
                                                                                                          : NAN;
}

static double key_share(const void *row)
{
    return share_of(row);
}

static void draw_share(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];

    format_fraction(share_of(row), text);
    table_text(cell, true, cell->style, text);
}

static void draw_time(const void *row, const struct table_cell *cell)
{
    const struct node_row *r = row;

    if (r->sample != NULL && !isnan(r->sample->time[0]))
        columns_time_bar(cell->canvas, cell->area, r->sample->time);
    else
        canvas_text(cell->canvas, cell->area, 0, 0, STYLE_STALE,
                    is_gone(r)                                    ? "gone"
                    : fleet_is_unrecorded(r->fleet, node_of(row)) ? "not recorded"
                                                                  : "no report");
}

static double key_busy(const void *row)
{
    const struct node_row *r = row;

    return r->sample != NULL ? (double)r->sample->utilisation : NAN;
}

static void draw_busy(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];

    format_fraction(key_busy(row), text);
    table_text(cell, true, cell->style, text);
}

static double key_speed(const void *row)
{
    const struct node_row *r = row;

    return r->sample != NULL ? (double)r->sample->tok_per_s : NAN;
}

static void draw_speed(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];

    format_speed(key_speed(row), text);
    table_text(cell, true, cell->style, text);
}

static void draw_past(const void *row, const struct table_cell *cell)
{
    const struct node_row *r = row;
    float values[2 * CANVAS_WIDTH_MAX];
    const int count = bar_curve_values(cell->canvas, cell->area.width);

    get_history(r->fleet, r->node, r->tick, values, count);
    bar_curve(cell->canvas, cell->area, STYLE_GRAPH, values, count, 1);
}

static double key_memory(const void *row)
{
    const struct mesh_telemetry_node *now = &node_of(row)->now;

    return node_of(row)->has_reported ? (double)now->weight_bytes + (double)now->kv_bytes + (double)now->buffer_bytes : NAN;
}

static void draw_memory(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];

    format_bytes(key_memory(row), text);
    table_text(cell, true, cell->style, text);
}

/* is_old: no tiles have come lately on any link. */
static double latency_of(const struct node_row *row, bool *is_old)
{
    const bool has_report = !is_gone(row) && row->sample != NULL;
    const double value = has_report ? of_worst_link(row, BY_LATENCY) : NAN;

    *is_old = isnan(value);
    return has_report && *is_old ? of_worst_link(row, BY_OLD_LATENCY) : value;
}

static double key_latency(const void *row)
{
    bool is_old;

    return latency_of(row, &is_old);
}

static void draw_latency(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];
    bool is_old;
    const double value = latency_of(row, &is_old);

    format_time_us(value, text);
    table_text(cell, true, is_old ? STYLE_STALE : value > 2000 ? STYLE_WARN : cell->style, text);
}

static double key_loss(const void *row)
{
    return is_gone(row) || ((const struct node_row *)row)->sample == NULL ? NAN : of_worst_link(row, BY_LOSS);
}

static void draw_loss(const void *row, const struct table_cell *cell)
{
    char text[FORMAT_BYTES];
    const double value = key_loss(row);

    format_fraction(value, text);
    table_text(cell, true, value > 0.01 ? STYLE_BAD : value > 0.001 ? STYLE_WARN : cell->style, text);
}

/* Bytes per second that the node receives from the others. */
static double key_traffic(const void *row)
{
    const struct node_row *r = row;
    double sum = NAN;

    for (int from = 0; from < r->fleet->node_end && r->sample != NULL; from++) {
        const struct link_sample *sample = fleet_link_at(r->fleet, from, r->node, r->tick);

        if (sample != NULL && !isnan(sample->bytes_per_s))
            sum = (isnan(sum) ? 0 : sum) + (double)sample->bytes_per_s;
    }
    return is_gone(r) ? NAN : sum;
}

static void draw_traffic(const void *row, const struct table_cell *cell)
{
    const double value = key_traffic(row);
    char text[FORMAT_BYTES], per_s[FORMAT_BYTES + 2];

    format_bytes(value, text);
    snprintf(per_s, sizeof per_s, "%s%s", text, isnan(value) ? "" : "/s");
    table_text(cell, true, cell->style, per_s);
}

static double key_waits(const void *row)
{
    const struct node_row *r = row;

    return r->sample != NULL ? (double)r->sample->waits : NAN;
}

static void draw_waits(const void *row, const struct table_cell *cell)
{
    const struct node_row *r = row;
    char text[TABLE_TEXT_BYTES], rank[8], part[FORMAT_BYTES];

    if (r->sample == NULL || r->sample->waits_for < 0 || !(r->sample->waits >= 0.005f))
        return;
    format_fraction((double)r->sample->waits, part);
    snprintf(text, sizeof text, "→ %s  %s", fleet_rank_text_at(r->fleet, r->sample->waits_for, r->tick, rank), part);
    table_text(cell, false, r->sample->waits > 0.3f ? STYLE_WARN : cell->style, text);
}

static double key_rank(const void *row)
{
    const struct node_row *r = row;

    return -(double)fleet_rank_at(r->fleet, r->node, r->tick) - (is_gone(row) ? 1e6 : 0); /* numbers are sorted from the greatest */
}

static const char *text_address(const void *row)
{
    return node_of(row)->address;
}

static const char *text_state(const void *row)
{
    return fleet_state_name(state_of(row));
}

const struct table_column columns_of_nodes[] = {
    {"rank", "RANK", "its number in the epoch", 5, 0, 0, true, draw_rank, key_rank, NULL},
    {"address", "ADDRESS", "where its mesh socket is", 15, 6, 4, false, draw_address, NULL, text_address},
    {"state", "STATE", "what it is doing, or when it was last heard", 11, 0, 1, false, draw_state, NULL, text_state},
    {NULL, "ROLE", "what else it does", 9, 0, 8, false, draw_role, NULL, NULL},
    {"share", "SHARE", "of the rows", 6, 0, 6, true, draw_share, key_share, NULL},
    {NULL, "TIME", "of its workers, by kinds", 12, 36, 2, false, draw_time, NULL, NULL},
    {"busy", "BUSY", "time computing", 6, 0, 1, true, draw_busy, key_busy, NULL},
    {"speed", "TOK/S", "tokens that the mesh generates, by its count", 6, 0, 5, true, draw_speed, key_speed, NULL},
    {NULL, "BUSY, PAST", "time computing, over the past", 10, 30, 7, false, draw_past, NULL, NULL},
    {"waits", "WAITS FOR", "whom its workers wait for most, and how much of their time", 11, 0, 3, false, draw_waits, key_waits, NULL},
    {"latency", "p99 IN", "one-way latency of the slowest link to it", 8, 0, 5, true, draw_latency, key_latency, NULL},
    {"loss", "LOSS IN", "of the worst link to it, in ten seconds or an interval", 7, 0, 4, true, draw_loss, key_loss, NULL},
    {"traffic", "NET IN", "received from the other nodes", 9, 0, 7, true, draw_traffic, key_traffic, NULL},
    {"memory", "MEMORY", "weights, KV cache, buffers", 8, 0, 7, true, draw_memory, key_memory, NULL},
};
const int columns_of_nodes_count = sizeof columns_of_nodes / sizeof *columns_of_nodes;
