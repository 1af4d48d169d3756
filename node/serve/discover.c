#include "discover.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/engine/multicast.h"

enum { USUAL_PORT = 7412, DISCOVER_BUFFER_BYTES = 1 << 20 /* of 1600 to 2500 small datagrams, between two polls */ };

int discover_parse(const char *text, struct mesh_addr *group, struct fail *fail)
{
    char reason[160];

    if (multicast_address(text, USUAL_PORT, group, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "--discover %.100s: %s: give a group such as 239.255.77.11:7412", text, reason);
    if (!mesh_addr_is_v4(group) || (group->ip[12] & 0xf0) != 0xe0 || group->port == 0)
        return fail_set(fail, EXIT_USAGE, "--discover %.100s: no IPv4 multicast group, or port 0: give one such as 239.255.77.11:7412",
                        text);
    return 0;
}

static struct sockaddr_in name_of(const struct mesh_addr *addr)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(addr->port)};

    memcpy(&name.sin_addr, addr->ip + 12, 4);
    return name;
}

int discover_open(struct mesh_addr group, struct mesh_addr listen, struct fail *fail)
{
    const struct sockaddr_in name = name_of(&group);
    struct ip_mreqn join = {.imr_multiaddr = name.sin_addr};
    char text[MESH_ADDR_TEXT_BYTES];
    const int zero = 0, one = 1, buffer_bytes = DISCOVER_BUFFER_BYTES;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (mesh_addr_is_v4(&listen))
        join.imr_address = name_of(&listen).sin_addr;
    /* The address can be shared: other nodes of this machine receive the group, too. A socket bound to it receives nothing else, and
     * without IP_MULTICAST_ALL not through other interfaces on which another program has joined the group. */
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &zero, sizeof zero) == 0 &&
        bind(fd, (const struct sockaddr *)&name, sizeof name) == 0 &&
        setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) == 0) {
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0)
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
        return fd;
    }
    mesh_addr_format(group, text);
    fail_fill(fail, EXIT_ENVIRONMENT, "--discover %s: cannot be heard: %s: %s", text, strerror(errno),
              fail_advice(errno, "does this network carry multicast? Give --join instead"));
    if (fd >= 0)
        close(fd);
    return -1;
}

ssize_t discover_next(int fd, struct mesh_addr *from, uint8_t *packet, size_t capacity)
{
    struct sockaddr_in name = {0};
    socklen_t name_bytes = sizeof name;
    const ssize_t bytes = recvfrom(fd, packet, capacity, 0, (struct sockaddr *)&name, &name_bytes);

    if (bytes < 0)
        return -1;
    *from = (struct mesh_addr){.ip = {[10] = 0xff, [11] = 0xff}, .port = ntohs(name.sin_port)};
    memcpy(from->ip + 12, &name.sin_addr, 4);
    return bytes;
}
