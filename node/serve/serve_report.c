/* Measurements and reports of a serving node. */
#include <inttypes.h>
#include <string.h>

#include "serve_state.h"

void serve_watch_measure(struct server *server)
{
    struct watching *w = &server->watching;
    struct node_metrics_source source = {
        .now_ns = mesh_udp_now_ns(),
        .unix_ms = serve_unix_ms(),
        .config = &server->epoch_run_config,
        .run = server->run,
        .cluster = server->cluster,
        .sessions = server->sessions,
        .jobs = &server->jobs,
        .waiting = server->prompt_queue.count,
        .requests = &w->requests,
        .lab = &server->config->lab,
        .replayed = server->replayed,
        .recomputed = server->recomputed,
        .telemetry_refused = w->watch.refused,
        .watchers = serve_watch_count(server),
        .start_ns = w->start_ns,
        .epoch_ns = w->epoch_ns,
        .is_leaving = server->is_leaving || server->is_draining,
        .addr = mesh_udp_local(server->config->run.udp),
    };
    struct packet_filter_stats filter;
    uint64_t held_bytes;

    memory_monitor_last(server->memory.monitor, &source.available_bytes, &held_bytes);
    packet_filter_get_stats(&server->filter, &filter);
    source.filter = &filter;
    memcpy(source.refused, server->refused, sizeof source.refused);
    node_metrics_take(&w->metrics, &source);
}

static void give(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    struct server *server = app;

    serve_record_piece(server, head, piece, bytes);
    watch_give(&server->watching.watch, mesh_udp_now_ns(), serve_unix_ms(), head, piece, bytes);
}

void serve_report(void *app, uint32_t kinds)
{
    struct server *server = app;
    struct watching *w = &server->watching;
    const struct telemetry_report_source source = {
        .incarnation = server->incarnation,
        .metrics = &w->metrics,
        .events = &w->events,
        .engine = server->run != NULL && server->run->is_started ? server->run->engine : NULL,
        .kinds = kinds,
        .steps_per_s = serve_watch_count(server) > 0 ? SERVE_STEPS : SERVE_STEPS_RECORDED,
        .all_events = w->watch.tells_all_events,
    };

    serve_watch_measure(server);
    telemetry_report_write(&w->report, &source, give, server);
    w->watch.tells_all_events = false;
}

void serve_log_figures(struct server *server)
{
    const struct node_metrics *m = &server->watching.metrics;
    const struct mesh_telemetry_node *n = &m->node;
    struct mesh_telemetry_link all = {0};

    serve_watch_measure(server);
    serve_log(server, "%" PRIu64 " request%s, %" PRIu64 " failed: prompts of %" PRIu64 " tokens, %" PRIu64 " generated", n->requests_begun,
              n->requests_begun == 1 ? "" : "s", n->requests_failed, n->prompt_tokens, n->answer_tokens);
    if (n->stepping_ns == 0)
        return;
    for (uint16_t i = 0; i < m->links; i++) {
        all.datagrams_sent += m->link[i].datagrams_sent;
        all.bytes_sent += m->link[i].bytes_sent;
        all.lost += m->link[i].lost;
        all.naks_sent += m->link[i].naks_sent;
        all.resent += m->link[i].resent;
    }
    serve_log(server,
              "epoch %" PRIu32 ": %" PRIu64 " tokens generated in %" PRIu64 " steps of %.3f s; utilisation %.2f; sent %" PRIu64
              " datagrams of %.1f kB; lost %" PRIu64 ", NAKs sent %" PRIu64 ", resent %" PRIu64,
              m->epoch, n->tokens, n->steps, (double)n->stepping_ns / 1e9,
              (double)n->compute_ns / ((double)n->stepping_ns * (n->threads > 0 ? n->threads : 1)), all.datagrams_sent - m->shared_sent,
              (double)(all.bytes_sent - m->shared_bytes_sent) / 1e3, all.lost, all.naks_sent, all.resent);
}
