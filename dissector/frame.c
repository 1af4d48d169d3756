#include "frame.h"

#include <arpa/inet.h>
#include <string.h>

#include "cursor.h"

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IPV6 = 0x86dd, TYPE_VLAN = 0x8100, TYPE_QINQ = 0x88a8, TYPE_QINQ_OLD = 0x9100 };
enum { FAMILY_INET = 2, FAMILY_INET6_BSD = 24, FAMILY_INET6_FREEBSD = 28, FAMILY_INET6_DARWIN = 30, FAMILY_INET6_LINUX = 10 };

static void frame_end(struct frame *frame, enum frame_kind kind, const char *note)
{
    frame->kind = kind;
    frame->note = note;
}

static bool is_vlan(uint16_t type)
{
    return type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_QINQ_OLD;
}

/* Tags in front of a network protocol; more than we keep are skipped. */
static uint16_t skip_vlans(struct frame *frame, struct cursor *c, uint16_t type)
{
    while (is_vlan(type) && !cursor_failed(c)) {
        const uint16_t tag = cursor_be16(c);

        if (frame->vlan_count < FRAME_VLANS_MAX)
            frame->vlans[frame->vlan_count++] = tag & 0xfff;
        type = cursor_be16(c);
    }
    return type;
}

/* ---- links: each returns the type of what follows, as Ethernet numbers it ---- */

static uint16_t parse_ethernet(struct frame *frame, struct cursor *c)
{
    const uint8_t *macs = cursor_take(c, sizeof frame->destination_mac + sizeof frame->source_mac);

    if (macs) {
        memcpy(frame->destination_mac, macs, FRAME_MAC_BYTES);
        memcpy(frame->source_mac, macs + FRAME_MAC_BYTES, FRAME_MAC_BYTES);
        frame->has_macs = true;
    }
    return skip_vlans(frame, c, cursor_be16(c));
}

/* Linux cooked: what is 0 to 3 came to the host that captured it, or to another one on the same link. */
static enum frame_way way_of(unsigned packet_type)
{
    enum { PACKET_OTHERHOST = 3, PACKET_OUTGOING = 4 };

    return packet_type <= PACKET_OTHERHOST ? FRAME_WAY_IN : packet_type == PACKET_OUTGOING ? FRAME_WAY_OUT : FRAME_WAY_UNKNOWN;
}

/* Linux cooked: packet type, ARPHRD, length of the address and 8 bytes of it, protocol. */
static uint16_t parse_sll(struct frame *frame, struct cursor *c)
{
    frame->way = way_of(cursor_be16(c));
    cursor_take(c, 12);
    return skip_vlans(frame, c, cursor_be16(c));
}

/* Its second version begins with the protocol: reserved, interface, ARPHRD, packet type, length and address follow. */
static uint16_t parse_sll2(struct frame *frame, struct cursor *c)
{
    const uint16_t type = cursor_be16(c);

    cursor_take(c, 8);
    frame->way = way_of(cursor_u8(c));
    cursor_take(c, 9);
    return skip_vlans(frame, c, type);
}

/* BSD loopback: the address family in the byte order of the capturing host (DLT_LOOP: in network order). */
static uint16_t parse_null(struct cursor *c)
{
    const uint32_t value = cursor_be32(c);
    const uint32_t family = value > 0xffff ? __builtin_bswap32(value) : value;

    switch (family) {
    case FAMILY_INET:
        return TYPE_IPV4;
    case FAMILY_INET6_LINUX:
    case FAMILY_INET6_BSD:
    case FAMILY_INET6_FREEBSD:
    case FAMILY_INET6_DARWIN:
        return TYPE_IPV6;
    default:
        return 0;
    }
}

static uint16_t type_of_ip(const struct cursor *c)
{
    if (c->left == 0)
        return TYPE_IPV4; /* its parser will find it short */
    return c->at[0] >> 4 == 6 ? TYPE_IPV6 : TYPE_IPV4;
}

static uint16_t parse_link(struct frame *frame, enum frame_link link, struct cursor *c)
{
    switch (link) {
    case FRAME_ETHERNET:
        return parse_ethernet(frame, c);
    case FRAME_SLL:
        return parse_sll(frame, c);
    case FRAME_SLL2:
        return parse_sll2(frame, c);
    case FRAME_NULL:
        return parse_null(c);
    default:
        return type_of_ip(c);
    }
}

/* ---- transport ---- */

enum { EXTENSION_HOP = 0, EXTENSION_ROUTING = 43, EXTENSION_FRAGMENT = 44, EXTENSION_AUTH = 51, EXTENSION_DESTINATION = 60 };

/* Skip one IPv6 extension header; false when there is none, or the walk ends here: a fragment's content begins with its next headers or in
 * the middle of something. */
static bool skip_extension(struct frame *frame, struct cursor *c)
{
    uint8_t next, length;

    switch (frame->protocol) {
    case EXTENSION_FRAGMENT:
        next = cursor_u8(c);
        cursor_u8(c);
        frame->fragment_offset = cursor_be16(c);
        frame->has_more_fragments = frame->fragment_offset & 1;
        frame->fragment_offset &= ~7u;
        frame->fragment_id = cursor_be32(c);
        frame->protocol = next;
        return !cursor_failed(c) && frame->fragment_offset == 0 && !frame->has_more_fragments;
    case EXTENSION_HOP:
    case EXTENSION_ROUTING:
    case EXTENSION_DESTINATION:
    case EXTENSION_AUTH:
        next = cursor_u8(c);
        length = cursor_u8(c);
        cursor_take(c, (frame->protocol == EXTENSION_AUTH ? (size_t)length * 4 + 8 : (size_t)length * 8 + 8) - 2);
        break;
    default:
        return false;
    }
    frame->protocol = next;
    return !cursor_failed(c);
}

static const char *protocol_name(uint8_t protocol)
{
    switch (protocol) {
    case 1:
        return "ICMP";
    case 2:
        return "IGMP";
    case 6:
        return "TCP";
    case 58:
        return "ICMPv6";
    default:
        return "no UDP";
    }
}

static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += 2)
        sum += (uint32_t)bytes[at] << 8 | bytes[at + 1];
    return sum;
}

/* The mapped prefix of IPv4 adds 0xffff, which is 0 in this sum. */
static enum frame_checksum checksum_of(const struct frame *frame, uint16_t length, uint16_t checksum)
{
    uint32_t sum = FRAME_PROTOCOL_UDP + (uint32_t)length;

    if (checksum == 0)
        return FRAME_CHECKSUM_NONE;
    sum = add_words(sum, frame->src.ip, sizeof frame->src.ip);
    sum = add_words(sum, frame->dst.ip, sizeof frame->dst.ip);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == checksum ? FRAME_CHECKSUM_UNFINISHED : FRAME_CHECKSUM_FINISHED;
}

void frame_parse_transport(struct frame *frame, const uint8_t *bytes, size_t captured, size_t size)
{
    struct cursor c = cursor_over(bytes, captured < size ? captured : size);
    const size_t before = c.left;
    uint16_t checksum;
    size_t length;

    while (frame->is_v6 && frame->protocol != EXTENSION_FRAGMENT && skip_extension(frame, &c)) /* of reassembled fragments */
        ;
    if (cursor_failed(&c)) {
        frame_end(frame, FRAME_SHORT, "IPv6 extension header");
        return;
    }
    size -= before - c.left;
    frame->payload = c.at;
    frame->captured = c.left;
    frame->size = size;
    if (frame->protocol != FRAME_PROTOCOL_UDP) {
        frame_end(frame, FRAME_FOREIGN, protocol_name(frame->protocol));
        return;
    }
    frame->src.port = cursor_be16(&c);
    frame->dst.port = cursor_be16(&c);
    length = cursor_be16(&c);
    checksum = cursor_be16(&c);
    if (cursor_failed(&c)) {
        frame_end(frame, FRAME_SHORT, "UDP header");
        return;
    }
    frame->checksum = checksum_of(frame, (uint16_t)length, checksum);
    if (length == 0) /* of a frame still to be segmented, too long for the field */
        length = size;
    if (length < 8 || length > size) {
        frame_end(frame, FRAME_BAD, "length of UDP");
        return;
    }
    frame->payload = c.at;
    frame->size = length - 8;
    frame->captured = c.left < frame->size ? c.left : frame->size;
    frame_end(frame, FRAME_UDP, NULL);
}

/* ---- IP ---- */

/* Parse what follows the headers: a fragment, or a whole datagram's payload. */
static void parse_payload(struct frame *frame, const struct cursor *c, size_t size)
{
    if (frame->fragment_offset == 0 && !frame->has_more_fragments) {
        frame_parse_transport(frame, c->at, c->left, size);
        return;
    }
    frame->payload = c->at;
    frame->captured = c->left < size ? c->left : size;
    frame->size = size;
    frame_end(frame, FRAME_FRAGMENT, "fragment");
}

static void parse_ipv4(struct frame *frame, struct cursor *c, size_t size)
{
    const uint8_t *header = cursor_take(c, 20);
    size_t header_bytes, total;

    if (!header) {
        frame_end(frame, FRAME_SHORT, "IPv4 header");
        return;
    }
    header_bytes = (size_t)(header[0] & 15) * 4;
    total = (size_t)header[2] << 8 | header[3];
    if (total == 0)
        total = size; /* still to be segmented */
    if (header[0] >> 4 != 4 || header_bytes < 20 || total < header_bytes || total > size) {
        frame_end(frame, FRAME_BAD, "IPv4 header");
        return;
    }
    memset(frame->src.ip + 10, 0xff, 2);
    memset(frame->dst.ip + 10, 0xff, 2);
    memcpy(frame->src.ip + 12, header + 12, 4);
    memcpy(frame->dst.ip + 12, header + 16, 4);
    frame->has_addresses = true;
    frame->hops = header[8];
    frame->protocol = header[9];
    frame->fragment_id = (uint32_t)header[4] << 8 | header[5];
    frame->fragment_offset = ((uint32_t)(header[6] & 31) << 8 | header[7]) * 8;
    frame->has_more_fragments = header[6] >> 5 & 1;
    if (cursor_take(c, header_bytes - 20) == NULL) {
        frame_end(frame, FRAME_SHORT, "IPv4 options");
        return;
    }
    if (c->left > total - header_bytes)
        c->left = total - header_bytes; /* without padding of the link */
    parse_payload(frame, c, total - header_bytes);
}

static void parse_ipv6(struct frame *frame, struct cursor *c, size_t size)
{
    const uint8_t *header = cursor_take(c, 40);
    size_t rest, before;

    if (!header) {
        frame_end(frame, FRAME_SHORT, "IPv6 header");
        return;
    }
    rest = (size_t)header[4] << 8 | header[5];
    if (rest == 0)
        rest = size - 40;
    if (header[0] >> 4 != 6 || rest > size - 40) {
        frame_end(frame, FRAME_BAD, "IPv6 header");
        return;
    }
    frame->protocol = header[6];
    frame->hops = header[7];
    memcpy(frame->src.ip, header + 8, 16);
    memcpy(frame->dst.ip, header + 24, 16);
    frame->has_addresses = frame->is_v6 = true;
    if (c->left > rest)
        c->left = rest;
    before = c->left;
    while (skip_extension(frame, c))
        ;
    if (cursor_failed(c)) {
        frame_end(frame, before < rest ? FRAME_SHORT : FRAME_BAD, "IPv6 extension header");
        return;
    }
    parse_payload(frame, c, rest - (before - c->left));
}

/* IP of either version. */
static void parse_ip(struct frame *frame, const uint8_t *bytes, size_t captured, size_t size)
{
    struct cursor c = cursor_over(bytes, captured < size ? captured : size);

    if (type_of_ip(&c) == TYPE_IPV6)
        parse_ipv6(frame, &c, size);
    else
        parse_ipv4(frame, &c, size);
}

void frame_parse(struct frame *frame, enum frame_link link, const uint8_t *bytes, size_t captured, size_t size)
{
    struct cursor c = cursor_over(bytes, captured < size ? captured : size);
    size_t before;

    memset(frame, 0, sizeof *frame);
    before = c.left;
    frame->ethertype = parse_link(frame, link, &c);
    if (cursor_failed(&c)) {
        frame_end(frame, FRAME_SHORT, "link header");
        return;
    }
    if (frame->ethertype == TYPE_IPV4 || frame->ethertype == TYPE_IPV6)
        parse_ip(frame, c.at, c.left, size - (before - c.left));
    else
        frame_end(frame, FRAME_FOREIGN, frame->ethertype == TYPE_ARP ? "ARP" : "no IP");
}

/* ---- text ---- */

static char *put_decimal(char *out, unsigned value)
{
    char digits[10];
    unsigned count = 0;

    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

size_t frame_address_text(const struct frame_address *address, bool is_v6, bool has_port, char out[FRAME_ADDRESS_TEXT_BYTES])
{
    char *at = out;

    if (is_v6) {
        inet_ntop(AF_INET6, address->ip, out, INET6_ADDRSTRLEN);
        at += strlen(out);
    } else {
        for (unsigned i = 0; i < 4; i++) {
            at = put_decimal(at, address->ip[12 + i]);
            *at++ = '.';
        }
        at--;
    }
    if (has_port) {
        *at++ = '.';
        at = put_decimal(at, address->port);
    }
    *at = '\0';
    return (size_t)(at - out);
}
