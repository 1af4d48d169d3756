/* Segmentation by the kernel or the network card (UDP_SEGMENT, GSO): datagrams in a row to one receiver are handed over as one message,
 * which goes through the kernel once and is split at the end. All but the last have the same size.
 *
 * Whether a path can do it shows in use. If it cannot, what waits is sent one by one, and so is everything later. Where a message is too
 * large for a queue or a path, only what waits is. */
#include "udp_parts.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* Linux 4.18 */
#endif

bool mesh_udp_segment_is_known(int fd)
{
    int bytes = 0;
    socklen_t size = sizeof bytes;

    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &bytes, &size) == 0;
}

bool mesh_udp_segment_pays(uint32_t path_bytes)
{
    return path_bytes > 0 && path_bytes <= UDP_SEGMENT_BYTES_MAX;
}

static void set_control(struct mesh_udp_sender *sender, struct msghdr *header)
{
    const uint16_t bytes = (uint16_t)header->msg_iov->iov_len;

    header->msg_control = sender->control[header->msg_iov - sender->iovecs];
    header->msg_controllen = UDP_SEGMENT_CONTROL_BYTES;
    memset(header->msg_control, 0, UDP_SEGMENT_CONTROL_BYTES);
    struct cmsghdr *part = CMSG_FIRSTHDR(header);
    part->cmsg_level = IPPROTO_UDP;
    part->cmsg_type = UDP_SEGMENT;
    part->cmsg_len = CMSG_LEN(sizeof bytes);
    memcpy(CMSG_DATA(part), &bytes, sizeof bytes);
}

bool mesh_udp_segment_join(struct mesh_udp_sender *sender, struct msghdr *header)
{
    const struct iovec *first = header->msg_iov, *fresh = &sender->iovecs[sender->datagrams];
    const size_t count = header->msg_iovlen;

    if (first + count != fresh || fresh->iov_len > first->iov_len || first[count - 1].iov_len != first->iov_len ||
        first->iov_len > UDP_SEGMENT_BYTES_MAX || count * first->iov_len + fresh->iov_len > UDP_JOINED_BYTES_MAX)
        return false;
    header->msg_iovlen++;
    set_control(sender, header);
    return true;
}

bool mesh_udp_segment_split(struct mesh_udp_sender *sender, int reason)
{
    uint32_t at = UDP_MESSAGES;

    if (sender->messages[sender->messages_next].msg_hdr.msg_iovlen == 1 ||
        (reason != EINVAL && reason != EIO && reason != EMSGSIZE && reason != EOPNOTSUPP && reason != ENOBUFS))
        return false;
    for (uint32_t i = sender->messages_count; i-- > sender->messages_next;) {
        const struct msghdr joined = sender->messages[i].msg_hdr; /* its place may be the first that is written to */

        for (size_t k = joined.msg_iovlen; k-- > 0;) {
            assert(at > i);
            sender->messages[--at] = (struct mmsghdr){
                .msg_hdr = {
                    .msg_name = joined.msg_name, .msg_namelen = joined.msg_namelen, .msg_iov = joined.msg_iov + k, .msg_iovlen = 1}};
        }
    }
    sender->messages_next = at;
    sender->messages_count = UDP_MESSAGES;
    if (reason != EMSGSIZE && reason != ENOBUFS) { /* these are not about cutting */
        sender->segments_refused |= sender->segments;
        sender->segments = false;
    }
    return true;
}
