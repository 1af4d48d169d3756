#include "made_telemetry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/wire.h"

static const uint64_t begin_ns = UINT64_C(5000000000000), begin_unix_ms = UINT64_C(1790000000000);

static uint64_t draw(struct made *made)
{
    made->random ^= made->random << 13;
    made->random ^= made->random >> 7;
    made->random ^= made->random << 17;
    return made->random;
}

static void set_address(uint8_t ip[16], uint16_t *port, unsigned node)
{
    const uint8_t address[16] = {[10] = 255, [11] = 255, [12] = 10, [15] = (uint8_t)(node + 1)};

    memcpy(ip, address, sizeof address);
    *port = 7411;
}

void made_init(struct made *made, unsigned nodes)
{
    assert(nodes <= MADE_NODES_MAX);
    *made = (struct made){.nodes = nodes,
                          .threads = 2,
                          .tok_per_s = 50,
                          .slow = -1,
                          .loss_from = -1,
                          .loss_to = -1,
                          .epoch = 1,
                          .now_ns = begin_ns,
                          .epoch_begin_ns = begin_ns,
                          .random = 0x9e3779b97f4a7c15u};
    made->links = calloc(nodes, sizeof *made->links);
    assert(made->links != NULL);
    made_new_epoch(made);
    made->epoch = 1;
}

void made_release(struct made *made)
{
    free(made->links);
}

uint64_t made_now_ns(const struct made *made)
{
    return made->now_ns;
}

int64_t made_wall_ns(const struct made *made)
{
    return (int64_t)(begin_unix_ms * 1000000 + (made->now_ns - begin_ns));
}

static uint16_t rank_of(const struct made *made, unsigned node)
{
    uint16_t rank = 0;

    for (unsigned i = 0; i < node; i++)
        rank = (uint16_t)(rank + !made->is_dead[i]);
    return rank;
}

static uint16_t count_alive(const struct made *made)
{
    return rank_of(made, made->nodes);
}

void made_new_epoch(struct made *made)
{
    made->epoch++;
    made->steps = 0;
    made->epoch_begin_ns = made->now_ns;
    memset(made->links, 0, made->nodes * sizeof *made->links);
    memset(made->worker, 0, sizeof made->worker);
    for (unsigned i = 0; i < made->nodes; i++) {
        struct mesh_telemetry_node *node = &made->node[i];

        *node = (struct mesh_telemetry_node){.state = MESH_NODE_UP, .share = i % 2 == 0 ? 300 : 200, .threads = (uint16_t)made->threads};
        set_address(node->ip, &node->port, i);
        node->weight_bytes = 1100000000;
        node->kv_bytes = 64000000;
        node->buffer_bytes = 21000000;
        node->available_bytes = UINT64_C(6000000000);
    }
}

void made_start_anew(struct made *made)
{
    made->life++;
    made_new_epoch(made);
    made->epoch = 1;
    memset(made->serial, 0, sizeof made->serial);
}

/* ---- time ---- */

static void advance_link(struct made *made, unsigned to, unsigned from, uint64_t ns)
{
    struct made_link *link = &made->links[to][from];
    const uint64_t tiles = (uint64_t)((double)ns / 1e9 * made->tok_per_s * MADE_PHASES);
    const bool is_lossy = (made->loss_from == (int)from || made->loss_from == MADE_ALL) && made->loss_to == (int)to;
    const uint64_t lost = is_lossy ? tiles * made->loss_ppm / 1000000 : 0;
    const uint64_t base_ns = 40000 + 3000 * ((from * 7 + to * 5) % 11) + (is_lossy ? 200000 : 0);

    link->counters.datagrams_received += tiles - lost;
    link->counters.bytes_received += (tiles - lost) * 700;
    link->counters.tiles_received += tiles - lost;
    link->counters.datagrams_sent += tiles;
    link->counters.lost += lost;
    link->counters.naks_sent += lost;
    made->links[from][to].counters.resent += lost;
    if (made->slow == (int)from && from != to)
        link->counters.waited_ns += ns * made->threads / 3;
    for (int i = 0; i < 20 && tiles > 0; i++) {
        const uint64_t spread = draw(made) % 100, late_ns = spread > 96 ? 400000 : spread * 300;

        mesh_histogram_add(&link->latency[MESH_LATENCY_ONE_WAY], base_ns + late_ns);
        mesh_histogram_add(&link->latency[MESH_LATENCY_USE], 2 * base_ns + late_ns * 3);
        mesh_histogram_add(&link->latency[MESH_LATENCY_ROUND_TRIP], 2 * base_ns + late_ns);
    }
}

static void advance_workers(struct made *made, unsigned index, uint64_t ns)
{
    const bool is_busy = made->tok_per_s > 0, is_slow = made->slow == (int)index;
    const bool waits = is_busy && made->slow >= 0 && !is_slow;

    for (unsigned i = 0; i < made->threads; i++) {
        struct mesh_telemetry_worker *worker = &made->worker[index][i];
        const uint64_t wait_ns = !is_busy ? 0 : waits ? ns * 35 / 100 : ns * 6 / 100;
        const uint64_t compute_ns = !is_busy ? 0 : ns * (waits ? 50 : 80) / 100 - ns * i / 50;
        const uint64_t send_ns = is_busy ? ns * 5 / 100 : 0, poll_ns = is_busy ? ns * 3 / 100 : 0;

        worker->worker = (uint16_t)i;
        worker->doing = !is_busy ? MESH_WORKER_IDLE : waits && i == 0 ? MESH_WORKER_WAITING : MESH_WORKER_COMPUTING;
        worker->waits_for = waits ? rank_of(made, (unsigned)made->slow) : MESH_TELEMETRY_NOBODY;
        worker->waits_phase = 17;
        worker->compute_ns += compute_ns;
        worker->send_ns += send_ns;
        worker->poll_ns += poll_ns;
        worker->wait_ns += wait_ns;
        worker->idle_ns += ns - compute_ns - send_ns - poll_ns - wait_ns;
        made->node[index].compute_ns += compute_ns;
    }
}

void made_advance(struct made *made, uint64_t ns)
{
    made->now_ns += ns;
    made->steps += (uint64_t)((double)ns / 1e9 * made->tok_per_s + 0.5);
    for (unsigned i = 0; i < made->nodes; i++) {
        struct mesh_telemetry_node *node = &made->node[i];

        if (made->is_dead[i])
            continue;
        node->tokens += (uint64_t)((double)ns / 1e9 * made->tok_per_s + 0.5);
        node->steps = node->positions = node->tokens;
        node->uptime_ns = made->now_ns - begin_ns;
        node->epoch_age_ns = made->now_ns - made->epoch_begin_ns;
        advance_workers(made, i, ns);
        for (unsigned from = 0; from < made->nodes; from++)
            if (from != i && !made->is_dead[from])
                advance_link(made, i, from, ns);
    }
}

/* ---- reports ---- */

struct outlet {
    struct made *made;
    unsigned node;
    void (*take)(void *app, const uint8_t *record, size_t bytes);
    void *app;
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_telemetry_head head;
    struct mesh_telemetry_writer writer;
};

static void begin_piece(struct outlet *out)
{
    mesh_telemetry_begin(&out->writer, out->piece, sizeof out->piece, &out->head);
}

static void end_piece(struct outlet *out)
{
    uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];
    const struct mesh_telemetry_report report = {.now_ns = out->made->now_ns,
                                                 .unix_ms = (uint64_t)made_wall_ns(out->made) / 1000000,
                                                 .piece = out->piece,
                                                 .piece_bytes = out->writer.used};

    out->take(out->app, record, mesh_telemetry_write_report(&report, record));
    begin_piece(out);
}

static void put(struct outlet *out, const struct mesh_telemetry_item *item)
{
    if (mesh_telemetry_put(&out->writer, item))
        return;
    end_piece(out);
    if (!mesh_telemetry_put(&out->writer, item))
        assert(!"an item fits into a piece");
}

static void report_link(struct outlet *out, unsigned from)
{
    struct made *made = out->made;
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_LINK, .link = made->links[out->node][from].counters};

    item.link.peer = rank_of(made, from);
    item.link.state = MESH_NODE_UP;
    item.link.is_up = 1;
    set_address(item.link.ip, &item.link.port, from);
    item.link.clock_offset_ns = ((int64_t)from - (int64_t)out->node) * (1000000 + made->drift_ns);
    item.link.clock_error_ns = 21000;
    item.link.rtt_ns = 95000;
    item.link.rtt_ns_min = 42000;
    put(out, &item);
    for (int which = 0; which < MADE_LATENCY_KINDS; which++) {
        uint16_t bucket = 0;

        while (!mesh_telemetry_put_histogram(&out->writer, item.link.peer, (enum mesh_latency)which,
                                             &made->links[out->node][from].latency[which], &bucket))
            end_piece(out);
    }
}

static void report_step(struct outlet *out)
{
    struct made *made = out->made;
    struct mesh_telemetry_phase phases[MADE_PHASES];
    struct mesh_telemetry_step step = {.step = made->steps, .tokens = 1, .sampled = 1, .phase_total = MADE_PHASES};
    const bool waits = made->slow >= 0 && made->slow != (int)out->node;
    uint32_t at = 0;
    uint16_t phase = 0;

    for (unsigned i = 0; i < MADE_PHASES; i++) {
        phases[i] = (struct mesh_telemetry_phase){at, 3000 + i % 4 * 1500 + (waits && i == 17 ? 20000 : 0)};
        at += phases[i].duration + 200;
    }
    step.duration_ns = (uint64_t)at * MESH_TELEMETRY_PHASE_NS;
    step.begin_ns = out->head.now_ns - step.duration_ns - 2000000 + out->node * 30000;
    step.stall_rank = waits ? rank_of(made, (unsigned)made->slow) : MESH_TELEMETRY_NOBODY;
    if (waits) {
        step.stall_ns = 2000000;
        step.stall_begin_ns = (uint64_t)phases[17].begin * MESH_TELEMETRY_PHASE_NS;
        step.stall_phase = 17;
        step.stall_block = 12;
    }
    while (!mesh_telemetry_put_step(&out->writer, &step, phases, &phase))
        end_piece(out);
}

static void report_request(struct outlet *out)
{
    const struct made *made = out->made;
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_REQUEST};

    item.request = (struct mesh_telemetry_request){.request = 0x1234,
                                                   .state = MESH_REQUEST_GENERATING,
                                                   .prompt_tokens = 32,
                                                   .tokens = (uint32_t)(made->steps + 1),
                                                   .age_ns = made->now_ns - begin_ns,
                                                   .first_ns = 42000000,
                                                   .last_ns = made->now_ns - begin_ns};
    put(out, &item);
}

static void report_start(struct outlet *out)
{
    struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_EVENT, .tail = (const uint8_t *)"with 2 threads", .tail_bytes = 14};

    item.event = (struct mesh_telemetry_event){.number = 1,
                                               .happened = MESH_NODE_EVENT_START,
                                               .when_ns = begin_ns + out->node * 1000000,
                                               .unix_ms = begin_unix_ms,
                                               .epoch = 0,
                                               .rank = MESH_TELEMETRY_NOBODY};
    put(out, &item);
}

static void report_node(struct outlet *out)
{
    struct made *made = out->made;
    struct mesh_telemetry_item item = {
        .kind = MESH_TELEMETRY_NODE, .node = made->node[out->node], .tail = (const uint8_t *)"models/stories-q8_0.gguf", .tail_bytes = 24};

    item.node.members = count_alive(made);
    item.node.is_sequencer = out->head.rank == 0;
    item.node.unix_ms = (uint64_t)made_wall_ns(made) / 1000000;
    item.node.epoch_number = made->epoch;
    item.node.requests_running = out->head.rank == 1;
    put(out, &item);
    for (unsigned i = 0; i < made->threads; i++) {
        item = (struct mesh_telemetry_item){.kind = MESH_TELEMETRY_WORKER, .worker = made->worker[out->node][i]};
        put(out, &item);
    }
}

void made_report(struct made *made, void (*take)(void *app, const uint8_t *record, size_t bytes), void *app)
{
    for (unsigned i = 0; i < made->nodes; i++) {
        struct outlet out = {.made = made, .node = i, .take = take, .app = app};

        if (made->is_dead[i])
            continue;
        out.head = (struct mesh_telemetry_head){.version = MESH_TELEMETRY_VERSION,
                                                .rank = rank_of(made, i),
                                                .epoch = made->epoch,
                                                .serial = ++made->serial[i],
                                                .now_ns = made->now_ns + i * 1000000};
        out.head.incarnation[0] = (uint8_t)(i + 1);
        out.head.incarnation[1] = made->life;
        begin_piece(&out);
        report_node(&out);
        for (unsigned from = 0; from < made->nodes; from++)
            if (from != i && !made->is_dead[from])
                report_link(&out, from);
        if (made->tok_per_s > 0)
            report_step(&out);
        if (out.head.rank == 1 && made->tok_per_s > 0)
            report_request(&out);
        report_start(&out);
        end_piece(&out);
    }
}
