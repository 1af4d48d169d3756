#include "packet_json.h"

#include <ctype.h>

void packet_json_fields(struct json *json, const struct packet_part *part)
{
    for (unsigned i = 0; i < part->part->field_count; i++) {
        const struct mesh_wire_field *field = &part->part->fields[i];

        if (field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32)
            json_hex(json, field->name, (const uint8_t *)part->decoded + field->struct_offset, field->size);
        else
            json_uint(json, field->name, mesh_wire_get(field, part->decoded));
    }
}

static void part_object(struct json *json, const char *key, const struct packet_part *part)
{
    json_object_begin(json, key);
    packet_json_fields(json, part);
    json_object_end(json);
}

const char *packet_json_name(const char *name, char out[PACKET_JSON_NAME_BYTES])
{
    size_t i = 0;

    for (; i < PACKET_JSON_NAME_BYTES - 1 && name[i] != '\0'; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
    return out;
}

/* Header, message, then an array of what follows it. */
static void message(struct json *json, const struct packet *packet)
{
    struct packet_part part;
    char name[PACKET_JSON_NAME_BYTES];
    unsigned count = 0;

    for (; packet_part(packet, count, &part); count++) {
        if (count == 2)
            json_array_begin(json, part.part == &mesh_wire_range ? "ranges" : "members");
        part_object(json, count > 1 ? NULL : packet_json_name(part.part->name, name), &part);
    }
    if (count > 2)
        json_array_end(json);
    if (packet->state == PACKET_DECODED && packet_type(packet)->tail == MESH_TAIL_DATA)
        json_uint(json, "data_bytes", packet->message.data_bytes);
}

/* Keys "src_ip" and so on, inside an open object. */
static void put_addresses(struct json *json, const struct frame *frame)
{
    char text[FRAME_ADDRESS_TEXT_BYTES];

    if (!frame->has_addresses)
        return;
    frame_address_text(&frame->src, frame->is_v6, false, text);
    json_text(json, "src_ip", text);
    if (frame->kind == FRAME_UDP)
        json_uint(json, "src_port", frame->src.port);
    frame_address_text(&frame->dst, frame->is_v6, false, text);
    json_text(json, "dst_ip", text);
    if (frame->kind == FRAME_UDP)
        json_uint(json, "dst_port", frame->dst.port);
}

static void analysis(struct json *json, const struct numbers_verdict *what, unsigned verdicts)
{
    json_object_begin(json, "analysis");
    if (what->gap > 0)
        json_uint(json, "gap", what->gap);
    if (what->is_duplicate)
        json_bool(json, "duplicate", true);
    if (what->is_reordered)
        json_bool(json, "reordered", true);
    if (what->is_late)
        json_bool(json, "late", true);
    if (verdicts & FILTER_LOST)
        json_bool(json, "lost", true);
    if (verdicts & FILTER_SPURIOUS)
        json_bool(json, "spurious_resend", true);
    json_object_end(json);
}

static void begin(struct json *json, const char *event, const struct packet *packet)
{
    json_event_begin(json, event);
    json_uint(json, "frame", packet->frame_number);
    json_uint(json, "ts_ns", packet->ts_ns);
    put_addresses(json, packet->frame);
}

void packet_json_write(struct json *json, const struct packet *packet, const struct numbers_verdict *what, unsigned verdicts)
{
    static const char *const states[] = {"decoded", "header", "foreign"};
    const char *trouble = packet_trouble(packet);

    begin(json, "datagram", packet);
    json_uint(json, "datagram", packet->number);
    json_uint(json, "bytes", packet->size);
    json_uint(json, "captured_bytes", packet->captured);
    json_text(json, "state", states[packet->state]);
    if (packet->state != PACKET_FOREIGN) {
        json_text(json, "seal", keys_verdict_name(packet->seal));
        json_text(json, "type", packet_type(packet)->name);
    }
    if (trouble != NULL)
        json_text(json, "trouble", trouble);
    message(json, packet);
    if (what->gap > 0 || what->is_duplicate || what->is_reordered || what->is_late || verdicts != 0)
        analysis(json, what, verdicts);
    json_event_end(json);
}

void packet_json_write_frame(struct json *json, const struct packet *packet)
{
    begin(json, "frame", packet);
    json_uint(json, "bytes", packet->link_size);
    json_text(json, "note", packet->frame->note);
    json_event_end(json);
}
