#include "report.h"

#include <math.h>
#include <string.h>

#include "columns.h"
#include "findings.h"
#include "format.h"
#include "mesh/program/json.h"

enum { TEXT_EVENTS_MAX = 8 /* of one interval */ };

/* The rank that the node had then, or has now where the tick is not in the past; null: none, or no node. */
static void put_rank(struct json *json, const char *key, const struct fleet *fleet, int node, uint64_t tick)
{
    const uint16_t rank = node >= 0 ? fleet_rank_at(fleet, node, tick) : MESH_TELEMETRY_NOBODY;

    if (rank != MESH_TELEMETRY_NOBODY)
        json_uint(json, key, rank);
    else
        json_double(json, key, NAN); /* null */
}

/* A float, with only as many digits as it has. */
static void put(struct json *json, const char *key, float value)
{
    json_float(json, key, value);
}

/* The interval that is reported, and how. */
struct interval {
    uint64_t tick;
    bool is_snapshot, is_repeated; /* is_repeated: it has been reported before */
};

static uint64_t count_of(const struct interval *interval, uint32_t count)
{
    return interval->is_repeated ? 0 : count;
}

/* ---- links ---- */

/* Every counter of a link, from the table of metrics. */
static void put_counters(struct json *json, unsigned kind, const void *decoded)
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

    json_object_begin(json, "counters");
    for (unsigned i = 0; i < part->field_count; i++)
        if (part->fields[i].kind != MESH_METRIC_LABEL && part->fields[i].type == MESH_TELEMETRY_s64)
            json_int(json, part->fields[i].name, (int64_t)mesh_metric_get(&part->fields[i], decoded));
        else if (part->fields[i].kind != MESH_METRIC_LABEL)
            json_uint(json, part->fields[i].name, mesh_metric_get(&part->fields[i], decoded));
    json_object_end(json);
}

static void put_peer(struct json *json, const struct fleet *fleet, int from, int to, const struct interval *interval)
{
    const uint64_t tick = interval->tick;
    const struct link_sample *sample = fleet_link_at(fleet, from, to, tick);
    const double loss = fleet_loss(fleet, from, to, tick, 1);

    if (sample == NULL)
        return;
    json_object_begin(json, NULL);
    put_rank(json, "rank", fleet, from, tick);
    put(json, "p50_us", sample->p50_us);
    put(json, "p99_us", sample->p99_us);
    json_double(json, "loss", sample->begins ? NAN : isnan(loss) ? 0 : loss);
    put(json, "use_p50_us", sample->use_p50_us);
    put(json, "use_p99_us", sample->use_p99_us);
    put(json, "round_trip_us", sample->rtt_us);
    put(json, "waited", sample->waits);
    json_uint(json, "datagrams_lost", count_of(interval, sample->lost));
    json_uint(json, "datagrams_received", count_of(interval, sample->received));
    put(json, "bytes_per_s", sample->bytes_per_s);
    json_uint(json, "naks_sent", count_of(interval, sample->naks));
    json_uint(json, "tiles_resent", count_of(interval, sample->resent));
    if (interval->is_snapshot)
        put_counters(json, MESH_TELEMETRY_LINK, &fleet_link(fleet, from, to)->now);
    json_object_end(json);
}

/* ---- nodes ---- */

static void put_time(struct json *json, const float time[TIME_KINDS])
{
    json_object_begin(json, "time");
    for (enum time_kind kind = 0; kind < TIME_KINDS; kind++)
        put(json, columns_time_name(kind), time[kind]);
    json_object_end(json);
}

static void put_workers(struct json *json, const struct fleet_node *node)
{
    json_array_begin(json, "workers");
    for (unsigned i = 0; i < node->worker_count; i++) {
        if (!node->workers[i].is_known)
            continue;
        json_object_begin(json, NULL);
        json_uint(json, "worker", i);
        json_text(json, "doing", mesh_telemetry_worker_name(node->workers[i].now.doing));
        put_time(json, node->workers[i].time);
        put_counters(json, MESH_TELEMETRY_WORKER, &node->workers[i].now);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_node(struct json *json, const struct fleet *fleet, int index, const struct interval *interval)
{
    static const struct node_sample none = {
        .time = {NAN, NAN, NAN, NAN, NAN}, .utilisation = NAN, .tok_per_s = NAN, .waits_for = FLEET_NOBODY};
    const struct fleet_node *node = &fleet->nodes[index];
    const struct node_sample *sample = fleet_node_at(fleet, index, interval->tick);
    const enum fleet_state state = fleet_state_at(fleet, index, interval->tick);

    sample = sample != NULL ? sample : &none;
    json_object_begin(json, NULL);
    put_rank(json, "rank", fleet, index, interval->tick);
    json_text(json, "address", node->address);
    json_text(json, "state", fleet_state_name(state));
    if (!fleet_is_alive(state))
        json_int(json, "last_heard_unix_ms", node->gone_wall_ns / 1000000);
    put(json, "share", node->has_reported ? (float)node->now.share : NAN);
    json_bool(json, "is_sequencer", node->now.is_sequencer);
    json_uint(json, "epoch", node->head.epoch);
    json_uint(json, "threads", node->now.threads);
    put(json, "utilisation", sample->utilisation);
    put(json, "tok_per_s", sample->tok_per_s);
    json_uint(json, "generated_tokens", count_of(interval, sample->tokens));
    put_time(json, sample->time);
    put_rank(json, "waits_for", fleet, sample->waits_for, interval->tick);
    put(json, "waits", sample->waits);
    json_uint(json, "memory_bytes", node->now.weight_bytes + node->now.kv_bytes + node->now.buffer_bytes);
    json_bool(json, "is_fresh", sample->is_fresh && !interval->is_repeated);
    if (interval->is_snapshot) {
        put_counters(json, MESH_TELEMETRY_NODE, &node->now);
        put_workers(json, node);
    }
    json_array_begin(json, "peers");
    for (int from = 0; from < fleet->node_end; from++)
        if (from != index)
            put_peer(json, fleet, from, index, interval);
    json_array_end(json);
    json_object_end(json);
}

/* ---- the rest ---- */

/* null where there is none. */
static void put_address(struct json *json, const char *key, const char *address)
{
    if (address[0] != '\0')
        json_text(json, key, address);
    else
        json_double(json, key, NAN);
}

/* Events from that number on, in the order of time. */
static void put_events(struct json *json, const struct fleet *fleet, uint64_t first_number)
{
    const struct fleet_event *list[FLEET_EVENTS];
    const int count = fleet_list_events(fleet, first_number, list);

    json_array_begin(json, "events");
    for (int i = count; i-- > 0;) {
        json_object_begin(json, NULL);
        json_int(json, "unix_ms", list[i]->wall_ns / 1000000);
        put_rank(json, "rank", fleet, list[i]->node, fleet->ticks);
        put_address(json, "address", fleet_event_reporter(fleet, list[i]));
        json_text(json, "happened", list[i]->happened != 0 ? mesh_telemetry_event_name(list[i]->happened) : "monitor");
        json_text(json, "level", list[i]->is_bad ? "bad" : "note");
        json_uint(json, "epoch", list[i]->epoch);
        put_rank(json, "about", fleet, list[i]->about, fleet->ticks);
        put_address(json, "about_address", fleet_event_subject(fleet, list[i]));
        json_text(json, "text", list[i]->text);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_requests(struct json *json, const struct fleet *fleet)
{
    json_array_begin(json, "requests");
    for (int i = 0; i < FLEET_REQUESTS; i++) {
        const struct fleet_request *request = &fleet->requests[i];
        char id[17];

        if (!request->is_used)
            continue;
        json_object_begin(json, NULL);
        json_uint(json, "request", request->now.request);
        snprintf(id, sizeof id, "%016llx", (unsigned long long)request->now.request);
        json_text(json, "id", id);
        put_rank(json, "entered_at", fleet, request->node, fleet->ticks);
        json_text(json, "state", fleet_request_state(request));
        json_uint(json, "prompt_tokens", request->now.prompt_tokens);
        json_uint(json, "gen_tokens", request->now.tokens);
        put(json, "tok_per_s", request->tok_per_s);
        json_double(json, "ttft_ms", request->now.first_ns > 0 ? (double)request->now.first_ns / 1e6 : NAN);
        json_double(json, "age_ms", (double)request->now.age_ns / 1e6);
        json_uint(json, "epochs", request->now.epochs);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_findings(struct json *json, const struct fleet *fleet, uint64_t tick)
{
    static const char *const how[STYLES] = {[STYLE_BAD] = "bad", [STYLE_WARN] = "warning", [STYLE_GOOD] = "good"};
    struct finding findings[FINDINGS_MAX];
    const int count = findings_find(fleet, tick, findings);
    double part;
    const int whom = findings_waited_for(fleet, tick, &part);

    put_rank(json, "waited_for", fleet, whom, tick);
    json_array_begin(json, "findings");
    for (int i = 0; i < count; i++) {
        json_object_begin(json, NULL);
        json_text(json, "level", how[findings[i].style] != NULL ? how[findings[i].style] : "note");
        json_text(json, "text", findings[i].text);
        json_object_end(json);
    }
    json_array_end(json);
}

void report_json(const struct fleet *fleet, uint64_t tick, struct report_cursor *cursor, FILE *out)
{
    const struct interval interval = {.tick = tick, .is_snapshot = cursor == NULL, .is_repeated = cursor != NULL && tick < cursor->ticks};
    const int witness = fleet_witness(fleet);
    int nodes[FLEET_NODES_MAX];
    const int count = fleet_order_at(fleet, tick, nodes);
    const bool has_before = tick > 0 && fleet_has_tick(fleet, tick - 1) && fleet_has_tick(fleet, tick);
    const uint64_t interval_ns =
        has_before ? fleet->tick_ns[tick % FLEET_HISTORY] - fleet->tick_ns[(tick - 1) % FLEET_HISTORY] : fleet->interval_ns;
    struct json json;

    json_init(&json, out);
    json_event_begin(&json, interval.is_snapshot ? "snapshot" : "interval");
    json_int(&json, "unix_ms", fleet->tick_wall_ns[tick % FLEET_HISTORY] / 1000000);
    json_double(&json, "interval_ms", (double)interval_ns / 1e6);
    json_bool(&json, "is_connected", fleet->is_connected);
    json_uint(&json, "epoch", witness >= 0 ? fleet->nodes[witness].head.epoch : 0);
    json_text(&json, "model", witness >= 0 ? fleet->nodes[witness].model : "");
    put(&json, "tok_per_s", fleet_tok_per_s(fleet, tick));
    json_array_begin(&json, "nodes");
    for (int i = 0; i < count; i++)
        put_node(&json, fleet, nodes[i], &interval);
    json_array_end(&json);
    put_findings(&json, fleet, tick);
    put_requests(&json, fleet);
    put_events(&json, fleet, cursor != NULL ? cursor->events : 0);
    json_uint(&json, "reports", fleet->reports);
    json_uint(&json, "reports_refused", fleet->refused);
    json_event_end(&json);
    if (cursor != NULL)
        *cursor = (struct report_cursor){tick + 1, fleet->event_count};
}

/* Events not yet reported, in the order of time: as many of the newest as there is room for. */
static void draw_events(struct canvas *canvas, struct area area, const struct fleet *fleet, const struct fleet_event **list, int count,
                        int64_t now_wall_ns)
{
    char clock[FORMAT_BYTES];
    int y = 0, i = count < area.height ? count : area.height;

    if (count > area.height && area.height > 0) {
        canvas_print(canvas, area, 1, y++, STYLE_NORMAL, "and %d events before these", count - area.height + 1);
        i--;
    }
    while (i-- > 0) {
        const struct fleet_event *event = list[i];
        const char *reporter = fleet_event_reporter(fleet, event), *subject = fleet_event_subject(fleet, event);
        const bool is_named = subject[0] == '\0' || strcmp(subject, reporter) == 0 || strstr(event->text, subject) != NULL;

        format_when(event->wall_ns, now_wall_ns, clock);
        canvas_print(canvas, area, 1, y++, STYLE_NORMAL, "%s %s%s%s%s%s%s%s", clock, reporter, reporter[0] != '\0' ? " " : "",
                     event->happened != 0 ? mesh_telemetry_event_name(event->happened) : "", event->happened != 0 ? ": " : "",
                     is_named ? "" : subject, is_named ? "" : " ", event->text);
    }
}

static int count_lines(const struct finding *findings, int count, int width)
{
    struct canvas none = {0};
    int lines = 0;

    for (int i = 0; i < count; i++)
        lines += canvas_text_wrapped(&none, (struct area){.width = width}, STYLE_NORMAL, findings[i].text);
    return lines;
}

int report_text(const struct fleet *fleet, struct ui *ui, struct report_cursor *cursor, int width, enum glyph_level level, FILE *out)
{
    const struct fleet_event *events[FLEET_EVENTS];
    const int event_count = fleet_list_events(fleet, cursor->events, events);
    const int event_lines = event_count < TEXT_EVENTS_MAX ? event_count : TEXT_EVENTS_MAX;
    struct finding findings[FINDINGS_MAX];
    int nodes[FLEET_NODES_MAX], widths[TABLE_COLUMNS_MAX], alive = 0;
    uint64_t tick;
    const bool has_tick = ui_tick(ui, fleet, &tick);
    const int finding_count = findings_find(fleet, tick, findings), node_count = ui_nodes(ui, fleet, nodes);
    const int finding_lines = count_lines(findings, finding_count, width - 2);
    const struct area all = {0, 0, width, finding_lines + node_count + event_lines + 3};
    struct canvas canvas;
    char clock[FORMAT_BYTES] = "-", speed[FORMAT_BYTES];
    int y = 0;

    if (canvas_init(&canvas, all.width, all.height, level) < 0)
        return -1;
    if (has_tick)
        format_clock(fleet->tick_wall_ns[tick % FLEET_HISTORY], clock);
    format_speed((double)fleet_tok_per_s(fleet, tick), speed);
    for (int i = 0; i < node_count; i++)
        alive += fleet_is_alive(fleet_state_at(fleet, nodes[i], tick));
    canvas_print(&canvas, all, 0, y++, STYLE_NORMAL, "%s  %d node%s  %s tok/s", clock, alive, alive == 1 ? "" : "s", speed);
    for (int i = 0; i < finding_count; i++)
        y += canvas_text_wrapped(&canvas, area_part(all, 2, y, width, finding_lines), STYLE_NORMAL, findings[i].text);
    table_fit(columns_of_nodes, columns_of_nodes_count, width, widths);
    table_head(&canvas, area_below(all, y++), columns_of_nodes, columns_of_nodes_count, widths, -1, false);
    for (int i = 0; i < node_count; i++) {
        const struct node_row row = columns_row(fleet, nodes[i], tick);

        table_row(&canvas, area_part(all, 0, y++, width, 1), columns_of_nodes, columns_of_nodes_count, widths, &row, STYLE_NORMAL);
    }
    draw_events(&canvas, area_part(all, 0, y, width, event_lines), fleet, events, event_count,
                has_tick ? fleet->tick_wall_ns[tick % FLEET_HISTORY] : 0);
    *cursor = (struct report_cursor){tick + 1, fleet->event_count};
    canvas_write(&canvas, out);
    fflush(out);
    canvas_release(&canvas);
    return 0;
}
