#include "telemetry_report.h"

#include <string.h>

#define MS_NS UINT64_C(1000000)

enum {
    EVENT_AGE_MS = 15000, /* how long an event is reported again and again */
    EVENT_AGAIN_MS = 1000,
    LATENCY_BYTES_PER_MS = 8, /* of histograms; a report has at most three pieces of them, the others come in the next ones */
    LATENCY_BYTES_MAX = 3300,
    STEPS_MS_MAX = 320 /* a report covers the steps of at most this much time */
};

struct report {
    struct telemetry_report_state *state;
    const struct telemetry_report_source *source;
    void (*give)(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes);
    void *app;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_writer writer;
    size_t begun;
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
};

static void begin_piece(struct report *p)
{
    mesh_telemetry_begin(&p->writer, p->piece, sizeof p->piece, &p->head);
    p->begun = p->writer.used;
}

/* Give the piece written so far, and begin an empty one. */
static void end_piece(struct report *p)
{
    if (p->writer.used > p->begun)
        p->give(p->app, &p->head, p->piece, p->writer.used);
    begin_piece(p);
}

static bool is_wanted(const struct report *p, unsigned kind)
{
    return (p->source->kinds >> kind & 1) != 0;
}

static void put(struct report *p, const struct mesh_telemetry_item *item)
{
    if (!is_wanted(p, item->kind) && item->kind != MESH_TELEMETRY_NODE)
        return;
    if (mesh_telemetry_put(&p->writer, item))
        return;
    end_piece(p);
    mesh_telemetry_put(&p->writer, item);
}

static void put_figures(struct report *p)
{
    const struct node_metrics *m = p->source->metrics;
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_NODE, .node = m->node};

    item.tail = (const uint8_t *)m->model;
    item.tail_bytes = strlen(m->model);
    put(p, &item);
    for (uint16_t i = 0; i < m->links; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_LINK, .link = m->link[i]};
        put(p, &item);
    }
    for (uint16_t i = 0; i < m->workers; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_WORKER, .worker = m->worker[i]};
        put(p, &item);
    }
    for (uint16_t i = 0; i < m->requests; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_REQUEST, .request = m->request[i]};
        put(p, &item);
    }
}

/* New events at once; others once a second, for receivers that missed a datagram. */
static void put_events(struct report *p)
{
    const struct event_ring *all = p->source->events;
    const bool is_again = p->head.now_ns >= p->state->events_ns;

    for (uint32_t n = event_ring_first(all); n <= all->count; n++) {
        const struct event_ring_entry *h = event_ring_get(all, n);
        const bool is_recent = h->event.when_ns + EVENT_AGE_MS * MS_NS > p->head.now_ns;
        struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_EVENT, .event = h->event};

        item.tail = (const uint8_t *)h->text;
        item.tail_bytes = strlen(h->text);
        if (p->source->all_events || n > p->state->event || (is_recent && is_again))
            put(p, &item);
    }
    p->state->event = all->count;
    if (is_again)
        p->state->events_ns = p->head.now_ns + EVENT_AGAIN_MS * MS_NS;
}

/* Number of steps in this report: its share for the time since the last report. */
static uint64_t steps_of_report(const struct report *p)
{
    const uint64_t since_ms = (p->head.now_ns - p->state->now_ns) / MS_NS;
    const uint64_t count = p->source->steps_per_s * (since_ms < STEPS_MS_MAX ? since_ms : STEPS_MS_MAX) / 1000;

    return count > 0 ? count : 1;
}

/* Some of the steps since the last report, chosen by their numbers, so that all nodes report the same ones. */
static void put_steps(struct report *p)
{
    struct engine *engine = p->source->engine;
    struct telemetry_report_state *state = p->state;
    struct mesh_telemetry_step step;
    const uint64_t most = steps_of_report(p);
    uint64_t count = 0, stride = 1, serial = state->step_serial;

    if (!is_wanted(p, MESH_TELEMETRY_STEP) || engine == NULL || engine_phase_count(engine) > TELEMETRY_REPORT_PHASES_MAX)
        return;
    while (engine_next_step(engine, &serial, &step, state->phase))
        count++;
    while (count > most * stride)
        stride *= 2;
    while (engine_next_step(engine, &state->step_serial, &step, state->phase)) {
        uint16_t phase = 0;

        if (step.step % stride != 0)
            continue;
        while (!mesh_telemetry_put_step(&p->writer, &step, state->phase, &phase))
            end_piece(p);
    }
}

/* Whole histograms, in turn, up to the length that a report should have. */
static void put_latencies(struct report *p)
{
    const struct node_metrics *m = p->source->metrics;
    const unsigned total = (unsigned)m->links * MESH_LATENCIES;
    const uint64_t since_ms = (p->head.now_ns - p->state->now_ns) / MS_NS;
    int64_t *left = &p->state->latency_bytes;

    if (!is_wanted(p, MESH_TELEMETRY_LATENCY))
        return;
    *left += LATENCY_BYTES_PER_MS * (int64_t)(since_ms < LATENCY_BYTES_MAX ? since_ms : LATENCY_BYTES_MAX);
    *left = *left < LATENCY_BYTES_MAX ? *left : LATENCY_BYTES_MAX;
    for (unsigned i = 0; i<total && * left> 0; i++, p->state->latency_turn++) {
        const unsigned index = p->state->latency_turn % total;
        const struct mesh_histogram *histogram = &m->latency[index];
        uint16_t bucket = 0;

        if (histogram->count == 0)
            continue;
        for (bool is_done = false; !is_done;) {
            const size_t before = p->writer.used;

            is_done = mesh_telemetry_put_histogram(&p->writer, m->link[index / MESH_LATENCIES].peer,
                                                   (enum mesh_latency)(index % MESH_LATENCIES), histogram, &bucket);
            *left -= (int64_t)(p->writer.used - before);
            if (!is_done)
                end_piece(p);
        }
    }
}

void telemetry_report_write(struct telemetry_report_state *state, const struct telemetry_report_source *source,
                            void (*give)(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes), void *app)
{
    const struct node_metrics *m = source->metrics;
    struct report p = {.state = state, .source = source, .give = give, .app = app};

    p.head = (struct mesh_telemetry_head){
        .version = MESH_TELEMETRY_VERSION, .rank = m->rank, .epoch = m->epoch, .serial = ++state->serial, .now_ns = m->now_ns};
    memcpy(p.head.incarnation, source->incarnation, sizeof p.head.incarnation);
    begin_piece(&p);
    put_figures(&p);
    put_events(&p);
    put_steps(&p);
    put_latencies(&p);
    end_piece(&p);
    state->now_ns = m->now_ns;
}
