/* A recording member measures itself, as a serving node does: it cannot be watched while it runs, but its trace can be read. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "member_state.h"
#include "node/telemetry/telemetry_report.h"

enum { REPORT_NS = 250000000 /* between two reports */, STEPS = 256 /* reported per second */ };

struct member_telemetry {
    struct node_metrics metrics;
    struct telemetry_report_state report;
    struct event_ring events;
    struct node_metrics_requests requests; /* none is over before the trace ends */
    struct epoch_run_config epoch_run_config;
    struct epoch_run run; /* the part of an epoch that node_metrics.c reads */
    uint64_t start_ns, next_ns;
};

static uint64_t unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void describe_run(struct member *m, struct member_telemetry *t)
{
    struct epoch_run *run = &t->run;

    t->epoch_run_config = (struct epoch_run_config){
        .model = m->config.model,
        .udp = m->config.udp,
        .threads = m->config.threads,
        .pace_bytes_per_s = m->config.lab.pace_bytes_per_s,
    };
    run->config = &t->epoch_run_config;
    run->count = m->config.map->rank_count;
    run->rank = m->config.rank;
    run->number = m->config.epoch;
    run->engine = m->engine;
    run->mesh = m->mesh;
    run->is_started = true;
    engine_memory(m->engine, &run->memory);
    run->map = *m->config.map;
    for (uint16_t r = 0; r < run->count; r++)
        run->member[r].addr = m->config.peers[r];
    if (run->member[0].addr.port == 0) /* alone, without a socket */
        run->member[0].addr = (struct mesh_addr){.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
}

int member_telemetry_open(struct member *m, struct fail *fail)
{
    struct mesh_telemetry_event event = {.happened = MESH_NODE_EVENT_EPOCH, .epoch = m->config.epoch, .rank = m->config.rank};
    struct member_telemetry *t;

    if (m->config.recording == NULL)
        return 0;
    m->telemetry = t = calloc(1, sizeof *t);
    if (t == NULL || node_metrics_init(&t->metrics) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    describe_run(m, t);
    t->start_ns = event.when_ns = mesh_udp_now_ns();
    event.unix_ms = unix_ms();
    event_ring_add(&t->events, &event, "mesh-node run");
    return 0;
}

void member_telemetry_close(struct member *m)
{
    if (m->telemetry != NULL)
        node_metrics_release(&m->telemetry->metrics);
    free(m->telemetry);
    m->telemetry = NULL;
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
    return from_ns > 0 && to_ns > from_ns ? to_ns - from_ns : 0;
}

/* The only request, at the node where it entered. */
static void take_request(const struct member *m, struct node_metrics *metrics)
{
    const struct member_outcome *o = &m->outcome;
    const uint32_t tokens = atomic_load(&m->token_count);
    const bool is_done = atomic_load(&m->is_done);
    struct mesh_telemetry_request *request = &metrics->request[0];

    if (o->submitted_ns == 0)
        return;
    *request = (struct mesh_telemetry_request){
        .request = REQUEST_ID,
        .state = is_done      ? MESH_REQUEST_DONE
                 : tokens > 0 ? MESH_REQUEST_GENERATING
                              : MESH_REQUEST_PROMPT,
        .prompt_tokens = m->prompt_tokens,
        .tokens = tokens,
        .age_ns = since(o->submitted_ns, is_done ? o->done_ns : metrics->now_ns),
        .first_ns = tokens > 0 ? since(o->submitted_ns, m->token[0].when_ns) : 0,
        .last_ns = tokens > 0 ? since(o->submitted_ns, m->token[tokens - 1].when_ns) : 0,
    };
    metrics->requests = 1;
    metrics->node.requests_begun = 1;
    metrics->node.requests_running = !is_done;
}

static void give(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    struct member *m = app;

    recording_report(m->config.recording, head->now_ns, unix_ms(), piece, bytes);
}

void member_telemetry(struct member *m, bool is_last)
{
    static const struct packet_filter_stats no_filter;
    static const struct jobs no_jobs;
    struct member_telemetry *t = m->telemetry;
    const uint64_t now_ns = mesh_udp_now_ns();
    struct telemetry_report_source report = {
        .incarnation = m->config.incarnation, .engine = m->engine, .kinds = MESH_TELEMETRY_ALL, .steps_per_s = STEPS};
    struct node_metrics_source source = {
        .now_ns = now_ns, .unix_ms = unix_ms(), .filter = &no_filter, .jobs = &no_jobs, .lab = &m->config.lab};

    if (t == NULL || (now_ns < t->next_ns && !is_last))
        return;
    t->next_ns = now_ns + REPORT_NS;
    atomic_store(&t->run.workers.load_left, atomic_load(&m->workers.load_left));
    source.config = &t->epoch_run_config;
    source.run = &t->run;
    source.requests = &t->requests;
    source.start_ns = source.epoch_ns = t->start_ns;
    node_metrics_take(&t->metrics, &source);
    if (m->config.rank == 0)
        take_request(m, &t->metrics);
    report.metrics = &t->metrics;
    report.events = &t->events;
    telemetry_report_write(&t->report, &report, give, m);
}
