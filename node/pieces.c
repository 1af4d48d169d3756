#include "pieces.h"

#include <string.h>

#define MS_NS UINT64_C(1000000)

enum {
    EVENT_AGE_MS = 15000,    /* so long an event is told again and again */
    LATENCY_BYTES_MAX = 3300 /* of histograms in a report: three pieces. The others come in the next ones */
};

struct pieces {
    struct pieces_state *state;
    const struct pieces_source *source;
    void (*give)(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes);
    void *app;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_writer writer;
    size_t begun;
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
};

static void begin_piece(struct pieces *p)
{
    mesh_telemetry_begin(&p->writer, p->piece, sizeof p->piece, &p->head);
    p->begun = p->writer.used;
}

/* What is written is given; and on with an empty piece. */
static void end_piece(struct pieces *p)
{
    if (p->writer.used > p->begun)
        p->give(p->app, &p->head, p->piece, p->writer.used);
    begin_piece(p);
}

static bool is_wanted(const struct pieces *p, unsigned kind)
{
    return (p->source->kinds >> kind & 1) != 0;
}

static void put(struct pieces *p, const struct mesh_telemetry_item *item)
{
    if (!is_wanted(p, item->kind) && item->kind != MESH_TELEMETRY_NODE)
        return;
    if (mesh_telemetry_put(&p->writer, item))
        return;
    end_piece(p);
    mesh_telemetry_put(&p->writer, item);
}

static void put_figures(struct pieces *p)
{
    const struct measure *m = p->source->measure;
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

static void put_events(struct pieces *p)
{
    const struct happenings *all = p->source->happenings;

    for (uint32_t n = happened_first(all); n <= all->count; n++) {
        const struct happened *h = happened_get(all, n);
        struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_EVENT, .event = h->event};

        item.tail = (const uint8_t *)h->text;
        item.tail_bytes = strlen(h->text);
        if (p->source->all_events || h->event.when_ns + EVENT_AGE_MS * MS_NS > p->head.now_ns)
            put(p, &item);
    }
}

/* Some of the steps since the last report, by their numbers, so that all nodes tell of the same ones. */
static void put_steps(struct pieces *p)
{
    struct engine *engine = p->source->engine;
    struct pieces_state *state = p->state;
    struct mesh_telemetry_step step;
    uint64_t count = 0, stride = 1, serial = state->step_serial;

    if (!is_wanted(p, MESH_TELEMETRY_STEP) || engine == NULL || engine_phase_count(engine) > PIECES_PHASES_MAX)
        return;
    while (engine_next_step(engine, &serial, &step, state->phase))
        count++;
    while (count > p->source->steps * stride)
        stride *= 2;
    while (engine_next_step(engine, &state->step_serial, &step, state->phase)) {
        uint16_t phase = 0;

        if (step.step % stride != 0)
            continue;
        while (!mesh_telemetry_put_step(&p->writer, &step, state->phase, &phase))
            end_piece(p);
    }
}

/* Whole histograms, in turn, as far as a report should be long. */
static void put_latencies(struct pieces *p)
{
    const struct measure *m = p->source->measure;
    const unsigned total = (unsigned)m->links * MESH_LATENCIES;
    size_t bytes = 0;

    if (!is_wanted(p, MESH_TELEMETRY_LATENCY))
        return;
    for (unsigned i = 0; i < total && bytes < LATENCY_BYTES_MAX; i++, p->state->latency_turn++) {
        const unsigned index = p->state->latency_turn % total;
        const struct mesh_histogram *histogram = &m->latency[index];
        uint16_t bucket = 0;

        if (histogram->count == 0)
            continue;
        for (bool is_done = false; !is_done;) {
            const size_t before = p->writer.used;

            is_done = mesh_telemetry_put_histogram(&p->writer, m->link[index / MESH_LATENCIES].peer,
                                                   (enum mesh_latency)(index % MESH_LATENCIES), histogram, &bucket);
            bytes += p->writer.used - before;
            if (!is_done)
                end_piece(p);
        }
    }
}

void pieces_write(struct pieces_state *state, const struct pieces_source *source,
                  void (*give)(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes), void *app)
{
    const struct measure *m = source->measure;
    struct pieces p = {.state = state, .source = source, .give = give, .app = app};

    p.head = (struct mesh_telemetry_head){
        .version = MESH_TELEMETRY_VERSION, .rank = m->rank, .epoch = m->epoch, .serial = ++state->serial, .now_ns = m->now_ns};
    memcpy(p.head.incarnation, source->incarnation, sizeof p.head.incarnation);
    begin_piece(&p);
    put_figures(&p);
    put_events(&p);
    put_steps(&p);
    put_latencies(&p);
    end_piece(&p);
}
