#include "packet.h"

#include <string.h>

/* Foreign when it has no header of ours; of another version only the header can be decoded. */
static void decode_header(struct packet *packet)
{
    struct mesh_message *message = &packet->message;

    packet->state = PACKET_FOREIGN;
    packet->seal = KEYS_PLAIN;
    packet->err = mesh_wire_decode_header(packet->bytes, packet->captured, &message->header);
    if (packet->err == 0) {
        packet->state = PACKET_HEADER;
        if (message->header.version != MESH_WIRE_VERSION)
            packet->err = MESH_EVERSION;
    }
}

static void unseal(struct decoder *decoder, struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;

    if ((header->flags & (MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED)) == 0)
        return;
    packet->seal = KEYS_LOCKED;
    if (decoder->keys == NULL || packet->captured < packet->size || packet->size > sizeof decoder->opened)
        return;
    memcpy(decoder->opened, packet->bytes, packet->size);
    packet->seal = keys_unseal(decoder->keys, &packet->frame->src, header, decoder->opened, packet->size);
    if (packet->seal == KEYS_OPENED)
        packet->bytes = decoder->opened;
}

void packet_decode(struct decoder *decoder, struct packet *packet, const uint8_t *bytes, size_t captured, size_t size)
{
    struct mesh_message *message = &packet->message;
    bool is_readable;

    packet->bytes = bytes;
    packet->captured = captured < size ? captured : size;
    packet->size = size;
    decode_header(packet);
    if (packet->err != 0)
        return;
    unseal(decoder, packet);
    is_readable = packet->seal == KEYS_PLAIN || packet->seal == KEYS_OPENED || !(message->header.flags & MESH_FLAG_SEALED);
    if (!is_readable || packet->captured < packet->size)
        return;
    packet->err = mesh_wire_decode_body(packet->bytes, packet->size, message);
    if (packet->err != 0)
        return;
    packet->state = PACKET_DECODED;
    if (packet->seal == KEYS_OPENED)
        keys_learn(decoder->keys, message);
}

bool packet_is_numbered(const struct packet *packet)
{
    return packet->state != PACKET_FOREIGN && packet->err == 0 && packet->seal != KEYS_FORGED && packet->message.header.epoch != 0 &&
           packet->message.header.number != 0;
}

const char *packet_trouble(const struct packet *packet)
{
    if (packet->seal == KEYS_FORGED)
        return "tag does not fit";
    if (packet->state == PACKET_DECODED)
        return NULL;
    if (packet->err == MESH_EVERSION)
        return "another version";
    if (packet->captured < packet->size && packet->err != MESH_ETYPE)
        return "cut short by the capture";
    switch (packet->err) {
    case 0:
        return packet->message.header.flags & MESH_FLAG_AES && !mesh_aes_is_available() ? "sealed with AES, which needs libgcrypt"
                                                                                        : "sealed";
    case MESH_ETRUNCATED:
        return packet->state == PACKET_FOREIGN ? "too short for a header" : "not of its type's size";
    case MESH_ERANGE:
        return "a field is out of range";
    default:
        return "not of this protocol";
    }
}

const struct mesh_wire_part *packet_type(const struct packet *packet)
{
    return packet->state == PACKET_FOREIGN ? NULL : mesh_wire_message(packet->message.header.type);
}

bool packet_part(const struct packet *packet, unsigned index, struct packet_part *out)
{
    const struct mesh_message *message = &packet->message;
    const struct mesh_wire_part *type = packet_type(packet);
    size_t fixed;

    if (type == NULL)
        return false;
    fixed = (size_t)MESH_HEADER_BYTES + type->wire_bytes;
    if (index == 0) {
        *out = (struct packet_part){&mesh_wire_header, &message->header, 0};
        return true;
    }
    if (packet->state != PACKET_DECODED)
        return false;
    if (index == 1) {
        *out = (struct packet_part){type, &message->as, MESH_HEADER_BYTES};
        return true;
    }
    index -= 2;
    if (type->tail == MESH_TAIL_RANGES && index < message->as.nak.range_count) {
        *out = (struct packet_part){&mesh_wire_range, &message->ranges[index], fixed + index * sizeof(struct mesh_range_bytes)};
        return true;
    }
    if (type->tail == MESH_TAIL_MEMBERS && index < message->as.plan.member_count) {
        *out = (struct packet_part){&mesh_wire_member, &message->members[index], fixed + index * sizeof(struct mesh_member_bytes)};
        return true;
    }
    return false;
}
