/* Values of the fields of display filters. */
#include <assert.h>
#include <string.h>

#include "filter_field.h"
#include "filter_source.h"

static bool give_number(unsigned index, uint64_t number, struct filter_value *out)
{
    out->number = number;
    return index == 0;
}

static bool give_bytes(unsigned index, const void *bytes, size_t size, struct filter_value *out)
{
    out->bytes = bytes;
    out->size = size;
    return index == 0;
}

static bool give_text(unsigned index, const char *text, struct filter_value *out)
{
    return text != NULL && give_bytes(index, text, strlen(text), out);
}

/* ---- the schema ---- */

static bool give_field(const struct filter_field *field, const void *decoded, struct filter_value *out)
{
    if (field->field == NULL)
        return true;
    if (field->kind == FILTER_BYTES)
        return give_bytes(0, (const uint8_t *)decoded + field->field->struct_offset, field->field->size, out);
    out->number = mesh_wire_get(field->field, decoded);
    if (field->bit != 0)
        out->number = (out->number & field->bit) != 0;
    return true;
}

/* Of a lost datagram's header only fields up to number are known, and of these only those that the analysis knows. */
static bool is_known(const struct filter_field *field, const struct analysis_loss *loss)
{
    const char *name = field->field ? field->field->name : "src";

    if (field->part != &mesh_wire_header)
        return strcmp(name, "ready_ns") != 0;
    if (strcmp(name, "type") == 0)
        return loss->entry != NULL && loss->entry->type != 0;
    if (strcmp(name, "number") == 0)
        return loss->entry != NULL;
    if (strcmp(name, "flags") == 0)
        return loss->entry != NULL && !loss->entry->is_missing;
    return strcmp(name, "src") == 0 || strcmp(name, "epoch") == 0 || (strcmp(name, "dst") == 0 && loss->link->dst != MESH_DST_ALL);
}

static bool get_wire(const struct filter_field *field, const struct filter_subject *subject, unsigned index, struct filter_value *out)
{
    const struct packet *packet = subject->packet;
    struct packet_part part;

    if (packet->bytes == NULL && subject->loss == NULL)
        return false;
    if (subject->loss != NULL && !is_known(field, subject->loss))
        return false;
    if (field->part == &mesh_wire_header)
        return index == 0 && packet->state != PACKET_FOREIGN && give_field(field, &packet->message.header, out);
    if (packet->state != PACKET_DECODED)
        return false;
    if (field->part == &mesh_wire_range || field->part == &mesh_wire_member)
        return packet_part(packet, index + 2, &part) && part.part == field->part && give_field(field, part.decoded, out);
    return index == 0 && packet->message.header.type == field->part->number && give_field(field, &packet->message.as, out);
}

/* ---- the frame around a datagram ---- */

static bool get_either(bool is_either, unsigned index, const void *src, const void *dst, size_t size, struct filter_value *out)
{
    return index < (is_either ? 2u : 1u) && give_bytes(0, index == 0 ? src : dst, size, out);
}

static bool get_address(enum filter_source source, const struct frame *frame, unsigned index, struct filter_value *out)
{
    const bool is_src = source == FILTER_SOURCE_IP_SRC || source == FILTER_SOURCE_IPV6_SRC;
    const bool is_dst = source == FILTER_SOURCE_IP_DST || source == FILTER_SOURCE_IPV6_DST;
    const bool is_either = source == FILTER_SOURCE_IP_ADDR || source == FILTER_SOURCE_IPV6_ADDR;
    const bool wants_v6 = source == FILTER_SOURCE_IPV6_SRC || source == FILTER_SOURCE_IPV6_DST || source == FILTER_SOURCE_IPV6_ADDR;

    assert(is_src || is_dst || is_either);
    return frame->has_addresses && frame->is_v6 == wants_v6 &&
           get_either(is_either, index, is_dst ? frame->dst.ip : frame->src.ip, frame->dst.ip, sizeof frame->src.ip, out);
}

static bool get_mac(enum filter_source source, const struct frame *frame, unsigned index, struct filter_value *out)
{
    const bool is_dst = source == FILTER_SOURCE_ETH_DST, is_either = source == FILTER_SOURCE_ETH_ADDR;

    assert(source == FILTER_SOURCE_ETH_SRC || is_dst || is_either);
    return frame->has_macs &&
           get_either(is_either, index, is_dst ? frame->destination_mac : frame->source_mac, frame->destination_mac, FRAME_MAC_BYTES, out);
}

static bool get_port(enum filter_source source, const struct frame *frame, unsigned index, struct filter_value *out)
{
    const bool is_src = source == FILTER_SOURCE_UDP_SRC || (source == FILTER_SOURCE_UDP_PORT && index == 0);

    assert(is_src || source == FILTER_SOURCE_UDP_DST || source == FILTER_SOURCE_UDP_PORT);
    out->number = is_src ? frame->src.port : frame->dst.port;
    return frame->kind == FRAME_UDP && index < (source == FILTER_SOURCE_UDP_PORT ? 2u : 1u);
}

static bool get_frame(enum filter_source source, const struct packet *packet, unsigned index, struct filter_value *out)
{
    const struct frame *frame = packet->frame;

    switch (source) {
    case FILTER_SOURCE_FRAME:
        return give_number(index, packet->frame_number, out);
    case FILTER_SOURCE_FRAME_LENGTH:
        return give_number(index, packet->link_size, out);
    case FILTER_SOURCE_FRAME_CAPTURED:
        return give_number(index, packet->link_captured, out);
    case FILTER_SOURCE_FRAME_NOTE:
        return frame->kind != FRAME_UDP && give_text(index, frame->note, out);
    case FILTER_SOURCE_VLAN:
        out->number = index < frame->vlan_count ? frame->vlans[index] : 0;
        return index < frame->vlan_count;
    case FILTER_SOURCE_IP_TTL:
    case FILTER_SOURCE_IPV6_HOPS:
        return frame->has_addresses && frame->is_v6 == (source == FILTER_SOURCE_IPV6_HOPS) && give_number(index, frame->hops, out);
    default:
        assert(!"a source of frames");
        return false;
    }
}

static bool get_time(enum filter_source source, const struct filter_subject *subject, unsigned index, struct filter_value *out)
{
    const uint64_t ts_ns = subject->packet->ts_ns;
    uint64_t since_ns = 0;

    if (source == FILTER_SOURCE_RELATIVE)
        since_ns = subject->first_ns;
    else if (source == FILTER_SOURCE_DELTA)
        since_ns = subject->previous_ns;
    else
        assert(source == FILTER_SOURCE_TIME);
    return ts_ns >= since_ns && give_number(index, ts_ns - since_ns, out);
}

/* ---- the datagram ---- */

static bool get_numbers(enum filter_source source, const struct numbers_verdict *numbers, unsigned index, struct filter_value *out)
{
    static const struct numbers_verdict none;

    if (numbers == NULL)
        numbers = &none;
    switch (source) {
    case FILTER_SOURCE_GAP:
        return numbers->gap > 0 && give_number(index, numbers->gap, out);
    case FILTER_SOURCE_DUPLICATE:
        return give_number(index, numbers->is_duplicate, out);
    case FILTER_SOURCE_REORDERED:
        return give_number(index, numbers->is_reordered, out);
    case FILTER_SOURCE_LATE:
        return give_number(index, numbers->is_late, out);
    default:
        assert(!"a source of what numbers say");
        return false;
    }
}

static bool get_verdict(enum filter_source source, unsigned verdicts, unsigned index, struct filter_value *out)
{
    assert(source == FILTER_SOURCE_LOST || source == FILTER_SOURCE_SPURIOUS);
    return give_number(index, (verdicts & (source == FILTER_SOURCE_LOST ? FILTER_LOST : FILTER_SPURIOUS)) != 0, out);
}

static bool get_flag(enum filter_source source, const struct packet *packet, unsigned index, struct filter_value *out)
{
    static const uint16_t bits[FILTER_SOURCE_COUNT] = {[FILTER_SOURCE_RESENT] = MESH_FLAG_RESEND,
                                                       [FILTER_SOURCE_COPY] = MESH_FLAG_COPY,
                                                       [FILTER_SOURCE_TO_ALL] = MESH_FLAG_ALL,
                                                       [FILTER_SOURCE_SEALED] = MESH_FLAG_SEALED};

    assert(bits[source] != 0);
    return packet->state != PACKET_FOREIGN && give_number(index, (packet->message.header.flags & bits[source]) != 0, out);
}

static bool get_datagram(enum filter_source source, const struct packet *packet, unsigned index, struct filter_value *out)
{
    const bool has_data = packet->state == PACKET_DECODED && packet_type(packet)->tail == MESH_TAIL_DATA;

    switch (source) {
    case FILTER_SOURCE_STATE:
        return give_number(index, packet->state, out);
    case FILTER_SOURCE_SEAL:
        return packet->state != PACKET_FOREIGN && give_number(index, packet->seal, out);
    case FILTER_SOURCE_TROUBLE:
        return give_text(index, packet_trouble(packet), out);
    case FILTER_SOURCE_LENGTH:
        return give_number(index, packet->size, out);
    case FILTER_SOURCE_DATA:
        return has_data && give_bytes(index, packet->message.data, packet->message.data_bytes, out);
    case FILTER_SOURCE_DATA_BYTES:
        return has_data && give_number(index, packet->message.data_bytes, out);
    default:
        assert(!"a source of datagrams");
        return false;
    }
}

/* Of a lost datagram nothing else is known. */
static bool is_known_of_loss(const struct filter_field *field)
{
    return field->source == FILTER_SOURCE_LOST || field->source == FILTER_SOURCE_RESENT || field->source == FILTER_SOURCE_COPY ||
           field->source == FILTER_SOURCE_TO_ALL || field->source == FILTER_SOURCE_TIME || field->group == FILTER_OF_ADDRESS ||
           field->group == FILTER_OF_PORT;
}

/* Is it of the frame, which may hold no datagram? */
static bool is_of_frame(const struct filter_field *field)
{
    return field->group >= FILTER_OF_TIME;
}

bool filter_field_get(const struct filter_field *field, const struct filter_subject *subject, unsigned index, struct filter_value *out)
{
    const enum filter_source source = (enum filter_source)field->source;
    const bool has_datagram = subject->packet->bytes != NULL || subject->loss != NULL;

    if (field->part != NULL)
        return get_wire(field, subject, index, out);
    if (subject->loss != NULL && !is_known_of_loss(field))
        return false;
    if (!has_datagram && !is_of_frame(field))
        return false;
    switch ((enum filter_group)field->group) {
    case FILTER_OF_VERDICTS:
        return get_verdict(source, subject->verdicts, index, out);
    case FILTER_OF_NUMBERS:
        return get_numbers(source, subject->numbers, index, out);
    case FILTER_OF_FLAGS:
        return get_flag(source, subject->packet, index, out);
    case FILTER_OF_DATAGRAM:
        return get_datagram(source, subject->packet, index, out);
    case FILTER_OF_TIME:
        return get_time(source, subject, index, out);
    case FILTER_OF_FRAME:
        return get_frame(source, subject->packet, index, out);
    case FILTER_OF_MAC:
        return get_mac(source, subject->packet->frame, index, out);
    case FILTER_OF_ADDRESS:
        return get_address(source, subject->packet->frame, index, out);
    case FILTER_OF_PORT:
        return get_port(source, subject->packet->frame, index, out);
    }
    assert(!"a group");
    return false;
}
