#include "simwatch.h"

#include <string.h>

const struct simwatch_heard *simwatch_find(const struct simwatch *watch, const uint8_t incarnation[16])
{
    for (int i = 0; i < SIMWATCH_HEARD_MAX; i++)
        if (watch->heard[i].is_used && memcmp(watch->heard[i].incarnation, incarnation, 16) == 0)
            return &watch->heard[i];
    return NULL;
}

/* The entry of this incarnation; for a new one with a full table, that of the process heard from least recently. */
static struct simwatch_heard *place_of(struct simwatch *watch, const uint8_t incarnation[16])
{
    struct simwatch_heard *oldest = &watch->heard[0];
    const struct simwatch_heard *found = simwatch_find(watch, incarnation);

    if (found != NULL)
        return &watch->heard[found - watch->heard];
    for (int i = 0; i < SIMWATCH_HEARD_MAX && oldest->is_used; i++)
        if (!watch->heard[i].is_used || watch->heard[i].first_at_ns < oldest->first_at_ns)
            oldest = &watch->heard[i];
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->incarnation, incarnation, 16);
    oldest->is_used = true;
    return oldest;
}

/* Another epoch: all its counters start again. */
static void begin_epoch(struct simwatch_heard *heard)
{
    memset(&heard->node, 0, sizeof heard->node);
    memset(heard->link, 0, sizeof heard->link);
    memset(heard->latencies, 0, sizeof heard->latencies);
    memset(heard->worker, 0, sizeof heard->worker);
}

static const char *take_head(struct simwatch_heard *heard, uint64_t now_ns, const struct mesh_telemetry_head *head)
{
    const struct mesh_telemetry_head *last = &heard->head;

    if (heard->reports > 0 && head->serial < last->serial)
        return "a report comes after a later one";
    if (heard->reports > 0 && head->serial == last->serial && (head->epoch != last->epoch || head->rank != last->rank))
        return "a report is of two epochs";
    /* A node that is no longer in an epoch reports 0. */
    if (heard->reports > 0 && head->epoch != 0 && last->epoch != 0 && head->epoch < last->epoch)
        return "an epoch's number goes back";
    if (heard->reports > 0 && head->now_ns < last->now_ns)
        return "a node's clock goes back";
    if (head->epoch != last->epoch)
        begin_epoch(heard);
    if (heard->reports == 0 || head->serial != last->serial) {
        heard->reports++;
        heard->first_at_ns = now_ns;
    }
    heard->head = *head;
    return NULL;
}

/* A datagram that arrives late is subtracted from the lost ones again. */
static bool may_go_back(const struct mesh_metric *field)
{
    return field->kind != MESH_METRIC_COUNTER || strcmp(field->name, "lost") == 0;
}

static const char *compare(unsigned kind, const void *before, const void *now)
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

    for (unsigned i = 0; i < part->field_count; i++)
        if (!may_go_back(&part->fields[i]) && mesh_metric_get(&part->fields[i], now) < mesh_metric_get(&part->fields[i], before))
            return part->fields[i].metric;
    return NULL;
}

static const char *take_node(struct simwatch_heard *heard, const struct mesh_telemetry_node *node)
{
    const char *wrong = compare(MESH_TELEMETRY_NODE, &heard->node, node);

    if (node->epoch_number != heard->head.epoch)
        return "figures of another epoch than the report's";
    if (node->members > 0 && heard->head.rank >= node->members)
        return "a rank beyond the members";
    heard->node = *node;
    return wrong;
}

static const char *take_link(struct simwatch_heard *heard, const struct mesh_telemetry_link *link)
{
    const char *wrong;

    if (link->peer >= SIMWATCH_RANKS_MAX || link->peer == heard->head.rank)
        return "a link to nobody";
    wrong = compare(MESH_TELEMETRY_LINK, &heard->link[link->peer], link);
    heard->link[link->peer] = *link;
    return wrong;
}

static const char *take_latency(struct simwatch_heard *heard, const struct mesh_telemetry_latency *latency)
{
    uint64_t *before;

    if (latency->peer >= SIMWATCH_RANKS_MAX || latency->peer == heard->head.rank)
        return "latencies of nobody";
    before = &heard->latencies[latency->peer][latency->which];
    if (latency->count < *before)
        return "samples of a latency are gone";
    *before = latency->count;
    return NULL;
}

static const char *take_worker(struct simwatch_heard *heard, const struct mesh_telemetry_worker *worker)
{
    const char *wrong;

    if (worker->worker >= SIMWATCH_WORKERS_MAX)
        return NULL;
    wrong = compare(MESH_TELEMETRY_WORKER, &heard->worker[worker->worker], worker);
    heard->worker[worker->worker] = *worker;
    return wrong;
}

static const char *take_item(struct simwatch_heard *heard, const struct mesh_telemetry_item *item)
{
    switch (item->kind) {
    case MESH_TELEMETRY_NODE:
        return take_node(heard, &item->node);
    case MESH_TELEMETRY_LINK:
        return take_link(heard, &item->link);
    case MESH_TELEMETRY_LATENCY:
        return take_latency(heard, &item->latency);
    case MESH_TELEMETRY_WORKER:
        return take_worker(heard, &item->worker);
    case MESH_TELEMETRY_EVENT:
        return heard->head.epoch != 0 && item->event.epoch > heard->head.epoch ? "an event of an epoch to come" : NULL;
    default:
        return NULL;
    }
}

const char *simwatch_take(struct simwatch *watch, uint64_t now_ns, const uint8_t *record, size_t bytes)
{
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_item item;
    struct simwatch_heard *heard;
    const char *wrong;

    if (mesh_telemetry_read_report(&report, record, bytes) != MESH_OK ||
        mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head) != MESH_OK ||
        mesh_telemetry_check(report.piece, report.piece_bytes) != MESH_OK)
        return "a record that is no report";
    watch->records++;
    heard = place_of(watch, head.incarnation);
    wrong = take_head(heard, now_ns, &head);
    while (wrong == NULL && mesh_telemetry_next(&reader, &item) > 0)
        wrong = take_item(heard, &item);
    return wrong;
}
