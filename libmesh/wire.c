/* The codec: loops over the field tables that come from the lists in mesh/wire.h.
 *
 * Nothing of a datagram is used before every field has been found inside it and inside its range. */
#include "mesh/wire.h"

#include <assert.h>
#include <string.h>

#define FIELD(part, name, type, min, max, unit, meaning)   \
    {#name,                                                \
     MESH_WIRE_##type,                                     \
     MESH_WIRE_SIZE_##type,                                \
     (uint16_t)offsetof(struct mesh_##part##_bytes, name), \
     (uint16_t)offsetof(struct mesh_##part, name),         \
     min,                                                  \
     max,                                                  \
     unit,                                                 \
     meaning},

/* The lists take a macro of six arguments, so the part's name reaches FIELD by a macro of its own. */
#define HEADER_FIELD(...)     FIELD(header, __VA_ARGS__)
#define RANGE_FIELD(...)      FIELD(range, __VA_ARGS__)
#define HELLO_FIELD(...)      FIELD(hello, __VA_ARGS__)
#define HELLO_ACK_FIELD(...)  FIELD(hello_ack, __VA_ARGS__)
#define REFUSE_FIELD(...)     FIELD(refuse, __VA_ARGS__)
#define TILE_FIELD(...)       FIELD(tile, __VA_ARGS__)
#define NAK_FIELD(...)        FIELD(nak, __VA_ARGS__)
#define NOT_YET_FIELD(...)    FIELD(not_yet, __VA_ARGS__)
#define STATUS_FIELD(...)     FIELD(status, __VA_ARGS__)
#define RECORD_FIELD(...)     FIELD(record, __VA_ARGS__)
#define RECORD_ACK_FIELD(...) FIELD(record_ack, __VA_ARGS__)
#define PING_FIELD(...)       FIELD(ping, __VA_ARGS__)
#define PONG_FIELD(...)       FIELD(pong, __VA_ARGS__)
#define PROBE_FIELD(...)      FIELD(probe, __VA_ARGS__)
#define PROBE_ACK_FIELD(...)  FIELD(probe_ack, __VA_ARGS__)
#define GOODBYE_FIELD(...)    FIELD(goodbye, __VA_ARGS__)

#define SUM(name, type, min, max, unit, meaning) +MESH_WIRE_SIZE_##type
#define TABLE(number, NAME, name, FIELDS, tail, meaning)                          \
    static const struct mesh_wire_field name##_fields[] = {FIELDS(NAME##_FIELD)}; \
    _Static_assert(sizeof(struct mesh_##name##_bytes) == 0 FIELDS(SUM), #name " has padding on the wire");

TABLE(0, HEADER, header, MESH_HEADER_FIELDS, NONE, "")
TABLE(0, RANGE, range, MESH_RANGE_FIELDS, NONE, "")
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

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define PART(number, NAME, name, FIELDS, tail, meaning) \
    {#NAME, meaning, name##_fields, COUNT(name##_fields), sizeof(struct mesh_##name##_bytes), number, MESH_TAIL_##tail},
#define INDEXED_PART(number, NAME, ...) [number] = PART(number, NAME, __VA_ARGS__)

const struct mesh_wire_part mesh_wire_header = {
    "header", "In front of every message.", header_fields, COUNT(header_fields), sizeof(struct mesh_header_bytes), 0, MESH_TAIL_NONE};
const struct mesh_wire_part mesh_wire_range = {
    "range", "One missing range of a NAK.", range_fields, COUNT(range_fields), sizeof(struct mesh_range_bytes), 0, MESH_TAIL_NONE};
static const struct mesh_wire_part messages[MESH_TYPE_COUNT] = {MESH_MESSAGES(INDEXED_PART)};

const struct mesh_wire_part *mesh_wire_message(unsigned type)
{
    return type < MESH_TYPE_COUNT && messages[type].fields ? &messages[type] : NULL;
}

static uint64_t load(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static void store(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static bool is_bytes(const struct mesh_wire_field *field)
{
    return field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32;
}

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
    case MESH_WIRE_u64:
        memcpy(&value64, at, sizeof value64);
        return value64;
    default:
        assert(!"an integer field");
        return 0;
    }
}

static void set(const struct mesh_wire_field *field, void *decoded, uint64_t value)
{
    uint8_t *at = (uint8_t *)decoded + field->struct_offset;
    uint16_t value16 = (uint16_t)value;
    uint32_t value32 = (uint32_t)value;

    switch (field->type) {
    case MESH_WIRE_u8:
        *at = (uint8_t)value;
        break;
    case MESH_WIRE_u16:
        memcpy(at, &value16, sizeof value16);
        break;
    case MESH_WIRE_u32:
        memcpy(at, &value32, sizeof value32);
        break;
    default:
        memcpy(at, &value, sizeof value);
    }
}

static bool bytes_in_range(const struct mesh_wire_field *field, const uint8_t *bytes)
{
    if (field->min == 0 && field->max == UINT8_MAX)
        return true;
    for (unsigned i = 0; i < field->size; i++)
        if (bytes[i] < field->min || bytes[i] > field->max)
            return false;
    return true;
}

static int decode_part(const struct mesh_wire_part *part, const uint8_t *bytes, void *decoded)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];
        const uint8_t *at = bytes + field->wire_offset;

        if (is_bytes(field)) {
            if (!bytes_in_range(field, at))
                return MESH_ERANGE;
            memcpy((uint8_t *)decoded + field->struct_offset, at, field->size);
        } else {
            uint64_t value = load(at, field->size);

            if (value < field->min || value > field->max)
                return MESH_ERANGE;
            set(field, decoded, value);
        }
    }
    return 0;
}

static void encode_part(const struct mesh_wire_part *part, const void *decoded, uint8_t *bytes)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];
        uint8_t *at = bytes + field->wire_offset;

        if (is_bytes(field)) {
            memcpy(at, (const uint8_t *)decoded + field->struct_offset, field->size);
            assert(bytes_in_range(field, at));
        } else {
            uint64_t value = mesh_wire_get(field, decoded);

            assert(value >= field->min && value <= field->max);
            store(at, field->size, value);
        }
    }
}

int mesh_wire_decode_header(const uint8_t *packet, size_t bytes, struct mesh_header *header)
{
    if (bytes < MESH_HEADER_BYTES)
        return MESH_ETRUNCATED;
    if (load(packet, 2) != MESH_WIRE_MAGIC || !mesh_wire_message(packet[offsetof(struct mesh_header_bytes, type)]))
        return MESH_ETYPE;
    return decode_part(&mesh_wire_header, packet, header);
}

static int decode_ranges(const uint8_t *tail, size_t tail_bytes, struct mesh_message *message)
{
    unsigned count = message->as.nak.range_count;

    if (tail_bytes != count * sizeof(struct mesh_range_bytes))
        return MESH_ETRUNCATED;
    for (unsigned i = 0; i < count; i++) {
        int err = decode_part(&mesh_wire_range, tail + i * sizeof(struct mesh_range_bytes), &message->ranges[i]);

        if (err)
            return err;
    }
    return 0;
}

int mesh_wire_decode_body(const uint8_t *packet, size_t bytes, struct mesh_message *message)
{
    const struct mesh_wire_part *part = mesh_wire_message(message->header.type);
    size_t fixed = (size_t)MESH_HEADER_BYTES + part->wire_bytes;
    int err;

    assert(bytes >= MESH_HEADER_BYTES);
    if (bytes < fixed)
        return MESH_ETRUNCATED;
    err = decode_part(part, packet + MESH_HEADER_BYTES, &message->as);
    if (err)
        return err;
    message->data = packet + fixed;
    message->data_bytes = bytes - fixed;
    switch (part->tail) {
    case MESH_TAIL_NONE:
        return message->data_bytes ? MESH_ETRUNCATED : 0;
    case MESH_TAIL_DATA:
        return message->data_bytes ? 0 : MESH_ETRUNCATED;
    case MESH_TAIL_RANGES:
        return decode_ranges(message->data, message->data_bytes, message);
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
            encode_part(&mesh_wire_range, &message->ranges[i], packet + fixed + i * sizeof(struct mesh_range_bytes));
        return fixed + count * sizeof(struct mesh_range_bytes);
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
    encode_part(&mesh_wire_header, &message->header, packet);
    encode_part(part, &message->as, packet + MESH_HEADER_BYTES);
    return encode_tail(part, message, packet, fixed, capacity);
}
