#include "qlog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "filter.h"
#include "packet_json.h"

enum { RECORD_SEPARATOR = 0x1e, PATH_BYTES = 4096 };

struct node {
    struct frame_address address;
    FILE *file;
    int reason; /* errno of the first write that failed; 0: none has */
    struct json json;
};

struct loss {
    uint64_t noted_ns;
    struct frame_address from;
    uint32_t epoch;
    uint16_t src, dst;
    bool is_all, has_report, has_entry;
    struct link_entry entry;
    double repair_ms, stall_ms;
};

struct qlog {
    const char *path, *source;
    uint64_t first_ns;
    uint64_t left_out, losses_left_out; /* datagrams of nodes without a place; losses */
    bool has_failed;
    struct fail fail;
    size_t loss_count, loss_capacity, next_loss;
    struct loss *losses; /* (loss_count) from the first datagram on by time; owned */
    size_t count;
    struct node nodes[QLOG_NODES_MAX];
};

/* ---- files ---- */

static void name_file(const struct qlog *qlog, size_t index, char out[PATH_BYTES])
{
    const char *slash = strrchr(qlog->path, '/'), *dot = strrchr(slash ? slash : qlog->path, '.');
    const int stem = (int)(dot ? (size_t)(dot - qlog->path) : strlen(qlog->path));

    if (index == 0)
        snprintf(out, PATH_BYTES, "%s", qlog->path);
    else
        snprintf(out, PATH_BYTES, "%.*s.%zu%s", stem, qlog->path, index, dot ? dot : "");
}

static void record_begin(struct node *node)
{
    fputc(RECORD_SEPARATOR, node->file);
    json_object_begin(&node->json, NULL);
}

static void record_end(struct node *node)
{
    json_object_end(&node->json);
    fputc('\n', node->file);
    if (node->reason == 0 && ferror(node->file))
        node->reason = errno;
}

static void write_head(const struct qlog *qlog, struct node *node, const char *name)
{
    struct json *json = &node->json;

    record_begin(node);
    json_text(json, "qlog_version", "0.3");
    json_text(json, "qlog_format", "JSON-SEQ");
    json_text(json, "title", qlog->source);
    json_object_begin(json, "trace");
    json_object_begin(json, "vantage_point");
    json_text(json, "name", name);
    json_text(json, "type", "unknown");
    json_object_end(json);
    json_object_begin(json, "common_fields");
    json_array_begin(json, "protocol_type");
    json_text(json, NULL, "DIOLKOS_MESH");
    json_array_end(json);
    json_text(json, "time_format", "relative");
    json_double(json, "reference_time", (double)qlog->first_ns / 1e6);
    json_object_end(json);
    json_object_end(json);
    record_end(node);
}

/* The node of an address; with `make`, a new one if need be. NULL: none. */
static struct node *node_of(struct qlog *qlog, const struct frame_address *address, bool is_v6, bool make)
{
    char path[PATH_BYTES], name[FRAME_ADDRESS_TEXT_BYTES];
    struct node *node = qlog->nodes;

    for (; node < qlog->nodes + qlog->count; node++)
        if (frame_address_equals(&node->address, address))
            return node;
    if (!make || qlog->count == QLOG_NODES_MAX || qlog->has_failed)
        return NULL;
    name_file(qlog, qlog->count, path);
    if (capture_is_same_file(qlog->source, path)) {
        qlog->has_failed = true;
        fail_fill(&qlog->fail, EXIT_USAGE, "--qlog %.200s: is the input capture: give another name", path);
        return NULL;
    }
    node->file = fopen(path, "w");
    if (node->file == NULL) {
        qlog->has_failed = true;
        fail_fill(&qlog->fail, EXIT_ENVIRONMENT, "--qlog: %.200s: cannot be written: %s: %s", path, strerror(errno),
                  fail_advice(errno, "choose another name"));
        return NULL;
    }
    node->address = *address;
    qlog->count++;
    json_init(&node->json, node->file);
    frame_address_text(address, is_v6, true, name);
    write_head(qlog, node, name);
    return node;
}

/* ---- events ---- */

static double milliseconds(const struct qlog *qlog, uint64_t ts_ns)
{
    return (double)(int64_t)(ts_ns - qlog->first_ns) / 1e6;
}

static void event_begin(struct qlog *qlog, struct node *node, const char *name, uint64_t ts_ns, uint32_t epoch)
{
    struct json *json = &node->json;
    char group[32];

    snprintf(group, sizeof group, "epoch %" PRIu32, epoch);
    record_begin(node);
    json_double(json, "time", milliseconds(qlog, ts_ns));
    json_text(json, "name", name);
    json_text(json, "group_id", group);
    json_object_begin(json, "data");
}

static void event_end(struct node *node)
{
    json_object_end(&node->json);
    record_end(node);
}

static void write_header(struct json *json, const struct packet *packet)
{
    struct packet_part header;

    json_object_begin(json, "header");
    json_text(json, "packet_type", packet_type(packet)->name);
    json_uint(json, "packet_number", packet->message.header.number);
    packet_part(packet, 0, &header);
    packet_json_fields(json, &header);
    json_object_end(json);
}

/* The message, and what follows it. */
static void write_frames(struct json *json, const struct packet *packet)
{
    char name[PACKET_JSON_NAME_BYTES];
    struct packet_part part;

    json_array_begin(json, "frames");
    for (unsigned i = 1; packet_part(packet, i, &part); i++) {
        json_object_begin(json, NULL);
        json_text(json, "frame_type", packet_json_name(part.part->name, name));
        packet_json_fields(json, &part);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_event(struct qlog *qlog, struct node *node, const char *name, const struct packet *packet)
{
    struct json *json = &node->json;

    event_begin(qlog, node, name, packet->ts_ns, packet->message.header.epoch);
    write_header(json, packet);
    json_object_begin(json, "raw");
    json_uint(json, "length", packet->size);
    if (packet->state == PACKET_DECODED)
        json_uint(json, "payload_length", packet->message.data_bytes);
    json_object_end(json);
    write_frames(json, packet);
    event_end(node);
}

static void write_range(struct json *json, const struct link_entry *entry)
{
    char name[PACKET_JSON_NAME_BYTES];

    json_object_begin(json, NULL);
    json_text(json, "frame_type", packet_json_name(mesh_wire_message(MESH_TYPE_TILE)->name, name));
    json_uint(json, "step", entry->step);
    json_uint(json, "phase", entry->phase);
    json_uint(json, "token_first", entry->range.token_first);
    json_uint(json, "token_count", entry->range.token_count);
    json_uint(json, "block_first", entry->range.block_first);
    json_uint(json, "block_count", entry->range.block_count);
    json_object_end(json);
}

/* Without an entry, nothing is known of the loss but that it happened. */
static void write_lost_header(struct json *json, const struct loss *loss)
{
    const struct mesh_wire_part *type = mesh_wire_message(loss->entry.type);

    json_object_begin(json, "header");
    if (type != NULL)
        json_text(json, "packet_type", type->name);
    if (loss->has_entry)
        json_uint(json, "packet_number", loss->entry.number);
    json_uint(json, "src", loss->src);
    json_uint(json, "dst", loss->is_all ? MESH_DST_ALL : loss->dst);
    json_object_end(json);
}

static void write_loss(struct qlog *qlog, const struct loss *loss)
{
    struct node *node = node_of(qlog, &loss->from, false, false);
    struct json *json;

    if (node == NULL)
        return;
    json = &node->json;
    event_begin(qlog, node, "mesh:datagram_lost", loss->noted_ns, loss->epoch);
    write_lost_header(json, loss);
    json_array_begin(json, "frames");
    if (loss->has_entry && loss->entry.has_range)
        write_range(json, &loss->entry);
    json_array_end(json);
    json_text(json, "trigger", loss->has_report ? "receiver_counts_it" : "number_missing");
    if (loss->repair_ms >= 0)
        json_double(json, "repair_ms", loss->repair_ms);
    if (loss->stall_ms >= 0)
        json_double(json, "stall_ms", loss->stall_ms);
    event_end(node);
}

static int by_time(const void *a, const void *b)
{
    const struct loss *left = a, *right = b;

    if (left->noted_ns != right->noted_ns)
        return left->noted_ns < right->noted_ns ? -1 : 1;
    return (left->entry.number > right->entry.number) - (left->entry.number < right->entry.number);
}

static void write_losses_until(struct qlog *qlog, uint64_t ts_ns)
{
    while (qlog->next_loss < qlog->loss_count && qlog->losses[qlog->next_loss].noted_ns <= ts_ns)
        write_loss(qlog, &qlog->losses[qlog->next_loss++]);
}

static struct loss *place_for_loss(struct qlog *qlog)
{
    if (qlog->loss_count == qlog->loss_capacity) {
        const size_t capacity = qlog->loss_capacity ? 2 * qlog->loss_capacity : 256;
        struct loss *losses = capacity <= QLOG_LOSSES_MAX ? realloc(qlog->losses, capacity * sizeof *losses) : NULL;

        if (losses == NULL)
            return NULL;
        qlog->losses = losses;
        qlog->loss_capacity = capacity;
    }
    return &qlog->losses[qlog->loss_count++];
}

void qlog_note_loss(void *context, const struct analysis_loss *loss)
{
    struct qlog *qlog = context;
    const struct link *link = loss->link;
    struct loss *kept;

    if (links_is_session(link))
        return;
    kept = place_for_loss(qlog);
    if (kept == NULL) {
        qlog->losses_left_out++;
        return;
    }
    *kept = (struct loss){.from = link->from, .epoch = link->epoch, .src = link->src, .dst = link->dst, .is_all = loss->is_all};
    kept->has_report = link->has_report;
    kept->repair_ms = loss->repair_ms;
    kept->stall_ms = loss->stall_ms;
    kept->noted_ns = link->last_ns; /* a loss without a number */
    kept->has_entry = loss->entry != NULL;
    if (!kept->has_entry)
        return;
    kept->entry = *loss->entry;
    kept->noted_ns = kept->entry.nak_ns > kept->entry.ts_ns ? kept->entry.nak_ns : kept->entry.ts_ns;
}

void qlog_add(struct qlog *qlog, const struct packet *packet, unsigned verdicts)
{
    const struct mesh_header *header = &packet->message.header;
    const struct frame *frame = packet->frame;
    struct node *sender, *receiver;

    if (!packet_is_numbered(packet) || header->epoch >> 31 != 0) /* sessions of clients have epochs of their own */
        return;
    if (qlog->first_ns == 0) {
        qlog->first_ns = packet->ts_ns;
        if (qlog->loss_count > 0)
            qsort(qlog->losses, qlog->loss_count, sizeof *qlog->losses, by_time);
    }
    sender = node_of(qlog, &frame->src, frame->is_v6, true);
    receiver = node_of(qlog, &frame->dst, frame->is_v6, true);
    if (qlog->has_failed)
        return;
    if (sender == NULL || receiver == NULL)
        qlog->left_out++;
    write_losses_until(qlog, packet->ts_ns);
    if (sender != NULL)
        write_event(qlog, sender, "mesh:datagram_sent", packet);
    if (receiver != NULL && !(verdicts & FILTER_LOST))
        write_event(qlog, receiver, "mesh:datagram_received", packet);
}

/* ---- beginning and end ---- */

struct qlog *qlog_open(const char *path, const char *source, struct fail *fail)
{
    struct qlog *qlog = calloc(1, sizeof *qlog);

    if (qlog == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the analysis: close other programs"), NULL;
    qlog->path = path;
    qlog->source = source;
    return qlog;
}

static int end_node(struct qlog *qlog, size_t index, struct fail *fail)
{
    struct node *node = &qlog->nodes[index];
    char path[PATH_BYTES];

    if (fclose(node->file) != 0 && node->reason == 0)
        node->reason = errno;
    node->file = NULL;
    if (node->reason == 0)
        return 0;
    name_file(qlog, index, path);
    return fail_set(fail, EXIT_ENVIRONMENT, "--qlog: %.200s: cannot be written: %s: free some space", path, strerror(node->reason));
}

int qlog_end(struct qlog *qlog, struct fail *fail)
{
    int result = 0;

    write_losses_until(qlog, UINT64_MAX);
    if (qlog->has_failed) {
        *fail = qlog->fail;
        result = -1;
    }
    for (size_t i = 0; i < qlog->count; i++)
        if (end_node(qlog, i, fail) < 0)
            result = -1;
    if (result == 0 && qlog->count == 0)
        result = fail_set(fail, EXIT_BAD_FILE, "%s: no datagram of an epoch in it: there is nothing for --qlog", qlog->source);
    if (qlog->left_out > 0 || qlog->losses_left_out > 0)
        fprintf(stderr, "mesh-dissect: %s: left out: %" PRIu64 " datagrams of more than %d nodes, %" PRIu64 " losses\n", qlog->source,
                qlog->left_out, QLOG_NODES_MAX, qlog->losses_left_out);
    return result;
}

void qlog_close(struct qlog *qlog)
{
    for (size_t i = 0; qlog != NULL && i < qlog->count; i++)
        if (qlog->nodes[i].file != NULL)
            fclose(qlog->nodes[i].file);
    if (qlog != NULL)
        free(qlog->losses);
    free(qlog);
}
