/* Records of a tape: the field tables and the codec, both made from the lists in mesh/tape.h. */
#include "mesh/tape.h"

#include <assert.h>
#include <string.h>

#include "mix.h"
#include "wire_field.h"

#define INIT_FIELD(...)              MESH_FIELD(tape_init, __VA_ARGS__)
#define PEER_FIELD(...)              MESH_FIELD(tape_peer, __VA_ARGS__)
#define PATH_FIELD(...)              MESH_FIELD(tape_path, __VA_ARGS__)
#define RECEIVE_FIELD(...)           MESH_FIELD(tape_receive, __VA_ARGS__)
#define TICK_FIELD(...)              MESH_FIELD(tape_tick, __VA_ARGS__)
#define OPEN_FIELD(...)              MESH_FIELD(tape_open, __VA_ARGS__)
#define PUBLISH_FIELD(...)           MESH_FIELD(tape_publish, __VA_ARGS__)
#define CONSUME_FIELD(...)           MESH_FIELD(tape_consume, __VA_ARGS__)
#define SEND_FIELD(...)              MESH_FIELD(tape_send, __VA_ARGS__)
#define GOODBYE_FIELD(...)           MESH_FIELD(tape_goodbye, __VA_ARGS__)
#define EVENT_FIELD(...)             MESH_FIELD(tape_event, __VA_ARGS__)
#define DATAGRAM_FIELD(...)          MESH_FIELD(tape_datagram, __VA_ARGS__)
#define DRAINED_FIELD(...)           MESH_FIELD(tape_drained, __VA_ARGS__)
#define GROUP_FIELD(...)             MESH_FIELD(tape_group, __VA_ARGS__)
#define CLUSTER_INIT_FIELD(...)      MESH_FIELD(tape_cluster_init, __VA_ARGS__)
#define CLUSTER_RECEIVE_FIELD(...)   MESH_FIELD(tape_cluster_receive, __VA_ARGS__)
#define CLUSTER_TICK_FIELD(...)      MESH_FIELD(tape_cluster_tick, __VA_ARGS__)
#define CLUSTER_JOIN_FIELD(...)      MESH_FIELD(tape_cluster_join, __VA_ARGS__)
#define CLUSTER_LEAVE_FIELD(...)     MESH_FIELD(tape_cluster_leave, __VA_ARGS__)
#define CLUSTER_SUSPECT_FIELD(...)   MESH_FIELD(tape_cluster_suspect, __VA_ARGS__)
#define CLUSTER_HEARD_FIELD(...)     MESH_FIELD(tape_cluster_heard, __VA_ARGS__)
#define CLUSTER_READY_FIELD(...)     MESH_FIELD(tape_cluster_ready, __VA_ARGS__)
#define CLUSTER_SPEED_FIELD(...)     MESH_FIELD(tape_cluster_speed, __VA_ARGS__)
#define CLUSTER_FLAGS_FIELD(...)     MESH_FIELD(tape_cluster_flags, __VA_ARGS__)
#define CLUSTER_SUMMARY_FIELD(...)   MESH_FIELD(tape_cluster_summary, __VA_ARGS__)
#define CLUSTER_SHARES_FIELD(...)    MESH_FIELD(tape_cluster_shares, __VA_ARGS__)
#define CLUSTER_EVENT_FIELD(...)     MESH_FIELD(tape_cluster_event, __VA_ARGS__)
#define CLUSTER_DATAGRAM_FIELD(...)  MESH_FIELD(tape_cluster_datagram, __VA_ARGS__)
#define CLUSTER_NUMBER_FIELD(...)    MESH_FIELD(tape_cluster_number, __VA_ARGS__)
#define CLUSTER_STARVED_FIELD(...)   MESH_FIELD(tape_cluster_starved, __VA_ARGS__)
#define SESSIONS_INIT_FIELD(...)     MESH_FIELD(tape_sessions_init, __VA_ARGS__)
#define SESSIONS_RECEIVE_FIELD(...)  MESH_FIELD(tape_sessions_receive, __VA_ARGS__)
#define SESSIONS_TICK_FIELD(...)     MESH_FIELD(tape_sessions_tick, __VA_ARGS__)
#define SESSIONS_SEND_FIELD(...)     MESH_FIELD(tape_sessions_send, __VA_ARGS__)
#define SESSIONS_CLOSE_FIELD(...)    MESH_FIELD(tape_sessions_close, __VA_ARGS__)
#define SESSIONS_END_FIELD(...)      MESH_FIELD(tape_sessions_end, __VA_ARGS__)
#define SESSIONS_EVENT_FIELD(...)    MESH_FIELD(tape_sessions_event, __VA_ARGS__)
#define SESSIONS_NONE_FIELD(...)     MESH_FIELD(tape_sessions_none, __VA_ARGS__)
#define SESSIONS_DATAGRAM_FIELD(...) MESH_FIELD(tape_sessions_datagram, __VA_ARGS__)
#define SESSIONS_DRAINED_FIELD(...)  MESH_FIELD(tape_sessions_drained, __VA_ARGS__)

_Static_assert(offsetof(struct mesh_tape_entry, call) == 0, "an entry begins with the fields of its call");

#define SUM(name, type, min, max, unit, meaning) +MESH_WIRE_SIZE_##type
#define TABLE(number, NAME, name, FIELDS, way, meaning)                                                         \
    static const struct mesh_wire_field name##_fields[] = {FIELDS(NAME##_FIELD)};                               \
    _Static_assert(sizeof(struct mesh_tape_##name##_bytes) == 0 FIELDS(SUM), #name " has padding in a record"); \
    _Static_assert(offsetof(struct mesh_tape_##name, payload_hash) == offsetof(struct mesh_tape_call, payload_hash), #name);
MESH_TAPE_CALLS(TABLE)

#define CODEC(number, NAME, name, FIELDS, way, meaning) MESH_FIELD_CODEC(tape_##name, FIELDS)
MESH_TAPE_CALLS(CODEC)

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define KIND(number, NAME, name, FIELDS, way, meaning)                                                                                  \
    [number] = {{#NAME, meaning, name##_fields, COUNT(name##_fields), sizeof(struct mesh_tape_##name##_bytes), number, MESH_TAIL_DATA}, \
                MESH_TAPE_##way,                                                                                                        \
                get_tape_##name,                                                                                                        \
                put_tape_##name},

static const struct {
    struct mesh_wire_part part;
    enum mesh_tape_way way;
    bool (*get)(const void *bytes, void *out);
    void (*put)(void *bytes, const void *in);
} kinds[MESH_TAPE_KINDS] = {MESH_TAPE_CALLS(KIND)};

const struct mesh_wire_part *mesh_tape_part(unsigned kind)
{
    return kind < MESH_TAPE_KINDS && kinds[kind].part.fields ? &kinds[kind].part : NULL;
}

enum mesh_tape_way mesh_tape_way(unsigned kind)
{
    assert(mesh_tape_part(kind));
    return kinds[kind].way;
}

size_t mesh_tape_body_bytes(const uint8_t *packet, size_t bytes)
{
    struct mesh_header header;
    const struct mesh_wire_part *part;
    size_t fixed;

    if (mesh_wire_decode_header(packet, bytes, &header) || header.version != MESH_WIRE_VERSION)
        return bytes;
    part = mesh_wire_message(header.type);
    fixed = (size_t)MESH_HEADER_BYTES + part->wire_bytes;
    return part->tail == MESH_TAIL_DATA && bytes > fixed ? fixed : bytes;
}

void mesh_tape_leave_out(struct mesh_tape_entry *entry, uint64_t (*hash)(void *user, const uint8_t *data, size_t bytes), void *user)
{
    const size_t row_bytes = entry->payload_rows ? entry->call.payload_bytes / entry->payload_rows : 0;
    uint64_t folded = 0;

    if (entry->call.payload != MESH_TAPE_WHOLE)
        return;
    for (uint32_t i = 0; hash && i < entry->payload_rows; i++)
        folded = mesh_mix64(folded ^ hash(user, entry->payload + i * entry->payload_stride, row_bytes));
    mesh_tape_put_hash(entry, folded);
}

void mesh_tape_put_hash(struct mesh_tape_entry *entry, uint64_t hash)
{
    assert(entry->call.payload == MESH_TAPE_WHOLE);
    entry->call.payload = MESH_TAPE_HASHED;
    entry->call.payload_hash = hash;
    entry->payload = NULL;
    entry->payload_rows = 0;
}

/* ---- records ---- */

size_t mesh_tape_record_bytes(const struct mesh_tape_entry *entry)
{
    const struct mesh_wire_part *part = mesh_tape_part(entry->call.kind);

    assert(part);
    return part->wire_bytes + entry->call.body_bytes + (entry->call.payload == MESH_TAPE_WHOLE ? entry->call.payload_bytes : 0);
}

size_t mesh_tape_encode(const struct mesh_tape_entry *entry, uint8_t *out, size_t capacity)
{
    uint8_t *at = out;
    size_t row_bytes;

    assert(mesh_tape_record_bytes(entry) <= capacity);
    kinds[entry->call.kind].put(at, entry); /* the union stands first in it */
    at += kinds[entry->call.kind].part.wire_bytes;
    if (entry->call.body_bytes)
        memcpy(at, entry->body, entry->call.body_bytes);
    at += entry->call.body_bytes;
    if (entry->call.payload != MESH_TAPE_WHOLE)
        return (size_t)(at - out);
    assert(entry->payload_rows && entry->call.payload_bytes % entry->payload_rows == 0);
    row_bytes = entry->call.payload_bytes / entry->payload_rows;
    for (uint32_t i = 0; i < entry->payload_rows; i++, at += row_bytes)
        memcpy(at, entry->payload + i * entry->payload_stride, row_bytes);
    return (size_t)(at - out);
}

static bool is_consistent(const struct mesh_tape_call *call)
{
    return (call->payload == MESH_TAPE_EMPTY) == (call->payload_bytes == 0);
}

int mesh_tape_measure(const uint8_t *bytes, size_t size, size_t *without_payload, size_t *payload)
{
    struct mesh_tape_tick call;

    if (size < MESH_TAPE_RECORD_BYTES_MIN)
        return MESH_ETRUNCATED;
    if (!get_tape_tick(bytes, &call)) /* the fields of every call, and no others */
        return MESH_ERANGE;
    if (!mesh_tape_part(call.kind))
        return MESH_ETYPE;
    *without_payload = kinds[call.kind].part.wire_bytes + call.body_bytes;
    *payload = call.payload == MESH_TAPE_WHOLE ? call.payload_bytes : 0;
    return size < *without_payload ? MESH_ETRUNCATED : 0;
}

int mesh_tape_decode(const uint8_t *bytes, size_t size, struct mesh_tape_entry *entry, size_t *used)
{
    const struct mesh_wire_part *part;
    struct mesh_tape_entry out;
    size_t total;

    if (size < MESH_TAPE_RECORD_BYTES_MIN)
        return MESH_ETRUNCATED;
    memset(&out, 0, sizeof out);
    if (!get_tape_tick(bytes, &out)) /* the fields of every call, and no others */
        return MESH_ERANGE;
    part = mesh_tape_part(out.call.kind);
    if (!part)
        return MESH_ETYPE;
    if (!is_consistent(&out.call))
        return MESH_ERANGE;
    total = mesh_tape_record_bytes(&out);
    if (size < total)
        return MESH_ETRUNCATED;
    if (!kinds[out.call.kind].get(bytes, &out))
        return MESH_ERANGE;
    out.body = bytes + part->wire_bytes;
    if (out.call.payload == MESH_TAPE_WHOLE) {
        out.payload = out.body + out.call.body_bytes;
        out.payload_rows = 1;
        out.payload_stride = out.call.payload_bytes;
    }
    *entry = out;
    *used = total;
    return 0;
}
