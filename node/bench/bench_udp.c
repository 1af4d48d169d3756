/* Round-trip time of a datagram to another thread over loopback, for comparison with the figures of meshes.
 *
 * Once with both sides sleeping until a datagram arrives, and once with both polling, as nodes do within a token. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_udp.h"
#include "mesh/udp.h"
#include "node/common/pool.h"
#include "node/common/socket_hint.h"

enum { ROUND_TRIPS = 400, ROUND_TRIPS_QUICK = 50, SPINS_MAX = 200, WAIT_MS = 200, LARGE_BYTES = 1400 };

struct udp {
    int socket[2]; /* 0 asks, 1 echoes */
    size_t bytes;
    bool polls;
    uint32_t count; /* of round trips */
    struct bench_series *series;
    atomic_bool is_over;
};

static int open_socket(struct sockaddr_in *address, struct fail *fail)
{
    socklen_t size = sizeof *address;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (s >= 0 && bind(s, (struct sockaddr *)address, size) == 0 && getsockname(s, (struct sockaddr *)address, &size) == 0)
        return s;
    if (s >= 0)
        close(s);
    return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot open a UDP socket: %s: %s", strerror(errno),
                    socket_hint(errno, "is the loopback interface up?"));
}

static int open_pair(struct udp *udp, struct fail *fail)
{
    struct sockaddr_in address[2];

    udp->socket[0] = udp->socket[1] = -1;
    for (int i = 0; i < 2; i++)
        if ((udp->socket[i] = open_socket(&address[i], fail)) < 0)
            return -1;
    for (int i = 0; i < 2; i++)
        if (connect(udp->socket[i], (struct sockaddr *)&address[1 - i], sizeof *address) != 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot connect a UDP socket: %s: is the loopback interface up?",
                            strerror(errno));
    return 0;
}

static void close_pair(struct udp *udp)
{
    for (int i = 0; i < 2; i++)
        if (udp->socket[i] >= 0)
            close(udp->socket[i]);
}

/* False when nothing came in time: lost, or the run is over. */
static bool receive(struct udp *udp, int s, uint8_t *datagram)
{
    struct pollfd ready = {.fd = s, .events = POLLIN};

    if (!udp->polls)
        return poll(&ready, 1, WAIT_MS) == 1 && recv(s, datagram, BENCH_UDP_BYTES_MAX, MSG_DONTWAIT) > 0;
    uint64_t begin_ns = mesh_udp_now_ns();
    for (uint32_t spins = 1; recv(s, datagram, BENCH_UDP_BYTES_MAX, MSG_DONTWAIT) < 0; spins++) {
        if (spins % SPINS_MAX != 0)
            continue;
        if (atomic_load(&udp->is_over) || mesh_udp_now_ns() - begin_ns > (uint64_t)WAIT_MS * 1000000)
            return false;
        sched_yield();
    }
    return true;
}

static void echo(struct udp *udp)
{
    uint8_t datagram[BENCH_UDP_BYTES_MAX];

    while (!atomic_load(&udp->is_over))
        if (receive(udp, udp->socket[1], datagram))
            (void)!send(udp->socket[1], datagram, udp->bytes, 0);
}

static void ask(struct udp *udp)
{
    uint8_t datagram[BENCH_UDP_BYTES_MAX] = {0};

    for (uint32_t i = 0; i < udp->count; i++) {
        uint64_t begin_ns = mesh_udp_now_ns();

        if (send(udp->socket[0], datagram, udp->bytes, 0) == (ssize_t)udp->bytes && receive(udp, udp->socket[0], datagram))
            bench_add(udp->series, (double)(mesh_udp_now_ns() - begin_ns) / 1e3);
    }
    atomic_store(&udp->is_over, true);
}

static void work(void *app, uint16_t index)
{
    pool_pin(index);
    if (index == 0)
        ask(app);
    else
        echo(app);
}

int bench_udp_round_trips(size_t bytes, bool polls, uint32_t count, struct bench_series *series, struct fail *fail)
{
    struct udp udp = {.bytes = bytes, .polls = polls, .count = count, .series = series};
    struct pool *pool = NULL;

    assert(bytes <= BENCH_UDP_BYTES_MAX);
    if (open_pair(&udp, fail) == 0)
        pool = pool_start(2, work, &udp, fail);
    pool_join(pool);
    close_pair(&udp);
    return pool != NULL && fail->text[0] == '\0' ? 0 : -1;
}

static int measure(struct bench *bench, size_t bytes, bool polls, struct fail *fail)
{
    struct bench_series series = {.count = 0};
    char name[64];
    struct bench_row row = {.event = "udp_round_trip", .name = name};

    if (bench_udp_round_trips(bytes, polls, bench->quick ? ROUND_TRIPS_QUICK : ROUND_TRIPS, &series, fail) < 0)
        return -1;
    snprintf(name, sizeof name, "%zu bytes, %s", bytes, polls ? "polling" : "sleeping");
    bench_label_number(&row, "bytes", bytes);
    bench_label_text(&row, "receiver", polls ? "polls" : "sleeps");
    bench_value(&row, "round_trip_us", "us", 1, bench_stat_of(&series));
    bench_print(bench, &row);
    return 0;
}

int bench_udp(struct bench *bench, struct fail *fail)
{
    static const size_t sizes[] = {64, LARGE_BYTES};

    bench_heading(bench, "UDP round trip between two threads over loopback");
    for (size_t i = 0; i < 2; i++)
        for (int polls = 0; polls < 2; polls++)
            if ((polls == 0 || bench->cores > 1) && measure(bench, sizes[i], polls == 1, fail) < 0)
                return -1;
    return 0;
}
