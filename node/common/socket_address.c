#include "socket_address.h"

#include <netinet/in.h>
#include <string.h>

#include "mesh/udp.h"

void socket_address(struct mesh_addr addr, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (mesh_addr_is_v4(&addr)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr.port);
        memcpy(&v4->sin_addr, addr.ip + 12, 4);
        return;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(addr.port);
    v6->sin6_scope_id = addr.scope;
    memcpy(&v6->sin6_addr, addr.ip, 16);
}
