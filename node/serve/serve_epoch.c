/* A serving node from one epoch to the next: the cluster's decisions, preparing for them, and the members that this node suspects. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/udp.h"
#include "node/common/log.h"
#include "node/common/notify.h"
#include "serve_state.h"

enum {
    FAREWELL_NS_MAX = 1500000000, /* to tell clients */
    MOMENT_NS_MAX = 2000000000,   /* that a prepared epoch waits for a good moment */
    TAIL_MIN = 2,                 /* positions after a multiple of 16, so that the 16 before have been fetched */
    TAIL_MAX = 6
};

static const uint64_t refused_ns = 65000000000; /* a refusing member is asked every 30 s at least; one of the answers may be lost */

/* Between two events of the same member's suspicion in an epoch. Where machines have other work, members are suspected every few seconds
 * and answer, and a node remembers 64 events. */
static const uint64_t suspicion_apart_ns = 60000000000;

void serve_log(const struct server *server, const char *format, ...)
{
    va_list list;

    if (server->config->is_quiet)
        return;
    va_start(list, format);
    log_line_list(format, list);
    va_end(list);
}

/* Requests continue in the new epoch; or, on an idle node, the first one has arrived. */
static void log_change(const struct server *server, bool goes_on)
{
    const struct epoch_change *change = &server->change;
    char token[48] = "";

    if (goes_on)
        snprintf(token, sizeof token, ", first token after %.1f ms", epoch_change_ms(change->loaded_ns, change->token_ns));
    if (change->suspected_ns != 0)
        serve_log(server, "epoch %" PRIu32 ": agreed %.1f ms after the suspicion, loaded after %.1f ms%s", change->number,
                  epoch_change_ms(change->suspected_ns, change->agreed_ns), epoch_change_ms(change->agreed_ns, change->loaded_ns), token);
}

static void note_failed(struct server *server, const struct epoch_run_result *result)
{
    serve_note(server, MESH_NODE_EVENT_REQUEST_FAILED, MESH_TELEMETRY_NOBODY, NULL, "request %016" PRIx64 ": %s", result->request,
               result->reason == ENGINE_DONE_ERROR ? "a value that is not finite" : "no memory");
}

/* Which requests lack something is not known, and what lacks a token must not be taken for a whole answer. */
static void fail_running(struct server *server)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &server->jobs.job[i];
        const struct epoch_run_result result = {
            .request = job->id, .when_ns = mesh_udp_now_ns(), .is_done = true, .reason = ENGINE_DONE_REFUSED};

        if (job->id == 0 || !job->is_submitted || job->is_done)
            continue;
        job_take(job, &result);
        note_failed(server, &result);
        engine_cancel(server->run->engine, job->id); /* a recording has its end from there */
    }
}

void serve_take_results(struct server *server)
{
    struct engine_figures figures;
    struct epoch_run_result result;

    while (server->run != NULL && epoch_run_next_result(server->run, &result)) {
        struct job *job = jobs_find(&server->jobs, result.request);

        if (job != NULL)
            job_take(job, &result);
        serve_record_result(server, &result);
        if (job != NULL && result.is_done && (result.reason == ENGINE_DONE_ERROR || result.reason == ENGINE_DONE_REFUSED))
            note_failed(server, &result);
        if (!result.is_done && epoch_change_token(&server->change, result.when_ns)) {
            engine_figures(server->run->engine, &figures);
            server->change.recomputed = figures.recomputed;
            log_change(server, job != NULL ? job->asked_ns < server->change.loaded_ns : figures.recomputed > 0);
        }
    }
    if (server->run != NULL && epoch_run_has_lost_results(server->run))
        fail_running(server);
}

static void log_epoch(const struct server *server)
{
    const struct epoch_run *run = server->run;
    char status[80];

    serve_log(server, "epoch %" PRIu32 ": %u member%s, this is rank %u", run->number, run->count, run->count == 1 ? "" : "s", run->rank);
    snprintf(status, sizeof status, "STATUS=epoch %" PRIu32 ": rank %u of %u", run->number, run->rank, run->count);
    notify_manager(status);
}

static int begin_run(struct server *server, const struct mesh_cluster_event *epoch, struct fail *fail)
{
    const uint64_t prepared = server->prepared_epochs;
    struct epoch_run *old = NULL;
    int err;

    epoch_change_agree(&server->change, epoch->number, mesh_udp_now_ns());
    if (serve_waits_for_memory(server, epoch))
        return 0;
    err = serve_open_run(server, epoch, &old, fail);
    if (err == 0) {
        jobs_submit(&server->jobs, server->run);
        server->cached = server->run->engine;
    }
    serve_reclaim(server, &old);
    if (err < 0)
        return serve_waits_alone(server, epoch, fail) ? 0 : -1;
    server->memory.has_reported_refusal = false;
    serve_begin_shares(server);
    serve_watch_epoch(server);
    serve_note(server, MESH_NODE_EVENT_EPOCH, server->run->rank, NULL, "%u member%s%s", server->run->count,
               server->run->count == 1 ? "" : "s", server->prepared_epochs > prepared ? ", prepared" : "");
    serve_key_log_epoch(server);
    recording_epoch(server->recording, mesh_udp_now_ns(), epoch->number, epoch->id, server->run->rank, server->run->member,
                    server->run->map.share, server->run->count);
    server->has_company |= epoch->member_count > 1;
    log_epoch(server);
    serve_troubles_epoch(server);
    return 0;
}

/* ---- the next epoch, while this one goes on ---- */

static void tell_ready(struct server *server)
{
    server->next_is_reported = true;
    mesh_cluster_ready(server->cluster, mesh_udp_now_ns(), server->next_plan);
}

/* Other members do not wait for it then: all is loaded when the epoch begins. */
static void give_up_next(struct server *server, const char *why)
{
    serve_log(server, "the next epoch cannot be prepared during this one, so it begins with loading: %s", why);
    serve_reclaim(server, &server->next);
    tell_ready(server);
}

static void prepare_next(struct server *server, const struct mesh_cluster_event *plan)
{
    uint64_t missing_bytes;
    struct fail fail;

    serve_reclaim(server, &server->next);
    server->next_plan = plan->plan;
    server->next_is_reported = false;
    server->next_since_ns = 0;
    serve_note(server, MESH_NODE_EVENT_PREPARE, MESH_TELEMETRY_NOBODY, NULL, "epoch %" PRIu32 " with %u member%s", plan->number,
               plan->member_count, plan->member_count == 1 ? "" : "s");
    if (plan->own_rank < 0 || serve_lacks_memory(server, plan, &missing_bytes) || (server->memory.is_refused && plan->member_count == 1)) {
        tell_ready(server); /* this node leaves, or no member will load, or there is nothing to load beside */
        return;
    }
    server->next = calloc(1, sizeof *server->next);
    if (server->next == NULL)
        give_up_next(server, "out of memory");
    else if (epoch_run_prepare(server->next, &server->epoch_run_config, plan, server->run, server->wakeup,
                               server->run == NULL ? serve_take_rows(server) : NULL, serve_take_reclaimer(server), &fail) < 0)
        give_up_next(server, fail.text);
}

/* Keys and values are transferred 16 positions at a time; a request's remaining ones are computed again, while all wait. So the best moment
 * for the switch is soon after a multiple of 16, for as many requests as possible. */
bool serve_is_good_moment(const struct engine_cached *cached, uint32_t count)
{
    uint32_t tail = 0;

    for (uint32_t i = 0; i < count; i++)
        tail += cached[i].positions % KV_SOURCE_STEP;
    return count == 0 || (tail >= TAIL_MIN * count && tail <= TAIL_MAX * count);
}

static bool is_good_moment(struct server *server)
{
    struct engine_cached cached[ENGINE_SLOTS_MAX];
    uint32_t first, heads;

    if (server->cached == NULL || mesh_udp_now_ns() - server->next_since_ns > MOMENT_NS_MAX)
        return true;
    return serve_is_good_moment(cached, engine_cached(server->cached, cached, &first, &heads));
}

/* -1: it cannot become a member. Better no member than one for which all others wait. */
static int watch_next(struct server *server, struct fail *fail)
{
    if (server->next == NULL || server->next_is_reported || !epoch_run_is_prepared(server->next))
        return 0;
    if (server->next_since_ns == 0)
        server->next_since_ns = mesh_udp_now_ns();
    if (atomic_load(&server->next->preparing) != EPOCH_RUN_FAILED) {
        if (is_good_moment(server))
            tell_ready(server);
        return 0;
    }
    if (server->run == NULL && server->memory.missing_bytes == 0) {
        *fail = server->next->why;
        return -1;
    }
    give_up_next(server, server->next->why.text);
    return 0;
}

/* Clients are told all results there are, and no new ones are accepted. */
static void begin_farewell(struct server *server)
{
    serve_tell_clients(server);
    mesh_sessions_end(server->sessions, mesh_udp_now_ns());
    server->is_over = true;
    server->leave_by_ns = mesh_udp_now_ns() + FAREWELL_NS_MAX;
}

static void write_refusal(struct server *server, const struct mesh_cluster_event *event, const char *address)
{
    char member[MESH_ADDR_TEXT_BYTES], unheard[MESH_ADDR_TEXT_BYTES + 128] = "";
    const bool is_v4 = mesh_addr_is_v4(&event->unheard);

    if (event->unheard.port != 0) {
        mesh_addr_format(event->unheard, member);
        snprintf(unheard, sizeof unheard, "; that member is %s%s", member,
                 is_v4 == mesh_addr_is_v4(&event->addr) ? ": what either sends has to reach the other, within 450 ms there and back"
                 : is_v4 ? ", which has IPv4, and this node asks by IPv6: all nodes need addresses of one kind (--listen, --join)"
                         : ", which has IPv6, and this node asks by IPv4: all nodes need addresses of one kind (--listen, --join)");
    }
    snprintf(server->refusal, sizeof server->refusal, "by %s: %s%s%s", address, event->reason,
             event->reason_code == MESH_DENY_FINGERPRINT ? " (or another release, --ctx, --slots, --batch or --kv-type: all must be equal)"
                                                         : "",
             unheard);
}

static void log_peer(struct server *server, const struct mesh_cluster_event *event)
{
    char address[MESH_ADDR_TEXT_BYTES];

    server->has_company = true;
    mesh_addr_format(event->addr, address);
    if (event->has_left) {
        serve_note(server, MESH_NODE_EVENT_LEAVING, event->rank, &event->addr, "%s has left", address);
        serve_log(server, "left: %s (it was rank %u)", address, event->rank);
        return;
    }
    serve_note(server,
               event->type == MESH_CLUSTER_PEER_LOST   ? MESH_NODE_EVENT_LOST
               : event->type == MESH_CLUSTER_PEER_BACK ? MESH_NODE_EVENT_BACK
                                                       : MESH_NODE_EVENT_REFUSED,
               event->type == MESH_CLUSTER_REFUSED ? MESH_TELEMETRY_NOBODY : event->rank, &event->addr, "%s%s%s", address,
               event->type == MESH_CLUSTER_REFUSED ? ": " : "", event->type == MESH_CLUSTER_REFUSED ? event->reason : "");
    if (event->type == MESH_CLUSTER_PEER_LOST)
        serve_troubles_lost(server, &event->addr, &event->unheard);
    if (event->type == MESH_CLUSTER_PEER_LOST)
        serve_log(server, "lost: %s (it was rank %u)", address, event->rank);
    else if (event->type == MESH_CLUSTER_PEER_BACK)
        serve_log(server, "back: %s (rank %u)", address, event->rank);
    else {
        write_refusal(server, event, address);
        serve_log(server, "refused %s", server->refusal);
    }
}

/* The others may have a plan already by which it comes back, and wait until it is ready for that. */
static void take_eviction(struct server *server)
{
    serve_log(server, "the others have gone on without this node: joining them again");
    serve_forget_lack(server);
    if (server->next != NULL && atomic_load(&server->next->preparing) != EPOCH_RUN_LOADING)
        give_up_next(server, "this one is over");
    serve_end_run(server);
    serve_watch_epoch(server);
    serve_note(server, MESH_NODE_EVENT_EVICTED, MESH_TELEMETRY_NOBODY, NULL, "joining the others again");
}

static int take_event(struct server *server, const struct mesh_cluster_event *event, struct fail *fail)
{
    switch (event->type) {
    case MESH_CLUSTER_PREPARE:
        server->has_company |= event->member_count > 1; /* a node that loads for an epoch of several has been answered */
        prepare_next(server, event);
        break;
    case MESH_CLUSTER_EPOCH:
        return begin_run(server, event, fail);
    case MESH_CLUSTER_EVICTED:
        take_eviction(server);
        break;
    case MESH_CLUSTER_JOINED:
        serve_note(server, MESH_NODE_EVENT_JOINED, MESH_TELEMETRY_NOBODY, &event->addr, "took this node in");
        break;
    case MESH_CLUSTER_LEFT:
        serve_forget_lack(server);
        serve_end_epoch(server);
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

/* The cluster core reports a refusal once, and counts all. */
static void watch_refusals(struct server *server)
{
    struct mesh_cluster_stats stats;
    uint64_t count = 0;

    mesh_cluster_get_stats(server->cluster, &stats);
    for (unsigned i = 0; i < MESH_CLUSTER_REASONS; i++)
        count += stats.refused[i];
    if (count != server->refusals)
        server->refused_ns = mesh_udp_now_ns();
    server->refusals = count;
}

bool serve_is_refused(const struct server *server)
{
    const struct serve_memory *m = &server->memory;
    const bool is_alone = m->missing_bytes > 0 ? m->count == 1 : server->run == NULL || server->run->count == 1;

    return is_alone && server->config->seed_count > 0 && server->refused_ns != 0 && mesh_udp_now_ns() - server->refused_ns < refused_ns;
}

bool serve_note_suspect(struct server *server, uint64_t before, uint16_t rank, uint64_t received)
{
    const bool is_heard = (before >> rank & 1) != 0 && received > server->suspects_received[rank];

    server->suspects |= UINT64_C(1) << rank;
    server->suspects_received[rank] = received;
    return is_heard;
}

/* A suspect whose tiles come is alive, even if its answer waits in a queue behind them. Of other members nothing is told: they are to be
 * asked for signs of life all the same, since the answers tell how long such a queue is. */
static void tell_heard(struct server *server)
{
    const struct epoch_run *run = server->run;
    const uint64_t before = server->suspects;
    struct mesh_cluster_peer_stats peer;
    struct mesh_peer_stats stats;

    server->suspects = 0;
    if (run == NULL || run->mesh == NULL || !run->is_started || !mesh_cluster_is_waiting(server->cluster))
        return;
    for (uint16_t rank = 0; rank < run->count; rank++) {
        if (!serve_is_rank(server, rank) || mesh_cluster_get_peer_stats(server->cluster, rank, &peer) != MESH_OK || !peer.is_suspected)
            continue;
        engine_peer_stats(run->engine, rank, &stats);
        if (serve_note_suspect(server, before, rank, stats.datagrams_received))
            mesh_cluster_heard(server->cluster, mesh_udp_now_ns(), rank);
    }
}

int serve_run_cluster(struct server *server, struct fail *fail)
{
    struct mesh_cluster_event event;

    tell_heard(server);
    mesh_cluster_tick(server->cluster, mesh_udp_now_ns());
    if (watch_next(server, fail) < 0)
        return -1;
    while (mesh_cluster_next_event(server->cluster, &event))
        if (take_event(server, &event, fail) < 0)
            return -1;
    watch_refusals(server);
    return 0;
}

/* A suspicion that was withdrawn does not begin a change. */
static void forget_doubt(struct server *server)
{
    struct mesh_cluster_peer_stats peer;

    if (server->change.doubt_ns == 0 || server->run == NULL)
        return;
    for (uint16_t rank = 0; rank < server->run->count; rank++)
        if (mesh_cluster_get_peer_stats(server->cluster, rank, &peer) == MESH_OK && peer.is_suspected)
            return;
    server->change.doubt_ns = 0;
}

/* The cluster may have moved on to another epoch, in which that rank is another member. */
bool serve_is_rank(const struct server *server, uint16_t rank)
{
    struct mesh_cluster_event now;

    mesh_cluster_get_epoch(server->cluster, &now);
    return now.number == server->run->number && rank < now.member_count &&
           memcmp(now.members[rank].incarnation, server->run->member[rank].incarnation, sizeof now.members[rank].incarnation) == 0;
}

static void suspect(struct server *server, uint16_t rank)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    struct mesh_cluster_peer_stats peer;

    if (!serve_is_rank(server, rank))
        return;
    if (mesh_cluster_get_peer_stats(server->cluster, rank, &peer) == MESH_OK && !peer.is_suspected &&
        (server->suspected_ns[rank] == 0 || now_ns - server->suspected_ns[rank] >= suspicion_apart_ns)) {
        server->suspected_ns[rank] = now_ns;
        serve_note(server, MESH_NODE_EVENT_SUSPECTED, rank, &server->run->member[rank].addr, "silent, or its port is unreachable");
    }
    epoch_change_suspect(&server->change, now_ns);
    mesh_cluster_suspect(server->cluster, now_ns, rank);
}

/* A member whose port is gone is suspected at once. The report is a hint that anybody may forge; the member is asked before it counts. */
static void watch_ports(struct server *server)
{
    struct mesh_addr addr;

    while (packet_filter_next_unreachable(&server->filter, &addr))
        for (uint16_t rank = 0; server->run != NULL && rank < server->run->count; rank++)
            if (rank != server->run->rank && mesh_addr_equal(&server->run->member[rank].addr, &addr))
                suspect(server, rank);
}

/* Suspect members that owe blocks and send nothing. */
void serve_watch_members(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    uint64_t silent;

    forget_doubt(server);
    watch_ports(server);
    if (server->run == NULL || server->run->count == 1 || server->is_over || now_ns < server->watch_at_ns)
        return;
    server->watch_at_ns = now_ns + SERVE_WATCH_NS;
    for (silent = epoch_run_silent_ranks(server->run); silent != 0; silent &= silent - 1)
        suspect(server, (uint16_t)__builtin_ctzll(silent));
}
