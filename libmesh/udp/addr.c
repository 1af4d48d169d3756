/* Addresses of endpoints as text, as mesh_addr and as the kernel's sockaddr.
 *
 * IPv4 is always stored mapped (::ffff:a.b.c.d), scope 0, so two addresses are the same place when their bytes are equal. */
#include "addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t addr_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool mesh_addr_is_loopback(struct mesh_addr addr)
{
    static const uint8_t v6_loopback[16] = {[15] = 1};

    return mesh_addr_is_v4(&addr) ? addr.ip[12] == 127 : memcmp(addr.ip, v6_loopback, sizeof v6_loopback) == 0;
}

const char *mesh_addr_fault(struct mesh_addr addr)
{
    const bool is_v4 = mesh_addr_is_v4(&addr);
    const uint8_t *v4 = addr.ip + 12;

    if (addr.port == 0)
        return "port 0 is any port: give the one at which the node listens";
    if (is_v4 ? v4[0] == 0 : mesh_addr_is_any(&addr))
        return "a wildcard address is no machine's: give the one by which others reach it";
    if (is_v4 ? v4[0] >= 224 : addr.ip[0] == 0xff)
        return "no single machine has it: give the one by which others reach it";
    if (!is_v4 && addr.ip[0] == 0xfe && (addr.ip[1] & 0xc0) == 0x80 && addr.scope == 0)
        return "a link-local address needs its interface: give it as in [fe80::1%eth0]:7411";
    return NULL;
}

void mesh_addr_from_sockaddr(const struct sockaddr_storage *from, struct mesh_addr *addr)
{
    memset(addr, 0, sizeof *addr);
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

        memcpy(addr->ip, addr_mapped, sizeof addr_mapped);
        memcpy(addr->ip + 12, &v4->sin_addr, 4);
        addr->port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

        memcpy(addr->ip, &v6->sin6_addr, 16);
        addr->port = ntohs(v6->sin6_port);
        addr->scope = mesh_addr_is_v4(addr) ? 0 : v6->sin6_scope_id;
    }
}

socklen_t mesh_addr_to_sockaddr(const struct mesh_addr *addr, int family, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)to;

        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr->port);
        memcpy(&v4->sin_addr, addr->ip + 12, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(addr->port);
    memcpy(&v6->sin6_addr, addr->ip, 16);
    v6->sin6_scope_id = addr->scope;
    return sizeof *v6;
}

static int addr_refuse(char *reason, size_t reason_bytes, const char *text, const char *why)
{
    snprintf(reason, reason_bytes, "'%.60s': %s: expected ADDRESS:PORT, e.g. 192.168.1.5:7411, [fe80::1%%eth0]:7411 or host:7411", text,
             why);
    return MESH_EINVAL;
}

/* Nobody knows the name, or the interface, now: the network or its name server may be down, and come up. */
static int addr_refuse_name(char *reason, size_t reason_bytes, const char *text, const char *why)
{
    if (strchr(text, '%') != NULL)
        snprintf(reason, reason_bytes, "'%.60s': this machine has no such interface, or this is no IPv6 address: see ip link", text);
    else
        snprintf(reason, reason_bytes, "'%.60s': %s: check the name, the network and its name server", text, why);
    return MESH_ESYSTEM;
}

static int addr_parse_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long value;

    if (*text < '0' || *text > '9')
        return MESH_EINVAL;
    value = strtoul(text, &end, 10);
    if (*end != '\0' || value > UINT16_MAX)
        return MESH_EINVAL;
    *port = (uint16_t)value;
    return 0;
}

/* A name resolves to its first IPv4 address when it has one: a datagram sender gets no refusal that would tell it to try the next. */
static int addr_resolve(const char *host, struct mesh_addr *addr, const char **why)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list, *best = NULL;
    struct sockaddr_storage found = {0};
    const int err = getaddrinfo(host, NULL, &hints, &list);

    if (err != 0) {
        *why = gai_strerror(err);
        errno = err == EAI_NONAME || err == EAI_NODATA ? ENOENT : EAGAIN;
        return MESH_ESYSTEM;
    }
    for (struct addrinfo *one = list; one != NULL; one = one->ai_next)
        if (best == NULL || (best->ai_family != AF_INET && one->ai_family == AF_INET))
            best = one;
    assert(best != NULL); /* success gives at least one */
    memcpy(&found, best->ai_addr, best->ai_addrlen);
    freeaddrinfo(list);
    mesh_addr_from_sockaddr(&found, addr);
    return 0;
}

/* Numeric IPv4 and IPv6 without the resolver; the rest (names, scoped addresses) with it. */
static int addr_parse_host(const char *host, bool bracketed, struct mesh_addr *addr, const char **why)
{
    if (*host == '\0') {
        if (bracketed) {
            *why = "no address between the brackets";
            return MESH_EINVAL;
        }
        return 0; /* any address: all zeros */
    }
    if (!bracketed && inet_pton(AF_INET, host, addr->ip + 12) == 1) {
        memcpy(addr->ip, addr_mapped, sizeof addr_mapped);
        return 0;
    }
    if (bracketed && inet_pton(AF_INET6, host, addr->ip) == 1)
        return 0;
    return addr_resolve(host, addr, why);
}

int mesh_addr_parse(const char *text, struct mesh_addr *addr, char *reason, size_t reason_bytes)
{
    struct mesh_addr parsed = {.port = 0};
    const char *colon = strrchr(text, ':');
    const bool bracketed = *text == '[';
    const char *why = NULL;
    char host[256];
    size_t size;
    uint16_t port;
    int err;

    if (colon == NULL)
        return addr_refuse(reason, reason_bytes, text, "no port");
    size = (size_t)(colon - text);
    if (bracketed && (size < 2 || text[size - 1] != ']'))
        return addr_refuse(reason, reason_bytes, text, "no port after the closing bracket");
    if (!bracketed && memchr(text, ':', size) != NULL)
        return addr_refuse(reason, reason_bytes, text, "an IPv6 address needs brackets");
    if (addr_parse_port(colon + 1, &port) != 0)
        return addr_refuse(reason, reason_bytes, text, "the port is not a number from 0 to 65535");
    size -= bracketed ? 2 : 0;
    if (size >= sizeof host)
        return addr_refuse(reason, reason_bytes, text, "the name is longer than 255 bytes");
    memcpy(host, text + (bracketed ? 1 : 0), size);
    host[size] = '\0';
    err = addr_parse_host(host, bracketed, &parsed, &why);
    if (err != 0)
        return err == MESH_ESYSTEM ? addr_refuse_name(reason, reason_bytes, text, why) : addr_refuse(reason, reason_bytes, text, why);
    parsed.port = port;
    *addr = parsed;
    return 0;
}

void mesh_addr_format(struct mesh_addr addr, char out[MESH_ADDR_TEXT_BYTES])
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (mesh_addr_is_v4(&addr)) {
        inet_ntop(AF_INET, addr.ip + 12, ip, sizeof ip);
        snprintf(out, MESH_ADDR_TEXT_BYTES, "%.15s:%u", ip, addr.port);
        return;
    }
    inet_ntop(AF_INET6, addr.ip, ip, sizeof ip);
    if (addr.scope != 0)
        snprintf(out, MESH_ADDR_TEXT_BYTES, "[%.39s%%%u]:%u", ip, addr.scope, addr.port);
    else
        snprintf(out, MESH_ADDR_TEXT_BYTES, "[%.45s]:%u", ip, addr.port);
}
