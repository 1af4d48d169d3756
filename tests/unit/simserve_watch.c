/* Watching simulated nodes: the node's own watch.c, node_metrics.c and telemetry_report.c in virtual time. LOOKs and REPORTs go over the
 * simulated network; clients are on their nodes' hosts. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "simserve.h"

enum { INTERVAL_MARGIN = 4 /* an early report is let through when a quarter of the interval is missing */ };

static void fail(struct simserve_node *node, const char *what)
{
    simmembers_fail(&node->serve->members, node->member, what);
}

static uint64_t own_ns(const struct simserve_node *node)
{
    return simmembers_clock(&node->serve->members, node->member->place);
}

static uint64_t unix_ms(const struct simserve_node *node)
{
    return mesh_sim_now_ns(node->serve->members.sim) / SIMMEMBERS_MS;
}

/* ---- what a node sends ---- */

/* A report must not come before the watcher's interval since the last one has passed, except for a new epoch. */
static void check_rate(struct simserve_node *node, struct simserve_watcher *watcher, const struct simwatch_heard *before,
                       const struct simwatch_heard *after)
{
    const uint64_t least_ns = watcher->interval_ns - watcher->interval_ns / INTERVAL_MARGIN;
    const uint64_t since_ns = watcher->changed_ns > node->epoch_ns ? watcher->changed_ns : node->epoch_ns;

    if (before->reports > 0 && after->reports > before->reports && before->first_at_ns > since_ns &&
        after->first_at_ns - before->first_at_ns < least_ns)
        fail(node, "a watcher is told more often than it wishes");
}

static bool to_client(void *app, uint32_t session, const uint8_t *record, size_t bytes)
{
    struct simserve_node *node = app;
    struct simserve_watcher *watcher = &node->serve->watcher[session - 1];
    struct simwatch_heard before = {0};
    struct mesh_telemetry_report report = {0};
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head = {0};
    const struct simwatch_heard *heard;
    const char *wrong;

    if (!watcher->is_on || watcher->place != node->member->place || own_ns(node) >= watcher->until_ns)
        fail(node, "a report for a client whose lease is over");
    if (mesh_telemetry_read_report(&report, record, bytes) == MESH_OK &&
        mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head) == MESH_OK &&
        (heard = simwatch_find(&watcher->watch, head.incarnation)) != NULL)
        before = *heard;
    wrong = simwatch_take(&watcher->watch, own_ns(node), record, bytes);
    if (wrong != NULL)
        fail(node, wrong);
    else
        check_rate(node, watcher, &before, simwatch_find(&watcher->watch, head.incarnation));
    if (node->serve->on_record != NULL)
        node->serve->on_record(node->serve->app, record, bytes);
    return true;
}

static void to_member(void *app, const struct mesh_addr *to, struct mesh_message *message)
{
    struct simserve_node *node = app;
    struct simserve_outside *out = &node->outside[node->outside_end % SIMSERVE_OUTSIDE];

    if (message->header.type == MESH_TYPE_REPORT && own_ns(node) >= node->looked_until_ns[to->port])
        fail(node, "a report to a member whose lease is over");
    if (node->outside_end - node->outside_first == SIMSERVE_OUTSIDE)
        return; /* as when a socket has no room */
    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.number = mesh_cluster_spend_number(node->member->cluster);
    message->header.have_step = MESH_STEP_NONE;
    message->header.sent_ns = own_ns(node);
    memcpy(message->as.report.incarnation, node->member->config.incarnation, sizeof message->as.report.incarnation);
    out->to = *to;
    out->bytes = mesh_wire_encode(message, out->packet, sizeof out->packet);
    node->outside_end++;
    node->serve->looks += message->header.type == MESH_TYPE_LOOK;
    node->serve->reports += message->header.type == MESH_TYPE_REPORT;
}

size_t simserve_next_outside(struct simserve_node *node, uint8_t *packet, size_t capacity, struct mesh_addr *to)
{
    const struct simserve_outside *out = &node->outside[node->outside_first % SIMSERVE_OUTSIDE];

    if (node->outside_first == node->outside_end)
        return 0;
    assert(out->bytes <= capacity);
    memcpy(packet, out->packet, out->bytes);
    *to = out->to;
    node->outside_first++;
    return out->bytes;
}

/* ---- what a node reports ---- */

static void give(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    struct simserve_node *node = app;

    watch_give(&node->watch, own_ns(node), unix_ms(node), head, piece, bytes);
}

static void report(void *app, uint32_t kinds)
{
    static const struct packet_filter_stats no_filter;
    static const struct mesh_lab no_lab;
    struct simserve_node *node = app;
    const bool has_epoch = node->run->engine != NULL && node->run->is_started;
    const struct node_metrics_source source = {
        .now_ns = own_ns(node),
        .unix_ms = unix_ms(node),
        .config = &node->epoch_run_config,
        .run = has_epoch ? node->run : NULL,
        .cluster = node->member->cluster,
        .filter = &no_filter,
        .jobs = &node->jobs,
        .requests = &node->requests,
        .lab = &no_lab,
        .telemetry_refused = node->watch.refused,
        .watchers = watch_count(&node->watch, own_ns(node)),
        .start_ns = node->start_ns,
        .epoch_ns = node->epoch_ns,
        .is_leaving = node->is_leaving,
        .addr = mesh_sim_addr(node->member->place),
    };
    const struct telemetry_report_source report = {
        .incarnation = node->member->config.incarnation,
        .metrics = &node->metrics,
        .events = &node->events,
        .engine = has_epoch ? node->run->engine : NULL,
        .kinds = kinds,
        .steps_per_s = 40,
        .all_events = node->watch.tells_all_events,
    };

    node->metrics.look_again_ns = UINT64_MAX; /* the machine's memory is not simulated */
    node_metrics_take(&node->metrics, &source);
    telemetry_report_write(&node->report, &report, give, node);
    node->watch.tells_all_events = false;
}

static void note(struct simserve_node *node, enum mesh_node_event happened, const char *text)
{
    const struct mesh_telemetry_event event = {
        .happened = (uint8_t)happened,
        .when_ns = own_ns(node),
        .unix_ms = unix_ms(node),
        .epoch = node->run->number,
        .rank = MESH_TELEMETRY_NOBODY,
    };

    event_ring_add(&node->events, &event, text);
    watch_hurry(&node->watch, event.when_ns);
}

/* ---- a node's course ---- */

void simserve_watch_begin(struct simserve_node *node)
{
    const struct watch_hooks hooks = {.to_client = to_client, .to_member = to_member, .report = report, .app = node};

    watch_init(&node->watch, node->member->config.incarnation, &hooks);
    memset(&node->report, 0, sizeof node->report);
    memset(&node->events, 0, sizeof node->events);
    memset(&node->requests, 0, sizeof node->requests);
    memset(node->looked_until_ns, 0, sizeof node->looked_until_ns);
    node->outside_first = node->outside_end = 0;
    node->start_ns = own_ns(node);
    note(node, MESH_NODE_EVENT_START, "");
}

void simserve_watch_end(struct simserve_node *node)
{
    for (unsigned i = 0; i < SIMSERVE_WATCHERS_MAX; i++)
        if (node->serve->watcher[i].place == node->member->place)
            node->serve->watcher[i].is_on = false;
}

void simserve_watch_epoch(struct simserve_node *node)
{
    const struct epoch_run *run = node->run;

    node->epoch_ns = own_ns(node);
    node->report.step_serial = 0;
    watch_epoch(&node->watch, run->member, run->count, run->rank);
    if (run->count > 0)
        note(node, MESH_NODE_EVENT_EPOCH, "");
    else
        note(node, MESH_NODE_EVENT_EVICTED, "");
}

bool simserve_watch_receive(struct simserve_node *node, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_message message;

    if (mesh_wire_decode(packet, bytes, &message) == 0 && message.header.type == MESH_TYPE_LOOK && from.port < SIMSERVE_PLACES_MAX) {
        const uint64_t until_ns = own_ns(node) + message.as.look.lease_ms * SIMMEMBERS_MS;

        /* A LOOK that was overtaken may come from an earlier process there, and may or may not be accepted: the latest counts. */
        if (until_ns > node->looked_until_ns[from.port])
            node->looked_until_ns[from.port] = until_ns;
    }
    return watch_take_packet(&node->watch, own_ns(node), unix_ms(node), &from, packet, bytes) != WATCH_NOT_OURS;
}

/* ---- clients ---- */

bool simserve_watch(struct simserve *serve, uint16_t place, unsigned index, const struct mesh_telemetry_watch *wish)
{
    struct simserve_node *node = &serve->node[place];
    struct simserve_watcher *watcher = &serve->watcher[index];
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];
    const char *why = NULL;

    if (node->member->cluster == NULL || node->is_paused || (watcher->is_on && watcher->place != place))
        return false;
    if (!watcher->is_on)
        memset(watcher, 0, sizeof *watcher);
    *watcher = (struct simserve_watcher){.is_on = true, .place = place, .watch = watcher->watch, .changed_ns = own_ns(node)};
    watcher->interval_ns = wish->interval_ms * SIMMEMBERS_MS;
    watcher->until_ns = own_ns(node) + wish->lease_ms * SIMMEMBERS_MS;
    mesh_telemetry_write_watch(wish, record);
    if (watch_take_record(&node->watch, own_ns(node), index + 1, record, sizeof record, &why) != WATCH_TAKEN)
        fail(node, "a watcher is refused");
    mesh_sim_wake(serve->members.sim, place);
    return true;
}

void simserve_end_watches(struct simserve *serve)
{
    const struct mesh_telemetry_watch no_more = {MESH_TELEMETRY_INTERVAL_MS_MIN, 0, 0};

    for (unsigned i = 0; i < SIMSERVE_WATCHERS_MAX; i++)
        if (serve->watcher[i].is_on && simserve_watch(serve, serve->watcher[i].place, i, &no_more))
            serve->watcher[i].is_on = false;
}
