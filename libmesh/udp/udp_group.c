/* A multicast group: the socket that hears it, and the options of the one that sends to it.
 *
 * Both use the interface of the node's own address, an IPv6 group that of its scope. What is sent stays in the local network. */
#include "udp_parts.h"

#include <string.h>
#include <unistd.h>

#include "addr.h"

static bool group_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static struct ip_mreqn group_membership(const struct mesh_addr *group, const struct mesh_addr *local)
{
    struct ip_mreqn membership = {.imr_ifindex = 0};

    memcpy(&membership.imr_multiaddr, group->ip + 12, 4);
    if (mesh_addr_is_v4(local))
        memcpy(&membership.imr_address, local->ip + 12, 4);
    return membership;
}

/* The address can be shared: other nodes of this machine hear the group, too. Bound to it, the socket hears nothing else, and nothing by
 * other interfaces, though another program may have joined the group there: an IPv6 group is link-local, so its scope is part of the
 * name. */
static bool group_join(int fd, const struct mesh_addr *group, const struct mesh_addr *local)
{
    const struct ip_mreqn membership = group_membership(group, local);
    struct ipv6_mreq membership_v6 = {.ipv6mr_interface = group->scope};

    memcpy(&membership_v6.ipv6mr_multiaddr, group->ip, sizeof group->ip);
    if (mesh_addr_is_v4(group))
        return group_set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) &&
               setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership) == 0;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &membership_v6, sizeof membership_v6) == 0;
}

bool mesh_udp_group_aim(int fd, const struct mesh_addr *group, const struct mesh_addr *local)
{
    const struct ip_mreqn membership = group_membership(group, local);

    if (mesh_addr_is_v4(group))
        return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &membership, sizeof membership) == 0 &&
               group_set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1) && group_set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    return group_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)group->scope) && group_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1) &&
           group_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
}

void mesh_udp_group_loop(int fd, const struct mesh_addr *group)
{
    if (mesh_addr_is_v4(group))
        group_set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    else
        group_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1);
}

int mesh_udp_group_open(const struct mesh_addr *group, const struct mesh_addr *local)
{
    const int family = mesh_addr_is_v4(group) ? AF_INET : AF_INET6;
    const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage name;
    const socklen_t name_bytes = mesh_addr_to_sockaddr(group, family, &name);

    if (fd >= 0 && group_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && bind(fd, (const struct sockaddr *)&name, name_bytes) == 0 &&
        group_join(fd, group, local))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool has_route(const struct mesh_addr *group, const struct mesh_addr *local)
{
    const int family = mesh_addr_is_v4(group) ? AF_INET : AF_INET6, fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage name;
    const socklen_t name_bytes = mesh_addr_to_sockaddr(group, family, &name);
    const bool has = fd >= 0 && mesh_udp_group_aim(fd, group, local) && connect(fd, (const struct sockaddr *)&name, name_bytes) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

uint32_t mesh_udp_group_path_bytes(const struct mesh_addr *group, const struct mesh_addr *local)
{
    const bool is_v4 = mesh_addr_is_v4(group);
    const uint32_t headers = is_v4 ? 28 : 48, mtu = mesh_udp_route_mtu(group, is_v4 && mesh_addr_is_v4(local) ? local : NULL);

    if (mtu == 0) /* a sandbox may forbid to read routes: then what every path carries */
        return has_route(group, local) ? MESH_DATAGRAM_BYTES_MIN : 0;
    if (mtu < headers + MESH_DATAGRAM_BYTES_MIN)
        return 0;
    return mtu - headers < UDP_DATAGRAM_BYTES_MAX ? mtu - headers : UDP_DATAGRAM_BYTES_MAX;
}
