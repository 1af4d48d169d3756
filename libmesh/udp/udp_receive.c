/* Batches of datagrams from the kernel to the core. When there is nothing, a poll is one system call.
 *
 * A datagram that the core has no room to announce (MESH_AGAIN) stays first in line for the next poll. */
#include "udp_parts.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <time.h>

#include "addr.h"
#include "mesh/wire.h"

void mesh_udp_receiver_init(struct mesh_udp_receiver *receiver, int fd, const struct mesh_lab *lab)
{
    receiver->fd = fd;
    mesh_udp_lab_init(&receiver->lab, lab);
    for (size_t i = 0; i < UDP_BATCH; i++) {
        struct msghdr *header = &receiver->messages[i].msg_hdr;

        receiver->iovecs[i] = (struct iovec){receiver->packets[i], UDP_RECEIVE_STRIDE};
        header->msg_name = &receiver->names[i];
        header->msg_namelen = sizeof receiver->names[i];
        header->msg_iov = &receiver->iovecs[i];
        header->msg_iovlen = 1;
        header->msg_control = receiver->control[i];
        header->msg_controllen = UDP_CONTROL_BYTES;
    }
}

uint32_t mesh_udp_receiver_drops(const struct mesh_udp_receiver *receiver)
{
    uint32_t counts[SK_MEMINFO_VARS] = {0};
    socklen_t bytes = sizeof counts;

    /* An option of the socket, and not SO_RXQ_OVFL, which would come with each datagram: in time for nobody, but a copy for all. */
    return getsockopt(receiver->fd, SOL_SOCKET, SO_MEMINFO, counts, &bytes) == 0 ? counts[SK_MEMINFO_DROPS] : 0;
}

/* The kernel overwrote the lengths of the messages it used. */
static void udp_receiver_rearm(struct mesh_udp_receiver *receiver)
{
    for (uint32_t i = 0; i < receiver->count; i++) {
        receiver->messages[i].msg_hdr.msg_namelen = sizeof receiver->names[i];
        receiver->messages[i].msg_hdr.msg_controllen = UDP_CONTROL_BYTES;
    }
    receiver->next = receiver->count = 0;
}

/* The receive time on the monotonic clock where the kernel gave one; else now. */
static uint64_t udp_receiver_stamp_ns(struct msghdr *header, uint64_t now_ns, int64_t realtime_ahead_ns)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
        struct timespec stamp;
        int64_t stamp_ns;

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
        stamp_ns = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec - realtime_ahead_ns;
        return stamp_ns > 0 && (uint64_t)stamp_ns < now_ns ? (uint64_t)stamp_ns : now_ns;
    }
    return now_ns;
}

/* Not for the epoch's endpoint: epoch 0, or a client session's. */
static bool udp_receiver_is_outside(const struct mesh_udp_receiver *receiver, const uint8_t *packet, size_t bytes)
{
    static const uint8_t zeros[4];
    const uint8_t *epoch = packet + offsetof(struct mesh_header_bytes, epoch);

    return receiver->take_outside != NULL && bytes >= MESH_HEADER_BYTES && packet[0] == (MESH_WIRE_MAGIC & 255) &&
           packet[1] == MESH_WIRE_MAGIC >> 8 && ((epoch[3] & 128) != 0 || memcmp(epoch, zeros, sizeof zeros) == 0);
}

/* MESH_AGAIN when the core has no room for it. */
static int udp_receiver_give(struct mesh_udp_receiver *receiver, struct mesh *mesh, uint64_t now_ns, struct mesh_addr from,
                             const uint8_t *packet, size_t bytes)
{
    if (udp_receiver_is_outside(receiver, packet, bytes)) {
        receiver->take_outside(receiver->outside_app, now_ns, from, packet, bytes);
        return 0;
    }
    return mesh != NULL ? mesh_receive(mesh, now_ns, from, packet, bytes) : 0;
}

static bool udp_receiver_is_own(const struct mesh_udp_receiver *receiver, uint32_t i)
{
    struct mesh_addr from;

    if (receiver->own.port == 0)
        return false;
    mesh_addr_from_sockaddr(&receiver->names[i], &from);
    return mesh_addr_equal(&from, &receiver->own);
}

static void udp_receiver_open(struct mesh_udp_receiver *receiver)
{
    receiver->refused = 0;
    for (uint32_t i = 0; i < receiver->count; i++) {
        if (udp_receiver_is_own(receiver, i)) {
            receiver->refused |= UINT32_C(1) << i;
            receiver->received--;
        } else if (receiver->sealer != NULL && !udp_receiver_is_outside(receiver, receiver->packets[i], receiver->messages[i].msg_len) &&
                   mesh_sealer_open(receiver->sealer, receiver->packets[i], receiver->messages[i].msg_len) != 0) {
            receiver->refused |= UINT32_C(1) << i;
        }
    }
}

static bool udp_receiver_is_refused(const struct mesh_udp_receiver *receiver)
{
    return (receiver->refused >> receiver->next & 1) != 0;
}

/* The next datagram alone, with no more to copy than it and where it comes from: 0.1 us less than by recvmmsg, also when there is none. */
static int udp_receiver_take_one(struct mesh_udp_receiver *receiver)
{
    socklen_t name_bytes = sizeof receiver->names[0];
    const ssize_t bytes =
        recvfrom(receiver->fd, receiver->packets[0], UDP_RECEIVE_STRIDE, MSG_DONTWAIT, (struct sockaddr *)&receiver->names[0], &name_bytes);

    if (bytes < 0)
        return -1;
    receiver->messages[0].msg_len = (unsigned)bytes;
    return 1;
}

static int udp_receiver_take_some(struct mesh_udp_receiver *receiver, unsigned most)
{
    return receiver->is_single ? mesh_udp_receive_singly(receiver->fd, receiver->messages, most, receiver->socket_errors)
                               : recvmmsg(receiver->fd, receiver->messages, most, MSG_DONTWAIT, NULL);
}

/* Next batch of the socket, of at most `most`: its size, 0 when there is none, or MESH_ESYSTEM. */
static int udp_receiver_fetch(struct mesh_udp_receiver *receiver, unsigned most)
{
    int count, tries = 0;

    udp_receiver_rearm(receiver);
    do {
        count = most == 1 ? udp_receiver_take_one(receiver) : udp_receiver_take_some(receiver, most);
        receiver->system_calls++;
    } while (count < 0 && mesh_udp_errors_note(receiver->socket_errors, errno) && tries++ == 0);
    if (count < 0) {
        /* Any error but a bad descriptor is about an earlier datagram of ours (ICMP), or passes. */
        return errno == EBADF || errno == ENOTSOCK || errno == EFAULT || errno == EINVAL ? MESH_ESYSTEM : 0;
    }
    receiver->received += (uint64_t)count;
    receiver->count = (uint32_t)count;
    udp_receiver_open(receiver);
    return count;
}

/* Feed the fetched batch. Returns how many were taken; some stay when the core's event queue is full. */
static int udp_receiver_feed(struct mesh_udp_receiver *receiver, struct mesh *mesh)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    int taken = 0;

    for (; receiver->next < receiver->count; receiver->next++, taken++) {
        struct mmsghdr *message = &receiver->messages[receiver->next];
        struct mesh_addr from;

        mesh_addr_from_sockaddr(&receiver->names[receiver->next], &from);
        if (!udp_receiver_is_refused(receiver) &&
            udp_receiver_give(receiver, mesh, now_ns, from, receiver->packets[receiver->next], message->msg_len) == MESH_AGAIN)
            break;
    }
    return taken;
}

static void udp_receiver_hold(struct mesh_udp_receiver *receiver)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    struct timespec realtime;
    int64_t realtime_ahead_ns;

    clock_gettime(CLOCK_REALTIME, &realtime);
    realtime_ahead_ns = (int64_t)realtime.tv_sec * 1000000000 + realtime.tv_nsec - (int64_t)now_ns;
    for (; receiver->next < receiver->count; receiver->next++) {
        struct mmsghdr *message = &receiver->messages[receiver->next];
        const uint64_t received_ns = udp_receiver_stamp_ns(&message->msg_hdr, now_ns, realtime_ahead_ns);
        struct mesh_addr from;

        mesh_addr_from_sockaddr(&receiver->names[receiver->next], &from);
        if (!udp_receiver_is_refused(receiver))
            mesh_udp_lab_take(&receiver->lab, received_ns, from, receiver->packets[receiver->next], message->msg_len);
    }
}

static int udp_receiver_feed_held(struct mesh_udp_receiver *receiver, struct mesh *mesh)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    const struct mesh_udp_held *held;
    int taken = 0;

    while ((held = mesh_udp_lab_due(&receiver->lab, now_ns)) != NULL) {
        if (udp_receiver_give(receiver, mesh, now_ns, held->from, held->packet, held->bytes) == MESH_AGAIN)
            break;
        mesh_udp_lab_drop(&receiver->lab);
        taken++;
    }
    return taken;
}

/* Does the caller do nothing but poll? It does if it found nothing a moment ago. */
static bool udp_receiver_is_polled(const struct mesh_udp_receiver *receiver, uint64_t now_ns)
{
    return receiver->empty_poll_ns != 0 && now_ns - receiver->empty_poll_ns < UDP_POLLING_NS;
}

int mesh_udp_receiver_run(struct mesh_udp_receiver *receiver, struct mesh *mesh, uint64_t now_ns)
{
    const bool is_lab = mesh_udp_lab_is_on(&receiver->lab);
    /* A polling caller mostly waits for one tile. It gets the first datagram alone, and others when it polls again: to find that there is
     * no second one takes the kernel 0.2 us. With a lab, whose delays need the times of arrival, nobody is taken for one. */
    const unsigned most = udp_receiver_is_polled(receiver, now_ns) ? 1 : UDP_BATCH;
    int taken = 0, count = UDP_BATCH;

    receiver->empty_poll_ns = 0;
    if (receiver->next < receiver->count) {
        taken = udp_receiver_feed(receiver, mesh);
        if (receiver->next < receiver->count)
            return taken;
    }
    for (int batch = 0; batch < UDP_RECEIVE_BATCHES && count == UDP_BATCH; batch++) {
        count = udp_receiver_fetch(receiver, most);
        if (count < 0)
            return count;
        if (is_lab) {
            udp_receiver_hold(receiver);
        } else if (count > 0) {
            taken += udp_receiver_feed(receiver, mesh);
            if (receiver->next < receiver->count)
                return taken;
        }
    }
    if (is_lab)
        return taken + udp_receiver_feed_held(receiver, mesh);
    if (count == 0 && taken == 0)
        receiver->empty_poll_ns = now_ns;
    return taken;
}

uint64_t mesh_udp_receiver_next_ns(const struct mesh_udp_receiver *receiver)
{
    return receiver->next < receiver->count ? 0 : mesh_udp_lab_next_ns(&receiver->lab);
}
