/* The field tables and the codec, both made from the lists in mesh/wire.h.
 *
 * Nothing of a datagram is used before every field has been found inside it and inside its range. */
#include "mesh/wire.h"

#include <assert.h>
#include <string.h>

#include "wire_field.h"

/* The lists take a macro of six arguments, so the part's name reaches FIELD by a macro of its own. Without the one of a new message the
 * compiler says "implicit declaration of function NAME_FIELD". */
#define HEADER_FIELD(...)     MESH_FIELD(header, __VA_ARGS__)
#define RANGE_FIELD(...)      MESH_FIELD(range, __VA_ARGS__)
#define HELLO_FIELD(...)      MESH_FIELD(hello, __VA_ARGS__)
#define HELLO_ACK_FIELD(...)  MESH_FIELD(hello_ack, __VA_ARGS__)
#define REFUSE_FIELD(...)     MESH_FIELD(refuse, __VA_ARGS__)
#define TILE_FIELD(...)       MESH_FIELD(tile, __VA_ARGS__)
#define NAK_FIELD(...)        MESH_FIELD(nak, __VA_ARGS__)
#define NOT_YET_FIELD(...)    MESH_FIELD(not_yet, __VA_ARGS__)
#define STATUS_FIELD(...)     MESH_FIELD(status, __VA_ARGS__)
#define RECORD_FIELD(...)     MESH_FIELD(record, __VA_ARGS__)
#define RECORD_ACK_FIELD(...) MESH_FIELD(record_ack, __VA_ARGS__)
#define PING_FIELD(...)       MESH_FIELD(ping, __VA_ARGS__)
#define PONG_FIELD(...)       MESH_FIELD(pong, __VA_ARGS__)
#define PROBE_FIELD(...)      MESH_FIELD(probe, __VA_ARGS__)
#define PROBE_ACK_FIELD(...)  MESH_FIELD(probe_ack, __VA_ARGS__)
#define GOODBYE_FIELD(...)    MESH_FIELD(goodbye, __VA_ARGS__)
#define ASK_FIELD(...)        MESH_FIELD(ask, __VA_ARGS__)
#define COOKIE_FIELD(...)     MESH_FIELD(cookie, __VA_ARGS__)
#define DENY_FIELD(...)       MESH_FIELD(deny, __VA_ARGS__)
#define JOIN_FIELD(...)       MESH_FIELD(join, __VA_ARGS__)
#define INVITE_FIELD(...)     MESH_FIELD(invite, __VA_ARGS__)
#define MOVE_FIELD(...)       MESH_FIELD(move, __VA_ARGS__)
#define PLAN_FIELD(...)       MESH_FIELD(plan, __VA_ARGS__)
#define MEMBER_FIELD(...)     MESH_FIELD(member, __VA_ARGS__)
#define VOTE_FIELD(...)       MESH_FIELD(vote, __VA_ARGS__)
#define COMMIT_FIELD(...)     MESH_FIELD(commit, __VA_ARGS__)
#define SUSPECT_FIELD(...)    MESH_FIELD(suspect, __VA_ARGS__)
#define VERDICT_FIELD(...)    MESH_FIELD(verdict, __VA_ARGS__)
#define ALIVE_FIELD(...)      MESH_FIELD(alive, __VA_ARGS__)
#define LOOK_FIELD(...)       MESH_FIELD(look, __VA_ARGS__)
#define REPORT_FIELD(...)     MESH_FIELD(report, __VA_ARGS__)

#define CALL_FIELD(...)        MESH_FIELD(calling, __VA_ARGS__)
#define CALL_ANSWER_FIELD(...) MESH_FIELD(call_answer, __VA_ARGS__)
#define CALL_REFUSE_FIELD(...) MESH_FIELD(call_refuse, __VA_ARGS__)

#define SUM(name, type, min, max, unit, meaning) +MESH_WIRE_SIZE_##type
#define TABLE(number, NAME, name, FIELDS, tail, meaning)                          \
    static const struct mesh_wire_field name##_fields[] = {FIELDS(NAME##_FIELD)}; \
    _Static_assert(sizeof(struct mesh_##name##_bytes) == 0 FIELDS(SUM), #name " has padding on the wire");

TABLE(0, HEADER, header, MESH_HEADER_FIELDS, NONE, "")
TABLE(0, RANGE, range, MESH_RANGE_FIELDS, NONE, "")
TABLE(0, MEMBER, member, MESH_MEMBER_FIELDS, NONE, "")
MESH_MESSAGES(TABLE)

_Static_assert(offsetof(struct mesh_header_bytes, version) == 2, "the version's place never changes");
_Static_assert(offsetof(struct mesh_header_bytes, type) == 3, "nor the type's");
_Static_assert(offsetof(struct mesh_header_bytes, src) == 6, "nor the sender's");
_Static_assert(offsetof(struct mesh_header_bytes, epoch) == 12, "nor the epoch's");
_Static_assert(offsetof(struct mesh_header_bytes, number) == 16, "number is aligned for readers of captures");
_Static_assert(offsetof(struct mesh_header_bytes, tag) == 40, "authentication covers a fixed place");
_Static_assert(sizeof(struct mesh_header_bytes) == 56, "header");
_Static_assert(sizeof(struct mesh_tile_bytes) == 26, "tile");
_Static_assert(sizeof(struct mesh_refuse_bytes) == 26, "refuse is read across versions");
_Static_assert(sizeof(struct mesh_call_refuse_bytes) == 26, "and so is the other one");
_Static_assert(sizeof(struct mesh_call_answer_bytes) <= sizeof(struct mesh_calling_bytes), "no answer is longer than the question");
_Static_assert(sizeof(struct mesh_deny_bytes) == 42, "deny is read across versions");
_Static_assert(sizeof(struct mesh_plan) == sizeof(struct mesh_commit), "one list of fields for both");
_Static_assert(sizeof(struct mesh_header_bytes) + sizeof(struct mesh_plan_bytes) +
                       MESH_PART_MEMBERS_MAX * sizeof(struct mesh_member_bytes) <=
                   1200,
               "a part of a list fits the smallest datagram");

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define PART(number, NAME, name, FIELDS, tail, meaning) \
    {#NAME, meaning, name##_fields, COUNT(name##_fields), sizeof(struct mesh_##name##_bytes), number, MESH_TAIL_##tail},
#define INDEXED_PART(number, NAME, ...) [number] = PART(number, NAME, __VA_ARGS__)

const struct mesh_wire_part mesh_wire_header = {
    "header", "In front of every message.", header_fields, COUNT(header_fields), sizeof(struct mesh_header_bytes), 0, MESH_TAIL_NONE};
const struct mesh_wire_part mesh_wire_range = {
    "range", "One missing range of a NAK.", range_fields, COUNT(range_fields), sizeof(struct mesh_range_bytes), 0, MESH_TAIL_NONE};
const struct mesh_wire_part mesh_wire_member = {
    "member", "One member of a list.", member_fields, COUNT(member_fields), sizeof(struct mesh_member_bytes), 0, MESH_TAIL_NONE};
static const struct mesh_wire_part messages[MESH_TYPE_COUNT] = {MESH_MESSAGES(INDEXED_PART)};

const struct mesh_wire_part *mesh_wire_message(unsigned type)
{
    return type < MESH_TYPE_COUNT && messages[type].fields ? &messages[type] : NULL;
}

/* ---- fields: straight-line code per message ---- */

#define CODEC(number, NAME, name, FIELDS, tail, meaning) MESH_FIELD_CODEC(name, FIELDS)
CODEC(0, HEADER, header, MESH_HEADER_FIELDS, NONE, "")
CODEC(0, RANGE, range, MESH_RANGE_FIELDS, NONE, "")
CODEC(0, MEMBER, member, MESH_MEMBER_FIELDS, NONE, "")
MESH_MESSAGES(CODEC)

#define CODEC_ENTRY(number, NAME, name, FIELDS, tail, meaning) [number] = {get_##name, put_##name},
static const struct {
    bool (*get)(const void *bytes, void *out);
    void (*put)(void *bytes, const void *in);
} codecs[MESH_TYPE_COUNT] = {MESH_MESSAGES(CODEC_ENTRY)};

uint64_t mesh_wire_get(const struct mesh_wire_field *field, const void *decoded)
{
    const uint8_t *at = (const uint8_t *)decoded + field->struct_offset;
    uint16_t value16;
    uint32_t value32;
    uint64_t value64;

    switch (field->type) {
    case MESH_WIRE_u8:
        return *at;
    case MESH_WIRE_u16:
        memcpy(&value16, at, sizeof value16);
        return value16;
    case MESH_WIRE_u32:
        memcpy(&value32, at, sizeof value32);
        return value32;
    default:
        assert(field->type == MESH_WIRE_u64);
        memcpy(&value64, at, sizeof value64);
        return value64;
    }
}

/* ---- messages ---- */

int mesh_wire_decode_header(const uint8_t *packet, size_t bytes, struct mesh_header *header)
{
    if (bytes < MESH_HEADER_BYTES)
        return MESH_ETRUNCATED;
    if (packet[0] != (MESH_WIRE_MAGIC & 255) || packet[1] != MESH_WIRE_MAGIC >> 8)
        return MESH_ETYPE;
    if (!mesh_wire_message(packet[offsetof(struct mesh_header_bytes, type)]))
        return MESH_ETYPE;
    return get_header(packet, header) ? 0 : MESH_ERANGE;
}

static int decode_ranges(const uint8_t *tail, size_t tail_bytes, struct mesh_message *message)
{
    unsigned count = message->as.nak.range_count;

    if (tail_bytes != count * sizeof(struct mesh_range_bytes))
        return MESH_ETRUNCATED;
    for (unsigned i = 0; i < count; i++)
        if (!get_range(tail + i * sizeof(struct mesh_range_bytes), &message->ranges[i]))
            return MESH_ERANGE;
    return 0;
}

static int decode_members(const uint8_t *tail, size_t tail_bytes, struct mesh_message *message)
{
    unsigned count = message->as.plan.member_count;

    if (tail_bytes != count * sizeof(struct mesh_member_bytes))
        return MESH_ETRUNCATED;
    for (unsigned i = 0; i < count; i++)
        if (!get_member(tail + i * sizeof(struct mesh_member_bytes), &message->members[i]))
            return MESH_ERANGE;
    return 0;
}

int mesh_wire_decode_body(const uint8_t *packet, size_t bytes, struct mesh_message *message)
{
    const struct mesh_wire_part *part = mesh_wire_message(message->header.type);
    size_t fixed;

    assert(part);
    assert(bytes >= MESH_HEADER_BYTES);
    fixed = (size_t)MESH_HEADER_BYTES + part->wire_bytes;
    if (bytes < fixed)
        return MESH_ETRUNCATED;
    if (!codecs[message->header.type].get(packet + MESH_HEADER_BYTES, &message->as))
        return MESH_ERANGE;
    message->data = packet + fixed;
    message->data_bytes = bytes - fixed;
    switch (part->tail) {
    case MESH_TAIL_NONE:
        return message->data_bytes ? MESH_ETRUNCATED : 0;
    case MESH_TAIL_DATA:
        return message->data_bytes ? 0 : MESH_ETRUNCATED;
    case MESH_TAIL_RANGES:
        return decode_ranges(message->data, message->data_bytes, message);
    case MESH_TAIL_MEMBERS:
        return decode_members(message->data, message->data_bytes, message);
    default:
        return bytes == message->as.probe.bytes ? 0 : MESH_ETRUNCATED;
    }
}

int mesh_wire_decode(const uint8_t *packet, size_t bytes, struct mesh_message *message)
{
    int err = mesh_wire_decode_header(packet, bytes, &message->header);

    if (err)
        return err;
    if (message->header.version != MESH_WIRE_VERSION)
        return MESH_EVERSION;
    return mesh_wire_decode_body(packet, bytes, message);
}

static size_t encode_tail(const struct mesh_wire_part *part, const struct mesh_message *message, uint8_t *packet, size_t fixed,
                          size_t capacity)
{
    unsigned count;

    switch (part->tail) {
    case MESH_TAIL_DATA:
        assert(message->data_bytes > 0 && fixed + message->data_bytes <= capacity);
        if (message->data)
            memcpy(packet + fixed, message->data, message->data_bytes);
        return fixed + message->data_bytes;
    case MESH_TAIL_RANGES:
        count = message->as.nak.range_count;
        assert(fixed + count * sizeof(struct mesh_range_bytes) <= capacity);
        for (unsigned i = 0; i < count; i++)
            put_range(packet + fixed + i * sizeof(struct mesh_range_bytes), &message->ranges[i]);
        return fixed + count * sizeof(struct mesh_range_bytes);
    case MESH_TAIL_MEMBERS:
        count = message->as.plan.member_count;
        assert(fixed + count * sizeof(struct mesh_member_bytes) <= capacity);
        for (unsigned i = 0; i < count; i++)
            put_member(packet + fixed + i * sizeof(struct mesh_member_bytes), &message->members[i]);
        return fixed + count * sizeof(struct mesh_member_bytes);
    case MESH_TAIL_PADDING:
        assert(message->as.probe.bytes <= capacity);
        memset(packet + fixed, 0, message->as.probe.bytes - fixed);
        return message->as.probe.bytes;
    default:
        return fixed;
    }
}

size_t mesh_wire_encode(const struct mesh_message *message, uint8_t *packet, size_t capacity)
{
    const struct mesh_wire_part *part = mesh_wire_message(message->header.type);
    size_t fixed;

    assert(part);
    fixed = (size_t)MESH_HEADER_BYTES + part->wire_bytes;
    assert(fixed <= capacity);
    put_header(packet, &message->header);
    codecs[message->header.type].put(packet + MESH_HEADER_BYTES, &message->as);
    return encode_tail(part, message, packet, fixed, capacity);
}

void mesh_wire_encode_member(const struct mesh_member *member, uint8_t out[MESH_MEMBER_BYTES])
{
    put_member(out, member);
}
