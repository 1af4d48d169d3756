/* A tile to all other nodes: one datagram to each, as nodes send it, compared with one to a multicast group.
 *
 * Hosts are namespaces on a bridge. There the sender's processor makes the bridge's copies and puts them into the receivers' sockets, which
 * on a real network a switch and the receivers do. So the same is measured with an interface that discards all datagrams: the cost of a
 * sender with a network card, without its driver. A node in a group polls one more socket: that cost is a row, too. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "bench_switch.h"
#include "mesh/udp.h"
#include "node/common/pool.h"

enum {
    TILES = 400, /* of each method */
    TILES_QUICK = 40,
    WAIT_NS = 20000000, /* a tile that has not arrived by then is lost */
    SPINS_MAX = 100,
    PORT = 7411,
    GROUP_PORT = 7413,
    TILE_BYTES = 1200,
    WAYS = 2 /* to each node, to the group */
};

static const uint32_t group = 239u << 24 | 255u << 16 | 77u << 8 | 13u;

struct multicast {
    uint16_t hosts;                        /* the sender included */
    int sender, to[BENCH_HOSTS_MAX][WAYS]; /* sockets; -1: none */
    struct sockaddr_in name[BENCH_HOSTS_MAX], group;
    uint8_t tile[TILE_BYTES]; /* begins with its number */
    _Atomic uint32_t number;  /* of the tile being sent: earlier ones that come late do not count */
    _Atomic uint32_t arrived; /* receivers that have the tile being sent */
    _Atomic uint64_t last_ns; /* when the last of them got it */
    atomic_bool is_over;
    struct bench_series sending_us[WAYS], through_us[WAYS];
};

static struct sockaddr_in name_of(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
}

/* Bound to a port of this host, or to the group that it receives, if the address is one. */
static int open_socket(uint32_t address, uint16_t port, uint32_t interface)
{
    const struct sockaddr_in name = name_of(address, port);
    const struct ip_mreqn mreq = {.imr_multiaddr = name.sin_addr, .imr_address.s_addr = htonl(interface)};
    const int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (s >= 0 && bind(s, (const struct sockaddr *)&name, sizeof name) == 0 &&
        (address != group || setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof mreq) == 0))
        return s;
    if (s >= 0)
        close(s);
    return -1;
}

static int open_sender(uint32_t address)
{
    const struct ip_mreqn mreq = {.imr_address.s_addr = htonl(address)};
    const int zero = 0, s = open_socket(address, PORT, address);

    if (s >= 0 && (setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &mreq, sizeof mreq) != 0 ||
                   setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &zero, sizeof zero) != 0)) {
        close(s);
        return -1;
    }
    return s;
}

static bool open_all(struct multicast *m, const struct bench_switch *hosts)
{
    bool is_open = true;

    m->group = name_of(group, GROUP_PORT);
    for (uint16_t h = 0; h < BENCH_HOSTS_MAX; h++) {
        m->name[h] = name_of(bench_switch_address(h), PORT);
        m->to[h][0] = m->to[h][1] = -1;
    }
    for (uint16_t h = 0; h < hosts->hosts; h++) {
        const uint32_t address = bench_switch_address(h);

        bench_switch_enter(hosts, h);
        if (h == 0) {
            is_open = is_open && (m->sender = open_sender(address)) >= 0;
            continue;
        }
        m->to[h][0] = open_socket(address, PORT, address);
        m->to[h][1] = open_socket(group, GROUP_PORT, address);
        is_open = is_open && m->to[h][0] >= 0 && m->to[h][1] >= 0;
    }
    bench_switch_leave(hosts);
    return is_open;
}

static void close_all(struct multicast *m)
{
    if (m->sender >= 0)
        close(m->sender);
    for (uint16_t h = 1; h < BENCH_HOSTS_MAX; h++)
        for (int way = 0; way < WAYS; way++)
            if (m->to[h][way] >= 0)
                close(m->to[h][way]);
}

/* All receivers, polled in turn by one thread. */
static void receive(void *app, uint16_t index)
{
    struct multicast *m = app;
    uint8_t tile[TILE_BYTES];
    uint32_t number;

    (void)index;
    for (uint32_t spins = 1; !atomic_load(&m->is_over); spins++) {
        for (uint16_t h = 1; h < m->hosts; h++)
            for (int way = 0; way < WAYS; way++)
                if (recv(m->to[h][way], tile, sizeof tile, MSG_DONTWAIT) > 0) {
                    memcpy(&number, tile, sizeof number);
                    if (number != atomic_load(&m->number))
                        continue;
                    atomic_store(&m->last_ns, mesh_udp_now_ns());
                    atomic_fetch_add(&m->arrived, 1);
                }
        if (spins % SPINS_MAX == 0)
            sched_yield();
    }
}

/* One tile to all others, in one call as the driver makes it. */
static void send_tile(struct multicast *m, int way)
{
    struct mmsghdr message[BENCH_HOSTS_MAX] = {0};
    struct iovec data = {m->tile, sizeof m->tile};
    const unsigned count = way == 0 ? m->hosts - 1u : 1;

    for (unsigned i = 0; i < count; i++)
        message[i].msg_hdr = (struct msghdr){
            .msg_name = way == 0 ? &m->name[i + 1] : &m->group, .msg_namelen = sizeof m->group, .msg_iov = &data, .msg_iovlen = 1};
    (void)!sendmmsg(m->sender, message, count, MSG_DONTWAIT);
}

/* Only tiles that all receivers got count. */
static void measure_tile(struct multicast *m, int way, bool has_receivers)
{
    const uint32_t all = has_receivers ? m->hosts - 1u : 0, number = atomic_load(&m->number) + 1;

    memcpy(m->tile, &number, sizeof number);
    atomic_store(&m->number, number);
    atomic_store(&m->arrived, 0);
    const uint64_t begin_ns = mesh_udp_now_ns();
    send_tile(m, way);
    const uint64_t sent_ns = mesh_udp_now_ns();
    for (uint32_t spins = 1; atomic_load(&m->arrived) < all && mesh_udp_now_ns() - begin_ns < WAIT_NS; spins++)
        if (spins % SPINS_MAX == 0)
            sched_yield();
    if (atomic_load(&m->arrived) != all)
        return;
    bench_add(&m->sending_us[way], (double)(sent_ns - begin_ns) / 1e3);
    if (has_receivers)
        bench_add(&m->through_us[way], (double)(atomic_load(&m->last_ns) - begin_ns) / 1e3);
}

static void print(struct bench *bench, const struct multicast *m, bool has_receivers)
{
    const char *device = has_receivers ? "bridge" : "card";
    char name[64];
    struct bench_row row = {.event = "multicast", .name = name};

    snprintf(name, sizeof name, "%u nodes, %s", (unsigned)m->hosts, device);
    bench_label_number(&row, "nodes", m->hosts);
    bench_label_text(&row, "device", device);
    bench_label_number(&row, "bytes", TILE_BYTES);
    bench_label_number(&row, "unicast_packets", m->hosts - 1u);
    bench_value(&row, "unicast_us", "us to send to each", 1, bench_stat_of(&m->sending_us[0]));
    bench_value(&row, "multicast_us", "us to send to the group", 1, bench_stat_of(&m->sending_us[1]));
    if (has_receivers) {
        bench_value(&row, "unicast_through_us", "us until all have it", 1, bench_stat_of(&m->through_us[0]));
        bench_value(&row, "multicast_through_us", "by the group", 1, bench_stat_of(&m->through_us[1]));
    }
    bench_print(bench, &row);
}

static int measure(struct bench *bench, struct multicast *m, bool has_receivers, struct fail *fail)
{
    const int tiles = bench->quick ? TILES_QUICK : TILES;
    struct pool *pool = has_receivers ? pool_start(1, receive, m, fail) : NULL;

    if (has_receivers && pool == NULL)
        return -1;
    for (int warm = 0; warm < 2 * WAYS; warm++) { /* neighbour entries are resolved */
        measure_tile(m, warm % WAYS, has_receivers);
        m->sending_us[warm % WAYS].count = m->through_us[warm % WAYS].count = 0;
    }
    for (int i = 0; i < 2 * tiles; i++)
        measure_tile(m, (i / 2 + i) % WAYS, has_receivers);
    atomic_store(&m->is_over, true);
    if (pool != NULL)
        pool_join(pool);
    print(bench, m, has_receivers);
    return 0;
}

/* Cost of polling an empty socket. */
static void measure_empty(struct bench *bench, struct multicast *m)
{
    struct bench_series ns = {.count = 0};
    struct bench_row row = {.event = "multicast_poll", .name = "one socket more"};
    enum { RUNS = 50, POLLS = 100 };
    uint8_t tile[TILE_BYTES];

    for (int run = 0; run < RUNS; run++) {
        const uint64_t begin_ns = mesh_udp_now_ns();

        for (int i = 0; i < POLLS; i++)
            (void)!recv(m->to[1][1], tile, sizeof tile, MSG_DONTWAIT);
        bench_add(&ns, (double)(mesh_udp_now_ns() - begin_ns) / POLLS);
    }
    bench_value(&row, "poll_ns", "ns for each poll", 0, bench_stat_of(&ns));
    bench_print(bench, &row);
}

/* False with no fail set when it could not be tried. */
static int measure_hosts(struct bench *bench, uint16_t nodes, bool has_receivers, bool *is_possible, struct fail *fail)
{
    static struct multicast m;
    struct bench_switch hosts;
    char why[160];
    int err = 0;

    memset(&m, 0, sizeof m);
    m.sender = -1;
    m.hosts = nodes;
    *is_possible = bench_switch_open(&hosts, has_receivers ? nodes : 1, !has_receivers, why, sizeof why);
    if (!*is_possible) {
        bench_skip(bench, "multicast", why);
        return 0;
    }
    if (!open_all(&m, &hosts))
        err = fail_set(fail, EXIT_ENVIRONMENT, "bench: no sockets on the bridge: %s: close other programs", strerror(errno));
    else
        err = measure(bench, &m, has_receivers, fail);
    if (err == 0 && has_receivers && nodes == 2)
        measure_empty(bench, &m);
    close_all(&m);
    bench_switch_close(&hosts);
    return err;
}

int bench_multicast(struct bench *bench, struct fail *fail)
{
    bool is_possible = true;

    bench_heading(bench, "a tile to all other nodes: a datagram to each, or one to a multicast group");
    for (int has_receivers = 0; has_receivers < 2; has_receivers++)
        for (uint16_t nodes = 2; nodes <= BENCH_HOSTS_MAX && is_possible; nodes++) {
            bench_progress(bench, "tiles to all");
            if (measure_hosts(bench, nodes, has_receivers == 1, &is_possible, fail) < 0)
                return -1;
        }
    return 0;
}
