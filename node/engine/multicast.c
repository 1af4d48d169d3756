#include "multicast.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { USUAL_PORT = 7413 };

/* Is it wider than one link? An IPv6 group of wider scope is received through every interface on which any program has joined it. */
static bool is_wide(const struct mesh_addr *addr)
{
    return addr->ip[0] == 0xff && (addr->ip[1] & 0x0f) != 2;
}

static bool is_group(const struct mesh_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(addr->ip, mapped, sizeof mapped) == 0)
        return (addr->ip[12] & 0xf0) == 0xe0;
    return addr->ip[0] == 0xff && addr->scope != 0;
}

int multicast_address(const char *text, uint16_t usual_port, struct mesh_addr *group, char *reason, size_t reason_bytes)
{
    char with_port[MESH_ADDR_TEXT_BYTES], ignored[1];
    int err = mesh_addr_parse(text, group, reason, reason_bytes);

    if (err != MESH_OK && (size_t)snprintf(with_port, sizeof with_port, "%s:%u", text, usual_port) < sizeof with_port &&
        mesh_addr_parse(with_port, group, ignored, sizeof ignored) == MESH_OK)
        return MESH_OK;
    return err;
}

int multicast_parse(const char *text, struct mesh_addr *group, struct fail *fail)
{
    char reason[160];

    if (multicast_address(text, USUAL_PORT, group, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "--multicast %.100s: %s: give a group such as 239.255.77.13:7413", text, reason);
    if (is_wide(group))
        return fail_set(
            fail, EXIT_USAGE,
            "--multicast %.100s: no group of one link: of IPv6 give a link-local one with its interface, such as [ff02::4d13%%eth0]:7413",
            text);
    if (!is_group(group) || group->port == 0)
        return fail_set(fail, EXIT_USAGE,
                        "--multicast %.100s: no multicast group, or port 0: give one such as 239.255.77.13:7413 or [ff02::4d13%%eth0]:7413",
                        text);
    return 0;
}

static int cannot_be_heard(const char *text, int reason, struct fail *fail)
{
    if (reason == EADDRINUSE)
        return fail_set(
            fail, EXIT_ENVIRONMENT,
            "--multicast %s: cannot be heard: its port is in use by this node's own address or by a program that does not share "
            "it: give the group another port, on all nodes",
            text);
    if (reason == EAFNOSUPPORT)
        return fail_set(
            fail, EXIT_ENVIRONMENT,
            "--multicast %s: cannot be heard: this node's own address is not of the group's family: give an IPv4 group where nodes "
            "have IPv4 addresses, one of IPv6 where they have those",
            text);
    return fail_set(fail, EXIT_ENVIRONMENT, "--multicast %s: cannot be heard: %s: %s", text, strerror(reason),
                    fail_advice(reason, "does this network carry multicast? Leave it out"));
}

int multicast_open(struct mesh_udp *udp, struct mesh_addr group, struct fail *fail)
{
    char text[MESH_ADDR_TEXT_BYTES];
    uint32_t group_bytes;

    if (group.port == 0)
        return 0;
    mesh_addr_format(group, text);
    if (mesh_udp_set_group(udp, group) != MESH_OK)
        return cannot_be_heard(text, errno, fail);
    errno = 0;
    group_bytes = mesh_udp_group_bytes(udp);
    if (group_bytes == 0 && fail_advice(errno, NULL) != NULL) /* looking for the way there takes a socket of its own */
        return cannot_be_heard(text, errno, fail);
    if (group_bytes == 0)
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "--multicast %s: the interface of this node's address cannot send there: give another group or leave it out", text);
    return 0;
}

void multicast_tell(const struct mesh_udp *udp, struct mesh *mesh)
{
    const uint32_t bytes = mesh_udp_group_bytes(udp);

    if (bytes > 0)
        mesh_set_group(mesh, bytes);
}
