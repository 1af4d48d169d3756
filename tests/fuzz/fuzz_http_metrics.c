/* Any bytes to the listener of --metrics, on several connections, in any pieces: each answer is one of HTTP, only GET and HEAD of the two
 * pages have them as an answer, and afterwards it still answers.
 *
 * Input: steps of a byte each for what is done and on which connection, one for the length, and so many bytes. Connections are on the
 * loopback, and leave nothing behind: clients reset them. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/udp.h"
#include "node/telemetry/http_metrics.h"
#include "tests/fuzz/fuzz_input.h"

enum { CLIENTS = 3, ANSWER_BYTES = 8192, RUNS_MAX = 20, RUNS_AT_LAST = 1000, LATE_NS = 2000000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
    int fd;                    /* 0: none */
    char answer[ANSWER_BYTES]; /* so far */
    size_t bytes;
    bool is_page; /* the listener was asked for a page meanwhile */
};

static struct http_metrics *http;
static struct client clients[CLIENTS];
static struct sockaddr_in listener;
static uint64_t now_ns = 1000000000;
static bool is_asked;

uint64_t mesh_udp_now_ns(void)
{
    return now_ns;
}

static void write_metrics(void *app, FILE *out)
{
    (void)app;
    is_asked = true;
    fputs("a_metric 1\n", out);
}

static bool write_health(void *app, FILE *out)
{
    (void)app;
    is_asked = true;
    fputs("{}\n", out);
    return true;
}

/* ---- clients ---- */

static void open_client(struct client *c)
{
    const struct linger at_once = {.l_onoff = 1};

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(c->fd > 0 && setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    (void)connect(c->fd, (const struct sockaddr *)&listener, sizeof listener);
    c->bytes = 0;
    c->is_page = false;
}

static void close_client(struct client *c)
{
    if (c->fd > 0)
        close(c->fd);
    c->fd = 0;
}

/* "HTTP/1.1 200 ...": a status that it gives, and no page by another; answers to HTTP/1.0 say so. */
static void check(const struct client *c)
{
    static const char *const statuses[] = {"100", "200", "404", "405", "400", "413", "414", "431", "501", "505", "500", "408", "411"};
    bool is_known = false;

    if (c->bytes < 13)
        return;
    require(memcmp(c->answer, "HTTP/1.", 7) == 0 && c->answer[8] == ' ');
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        is_known |= memcmp(c->answer + 9, statuses[i], 3) == 0;
    require(is_known && (memcmp(c->answer + 9, "200", 3) != 0 || c->is_page));
}

static void read_client(struct client *c)
{
    ssize_t got;

    if (c->fd == 0)
        return;
    c->is_page |= is_asked;
    while (c->bytes < ANSWER_BYTES && (got = recv(c->fd, c->answer + c->bytes, ANSWER_BYTES - c->bytes, MSG_DONTWAIT)) > 0)
        c->bytes += (size_t)got;
    check(c);
}

static void run(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        is_asked = false;
        http_metrics_run(http);
        for (unsigned at = 0; at < CLIENTS; at++)
            read_client(&clients[at]);
    }
}

static void take_step(struct input *input)
{
    const unsigned what = (unsigned)take(input, 1);
    const size_t wanted = take(input, 1), left = (size_t)(input->end - input->at), bytes = wanted < left ? wanted : left;
    struct client *c = &clients[what / 8 % CLIENTS];

    switch (what % 8) {
    case 0:
        close_client(c);
        break;
    case 1:
        if (c->fd > 0)
            shutdown(c->fd, SHUT_WR);
        break;
    case 2:
        now_ns += wanted * 100000000;
        break;
    default:
        if (c->fd == 0)
            open_client(c);
        (void)send(c->fd, input->at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        input->at += bytes;
    }
    if ((what & 128) == 0)
        run(2);
}

/* ---- one input ---- */

static void start(void)
{
    const struct http_metrics_source source = {.write_metrics = write_metrics, .write_health = write_health};
    struct fail fail;

    http = http_metrics_open((struct mesh_addr){.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}, &source, &fail);
    if (http == NULL)
        return; /* built without its library */
    listener.sin_family = AF_INET;
    listener.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener.sin_port = htons(http_metrics_port(http));
}

/* Whoever comes next is answered. */
static void ask(void)
{
    static const char question[] = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    struct client *c = &clients[0];

    open_client(c);
    require(send(c->fd, question, sizeof question - 1, MSG_NOSIGNAL) == sizeof question - 1);
    for (unsigned i = 0; i < RUNS_AT_LAST && c->bytes < 13; i++)
        run(1);
    require(c->bytes >= 13 && memcmp(c->answer + 8, " 200 ", 5) == 0);
    close_client(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};

    if (http == NULL)
        start();
    if (http == NULL)
        return 0;
    while (input.at < input.end)
        take_step(&input);
    for (unsigned i = 0; i < CLIENTS; i++)
        close_client(&clients[i]);
    run(2);
    ask();
    run(1);
    return 0;
}
