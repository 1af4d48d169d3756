/* How large a packet may leave by the route to an address: what the interface carries, or less where the route itself was given an MTU.
 *
 * The kernel also keeps a cache of what routers have reported (ICMP). Nothing proves such a report, so anybody who knows two addresses can
 * make one up, and it lasts for ten minutes: it is never asked for here. */
#include "udp_parts.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "addr.h"

enum { ANSWER_BYTES = 8192 };

struct question {
    struct nlmsghdr header;
    struct rtmsg route;
    uint8_t attributes[64];
};

struct route {
    uint32_t interface; /* 0: not told */
    uint32_t mtu;       /* its own; 0: it has none */
};

static void add_attribute(struct question *question, uint16_t type, const void *value, size_t bytes)
{
    const struct rtattr attribute = {.rta_len = (uint16_t)RTA_LENGTH(bytes), .rta_type = type};
    uint8_t *const at = (uint8_t *)question + question->header.nlmsg_len;

    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), value, bytes);
    question->header.nlmsg_len += (uint32_t)RTA_SPACE(bytes);
}

static void add_address(struct question *question, uint16_t type, const struct mesh_addr *addr)
{
    const size_t skip = question->route.rtm_family == AF_INET ? 12 : 0;

    add_attribute(question, type, addr->ip + skip, sizeof addr->ip - skip);
}

/* The value of an attribute in a row of them, and its size; NULL: there is none. */
static const uint8_t *find(const uint8_t *at, size_t bytes, uint16_t type, size_t *value_bytes)
{
    struct rtattr attribute;

    while (bytes >= sizeof attribute) {
        size_t step;

        memcpy(&attribute, at, sizeof attribute);
        if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > bytes)
            return NULL;
        if ((attribute.rta_type & NLA_TYPE_MASK) == type) {
            *value_bytes = attribute.rta_len - RTA_LENGTH(0);
            return at + RTA_LENGTH(0);
        }
        step = RTA_ALIGN((size_t)attribute.rta_len);
        step = step < bytes ? step : bytes;
        at += step;
        bytes -= step;
    }
    return NULL;
}

static uint32_t find_u32(const uint8_t *at, size_t bytes, uint16_t type)
{
    uint32_t number = 0;
    size_t value_bytes;
    const uint8_t *value = find(at, bytes, type, &value_bytes);

    if (value != NULL && value_bytes >= sizeof number)
        memcpy(&number, value, sizeof number);
    return number;
}

static struct route read_answer(const uint8_t *answer, size_t bytes)
{
    const size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct rtmsg));
    struct nlmsghdr header;
    struct route route = {0};
    const uint8_t *metrics;
    size_t metrics_bytes;

    if (bytes < skip)
        return route;
    memcpy(&header, answer, sizeof header);
    if (header.nlmsg_type != RTM_NEWROUTE || header.nlmsg_len > bytes || header.nlmsg_len < skip)
        return route;
    route.interface = find_u32(answer + skip, header.nlmsg_len - skip, RTA_OIF);
    metrics = find(answer + skip, header.nlmsg_len - skip, RTA_METRICS, &metrics_bytes);
    if (metrics != NULL)
        route.mtu = find_u32(metrics, metrics_bytes, RTAX_MTU);
    return route;
}

/* flags RTM_F_FIB_MATCH: as it is configured, which may name several interfaces or none; 0: as it is used, which shows what is cached. */
static struct route ask(int fd, const struct mesh_addr *to, const struct mesh_addr *from, unsigned flags)
{
    const bool is_v4 = mesh_addr_is_v4(to);
    const uint8_t bits = is_v4 ? 32 : 128;
    struct question question = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof question.route), .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
        .route = {.rtm_family = is_v4 ? AF_INET : AF_INET6, .rtm_dst_len = bits, .rtm_flags = flags}};
    _Alignas(struct nlmsghdr) uint8_t answer[ANSWER_BYTES];
    ssize_t bytes;

    add_address(&question, RTA_DST, to);
    if (from != NULL) {
        question.route.rtm_src_len = bits;
        add_address(&question, RTA_SRC, from);
    }
    if (to->scope != 0)
        add_attribute(&question, RTA_OIF, &to->scope, sizeof to->scope);
    bytes = send(fd, &question, question.header.nlmsg_len, MSG_DONTWAIT) < 0
                ? -1
                : recv(fd, answer, sizeof answer, MSG_DONTWAIT); /* the kernel has answered */
    return read_answer(answer, bytes > 0 ? (size_t)bytes : 0);
}

/* 0: unknown. */
static uint32_t mtu_of_interface(int fd, uint32_t interface)
{
    struct ifreq request = {.ifr_ifindex = (int)interface};

    if (interface == 0 || ioctl(fd, SIOCGIFNAME, &request) != 0 || ioctl(fd, SIOCGIFMTU, &request) != 0)
        return 0;
    return request.ifr_mtu > 0 ? (uint32_t)request.ifr_mtu : 0;
}

uint32_t mesh_udp_route_mtu(const struct mesh_addr *to, const struct mesh_addr *from)
{
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    uint32_t mtu, configured;

    if (fd < 0)
        return 0;
    mtu = mtu_of_interface(fd, ask(fd, to, from, 0).interface);
    configured = mtu > 0 ? ask(fd, to, from, RTM_F_FIB_MATCH).mtu : 0;
    close(fd);
    return configured > 0 && configured < mtu ? configured : mtu;
}
