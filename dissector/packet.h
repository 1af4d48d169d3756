/* One datagram of a capture, decoded as far as it can be. */
#ifndef DISSECTOR_PACKET_H
#define DISSECTOR_PACKET_H

#include "frame.h"
#include "keys.h"
#include "mesh/wire.h"

enum packet_state {
    PACKET_DECODED, /* message is whole */
    PACKET_HEADER,  /* message.header alone: sealed, cut short by the capture, of another version, or its body is wrong; see err and seal */
    PACKET_FOREIGN  /* not of the mesh */
};

/* Borrows from the capture's frame and from the decoder until the next one. */
struct packet {
    uint64_t frame_number, number; /* from 1: of the captured frame, and of the datagram */
    uint64_t ts_ns;                /* of the capture's clock, since 1970; of several captures, of the first one's */
    unsigned point;                /* of several captures: where this one was taken */
    const struct frame *frame;
    const uint8_t *link; /* the captured frame, as it is */
    size_t link_captured, link_size;
    const uint8_t *bytes;  /* of the datagram, opened where that was possible */
    size_t captured, size; /* bytes captured, and sent */
    enum packet_state state;
    enum keys_verdict seal;
    int err; /* of PACKET_HEADER and PACKET_FOREIGN: 0, or what the decoder says */
    struct mesh_message message;
};

struct decoder {
    struct keys *keys;              /* borrowed; NULL: nothing is opened */
    uint8_t opened[UINT16_MAX + 1]; /* the datagram at hand, in the clear */
};

/* Decode bytes[0..captured) of a datagram of `size` bytes into packet, whose other members the caller has set. */
void packet_decode(struct decoder *decoder, struct packet *packet, const uint8_t *bytes, size_t captured, size_t size);

/* Does it count in a number space? A receiver takes no number of a datagram that is malformed, forged, or of no epoch. */
bool packet_is_numbered(const struct packet *packet);

/* What keeps a datagram from being decoded whole, in words; NULL when it is. */
const char *packet_trouble(const struct packet *packet);

/* The message's type, or NULL. */
const struct mesh_wire_part *packet_type(const struct packet *packet);

/* One decoded part at a time, in wire order: header, message, and the ranges or members that follow. The index-th of them; false beyond the
 * last. decoded: what mesh_wire_get takes; offset: of the part within the datagram. */
struct packet_part {
    const struct mesh_wire_part *part;
    const void *decoded;
    size_t offset;
};
bool packet_part(const struct packet *packet, unsigned index, struct packet_part *out);

#endif
