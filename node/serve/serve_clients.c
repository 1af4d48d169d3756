/* The clients of a serving node: requests become jobs, and clients are told the results. */
#include <stdio.h>
#include <string.h>

#include "serve_state.h"
#include "serve_status.h"

static void refuse_as(struct server *server, uint32_t session, enum client_message_kind kind, const char *why)
{
    uint8_t record[1024];
    const struct client_message message = {.kind = kind, .text = why, .text_size = strlen(why)};

    mesh_sessions_send(server->sessions, mesh_udp_now_ns(), session, record, client_message_write(&message, record));
}

static void refuse(struct server *server, uint32_t session, const char *why)
{
    refuse_as(server, session, CLIENT_MESSAGE_REFUSED, why);
}

static void tell_status(struct server *server, uint32_t session, bool is_json)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    struct mesh_sessions_stats sessions;
    struct mesh_cluster_stats cluster;
    struct engine_figures figures;
    struct packet_filter_stats filter;
    struct serve_status status = {.config = &server->epoch_run_config,
                                  .run = server->run,
                                  .cluster = server->cluster,
                                  .memory = &server->memory,
                                  .troubles = &server->troubles,
                                  .now_ns = mesh_udp_now_ns(),
                                  .share_changes = server->shares.changes,
                                  .is_draining = server->is_draining,
                                  .refusal = serve_is_refused(server) ? server->refusal : NULL};
    char text[CLIENT_MESSAGE_TEXT_MAX];
    struct client_message message = {.kind = CLIENT_MESSAGE_STATE, .text = text};

    mesh_sessions_get_stats(server->sessions, &sessions);
    mesh_cluster_get_stats(server->cluster, &cluster);
    status.sessions = &sessions;
    status.cluster_stats = &cluster;
    status.recomputed = server->recomputed;
    status.reused = server->reused;
    status.prepared_epochs = server->prepared_epochs;
    if (server->run != NULL) {
        engine_figures(server->run->engine, &figures);
        status.recomputed += figures.recomputed;
        status.reused += figures.reused;
        serve_members_speed(server->cluster, server->run, &server->shares.self, status.member);
    }
    status.is_recording = server->recording != NULL;
    recording_figures(server->recording, &status.recorded);
    packet_filter_get_stats(&server->filter, &filter);
    status.filter = &filter;
    status.change = &server->change;
    memcpy(status.refused, server->refused, sizeof status.refused);
    status.replayed = server->replayed;
    status.turned_away = server->turned_away;
    status.requests = server->prompt_queue.count;
    for (size_t i = 0; i < JOBS_MAX; i++)
        status.requests += server->jobs.job[i].id != 0 && !server->jobs.job[i].is_done;
    message.text_size = is_json ? serve_status_write(&status, text, sizeof text) : serve_status_print(&status, text, sizeof text);
    mesh_sessions_send(server->sessions, mesh_udp_now_ns(), session, record, client_message_write(&message, record));
}

unsigned serve_count_requests(const struct server *server)
{
    return server->prompt_queue.count + jobs_count(&server->jobs);
}

/* A client that asks a leaving node is told which node to ask instead. */
static void refuse_to_begin(struct server *server, uint32_t session)
{
    const struct epoch_run *run = server->run;
    char address[MESH_ADDR_TEXT_BYTES], why[sizeof address + 64];

    if (run == NULL || run->count == 1) {
        refuse(server, session, "this node is leaving and was the only one: ask again when a node is up");
        return;
    }
    mesh_addr_format(run->member[run->rank == 0 ? 1 : 0].addr, address);
    snprintf(why, sizeof why, "this node is leaving: ask %s instead", address);
    refuse(server, session, why);
}

/* A running request waits, and continues when there is enough memory. */
static void refuse_without_memory(struct server *server, uint32_t session)
{
    char missing[MEMORY_TEXT_BYTES], why[200];

    memory_text(server->memory.missing_bytes, missing);
    snprintf(why, sizeof why, "memory: the cluster's nodes have too little for the model, %s are missing: ask again when a node has joined",
             missing);
    refuse(server, session, why);
}

static void refuse_prompt(struct server *server, uint32_t session, const struct fail *fail)
{
    refuse_as(server, session, fail->exit_code == EXIT_USAGE ? CLIENT_MESSAGE_UNFIT : CLIENT_MESSAGE_REFUSED, fail->text);
}

static enum client_use use_of(void *app, uint32_t session)
{
    const struct server *server = app;

    if (jobs_count_of(&server->jobs, session) + prompt_queue_count_of(&server->prompt_queue, session) > 0 ||
        bulk_host_has(&server->bulk, session))
        return CLIENT_WORKS;
    return watch_has(&server->watching.watch, mesh_udp_now_ns(), session) ? CLIENT_LOOKS : CLIENT_IDLE;
}

/* Whether this client may have a question or a fetch more: not if too many others have some. */
static bool may_work(struct server *server, uint32_t session)
{
    const bool may = client_places_may_work(&server->places, session, use_of, server);

    server->turned_away += !may;
    return may;
}

static void refuse_for_others(struct server *server, uint32_t session)
{
    char why[120];

    snprintf(why, sizeof why, "this node works for %d clients, as many as it takes: ask another node, or later", CLIENT_PLACES_WORKING);
    refuse(server, session, why);
}

static void take_prompt(struct server *server, uint32_t session, const struct client_message *ask)
{
    const struct job_asked asked = {
        .session = session, .ask = ask->ask, .is_conversation = ask->kind == CLIENT_MESSAGE_CONVERSE, .when_ns = mesh_udp_now_ns()};
    struct fail fail = {0};

    if (server->is_draining)
        refuse_to_begin(server, session);
    else if (server->memory.missing_bytes > 0)
        refuse_without_memory(server, session);
    else if (!may_work(server, session))
        refuse_for_others(server, session);
    else if (prompt_queue_add(&server->prompt_queue, &server->jobs, &server->epoch_run_config, &asked, ask->text, ask->text_size, &fail) <
             0)
        refuse_prompt(server, session, &fail);
}

void serve_run_prompt_queue(struct server *server)
{
    size_t work = PROMPT_QUEUE_WORK;
    struct prompt_queue_outcome outcome;

    while (prompt_queue_next(&server->prompt_queue, &server->jobs, &server->epoch_run_config, &work, &outcome)) {
        if (outcome.job != NULL)
            serve_record_asked(server, outcome.job);
        else
            refuse_prompt(server, outcome.session, &outcome.fail);
    }
}

/* Best effort: the client knows what it wanted to end, and may be gone. */
static void tell_cancelled(struct server *server, const struct job *job)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    const uint64_t now_ns = mesh_udp_now_ns();

    mesh_sessions_send(server->sessions, now_ns, job->session, record,
                       job_cancelled_record(job, now_ns, server->run != NULL ? server->run->count : 0, record));
}

static void cancel_session(struct server *server, uint32_t session, bool is_asked_for)
{
    prompt_queue_drop(&server->prompt_queue, session);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &server->jobs.job[i];
        const bool is_in_engine = server->run != NULL && server->run->is_started && job->is_submitted && !job->is_done;

        if (job->id == 0 || job->session != session)
            continue;
        if (!job->is_done)
            serve_record_cancelled(server, job, is_asked_for, is_in_engine);
        if (is_asked_for && !job->is_done)
            tell_cancelled(server, job);
        if (is_in_engine) {
            engine_cancel(server->run->engine, job->id);
            worker_pool_wake(&server->run->workers);
        }
        node_metrics_request_finished(&server->watching.requests, job, mesh_udp_now_ns());
        jobs_remove(job);
    }
}

static const char no_form[] = "this node does not understand the question: are both of the same version?";

static void take_bulk(struct server *server, const struct mesh_session_event *event)
{
    const bool may_get = event->record[0] != BULK_GET || may_work(server, event->session);

    if (bulk_host_take(&server->bulk, server->sessions, mesh_udp_now_ns(), event->session, may_get, event->record, event->record_bytes) < 0)
        refuse(server, event->session, no_form);
}

static void take_record(struct server *server, const struct mesh_session_event *event)
{
    struct client_message message;

    client_places_ask(&server->places, mesh_udp_now_ns(), event->session);
    if (bulk_is_one(event->record, event->record_bytes)) {
        take_bulk(server, event);
        return;
    }
    if (serve_watch_take_record(server, event->session, event->record, event->record_bytes))
        return;
    if (client_message_read(&message, event->record, event->record_bytes) < 0) {
        refuse(server, event->session, no_form);
        return;
    }
    switch (message.kind) {
    case CLIENT_MESSAGE_ASK:
    case CLIENT_MESSAGE_CONVERSE:
        take_prompt(server, event->session, &message);
        break;
    case CLIENT_MESSAGE_STATUS:
    case CLIENT_MESSAGE_STATUS_TEXT:
        tell_status(server, event->session, message.kind == CLIENT_MESSAGE_STATUS);
        break;
    case CLIENT_MESSAGE_CANCEL:
        cancel_session(server, event->session, true);
        break;
    default:
        refuse(server, event->session, "nodes answer questions, they ask none");
        break;
    }
}

/* A client that goes away frees its slot. */
static void forget_session(struct server *server, uint32_t session)
{
    client_places_close(&server->places, session);
    cancel_session(server, session, false);
    bulk_host_drop(&server->bulk, session);
    serve_watch_drop(server, session);
}

static void free_places(struct server *server)
{
    const uint32_t session = client_places_give_way(&server->places, mesh_udp_now_ns(), use_of, server);

    if (session == 0)
        return;
    mesh_sessions_close(server->sessions, mesh_udp_now_ns(), session);
    forget_session(server, session);
}

void serve_run_sessions(struct server *server)
{
    struct mesh_session_event event;

    mesh_sessions_tick(server->sessions, mesh_udp_now_ns());
    while (mesh_sessions_next_event(server->sessions, mesh_udp_now_ns(), &event)) {
        if (event.type == MESH_SESSION_OPENED)
            client_places_open(&server->places, mesh_udp_now_ns(), event.session);
        else if (event.type == MESH_SESSION_RECORD)
            take_record(server, &event);
        else if (event.type == MESH_SESSION_CLOSED)
            forget_session(server, event.session);
    }
    free_places(server);
}

/* Tiles and fetched bytes share a socket and a link. */
static bool is_busy(const struct server *server)
{
    return server->run != NULL && server->run->mesh != NULL && engine_is_stepping(server->run->engine);
}

void serve_run_bulk(struct server *server)
{
    bulk_host_run(&server->bulk, server->sessions, mesh_udp_now_ns(), is_busy(server));
}

uint64_t serve_bulk_due_ns(struct server *server)
{
    return bulk_host_due_ns(&server->bulk, server->sessions, is_busy(server));
}

/* Tell clients the results, as far as their queues have room. */
void serve_tell_clients(struct server *server)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    const uint16_t nodes = server->run != NULL ? server->run->count : 0;

    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &server->jobs.job[i];
        uint32_t tokens;
        size_t bytes;

        while (job->id != 0 && (bytes = job_record(job, server->epoch_run_config.tokenizer, nodes, record, &tokens)) > 0) {
            const bool is_last = record[0] == CLIENT_MESSAGE_DONE;

            if (mesh_sessions_send(server->sessions, mesh_udp_now_ns(), job->session, record, bytes) == MESH_AGAIN)
                break;
            job_sent(job, tokens);
            if (is_last) {
                node_metrics_request_finished(&server->watching.requests, job, mesh_udp_now_ns());
                client_places_ask(&server->places, mesh_udp_now_ns(), job->session);
                jobs_remove(job);
            }
        }
    }
}
