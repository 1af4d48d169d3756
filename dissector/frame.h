/* The layers below the protocol: what is around a datagram in a captured frame.
 *
 * Pure functions over bytes: any content, any length. Ethernet with stacked VLAN tags, Linux cooked v1 and v2, BSD loopback, raw IP; IPv4
 * with options, IPv6 with extension headers; UDP. Checksums are not verified: network cards fill them in after the capture. */
#ifndef DISSECTOR_FRAME_H
#define DISSECTOR_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum frame_link { FRAME_ETHERNET, FRAME_SLL, FRAME_SLL2, FRAME_NULL, FRAME_RAW, FRAME_LINKS };

enum { FRAME_VLANS_MAX = 4, FRAME_MAC_BYTES = 6, FRAME_PROTOCOL_UDP = 17 };

enum frame_kind {
    FRAME_UDP,      /* payload is that of a UDP datagram */
    FRAME_FRAGMENT, /* payload is a piece of an IP datagram's */
    FRAME_FOREIGN,  /* not for us: ARP, TCP, ... */
    FRAME_SHORT,    /* the capture ends within the headers (or the snapshot length does) */
    FRAME_BAD       /* lengths that contradict one another */
};

/* Which way a frame went on the host that captured it: only Linux cooked headers tell. */
enum frame_way { FRAME_WAY_UNKNOWN, FRAME_WAY_IN, FRAME_WAY_OUT };

/* UDP's checksum. Unfinished: it covers the pseudo-header alone, so a network card was to add the rest. */
enum frame_checksum { FRAME_CHECKSUM_NONE, FRAME_CHECKSUM_UNFINISHED, FRAME_CHECKSUM_FINISHED };

/* An address as people compare them: IPv4 is mapped into IPv6. */
struct frame_address {
    uint8_t ip[16];
    uint16_t port;
};

static inline bool frame_address_equals(const struct frame_address *a, const struct frame_address *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* Is it a multicast group? All hosts that have joined it get what is sent there. */
static inline bool frame_address_is_group(const struct frame_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(address->ip, mapped, sizeof mapped) == 0 ? (address->ip[12] & 0xf0) == 0xe0 : address->ip[0] == 0xff;
}

struct frame {
    enum frame_kind kind;
    const char *note; /* of all but FRAME_UDP: which protocol, or what is wrong; a constant */
    bool has_macs, has_addresses, is_v6;
    enum frame_way way;
    enum frame_checksum checksum;
    uint8_t vlan_count;
    uint8_t source_mac[FRAME_MAC_BYTES], destination_mac[FRAME_MAC_BYTES];
    uint16_t vlans[FRAME_VLANS_MAX]; /* (vlan_count) outermost first */
    uint16_t ethertype;              /* 0: the link has none */
    uint8_t protocol, hops;          /* of IP */
    struct frame_address src, dst;
    uint32_t fragment_id, fragment_offset; /* of FRAME_FRAGMENT; offset in bytes */
    bool has_more_fragments;
    const uint8_t *payload; /* borrowed from the frame */
    size_t captured, size;  /* of the payload: bytes captured, and bytes sent */
};

/* Take a frame apart. captured: bytes of the frame in the capture; size: bytes that were sent. */
void frame_parse(struct frame *frame, enum frame_link link, const uint8_t *bytes, size_t captured, size_t size);

/* Parse what an IP datagram carries once its fragments are reassembled; frame keeps its addresses. */
void frame_parse_transport(struct frame *frame, const uint8_t *bytes, size_t captured, size_t size);

/* "10.0.0.1.7411" or "::1.7411", as tcpdump writes it; without a port where there is none. */
enum { FRAME_ADDRESS_TEXT_BYTES = 64 };
size_t frame_address_text(const struct frame_address *address, bool is_v6, bool has_port, char out[FRAME_ADDRESS_TEXT_BYTES]);

#endif
