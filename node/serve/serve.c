#include "serve.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "low_latency.h"
#include "mesh/wire.h"
#include "node/common/busy_poll.h"
#include "node/common/bytes.h"
#include "node/common/notify.h"
#include "node/common/socket_hint.h"
#include "node/engine/multicast.h"
#include "node/engine/security.h"
#include "serve_state.h"

enum {
    LOOP_NS_MAX = 50000000,
    LEAVE_NS_MAX = 65000000000, /* to leave in order: the others first load, for a minute at most */
    INTERRUPTS_MAX = 100
};

_Static_assert(CLIENT_PLACES_WORKING *JOBS_PER_SESSION <= JOBS_MAX, "no client is refused for what others have asked");

/* The server that a signal ends; a handler cannot get it otherwise. */
static struct server *volatile interrupted_server;
static volatile sig_atomic_t interrupt_count;

static void on_interrupt(int number)
{
    (void)number;
    if (interrupt_count < INTERRUPTS_MAX)
        interrupt_count = interrupt_count + 1;
    if (interrupted_server != NULL)
        mesh_udp_wake(interrupted_server->config->run.udp);
}

/* The end of a terminal (SIGHUP) is not a crash: requests end, and other members need not detect it. A process started with nohup goes
 * on. */
static void watch_signals(void)
{
    signal(SIGINT, on_interrupt); /* which a shell makes its background jobs ignore */
    signal(SIGTERM, on_interrupt);
    if (signal(SIGHUP, on_interrupt) == SIG_IGN)
        signal(SIGHUP, SIG_IGN);
}

/* ---- datagrams outside of epochs ---- */

/* Telemetry of other members may wait until the main thread polls, at most 50 ms: each wake-up takes a core from a worker. */
static bool is_patient(const struct server *server, const uint8_t *packet)
{
    return packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_REPORT && !packet_ring_is_half_full(&server->filter.ring);
}

static void on_outside(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct server *server = app;

    if (packet_filter_take(&server->filter, now_ns, from, packet, bytes) && !is_patient(server, packet))
        eventcount_notify(server->wakeup);
}

static void on_unreachable(void *app, struct mesh_addr to)
{
    struct server *server = app;

    if (packet_filter_tell_unreachable(&server->filter, to))
        eventcount_notify(server->wakeup);
}

static bool is_secure(const struct server *server)
{
    return server->config->run.security != MESH_SECURITY_NONE;
}

static void take_cluster(struct server *server, uint64_t now_ns, const struct packet_ring_entry *packet)
{
    if (mesh_cluster_receive(server->cluster, now_ns, packet->from, packet->bytes, packet->size) == MESH_OK)
        serve_troubles_heard(server, packet);
}

static void take_outside(struct server *server)
{
    struct mesh_session_peer places[MESH_SESSIONS_MAX];
    struct packet_ring_entry *packet;

    while ((packet = packet_ring_first(&server->filter.ring)) != NULL) {
        const uint64_t now_ns = mesh_udp_now_ns();

        if (mesh_session_is_of_one(packet->bytes, packet->size))
            mesh_sessions_receive(server->sessions, now_ns, packet->from, packet->bytes, packet->size);
        else if (!serve_watch_take_packet(server, now_ns, packet))
            take_cluster(server, now_ns, packet);
        packet_ring_drop(&server->filter.ring);
    }
    packet_filter_set_sessions(&server->filter, places, mesh_sessions_peers(server->sessions, places));
}

/* ---- the loop ---- */

static bool is_alone(const struct server *server)
{
    return server->run == NULL || server->run->mesh == NULL;
}

/* Sleep until a datagram, a result or a timer, unless prompts are to be tokenised. Without an endpoint no other thread polls the socket. */
static void rest(struct server *server, uint32_t seen)
{
    const uint64_t now_ns = mesh_udp_now_ns(), cluster_ns = mesh_cluster_timeout(server->cluster);
    const uint64_t sessions_ns = mesh_sessions_timeout(server->sessions);
    const uint64_t bulk_ns = serve_bulk_due_ns(server), watch_ns = serve_watch_due_ns(server);
    uint64_t until_ns = cluster_ns < sessions_ns ? cluster_ns : sessions_ns;
    const bool is_stepping = !is_alone(server) && engine_is_stepping(server->run->engine);
    const uint64_t latest_ns = now_ns + (is_stepping ? SERVE_WATCH_NS : LOOP_NS_MAX);

    until_ns = until_ns < bulk_ns ? until_ns : bulk_ns;
    until_ns = until_ns < watch_ns ? until_ns : watch_ns;
    until_ns = until_ns < latest_ns ? until_ns : latest_ns;
    until_ns = server->unsent.bytes > 0 ? server->unsent.again_ns : until_ns; /* what else is due to be sent waits behind it */
    if (until_ns <= now_ns || server->prompt_queue.count > 0)
        return;
    if (is_alone(server))
        mesh_udp_wait(server->config->run.udp, NULL, until_ns - now_ns);
    else
        eventcount_wait(server->wakeup, seen, until_ns - now_ns);
}

void serve_poll_cluster(struct server *server)
{
    struct mesh_udp *udp = server->config->run.udp;
    uint64_t now_ns, due_ns;

    assert(is_alone(server));
    mesh_udp_poll(udp, NULL);
    take_outside(server);
    mesh_cluster_tick(server->cluster, mesh_udp_now_ns());
    serve_send_outside(server);
    now_ns = mesh_udp_now_ns();
    due_ns = server->unsent.bytes > 0 ? server->unsent.again_ns : mesh_cluster_timeout(server->cluster);
    if (due_ns > now_ns)
        mesh_udp_wait(udp, NULL, due_ns - now_ns < LOOP_NS_MAX ? due_ns - now_ns : LOOP_NS_MAX);
}

/* After the first signal, running requests of this node's clients end normally; new ones are refused in words. */
static void begin_draining(struct server *server, uint64_t now_ns)
{
    const unsigned running = serve_count_requests(server);

    server->is_draining = true;
    serve_note(server, MESH_NODE_EVENT_LEAVING, MESH_TELEMETRY_NOBODY, NULL, "signal received; %u requests run", running);
    server->drain_by_ns = now_ns + server->config->drain_s * UINT64_C(1000000000);
    notify_manager("STOPPING=1\nSTATUS=leaving");
    if (running > 0 && server->config->drain_s > 0)
        serve_log(server, "leaving when %u request%s ended, or in %" PRIu32 " s, or at another signal", running,
                  running == 1 ? " has" : "s have", server->config->drain_s);
}

static void begin_leaving(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    unsigned running;

    if (interrupt_count == 0 || server->is_leaving)
        return;
    if (!server->is_draining)
        begin_draining(server, now_ns);
    running = serve_count_requests(server);
    if (interrupt_count == 1 && now_ns < server->drain_by_ns && running > 0)
        return;
    serve_log_figures(server);
    if (running > 0)
        serve_log(server, "leaving: %u request%s cut off", running, running == 1 ? " is" : "s are");
    else
        serve_log(server, "leaving");
    server->is_leaving = true;
    server->leave_by_ns = now_ns + LEAVE_NS_MAX;
    server->leave_count = (int)interrupt_count;
    mesh_cluster_leave(server->cluster, now_ns);
}

/* This node is out of the cluster, and clients have what was sent to them; or it takes too long, or there was another signal. */
static bool is_finished(const struct server *server)
{
    struct mesh_sessions_stats sessions;

    if (server->is_leaving && (mesh_udp_now_ns() > server->leave_by_ns || interrupt_count > server->leave_count))
        return true;
    mesh_sessions_get_stats(server->sessions, &sessions);
    return server->is_over && sessions.open_now == 0;
}

static void note_loaded(struct server *server)
{
    if (server->change.loaded_ns == 0)
        serve_note(server, MESH_NODE_EVENT_LOADED, server->run->rank, NULL, "all of this node's share");
    epoch_change_load(&server->change, mesh_udp_now_ns());
}

/* Poll the socket if no other thread does, or if a timeout of the cluster layer is due: the answer it waits for may be in the socket,
 * unread since the worker that polls was not scheduled. */
static void read_outside(struct server *server)
{
    if (is_alone(server))
        mesh_udp_poll(server->config->run.udp, NULL);
    else if (mesh_cluster_is_waiting(server->cluster) && mesh_cluster_timeout(server->cluster) <= mesh_udp_now_ns())
        epoch_run_read(server->run);
}

static int loop(struct server *server, struct fail *fail)
{
    while (!is_finished(server)) {
        const uint32_t seen = eventcount_read(server->wakeup);

        read_outside(server);
        take_outside(server); /* there is room, then, for questions to the group */
        serve_discover_poll(server);
        take_outside(server);
        begin_leaving(server);
        if (model_monitor_check(server->model_monitor, fail) < 0 || serve_run_cluster(server, fail) < 0)
            return -1;
        serve_run_sessions(server);
        serve_run_prompt_queue(server);
        if (server->run != NULL)
            jobs_submit(&server->jobs, server->run);
        if (server->run != NULL && epoch_run_is_loaded(server->run))
            note_loaded(server);
        serve_take_results(server);
        serve_tell_clients(server);
        serve_run_bulk(server);
        serve_watch_members(server);
        serve_network_watch(server);
        serve_troubles_watch(server);
        serve_watch_shares(server);
        serve_watch_memory(server);
        serve_watch_run(server);
        if (server->http != NULL)
            http_metrics_run(server->http);
        serve_send_outside(server);
        serve_record_watch(server);
        if (serve_key_log_has_gap(server))
            serve_log(server, "key log %.200s: keys are missing: %s", server->config->key_log, strerror(server->key_log.error));
        rest(server, seen);
    }
    serve_send_rest(server);
    return 0;
}

/* ---- opening ---- */

enum { FORM_STAR = 1, FORM_WHOLE = 2, FORM_REUSES = 4 /* requests begin with what others have computed: engine_reuse.c */ };

/* Hash of what must be equal on all members: the model, all sizes that the engine is built for, and the rules by which rows are dealt. */
static void hash_of_sizes(const struct epoch_run_config *config, uint8_t out[32])
{
    const uint32_t forms = (config->is_star ? FORM_STAR : 0) | (config->is_whole ? FORM_WHOLE : 0) | FORM_REUSES;
    const uint32_t sizes[] = {config->ctx, config->slots, config->batch, (uint32_t)config->kv_type, BALANCE_RULES, forms};
    uint8_t all[32 + 4 * sizeof sizes / sizeof *sizes];
    struct bytes bytes = bytes_writer(all + 32, sizeof all - 32);

    gguf_fingerprint(config->model->gguf, all);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        bytes_put_u32(&bytes, sizes[i]);
    mesh_hash16(all, sizeof all, out);
    mesh_hash16(out, 16, out + 16);
}

uint32_t serve_flags(const struct server *server)
{
    const struct model_part *part = server->config->run.part;

    return (part == NULL || model_part_has(part, NULL) ? EPOCH_RUN_HAS_FILE : 0) | balance_flags(&server->shares.self);
}

static int open_cluster(struct server *server, const uint8_t incarnation[MESH_INCARNATION_BYTES], struct fail *fail)
{
    const struct serve_config *config = server->config;
    struct mesh_cluster_config cluster = {
        .seeds = config->seed,
        .seed_count = config->seed_count,
        .speed = server->shares.self.speed,
        .flags = serve_flags(server),
        .addr = config->advertise,
        .prepares_joins = true,
        .hash = mesh_hash16,
        .version = config->version,
        .tap = recording_cluster_tap(server->recording),
    };

    memcpy(cluster.incarnation, incarnation, sizeof cluster.incarnation);
    mesh_hash16(config->run.cluster, strlen(config->run.cluster), cluster.cluster);
    hash_of_sizes(&config->run, cluster.fingerprint);
    if (mesh_random(cluster.secret, sizeof cluster.secret) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s", strerror(errno));
    if (posix_memalign(&server->cluster_memory, 64, mesh_cluster_memory_bytes()) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    if (mesh_cluster_init(&server->cluster, &cluster, server->cluster_memory, mesh_cluster_memory_bytes(), mesh_udp_now_ns()) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "cluster: cannot start: report this");
    return 0;
}

static int open_sessions(struct server *server, const uint8_t incarnation[MESH_INCARNATION_BYTES], struct fail *fail)
{
    struct mesh_sessions_config sessions = {.version = server->config->version,
                                            .capacity = CLIENT_PLACES,
                                            .hash = mesh_hash16,
                                            .guard = &server->session_seal.guard,
                                            .tap = recording_sessions_tap(server->recording)};
    const size_t bytes = mesh_sessions_memory_bytes(CLIENT_PLACES);

    memcpy(sessions.incarnation, incarnation, sizeof sessions.incarnation);
    if (mesh_random(sessions.secret, sizeof sessions.secret) != MESH_OK ||
        mesh_random(&server->jobs.seed, sizeof server->jobs.seed) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s", strerror(errno));
    if (posix_memalign(&server->sessions_memory, 64, bytes) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    if (mesh_session_seal_init(&server->session_seal, server->config->run.security, &server->config->cluster_key,
                               server->config->run.cluster, incarnation) != MESH_OK ||
        mesh_sessions_init(&server->sessions, &sessions, server->sessions_memory, bytes, mesh_udp_now_ns()) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "client sessions: cannot start: report this");
    bulk_provide(&server->bulk, BULK_KV, kv_source_read, &server->cached);
    return 0;
}

/* Which address was bound, and, unless --cipher has decided it, what seals. */
static void say_listening(struct server *server)
{
    const struct epoch_run_config *config = &server->config->run;
    char text[SECURITY_MEANS_BYTES];

    mesh_addr_format(mesh_udp_local(config->udp), text);
    serve_log(server, "listening on %s", text);
    if (is_secure(server) && !config->has_no_aes)
        serve_log(server, "%s: %s", security_words[config->security], security_means(text));
}

static int open_server(struct server *server, struct fail *fail)
{
    struct serve_config *config = server->config;
    const struct model_part *part = config->run.part;
    uint8_t *incarnation = server->incarnation;
    char address[MESH_ADDR_TEXT_BYTES];
    uint64_t seed;

    server->wakeup = eventcount_open(fail);
    if (server->wakeup == NULL)
        return -1;
    mesh_addr_format(config->listen, address);
    if (mesh_udp_open(&config->run.udp, config->listen, &config->lab) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "--listen %s: cannot be bound: %s: %s", address, strerror(errno),
                        socket_hint(errno, "give an address of this machine"));
    if (multicast_open(config->run.udp, config->multicast, fail) < 0 || busy_poll_set(config->run.udp, config->busy_poll_us, fail) < 0)
        return -1;
    mesh_udp_set_segmentation(config->run.udp, config->has_gso);
    config->run.key = &config->cluster_key;
    server->epoch_run_config = config->run;
    server->epoch_run_config.pace_later_at_ns = mesh_udp_now_ns() + config->lab.after_ns;
    if (mesh_random(incarnation, MESH_INCARNATION_BYTES) != MESH_OK || mesh_random(&seed, sizeof seed) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s", strerror(errno));
    if (is_secure(server) &&
        mesh_seal_key_of_process(&server->process_key, &config->cluster_key, config->run.cluster, incarnation) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "keys: cannot be made: give a cluster name of at most 64 bytes");
    if (serve_record_open(server, fail) < 0 || serve_open_shares(server, fail) < 0 || open_cluster(server, incarnation, fail) < 0 ||
        serve_open_memory(server, fail) < 0 || open_sessions(server, incarnation, fail) < 0 ||
        serve_key_log_open(server, incarnation, fail) < 0 || serve_discover_open(server, fail) < 0 ||
        model_source_open(&server->model_source, config->run.model->gguf, part != NULL ? part->hashes : NULL,
                          part != NULL ? part->have : NULL, fail) < 0 ||
        serve_watch_open(server, fail) < 0 || serve_metrics_open(server, fail) < 0)
        return -1;
    if (part == NULL && (server->model_monitor = model_monitor_open(config->run.model->gguf, fail)) == NULL)
        return -1;
    model_source_provide(&server->model_source, &server->bulk);
    packet_filter_init(&server->filter, config->run.security, &config->cluster_key, config->run.cluster, seed);
    mesh_udp_set_outside(config->run.udp, on_outside, server);
    mesh_udp_set_unreachable(config->run.udp, on_unreachable, server);
    say_listening(server);
    notify_manager("READY=1\nSTATUS=looking for the others");
    return 0;
}

static void close_server(struct server *server)
{
    interrupted_server = NULL;
    serve_end_epoch(server);
    pool_join(serve_take_reclaimer(server));
    serve_close_shares(server);
    serve_close_memory(server);
    saved_kv_release(&server->saved_kv);
    prompt_queue_release(&server->prompt_queue);
    jobs_release(&server->jobs);
    model_source_close(&server->model_source);
    model_monitor_close(server->model_monitor);
    http_metrics_close(server->http);
    serve_watch_close(server);
    mesh_session_seal_release(&server->session_seal);
    packet_filter_release(&server->filter);
    mesh_wipe(&server->process_key, sizeof server->process_key);
    serve_key_log_close(server);
    serve_discover_close(server);
    mesh_udp_close(server->config->run.udp);
    serve_record_close(server, &interrupt_count); /* its disk may hang, and the port is no longer needed */
    free(server->cluster_memory);
    free(server->sessions_memory);
    eventcount_close(server->wakeup);
}

int serve(struct serve_config *config, struct fail *fail)
{
    struct server *server = calloc(1, sizeof *server);
    int result;

    if (server == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    server->config = config;
    server->discover_fd = -1;
    server->model_source.file = -1;
    low_latency_thread();
    engine_keep_heap();
    result = open_server(server, fail);
    if (result == 0) {
        interrupted_server = server;
        watch_signals();
        result = loop(server, fail);
    }
    close_server(server);
    free(server);
    return result;
}
