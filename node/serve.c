#include "serve.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "mesh/wire.h"
#include "serve_state.h"

enum {
    LOOP_NS_MAX = 50000000,
    WATCH_NS = 5000000,           /* between two looks for silent members, while steps are made */
    IDLE_NS = 10000000,           /* and between two looks whether steps are made */
    LEAVE_NS_MAX = 65000000000,   /* to leave in order: the others load first, for a minute at most */
    FAREWELL_NS_MAX = 1500000000, /* and then to tell clients */
    CLIENTS_MAX = 32
};

/* The server that a signal ends; a handler has no other way to know. */
static struct server *volatile interrupted_server;
static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    is_interrupted = is_interrupted + 1;
    if (interrupted_server != NULL)
        mesh_udp_wake(interrupted_server->config->shift.udp);
}

__attribute__((format(printf, 2, 3))) static void say(const struct server *server, const char *format, ...)
{
    va_list list;

    if (server->config->is_quiet)
        return;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

/* ---- datagrams outside of epochs ---- */

static void on_outside(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct server *server = app;

    (void)now_ns;
    if (inbox_ring_put(&server->inbox, from, packet, bytes))
        bell_ring(server->bell);
}

static bool is_secure(const struct server *server)
{
    return server->config->shift.security != MESH_SECURITY_NONE;
}

/* A datagram of the cluster layer: opened with the key of the process that it says it is from. */
static void take_cluster(struct server *server, struct mesh_addr from, uint8_t *packet, size_t bytes)
{
    struct mesh_seal_key key;

    if (is_secure(server)) {
        const uint8_t *incarnation = packet + MESH_HEADER_BYTES;

        if (bytes < MESH_HEADER_BYTES + MESH_INCARNATION_BYTES ||
            mesh_seal_key_of_process(&key, &server->config->cluster_key, server->config->shift.cluster, incarnation) != MESH_OK ||
            mesh_open_packet(&key, server->config->shift.security, packet, bytes) != MESH_OK) {
            server->cluster_refused[MESH_SEAL_TAG]++;
            mesh_wipe(&key, sizeof key);
            return;
        }
        mesh_wipe(&key, sizeof key);
    }
    mesh_cluster_receive(server->cluster, mesh_udp_now_ns(), from, packet, bytes);
}

static void take_outside(struct server *server)
{
    struct inbox_packet *packet;

    while ((packet = inbox_ring_first(&server->inbox)) != NULL) {
        if (mesh_session_is_of_one(packet->bytes, packet->size))
            mesh_sessions_receive(server->sessions, mesh_udp_now_ns(), packet->from, packet->bytes, packet->size);
        else
            take_cluster(server, packet->from, packet->bytes, packet->size);
        inbox_ring_drop(&server->inbox);
    }
}

static void send_outside(struct server *server)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;
    struct mesh_addr to;
    size_t bytes;

    while (mesh_cluster_next_datagram(server->cluster, mesh_udp_now_ns(), packet, sizeof packet, &output))
        if (!is_secure(server) || mesh_seal_packet(&server->process_key, server->config->shift.security, packet, output.bytes) == MESH_OK)
            mesh_udp_send_to(server->config->shift.udp, output.addr, packet, output.bytes);
    while ((bytes = mesh_sessions_next_datagram(server->sessions, mesh_udp_now_ns(), packet, sizeof packet, &to)) > 0)
        mesh_udp_send_to(server->config->shift.udp, to, packet, bytes);
}

/* ---- epochs ---- */

static void take_news(struct server *server)
{
    struct shift_news news;

    while (server->shift != NULL && shift_next_news(server->shift, &news)) {
        struct job *job = jobs_find(&server->jobs, news.request);

        if (job != NULL)
            job_take(job, &news);
    }
}

static void free_shift(struct shift **shift)
{
    if (*shift == NULL)
        return;
    shift_stop(*shift);
    shift_release(*shift);
    free(*shift);
    *shift = NULL;
}

/* Its threads end; what they have computed is kept, and its clients have heard all of it. */
static void halt_shift(struct server *server)
{
    struct engine_figures figures;

    server->cached = NULL;
    if (server->shift == NULL)
        return;
    shift_halt(server->shift, &server->kept);
    take_news(server);
    jobs_begin_epoch(&server->jobs);
    engine_figures(server->shift->engine, &figures);
    server->recomputed += figures.recomputed;
}

static void end_shift(struct server *server)
{
    halt_shift(server);
    free_shift(&server->shift);
}

static int begin_shift(struct server *server, const struct mesh_cluster_event *epoch, struct fail *fail)
{
    struct shift *last = server->shift;
    const bool is_prepared = server->next != NULL && shift_fits(server->next, epoch);

    halt_shift(server);
    server->shift = is_prepared ? server->next : calloc(1, sizeof *server->shift);
    /* What is there already has room beside the last epoch's; what is still to come may need its place. */
    if (is_prepared)
        server->next = NULL;
    else
        free_shift(&last);
    free_shift(&server->next);
    if (server->shift == NULL) {
        free_shift(&last);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    if (shift_start(server->shift, &server->shift_config, epoch, server->bell, &server->kept, fail) < 0) {
        free_shift(&last);
        return -1;
    }
    server->cached = server->shift->engine;
    server->prepared_epochs += is_prepared;
    say(server, "epoch %" PRIu32 ": %u member%s, this is rank %d", epoch->number, epoch->member_count, epoch->member_count == 1 ? "" : "s",
        epoch->own_rank);
    jobs_submit(&server->jobs, server->shift);
    free_shift(&last);
    return 0;
}

/* ---- the next epoch, while this one goes on ---- */

static void tell_ready(struct server *server)
{
    server->next_is_told = true;
    mesh_cluster_ready(server->cluster, mesh_udp_now_ns(), server->next_plan);
}

/* Without it the others do not wait: all is loaded when the epoch begins. */
static void give_up_next(struct server *server, const char *why)
{
    say(server, "the next epoch cannot be prepared beside this one, so it will begin with loading: %s", why);
    free_shift(&server->next);
    tell_ready(server);
}

static void prepare_next(struct server *server, const struct mesh_cluster_event *plan)
{
    struct fail fail;

    free_shift(&server->next);
    server->next_plan = plan->plan;
    server->next_is_told = false;
    if (plan->own_rank < 0) {
        tell_ready(server); /* this node leaves */
        return;
    }
    server->next = calloc(1, sizeof *server->next);
    if (server->next == NULL)
        give_up_next(server, "out of memory");
    else if (shift_prepare(server->next, &server->shift_config, plan, server->shift, server->bell, &fail) < 0)
        give_up_next(server, fail.text);
}

static void watch_next(struct server *server)
{
    if (server->next == NULL || server->next_is_told || !shift_is_prepared(server->next))
        return;
    if (atomic_load(&server->next->preparing) == SHIFT_FAILED)
        give_up_next(server, server->next->why.text);
    else
        tell_ready(server);
}

/* Clients are told, with all that there is for them, and no more are taken. */
static void begin_farewell(struct server *server)
{
    serve_tell_clients(server);
    mesh_sessions_end(server->sessions, mesh_udp_now_ns());
    server->has_left = true;
    server->leave_by_ns = mesh_udp_now_ns() + FAREWELL_NS_MAX;
}

static void log_peer(const struct server *server, const struct mesh_cluster_event *event)
{
    char address[MESH_ADDR_TEXT_BYTES];

    mesh_addr_format(event->addr, address);
    if (event->type == MESH_CLUSTER_PEER_LOST)
        say(server, "lost: %s (it was rank %u)", address, event->rank);
    else if (event->type == MESH_CLUSTER_PEER_BACK)
        say(server, "back: %s (rank %u)", address, event->rank);
    else
        say(server, "refused by %s: %s%s", address, event->reason,
            event->reason_code == MESH_DENY_FINGERPRINT ? " (or other --ctx, --slots, --batch, --kv-type: all must be equal)" : "");
}

static int take_event(struct server *server, const struct mesh_cluster_event *event, struct fail *fail)
{
    switch (event->type) {
    case MESH_CLUSTER_PREPARE:
        prepare_next(server, event);
        break;
    case MESH_CLUSTER_EPOCH:
        return begin_shift(server, event, fail);
    case MESH_CLUSTER_EVICTED:
        say(server, "the others have gone on without this node: joining them again");
        end_shift(server);
        free_shift(&server->next);
        break;
    case MESH_CLUSTER_LEFT:
        end_shift(server);
        begin_farewell(server);
        break;
    case MESH_CLUSTER_PEER_LOST:
    case MESH_CLUSTER_PEER_BACK:
    case MESH_CLUSTER_REFUSED:
        log_peer(server, event);
        break;
    default:
        break;
    }
    return 0;
}

static int run_cluster(struct server *server, struct fail *fail)
{
    struct mesh_cluster_event event;

    mesh_cluster_tick(server->cluster, mesh_udp_now_ns());
    watch_next(server);
    while (mesh_cluster_next_event(server->cluster, &event))
        if (take_event(server, &event, fail) < 0)
            return -1;
    return 0;
}

/* Who owes blocks and says nothing is suspected. */
static void watch_members(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    uint64_t silent;

    if (server->shift == NULL || server->shift->count == 1 || now_ns < server->watch_at_ns)
        return;
    server->watch_at_ns = now_ns + WATCH_NS;
    for (silent = shift_silent_ranks(server->shift); silent != 0; silent &= silent - 1)
        mesh_cluster_suspect(server->cluster, now_ns, (uint16_t)__builtin_ctzll(silent));
}

/* ---- the loop ---- */

static bool is_alone(const struct server *server)
{
    return server->shift == NULL || server->shift->mesh == NULL;
}

/* Until a datagram, news, a timer. Without an endpoint nobody else looks after the socket. */
static void rest(struct server *server, uint32_t rung)
{
    const uint64_t now_ns = mesh_udp_now_ns(), cluster_ns = mesh_cluster_timeout(server->cluster);
    const uint64_t sessions_ns = mesh_sessions_timeout(server->sessions);
    const uint64_t bulk_ns = serve_bulk_due_ns(server);
    uint64_t until_ns = cluster_ns < sessions_ns ? cluster_ns : sessions_ns;
    const uint64_t latest_ns = now_ns + (is_alone(server) ? LOOP_NS_MAX : engine_is_stepping(server->shift->engine) ? WATCH_NS : IDLE_NS);

    until_ns = until_ns < bulk_ns ? until_ns : bulk_ns;
    until_ns = until_ns < latest_ns ? until_ns : latest_ns;
    if (until_ns <= now_ns)
        return;
    if (is_alone(server))
        mesh_udp_wait(server->config->shift.udp, NULL, until_ns - now_ns);
    else
        bell_wait(server->bell, rung, until_ns - now_ns);
}

static void begin_leaving(struct server *server)
{
    if (!is_interrupted || server->is_leaving)
        return;
    say(server, "leaving");
    server->is_leaving = true;
    server->leave_by_ns = mesh_udp_now_ns() + LEAVE_NS_MAX;
    mesh_cluster_leave(server->cluster, mesh_udp_now_ns());
}

/* Out of the cluster, clients told; or it takes too long, or whoever interrupts it does so again. */
static bool is_over(struct server *server)
{
    struct mesh_sessions_stats stats;

    mesh_sessions_get_stats(server->sessions, &stats);
    return server->is_leaving &&
           (mesh_udp_now_ns() > server->leave_by_ns || is_interrupted > 1 || (server->has_left && stats.open_now == 0));
}

static int loop(struct server *server, struct fail *fail)
{
    while (!is_over(server)) {
        const uint32_t rung = bell_count(server->bell);

        if (is_alone(server))
            mesh_udp_poll(server->config->shift.udp, NULL);
        take_outside(server);
        begin_leaving(server);
        if (run_cluster(server, fail) < 0)
            return -1;
        serve_run_sessions(server);
        if (server->shift != NULL)
            jobs_submit(&server->jobs, server->shift);
        take_news(server);
        serve_tell_clients(server);
        serve_run_bulk(server);
        watch_members(server);
        send_outside(server);
        rest(server, rung);
    }
    send_outside(server);
    return 0;
}

/* ---- opening ---- */

/* What has to be equal on all members: the model, and all sizes that the engine is built for. */
static void hash_of_sizes(const struct shift_config *config, uint8_t out[32])
{
    const uint32_t sizes[] = {config->ctx, config->slots, config->batch, (uint32_t)config->kv_type};
    uint8_t all[32 + 4 * sizeof sizes / sizeof *sizes];
    struct bytes bytes = bytes_writer(all + 32, sizeof all - 32);

    gguf_fingerprint(config->model->gguf, all);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        bytes_put_u32(&bytes, sizes[i]);
    mesh_hash16(all, sizeof all, out);
    mesh_hash16(out, 16, out + 16);
}

static int open_cluster(struct server *server, const uint8_t incarnation[MESH_INCARNATION_BYTES], struct fail *fail)
{
    const struct serve_config *config = server->config;
    struct mesh_cluster_config cluster = {
        .seeds = config->seed,
        .seed_count = config->seed_count,
        .speed = config->speed,
        .addr = config->advertise,
        .prepares_joins = true,
        .hash = mesh_hash16,
    };

    memcpy(cluster.incarnation, incarnation, sizeof cluster.incarnation);
    mesh_hash16(config->shift.cluster, strlen(config->shift.cluster), cluster.cluster);
    hash_of_sizes(&config->shift, cluster.fingerprint);
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
    struct mesh_sessions_config sessions = {.capacity = CLIENTS_MAX, .hash = mesh_hash16, .guard = &server->session_seal.guard};
    const size_t bytes = mesh_sessions_memory_bytes(CLIENTS_MAX);

    memcpy(sessions.incarnation, incarnation, sizeof sessions.incarnation);
    if (mesh_random(sessions.secret, sizeof sessions.secret) != MESH_OK ||
        mesh_random(&server->jobs.seed, sizeof server->jobs.seed) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s", strerror(errno));
    if (posix_memalign(&server->sessions_memory, 64, bytes) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    if (mesh_session_seal_init(&server->session_seal, server->config->shift.security, &server->config->cluster_key,
                               server->config->shift.cluster, incarnation) != MESH_OK ||
        mesh_sessions_init(&server->sessions, &sessions, server->sessions_memory, bytes, mesh_udp_now_ns()) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "client sessions: cannot start: report this");
    bulk_provide(&server->bulk, BULK_KV, kv_source_read, &server->cached);
    return 0;
}

static int open_server(struct server *server, struct fail *fail)
{
    struct serve_config *config = server->config;
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    char address[MESH_ADDR_TEXT_BYTES];

    server->bell = bell_open(fail);
    if (server->bell == NULL)
        return -1;
    mesh_addr_format(config->listen, address);
    if (mesh_udp_open(&config->shift.udp, config->listen, &config->lab) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "--listen %s: cannot be bound: %s: give another address", address, strerror(errno));
    config->shift.key = &config->cluster_key;
    server->shift_config = config->shift;
    if (mesh_random(incarnation, sizeof incarnation) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s", strerror(errno));
    if (is_secure(server) &&
        mesh_seal_key_of_process(&server->process_key, &config->cluster_key, config->shift.cluster, incarnation) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "keys: cannot be made: give a cluster name of at most 64 bytes");
    if (open_cluster(server, incarnation, fail) < 0 || open_sessions(server, incarnation, fail) < 0)
        return -1;
    mesh_udp_set_outside(config->shift.udp, on_outside, server);
    mesh_addr_format(mesh_udp_local(config->shift.udp), address);
    say(server, "listening on %s", address);
    return 0;
}

static void close_server(struct server *server)
{
    interrupted_server = NULL;
    end_shift(server);
    free_shift(&server->next);
    kept_release(&server->kept);
    jobs_release(&server->jobs);
    mesh_session_seal_release(&server->session_seal);
    mesh_wipe(&server->process_key, sizeof server->process_key);
    free(server->cluster_memory);
    free(server->sessions_memory);
    mesh_udp_close(server->config->shift.udp);
    bell_close(server->bell);
}

int serve(struct serve_config *config, struct fail *fail)
{
    struct server *server = calloc(1, sizeof *server);
    int result;

    if (server == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    server->config = config;
    result = open_server(server, fail);
    if (result == 0) {
        interrupted_server = server;
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        result = loop(server, fail);
    }
    close_server(server);
    free(server);
    return result;
}
