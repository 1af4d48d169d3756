#include "session_host.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void take(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct session_host *host = app;

    if (mesh_session_is_of_one(packet, bytes)) {
        mesh_sessions_receive(host->sessions, now_ns, from, packet, bytes);
    }
}

/* Send the held record back. False when there is no room yet, because the client does not read. */
static bool send_held(struct session_host *host)
{
    if (host->held_bytes == 0) {
        return true;
    }
    if (mesh_sessions_send(host->sessions, mesh_udp_now_ns(), host->held_session, host->held, host->held_bytes) == MESH_AGAIN) {
        return false;
    }
    host->held_bytes = 0;
    if (atomic_exchange(&host->closes, false)) {
        mesh_sessions_close(host->sessions, mesh_udp_now_ns(), host->held_session);
    }
    return true;
}

static void send_back(struct session_host *host, const struct mesh_session_event *event)
{
    memcpy(host->held, event->record, event->record_bytes);
    host->held_bytes = event->record_bytes;
    host->held_session = event->session;
    send_held(host);
}

static void serve_events(struct session_host *host)
{
    struct mesh_session_event event;

    while (send_held(host) && mesh_sessions_next_event(host->sessions, mesh_udp_now_ns(), &event)) {
        if (event.type == MESH_SESSION_OPENED) {
            atomic_fetch_add(&host->opened, 1);
        } else if (event.type == MESH_SESSION_CLOSED) {
            atomic_fetch_add(&host->goodbyes, event.why == MESH_SESSION_GOODBYE ? 1 : 0);
            atomic_fetch_add(&host->closed, 1);
            if (host->bulk != NULL) {
                bulk_host_drop(host->bulk, event.session);
            }
        } else if (host->bulk != NULL && bulk_is_one(event.record, event.record_bytes)) {
            bulk_host_take(host->bulk, host->sessions, mesh_udp_now_ns(), event.session, true, event.record, event.record_bytes);
        } else {
            send_back(host, &event);
        }
    }
}

static void run_bulk(struct session_host *host)
{
    if (host->bulk != NULL) {
        bulk_host_run(host->bulk, host->sessions, mesh_udp_now_ns(), atomic_load(&host->is_busy));
    }
}

static void rest(struct session_host *host)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    uint64_t due_ns = host->bulk != NULL ? bulk_host_due_ns(host->bulk, host->sessions, atomic_load(&host->is_busy)) : UINT64_MAX;

    if (due_ns > now_ns) {
        mesh_udp_wait(host->udp, NULL, due_ns - now_ns < 1000000 ? due_ns - now_ns : 1000000);
    }
}

static void serve(void *app, uint16_t index)
{
    struct session_host *host = app;
    struct mesh_sessions_stats stats = {.open_now = 1};
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    struct mesh_addr to;
    size_t bytes;

    (void)index;
    while (!atomic_load(&host->stops) || stats.open_now > 0) {
        if (atomic_load(&host->stops)) {
            mesh_sessions_end(host->sessions, mesh_udp_now_ns());
        }
        while (atomic_load(&host->is_paused)) {
            usleep(1000);
        }
        mesh_udp_poll(host->udp, NULL);
        mesh_sessions_tick(host->sessions, mesh_udp_now_ns());
        serve_events(host);
        run_bulk(host);
        while ((bytes = mesh_sessions_next_datagram(host->sessions, mesh_udp_now_ns(), packet, sizeof packet, &to)) > 0) {
            mesh_udp_send_to(host->udp, to, packet, bytes);
        }
        rest(host);
        mesh_sessions_get_stats(host->sessions, &stats);
    }
}

uint8_t session_host_records;

bool session_host_start(struct session_host *host, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                        unsigned capacity, const struct mesh_lab *lab)
{
    return session_host_start_bulk(host, security, key, cluster, capacity, lab, NULL);
}

bool session_host_start_bulk(struct session_host *host, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                             unsigned capacity, const struct mesh_lab *lab, struct bulk_host *bulk)
{
    struct mesh_sessions_config config = {
        .incarnation = {3}, .secret = {5}, .capacity = capacity, .hash = mesh_hash16, .records = session_host_records};
    const size_t bytes = mesh_sessions_memory_bytes(capacity);
    struct mesh_addr addr;
    char reason[200];
    struct fail fail;

    memset(host, 0, sizeof *host);
    host->bulk = bulk;
    config.guard = &host->seal.guard;
    if (mesh_session_seal_init(&host->seal, security, key, cluster, config.incarnation) != 0 ||
        mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason) != 0 || mesh_udp_open(&host->udp, addr, lab) != 0) {
        return false;
    }
    mesh_addr_format(mesh_udp_local(host->udp), host->address);
    mesh_udp_set_outside(host->udp, take, host);
    if (posix_memalign(&host->memory, 64, bytes) != 0 ||
        mesh_sessions_init(&host->sessions, &config, host->memory, bytes, mesh_udp_now_ns()) != 0) {
        return false;
    }
    host->pool = pool_start(1, serve, host, &fail);
    host->is_running = host->pool != NULL;
    return host->is_running;
}

void session_host_stop(struct session_host *host)
{
    struct mesh_udp_stats stats;

    if (!host->is_running) {
        return;
    }
    host->is_running = false;
    atomic_store(&host->stops, true);
    pool_join(host->pool);
    mesh_udp_get_stats(host->udp, &stats);
    host->lost = stats.lab_lost;
    mesh_udp_close(host->udp);
    mesh_session_seal_release(&host->seal);
    free(host->memory);
}
