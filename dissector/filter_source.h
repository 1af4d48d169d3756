/* Fields of display filters that are not in the wire schema, declared once.
 *
 * S(id, name, group, kind, size, meaning); the group says which function of filter_get.c gives its value. mesh/wire.h has the fields of the
 * schema, and the plugin for Wireshark has fields of its own (export_lua.c). */
#ifndef DISSECTOR_FILTER_SOURCE_H
#define DISSECTOR_FILTER_SOURCE_H

/* clang-format off */
#define FILTER_SOURCES(S) \
    S(LOST,            "lost",                 VERDICTS,  FLAG,   0, "its receiver did not get it; known after the whole capture was read") \
    S(SPURIOUS,        "spurious",             VERDICTS,  FLAG,   0, "a spurious resend: its data had arrived; known after the whole capture was read") \
    S(GAP,             "gap",                  NUMBERS,   NUMBER, 0, "count of numbers missing before it") \
    S(DUPLICATE,       "duplicate",            NUMBERS,   FLAG,   0, "its number was seen before") \
    S(REORDERED,       "reordered",            NUMBERS,   FLAG,   0, "its number was missing for at most 50 microseconds") \
    S(LATE,            "late",                 NUMBERS,   FLAG,   0, "its number was missing for longer") \
    S(RESENT,          "resent",               FLAGS,     FLAG,   0, "resent after a NAK (flag 2)") \
    S(COPY,            "copy",                 FLAGS,     FLAG,   0, "a copy of a tile, in case one is lost (flag 16)") \
    S(TO_ALL,          "to_all",               FLAGS,     FLAG,   0, "of the space to everybody (flag 1)") \
    S(SEALED,          "sealed",               FLAGS,     FLAG,   0, "encrypted (flag 8)") \
    S(STATE,           "state",                DATAGRAM,  NUMBER, 0, "decoded, header or foreign") \
    S(SEAL,            "seal",                 DATAGRAM,  NUMBER, 0, "plain, locked, opened or forged") \
    S(TROUBLE,         "trouble",              DATAGRAM,  TEXT,   0, "why it was not decoded completely") \
    S(LENGTH,          "length",               DATAGRAM,  NUMBER, 0, "bytes of the datagram") \
    S(DATA,            "data",                 DATAGRAM,  BYTES,  0, "of TILE, RECORD and REPORT, after their fields") \
    S(DATA_BYTES,      "data_bytes",           DATAGRAM,  NUMBER, 0, "of these") \
    S(TIME,            "frame.time",           TIME,      TIME,   0, "when it was captured: seconds since 1970, or \"2026-01-31 23:59:59\"") \
    S(RELATIVE,        "frame.time_relative",  TIME,      SPAN,   0, "seconds since the first frame") \
    S(DELTA,           "frame.time_delta",     TIME,      SPAN,   0, "seconds since the frame before") \
    S(FRAME,           "frame.number",         FRAME,     NUMBER, 0, "of the frame in the capture, from 1") \
    S(FRAME_LENGTH,    "frame.len",            FRAME,     NUMBER, 0, "bytes of the frame") \
    S(FRAME_CAPTURED,  "frame.cap_len",        FRAME,     NUMBER, 0, "those that were captured") \
    S(FRAME_NOTE,      "frame.note",           FRAME,     TEXT,   0, "what a frame without a datagram is") \
    S(ETH_SRC,         "eth.src",              MAC,       BYTES,  6, "of the link") \
    S(ETH_DST,         "eth.dst",              MAC,       BYTES,  6, "of the link") \
    S(ETH_ADDR,        "eth.addr",             MAC,       BYTES,  6, "either") \
    S(VLAN,            "vlan.id",              FRAME,     NUMBER, 0, "of each tag") \
    S(IP_SRC,          "ip.src",               ADDRESS,   IPV4,   0, "sender") \
    S(IP_DST,          "ip.dst",               ADDRESS,   IPV4,   0, "receiver") \
    S(IP_ADDR,         "ip.addr",              ADDRESS,   IPV4,   0, "either") \
    S(IP_TTL,          "ip.ttl",               FRAME,     NUMBER, 0, "hops left") \
    S(IPV6_SRC,        "ipv6.src",             ADDRESS,   IPV6,   0, "sender") \
    S(IPV6_DST,        "ipv6.dst",             ADDRESS,   IPV6,   0, "receiver") \
    S(IPV6_ADDR,       "ipv6.addr",            ADDRESS,   IPV6,   0, "either") \
    S(IPV6_HOPS,       "ipv6.hlim",            FRAME,     NUMBER, 0, "hops left") \
    S(UDP_SRC,         "udp.srcport",          PORT,      NUMBER, 0, "of the sender") \
    S(UDP_DST,         "udp.dstport",          PORT,      NUMBER, 0, "of the receiver") \
    S(UDP_PORT,        "udp.port",             PORT,      NUMBER, 0, "either")
/* clang-format on */

#define FILTER_SOURCE_ID(id, name, group, kind, size, meaning) FILTER_SOURCE_##id,
enum filter_source { FILTER_SOURCES(FILTER_SOURCE_ID) FILTER_SOURCE_COUNT };

enum filter_group {
    FILTER_OF_VERDICTS, /* of the analysis: known only after the whole capture was read */
    FILTER_OF_NUMBERS,  /* of what the numbers before it say */
    FILTER_OF_FLAGS,    /* of its header */
    FILTER_OF_DATAGRAM,
    FILTER_OF_TIME,
    FILTER_OF_FRAME, /* the one around it */
    FILTER_OF_MAC,
    FILTER_OF_ADDRESS,
    FILTER_OF_PORT
};

#endif
