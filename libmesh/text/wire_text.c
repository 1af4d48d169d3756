/* Messages as one line of text, and the tables of docs/PROTOCOL.md: two more loops over the field tables. The only part of the schema that
 * uses stdio, so it is not part of the core. */
#include "mesh/telemetry.h"
#include "mesh/wire.h"

#include <inttypes.h>
#include <string.h>

#include "long_text.h"

/* ---- one line ---- */

static void add_word(struct mesh_long_text *text, const char *word)
{
    mesh_long_text_add(text, word, strlen(word));
}

static void add_number(struct mesh_long_text *text, uint64_t value)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    mesh_long_text_add(text, digits + first, sizeof digits - first);
}

static void add_bytes(struct mesh_long_text *text, const struct mesh_wire_field *field, const void *decoded)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = (const uint8_t *)decoded + field->struct_offset;
    char hex[16];

    for (unsigned i = 0; i < 8; i++) { /* the rest tells a reader no more */
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    mesh_long_text_add(text, hex, sizeof hex);
}

static void add_fields(struct mesh_long_text *text, const struct mesh_wire_part *part, const void *decoded)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];

        mesh_long_text_add(text, " ", 1);
        add_word(text, field->name);
        mesh_long_text_add(text, " ", 1);
        if (field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32)
            add_bytes(text, field, decoded);
        else
            add_number(text, mesh_wire_get(field, decoded));
    }
}

static void add_header(struct mesh_long_text *text, const struct mesh_header *header, const char *name)
{
    add_number(text, header->src);
    mesh_long_text_add(text, ">", 1);
    if (header->dst == MESH_DST_ALL)
        add_word(text, "all");
    else
        add_number(text, header->dst);
    mesh_long_text_add(text, " ", 1);
    add_word(text, name);
    if (header->flags & MESH_FLAG_RESEND)
        add_word(text, " resend");
    if (header->flags & MESH_FLAG_COPY)
        add_word(text, " copy");
    if (header->flags & (MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED))
        add_word(text, header->flags & MESH_FLAG_SEALED ? " sealed" : " authenticated");
    add_word(text, " epoch ");
    add_number(text, header->epoch);
    add_word(text, header->flags & MESH_FLAG_ALL ? " #all:" : " #");
    add_number(text, header->number);
    if (header->have_step == MESH_STEP_NONE) {
        add_word(text, " have none");
    } else {
        add_word(text, " have ");
        add_number(text, header->have_step);
        mesh_long_text_add(text, ".", 1);
        add_number(text, header->have_phase);
    }
    add_word(text, " sent_ns ");
    add_number(text, header->sent_ns);
}

static void add_ranges(struct mesh_long_text *text, const struct mesh_message *message)
{
    for (unsigned i = 0; i < message->as.nak.range_count; i++) {
        const struct mesh_range *range = &message->ranges[i];

        add_word(text, " tokens ");
        add_number(text, range->token_first);
        mesh_long_text_add(text, "+", 1);
        add_number(text, range->token_count);
        add_word(text, " blocks ");
        add_number(text, range->block_first);
        mesh_long_text_add(text, "+", 1);
        add_number(text, range->block_count);
    }
}

size_t mesh_wire_header_text(const struct mesh_header *header, char *out, size_t capacity)
{
    const struct mesh_wire_part *part = mesh_wire_message(header->type);
    struct mesh_long_text text = {out, capacity, 0};

    if (part)
        add_header(&text, header, part->name);
    else
        mesh_long_text_print(&text, "no message of type %u", header->type);
    return text.size;
}

size_t mesh_wire_text(const struct mesh_message *message, char *out, size_t capacity)
{
    const struct mesh_wire_part *part = mesh_wire_message(message->header.type);
    struct mesh_long_text text = {out, capacity, 0};

    text.size = mesh_wire_header_text(&message->header, out, capacity);
    if (!part)
        return text.size;
    add_fields(&text, part, &message->as);
    if (part->tail == MESH_TAIL_DATA) {
        add_word(&text, " data ");
        add_number(&text, message->data_bytes);
    }
    if (part->tail == MESH_TAIL_RANGES)
        add_ranges(&text, message);
    for (unsigned i = 0; part->tail == MESH_TAIL_MEMBERS && i < message->as.plan.member_count; i++) {
        add_word(&text, " member");
        add_fields(&text, &mesh_wire_member, &message->members[i]);
    }
    return text.size;
}

/* ---- tables ---- */

static const char *const type_names[] = {"u8", "u16", "u32", "u64", "16 bytes", "32 bytes"};

/* A limit as people write it. */
static void add_limit(struct mesh_long_text *text, uint64_t value)
{
    unsigned log2 = value ? 63u - (unsigned)__builtin_clzll(value) : 0;

    if (value < 100000)
        mesh_long_text_print(text, "%" PRIu64, value);
    else if (value == UINT64_MAX)
        mesh_long_text_print(text, "2^64-1");
    else if (value == UINT64_MAX - 1)
        mesh_long_text_print(text, "2^64-2");
    else if (value == UINT64_C(1) << log2)
        mesh_long_text_print(text, "2^%u", log2);
    else if (value == (UINT64_C(1) << log2) * 2 - 1)
        mesh_long_text_print(text, "2^%u-1", log2 + 1);
    else
        mesh_long_text_print(text, "%" PRIu64, value);
}

static void add_range(struct mesh_long_text *text, const struct mesh_wire_field *field)
{
    if (field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32) {
        mesh_long_text_print(text, field->max ? "any" : "zero");
        return;
    }
    add_limit(text, field->min);
    if (field->min == field->max)
        return;
    mesh_long_text_print(text, " – ");
    add_limit(text, field->max);
}

static void add_table(struct mesh_long_text *text, const struct mesh_wire_part *part, unsigned offset)
{
    mesh_long_text_print(text, "| offset | field | type | range | unit | meaning |\n|---:|---|---|---|---|---|\n");
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];

        mesh_long_text_print(text, "| %u | `%s` | %s | ", offset + field->wire_offset, field->name, type_names[field->type]);
        add_range(text, field);
        mesh_long_text_print(text, " | %s | %s |\n", field->unit, field->meaning);
    }
}

static const char *tail_text(enum mesh_wire_tail tail)
{
    switch (tail) {
    case MESH_TAIL_DATA:
        return ", then data to the end of the datagram (at least one byte)";
    case MESH_TAIL_RANGES:
        return ", then `range_count` ranges";
    case MESH_TAIL_PADDING:
        return ", then zeros up to `bytes`";
    case MESH_TAIL_MEMBERS:
        return ", then `member_count` members";
    default:
        return "";
    }
}

size_t mesh_wire_write_protocol(char *out, size_t capacity)
{
    struct mesh_long_text text = {out, capacity, 0};
    size_t at;

    mesh_long_text_print(&text, "### Header\n\n%s %u bytes.\n\n", mesh_wire_header.meaning, mesh_wire_header.wire_bytes);
    add_table(&text, &mesh_wire_header, 0);
    for (unsigned type = 1; type < MESH_TYPE_COUNT; type++) {
        const struct mesh_wire_part *part = mesh_wire_message(type);

        if (!part)
            continue;
        mesh_long_text_print(&text, "\n### %u %s\n\n%s %u bytes%s.\n\n", type, part->name, part->meaning,
                             mesh_wire_header.wire_bytes + part->wire_bytes, tail_text(part->tail));
        add_table(&text, part, mesh_wire_header.wire_bytes);
    }
    mesh_long_text_print(&text, "\n### Range\n\n%s %u bytes.\n\n", mesh_wire_range.meaning, mesh_wire_range.wire_bytes);
    add_table(&text, &mesh_wire_range, 0);
    mesh_long_text_print(&text, "\n### Member\n\n%s %u bytes.\n\n", mesh_wire_member.meaning, mesh_wire_member.wire_bytes);
    add_table(&text, &mesh_wire_member, 0);
    mesh_long_text_print(&text, "\n");
    at = text.size < capacity ? text.size : capacity;
    return text.size + mesh_telemetry_write_protocol(at < capacity ? out + at : NULL, capacity - at);
}
