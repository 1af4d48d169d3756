/* Datagrams as a pcap file: raw IP, nanoseconds. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "mesh/wire.h"
#include "rows.h"

enum {
    PCAP_LINK_RAW = 101,
    PCAP_SNAPLEN = 262144,
    IP4_BYTES = 20,
    IP6_BYTES = 40,
    UDP_BYTES = 8,
    PROTOCOL_UDP = 17,
    PCAP_PORT = 7411, /* if none is known */
    PCAP_RANKS = 64
};
#define PCAP_MAGIC_NS 0xa1b23c4du

struct address {
    uint8_t ip[16];
    uint16_t port;
    bool is_known;
};

struct pcap {
    FILE *out;
    const char *path;
    struct mesh_trace *trace;
    struct fail *fail;
    struct address own, ranks[PCAP_RANKS]; /* ranks: in this epoch */
    uint32_t epoch;                        /* 0: none yet */
    uint64_t shift_ns;                     /* from the trace's clock to the wall clock */
    uint64_t without_data;
    uint8_t frame[IP6_BYTES + UDP_BYTES + MESH_TRACE_DATAGRAM_BYTES_MAX];
};

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void set_address(struct address *address, struct mesh_trace_bytes ip, int64_t port)
{
    if (ip.size != sizeof address->ip)
        return;
    memcpy(address->ip, ip.bytes, sizeof address->ip);
    address->port = port > 0 && port <= UINT16_MAX ? (uint16_t)port : PCAP_PORT;
    address->is_known = true;
}

/* 192.0.2.0/24 is for documents. */
static struct address made_address(unsigned rank)
{
    return (struct address){.ip = {[10] = 255, [11] = 255, [12] = 192, [14] = 2, [15] = (uint8_t)(rank + 1)}, .port = PCAP_PORT};
}

static bool is_v4(const struct address *address)
{
    static const uint8_t mapped[12] = {[10] = 255, [11] = 255};

    return memcmp(address->ip, mapped, sizeof mapped) == 0;
}

static uint32_t sum16(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
    return sum;
}

static uint16_t checksum(uint32_t sum)
{
    while (sum > UINT16_MAX)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Put IP and UDP headers before the payload, where there is room for them; returns where the frame begins. UDP's checksum is 0, none, with
 * IPv4. */
static uint8_t *put_headers(struct pcap *pcap, const struct address *from, const struct address *to, size_t payload_bytes)
{
    uint8_t *udp = pcap->frame + IP6_BYTES, *ip;
    const size_t udp_bytes = UDP_BYTES + payload_bytes;
    uint16_t sum;

    put16(udp, from->port);
    put16(udp + 2, to->port);
    put16(udp + 4, udp_bytes);
    put16(udp + 6, 0);
    if (is_v4(from) && is_v4(to)) {
        ip = udp - IP4_BYTES;
        memset(ip, 0, IP4_BYTES);
        ip[0] = 0x45;
        put16(ip + 2, IP4_BYTES + udp_bytes);
        ip[8] = 64;
        ip[9] = PROTOCOL_UDP;
        memcpy(ip + 12, from->ip + 12, 4);
        memcpy(ip + 16, to->ip + 12, 4);
        put16(ip + 10, checksum(sum16(0, ip, IP4_BYTES)));
        return ip;
    }
    ip = udp - IP6_BYTES;
    memset(ip, 0, IP6_BYTES);
    ip[0] = 0x60;
    put16(ip + 4, udp_bytes);
    ip[6] = PROTOCOL_UDP;
    ip[7] = 64;
    memcpy(ip + 8, from->ip, 16);
    memcpy(ip + 24, to->ip, 16);
    sum = checksum(sum16(sum16((uint32_t)udp_bytes + PROTOCOL_UDP, ip + 8, 32), udp, udp_bytes));
    put16(udp + 6, sum != 0 ? sum : UINT16_MAX);
    return ip;
}

static void put_frame(struct pcap *pcap, int64_t t_ns, const struct address *from, const struct address *to, size_t payload_bytes)
{
    const uint8_t *start = put_headers(pcap, from, to, payload_bytes);
    const uint32_t size = (uint32_t)(pcap->frame + IP6_BYTES + UDP_BYTES + payload_bytes - start);
    const uint64_t at_ns = t_ns > 0 ? (uint64_t)t_ns + pcap->shift_ns : 0;
    const uint32_t record[4] = {(uint32_t)(at_ns / 1000000000u), (uint32_t)(at_ns % 1000000000u), size, size};

    fwrite(record, sizeof record, 1, pcap->out);
    fwrite(start, 1, size, pcap->out);
}

/* ---- addresses: those of other ranks are known from what the node received ---- */

static int note_rank(void *context, const struct mesh_trace_value *values)
{
    struct pcap *pcap = context;

    if (values[0].kind == MESH_TRACE_VALUE_INTEGER && values[0].integer >= 0 && values[0].integer < PCAP_RANKS)
        set_address(&pcap->ranks[values[0].integer], (struct mesh_trace_bytes){values[1].bytes, values[1].size}, values[2].integer);
    return 0;
}

static int note_own(void *context, const struct mesh_trace_value *values)
{
    struct pcap *pcap = context;
    const unsigned rank = values[0].integer >= 0 && values[0].integer < PCAP_RANKS ? (unsigned)values[0].integer : 0;

    pcap->own = made_address(rank);
    if (values[2].integer > 0 && values[2].integer <= UINT16_MAX)
        pcap->own.port = (uint16_t)values[2].integer;
    set_address(&pcap->own, (struct mesh_trace_bytes){values[1].bytes, values[1].size}, values[2].integer);
    return 0;
}

/* A node of a cluster has no rank when its recording begins: take that of its first epoch. */
static int find_own(struct pcap *pcap)
{
    pcap->own = made_address(0);
    return rows_each(
        pcap->path, pcap->trace,
        "SELECT coalesce(rank, (SELECT e.rank FROM epochs e WHERE e.node = n.id AND e.rank IS NOT NULL ORDER BY e.id LIMIT 1), "
        "0), ip, port FROM nodes n WHERE id = 1",
        note_own, pcap, pcap->fail);
}

/* The addresses of an epoch's ranks, which may differ from those of another epoch. */
static int find_ranks(struct pcap *pcap, uint32_t epoch)
{
    char sql[200];

    if (epoch == pcap->epoch)
        return 0;
    pcap->epoch = epoch;
    for (unsigned rank = 0; rank < PCAP_RANKS; rank++)
        pcap->ranks[rank] = made_address(rank);
    snprintf(sql, sizeof sql,
             "SELECT src, from_ip, from_port FROM datagrams WHERE direction = 2 AND core = 1 AND epoch = %" PRIu32
             " AND from_ip IS NOT NULL GROUP BY src",
             epoch);
    return rows_each(pcap->path, pcap->trace, sql, note_rank, pcap, pcap->fail);
}

/* ---- datagrams ---- */

static int put_datagram(struct pcap *pcap, const struct mesh_trace_datagram *row)
{
    struct address from = pcap->own, to = pcap->own;
    struct mesh_header header = {0};
    size_t payload_bytes = 0; /* set on success, which a compiler that looks into libmesh (LTO) does not see */
    bool is_complete = false;
    int result;
    const int err = mesh_trace_get_packet(pcap->trace, row, pcap->frame + IP6_BYTES + UDP_BYTES, &payload_bytes, &is_complete);

    if (err != 0)
        return trace_failed(pcap->path, pcap->trace, err, pcap->fail);
    pcap->without_data += !is_complete;
    if (payload_bytes > UINT16_MAX - IP4_BYTES - UDP_BYTES)
        payload_bytes = UINT16_MAX - IP4_BYTES - UDP_BYTES;
    set_address(&from, row->from_ip, row->from_port);
    set_address(&to, row->to_ip, row->to_port);
    if (row->direction != MESH_TRACE_SENT || row->ranks == MESH_TRACE_NULL) {
        put_frame(pcap, row->t_ns, &from, &to, payload_bytes);
        return 0;
    }
    mesh_wire_decode_header(pcap->frame + IP6_BYTES + UDP_BYTES, payload_bytes, &header);
    result = find_ranks(pcap, header.epoch);
    for (unsigned rank = 0; result == 0 && rank < PCAP_RANKS; rank++)
        if (((uint64_t)row->ranks >> rank & 1) != 0)
            put_frame(pcap, row->t_ns, &from, &pcap->ranks[rank], payload_bytes);
    return result;
}

/* ---- the order of time: a node's rows are in the order in which its cores' calls were stored, some at a time ---- */

enum { STREAMS = 4 }; /* a core each: 0 to 3 */

struct stream {
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_datagram row;
    int64_t core; /* MESH_TRACE_NULL: all */
    int got;      /* 1: row is the next one; 0: there is none; else an error */
};

static void next_row(struct stream *stream)
{
    do
        stream->got = mesh_trace_next(stream->cursor, &stream->row);
    while (stream->got == 1 && stream->core != MESH_TRACE_NULL && stream->row.core != stream->core);
}

static struct stream *earliest(struct stream *streams, unsigned count)
{
    struct stream *found = NULL;

    for (unsigned i = 0; i < count; i++) {
        if (streams[i].got < 0)
            return &streams[i];
        if (streams[i].got == 1 && (found == NULL || streams[i].row.t_ns < found->row.t_ns))
            found = &streams[i];
    }
    return found;
}

static int put_streams(struct pcap *pcap, struct stream *streams, unsigned count)
{
    struct stream *stream;
    int result = 0;

    for (unsigned i = 0; i < count; i++)
        next_row(&streams[i]);
    while (result == 0 && (stream = earliest(streams, count)) != NULL) {
        if (stream->got < 0)
            return trace_failed(pcap->path, pcap->trace, stream->got, pcap->fail);
        result = put_datagram(pcap, &stream->row);
        next_row(stream);
    }
    return result;
}

/* What a capture has stays in its order, which may say something. */
static int put_trace(struct pcap *pcap)
{
    struct stream streams[STREAMS] = {{0}};
    char source[8] = "";
    const bool is_node = mesh_trace_get_meta(pcap->trace, "source", source, sizeof source) == 0 && strcmp(source, "node") == 0;
    const unsigned count = is_node ? STREAMS : 1;
    int result = find_own(pcap), err = 0;

    for (unsigned i = 0; result == 0 && err == 0 && i < count; i++) {
        streams[i].core = is_node ? (int64_t)i : MESH_TRACE_NULL;
        err = mesh_trace_read(pcap->trace, MESH_TRACE_TABLE_DATAGRAM, 0, &streams[i].cursor);
    }
    if (err != 0)
        result = trace_failed(pcap->path, pcap->trace, err, pcap->fail);
    if (result == 0)
        result = put_streams(pcap, streams, count);
    for (unsigned i = 0; i < count; i++)
        mesh_trace_end(streams[i].cursor);
    return result;
}

int export_pcap(const struct export_traces *traces, FILE *out, uint64_t *without_data, struct fail *fail)
{
    static struct pcap pcap;
    const struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link;
    } header = {PCAP_MAGIC_NS, 2, 4, 0, 0, PCAP_SNAPLEN, PCAP_LINK_RAW};
    int result;

    fwrite(&header, sizeof header, 1, out);
    pcap = (struct pcap){.out = out, .path = traces->paths[0], .trace = traces->traces[0], .fail = fail};
    pcap.shift_ns = (uint64_t)trace_to_unix_ns(pcap.trace);
    result = put_trace(&pcap);
    *without_data = pcap.without_data;
    if (result == 0 && ferror(out))
        return fail_output(fail, "--pcap");
    return result;
}
