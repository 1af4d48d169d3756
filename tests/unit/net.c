#include "net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PACKET_BYTES_MAX = 65535, BLOCK_BYTES = 36, LAST_BLOCK_BYTES = 20 };

struct mesh_addr net_addr(uint16_t rank)
{
    struct mesh_addr addr = {.port = rank};

    return addr;
}

struct net *net_new(uint16_t count)
{
    struct net *net = calloc(1, sizeof *net);

    assert(count <= NET_RANKS_MAX);
    net->count = count;
    net->delay_ns = 100 * NET_US;
    net->now_ns = 1000 * NET_US;
    for (uint16_t rank = 0; rank < count; rank++) {
        net->config[rank] = (struct mesh_config){.rank = rank,
                                                 .rank_count = count,
                                                 .epoch = 7,
                                                 .phase_count = 5,
                                                 .tokens_max = 64,
                                                 .blocks_max = 300,
                                                 .datagram_bytes_max = 1452,
                                                 .receive_buffer_bytes = 425984};
        memset(net->config[rank].fingerprint, 0xf1, 32);
        memset(net->config[rank].configuration, 0xc0, 32);
        memset(net->config[rank].incarnation, rank + 1, 16);
    }
    return net;
}

static void start_rank(struct net *net, uint16_t rank)
{
    size_t bytes = mesh_memory_bytes(&net->config[rank]);
    int err;

    net->memory[rank] = aligned_alloc(64, bytes);
    err = mesh_init(&net->mesh[rank], &net->config[rank], net->memory[rank], bytes, net->now_ns);
    assert(!err);
    if (net->group_bytes)
        mesh_set_group(net->mesh[rank], net->group_bytes);
    for (uint16_t peer = 0; peer < net->count; peer++) {
        mesh_set_path(net->mesh[rank], peer, net->path_bytes);
        mesh_set_peer(net->mesh[rank], peer, net_addr(peer));
    }
}

void net_start(struct net *net)
{
    for (uint16_t rank = 0; rank < net->count; rank++)
        start_rank(net, rank);
}

void net_restart(struct net *net, uint16_t rank)
{
    free(net->memory[rank]);
    start_rank(net, rank);
}

void net_free(struct net *net)
{
    for (uint16_t rank = 0; rank < net->count; rank++)
        free(net->memory[rank]);
    for (unsigned i = 0; i < net->flight_count; i++)
        free(net->flights[i].packet);
    free(net);
}

static void fly(struct net *net, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, uint64_t at_ns)
{
    unsigned i = net->flight_count;

    assert(net->flight_count < NET_FLIGHTS_MAX);
    for (; i > 0 && net->flights[i - 1].at_ns > at_ns; i--)
        net->flights[i] = net->flights[i - 1];
    net->flights[i] = (struct net_flight){at_ns, from, to, bytes, malloc(bytes)};
    memcpy(net->flights[i].packet, packet, bytes);
    net->flight_count++;
}

static void put(struct net *net, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes)
{
    struct mesh_message message;
    unsigned copies = 1;
    int err = mesh_wire_decode_header(packet, bytes, &message.header);

    assert(!err);
    err = mesh_wire_decode_body(packet, bytes, &message);
    assert(!err);
    net->sent[from][message.header.type]++;
    if (net->drop && net->drop(net, from, to, &message, bytes))
        return;
    if (net->copies)
        copies += net->copies(net, from, to);
    while (copies--)
        fly(net, from, to, packet, bytes, net->now_ns + net->delay_ns + (net->delay ? net->delay(net, from, to, &message) : 0));
}

static void drain_events(struct net *net, uint16_t rank)
{
    struct mesh_event event;

    while (mesh_next_event(net->mesh[rank], &event)) {
        net->events[rank][event.type]++;
        if (event.type == MESH_EVENT_REFUSED)
            memcpy(net->reason[rank], event.reason, MESH_REASON_BYTES);
        if (net->on_event)
            net->on_event(net, rank, &event);
    }
}

/* As a driver does: one datagram to the group, and one to each other receiver. */
static void send(struct net *net, uint16_t rank, const uint8_t *packet, const struct mesh_output *output)
{
    const bool is_tile = packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_TILE;

    net->group_sends += output->group != 0;
    net->tile_sends[rank] += is_tile && output->group;
    for (uint16_t to = 0; to < net->count; to++) {
        if (!(output->ranks >> to & 1))
            continue;
        net->tile_sends[rank] += is_tile && !(output->group >> to & 1);
        if (!(output->group & net->deaf & UINT64_C(1) << to))
            put(net, rank, to, packet, output->bytes);
    }
}

static void flush_rank(struct net *net, uint16_t rank)
{
    static uint8_t packet[PACKET_BYTES_MAX];
    struct mesh_output output;

    drain_events(net, rank);
    while (mesh_next_datagram(net->mesh[rank], net->now_ns, packet, sizeof packet, &output)) {
        send(net, rank, packet, &output);
        drain_events(net, rank);
    }
}

void net_flush(struct net *net)
{
    for (uint16_t rank = 0; rank < net->count; rank++)
        flush_rank(net, rank);
}

static void deliver_first(struct net *net)
{
    struct net_flight flight = net->flights[0];
    uint32_t hash = mesh_state_hash(net->mesh[flight.to]);
    int err;

    net->flight_count--;
    memmove(net->flights, net->flights + 1, net->flight_count * sizeof flight);
    err = mesh_receive(net->mesh[flight.to], net->now_ns, net_addr(flight.from), flight.packet, flight.bytes);
    if (err) {
        net->last_error = err;
        assert(err == MESH_EREFUSED || err == MESH_EVERSION || err == MESH_EEPOCH || hash == mesh_state_hash(net->mesh[flight.to]));
    }
    free(flight.packet);
    flush_rank(net, flight.to);
}

static uint64_t next_time(const struct net *net)
{
    uint64_t next_ns = net->flight_count ? net->flights[0].at_ns : UINT64_MAX;

    for (uint16_t rank = 0; rank < net->count; rank++)
        if (mesh_timeout(net->mesh[rank]) < next_ns)
            next_ns = mesh_timeout(net->mesh[rank]);
    return next_ns > net->now_ns ? next_ns : net->now_ns;
}

void net_run(struct net *net, uint64_t span_ns)
{
    uint64_t end_ns = net->now_ns + span_ns;

    net_flush(net);
    while (next_time(net) <= end_ns) {
        net->now_ns = next_time(net);
        while (net->flight_count && net->flights[0].at_ns <= net->now_ns)
            deliver_first(net);
        for (uint16_t rank = 0; rank < net->count; rank++)
            mesh_tick(net->mesh[rank], net->now_ns);
        net_flush(net);
    }
    net->now_ns = end_ns;
}

void net_up(struct net *net)
{
    net_start(net);
    net_run(net, 50 * (uint64_t)NET_MS);
    for (uint16_t rank = 0; rank < net->count; rank++)
        assert(net->events[rank][MESH_EVENT_UP] == net->count - 1u);
    memset(net->sent, 0, sizeof net->sent);
    memset(net->events, 0, sizeof net->events);
}

static uint8_t byte_at(uint64_t step, uint16_t phase, unsigned token, size_t offset)
{
    return (uint8_t)(step * 101 + phase * 37u + token * 13 + offset * 7 + offset / 251);
}

static size_t row_bytes(const struct mesh_gather *gather)
{
    return (gather->block_count - 1u) * gather->block_bytes + gather->last_block_bytes;
}

void net_gather_fill(struct net *net, struct net_gather *gather, uint16_t rank)
{
    const struct mesh_gather *own = &gather->gather[rank];
    size_t begin = (size_t)gather->first[rank] * BLOCK_BYTES, end = (size_t)gather->first[rank + 1] * BLOCK_BYTES;

    (void)net;
    memset(own->data, 0, gather->data_bytes);
    for (unsigned token = 0; token < own->token_count; token++)
        for (size_t at = begin; at < end && at < row_bytes(own); at++)
            own->data[token * own->token_stride + at] = byte_at(own->step, own->phase, token, at);
}

void net_gather_init(struct net *net, struct net_gather *gather, uint64_t step, uint16_t phase, uint16_t tokens, uint16_t blocks)
{
    memset(gather, 0, sizeof *gather);
    for (uint16_t rank = 0; rank <= net->count; rank++)
        gather->first[rank] = (uint16_t)(blocks * rank / net->count);
    gather->data_bytes = (size_t)tokens * blocks * BLOCK_BYTES;
    for (uint16_t rank = 0; rank < net->count; rank++) {
        gather->data[rank] = malloc(gather->data_bytes);
        gather->gather[rank] = (struct mesh_gather){.step = step,
                                                    .phase = phase,
                                                    .token_count = tokens,
                                                    .block_count = blocks,
                                                    .block_bytes = BLOCK_BYTES,
                                                    .last_block_bytes = LAST_BLOCK_BYTES,
                                                    .data = gather->data[rank],
                                                    .token_stride = (size_t)blocks * BLOCK_BYTES,
                                                    .first = gather->first,
                                                    .readers = (UINT64_C(1) << net->count) - 1};
        net_gather_fill(net, gather, rank);
    }
}

void net_gather_release(struct net *net, struct net_gather *gather)
{
    for (uint16_t rank = 0; rank < net->count; rank++)
        free(gather->data[rank]);
}

int net_gather_open(struct net *net, struct net_gather *gather, uint16_t rank)
{
    return mesh_open_gather(net->mesh[rank], net->now_ns, &gather->gather[rank]);
}

int net_gather_publish(struct net *net, struct net_gather *gather, uint16_t rank)
{
    const struct mesh_gather *own = &gather->gather[rank];

    return mesh_publish(net->mesh[rank], net->now_ns, own->step, own->phase, 0, own->token_count, gather->first[rank],
                        (uint16_t)(gather->first[rank + 1] - gather->first[rank]));
}

bool net_gather_is_whole(struct net *net, const struct net_gather *gather, uint16_t rank)
{
    const struct mesh_gather *own = &gather->gather[rank];

    (void)net;
    for (unsigned token = 0; token < own->token_count; token++)
        for (size_t at = 0; at < row_bytes(own); at++)
            if (own->data[token * own->token_stride + at] != byte_at(own->step, own->phase, token, at))
                return false;
    return true;
}
