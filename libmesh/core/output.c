/* Which datagram goes next, and its header and number.
 *
 * Small urgent answers first, then resends and records, then tiles, their copies, path probes last. No datagram waits for more to go with
 * it. */
#include "tap.h"

#include <assert.h>
#include <string.h>

static void fill_header(struct mesh *mesh, struct mesh_header *header)
{
    header->magic = MESH_WIRE_MAGIC;
    header->version = (uint8_t)mesh->config.version;
    header->src = mesh->config.rank;
    header->epoch = mesh->config.epoch;
    header->have_step = mesh->through ? (mesh->through - 1) / mesh->config.phase_count : MESH_STEP_NONE;
    header->have_phase = mesh->through ? (uint16_t)((mesh->through - 1) % mesh->config.phase_count) : 0;
    header->sent_ns = mesh->now_ns;
    memset(header->tag, 0, sizeof header->tag);
}

static void count(struct mesh_peer *peer, size_t bytes)
{
    peer->stats.datagrams_sent++;
    peer->stats.bytes_sent += bytes;
}

void mesh_write_peer(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet, bool is_exempt)
{
    struct mesh_header *header = &packet->message.header;

    fill_header(mesh, header);
    header->dst = peer->rank;
    header->number = ++peer->number;
    packet->size = mesh_wire_encode(&packet->message, packet->bytes, packet->capacity);
    mesh_credit_spend(mesh, peer, is_exempt ? 0 : mesh_credit_cost(packet->size));
    peer->announced_through = mesh->through;
    count(peer, packet->size);
}

void mesh_write_all(struct mesh *mesh, struct mesh_packet *packet, bool is_exempt)
{
    struct mesh_header *header = &packet->message.header;

    fill_header(mesh, header);
    header->dst = MESH_DST_ALL;
    header->flags |= MESH_FLAG_ALL;
    header->number = ++mesh->number_all;
    packet->size = mesh_wire_encode(&packet->message, packet->bytes, packet->capacity);
    mesh_credit_spend_all(mesh, is_exempt ? 0 : mesh_credit_cost(packet->size));
    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->state != MESH_PEER_UP)
            continue;
        peer->announced_through = mesh->through;
        count(peer, packet->size);
    }
}

/* Each returns whether it wrote a datagram; when it has nothing more to say its bit is cleared. */
static const struct {
    enum mesh_pending what;
    bool is_once; /* one datagram says it all */
    bool (*write)(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
} writers[] = {
    {MESH_PENDING_REFUSE, true, mesh_refuse_write},   {MESH_PENDING_HELLO_ACK, true, mesh_hello_ack_write},
    {MESH_PENDING_HELLO, true, mesh_hello_write},     {MESH_PENDING_PONG, true, mesh_pong_write},
    {MESH_PENDING_NOT_YET, true, mesh_not_yet_write}, {MESH_PENDING_STATUS, true, mesh_status_write},
    {MESH_PENDING_NAK, false, mesh_nak_write},        {MESH_PENDING_RECORD_ACK, true, mesh_channel_ack_write},
    {MESH_PENDING_RESEND, false, mesh_sender_resend}, {MESH_PENDING_RECORD, false, mesh_channel_write},
    {MESH_PENDING_PING, true, mesh_ping_write},       {MESH_PENDING_PROBE_ACK, true, mesh_probe_ack_write},
};

static bool write_pending(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    for (unsigned i = 0; i < sizeof writers / sizeof *writers && peer->pending; i++) {
        if (!(peer->pending & writers[i].what))
            continue;
        if (writers[i].is_once)
            peer->pending &= ~(uint32_t)writers[i].what;
        packet->message.header.flags = 0;
        if (writers[i].write(mesh, peer, packet))
            return true;
    }
    return false;
}

static bool write_controls(struct mesh *mesh, struct mesh_packet *packet, struct mesh_output *output)
{
    for (uint64_t ranks = mesh->busy; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];
        bool is_written = write_pending(mesh, peer, packet);

        if (!peer->pending)
            mesh->busy &= ~(UINT64_C(1) << peer->rank);
        if (is_written) {
            output->ranks = UINT64_C(1) << peer->rank;
            return true;
        }
    }
    return false;
}

static bool write_probe(struct mesh *mesh, struct mesh_packet *packet, struct mesh_output *output)
{
    for (uint64_t ranks = mesh->busy; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (!(peer->pending & MESH_PENDING_PROBE))
            continue;
        peer->pending &= ~(uint32_t)MESH_PENDING_PROBE;
        if (!peer->pending)
            mesh->busy &= ~(UINT64_C(1) << peer->rank);
        packet->message.header.flags = 0;
        output->ranks = UINT64_C(1) << peer->rank;
        if (mesh_probe_write(mesh, peer, packet))
            return true;
    }
    return false;
}

static void write_stranger(struct mesh *mesh, struct mesh_packet *packet, struct mesh_output *output)
{
    struct mesh_message *message = &packet->message;

    mesh->stranger_waits = false;
    message->header.type = MESH_TYPE_REFUSE;
    message->header.flags = 0;
    message->as.refuse = mesh->stranger_refuse;
    fill_header(mesh, &message->header);
    message->header.dst = (uint16_t)mesh->stranger_refuse.found;
    message->header.number = 0;
    packet->size = mesh_wire_encode(message, packet->bytes, packet->capacity);
    output->ranks = 0;
    output->addr = mesh->stranger;
}

static bool write_goodbye(struct mesh *mesh, struct mesh_packet *packet, struct mesh_output *output)
{
    while (mesh->goodbyes) {
        struct mesh_peer *peer = &mesh->peers[--mesh->goodbyes % mesh->config.rank_count];

        if (peer->rank == mesh->config.rank || peer->state != MESH_PEER_UP)
            continue;
        packet->message.header.type = MESH_TYPE_GOODBYE;
        packet->message.header.flags = 0;
        packet->message.as.goodbye.reason = 0;
        mesh_write_peer(mesh, peer, packet, true);
        output->ranks = UINT64_C(1) << peer->rank;
        return true;
    }
    return false;
}

static bool write_next(struct mesh *mesh, struct mesh_packet *packet, struct mesh_output *output)
{
    if (mesh->is_leaving)
        return write_goodbye(mesh, packet, output);
    if (mesh->busy && write_controls(mesh, packet, output))
        return true;
    if (mesh->ping_all) {
        mesh->ping_all = false;
        mesh_ping_all_write(mesh, packet);
        output->ranks = mesh->others;
        return true;
    }
    if (mesh->group_is_due) {
        output->ranks = output->group = mesh_group_probe_write(mesh, packet);
        return true;
    }
    packet->message.header.flags = 0;
    if (((mesh->published_count || mesh->current_ranks) && mesh_sender_next(mesh, packet, &output->ranks)) ||
        (mesh->copy_count && mesh_copy_next(mesh, packet, &output->ranks))) {
        output->group = mesh_group_of(mesh, output->ranks, packet->size);
        return true;
    }
    if (mesh->busy && write_probe(mesh, packet, output))
        return true;
    if (mesh->stranger_waits) {
        write_stranger(mesh, packet, output);
        return true;
    }
    return false;
}

bool mesh_next_datagram(struct mesh *mesh, uint64_t now_ns, uint8_t *packet_bytes, size_t capacity, struct mesh_output *output)
{
    struct mesh_packet packet;

    assert(now_ns >= mesh->now_ns);
    assert(capacity >= mesh->config.datagram_bytes_max);
    mesh->now_ns = now_ns;
    if (!mesh->busy && !mesh->published_count && !mesh->current_ranks && !mesh->copy_count && !mesh->ping_all && !mesh->group_is_due &&
        !mesh->stranger_waits && !mesh->is_leaving)
        return false;
    packet.bytes = packet_bytes;
    packet.capacity = capacity;
    packet.size = 0;
    memset(output, 0, sizeof *output);
    if (!write_next(mesh, &packet, output)) {
        if (mesh_is_tapped(mesh))
            mesh_tap_drained(mesh);
        return false;
    }
    output->bytes = packet.size;
    if (output->group)
        mesh_group_sent(mesh, output->group, packet.size);
    if (mesh_is_tapped(mesh))
        mesh_tap_datagram(mesh, packet_bytes, output);
    return true;
}

void mesh_goodbye(struct mesh *mesh, uint64_t now_ns)
{
    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    mesh->is_leaving = true;
    mesh->goodbyes = 3u * mesh->config.rank_count;
    if (mesh_is_tapped(mesh))
        mesh_tap_goodbye(mesh);
}
