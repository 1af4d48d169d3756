#include "node_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "node/common/memory_text.h"

#define MS_NS UINT64_C(1000000)

enum { LOOK_AGAIN_NS = 1000000000 };

int node_metrics_init(struct node_metrics *m)
{
    m->latency = calloc((size_t)MESH_RANKS_MAX * MESH_LATENCIES, sizeof *m->latency);
    return m->latency == NULL ? -1 : 0;
}

void node_metrics_release(struct node_metrics *m)
{
    free(m->latency);
    m->latency = NULL;
}

static uint64_t since(uint64_t from_ns, uint64_t now_ns)
{
    return from_ns > 0 && now_ns > from_ns ? now_ns - from_ns : 0;
}

static bool is_started(const struct node_metrics_source *s)
{
    return s->run != NULL && s->run->is_started;
}

/* ---- requests ---- */

static bool is_failed(const struct job *job)
{
    return job->is_done && (job->reason == ENGINE_DONE_CANCELLED || job->reason == ENGINE_DONE_ERROR || job->reason == ENGINE_DONE_REFUSED);
}

static enum mesh_request_state state_of(const struct job *job)
{
    if (job->is_done)
        return is_failed(job) ? MESH_REQUEST_FAILED : MESH_REQUEST_DONE;
    if (job->first_ns > 0)
        return MESH_REQUEST_GENERATING;
    return job->is_submitted ? MESH_REQUEST_PROMPT : MESH_REQUEST_WAITING;
}

static struct mesh_telemetry_request telemetry_of(const struct job *job, uint64_t now_ns)
{
    return (struct mesh_telemetry_request){
        .request = job->id,
        .state = (uint8_t)state_of(job),
        .prompt_tokens = job->prompt_count,
        .tokens = job->count - job->prompt_count,
        .age_ns = since(job->asked_ns, job->is_done ? job->done_ns : now_ns),
        .first_ns = since(job->asked_ns, job->first_ns),
        .last_ns = since(job->asked_ns, job->last_ns),
        .epochs = job->epochs,
    };
}

void node_metrics_request_finished(struct node_metrics_requests *r, const struct job *job, uint64_t now_ns)
{
    const uint32_t tokens = job->count - job->prompt_count;
    struct node_metrics_finished *over = &r->over[r->over_next++ % NODE_METRICS_FINISHED_MAX];

    r->begun++;
    r->failed += !job->is_done || is_failed(job);
    r->prompt_tokens += job->prompt_count;
    r->tokens += tokens;
    r->first_token_ns += since(job->asked_ns, job->first_ns);
    r->generating_ns += tokens > 0 ? since(job->first_ns, job->last_ns) : 0;
    *over = (struct node_metrics_finished){telemetry_of(job, now_ns), now_ns};
    if (!job->is_done) /* its client has gone */
        over->request.state = MESH_REQUEST_FAILED;
}

static void take_requests(struct node_metrics *m, const struct node_metrics_source *s)
{
    m->requests = 0;
    m->node.requests_running = s->waiting;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        const struct job *job = &s->jobs->job[i];

        if (job->id == 0)
            continue;
        m->node.requests_running += !job->is_done;
        m->request[m->requests++] = telemetry_of(job, m->now_ns);
    }
    /* The stored counters are of finished requests; running ones have begun, too. */
    m->node.requests_begun = s->requests->begun + m->requests;
    m->node.requests_failed = s->requests->failed;
    m->node.prompt_tokens = s->requests->prompt_tokens;
    m->node.answer_tokens = s->requests->tokens;
    m->node.first_token_ns = s->requests->first_token_ns;
    m->node.generating_ns = s->requests->generating_ns;
    for (size_t i = 0; i < NODE_METRICS_FINISHED_MAX; i++)
        if (s->requests->over[i].over_ns > 0 && since(s->requests->over[i].over_ns, m->now_ns) < NODE_METRICS_FINISHED_MS * MS_NS)
            m->request[m->requests++] = s->requests->over[i].request;
}

/* ---- the node ---- */

static uint8_t state_of_node(const struct node_metrics_source *s)
{
    if (s->run == NULL)
        return MESH_NODE_SEEKING;
    if (s->is_leaving)
        return MESH_NODE_LEAVING;
    return epoch_run_is_loaded(s->run) ? MESH_NODE_UP : MESH_NODE_LOADING;
}

/* Datagrams of another epoch are none of strangers: some are still on their way whenever an epoch ends. */
static uint64_t refused_without_key(const uint64_t refused[MESH_SEAL_REFUSALS])
{
    uint64_t sum = 0;

    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        sum += i == MESH_SEAL_EPOCH ? 0 : refused[i];
    return sum;
}

static void take_cluster(struct node_metrics *m, const struct node_metrics_source *s)
{
    struct mesh_cluster_stats stats = {.epochs = 1};
    struct mesh_sessions_stats sessions = {.open_now = 0};

    if (s->cluster != NULL)
        mesh_cluster_get_stats(s->cluster, &stats);
    if (s->sessions != NULL)
        mesh_sessions_get_stats(s->sessions, &sessions);
    m->node.epochs = stats.epochs;
    m->node.evictions = stats.evictions;
    m->node.suspicions = stats.suspicions;
    m->node.clients = sessions.open_now;
    m->node.watchers = (uint32_t)s->watchers;
    m->node.telemetry_refused = s->telemetry_refused;
    m->node.refused_rate = s->filter->rate + s->filter->full;
    m->node.refused_replay = s->replayed + s->filter->replay + stats.dropped[-MESH_EDUPLICATE];
    m->node.refused_auth = refused_without_key(s->refused) + refused_without_key(s->filter->cluster);
    for (int i = MESH_SESSION_BY_PLAIN; i <= MESH_SESSION_BY_TAG; i++)
        m->node.refused_auth += s->filter->clients[i] + sessions.refused[i];
}

static void take_engine(struct node_metrics *m, const struct node_metrics_source *s)
{
    struct mesh_telemetry_node *n = &m->node;
    struct engine_figures figures;

    engine_figures(s->run->engine, &figures);
    n->steps = figures.steps;
    n->positions = figures.positions;
    n->tokens = figures.tokens;
    n->stepping_ns = figures.stepping_ns;
    n->compute_ns = figures.compute_ns;
    n->weight_bytes_read = figures.weight_bytes_read;
    n->recomputed += figures.recomputed;
    n->own_wait_ns = engine_waited_ns(s->run->engine, s->run->rank);
    n->weight_bytes = s->run->memory.weight_bytes;
    n->kv_bytes = s->run->memory.kv_bytes;
    n->buffer_bytes = s->run->memory.buffer_bytes;
    m->workers = s->config->threads < NODE_METRICS_WORKERS_MAX ? s->config->threads : NODE_METRICS_WORKERS_MAX;
    for (uint16_t i = 0; i < m->workers; i++)
        engine_worker_time(s->run->engine, i, &m->worker[i]);
}

static void take_node(struct node_metrics *m, const struct node_metrics_source *s)
{
    struct mesh_addr addr = s->addr;

    if (s->available_bytes > 0) {
        m->available_bytes = s->available_bytes == UINT64_MAX ? 0 : s->available_bytes;
    } else if (m->now_ns >= m->look_again_ns) {
        const uint64_t available = memory_available_bytes();

        m->available_bytes = available == UINT64_MAX ? 0 : available;
        m->look_again_ns = m->now_ns + LOOK_AGAIN_NS;
    }

    m->node = (struct mesh_telemetry_node){
        .state = state_of_node(s),
        .threads = s->config->threads,
        .unix_ms = s->unix_ms,
        .uptime_ns = since(s->start_ns, m->now_ns),
        .recomputed = s->recomputed,
        .available_bytes = m->available_bytes,
        .lab_pace = s->config->pace_bytes_per_s,
        .lab_loss_ppm = s->lab->loss_ppm,
    };
    m->rank = MESH_TELEMETRY_NOBODY;
    m->epoch = 0;
    if (s->run != NULL) {
        const struct mesh_cluster_member *own = &s->run->member[s->run->rank];

        m->rank = s->run->rank;
        m->epoch = m->node.epoch_number = s->run->number;
        m->node.members = s->run->count;
        m->node.epoch_age_ns = since(s->epoch_ns, m->now_ns);
        m->node.is_sequencer = s->run->rank == 0;
        m->node.share = s->run->map.share[s->run->rank];
        if (own->addr.port != 0) /* a node that is alone does not know its address yet */
            addr = own->addr;
    }
    memcpy(m->node.ip, addr.ip, sizeof m->node.ip);
    m->node.port = addr.port;
}

/* ---- links ---- */

struct look {
    struct node_metrics *metrics;
    const struct node_metrics_source *source;
};

uint64_t node_metrics_lost(struct node_metrics *m, uint16_t rank, uint64_t lost_now)
{
    if (m->lost_epoch != m->epoch) {
        memset(m->lost, 0, sizeof m->lost);
        m->lost_epoch = m->epoch;
    }
    if (m->lost[rank] < lost_now)
        m->lost[rank] = lost_now;
    return m->lost[rank];
}

static void take_link(struct node_metrics *m, const struct epoch_run *run, uint16_t rank)
{
    struct mesh_histogram *latency = m->latency + (size_t)m->links * MESH_LATENCIES;
    struct mesh_telemetry_link *link = &m->link[m->links++];
    struct mesh_peer_stats p;

    mesh_get_peer_stats(run->mesh, rank, &p);
    m->shared_sent += p.shared_sent;
    m->shared_bytes_sent += p.shared_bytes_sent;
    *link = (struct mesh_telemetry_link){
        .peer = rank,
        .is_up = p.is_up,
        .datagrams_sent = p.datagrams_sent,
        .bytes_sent = p.bytes_sent,
        .datagrams_received = p.datagrams_received,
        .bytes_received = p.bytes_received,
        .tiles_sent = p.tiles_sent,
        .tiles_received = p.tiles_received,
        .lost = node_metrics_lost(m, rank, p.lost),
        .probes_lost = p.probes_lost,
        .late = p.late,
        .reordered = p.reordered,
        .duplicate = p.duplicate,
        .refused = p.refused,
        .naks_sent = p.naks_sent,
        .naks_received = p.naks_received,
        .resent = p.resent,
        .not_yet_sent = p.not_yet_sent,
        .not_yet_received = p.not_yet_received,
        .duplicates_sent = p.duplicates_sent,
        .duplicates_used = p.duplicates_used,
        .credit_waits = p.credit_waits,
        .loss_ppm = p.loss_ppm < 1000000 ? p.loss_ppm : 1000000,
        .clock_offset_ns = p.clock_offset_ns,
        .clock_error_ns = p.clock_error_ns,
        .rtt_ns_min = p.rtt_ns_min,
        .rtt_ns = p.rtt_ns_smoothed,
        .silent_ns = p.silent_ns,
        .datagram_bytes = p.datagram_bytes < 65535 ? p.datagram_bytes : 65535,
    };
    latency[MESH_LATENCY_ONE_WAY] = *mesh_tile_latency(run->mesh, rank);
    latency[MESH_LATENCY_ROUND_TRIP] = *mesh_round_trips(run->mesh, rank);
}

/* They count since the start, also while the node is in no epoch. */
static void take_socket(struct mesh_telemetry_node *n, const struct epoch_run_config *config)
{
    struct mesh_udp_stats udp = {.kernel_drops = 0};

    if (config->udp != NULL)
        mesh_udp_get_stats(config->udp, &udp);
    n->kernel_drops = udp.kernel_drops;
    n->send_errors = udp.send_errors;
    n->unreachable = udp.unreachable;
}

/* Called while the port is held. */
static void look_at_links(void *app)
{
    const struct look *look = app;
    const struct epoch_run *run = look->source->run;
    struct mesh_telemetry_node *n = &look->metrics->node;
    struct mesh_stats stats;

    take_socket(n, run->config);
    if (run->mesh == NULL)
        return;
    mesh_get_stats(run->mesh, &stats);
    n->early = stats.early;
    n->refused_replay += stats.dropped[-MESH_EDUPLICATE];
    n->refused_range = stats.dropped[-MESH_ETRUNCATED] + stats.dropped[-MESH_ETYPE] + stats.dropped[-MESH_ERANGE];
    n->refused_auth += refused_without_key(run->sealer.refused);
    for (uint16_t r = 0; r < run->count; r++)
        if (r != run->rank)
            take_link(look->metrics, run, r);
}

static uint8_t state_of_peer(const struct mesh_cluster *cluster, uint16_t rank)
{
    struct mesh_cluster_peer_stats peer;

    if (mesh_cluster_get_peer_stats(cluster, rank, &peer) != MESH_OK || !peer.is_in)
        return MESH_NODE_JOINING;
    if (peer.is_leaving)
        return MESH_NODE_LEAVING;
    return peer.is_suspected ? MESH_NODE_SUSPECTED : MESH_NODE_UP;
}

/* Add what the cluster layer and the engine know of the peer. */
static void complete_link(struct node_metrics *m, const struct node_metrics_source *s, uint16_t index)
{
    struct mesh_telemetry_link *link = &m->link[index];
    const struct mesh_cluster_member *member = &s->run->member[link->peer];

    link->state = link->is_up ? MESH_NODE_UP : MESH_NODE_JOINING;
    if (s->cluster != NULL)
        link->state = state_of_peer(s->cluster, link->peer);
    memcpy(link->ip, member->addr.ip, sizeof link->ip);
    link->port = member->addr.port;
    link->waited_ns = engine_waited_ns(s->run->engine, link->peer);
    engine_use_latency(s->run->engine, link->peer, &m->latency[(size_t)index * MESH_LATENCIES + MESH_LATENCY_USE]);
}

void node_metrics_take(struct node_metrics *m, const struct node_metrics_source *s)
{
    struct look look = {m, s};

    m->now_ns = s->now_ns;
    m->links = m->workers = 0;
    m->shared_sent = m->shared_bytes_sent = 0;
    m->model = gguf_path(s->config->model->gguf);
    if (strrchr(m->model, '/') != NULL)
        m->model = strrchr(m->model, '/') + 1;
    take_node(m, s);
    take_cluster(m, s);
    take_requests(m, s);
    if (!is_started(s)) {
        take_socket(&m->node, s->config); /* no worker polls */
        return;
    }
    take_engine(m, s);
    if (s->run->mesh != NULL)
        engine_with_port(s->run->engine, look_at_links, &look);
    else
        look_at_links(&look); /* alone: only the main thread polls */
    for (uint16_t i = 0; i < m->links; i++)
        complete_link(m, s, i);
}
