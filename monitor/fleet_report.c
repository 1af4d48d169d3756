/* Reports taken into a fleet: every item is a node's claim, in range but otherwise arbitrary. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

enum { WORKERS_AT_A_TIME = 16 };
static const uint64_t farewell_ns = UINT64_C(10000000000);

struct report_reader {
    struct fleet *fleet;
    const struct mesh_telemetry_head *head;
    int node; /* that the piece is about */
    uint64_t now_ns;
    int64_t wall_ns;
};

/* The limit of nanoseconds: the year 2262. */
static int64_t wall_of(uint64_t unix_ms)
{
    return unix_ms < INT64_MAX / 1000000 ? (int64_t)unix_ms * 1000000 : INT64_MAX;
}

static void take_text(const struct mesh_telemetry_item *item, char out[FLEET_NAME_BYTES])
{
    const size_t bytes = item->tail_bytes < FLEET_NAME_BYTES - 1 ? item->tail_bytes : FLEET_NAME_BYTES - 1;

    if (bytes > 0)
        memcpy(out, item->tail, bytes);
    out[bytes] = '\0';
}

/* ---- nodes ---- */

/* Counters of the new epoch begin at 0. */
static void begin_epoch(struct fleet_link *link)
{
    for (int i = 0; i < MESH_LATENCIES; i++) {
        link->last_us[i][0] = link->last_us[i][1] = NAN;
        link->bucket_first[i] = link->bucket_end[i] = 0;
        if (link->latency[i] != NULL)
            memset(link->latency[i], 0, sizeof *link->latency[i]);
        if (link->latency_before[i] != NULL)
            memset(link->latency_before[i], 0, sizeof *link->latency_before[i]);
    }
}

/* A new process at the same address: counters of the one before do not continue. */
static void restart(struct report_reader *in, struct fleet_node *node)
{
    if (node->has_reported)
        fleet_note(in->fleet, in->now_ns, in->wall_ns, true, "%s has restarted", node->address);
    node->before_ns = 0;
    node->tokens_ended = 0;
    node->left_ns = 0;
    node->event_last = 0;
    node->happened_ns = INT64_MIN;
    node->events_seen = 0;
    node->worker_count = 0;
    if (node->workers != NULL)
        memset(node->workers, 0, node->worker_room * sizeof *node->workers);
    for (int i = 0; i < FLEET_STEPS; i++)
        node->steps[i].is_known = false;
    for (int i = 0; i < FLEET_NODES_MAX; i++)
        if (node->links[i] != NULL) { /* its epoch may have the number of the one before */
            begin_epoch(node->links[i]);
            node->links[i]->epoch = node->links[i]->epoch_before = 0;
        }
    for (int i = 0; i < FLEET_REQUESTS; i++)
        if (in->fleet->requests[i].is_used && in->fleet->requests[i].node == in->node)
            in->fleet->requests[i].is_used = false;
    memset(&node->head, 0, sizeof node->head);
}

static const char *file_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void take_model(struct report_reader *in, struct fleet_node *node, const struct mesh_telemetry_item *item)
{
    char model[FLEET_NAME_BYTES];

    take_text(item, model);
    if (model[0] != '\0' && node->model[0] != '\0' && strcmp(model, node->model) != 0)
        fleet_note(in->fleet, in->now_ns, in->wall_ns, false, "%s has another model: %.60s instead of %.60s", node->address, file_of(model),
                   file_of(node->model));
    memcpy(node->model, model, sizeof model);
}

/* A node that is in no later epoch has lost the rank: with two nodes of one rank, sentences and links would be taken for the other's. */
static void take_rank(struct report_reader *in, struct fleet_node *node)
{
    node->rank = in->head->rank;
    for (int i = 0; node->rank != MESH_TELEMETRY_NOBODY && i < in->fleet->node_end; i++) {
        struct fleet_node *other = &in->fleet->nodes[i];

        if (i != in->node && other->rank == node->rank &&
            (other->life < node->life || (other->life == node->life && other->head.epoch < in->head->epoch)))
            other->rank = MESH_TELEMETRY_NOBODY;
    }
}

/* Within one life of the mesh a process that was started again is in a later epoch than the one before it, though at first in none. The
 * first such node tells of a new life, the others are part of it. */
static void take_epoch(struct report_reader *in, struct fleet_node *node)
{
    const bool is_other = memcmp(node->epoch_incarnation, in->head->incarnation, sizeof node->epoch_incarnation) != 0;

    if (in->head->epoch == 0)
        return;
    if (node->epoch_last > 0 && node->life == in->fleet->life && in->head->epoch < node->epoch_last + is_other)
        in->fleet->life++;
    node->life = in->fleet->life;
    node->epoch_last = in->head->epoch;
    memcpy(node->epoch_incarnation, in->head->incarnation, sizeof node->epoch_incarnation);
}

static void take_node(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    struct fleet_node *node = &in->fleet->nodes[in->node];
    const bool is_restarted = memcmp(node->incarnation, in->head->incarnation, sizeof node->incarnation) != 0;

    if (!is_restarted && node->has_reported && in->head->serial < node->head.serial) /* overtaken by a newer report */
        return;
    take_epoch(in, node);
    if (is_restarted) {
        restart(in, node);
        memcpy(node->incarnation, in->head->incarnation, sizeof node->incarnation);
    }
    fleet_move(in->fleet, in->node, item->node.ip, item->node.port);
    if (in->head->epoch != node->head.epoch) {
        for (int rank = 0; rank < FLEET_RANKS_MAX; rank++)
            node->of_rank[rank] = FLEET_NOBODY;
        node->tokens_ended += fleet_tokens_since(node);
    }
    node->has_reported = true;
    node->head = *in->head;
    take_rank(in, node);
    node->now = item->node;
    node->report_ns = in->now_ns;
    take_model(in, node, item);
    if (in->head->rank < FLEET_RANKS_MAX)
        node->of_rank[in->head->rank] = (int16_t)in->node;
}

/* ---- links ---- */

static int node_of_rank(const struct report_reader *in, uint16_t rank)
{
    const struct fleet_node *node = &in->fleet->nodes[in->node];

    return rank < FLEET_RANKS_MAX && node->head.epoch == in->head->epoch ? node->of_rank[rank] : FLEET_NOBODY;
}

static void take_link(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    const int from = fleet_find(in->fleet, item->link.ip, item->link.port, in->now_ns);
    struct fleet_node *node = &in->fleet->nodes[in->node];
    struct fleet_link *link;

    if (from < 0 || from == in->node || (link = fleet_make_link(in->fleet, from, in->node)) == NULL)
        return;
    if (link->epoch != in->head->epoch)
        begin_epoch(link);
    link->epoch = in->head->epoch;
    link->now = item->link;
    link->heard_ns = in->now_ns;
    if (node->head.epoch == in->head->epoch && item->link.peer < FLEET_RANKS_MAX)
        node->of_rank[item->link.peer] = (int16_t)from;
    in->fleet->nodes[from].named_ns = in->now_ns;
    in->fleet->nodes[from].named_state = item->link.state;
    in->fleet->nodes[from].named_epoch = in->head->epoch;
    if (!in->fleet->nodes[from].has_reported) {
        in->fleet->nodes[from].head.rank = in->fleet->nodes[from].rank = item->link.peer;
        in->fleet->nodes[from].head.epoch = in->head->epoch;
    }
}

static void take_latency(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    const int from = node_of_rank(in, item->latency.peer);
    const unsigned which = item->latency.which;
    struct fleet_link *link = from >= 0 && from != in->node ? fleet_make_link(in->fleet, from, in->node) : NULL;
    struct mesh_histogram **histogram;

    if (link == NULL || which >= MESH_LATENCIES)
        return;
    histogram = &link->latency[which];
    if (*histogram == NULL)
        *histogram = calloc(1, sizeof **histogram);
    if (link->latency_before[which] == NULL)
        link->latency_before[which] = calloc(1, sizeof **histogram);
    if (*histogram == NULL)
        return;
    mesh_telemetry_get_histogram(item, *histogram);
    if (link->bucket_end[which] == 0 || item->latency.bucket_first < link->bucket_first[which])
        link->bucket_first[which] = item->latency.bucket_first;
    if (item->latency.bucket_end > link->bucket_end[which])
        link->bucket_end[which] = item->latency.bucket_end;
}

/* ---- workers, steps ---- */

static bool make_worker_room(struct fleet_node *node, unsigned count)
{
    const unsigned room = (count + WORKERS_AT_A_TIME - 1) / WORKERS_AT_A_TIME * WORKERS_AT_A_TIME;
    struct fleet_worker *grown;

    if (room <= node->worker_room)
        return true;
    grown = realloc(node->workers, room * sizeof *grown);
    if (grown == NULL)
        return false;
    memset(grown + node->worker_room, 0, (room - node->worker_room) * sizeof *grown);
    node->workers = grown;
    node->worker_room = room;
    return true;
}

static void take_worker(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    struct fleet_node *node = &in->fleet->nodes[in->node];
    struct fleet_worker *worker;

    if (item->worker.worker >= FLEET_WORKERS_MAX || !make_worker_room(node, item->worker.worker + 1u))
        return;
    worker = &node->workers[item->worker.worker];
    worker->now = item->worker;
    worker->is_known = true;
    if (node->worker_count <= item->worker.worker)
        node->worker_count = item->worker.worker + 1u;
}

/* That step's place; else a free one, or that of the oldest. */
static struct fleet_step *step_place(struct fleet_node *node, uint32_t epoch, const struct mesh_telemetry_step *step)
{
    struct fleet_step *place = &node->steps[0];

    for (int i = 0; i < FLEET_STEPS; i++) {
        struct fleet_step *slot = &node->steps[i];

        if (slot->is_known && slot->epoch == epoch && slot->step.step == step->step)
            return slot;
        if (place->is_known && (!slot->is_known || slot->step.begin_ns < place->step.begin_ns))
            place = slot;
    }
    return place;
}

static void take_step(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    const struct mesh_telemetry_step *step = &item->step;
    struct fleet_node *node = &in->fleet->nodes[in->node];
    struct fleet_step *slot = step_place(node, in->head->epoch, step);
    const bool is_new =
        !slot->is_known || slot->epoch != in->head->epoch || slot->step.step != step->step || slot->step.begin_ns != step->begin_ns;
    const uint16_t total = step->phase_total < FLEET_PHASES_MAX ? step->phase_total : FLEET_PHASES_MAX;

    if (is_new && slot->capacity < total) {
        struct mesh_telemetry_phase *phases = realloc(slot->phases, total * sizeof *phases);

        if (phases == NULL)
            return;
        slot->phases = phases;
        slot->capacity = total;
    }
    if (is_new) {
        slot->phases_known = 0;
        slot->tick = in->fleet->ticks;
        if (!fleet_clock(in->fleet, in->node, &slot->clock_ns, &slot->reference))
            slot->reference = FLEET_NOBODY;
        slot->is_known = true;
        if (slot->phases != NULL)
            memset(slot->phases, 0, slot->capacity * sizeof *slot->phases);
    }
    slot->life = in->fleet->life;
    slot->epoch = in->head->epoch;
    slot->waited_for = (int16_t)node_of_rank(in, step->stall_rank);
    slot->step = *step;
    slot->step.phase_total = total < slot->capacity ? total : slot->capacity;
    if (step->phase_first < slot->capacity)
        mesh_telemetry_get_phases(item, slot->phases + step->phase_first, slot->capacity - step->phase_first);
    if (step->phase_first + step->phase_count > slot->phases_known)
        slot->phases_known = (uint16_t)(step->phase_first + step->phase_count);
    if (slot->phases_known > slot->step.phase_total)
        slot->phases_known = slot->step.phase_total;
}

/* ---- requests, events ---- */

/* The request's place; else a free one, or that of the request that has been over longest. */
static struct fleet_request *request_place(struct fleet *fleet, int node, uint64_t id)
{
    struct fleet_request *place = NULL;

    for (int i = 0; i < FLEET_REQUESTS; i++)
        if (fleet->requests[i].is_used && fleet->requests[i].node == node && fleet->requests[i].now.request == id)
            return &fleet->requests[i];
    for (int i = 0; i < FLEET_REQUESTS; i++) {
        struct fleet_request *request = &fleet->requests[i];

        if (!request->is_used) {
            place = request;
            break;
        }
        if (!fleet_request_runs(request) && (place == NULL || request->changed_ns < place->changed_ns))
            place = request;
    }
    if (place != NULL)
        *place = (struct fleet_request){.node = (int16_t)node, .tok_per_s = NAN};
    return place;
}

static void take_request(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    struct fleet_request *request = request_place(in->fleet, in->node, item->request.request);

    if (request == NULL) {
        in->fleet->refused_full++;
        return;
    }
    if (!request->is_used)
        request->before = item->request;
    if (!request->is_used || request->now.state < MESH_REQUEST_DONE)
        request->changed_ns = in->now_ns;
    request->is_used = true;
    request->is_lost = false;
    request->heard_ns = in->now_ns;
    request->now = item->request;
}

/* Has this event of the node arrived before? */
static bool is_seen(struct fleet_node *node, uint32_t number)
{
    uint64_t bit;

    if (number > node->event_last) {
        const uint32_t ahead = number - node->event_last;

        node->events_seen = ahead < 64 ? node->events_seen << ahead | 1 : 1;
        node->event_last = number;
        return false;
    }
    if (node->event_last - number >= 64)
        return true;
    bit = UINT64_C(1) << (node->event_last - number);
    if (node->events_seen & bit)
        return true;
    node->events_seen |= bit;
    return false;
}

static bool is_bad(unsigned happened)
{
    return happened == MESH_NODE_EVENT_LOST || happened == MESH_NODE_EVENT_SUSPECTED || happened == MESH_NODE_EVENT_REFUSED ||
           happened == MESH_NODE_EVENT_EVICTED || happened == MESH_NODE_EVENT_REQUEST_FAILED || happened == MESH_NODE_EVENT_SHORT ||
           happened == MESH_NODE_EVENT_TROUBLE;
}

static int event_about(struct report_reader *in, const struct mesh_telemetry_event *event)
{
    for (int i = 0; i < in->fleet->node_end; i++)
        if (in->fleet->nodes[i].is_used && in->fleet->nodes[i].addr.port == event->port &&
            memcmp(in->fleet->nodes[i].addr.ip, event->ip, 16) == 0)
            return i;
    return event->epoch == in->head->epoch ? node_of_rank(in, event->rank) : FLEET_NOBODY;
}

/* A node that leaves may be gone before its own report says so. */
static void take_farewell(struct report_reader *in, const struct mesh_telemetry_event *reported, int about)
{
    const bool is_recent = in->head->now_ns < reported->when_ns + farewell_ns; /* old events are reported, too */

    if (reported->happened == MESH_NODE_EVENT_LEAVING && about >= 0 && about != in->node && is_recent)
        in->fleet->nodes[about].left_ns = in->now_ns;
}

/* When it happened, by the monitor's clock: as long before the report came as it was old when the node wrote that, but not before what the
 * node told of earlier, since reports may be under way for different times. */
static int64_t happened_ns(const struct report_reader *in, const struct mesh_telemetry_event *reported)
{
    const uint64_t age_ns = in->head->now_ns > reported->when_ns ? in->head->now_ns - reported->when_ns : 0;
    struct fleet_node *node = &in->fleet->nodes[in->node];
    int64_t at_ns = (int64_t)in->now_ns - (int64_t)(age_ns < INT64_MAX / 2 ? age_ns : INT64_MAX / 2);

    if (reported->number == node->event_last)
        node->happened_ns = at_ns = at_ns > node->happened_ns ? at_ns : node->happened_ns;
    return at_ns;
}

static void take_event(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    const struct mesh_telemetry_event *reported = &item->event;
    struct mesh_addr addr = {.port = reported->port};
    struct fleet_event *event;

    if (is_seen(&in->fleet->nodes[in->node], reported->number) ||
        (event = fleet_add_event(in->fleet, happened_ns(in, reported), wall_of(reported->unix_ms))) == NULL)
        return;
    event->node = (int16_t)in->node;
    event->happened = reported->happened;
    event->is_bad = is_bad(reported->happened);
    event->about = (int16_t)event_about(in, reported);
    event->epoch = reported->epoch;
    take_farewell(in, reported, event->about);
    memcpy(addr.ip, reported->ip, sizeof addr.ip);
    if (addr.port != 0)
        mesh_addr_format(addr, event->subject);
    take_text(item, event->text);
}

/* ---- a piece ---- */

static void take_item(struct report_reader *in, const struct mesh_telemetry_item *item)
{
    switch (item->kind) {
    case MESH_TELEMETRY_NODE:
        take_node(in, item);
        break;
    case MESH_TELEMETRY_LINK:
        take_link(in, item);
        break;
    case MESH_TELEMETRY_LATENCY:
        take_latency(in, item);
        break;
    case MESH_TELEMETRY_WORKER:
        take_worker(in, item);
        break;
    case MESH_TELEMETRY_REQUEST:
        take_request(in, item);
        break;
    case MESH_TELEMETRY_STEP:
        take_step(in, item);
        break;
    case MESH_TELEMETRY_EVENT:
        take_event(in, item);
        break;
    default:
        break;
    }
}

int fleet_report(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns, const uint8_t *record, size_t bytes)
{
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_item item;
    struct report_reader in = {.fleet = fleet, .head = &head, .now_ns = now_ns, .wall_ns = wall_ns};
    int err = mesh_telemetry_read_report(&report, record, bytes);

    if (err == MESH_OK)
        err = mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head);
    if (err != MESH_OK) {
        fleet->refused++;
        return err;
    }
    in.node = fleet_find_incarnation(fleet, head.incarnation);
    while ((err = mesh_telemetry_next(&reader, &item)) > 0) {
        if (in.node < 0 && item.kind == MESH_TELEMETRY_NODE)
            in.node = fleet_find(fleet, item.node.ip, item.node.port, now_ns);
        if (in.node >= 0)
            take_item(&in, &item);
    }
    if (err < 0) {
        fleet->refused++;
        return err;
    }
    fleet->reports++;
    fleet->heard_ns = now_ns;
    return 0;
}
