/* Batches of datagrams to the kernel: one copy of the bytes however many destinations.
 *
 * A datagram that the kernel refuses is lost, and counted. One for which the socket or the interface has no room waits here; then nothing
 * more is taken from the core, whose own bounded queue makes the application wait. So what is computed faster than the wire takes it leaves
 * at the wire's pace. A datagram for several ranks begins with another of them each time: each send takes some microseconds, and so no peer
 * is always the last. */
#include "udp_parts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "addr.h"

enum {
    UDP_TRIES = 2,               /* of a datagram, when the error may be about an earlier one */
    UDP_FULL_NS = 100000,        /* until an interface is tried again: at 1 Gb/s it sends 12 kB meanwhile */
    UDP_FULL_NS_MAX = 200000000, /* after waiting so long for it, a datagram is lost */
};

bool mesh_udp_sender_is_blocked(const struct mesh_udp_sender *sender)
{
    return sender->messages_next < sender->messages_count;
}

void mesh_udp_sender_set_peer(struct mesh_udp_sender *sender, uint16_t rank, const struct mesh_addr *addr)
{
    const bool unreachable = sender->family == AF_INET && !mesh_addr_is_v4(addr);

    assert(rank < MESH_RANKS_MAX);
    sender->peer_bytes[rank] = unreachable ? 0 : mesh_addr_to_sockaddr(addr, sender->family, &sender->peers[rank]);
}

int mesh_udp_sender_send_to(const struct mesh_udp_sender *sender, const struct mesh_addr *to, const uint8_t *packet, size_t bytes)
{
    struct sockaddr_storage name;
    socklen_t name_bytes;
    ssize_t sent;
    int tries = 0;

    if (sender->family == AF_INET && !mesh_addr_is_v4(to))
        return MESH_EINVAL;
    name_bytes = mesh_addr_to_sockaddr(to, sender->family, &name);
    do {
        sent = sendto(sender->fd, packet, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&name, name_bytes);
    } while (sent < 0 && (errno == EINTR || (mesh_udp_errors_note(sender->socket_errors, errno) && tries++ < UDP_TRIES)));
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? MESH_AGAIN : MESH_ESYSTEM;
    return 0;
}

/* last: where the receiver's last message is noted, if the kernel is to cut; else NULL. */
static void udp_sender_queue(struct mesh_udp_sender *sender, struct sockaddr_storage *to, socklen_t to_bytes, uint16_t *last)
{
    struct mmsghdr *message = &sender->messages[sender->messages_count];

    if (to_bytes == 0) {
        sender->errors++;
        return;
    }
    assert(sender->pairs < UDP_MESSAGES);
    sender->pairs++;
    if (last != NULL && *last != 0 && mesh_udp_segment_join(sender, &sender->messages[*last - 1].msg_hdr))
        return;
    if (last != NULL)
        *last = (uint16_t)(sender->messages_count + 1);
    memset(message, 0, sizeof *message);
    message->msg_hdr.msg_name = to;
    message->msg_hdr.msg_namelen = to_bytes;
    message->msg_hdr.msg_iov = &sender->iovecs[sender->datagrams];
    message->msg_hdr.msg_iovlen = 1;
    sender->messages_count++;
}

static void udp_sender_queue_some(struct mesh_udp_sender *sender, uint64_t ranks)
{
    for (; ranks != 0; ranks &= ranks - 1) {
        const int rank = __builtin_ctzll(ranks);
        const bool joins = sender->segments && (sender->segment_ranks >> rank & 1) != 0;

        udp_sender_queue(sender, &sender->peers[rank], sender->peer_bytes[rank], joins ? &sender->last[rank] : NULL);
    }
}

static void udp_sender_queue_ranks(struct mesh_udp_sender *sender, uint64_t ranks)
{
    uint64_t from = ranks & ~((UINT64_C(1) << sender->turn) - 1); /* whose turn it is to be the first, and those above */

    from = from != 0 ? from : ranks;
    udp_sender_queue_some(sender, from);
    udp_sender_queue_some(sender, ranks & ~from);
    if ((ranks & (ranks - 1)) != 0)
        sender->turn = ((unsigned)__builtin_ctzll(from) + 1) % MESH_RANKS_MAX;
}

static void udp_sender_queue_stranger(struct mesh_udp_sender *sender, const struct mesh_addr *addr)
{
    struct sockaddr_storage *to = &sender->strangers[sender->datagrams];
    const bool unreachable = sender->family == AF_INET && !mesh_addr_is_v4(addr);

    udp_sender_queue(sender, to, unreachable ? 0 : mesh_addr_to_sockaddr(addr, sender->family, to), NULL);
}

/* Take datagrams from the core while there is room for one more of the largest kind, to everybody. */
static void udp_sender_fill(struct mesh_udp_sender *sender, struct mesh *mesh, uint64_t now_ns)
{
    assert(!mesh_udp_sender_is_blocked(sender));
    sender->datagrams = sender->messages_next = sender->messages_count = sender->pairs = sender->arena_used = 0;
    memset(sender->last, 0, sizeof sender->last);
    while (sender->datagrams < UDP_BATCH && sender->pairs + MESH_RANKS_MAX <= UDP_MESSAGES &&
           sender->arena_used + UDP_DATAGRAM_BYTES_MAX <= UDP_ARENA_BYTES) {
        uint8_t *packet = sender->arena + sender->arena_used;
        struct mesh_output output;

        if (!mesh_next_datagram(mesh, now_ns, packet, UDP_DATAGRAM_BYTES_MAX, &output))
            break;
        assert(output.bytes <= UDP_DATAGRAM_BYTES_MAX);
        if (sender->sealer != NULL && mesh_sealer_seal(sender->sealer, packet, output.bytes) != 0) {
            sender->errors++; /* the answer to a stranger: only members are spoken to */
            continue;
        }
        sender->iovecs[sender->datagrams] = (struct iovec){packet, output.bytes};
        if (output.ranks != 0) {
            const uint64_t group = sender->group_bytes != 0 ? output.group : 0;

            if (group != 0) {
                const bool joins = sender->segments && sender->segment_group;

                udp_sender_queue(sender, &sender->group, sender->group_bytes, joins ? &sender->last[MESH_RANKS_MAX] : NULL);
            }
            udp_sender_queue_ranks(sender, output.ranks & ~group);
        } else {
            udp_sender_queue_stranger(sender, &output.addr);
        }
        sender->arena_used += (uint32_t)(output.bytes + 63) & ~63u;
        sender->datagrams++;
    }
}

uint64_t mesh_udp_sender_next_ns(const struct mesh_udp_sender *sender)
{
    return mesh_udp_sender_is_blocked(sender) ? sender->full_until_ns : 0;
}

/* The interface's queue drops what it has no room for, and says so. What waits here instead is not lost, so a burst leaves as fast as the
 * wire takes it. False: it has waited long enough. */
static bool udp_sender_hold(struct mesh_udp_sender *sender, uint64_t now_ns)
{
    sender->full++;
    sender->full_since_ns = sender->full_since_ns != 0 ? sender->full_since_ns : now_ns;
    if (now_ns - sender->full_since_ns > UDP_FULL_NS_MAX)
        return false;
    sender->full_until_ns = now_ns + UDP_FULL_NS;
    return true;
}

static void udp_sender_count(struct mesh_udp_sender *sender, uint32_t sent)
{
    for (uint32_t i = 0; i < sent; i++) {
        const struct msghdr *header = &sender->messages[sender->messages_next + i].msg_hdr;

        sender->to_group += header->msg_name == &sender->group ? header->msg_iovlen : 0;
        sender->sent += header->msg_iovlen;
    }
    sender->messages_next += sent;
}

/* Send the queued messages. False: the socket or the interface is full for now. */
static bool udp_sender_push(struct mesh_udp_sender *sender, uint64_t now_ns)
{
    int tries = 0;

    if (now_ns < sender->full_until_ns)
        return false;
    sender->full_until_ns = 0;
    while (mesh_udp_sender_is_blocked(sender)) {
        struct mmsghdr *const messages = sender->messages + sender->messages_next;
        const uint32_t count = sender->messages_count - sender->messages_next;
        const int sent = sender->is_single ? mesh_udp_send_singly(sender->fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL)
                                           : sendmmsg(sender->fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);

        sender->system_calls++;
        if (sent > 0) {
            udp_sender_count(sender, (uint32_t)sent);
            sender->full_since_ns = 0;
            tries = 0;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        } else if (mesh_udp_segment_split(sender, errno)) {
            tries = 0;
        } else if (errno == ENOBUFS && udp_sender_hold(sender, now_ns)) {
            return false;
        } else if (errno != EINTR && !(mesh_udp_errors_note(sender->socket_errors, errno) && tries++ < UDP_TRIES)) {
            sender->errors += sender->messages[sender->messages_next].msg_hdr.msg_iovlen;
            sender->messages_next++;
            tries = 0;
        }
    }
    return true;
}

int mesh_udp_sender_run(struct mesh_udp_sender *sender, struct mesh *mesh, uint64_t now_ns)
{
    const uint64_t before = sender->sent;

    while (udp_sender_push(sender, now_ns) && mesh != NULL) {
        udp_sender_fill(sender, mesh, now_ns);
        if (sender->datagrams == 0)
            break;
    }
    return (int)(sender->sent - before);
}
