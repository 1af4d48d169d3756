#include "import.h"

#ifndef MESH_HAVE_TRACE

struct import *import_open(const char *path, const char *source, struct fail *fail)
{
    (void)source;
    fail_fill(fail, EXIT_ENVIRONMENT,
              "--import %.200s: this build has no trace store: install libsqlite3-dev, libzstd-dev and libxxhash-dev, "
              "and build again",
              path);
    return NULL;
}

void import_add(struct import *import, const struct packet *packet)
{
    (void)import, (void)packet;
}

bool import_has_failed(const struct import *import)
{
    (void)import;
    return false;
}

int import_close(struct import *import, bool is_whole, struct fail *fail)
{
    (void)import, (void)is_whole, (void)fail;
    return 0;
}

#else

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "mesh/trace.h"
#include "mesh/version.h"
#include "numbers.h"

enum { IMPORT_NODES_MAX = 512, IMPORT_EPOCHS_MAX = 256, IMPORT_BATCH = 4096 /* rows of a transaction */ };

struct import_node {
    struct frame_address address;
    bool is_v6;
    int64_t rank;
    bool has_incarnation;
    uint8_t incarnation[16];
};

struct import_epoch {
    uint32_t number;
    uint64_t first_ns, node;
    uint16_t nodes[MESH_RANKS_MAX]; /* by rank: index of the node + 1 */
};

struct import {
    struct mesh_trace *trace;
    const char *path;
    int err; /* the first error, and its reason */
    char reason[MESH_TRACE_REASON_BYTES];
    unsigned in_batch;
    size_t node_count, epoch_count, last_node;
    uint64_t last_ns; /* of all datagrams */
    struct import_node nodes[IMPORT_NODES_MAX];
    struct import_epoch epochs[IMPORT_EPOCHS_MAX];
    struct numbers *numbers;
    struct analysis analysis;
    uint8_t opened[UINT16_MAX + 1]; /* the datagram at hand, as its receiver's core sees it */
};

static void check(struct import *import, int err)
{
    if (err != 0 && import->err == 0) {
        import->err = err;
        snprintf(import->reason, sizeof import->reason, "%s", mesh_trace_reason(import->trace));
    }
}

bool import_has_failed(const struct import *import)
{
    return import->err != 0;
}

/* ---- nodes and epochs: gathered while datagrams come, written at the end ---- */

/* The node's number in the trace; 0: there are too many nodes. */
static uint64_t node_of(struct import *import, const struct frame_address *address, bool is_v6)
{
    size_t at = import->last_node;

    if (at < import->node_count && frame_address_equals(&import->nodes[at].address, address))
        return at + 1;
    for (at = 0; at < import->node_count && !frame_address_equals(&import->nodes[at].address, address);)
        at++;
    if (at == IMPORT_NODES_MAX)
        return 0;
    if (at == import->node_count)
        import->nodes[import->node_count++] = (struct import_node){.address = *address, .is_v6 = is_v6, .rank = MESH_TRACE_NULL};
    import->last_node = at;
    return at + 1;
}

static bool is_of_epoch(const struct mesh_header *header)
{
    return header->epoch != 0 && header->epoch <= MESH_EPOCH_MAX;
}

static struct import_epoch *epoch_of(struct import *import, const struct packet *packet, uint64_t node)
{
    const uint32_t number = packet->message.header.epoch;

    for (size_t i = import->epoch_count; i > 0; i--)
        if (import->epochs[i - 1].number == number)
            return &import->epochs[i - 1];
    if (import->epoch_count == IMPORT_EPOCHS_MAX)
        return NULL;
    import->epochs[import->epoch_count] = (struct import_epoch){.number = number, .first_ns = packet->ts_ns, .node = node};
    return &import->epochs[import->epoch_count++];
}

static void note_sender(struct import *import, const struct packet *packet, uint64_t number)
{
    const struct mesh_header *header = &packet->message.header;
    struct import_node *node = number > 0 ? &import->nodes[number - 1] : NULL;
    struct import_epoch *epoch;

    if (node == NULL || packet->state == PACKET_FOREIGN)
        return;
    if (packet->state == PACKET_DECODED && (header->type == MESH_TYPE_HELLO || header->type == MESH_TYPE_HELLO_ACK)) {
        node->has_incarnation = true;
        memcpy(node->incarnation, packet->message.as.hello.incarnation, sizeof node->incarnation);
    }
    if (!is_of_epoch(header) || header->src >= MESH_RANKS_MAX)
        return;
    if (node->rank == MESH_TRACE_NULL)
        node->rank = header->src;
    epoch = epoch_of(import, packet, number);
    if (epoch != NULL)
        epoch->nodes[header->src] = (uint16_t)number;
}

static void write_nodes(struct import *import)
{
    char name[FRAME_ADDRESS_TEXT_BYTES];

    for (size_t i = 0; i < import->node_count; i++) {
        const struct import_node *node = &import->nodes[i];
        struct mesh_trace_node row = {.id = i + 1,
                                      .name = name,
                                      .rank = node->rank,
                                      .ip = {node->address.ip, sizeof node->address.ip},
                                      .port = node->address.port,
                                      .clock_offset_ns = MESH_TRACE_NULL,
                                      .clock_error_ns = MESH_TRACE_NULL};

        if (node->has_incarnation)
            row.incarnation = (struct mesh_trace_bytes){node->incarnation, sizeof node->incarnation};
        frame_address_text(&node->address, node->is_v6, true, name);
        check(import, mesh_trace_add_row_node(import->trace, &row, NULL));
    }
}

static void write_epochs(struct import *import)
{
    char members[MESH_RANKS_MAX * (FRAME_ADDRESS_TEXT_BYTES + 40)], address[FRAME_ADDRESS_TEXT_BYTES];

    for (size_t i = 0; i < import->epoch_count; i++) {
        const struct import_epoch *epoch = &import->epochs[i];
        const struct mesh_trace_epoch row = {.node = epoch->node,
                                             .t_ns = (int64_t)epoch->first_ns,
                                             .epoch = epoch->number,
                                             .rank = import->nodes[epoch->node - 1].rank,
                                             .members = members};
        size_t used = (size_t)snprintf(members, sizeof members, "[");

        for (unsigned rank = 0; rank < MESH_RANKS_MAX; rank++) {
            if (epoch->nodes[rank] == 0)
                continue;
            frame_address_text(&import->nodes[epoch->nodes[rank] - 1].address, import->nodes[epoch->nodes[rank] - 1].is_v6, true, address);
            used += (size_t)snprintf(members + used, sizeof members - used, "%s{\"rank\":%u,\"address\":\"%s\"}", used > 1 ? "," : "", rank,
                                     address);
        }
        snprintf(members + used, sizeof members - used, "]");
        check(import, mesh_trace_add_row_epoch(import->trace, &row, NULL));
    }
}

/* ---- events ---- */

static struct mesh_trace_event event_of(const char *kind, int64_t severity, uint64_t ts_ns)
{
    return (struct mesh_trace_event){.t_ns = (int64_t)ts_ns,
                                     .kind = kind,
                                     .severity = severity,
                                     .peer = MESH_TRACE_NULL,
                                     .epoch = MESH_TRACE_NULL,
                                     .step = MESH_TRACE_NULL,
                                     .phase = MESH_TRACE_NULL,
                                     .block = MESH_TRACE_NULL,
                                     .duration_ns = MESH_TRACE_NULL,
                                     .datagram = MESH_TRACE_NULL};
}

static void on_loss(void *context, const struct analysis_loss *loss)
{
    struct import *import = context;
    const struct link *link = loss->link;
    struct mesh_trace_event row = event_of("lost", loss->stall_ms > 0 ? 3 : 2, loss->entry ? loss->entry->ts_ns : link->last_ns);

    row.node = node_of(import, &link->from, link->is_v6);
    row.peer = link->dst == MESH_DST_ALL ? MESH_TRACE_NULL : link->dst;
    row.epoch = link->epoch;
    if (loss->entry && loss->entry->has_range) {
        row.step = (int64_t)loss->entry->step;
        row.phase = loss->entry->phase;
        row.block = loss->entry->range.block_first;
    }
    if (loss->repair_ms >= 0)
        row.duration_ns = (int64_t)(loss->repair_ms * 1e6);
    check(import, mesh_trace_add_row_event(import->trace, &row, NULL));
    if (loss->stall_ms > 0) {
        row.node = node_of(import, &link->to, link->is_v6);
        row.kind = "stall";
        row.peer = link->src;
        row.duration_ns = (int64_t)(loss->stall_ms * 1e6);
        check(import, mesh_trace_add_row_event(import->trace, &row, NULL));
    }
}

static void note_number(struct import *import, const struct packet *packet, uint64_t node, uint64_t id)
{
    const struct numbers_verdict what = numbers_add(import->numbers, packet);
    const char *kind = what.is_duplicate ? "duplicate" : what.is_late ? "late" : "reordered";
    struct mesh_trace_event row = event_of(kind, 1, packet->ts_ns);

    if (!what.is_duplicate && !what.is_reordered && !what.is_late)
        return;
    row.node = node;
    row.epoch = packet->message.header.epoch;
    row.datagram = (int64_t)id;
    check(import, mesh_trace_add_row_event(import->trace, &row, NULL));
}

/* ---- datagrams ---- */

/* The datagram as the receiver's core sees it: once opened, it has neither seal nor tag. */
static const uint8_t *opened_of(struct import *import, const struct packet *packet)
{
    uint8_t *flags = import->opened + offsetof(struct mesh_header_bytes, flags);

    if (packet->seal != KEYS_OPENED || packet->state == PACKET_FOREIGN || packet->captured > sizeof import->opened)
        return packet->bytes;
    memcpy(import->opened, packet->bytes, packet->captured);
    *flags &= (uint8_t)~MESH_FLAGS_OF_SEALING;
    memset(import->opened + offsetof(struct mesh_header_bytes, tag), 0, sizeof((struct mesh_header_bytes *)0)->tag);
    return import->opened;
}

static int64_t core_of(const struct mesh_header *header)
{
    if (header->epoch > MESH_EPOCH_MAX || header->type >= MESH_TYPE_CALL)
        return MESH_TRACE_CORE_SESSION;
    return header->epoch == 0 ? MESH_TRACE_CORE_CLUSTER : MESH_TRACE_CORE_MESH;
}

static void add_report(struct import *import, const struct packet *packet, uint64_t node)
{
    const struct mesh_trace_report row = {.node = node,
                                          .t_ns = (int64_t)packet->ts_ns,
                                          .unix_ms = (int64_t)(packet->ts_ns / 1000000),
                                          .piece = {packet->message.data, packet->message.data_bytes}};

    if (packet->state == PACKET_DECODED && packet->message.header.type == MESH_TYPE_REPORT)
        check(import, mesh_trace_add_report(import->trace, &row, NULL));
}

static void next_batch(struct import *import)
{
    if (++import->in_batch < IMPORT_BATCH)
        return;
    import->in_batch = 0;
    check(import, mesh_trace_commit(import->trace));
    check(import, mesh_trace_begin(import->trace));
}

void import_add(struct import *import, const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    struct mesh_trace_datagram row = {.t_ns = (int64_t)packet->ts_ns,
                                      .direction = MESH_TRACE_SEEN,
                                      .ranks = MESH_TRACE_NULL,
                                      .from_ip = {frame->src.ip, sizeof frame->src.ip},
                                      .from_port = frame->src.port,
                                      .to_ip = {frame->dst.ip, sizeof frame->dst.ip},
                                      .to_port = frame->dst.port,
                                      .bytes = (int64_t)packet->size};
    uint64_t id = 0;

    if (import->err != 0 || packet->state == PACKET_FOREIGN || packet->size > MESH_TRACE_DATAGRAM_BYTES_MAX)
        return;
    import->last_ns = packet->ts_ns > import->last_ns ? packet->ts_ns : import->last_ns;
    row.node = node_of(import, &frame->src, frame->is_v6);
    row.core = core_of(&packet->message.header);
    note_sender(import, packet, row.node);
    check(import, mesh_trace_add_datagram(import->trace, &row, opened_of(import, packet), packet->captured, true, &id));
    note_number(import, packet, row.node, id);
    add_report(import, packet, row.node);
    analysis_add(&import->analysis, packet);
    next_batch(import);
}

/* ---- start and end ---- */

static void write_meta(struct import *import, const char *source)
{
    const char *const pairs[][2] = {{"program", "mesh-dissect " MESH_VERSION}, {"source", "capture"}, {"capture", source},
                                    {"clock", "the capture's, since 1970"},    {"payloads", "all"},   {"ids", "none"}};

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check(import, mesh_trace_set_meta(import->trace, pairs[i][0], pairs[i][1]));
}

static void release(struct import *import)
{
    mesh_trace_close(import->trace);
    numbers_close(import->numbers);
    analysis_release(&import->analysis);
    free(import);
}

struct import *import_open(const char *path, const char *source, struct fail *fail)
{
    struct import *import = calloc(1, sizeof *import);
    char reason[MESH_TRACE_REASON_BYTES];

    if (import == NULL) {
        fail_fill(fail, EXIT_ENVIRONMENT, "memory: out of memory for the import: close other programs");
        return NULL;
    }
    import->path = path;
    import->numbers = numbers_open();
    analysis_init(&import->analysis, on_loss, import);
    if (import->numbers == NULL)
        fail_fill(fail, EXIT_ENVIRONMENT, "memory: out of memory for the import: close other programs");
    else if (mesh_trace_create(&import->trace, path, reason) != 0)
        fail_fill(fail, EXIT_ENVIRONMENT, "--import %.300s: %s", path, reason);
    if (import->trace == NULL) {
        release(import);
        return NULL;
    }
    check(import, mesh_trace_begin(import->trace));
    write_meta(import, source);
    return import;
}

int import_close(struct import *import, bool is_whole, struct fail *fail)
{
    const char *path = import != NULL ? import->path : NULL;
    int result = 0;

    if (import == NULL)
        return 0;
    if (import->err == 0) {
        analysis_end(&import->analysis);
        write_nodes(import);
        write_epochs(import);
        check(import, mesh_trace_commit(import->trace));
    }
    if (import->err == 0)
        result = analysis_check(&import->analysis, fail);
    if (import->err == 0 && result == 0)
        check(import, mesh_trace_end_here(import->trace, (int64_t)import->last_ns, NULL));
    if (import->err != 0)
        result = fail_set(fail, EXIT_ENVIRONMENT, "--import %.200s: %s", import->path, import->reason);
    release(import);
    if (result != 0 || !is_whole)
        mesh_trace_remove(path); /* a part would pass for the capture, and be in the way of the next import */
    return result;
}

#endif
