/* A mesh that does not exist, for watching: answers clients with made telemetry, so that the monitor's screens can be seen and photographed
 * without machines.
 *
 * usage: made-mesh ADDR:PORT [NODES]      (4) without a key. Speed goes up and down; from 20 s on node 2 is slow, and the link from 1 to 0
 * loses 1 %. Ends with SIGTERM. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/session.h"
#include "mesh/udp.h"
#include "tests/unit/made_telemetry.h"

enum { MS_NS = 1000000, CLIENTS_MAX = 8, WAIT_MS = 20, GIVE_TRIES = 20 };

struct client {
    uint32_t session; /* 0: none */
    uint64_t interval_ns, next_ns;
};

struct host {
    struct mesh_udp *udp;
    struct mesh_sessions *sessions;
    struct made made;
    struct client client[CLIENTS_MAX];
    struct client *served; /* the client that made_report serves */
};

static volatile sig_atomic_t is_over;

static void on_end(int number)
{
    is_over = number;
}

static void take(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct host *host = app;

    if (mesh_session_is_of_one(packet, bytes))
        mesh_sessions_receive(host->sessions, now_ns, from, packet, bytes);
}

/* The entry of a session, or a free one for 0; NULL. */
static struct client *find(struct host *host, uint32_t session)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (host->client[i].session == session)
            return &host->client[i];
    return NULL;
}

static void serve_event(struct host *host, const struct mesh_session_event *event)
{
    struct client *client = find(host, event->type == MESH_SESSION_OPENED ? 0 : event->session);
    struct mesh_telemetry_watch wish;

    if (client == NULL)
        return;
    if (event->type == MESH_SESSION_OPENED)
        *client = (struct client){.session = event->session};
    else if (event->type == MESH_SESSION_CLOSED)
        *client = (struct client){0};
    else if (event->type == MESH_SESSION_RECORD && mesh_telemetry_read_watch(&wish, event->record, event->record_bytes) == MESH_OK)
        client->interval_ns = (uint64_t)wish.interval_ms * MS_NS;
}

static void exchange(struct host *host)
{
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    struct mesh_addr to;
    size_t bytes;

    mesh_udp_poll(host->udp, NULL);
    mesh_sessions_tick(host->sessions, mesh_udp_now_ns());
    while ((bytes = mesh_sessions_next_datagram(host->sessions, mesh_udp_now_ns(), packet, sizeof packet, &to)) > 0)
        mesh_udp_send_to(host->udp, to, packet, bytes);
}

/* The reports of many nodes are more than the queue takes. What it has no room for after a while is left out. */
static void give(void *app, const uint8_t *record, size_t bytes)
{
    struct host *host = app;

    for (int i = 0; i < GIVE_TRIES; i++) {
        if (mesh_sessions_send(host->sessions, mesh_udp_now_ns(), host->served->session, record, bytes) != MESH_AGAIN)
            return;
        exchange(host);
        mesh_udp_wait(host->udp, NULL, MS_NS);
    }
}

static void report(struct host *host, uint64_t now_ns)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &host->client[i];

        if (client->session == 0 || client->interval_ns == 0 || now_ns < client->next_ns)
            continue;
        client->next_ns = now_ns + client->interval_ns;
        host->served = client;
        made_report(&host->made, give, host);
    }
}

static void live(struct made *made, double seconds)
{
    made->tok_per_s = 95 + 14 * sin(seconds / 5) + 6 * sin(seconds * 1.7) + 4 * sin(seconds * 5.1);
    if (seconds < 20 || made->nodes < 3)
        return;
    made->tok_per_s *= 0.7;
    made->slow = 2;
    made->loss_from = 1;
    made->loss_to = 0;
    made->loss_ppm = 10000;
}

static void run(struct host *host)
{
    const uint64_t begin_ns = mesh_udp_now_ns();
    uint64_t before_ns = mesh_udp_now_ns();

    while (!is_over) {
        const uint64_t now_ns = mesh_udp_now_ns();
        struct mesh_session_event event;

        if (now_ns - before_ns >= 100 * MS_NS) {
            live(&host->made, (double)(now_ns - begin_ns) / 1e9);
            made_advance(&host->made, 100 * MS_NS);
            before_ns += 100 * MS_NS;
        }
        report(host, now_ns);
        exchange(host);
        while (mesh_sessions_next_event(host->sessions, mesh_udp_now_ns(), &event))
            serve_event(host, &event);
        exchange(host);
        mesh_udp_wait(host->udp, NULL, WAIT_MS * MS_NS);
    }
}

int main(int argc, char **argv)
{
    const struct mesh_sessions_config config = {.incarnation = {3}, .secret = {5}, .capacity = CLIENTS_MAX, .hash = mesh_hash16};
    const size_t bytes = mesh_sessions_memory_bytes(CLIENTS_MAX);
    const unsigned long nodes = argc > 2 ? strtoul(argv[2], NULL, 10) : 4;
    static struct host host;
    struct mesh_addr addr;
    char reason[200] = "give one";
    void *memory = NULL;

    if (argc < 2 || mesh_addr_parse(argv[1], &addr, reason, sizeof reason) != MESH_OK || nodes < 1 || nodes > MADE_NODES_MAX) {
        fprintf(stderr, "made-mesh: address: %s\nusage: made-mesh ADDR:PORT [NODES]\n", reason);
        return 2;
    }
    if (mesh_udp_open(&host.udp, addr, NULL) != MESH_OK || posix_memalign(&memory, 64, bytes) != 0 ||
        mesh_sessions_init(&host.sessions, &config, memory, bytes, mesh_udp_now_ns()) != MESH_OK) {
        perror("made-mesh");
        return 4;
    }
    signal(SIGTERM, on_end);
    signal(SIGINT, on_end);
    mesh_udp_set_outside(host.udp, take, &host);
    made_init(&host.made, (unsigned)nodes);
    run(&host);
    mesh_udp_close(host.udp);
    made_release(&host.made);
    free(memory);
    return 0;
}
