/* Telemetry's tables, made from the lists in mesh/telemetry.h: items, fields, metrics, and words for their values. */
#include "mesh/telemetry.h"

#include <assert.h>
#include <string.h>

#define FIELD(part, name, type, min, max, unit, kind, metric, meaning)                                                                  \
    {#name,  MESH_TELEMETRY_##type, (uint16_t)offsetof(struct mesh_telemetry_##part, name), min, max, unit, MESH_METRIC_##kind, metric, \
     meaning},
#define HEAD_FIELD(...)    FIELD(head, __VA_ARGS__)
#define NODE_FIELD(...)    FIELD(node, __VA_ARGS__)
#define LINK_FIELD(...)    FIELD(link, __VA_ARGS__)
#define LATENCY_FIELD(...) FIELD(latency, __VA_ARGS__)
#define WORKER_FIELD(...)  FIELD(worker, __VA_ARGS__)
#define REQUEST_FIELD(...) FIELD(request, __VA_ARGS__)
#define STEP_FIELD(...)    FIELD(step, __VA_ARGS__)
#define EVENT_FIELD(...)   FIELD(event, __VA_ARGS__)

#define COUNT(array)                                     (sizeof(array) / sizeof(array)[0])
#define TABLE(number, NAME, name, FIELDS, tail, meaning) static const struct mesh_metric name##_fields[] = {FIELDS(NAME##_FIELD)};
#define PART(number, NAME, name, FIELDS, tail, meaning)                                         \
    {                                                                                           \
#name, meaning, name##_fields, COUNT(name##_fields), number, MESH_TELEMETRY_TAIL_##tail \
    }
#define INDEXED_PART(number, ...) [number] = PART(number, __VA_ARGS__),

TABLE(0, HEAD, head, MESH_TELEMETRY_HEAD_FIELDS, NONE, "")
MESH_TELEMETRY_ITEMS(TABLE)

const struct mesh_telemetry_part mesh_telemetry_head_part =
    PART(0, HEAD, head, MESH_TELEMETRY_HEAD_FIELDS, NONE, "In front of the items of every piece.");
static const struct mesh_telemetry_part parts[MESH_TELEMETRY_KINDS] = {MESH_TELEMETRY_ITEMS(INDEXED_PART)};

#define LATENCY_TEXT_USE                    "use"
#define LATENCY_TEXT_ONE_WAY                "one_way"
#define LATENCY_TEXT_ROUND_TRIP             "round_trip"
#define LATENCY_TEXT(NAME, metric, meaning) {LATENCY_TEXT_##NAME, metric, meaning},
const struct mesh_telemetry_latency_text mesh_telemetry_latency_texts[MESH_LATENCIES] = {MESH_TELEMETRY_LATENCIES(LATENCY_TEXT)};

const struct mesh_telemetry_part *mesh_telemetry_part(unsigned kind)
{
    return kind > 0 && kind < MESH_TELEMETRY_KINDS ? &parts[kind] : NULL;
}

static const char *word(const char *const *words, unsigned count, unsigned index)
{
    return index < count && words[index] ? words[index] : "?";
}

const char *mesh_telemetry_state_name(unsigned state)
{
    static const char *const words[MESH_NODE_STATES] = {"seeking", "loading", "up", "joining", "suspected", "leaving"};

    return word(words, MESH_NODE_STATES, state);
}

const char *mesh_telemetry_worker_name(unsigned state)
{
    static const char *const words[MESH_WORKER_STATES] = {"idle", "computing", "waiting"};

    return word(words, MESH_WORKER_STATES, state);
}

const char *mesh_telemetry_request_name(unsigned state)
{
    static const char *const words[MESH_REQUEST_STATES] = {"waiting", "prompt", "generating", "done", "failed"};

    return word(words, MESH_REQUEST_STATES, state);
}

const char *mesh_telemetry_event_name(unsigned event)
{
    static const char *const words[MESH_NODE_EVENTS] = {
        NULL,     "start",   "epoch",   "prepare", "loaded",         "lost",      "back",    "suspected",
        "joined", "refused", "evicted", "leaving", "request failed", "no memory", "trouble", "mended",
    };

    return word(words, MESH_NODE_EVENTS, event);
}

const struct mesh_metric *mesh_metric_find(const struct mesh_telemetry_part *part, const char *name)
{
    const size_t bytes = strlen(name) + 1;

    for (unsigned i = 0; i < part->field_count; i++)
        if (strlen(part->fields[i].name) + 1 == bytes && memcmp(part->fields[i].name, name, bytes) == 0)
            return &part->fields[i];
    return NULL;
}

/* ---- values in structs ---- */

uint64_t mesh_metric_get(const struct mesh_metric *metric, const void *decoded)
{
    const uint8_t *at = (const uint8_t *)decoded + metric->offset;
    uint16_t value16;
    uint32_t value32;
    uint64_t value64;

    assert(metric->type != MESH_TELEMETRY_b16);
    switch (metric->type) {
    case MESH_TELEMETRY_u8:
        return *at;
    case MESH_TELEMETRY_u16:
        memcpy(&value16, at, sizeof value16);
        return value16;
    case MESH_TELEMETRY_u32:
        memcpy(&value32, at, sizeof value32);
        return value32;
    default:
        memcpy(&value64, at, sizeof value64);
        return value64;
    }
}

void mesh_metric_set(const struct mesh_metric *metric, void *decoded, uint64_t value)
{
    uint8_t *at = (uint8_t *)decoded + metric->offset;
    const uint8_t value8 = (uint8_t)value;
    const uint16_t value16 = (uint16_t)value;
    const uint32_t value32 = (uint32_t)value;

    assert(metric->type != MESH_TELEMETRY_b16);
    switch (metric->type) {
    case MESH_TELEMETRY_u8:
        *at = value8;
        break;
    case MESH_TELEMETRY_u16:
        memcpy(at, &value16, sizeof value16);
        break;
    case MESH_TELEMETRY_u32:
        memcpy(at, &value32, sizeof value32);
        break;
    default:
        memcpy(at, &value, sizeof value);
        break;
    }
}

double mesh_metric_value(const struct mesh_metric *metric, const void *decoded)
{
    const uint64_t bits = mesh_metric_get(metric, decoded);
    const double value = metric->type == MESH_TELEMETRY_s64 ? (double)(int64_t)bits : (double)bits;
    const char *unit = metric->unit;

    if (unit[0] == 'n' && unit[1] == 's' && !unit[2])
        return value / 1e9;
    if (unit[0] == 'p' && unit[1] == 'p' && unit[2] == 'm' && !unit[3])
        return value / 1e6;
    return value;
}
