/* Captures made for tests: frames built layer by layer into a buffer that is a pcap file.
 *
 * Everything is fixed, so the same calls give the same bytes anywhere. */
#ifndef CAPTURE_CASE_H
#define CAPTURE_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/wire.h"

enum { CAPTURE_CASE_BYTES = 1 << 20, CAPTURE_CASE_FRAME_BYTES = 70000 };

struct capture_case {
    uint32_t snaplen; /* 0: frames are whole */
    uint64_t ts_ns;   /* of the next frame; each frame is 1 ms later */
    size_t size;
    uint8_t bytes[CAPTURE_CASE_BYTES];
};

/* A frame under construction, from the innermost layer outwards: each layer is put before those that are there. */
struct frame_case {
    size_t at;                               /* of the first byte of the frame */
    uint8_t bytes[CAPTURE_CASE_FRAME_BYTES]; /* the frame fills the end */
};

/* link: pcap's number, 1 is Ethernet. */
void capture_case_start(struct capture_case *capture, uint32_t link);
void capture_case_add(struct capture_case *capture, const struct frame_case *frame);

const uint8_t *frame_case_bytes(const struct frame_case *frame, size_t *size);
void frame_case_start(struct frame_case *frame, const void *payload, size_t size);
void frame_case_put(struct frame_case *frame, const void *bytes, size_t size); /* before the layers that are there */
void frame_case_udp(struct frame_case *frame, uint16_t src, uint16_t dst);     /* ports */
void frame_case_ipv4(struct frame_case *frame, uint8_t src, uint8_t dst, uint8_t protocol,
                     uint16_t fragment);                                                /* 10.0.0.src; flags, offset / 8 */
void frame_case_ipv6(struct frame_case *frame, uint8_t src, uint8_t dst, uint8_t next); /* fd00::src */
void frame_case_ethernet(struct frame_case *frame, uint16_t type);

/* A payload in UDP, IPv4 and Ethernet, from 10.0.0.src to 10.0.0.dst, appended to the capture. */
void capture_case_datagram(struct capture_case *capture, uint8_t src, uint8_t dst, const void *payload, size_t size);

/* Writes a message of this type, whose fields are in range and differ from one another; returns its size. */
size_t message_case(unsigned type, uint64_t number, uint8_t *packet, size_t capacity);

#endif
