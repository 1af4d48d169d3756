#include "socket_address.h"

#include <errno.h>
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

int socket_address_refused(const char *option, struct mesh_addr addr, int reason, struct fail *fail)
{
    char text[MESH_ADDR_TEXT_BYTES];

    mesh_addr_format(addr, text);
    return fail_set(fail, EXIT_ENVIRONMENT, "%s %s: cannot listen: %s: %s", option, text, reason != 0 ? strerror(reason) : "unknown",
                    reason == EADDRINUSE ? "another program has this TCP port: end it, or give another one"
                                         : fail_advice(reason, "give another address"));
}
