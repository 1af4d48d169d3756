#include "metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "mesh/program/json.h"
#include "mesh/program/text_decode.h"
#include "mesh/udp.h"
#include "mesh/version.h"

/* Buckets of histograms end at powers of two nanoseconds, like the recorded ones: 1 us to 69 s. */
enum { LOG2_FIRST = 10, LOG2_LAST = 36, LABELS_BYTES = 160 };

static void write_head(FILE *out, const char *metric, const char *kind, const char *meaning)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, meaning, metric, kind);
}

/* labels: in braces, or empty. */
static void write_value(FILE *out, const char *metric, const char *labels, double value)
{
    char text[JSON_NUMBER_MAX];

    json_double_text(value, text);
    fprintf(out, "%s%s %s\n", metric, labels, text);
}

/* Escape a label's value, which must not end its quotes. Prometheus refuses the whole page for one byte that is no UTF-8, so such bytes
 * become U+FFFD, and a text that is too long ends between two characters. */
static void escape(const char *text, char *out, size_t room)
{
    static const char invalid[] = "\xef\xbf\xbd";
    size_t left = strlen(text), used = 0, bytes;

    for (; left > 0 && used + 5 <= room; text += bytes, left -= bytes) {
        uint32_t code_point;
        const bool is_text = (bytes = text_decode(text, left, &code_point)) > 0 && code_point != TEXT_DECODE_INVALID;

        if (*text == '\n' || *text == '\r')
            continue;
        if (*text == '"' || *text == '\\')
            out[used++] = '\\';
        memcpy(out + used, is_text ? text : invalid, is_text ? bytes : sizeof invalid - 1);
        used += is_text ? bytes : sizeof invalid - 1;
    }
    out[used] = '\0';
}

static void format_addr(const uint8_t ip[16], uint16_t port, char out[MESH_ADDR_TEXT_BYTES])
{
    struct mesh_addr addr = {.port = port};

    memcpy(addr.ip, ip, sizeof addr.ip);
    mesh_addr_format(addr, out);
}

static void labels_of_link(const struct mesh_telemetry_link *link, char out[LABELS_BYTES])
{
    char address[MESH_ADDR_TEXT_BYTES];

    format_addr(link->ip, link->port, address);
    snprintf(out, LABELS_BYTES, "{peer=\"%u\",address=\"%s\"}", link->peer, address);
}

/* Metric by metric, each with the samples of all items: (count) structs of `stride` bytes. */
static void write_part(FILE *out, enum mesh_telemetry_kind kind, const void *items, size_t count, size_t stride,
                       void (*labels_of)(const void *item, char out[LABELS_BYTES]))
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(kind);

    for (unsigned i = 0; i < part->field_count && count > 0; i++) {
        const struct mesh_metric *field = &part->fields[i];

        if (field->kind == MESH_METRIC_LABEL)
            continue;
        write_head(out, field->metric, field->kind == MESH_METRIC_COUNTER ? "counter" : "gauge", field->meaning);
        for (size_t j = 0; j < count; j++) {
            const uint8_t *item = (const uint8_t *)items + j * stride;
            char labels[LABELS_BYTES] = "";

            if (labels_of != NULL)
                labels_of(item, labels);
            write_value(out, field->metric, labels, mesh_metric_value(field, item));
        }
    }
}

static void link_labels(const void *item, char out[LABELS_BYTES])
{
    labels_of_link(item, out);
}

static void worker_labels(const void *item, char out[LABELS_BYTES])
{
    snprintf(out, LABELS_BYTES, "{worker=\"%u\"}", ((const struct mesh_telemetry_worker *)item)->worker);
}

static void write_info(FILE *out, const struct node_metrics *m)
{
    char labels[2 * LABELS_BYTES], address[MESH_ADDR_TEXT_BYTES], model[LABELS_BYTES];

    format_addr(m->node.ip, m->node.port, address);
    escape(m->model, model, sizeof model);
    snprintf(labels, sizeof labels, "{version=\"" MESH_VERSION "\",address=\"%s\",model=\"%s\"}", address, model);
    write_head(out, MESH_METRIC_INFO, "gauge", "Always 1: which node this is");
    write_value(out, MESH_METRIC_INFO, labels, 1);
    write_head(out, MESH_METRIC_STATE, "gauge", "1 for the state that the node is in");
    for (unsigned state = 0; state < MESH_NODE_STATES; state++) {
        if (state == MESH_NODE_JOINING || state == MESH_NODE_SUSPECTED)
            continue; /* only other nodes report it */
        snprintf(labels, sizeof labels, "{state=\"%s\"}", mesh_telemetry_state_name(state));
        write_value(out, MESH_METRIC_STATE, labels, state == m->node.state);
    }
    if (m->rank == MESH_TELEMETRY_NOBODY)
        return;
    write_head(out, MESH_METRIC_RANK, "gauge", "The node's rank in its epoch");
    write_value(out, MESH_METRIC_RANK, "", m->rank);
}

static void write_events(FILE *out, const struct event_ring *events)
{
    char labels[LABELS_BYTES];

    write_head(out, MESH_METRIC_EVENTS, "counter", "Events of the node since it started, by kind");
    for (unsigned i = 1; i < MESH_NODE_EVENTS; i++) {
        snprintf(labels, sizeof labels, "{event=\"%s\"}", mesh_telemetry_event_name(i));
        write_value(out, MESH_METRIC_EVENTS, labels, (double)events->by_kind[i]);
    }
}

static void write_troubles(FILE *out, const struct troubles *troubles)
{
    char labels[LABELS_BYTES];

    write_head(out, MESH_METRIC_TROUBLES, "gauge", "Troubles that the node knows of now, by kind");
    for (unsigned kind = 0; kind < TROUBLE_KINDS; kind++) {
        snprintf(labels, sizeof labels, "{trouble=\"%s\"}", trouble_name((enum trouble_kind)kind));
        write_value(out, MESH_METRIC_TROUBLES, labels, troubles_count(troubles, (enum trouble_kind)kind));
    }
}

static void write_recorded(FILE *out, const struct recording_figures *recorded)
{
    static const struct {
        const char *metric, *meaning;
        enum mesh_metric_kind kind;
        size_t offset;
    } list[] = {
#define RECORDING_FIGURE(name, metric, kind, meaning) {metric, meaning, MESH_METRIC_##kind, offsetof(struct recording_figures, name)},
        RECORDING_FIGURES(RECORDING_FIGURE)
#undef RECORDING_FIGURE
    };

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint64_t value;

        memcpy(&value, (const uint8_t *)recorded + list[i].offset, sizeof value);
        write_head(out, list[i].metric, list[i].kind == MESH_METRIC_COUNTER ? "counter" : "gauge", list[i].meaning);
        write_value(out, list[i].metric, "", (double)value);
    }
}

/* ---- histograms ---- */

static void write_buckets(FILE *out, const char *metric, const char *labels, const struct mesh_histogram *histogram)
{
    const int inner = (int)strlen(labels) - 2; /* without the braces */
    uint64_t below = 0;
    char text[JSON_NUMBER_MAX];
    unsigned bucket = 0;

    for (unsigned log2 = LOG2_FIRST; log2 <= LOG2_LAST; log2++) {
        const unsigned end = (log2 - 3) * MESH_HISTOGRAM_PARTS; /* the first bucket whose values are 2^log2 or more */

        for (; bucket < end; bucket++)
            below += histogram->buckets[bucket];
        json_double_text((double)(UINT64_C(1) << log2) / 1e9, text);
        fprintf(out, "%s_bucket{%.*s,le=\"%s\"} %" PRIu64 "\n", metric, inner, labels + 1, text, below);
    }
    fprintf(out, "%s_bucket{%.*s,le=\"+Inf\"} %" PRIu64 "\n", metric, inner, labels + 1, histogram->count);
    json_double_text((double)histogram->sum_ns / 1e9, text);
    fprintf(out, "%s_sum%s %s\n%s_count%s %" PRIu64 "\n", metric, labels, text, metric, labels, histogram->count);
}

static void write_latencies(FILE *out, const struct node_metrics *m)
{
    for (unsigned which = 0; which < MESH_LATENCIES && m->links > 0; which++) {
        const struct mesh_telemetry_latency_text *text = &mesh_telemetry_latency_texts[which];

        write_head(out, text->metric, "histogram", text->meaning);
        for (uint16_t i = 0; i < m->links; i++) {
            char labels[LABELS_BYTES];

            labels_of_link(&m->link[i], labels);
            write_buckets(out, text->metric, labels, &m->latency[(size_t)i * MESH_LATENCIES + which]);
        }
    }
}

void metrics_write(const struct node_metrics *m, const struct event_ring *events, const struct troubles *troubles,
                   const struct recording_figures *recorded, FILE *out)
{
    write_info(out, m);
    write_events(out, events);
    write_troubles(out, troubles);
    write_part(out, MESH_TELEMETRY_NODE, &m->node, 1, sizeof m->node, NULL);
    write_part(out, MESH_TELEMETRY_LINK, m->link, m->links, sizeof *m->link, link_labels);
    write_part(out, MESH_TELEMETRY_WORKER, m->worker, m->workers, sizeof *m->worker, worker_labels);
    write_latencies(out, m);
    if (recorded != NULL)
        write_recorded(out, recorded);
}
