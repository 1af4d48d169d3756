/* Reliable, ordered records between two peers, for control messages.
 *
 * A record is cut into fragments that fit the smallest datagram. Fragments are numbered; at most MESH_FRAGMENTS_FLYING are on their way;
 * the receiver keeps those that come out of order, acknowledges what is there, and hands out a record when all of it is. A fragment that
 * makes its record too long is refused, and with it all that comes after it: records arrive as they were sent, or not at all. */
#include "tap.h"

#include <assert.h>
#include <string.h>

_Static_assert(MESH_FRAGMENTS *MESH_FRAGMENT_BYTES >= MESH_RECORD_BYTES_MAX + (MESH_FRAGMENTS_FLYING + 1) * MESH_FRAGMENT_BYTES, "ring");

enum { DELAY_NS_MIN = 2000000, DELAY_NS_MAX = 200000000 /* unless the path is so slow that an answer takes longer */ };

static struct mesh_fragment *at(struct mesh_fragment *fragments, uint64_t sequence)
{
    return &fragments[sequence % MESH_FRAGMENTS];
}

void mesh_channel_init(struct mesh_channel *channel)
{
    channel->send_first = channel->send_next = channel->send_end = 1;
    channel->receive_next = channel->deliver_next = 1;
}

/* ---- sending ---- */

int mesh_send_record(struct mesh *mesh, uint64_t now_ns, uint16_t to, const uint8_t *record, size_t record_bytes)
{
    size_t count = (record_bytes + MESH_FRAGMENT_BYTES - 1) / MESH_FRAGMENT_BYTES;
    struct mesh_channel *channel;

    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    if (to >= mesh->config.rank_count || to == mesh->config.rank || !record_bytes || record_bytes > MESH_RECORD_BYTES_MAX)
        return MESH_EINVAL;
    channel = &mesh->peers[to].channel;
    if (channel->send_end - channel->send_first + count > MESH_FRAGMENTS)
        return MESH_AGAIN;
    for (size_t i = 0; i < count; i++) {
        struct mesh_fragment *fragment = at(channel->sending, channel->send_end++);
        size_t offset = i * MESH_FRAGMENT_BYTES;
        size_t bytes = record_bytes - offset < MESH_FRAGMENT_BYTES ? record_bytes - offset : MESH_FRAGMENT_BYTES;

        fragment->sent_ns = 0;
        fragment->acked = false;
        fragment->bytes = (uint16_t)bytes;
        fragment->flags = (uint8_t)((i == 0 ? MESH_FRAGMENT_FIRST : 0) | (i + 1 == count ? MESH_FRAGMENT_LAST : 0));
        memcpy(fragment->data, record + offset, bytes);
    }
    if (mesh->peers[to].state == MESH_PEER_UP)
        mesh_pend(mesh, &mesh->peers[to], MESH_PENDING_RECORD);
    if (mesh_is_tapped(mesh))
        mesh_tap_send(mesh, to, record, record_bytes);
    return 0;
}

size_t mesh_record_room_bytes(const struct mesh *mesh, uint16_t to)
{
    const struct mesh_channel *channel = &mesh->peers[to].channel;
    size_t bytes;

    assert(to < mesh->config.rank_count && to != mesh->config.rank);
    bytes = (MESH_FRAGMENTS - (size_t)(channel->send_end - channel->send_first)) * MESH_FRAGMENT_BYTES;
    return bytes < MESH_RECORD_BYTES_MAX ? bytes : MESH_RECORD_BYTES_MAX;
}

static uint64_t least_delay_ns(const struct mesh_peer *peer)
{
    const uint64_t delay_ns = 2 * mesh_peer_timeout_ns(peer);

    return delay_ns > DELAY_NS_MIN ? delay_ns : DELAY_NS_MIN;
}

static void start_timer(struct mesh *mesh, struct mesh_peer *peer)
{
    struct mesh_channel *channel = &peer->channel;

    if (!channel->resend_delay_ns)
        channel->resend_delay_ns = least_delay_ns(peer);
    channel->resend_at_ns = mesh->now_ns + channel->resend_delay_ns;
    mesh_arm(mesh, channel->resend_at_ns);
}

/* The next fragment to send: one marked for resending (sent_ns 0), or a new one. 0: none. */
static uint64_t next_sequence(const struct mesh_channel *channel)
{
    for (uint64_t sequence = channel->send_first; sequence < channel->send_next; sequence++) {
        const struct mesh_fragment *fragment = &channel->sending[sequence % MESH_FRAGMENTS];

        if (!fragment->acked && !fragment->sent_ns)
            return sequence;
    }
    if (channel->send_next < channel->send_end && channel->send_next - channel->send_first < MESH_FRAGMENTS_FLYING)
        return channel->send_next;
    return 0;
}

bool mesh_channel_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    struct mesh_channel *channel = &peer->channel;
    uint64_t sequence = next_sequence(channel);
    struct mesh_fragment *fragment;

    if (!sequence) {
        peer->pending &= ~(uint32_t)MESH_PENDING_RECORD;
        return false;
    }
    fragment = at(channel->sending, sequence);
    if (!mesh_credit_allows(mesh, peer, (size_t)MESH_RECORD_OVERHEAD_BYTES + fragment->bytes))
        return false;
    packet->message.header.type = MESH_TYPE_RECORD;
    packet->message.header.flags = sequence < channel->send_next ? MESH_FLAG_RESEND : 0;
    packet->message.as.record = (struct mesh_record){sequence, channel->receive_next, fragment->flags};
    packet->message.data = fragment->data;
    packet->message.data_bytes = fragment->bytes;
    fragment->sent_ns = mesh->now_ns ? mesh->now_ns : 1;
    if (sequence == channel->send_first && sequence == channel->send_next)
        channel->waiting_ns = mesh->now_ns;
    if (sequence == channel->send_next)
        channel->send_next++;
    if (!channel->resend_at_ns)
        start_timer(mesh, peer);
    mesh_write_peer(mesh, peer, packet, false);
    return true;
}

void mesh_channel_tick(struct mesh *mesh, struct mesh_peer *peer)
{
    struct mesh_channel *channel = &peer->channel;
    uint64_t delay_ns_max;

    if (!channel->resend_at_ns)
        return;
    if (mesh->now_ns < channel->resend_at_ns) {
        mesh_arm(mesh, channel->resend_at_ns);
        return;
    }
    for (uint64_t sequence = channel->send_first; sequence < channel->send_next; sequence++)
        at(channel->sending, sequence)->sent_ns = 0;
    mesh_pend(mesh, peer, MESH_PENDING_RECORD);
    delay_ns_max = least_delay_ns(peer) > DELAY_NS_MAX ? least_delay_ns(peer) : DELAY_NS_MAX;
    channel->resend_delay_ns = channel->resend_delay_ns * 2 < delay_ns_max ? channel->resend_delay_ns * 2 : delay_ns_max;
    start_timer(mesh, peer);
}

/* ---- acknowledgements ---- */

static int check_next(const struct mesh_peer *peer, uint64_t next)
{
    return next >= 1 && next <= peer->channel.send_next ? 0 : MESH_ERANGE;
}

static void on_next(struct mesh *mesh, struct mesh_peer *peer, uint64_t next)
{
    struct mesh_channel *channel = &peer->channel;

    if (next <= channel->send_first)
        return;
    channel->send_first = next;
    channel->waiting_ns = mesh->now_ns;
    channel->resend_delay_ns = 0;
    channel->resend_at_ns = 0;
    if (channel->send_first < channel->send_next)
        start_timer(mesh, peer);
    if (channel->send_first < channel->send_end)
        mesh_pend(mesh, peer, MESH_PENDING_RECORD);
}

int mesh_channel_ack_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    (void)mesh;
    return check_next(peer, message->as.record_ack.next);
}

void mesh_channel_ack_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    struct mesh_channel *channel = &peer->channel;
    uint64_t next = message->as.record_ack.next, later = message->as.record_ack.later;
    uint64_t latest = next;

    on_next(mesh, peer, next);
    for (; later; later &= later - 1) {
        uint64_t sequence = next + 1 + (unsigned)__builtin_ctzll(later);

        if (sequence < channel->send_first || sequence >= channel->send_next)
            continue;
        at(channel->sending, sequence)->acked = true;
        latest = sequence;
    }
    /* Resend at once the holes below an arrived fragment, unless they were sent so lately that it may be mere reordering. */
    for (uint64_t sequence = channel->send_first; sequence < latest; sequence++) {
        struct mesh_fragment *fragment = at(channel->sending, sequence);

        if (!fragment->acked && fragment->sent_ns && mesh->now_ns - fragment->sent_ns > peer->rtt_ns + mesh->config.reorder_delay_ns) {
            fragment->sent_ns = 0;
            mesh_pend(mesh, peer, MESH_PENDING_RECORD);
        }
    }
}

bool mesh_channel_ack_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    const struct mesh_channel *channel = &peer->channel;
    struct mesh_record_ack *ack = &packet->message.as.record_ack;

    packet->message.header.type = MESH_TYPE_RECORD_ACK;
    ack->next = channel->receive_next;
    ack->later = 0;
    for (unsigned i = 0; i < 64; i++)
        if (channel->receive_next + 1 + i < channel->deliver_next + MESH_FRAGMENTS &&
            channel->receiving[(channel->receive_next + 1 + i) % MESH_FRAGMENTS].bytes)
            ack->later |= UINT64_C(1) << i;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

/* ---- receiving ---- */

/* The sequence after the record that starts at deliver_next; 0 when not all of it is there. */
static uint64_t record_end(const struct mesh_channel *channel)
{
    for (uint64_t sequence = channel->deliver_next; sequence < channel->receive_next; sequence++)
        if (channel->receiving[sequence % MESH_FRAGMENTS].flags & MESH_FRAGMENT_LAST)
            return sequence + 1;
    return 0;
}

/* Whether the record at receive_next is not too long with so many bytes more. */
static bool fits(const struct mesh_channel *channel, size_t bytes)
{
    return channel->begun_bytes + bytes <= MESH_RECORD_BYTES_MAX;
}

/* What came early is judged, and counted, when its turn comes. */
static void advance(struct mesh *mesh, struct mesh_channel *channel)
{
    while (channel->receive_next < channel->deliver_next + MESH_FRAGMENTS) {
        struct mesh_fragment *fragment = at(channel->receiving, channel->receive_next);

        if (!fits(channel, fragment->bytes)) {
            fragment->bytes = 0;
            mesh->stats.dropped[-MESH_ERANGE]++;
        }
        if (!fragment->bytes)
            return;
        channel->begun_bytes = fragment->flags & MESH_FRAGMENT_LAST ? 0 : channel->begun_bytes + fragment->bytes;
        channel->receive_next++;
    }
}

int mesh_channel_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_channel *channel = &peer->channel;
    uint64_t sequence = message->as.record.sequence;

    (void)mesh;
    if (message->data_bytes > MESH_FRAGMENT_BYTES || sequence >= channel->receive_next + MESH_FRAGMENTS_FLYING)
        return MESH_ERANGE;
    if (sequence == channel->receive_next && !fits(channel, message->data_bytes))
        return MESH_ERANGE;
    if (sequence >= channel->deliver_next + MESH_FRAGMENTS)
        return record_end(channel) ? MESH_AGAIN : MESH_ERANGE; /* whole records wait to be taken, or one is longer than any may be */
    return check_next(peer, message->as.record.next);
}

void mesh_channel_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    struct mesh_channel *channel = &peer->channel;
    uint64_t sequence = message->as.record.sequence;
    struct mesh_fragment *fragment = at(channel->receiving, sequence);

    on_next(mesh, peer, message->as.record.next);
    mesh_pend(mesh, peer, MESH_PENDING_RECORD_ACK);
    if (sequence < channel->receive_next || fragment->bytes)
        return; /* it is there */
    fragment->bytes = (uint16_t)message->data_bytes;
    fragment->flags = message->as.record.fragment;
    memcpy(fragment->data, message->data, message->data_bytes);
    advance(mesh, channel);
}

bool mesh_channel_deliver(struct mesh *mesh, struct mesh_peer *peer, struct mesh_event *event)
{
    struct mesh_channel *channel = &peer->channel;
    uint64_t end = record_end(channel);
    size_t bytes = 0;

    if (!end)
        return false;
    for (; channel->deliver_next < end; channel->deliver_next++) {
        struct mesh_fragment *fragment = at(channel->receiving, channel->deliver_next);

        assert(bytes + fragment->bytes <= MESH_RECORD_BYTES_MAX);
        memcpy(mesh->record + bytes, fragment->data, fragment->bytes);
        bytes += fragment->bytes;
        fragment->bytes = 0;
    }
    *event = (struct mesh_event){.type = MESH_EVENT_RECORD, .rank = peer->rank, .record = mesh->record, .record_bytes = bytes};
    return true;
}
