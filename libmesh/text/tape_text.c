/* Entries of a tape as text: two of them side by side, and one in a line. The only part of the tape that uses stdio. */
#include "mesh/tape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_BYTES = 80, NAME_BYTES = 48 };

struct side {
    const struct mesh_tape_entry *entry; /* NULL: none */
    struct mesh_message message;
    bool has_header, has_message;
    char text[VALUE_BYTES];
};

struct comparison {
    struct side side[2];
    void (*put)(void *user, const struct mesh_tape_line *line);
    void *user;
};

static void format_value(const struct mesh_wire_field *field, const void *decoded, char text[VALUE_BYTES])
{
    const uint8_t *bytes = (const uint8_t *)decoded + field->struct_offset;

    if (field->type != MESH_WIRE_b16 && field->type != MESH_WIRE_b32) {
        snprintf(text, VALUE_BYTES, "%" PRIu64, mesh_wire_get(field, decoded));
        return;
    }
    for (unsigned i = 0; i < field->size && 2 * i + 2 < VALUE_BYTES; i++)
        snprintf(text + (size_t)2 * i, VALUE_BYTES - (size_t)2 * i, "%02x", bytes[i]);
}

/* decoded NULL: that side does not have it. */
static void put_field(struct comparison *comparison, const char *prefix, const struct mesh_wire_field *field, const void *const decoded[2])
{
    char name[NAME_BYTES], text[2][VALUE_BYTES] = {"", ""};
    struct mesh_tape_line line = {.name = name};

    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", field->name);
    for (unsigned i = 0; i < 2; i++)
        if (decoded[i])
            format_value(field, decoded[i], text[i]);
    line.expected = decoded[0] ? text[0] : NULL;
    line.actual = decoded[1] ? text[1] : NULL;
    line.is_same = decoded[0] && decoded[1] && strcmp(text[0], text[1]) == 0;
    comparison->put(comparison->user, &line);
}

static void put_part(struct comparison *comparison, const char *prefix, const struct mesh_wire_part *part, const void *a, const void *b)
{
    const void *const decoded[2] = {a, b};

    for (unsigned i = 0; i < part->field_count; i++)
        put_field(comparison, prefix, &part->fields[i], decoded);
}

/* What can be read of the body. The data is not in it, so a message with data is decoded with one byte in its place. */
static void read_datagram(struct side *side)
{
    const struct mesh_tape_entry *entry = side->entry;
    const struct mesh_wire_part *part;
    uint8_t bytes[MESH_HEADER_BYTES + 256];
    const size_t body = entry->call.body_bytes;

    side->has_header = mesh_wire_decode_header(entry->body, body, &side->message.header) == 0;
    if (!side->has_header || side->message.header.version != MESH_WIRE_VERSION)
        return;
    part = mesh_wire_message(side->message.header.type);
    if (part->tail != MESH_TAIL_DATA) {
        side->has_message = mesh_wire_decode_body(entry->body, body, &side->message) == 0;
        return;
    }
    if (body >= sizeof bytes || !entry->call.payload_bytes)
        return;
    memcpy(bytes, entry->body, body);
    bytes[body] = 0;
    side->has_message = mesh_wire_decode_body(bytes, body + 1, &side->message) == 0;
    side->message.data = NULL;
    side->message.data_bytes = entry->call.payload_bytes;
}

static void put_header(struct comparison *comparison)
{
    struct side *side = comparison->side;

    if (side[0].has_header || side[1].has_header)
        put_part(comparison, "header", &mesh_wire_header, side[0].has_header ? &side[0].message.header : NULL,
                 side[1].has_header ? &side[1].message.header : NULL);
}

static void put_ranges(struct comparison *comparison)
{
    const struct side *side = comparison->side;
    unsigned count[2] = {0, 0};

    for (unsigned i = 0; i < 2; i++)
        if (side[i].has_message && side[i].message.header.type == MESH_TYPE_NAK)
            count[i] = side[i].message.as.nak.range_count;
    for (unsigned i = 0; i < count[0] || i < count[1]; i++) {
        char prefix[NAME_BYTES];

        snprintf(prefix, sizeof prefix, "range[%u]", i);
        put_part(comparison, prefix, &mesh_wire_range, i < count[0] ? &side[0].message.ranges[i] : NULL,
                 i < count[1] ? &side[1].message.ranges[i] : NULL);
    }
}

static void put_messages(struct comparison *comparison)
{
    struct side *side = comparison->side;
    const bool are_alike = side[0].has_message && side[1].has_message && side[0].message.header.type == side[1].message.header.type;

    for (unsigned i = 0; i < 2; i++) {
        const struct mesh_wire_part *part = side[i].has_message ? mesh_wire_message(side[i].message.header.type) : NULL;
        const void *as = part ? &side[i].message.as : NULL;

        if (part && are_alike)
            put_part(comparison, part->name, part, as, &side[1].message.as);
        else if (part)
            put_part(comparison, part->name, part, i ? NULL : as, i ? as : NULL);
        if (are_alike)
            break;
    }
    put_ranges(comparison);
}

static const uint8_t *payload_at(const struct mesh_tape_entry *entry, uint32_t at)
{
    const uint32_t row_bytes = entry->call.payload_bytes / entry->payload_rows;

    return entry->payload + at / row_bytes * entry->payload_stride + at % row_bytes;
}

/* Where bytes differ: how many do, and the first of them. */
static void put_bytes(struct comparison *comparison, const char *name, uint32_t count[2], bool is_known,
                      const uint8_t *(*byte)(const struct mesh_tape_entry *entry, uint32_t at))
{
    char text[2][VALUE_BYTES];
    uint32_t differing = 0, first = 0;
    struct mesh_tape_line line = {name, text[0], text[1], count[0] == count[1]};

    for (uint32_t i = 0; is_known && line.is_same && i < count[0]; i++)
        if (*byte(comparison->side[0].entry, i) != *byte(comparison->side[1].entry, i) && !differing++)
            first = i;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(text[i], sizeof text[i], "%" PRIu32 " bytes", count[i]);
        if (differing)
            snprintf(text[i], sizeof text[i], "byte %" PRIu32 " of %" PRIu32 ": %02x (%" PRIu32 " differ)", first, count[i],
                     *byte(comparison->side[i].entry, first), differing);
    }
    line.is_same = line.is_same && !differing;
    comparison->put(comparison->user, &line);
}

static const uint8_t *body_at(const struct mesh_tape_entry *entry, uint32_t at)
{
    return entry->body + at;
}

static void put_tails(struct comparison *comparison, const struct mesh_tape_entry *expected, const struct mesh_tape_entry *actual)
{
    const bool is_known = expected->call.payload == MESH_TAPE_WHOLE && actual->call.payload == MESH_TAPE_WHOLE;
    uint32_t body[2] = {expected->call.body_bytes, actual->call.body_bytes};
    uint32_t payload[2] = {expected->call.payload_bytes, actual->call.payload_bytes};

    if (body[0] || body[1])
        put_bytes(comparison, "body", body, true, body_at);
    if (payload[0] || payload[1])
        put_bytes(comparison, "payload", payload, is_known, payload_at);
}

void mesh_tape_compare(const struct mesh_tape_entry *expected, const struct mesh_tape_entry *actual,
                       void (*put)(void *user, const struct mesh_tape_line *line), void *user)
{
    struct comparison comparison = {.side = {{.entry = expected}, {.entry = actual}}, .put = put, .user = user};
    const struct mesh_wire_part *part[2] = {NULL, NULL};
    const char *name[2] = {NULL, NULL};

    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &comparison.side[i];

        part[i] = side->entry ? mesh_tape_part(side->entry->call.kind) : NULL;
        name[i] = part[i] ? part[i]->name : NULL;
        if (part[i] && mesh_tape_is_datagram(side->entry->call.kind))
            read_datagram(side);
    }
    put(user, &(struct mesh_tape_line){"call", name[0], name[1], part[0] && part[0] == part[1]});
    if (part[0] && part[0] == part[1])
        put_part(&comparison, "", part[0], expected, actual);
    else
        for (unsigned i = 0; i < 2; i++)
            if (part[i])
                put_part(&comparison, "", part[i], i ? NULL : expected, i ? actual : NULL);
    put_header(&comparison);
    put_messages(&comparison);
    if (part[0] && part[1])
        put_tails(&comparison, expected, actual);
}

size_t mesh_tape_text(const struct mesh_tape_entry *entry, char *out, size_t capacity)
{
    const struct mesh_wire_part *part = mesh_tape_part(entry->call.kind);
    const unsigned common = mesh_tape_part(MESH_TAPE_TICK)->field_count;
    struct side side = {.entry = entry};
    size_t size = (size_t)snprintf(out, capacity, "%s at %" PRIu64 ".%09" PRIu64 " s", part->name, entry->call.at_ns / 1000000000,
                                   entry->call.at_ns % 1000000000);

#define REST size < capacity ? out + size : NULL, size < capacity ? capacity - size : 0
    if (mesh_tape_is_datagram(entry->call.kind)) {
        read_datagram(&side);
        size += (size_t)snprintf(REST, ": ");
        if (side.has_message)
            size += mesh_wire_text(&side.message, REST);
        else if (side.has_header)
            size += mesh_wire_header_text(&side.message.header, REST);
        return size;
    }
    for (unsigned i = common; i < part->field_count; i++) {
        format_value(&part->fields[i], entry, side.text);
        size += (size_t)snprintf(REST, " %s %s", part->fields[i].name, side.text);
    }
#undef REST
    return size;
}
