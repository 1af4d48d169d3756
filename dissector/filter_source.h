/* Fields of display filters that are not in the wire schema, declared once.
 *
 * S(id, name, kind, size, meaning) */
#ifndef DISSECTOR_FILTER_SOURCE_H
#define DISSECTOR_FILTER_SOURCE_H

/* clang-format off */
#define FILTER_SOURCES(S) \
    S(LOST,          "lost",                FLAG,   0, "its receiver did not get it; known after the whole capture was read") \
    S(SPURIOUS,      "spurious",            FLAG,   0, "a spurious resend: its data had arrived; known after the whole capture was read") \
    S(GAP,           "gap",                 NUMBER, 0, "count of numbers missing before it") \
    S(DUPLICATE,     "duplicate",           FLAG,   0, "its number was seen before") \
    S(REORDERED,     "reordered",           FLAG,   0, "its number was missing for at most 50 microseconds") \
    S(LATE,          "late",                FLAG,   0, "its number was missing for longer") \
    S(RESENT,        "resent",              FLAG,   0, "resent after a NAK (flag 2)") \
    S(COPY,          "copy",                FLAG,   0, "a copy of a tile, in case one is lost (flag 16)") \
    S(TO_ALL,        "to_all",              FLAG,   0, "of the space to everybody (flag 1)") \
    S(SEALED,        "sealed",              FLAG,   0, "encrypted (flag 8)") \
    S(STATE,         "state",               NUMBER, 0, "decoded, header or foreign") \
    S(SEAL,          "seal",                NUMBER, 0, "plain, locked, opened or forged") \
    S(TROUBLE,       "trouble",             TEXT,   0, "why it was not decoded completely") \
    S(LENGTH,        "length",              NUMBER, 0, "bytes of the datagram") \
    S(DATA,          "data",                BYTES,  0, "of TILE, RECORD and REPORT, after their fields") \
    S(DATA_BYTES,    "data_bytes",          NUMBER, 0, "of these") \
    S(TIME,          "frame.time",          TIME,   0, "when it was captured: seconds since 1970, or \"2026-01-31 23:59:59\"") \
    S(RELATIVE,      "frame.time_relative", SPAN,   0, "seconds since the first frame") \
    S(DELTA,         "frame.time_delta",    SPAN,   0, "seconds since the frame before") \
    S(FRAME,         "frame.number",        NUMBER, 0, "of the frame in the capture, from 1") \
    S(FRAME_LENGTH,  "frame.len",           NUMBER, 0, "bytes of the frame") \
    S(FRAME_CAPTURED, "frame.cap_len",      NUMBER, 0, "those that were captured") \
    S(FRAME_NOTE,    "frame.note",          TEXT,   0, "what a frame without a datagram is") \
    S(ETH_SRC,       "eth.src",             BYTES,  6, "of the link") \
    S(ETH_DST,       "eth.dst",             BYTES,  6, "of the link") \
    S(ETH_ADDR,      "eth.addr",            BYTES,  6, "either") \
    S(VLAN,          "vlan.id",             NUMBER, 0, "of each tag") \
    S(IP_SRC,        "ip.src",              IPV4,   0, "sender") \
    S(IP_DST,        "ip.dst",              IPV4,   0, "receiver") \
    S(IP_ADDR,       "ip.addr",             IPV4,   0, "either") \
    S(IP_TTL,        "ip.ttl",              NUMBER, 0, "hops left") \
    S(IPV6_SRC,      "ipv6.src",            IPV6,   0, "sender") \
    S(IPV6_DST,      "ipv6.dst",            IPV6,   0, "receiver") \
    S(IPV6_ADDR,     "ipv6.addr",           IPV6,   0, "either") \
    S(IPV6_HOPS,     "ipv6.hlim",           NUMBER, 0, "hops left") \
    S(UDP_SRC,       "udp.srcport",         NUMBER, 0, "of the sender") \
    S(UDP_DST,       "udp.dstport",         NUMBER, 0, "of the receiver") \
    S(UDP_PORT,      "udp.port",            NUMBER, 0, "either")
/* clang-format on */

#define FILTER_SOURCE_ID(id, name, kind, size, meaning) FILTER_SOURCE_##id,
enum filter_source { FILTER_SOURCES(FILTER_SOURCE_ID) FILTER_SOURCE_COUNT };

#endif
