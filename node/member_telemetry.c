/* A recording member measures itself, as a serving node does: it cannot be watched while it runs, but its trace can be read. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "member_state.h"
#include "pieces.h"

enum { REPORT_NS = 250000000 /* between two reports */, STEPS = 256 /* reported per second */ };

struct member_telemetry {
    struct measure measure;
    struct pieces_state pieces;
    struct happenings happenings;
    struct measure_requests requests; /* none is over before the trace ends */
    struct shift_config shift_config;
    struct shift shift; /* the part of an epoch that measure.c reads */
    uint64_t start_ns, next_ns;
};

static uint64_t unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void describe_shift(struct member *m, struct member_telemetry *t)
{
    struct shift *shift = &t->shift;

    t->shift_config = (struct shift_config){
        .model = m->config.model,
        .udp = m->config.udp,
        .threads = m->config.threads,
        .pace_bytes_per_s = m->config.lab.pace_bytes_per_s,
    };
    shift->config = &t->shift_config;
    shift->count = m->config.map->rank_count;
    shift->rank = m->config.rank;
    shift->number = m->config.epoch;
    shift->engine = m->engine;
    shift->mesh = m->mesh;
    shift->is_started = true;
    engine_memory(m->engine, &shift->memory);
    shift->map = *m->config.map;
    for (uint16_t r = 0; r < shift->count; r++)
        shift->member[r].addr = m->config.peers[r];
    if (shift->member[0].addr.port == 0) /* alone, without a socket */
        shift->member[0].addr = (struct mesh_addr){.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
}

int member_telemetry_open(struct member *m, struct fail *fail)
{
    struct mesh_telemetry_event event = {.happened = MESH_NODE_EVENT_EPOCH, .epoch = m->config.epoch, .rank = m->config.rank};
    struct member_telemetry *t;

    if (m->config.recording == NULL)
        return 0;
    m->telemetry = t = calloc(1, sizeof *t);
    if (t == NULL || measure_init(&t->measure) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    describe_shift(m, t);
    t->start_ns = event.when_ns = mesh_udp_now_ns();
    event.unix_ms = unix_ms();
    happened_note(&t->happenings, &event, "mesh-node run");
    return 0;
}

void member_telemetry_close(struct member *m)
{
    if (m->telemetry != NULL)
        measure_release(&m->telemetry->measure);
    free(m->telemetry);
    m->telemetry = NULL;
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
    return from_ns > 0 && to_ns > from_ns ? to_ns - from_ns : 0;
}

/* The only request, at the node where it entered. */
static void take_request(const struct member *m, struct measure *measure)
{
    const struct member_outcome *o = &m->outcome;
    const uint32_t tokens = atomic_load(&m->token_count);
    const bool is_done = atomic_load(&m->is_done);
    struct mesh_telemetry_request *request = &measure->request[0];

    if (o->submitted_ns == 0)
        return;
    *request = (struct mesh_telemetry_request){
        .request = REQUEST_ID,
        .state = is_done      ? MESH_REQUEST_DONE
                 : tokens > 0 ? MESH_REQUEST_GENERATING
                              : MESH_REQUEST_PROMPT,
        .prompt_tokens = m->prompt_tokens,
        .tokens = tokens,
        .age_ns = since(o->submitted_ns, is_done ? o->done_ns : measure->now_ns),
        .first_ns = tokens > 0 ? since(o->submitted_ns, m->token[0].when_ns) : 0,
        .last_ns = tokens > 0 ? since(o->submitted_ns, m->token[tokens - 1].when_ns) : 0,
    };
    measure->requests = 1;
    measure->node.requests_begun = 1;
    measure->node.requests_running = !is_done;
}

static void give(void *app, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    struct member *m = app;

    recording_report(m->config.recording, head->now_ns, unix_ms(), piece, bytes);
}

void member_telemetry(struct member *m, bool is_last)
{
    static const struct gate_stats no_gate;
    static const struct jobs no_jobs;
    struct member_telemetry *t = m->telemetry;
    const uint64_t now_ns = mesh_udp_now_ns();
    struct pieces_source pieces = {
        .incarnation = m->config.incarnation, .engine = m->engine, .kinds = MESH_TELEMETRY_ALL, .steps_per_s = STEPS};
    struct measure_source source = {.now_ns = now_ns, .unix_ms = unix_ms(), .gate = &no_gate, .jobs = &no_jobs, .lab = &m->config.lab};

    if (t == NULL || (now_ns < t->next_ns && !is_last))
        return;
    t->next_ns = now_ns + REPORT_NS;
    atomic_store(&t->shift.crew.load_left, atomic_load(&m->crew.load_left));
    source.config = &t->shift_config;
    source.shift = &t->shift;
    source.requests = &t->requests;
    source.start_ns = source.epoch_ns = t->start_ns;
    measure_take(&t->measure, &source);
    if (m->config.rank == 0)
        take_request(m, &t->measure);
    pieces.measure = &t->measure;
    pieces.happenings = &t->happenings;
    pieces_write(&t->pieces, &pieces, give, m);
}
