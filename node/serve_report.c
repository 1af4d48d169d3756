/* A serving node's report: what it measures, as pieces of telemetry for whoever watches. */
#include <inttypes.h>
#include <string.h>

#include "serve_state.h"

#define MS_NS UINT64_C(1000000)

enum {
    EVENT_AGE_MS = 15000, /* so long an event is told again and again */
    STEPS_PER_REPORT = 4,
    LATENCY_BYTES_MAX = 3300 /* of histograms in a report: three pieces. The others come in the next ones */
};

struct reporter {
    struct server *server;
    uint32_t kinds;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_writer writer;
    size_t begun;
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
};

static void begin_piece(struct reporter *r)
{
    mesh_telemetry_begin(&r->writer, r->piece, sizeof r->piece, &r->head);
    r->begun = r->writer.used;
}

/* What is written, to all who watch; and on with an empty piece. */
static void end_piece(struct reporter *r)
{
    if (r->writer.used > r->begun)
        serve_watch_send(r->server, &r->head, r->piece, r->writer.used);
    begin_piece(r);
}

static void put(struct reporter *r, const struct mesh_telemetry_item *item)
{
    if ((r->kinds >> item->kind & 1) == 0 && item->kind != MESH_TELEMETRY_NODE)
        return;
    if (mesh_telemetry_put(&r->writer, item))
        return;
    end_piece(r);
    mesh_telemetry_put(&r->writer, item);
}

static void put_figures(struct reporter *r, const struct measure *m)
{
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_NODE, .node = m->node};

    item.tail = (const uint8_t *)m->model;
    item.tail_bytes = strlen(m->model);
    put(r, &item);
    for (uint16_t i = 0; i < m->links; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_LINK, .link = m->link[i]};
        put(r, &item);
    }
    for (uint16_t i = 0; i < m->workers; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_WORKER, .worker = m->worker[i]};
        put(r, &item);
    }
    for (uint16_t i = 0; i < m->requests; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_REQUEST, .request = m->request[i]};
        put(r, &item);
    }
}

static void put_events(struct reporter *r)
{
    struct watching *w = &r->server->watching;

    for (uint32_t n = happened_first(&w->happenings); n <= w->happenings.count; n++) {
        const struct happened *h = happened_get(&w->happenings, n);
        struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_EVENT, .event = h->event};

        item.tail = (const uint8_t *)h->text;
        item.tail_bytes = strlen(h->text);
        if (w->tells_all_events || h->event.when_ns + EVENT_AGE_MS * MS_NS > r->head.now_ns)
            put(r, &item);
    }
    w->tells_all_events = false;
}

/* Some of the steps since the last report, by their numbers, so that all nodes tell of the same ones. */
static void put_steps(struct reporter *r)
{
    struct watching *w = &r->server->watching;
    struct engine *engine = r->server->shift->engine;
    struct mesh_telemetry_step step;
    uint64_t count = 0, stride = 1, serial = w->step_serial;

    if ((r->kinds >> MESH_TELEMETRY_STEP & 1) == 0 || engine_phase_count(engine) > WATCH_PHASES_MAX)
        return;
    while (engine_next_step(engine, &serial, &step, w->phase))
        count++;
    while (count > STEPS_PER_REPORT * stride)
        stride *= 2;
    while (engine_next_step(engine, &w->step_serial, &step, w->phase)) {
        uint16_t phase = 0;

        if (step.step % stride != 0)
            continue;
        while (!mesh_telemetry_put_step(&r->writer, &step, w->phase, &phase))
            end_piece(r);
    }
}

/* Whole histograms, in turn, as far as a report should be long. */
static void put_latencies(struct reporter *r, const struct measure *m)
{
    struct watching *w = &r->server->watching;
    const unsigned total = (unsigned)m->links * MESH_LATENCIES;
    size_t bytes = 0;

    if ((r->kinds >> MESH_TELEMETRY_LATENCY & 1) == 0)
        return;
    for (unsigned i = 0; i < total && bytes < LATENCY_BYTES_MAX; i++, w->latency_turn++) {
        const unsigned index = w->latency_turn % total;
        const struct mesh_histogram *histogram = &m->latency[index];
        uint16_t bucket = 0;

        if (histogram->count == 0)
            continue;
        for (bool is_done = false; !is_done;) {
            const size_t before = r->writer.used;

            is_done = mesh_telemetry_put_histogram(&r->writer, m->link[index / MESH_LATENCIES].peer,
                                                   (enum mesh_latency)(index % MESH_LATENCIES), histogram, &bucket);
            bytes += r->writer.used - before;
            if (!is_done)
                end_piece(r);
        }
    }
}

void serve_watch_measure(struct server *server)
{
    struct watching *w = &server->watching;
    struct measure_source source = {
        .config = &server->shift_config,
        .shift = server->shift,
        .cluster = server->cluster,
        .sessions = server->sessions,
        .jobs = &server->jobs,
        .requests = &w->requests,
        .lab = &server->config->lab,
        .replayed = server->replayed,
        .recomputed = server->recomputed,
        .telemetry_refused = w->refused,
        .watchers = serve_watch_count(server),
        .start_ns = w->start_ns,
        .epoch_ns = w->epoch_ns,
        .is_leaving = server->is_leaving || server->is_draining,
        .addr = mesh_udp_local(server->config->shift.udp),
    };
    struct gate_stats gate;

    gate_get_stats(&server->gate, &gate);
    source.gate = &gate;
    memcpy(source.refused, server->refused, sizeof source.refused);
    measure_take(&w->measure, &source);
}

void serve_report(struct server *server, uint32_t kinds)
{
    struct watching *w = &server->watching;
    const struct measure *m = &w->measure;
    struct reporter r = {.server = server, .kinds = kinds};

    serve_watch_measure(server);
    w->reports++;
    r.head = (struct mesh_telemetry_head){
        .version = MESH_TELEMETRY_VERSION, .rank = m->rank, .epoch = m->epoch, .serial = ++w->serial, .now_ns = m->now_ns};
    memcpy(r.head.incarnation, server->incarnation, sizeof r.head.incarnation);
    begin_piece(&r);
    put_figures(&r, m);
    put_events(&r);
    if (server->shift != NULL && server->shift->is_started)
        put_steps(&r);
    put_latencies(&r, m);
    end_piece(&r);
}

void serve_say_figures(struct server *server)
{
    const struct measure *m = &server->watching.measure;
    const struct mesh_telemetry_node *n = &m->node;
    struct mesh_telemetry_link all = {0};

    serve_watch_measure(server);
    serve_say(server, "%" PRIu64 " requests, %" PRIu64 " failed: prompts of %" PRIu64 " tokens, %" PRIu64 " generated", n->requests_begun,
              n->requests_failed, n->prompt_tokens, n->answer_tokens);
    if (n->stepping_ns == 0)
        return;
    for (uint16_t i = 0; i < m->links; i++) {
        all.datagrams_sent += m->link[i].datagrams_sent;
        all.bytes_sent += m->link[i].bytes_sent;
        all.lost += m->link[i].lost;
        all.naks_sent += m->link[i].naks_sent;
        all.resent += m->link[i].resent;
    }
    serve_say(server,
              "epoch %" PRIu32 ": %" PRIu64 " tokens generated in %" PRIu64 " steps of %.3f s; utilisation %.2f; sent %" PRIu64
              " datagrams of %.1f kB; lost %" PRIu64 ", asked again %" PRIu64 ", resent %" PRIu64,
              m->epoch, n->tokens, n->steps, (double)n->stepping_ns / 1e9,
              (double)n->compute_ns / ((double)n->stepping_ns * (n->threads > 0 ? n->threads : 1)), all.datagrams_sent,
              (double)all.bytes_sent / 1e3, all.lost, all.naks_sent, all.resent);
}
