#include "bench_datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/udp.h"
#include "node/common/socket_hint.h"

enum {
    ROUNDS = 300,
    ROUNDS_QUICK = 20,
    MANY = 8,
    DATAGRAM_BYTES = 400,   /* a tile of eight nodes */
    COLD_BYTES = 512 << 10, /* read between calls, as weights would be: evicts what the last call left in the nearest caches */
    COLD_PLACES = 64,
    CARD_EACH_NS = 650,
    COST_NS_MAX = 1000000000
};

struct pair {
    int from, to; /* sockets */
    struct sockaddr_in name;
    uint8_t *cold; /* (COLD_PLACES, COLD_BYTES) */
    unsigned place;
    struct mmsghdr message[MANY];
    struct iovec way[MANY];
    uint8_t data[MANY][DATAGRAM_BYTES];
};

static int open_socket(struct sockaddr_in *name)
{
    socklen_t size = sizeof *name;
    const int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (s >= 0 && bind(s, (struct sockaddr *)name, size) == 0 && getsockname(s, (struct sockaddr *)name, &size) == 0)
        return s;
    if (s >= 0)
        close(s);
    return -1;
}

static void read_weights(struct pair *pair)
{
    const uint8_t *at = pair->cold + (size_t)(pair->place++ % COLD_PLACES) * COLD_BYTES;
    volatile uint8_t sum = 0;

    for (size_t i = 0; i < COLD_BYTES; i += 64)
        sum = (uint8_t)(sum + at[i]);
}

static double send_some(struct pair *pair, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pair->message[i].msg_hdr =
            (struct msghdr){.msg_name = &pair->name, .msg_namelen = sizeof pair->name, .msg_iov = &pair->way[i], .msg_iovlen = 1};
    read_weights(pair);
    const uint64_t begin_ns = mesh_udp_now_ns();
    (void)!sendmmsg(pair->from, pair->message, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return (double)(mesh_udp_now_ns() - begin_ns);
}

static double receive_some(struct pair *pair)
{
    struct sockaddr_in name[MANY];

    for (unsigned i = 0; i < MANY; i++)
        pair->message[i].msg_hdr =
            (struct msghdr){.msg_name = &name[i], .msg_namelen = sizeof name[i], .msg_iov = &pair->way[i], .msg_iovlen = 1};
    read_weights(pair);
    const uint64_t begin_ns = mesh_udp_now_ns();
    (void)!recvmmsg(pair->to, pair->message, MANY, MSG_DONTWAIT, NULL);
    return (double)(mesh_udp_now_ns() - begin_ns);
}

static uint64_t rest(double ns)
{
    return ns > 0 ? (uint64_t)ns : 0;
}

static void measure(struct pair *pair, int rounds, struct virtual_costs *costs)
{
    struct bench_series one = {.count = 0}, many = {.count = 0}, none = {.count = 0}, read_many = {.count = 0};

    for (int r = 0; r < rounds; r++) {
        bench_add(&one, send_some(pair, 1));
        receive_some(pair);
        bench_add(&many, send_some(pair, MANY));
        bench_add(&read_many, receive_some(pair));
        bench_add(&none, receive_some(pair));
    }
    const double each_ns = (bench_stat_of(&many).median - bench_stat_of(&one).median) / (MANY - 1);
    const double empty_ns = bench_stat_of(&none).median;

    *costs = (struct virtual_costs){
        .send_call_ns = rest(bench_stat_of(&one).median - each_ns),
        .send_each_ns = rest(each_ns < CARD_EACH_NS ? each_ns : CARD_EACH_NS),
        .deliver_ns = rest(each_ns - CARD_EACH_NS),
        .receive_call_ns = rest(empty_ns),
        .receive_each_ns = rest((bench_stat_of(&read_many).median - empty_ns) / MANY),
    };
}

int bench_datagram_costs(const struct bench *bench, struct virtual_costs *costs, struct fail *fail)
{
    static struct pair pair;
    struct sockaddr_in own;
    int err = 0;

    memset(&pair, 0, sizeof pair);
    for (unsigned i = 0; i < MANY; i++)
        pair.way[i] = (struct iovec){pair.data[i], DATAGRAM_BYTES};
    pair.cold = malloc((size_t)COLD_PLACES * COLD_BYTES);
    if (pair.cold == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    memset(pair.cold, 1, (size_t)COLD_PLACES * COLD_BYTES);
    pair.from = open_socket(&own);
    pair.to = open_socket(&pair.name);
    if (pair.from < 0 || pair.to < 0)
        err = fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot open a UDP socket: %s: %s", strerror(errno),
                       socket_hint(errno, "is the loopback interface up?"));
    else
        measure(&pair, bench->quick ? ROUNDS_QUICK : ROUNDS, costs);
    if (pair.from >= 0)
        close(pair.from);
    if (pair.to >= 0)
        close(pair.to);
    free(pair.cold);
    return err;
}

int bench_datagram_parse(const char *text, struct virtual_costs *costs, struct fail *fail)
{
    uint64_t *const field[] = {&costs->send_call_ns, &costs->send_each_ns, &costs->deliver_ns, &costs->receive_call_ns,
                               &costs->receive_each_ns};
    enum { FIELDS = sizeof field / sizeof *field };
    const char *at = text;

    for (size_t i = 0; i < FIELDS; i++) {
        uint64_t value = 0;
        const char *digits = at;

        for (; *at >= '0' && *at <= '9' && value <= COST_NS_MAX; at++)
            value = value * 10 + (uint64_t)(*at - '0');
        if (at == digits || value > COST_NS_MAX || *at != (i + 1 < FIELDS ? ',' : '\0'))
            return fail_set(fail, EXIT_USAGE,
                            "--datagram-ns %s: not possible: give five numbers of nanoseconds, up to %d, with commas between", text,
                            COST_NS_MAX);
        *field[i] = value;
        at += i + 1 < FIELDS;
    }
    return 0;
}
