/* The socket's error queue: which of our datagrams came back as unreachable.
 *
 * The kernel reports such a datagram twice: in the queue, and as the result of the next call on the socket, whatever that is for. So a call
 * that fails in this way is made again. So is one that says that a datagram was too large, since a router may have said so of an earlier
 * one; of one that is too large for the interface it is said again. */
#include "udp_parts.h"

#include <errno.h>
#include <string.h>

#include <linux/errqueue.h>

#include "addr.h"

enum { ERRORS_PER_RUN = 64 };

bool mesh_udp_errors_note(struct mesh_udp_errors *errors, int reason)
{
    const bool is_earlier = reason == EMSGSIZE || reason == ECONNREFUSED || reason == EHOSTUNREACH || reason == ENETUNREACH ||
                            reason == EHOSTDOWN || reason == ENONET || reason == EPROTO || reason == ENOPROTOOPT || reason == EOPNOTSUPP ||
                            reason == EACCES;

    if (is_earlier)
        atomic_store_explicit(&errors->is_due, true, memory_order_relaxed);
    return is_earlier;
}

/* From a router or the other host; not from this host, whose own errors the failed call has told. */
static bool is_unreachable(struct msghdr *header)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
        struct sock_extended_err error;

        if (!(part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) &&
            !(part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&error, CMSG_DATA(part), sizeof error);
        return (error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6) &&
               (error.ee_errno == ECONNREFUSED || error.ee_errno == EHOSTUNREACH);
    }
    return false;
}

void mesh_udp_errors_run(struct mesh_udp_errors *errors)
{
    if (!atomic_load_explicit(&errors->is_due, memory_order_relaxed))
        return;
    atomic_store_explicit(&errors->is_due, false, memory_order_relaxed);
    for (int i = 0; i < ERRORS_PER_RUN; i++) {
        _Alignas(struct cmsghdr) uint8_t control[512];
        struct sockaddr_storage name;
        uint8_t byte;
        struct iovec way = {&byte, sizeof byte};
        struct msghdr header = {.msg_name = &name,
                                .msg_namelen = sizeof name,
                                .msg_iov = &way,
                                .msg_iovlen = 1,
                                .msg_control = control,
                                .msg_controllen = sizeof control};
        struct mesh_addr to;

        memset(&name, 0, sizeof name);
        errors->system_calls++;
        if (recvmsg(errors->fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        if (!is_unreachable(&header) || (name.ss_family != AF_INET && name.ss_family != AF_INET6))
            continue;
        errors->unreachable++;
        mesh_addr_from_sockaddr(&name, &to);
        if (errors->tell != NULL)
            errors->tell(errors->app, to);
    }
    atomic_store_explicit(&errors->is_due, true, memory_order_relaxed); /* there may be more */
}
