/* What this machine's interfaces and routes say of an address. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"

uint32_t mesh_udp_path_bytes(struct mesh_addr to)
{
    const bool is_v4 = mesh_addr_is_v4(&to);
    const int family = is_v4 ? AF_INET : AF_INET6, headers = is_v4 ? 28 : 48;
    const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage address;
    const socklen_t address_bytes = mesh_addr_to_sockaddr(&to, family, &address);
    int mtu = 0;
    socklen_t bytes = sizeof mtu;

    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)&address, address_bytes) != 0 ||
        getsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_MTU : IPV6_MTU, &mtu, &bytes) != 0)
        mtu = 0;
    close(fd);
    return mtu > headers ? (uint32_t)(mtu - headers) : 0;
}

bool mesh_udp_is_local(struct mesh_addr addr)
{
    const int family = mesh_addr_is_v4(&addr) ? AF_INET : AF_INET6;
    const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage name;
    bool is_local;

    addr.port = 0;
    is_local = fd < 0 || bind(fd, (struct sockaddr *)&name, mesh_addr_to_sockaddr(&addr, family, &name)) == 0 || errno != EADDRNOTAVAIL;
    if (fd >= 0)
        close(fd);
    return is_local;
}

bool mesh_udp_is_cut_off(struct mesh_addr from, struct mesh_addr to)
{
    const int family = mesh_addr_is_v4(&to) ? AF_INET : AF_INET6;
    struct sockaddr_storage name, peer;
    bool is_cut_off;
    int fd;

    if (!mesh_addr_is_loopback(from) || mesh_addr_is_loopback(to) || mesh_addr_is_v4(&from) != mesh_addr_is_v4(&to)) {
        return false;
    }
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    from.port = 0;
    is_cut_off = fd >= 0 && bind(fd, (struct sockaddr *)&name, mesh_addr_to_sockaddr(&from, family, &name)) == 0 &&
                 connect(fd, (struct sockaddr *)&peer, mesh_addr_to_sockaddr(&to, family, &peer)) != 0 && errno == EINVAL;
    if (fd >= 0)
        close(fd);
    return is_cut_off;
}
