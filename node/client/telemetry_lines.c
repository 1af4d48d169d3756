#include "telemetry_lines.h"

#include "client_message.h"
#include "mesh/program/json.h"
#include "mesh/telemetry.h"
#include "mesh/udp.h"

#define SECOND_NS UINT64_C(1000000000)

enum { INTERVAL_MS = 100, LEASE_MS = 5000, AGAIN_S = 2 };

static void write_field(struct json *json, const struct mesh_metric *field, const void *decoded)
{
    if (field->type == MESH_TELEMETRY_b16)
        json_hex(json, field->name, (const uint8_t *)decoded + field->offset, 16);
    else if (field->type == MESH_TELEMETRY_s64)
        json_int(json, field->name, (int64_t)mesh_metric_get(field, decoded));
    else
        json_uint(json, field->name, mesh_metric_get(field, decoded));
}

static void write_histogram(struct json *json, const struct mesh_telemetry_item *item)
{
    struct mesh_histogram histogram = {0};

    json_text(json, "histogram", mesh_telemetry_latency_texts[item->latency.which].name);
    if (item->latency.bucket_first > 0 || item->latency.bucket_end < MESH_HISTOGRAM_BUCKETS)
        return; /* a part of a report */
    mesh_telemetry_get_histogram(item, &histogram);
    json_uint(json, "p50_ns", mesh_histogram_quantile(&histogram, 500));
    json_uint(json, "p99_ns", mesh_histogram_quantile(&histogram, 990));
}

static void write_phases(struct json *json, const struct mesh_telemetry_item *item)
{
    struct mesh_telemetry_phase phases[256];
    const unsigned count = mesh_telemetry_get_phases(item, phases, sizeof phases / sizeof *phases);

    json_array_begin(json, "phase_begin_duration_100ns");
    for (unsigned i = 0; i < count; i++) {
        json_array_begin(json, NULL);
        json_uint(json, NULL, phases[i].begin);
        json_uint(json, NULL, phases[i].duration);
        json_array_end(json);
    }
    json_array_end(json);
}

static void write_tail(struct json *json, const struct mesh_telemetry_item *item)
{
    switch (item->kind) {
    case MESH_TELEMETRY_NODE:
        json_string(json, "model", (const char *)item->tail, item->tail_bytes);
        break;
    case MESH_TELEMETRY_EVENT:
        json_text(json, "what", mesh_telemetry_event_name(item->event.happened));
        json_string(json, "text", (const char *)item->tail, item->tail_bytes);
        break;
    case MESH_TELEMETRY_LATENCY:
        write_histogram(json, item);
        break;
    case MESH_TELEMETRY_STEP:
        write_phases(json, item);
        break;
    default:
        break;
    }
}

static void write_item(struct json *json, const struct mesh_telemetry_head *head, const struct mesh_telemetry_item *item)
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(item->kind);

    json_event_begin(json, part->name);
    json_hex(json, "node", head->incarnation, sizeof head->incarnation);
    json_uint(json, "node_rank", head->rank);
    json_uint(json, "node_epoch", head->epoch);
    json_uint(json, "serial", head->serial);
    json_uint(json, "now_ns", head->now_ns);
    for (unsigned i = 0; i < part->field_count; i++)
        write_field(json, &part->fields[i], &item->node);
    write_tail(json, item);
    json_event_end(json);
}

static int take(struct json *json, const uint8_t *record, size_t bytes, struct fail *fail)
{
    struct mesh_telemetry_report report;
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_item item;
    struct client_message message;

    if (client_message_read(&message, record, bytes) == 0 && message.kind == CLIENT_MESSAGE_REFUSED)
        return fail_set(fail, EXIT_ENVIRONMENT, "refused: %.*s", (int)(message.text_size < 500 ? message.text_size : 500), message.text);
    if (mesh_telemetry_read_report(&report, record, bytes) != MESH_OK || mesh_telemetry_check(report.piece, report.piece_bytes) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "telemetry: the node's answer cannot be read: are both of the same version?");
    mesh_telemetry_open(&reader, report.piece, report.piece_bytes, &head);
    while (mesh_telemetry_next(&reader, &item) > 0)
        write_item(json, &head, &item);
    return 0;
}

int telemetry_lines(struct mesh_client *client, uint32_t seconds, struct fail *fail)
{
    const struct mesh_telemetry_watch watch = {.interval_ms = INTERVAL_MS, .lease_ms = LEASE_MS, .kinds = MESH_TELEMETRY_ALL};
    const uint64_t end_ns = mesh_udp_now_ns() + seconds * SECOND_NS;
    uint8_t wish[MESH_TELEMETRY_WATCH_BYTES];
    uint64_t again_ns = 0, now_ns;
    struct json json;

    json_init(&json, stdout);
    mesh_telemetry_write_watch(&watch, wish);
    while ((now_ns = mesh_udp_now_ns()) < end_ns) {
        const uint8_t *record;
        size_t bytes;
        int got;

        if (now_ns >= again_ns && client_session_send(client, wish, sizeof wish, fail) < 0)
            return -1;
        if (now_ns >= again_ns)
            again_ns = now_ns + AGAIN_S * SECOND_NS;
        got = client_session_receive(client, &record, &bytes, end_ns - now_ns < SECOND_NS ? end_ns - now_ns : SECOND_NS, fail);
        if (got < 0 || (got > 0 && take(&json, record, bytes, fail) < 0))
            return -1;
    }
    return 0;
}
