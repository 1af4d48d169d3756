/* What this machine's interfaces and routes say of an address. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "udp_parts.h"

uint32_t mesh_udp_path_bytes(struct mesh_addr to)
{
    const uint32_t headers = mesh_addr_is_v4(&to) ? 28 : 48, mtu = mesh_udp_route_mtu(&to, NULL);

    return mtu > headers ? mtu - headers : 0;
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

    if (!mesh_addr_is_loopback(from) || mesh_addr_is_loopback(to) || mesh_addr_is_v4(&from) != mesh_addr_is_v4(&to))
        return false;
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    from.port = 0;
    is_cut_off = fd >= 0 && bind(fd, (struct sockaddr *)&name, mesh_addr_to_sockaddr(&from, family, &name)) == 0 &&
                 connect(fd, (struct sockaddr *)&peer, mesh_addr_to_sockaddr(&to, family, &peer)) != 0 && errno == EINVAL;
    if (fd >= 0)
        close(fd);
    return is_cut_off;
}
