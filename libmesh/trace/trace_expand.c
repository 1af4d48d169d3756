/* Chunks of calls made into rows: a recorder has no time for that, so it is done when a trace is read. */
#include <stdlib.h>
#include <string.h>

#include "mesh/tape.h"
#include "trace_parts.h"

struct expanding {
    struct mesh_trace *trace;
    struct mesh_trace_chunk chunk;
    int64_t input[MESH_TRACE_CORE_SESSION + 1]; /* by core: the last one's id, or MESH_TRACE_NULL */
    uint8_t packet[MESH_TRACE_DATAGRAM_BYTES_MAX];
};

static void set_ip(struct mesh_trace_bytes *ip, int64_t *port, const uint8_t *address, uint16_t number)
{
    *ip = (struct mesh_trace_bytes){address, 16};
    *port = number;
}

/* ---- datagrams ---- */

/* Where data was left out there are zeros, which are not stored, and the recorder's hash of it. */
static int add_datagram(struct expanding *e, const struct mesh_tape_entry *call, struct mesh_trace_datagram *row, uint64_t *id)
{
    const size_t bytes = (size_t)call->call.body_bytes + call->call.payload_bytes;
    const bool is_whole = call->call.payload != MESH_TAPE_HASHED;

    if (bytes > sizeof e->packet)
        return mesh_trace_fail(e->trace, MESH_ERANGE, "a datagram of %zu bytes: the file is damaged", bytes);
    memcpy(e->packet, call->body, call->call.body_bytes);
    if (call->call.payload == MESH_TAPE_WHOLE)
        memcpy(e->packet + call->call.body_bytes, call->payload, call->call.payload_bytes);
    else
        memset(e->packet + call->call.body_bytes, 0, call->call.payload_bytes);
    row->node = e->chunk.node;
    row->t_ns = (int64_t)call->call.at_ns;
    row->core = e->chunk.core;
    return mesh_trace_add_hashed(e->trace, row, e->packet, bytes, is_whole ? NULL : &call->call.payload_hash, id);
}

static int add_received(struct expanding *e, const struct mesh_tape_entry *call, uint64_t *id)
{
    struct mesh_trace_datagram row = {.direction = MESH_TRACE_RECEIVED, .ranks = MESH_TRACE_NULL, .to_port = MESH_TRACE_NULL};

    set_ip(&row.from_ip, &row.from_port, call->receive.ip, call->receive.port); /* both cores' calls have the same fields */
    return add_datagram(e, call, &row, id);
}

static int add_sent(struct expanding *e, const struct mesh_tape_entry *call, uint64_t *id)
{
    struct mesh_trace_datagram row = {
        .direction = MESH_TRACE_SENT, .ranks = MESH_TRACE_NULL, .from_port = MESH_TRACE_NULL, .to_port = MESH_TRACE_NULL};

    if (call->datagram.ranks != 0)
        row.ranks = (int64_t)call->datagram.ranks;
    else
        set_ip(&row.to_ip, &row.to_port, call->datagram.ip, call->datagram.port);
    return add_datagram(e, call, &row, id);
}

/* ---- calls ---- */

static int64_t peer_of(const struct mesh_tape_entry *call)
{
    switch (call->call.kind) {
    case MESH_TAPE_PEER:
        return call->peer.rank;
    case MESH_TAPE_PATH:
        return call->path.rank;
    case MESH_TAPE_SEND:
        return call->send.to;
    case MESH_TAPE_EVENT:
        return call->event.rank;
    case MESH_TAPE_CLUSTER_SUSPECT:
        return call->cluster_suspect.rank;
    case MESH_TAPE_CLUSTER_HEARD:
        return call->cluster_heard.rank;
    case MESH_TAPE_CLUSTER_STARVED:
        return call->cluster_starved.rank;
    default:
        return MESH_TRACE_NULL;
    }
}

static int64_t *last_input(struct expanding *e)
{
    return &e->input[e->chunk.core];
}

static int add_input(struct expanding *e, const struct mesh_tape_entry *call, struct mesh_trace_bytes args)
{
    const bool is_datagram = mesh_tape_is_datagram(call->call.kind);
    uint64_t datagram = 0, id;
    int err = is_datagram ? add_received(e, call, &datagram) : 0;
    const struct mesh_trace_input row = {
        .node = e->chunk.node,
        .t_ns = (int64_t)call->call.at_ns,
        .core = e->chunk.core,
        .instance = e->chunk.instance,
        .kind = call->call.kind,
        .peer = peer_of(call),
        .args = args,
        .datagram = is_datagram ? (int64_t)datagram : MESH_TRACE_NULL,
    };

    err = err != 0 ? err : mesh_trace_add_row_input(e->trace, &row, &id);
    if (err == 0)
        *last_input(e) = (int64_t)id;
    return err;
}

static int add_output(struct expanding *e, const struct mesh_tape_entry *call, struct mesh_trace_bytes args)
{
    const bool is_datagram = mesh_tape_is_datagram(call->call.kind);
    uint64_t datagram = 0;
    const int err = is_datagram ? add_sent(e, call, &datagram) : 0;
    const struct mesh_trace_output row = {
        .node = e->chunk.node,
        .input = *last_input(e),
        .t_ns = (int64_t)call->call.at_ns,
        .core = e->chunk.core,
        .instance = e->chunk.instance,
        .kind = call->call.kind,
        .peer = peer_of(call),
        .args = args,
        .datagram = is_datagram ? (int64_t)datagram : MESH_TRACE_NULL,
    };

    return err != 0 ? err : mesh_trace_add_row_output(e->trace, &row, NULL);
}

/* What is in a datagram's row is not in args again, and data is in neither. */
static int add_call(struct expanding *e, const struct mesh_tape_entry *call, const uint8_t *record)
{
    const struct mesh_wire_part *part = mesh_tape_part(call->call.kind);
    const struct mesh_trace_bytes args = {record, part->wire_bytes + (mesh_tape_is_datagram(call->call.kind) ? 0 : call->call.body_bytes)};

    return mesh_tape_way(call->call.kind) == MESH_TAPE_INPUT ? add_input(e, call, args) : add_output(e, call, args);
}

/* ---- chunks ---- */

static int add_calls(struct expanding *e, const uint8_t *records)
{
    struct mesh_tape_entry call;
    size_t at = 0, used;

    for (uint64_t i = 0; i < e->chunk.count; i++, at += used) {
        int err = mesh_tape_decode(records + at, e->chunk.bytes - at, &call, &used);

        if (err != 0)
            return mesh_trace_fail(e->trace, MESH_ETRUNCATED, "chunk %llu: call %llu cannot be read: %s: the file is damaged",
                                   (unsigned long long)e->chunk.id, (unsigned long long)i, mesh_strerror(err));
        err = add_call(e, &call, records + at);
        if (err != 0)
            return err;
    }
    return 0;
}

static int expand_chunk(struct expanding *e)
{
    uint8_t *records;
    int err;

    if (e->chunk.bytes == 0 || e->chunk.bytes > MESH_TRACE_BLOB_BYTES_MAX || e->chunk.count > e->chunk.bytes)
        return mesh_trace_fail(e->trace, MESH_ERANGE, "chunk %llu: sizes that cannot be: the file is damaged",
                               (unsigned long long)e->chunk.id);
    if (e->chunk.core < MESH_TRACE_CORE_MESH || e->chunk.core > MESH_TRACE_CORE_SESSION)
        return mesh_trace_fail(e->trace, MESH_ERANGE, "chunk %llu: of core %lld, which does not exist: the file is damaged",
                               (unsigned long long)e->chunk.id, (long long)e->chunk.core);
    records = malloc(e->chunk.bytes);
    if (records == NULL)
        return mesh_trace_no_memory(e->trace);
    err = mesh_trace_get_chunk(e->trace, &e->chunk, records);
    err = err != 0 ? err : add_calls(e, records);
    free(records);
    return err;
}

static int expand_all(struct expanding *e)
{
    struct mesh_trace_cursor *cursor;
    int err = mesh_trace_read(e->trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), got = 0;

    if (err != 0)
        return err;
    while (err == 0 && (got = mesh_trace_next(cursor, &e->chunk)) == 1)
        if (e->chunk.expanded == 0)
            err = expand_chunk(e);
    mesh_trace_end(cursor);
    return err != 0 ? err : got;
}

int mesh_trace_expand(struct mesh_trace *trace)
{
    struct expanding *e = calloc(1, sizeof *e);
    int err;

    if (e == NULL)
        return mesh_trace_no_memory(trace);
    e->trace = trace;
    for (unsigned core = 0; core <= MESH_TRACE_CORE_SESSION; core++)
        e->input[core] = MESH_TRACE_NULL;
    err = expand_all(e);
    free(e);
    return err;
}
