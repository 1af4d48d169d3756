/* Bursts of datagrams of one size to one receiver: by one sendmmsg, and as one message that the kernel segments (UDP_SEGMENT), alternating.
 *
 * The figure is the sending thread's processor time per datagram. Over loopback it includes the kernel's receive path, but not the
 * receiver's system call. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "bench_memory.h"
#include "node/common/socket_hint.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* Linux 4.18 */
#endif

enum { BURST_MAX = 16, SIZE_MAX_BYTES = 1400, RUNS = 400, RUNS_QUICK = 10, WARM_RUNS = 20 };

struct burst {
    int from, to;
    unsigned count;
    size_t bytes;
    struct iovec part[BURST_MAX];
    struct mmsghdr message[BURST_MAX];
    uint8_t data[SIZE_MAX_BYTES];
};

static int open_pair(struct burst *b, struct fail *fail)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    b->from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    b->to = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (b->from >= 0 && b->to >= 0 && bind(b->to, (struct sockaddr *)&address, size) == 0 &&
        getsockname(b->to, (struct sockaddr *)&address, &size) == 0 && connect(b->from, (struct sockaddr *)&address, size) == 0)
        return 0;
    return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot open a UDP socket: %s: %s", strerror(errno),
                    socket_hint(errno, "is the loopback interface up?"));
}

static void fill(struct burst *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        b->part[i] = (struct iovec){b->data, b->bytes};
        b->message[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &b->part[i], .msg_iovlen = 1}};
    }
}

static bool send_each(struct burst *b)
{
    return sendmmsg(b->from, b->message, b->count, 0) == (int)b->count;
}

static bool send_as_one(struct burst *b)
{
    const uint16_t bytes = (uint16_t)b->bytes;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof bytes)] = {0};
    const struct msghdr header = {.msg_iov = b->part, .msg_iovlen = b->count, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *part = CMSG_FIRSTHDR(&header);

    part->cmsg_level = IPPROTO_UDP;
    part->cmsg_type = UDP_SEGMENT;
    part->cmsg_len = CMSG_LEN(sizeof bytes);
    memcpy(CMSG_DATA(part), &bytes, sizeof bytes);
    return sendmsg(b->from, &header, 0) == (ssize_t)(b->bytes * b->count);
}

/* False: some of them did not arrive. */
static bool drain(struct burst *b)
{
    unsigned got = 0;

    while (got < b->count && recv(b->to, b->data, sizeof b->data, MSG_DONTWAIT) == (ssize_t)b->bytes)
        got++;
    return got == b->count;
}

static bool run(struct burst *b, bool (*send_burst)(struct burst *), struct bench_series *us)
{
    const uint64_t begin_ns = bench_memory_thread_ns();
    const bool is_sent = send_burst(b);
    const uint64_t end_ns = bench_memory_thread_ns();

    if (us != NULL)
        bench_add(us, (double)(end_ns - begin_ns) / 1e3 / b->count);
    return drain(b) && is_sent;
}

static bool measure(struct bench *bench, struct burst *b)
{
    struct bench_series each = {.count = 0}, as_one = {.count = 0};
    char name[64];
    struct bench_row row = {.event = "burst", .name = name};
    bool is_well = true;

    fill(b);
    for (int i = 0; i < WARM_RUNS + (bench->quick ? RUNS_QUICK : RUNS) && is_well; i++)
        is_well = run(b, send_each, i < WARM_RUNS ? NULL : &each) && run(b, send_as_one, i < WARM_RUNS ? NULL : &as_one);
    if (!is_well)
        return false;
    snprintf(name, sizeof name, "%u of %zu bytes", b->count, b->bytes);
    bench_label_number(&row, "datagrams", b->count);
    bench_label_number(&row, "bytes", b->bytes);
    bench_value(&row, "each_us", "us each", 2, bench_stat_of(&each));
    bench_value(&row, "as_one_us", "us as one", 2, bench_stat_of(&as_one));
    bench_value(&row, "each_ratio", "of that", 2, bench_ratio_of(&as_one, &each));
    bench_print(bench, &row);
    return true;
}

static bool measure_all(struct bench *bench, struct burst *b)
{
    static const unsigned counts[] = {2, 4, 8, BURST_MAX};
    static const size_t sizes[] = {512, SIZE_MAX_BYTES};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        b->bytes = sizes[i];
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            b->count = counts[k];
            if (!measure(bench, b))
                return false;
        }
    }
    return true;
}

int bench_burst(struct bench *bench, struct fail *fail)
{
    struct burst b = {.count = 0};
    int err = open_pair(&b, fail);

    if (err == 0)
        bench_heading(bench, "bursts of datagrams over loopback: processor time of sending one, each by itself and as one message");
    if (err == 0 && !measure_all(bench, &b))
        bench_skip(bench, "burst", "the kernel does not cut messages (UDP_SEGMENT)");
    if (b.from >= 0)
        close(b.from);
    if (b.to >= 0)
        close(b.to);
    return err;
}
