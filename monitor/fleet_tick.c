/* Ticks of a fleet: counters become samples, and nodes that have not been heard are found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

enum { SECOND_NS = 1000000000, LATE_NS = SECOND_NS / 2 };

/* Counters begin anew with an epoch, and with a process. */
static uint64_t since(uint64_t now, uint64_t before, bool is_same)
{
    return is_same && now >= before ? now - before : now;
}

static uint32_t narrow(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* ---- links ---- */

/* What came into a histogram since the tick before; the present one is kept for the next tick. Plain loops, which the compiler vectorises:
 * this is most of what a tick costs. */
static bool interval_of(const struct fleet_link *link, unsigned which, struct mesh_histogram *interval)
{
    const struct mesh_histogram *now = link->latency[which];
    struct mesh_histogram *before = link->latency_before[which];
    const unsigned first = link->bucket_first[which], end = link->bucket_end[which];

    memset(interval, 0, sizeof *interval);
    interval->max_ns = now->max_ns;
    for (unsigned i = first; i < end; i++)
        interval->buckets[i] = now->buckets[i] - (now->buckets[i] >= before->buckets[i] ? before->buckets[i] : 0);
    for (unsigned i = first; i < end; i++)
        interval->count += interval->buckets[i];
    if (first < end)
        memcpy(before->buckets + first, now->buckets + first, (end - first) * sizeof *now->buckets);
    before->count = now->count;
    before->sum_ns = now->sum_ns;
    return interval->count > 0;
}

static float quantile_us(const struct mesh_histogram *histogram, unsigned permille)
{
    return histogram->count > 0 ? (float)mesh_histogram_quantile(histogram, permille) / 1e3f : NAN;
}

/* Both quantiles of the interval; if nothing came, false, and they stay what they were. */
static bool latency_of(struct fleet_link *link, unsigned which, float *p50_us, float *p99_us)
{
    const struct mesh_histogram *now = link->latency[which], *before = link->latency_before[which];
    struct mesh_histogram interval;
    float *last = link->last_us[which];
    const bool is_fresh = now != NULL && before != NULL && (now->count != before->count || now->sum_ns != before->sum_ns) &&
                          interval_of(link, which, &interval);

    if (is_fresh) {
        last[0] = quantile_us(&interval, 500);
        last[1] = quantile_us(&interval, 990);
    }
    *p50_us = last[0];
    *p99_us = last[1];
    return is_fresh;
}

/* elapsed_ns: of the node's interval; 0: the link was not known when it began, or there is none. */
static void sample_link(struct fleet_link *link, uint64_t tick, double worker_ns, double elapsed_ns)
{
    struct link_sample *sample = &link->sample[tick % FLEET_LINK_HISTORY];
    const struct mesh_telemetry_link *now = &link->now, *before = &link->before;
    const bool same = link->epoch == link->epoch_before;

    *sample = (struct link_sample){.begins = !same};
    sample->is_fresh = latency_of(link, MESH_LATENCY_ONE_WAY, &sample->p50_us, &sample->p99_us);
    latency_of(link, MESH_LATENCY_USE, &sample->use_p50_us, &sample->use_p99_us);
    sample->rtt_us = now->rtt_ns > 0 ? (float)now->rtt_ns / 1e3f : NAN; /* smoothed by the node */
    /* Earlier versions took a loss back that turned out to be late, so the count can go down in their recordings. */
    sample->lost = narrow(now->lost >= before->lost || !same ? since(now->lost, before->lost, same) : 0);
    sample->probes_lost = narrow(since(now->probes_lost, before->probes_lost, same));
    sample->received = narrow(since(now->datagrams_received, before->datagrams_received, same));
    sample->bytes_per_s =
        elapsed_ns > 0 ? (float)((double)since(now->bytes_received, before->bytes_received, same) * SECOND_NS / elapsed_ns) : NAN;
    sample->naks = narrow(since(now->naks_sent, before->naks_sent, same));
    sample->resent = narrow(since(now->resent, before->resent, same));
    sample->waits = worker_ns > 0 ? (float)((double)since(now->waited_ns, before->waited_ns, same) / worker_ns) : 0;
    sample->waits = sample->waits < 1 ? sample->waits : 1;
    link->before = *now;
    link->epoch_before = link->epoch;
}

/* ---- nodes ---- */

static uint64_t worker_counter(const struct mesh_telemetry_worker *worker, enum time_kind kind)
{
    const uint64_t counters[TIME_KINDS] = {worker->compute_ns, worker->send_ns, worker->poll_ns, worker->wait_ns, worker->idle_ns};

    return counters[kind];
}

/* A worker's time since the last tick, by kinds; returns its sum in ns. */
static double sample_worker(struct fleet_worker *worker, bool is_same, double kinds_ns[TIME_KINDS])
{
    double spent[TIME_KINDS], sum = 0;

    for (enum time_kind kind = 0; kind < TIME_KINDS; kind++) {
        spent[kind] = (double)since(worker_counter(&worker->now, kind), worker_counter(&worker->before, kind), is_same);
        sum += spent[kind];
        kinds_ns[kind] += spent[kind];
    }
    for (int kind = 0; kind < TIME_KINDS; kind++)
        worker->time[kind] = sum > 0 ? (float)(spent[kind] / sum) : 0;
    worker->before = worker->now;
    return sum;
}

/* Parts of all workers' time; returns its sum in ns. */
static double sample_time(struct fleet_node *node, struct node_sample *sample, bool is_same)
{
    double kinds_ns[TIME_KINDS] = {0}, sum = 0;

    for (unsigned i = 0; i < node->worker_count; i++)
        if (node->workers[i].is_known)
            sum += sample_worker(&node->workers[i], is_same, kinds_ns);
    for (int kind = 0; kind < TIME_KINDS; kind++)
        sample->time[kind] = sum > 0 ? (float)(kinds_ns[kind] / sum) : NAN;
    return sum;
}

static void find_waits(struct fleet_node *node, struct node_sample *sample, uint64_t tick)
{
    sample->waits_for = FLEET_NOBODY;
    sample->waits = 0;
    for (int from = 0; from < FLEET_NODES_MAX; from++) {
        const struct fleet_link *link = node->links[from];

        if (link != NULL && link->sample[tick % FLEET_LINK_HISTORY].waits > sample->waits) {
            sample->waits = link->sample[tick % FLEET_LINK_HISTORY].waits;
            sample->waits_for = (int16_t)from;
        }
    }
}

uint64_t fleet_tokens_since(const struct fleet_node *node)
{
    return node->before_ns != 0 ? since(node->now.tokens, node->before.tokens, node->before_epoch == node->head.epoch) : 0;
}

static void sample_rates(struct fleet_node *node, struct node_sample *sample, bool is_same)
{
    const struct mesh_telemetry_node *now = &node->now, *before = &node->before;
    const double elapsed_ns = (double)(node->head.now_ns - node->before_ns);
    const double threads = now->threads > 0 ? now->threads : 1;

    sample->tokens = narrow(node->tokens_ended + fleet_tokens_since(node));
    node->tokens_ended = 0;
    sample->tok_per_s = (float)((double)sample->tokens * SECOND_NS / elapsed_ns);
    sample->utilisation = (float)((double)since(now->compute_ns, before->compute_ns, is_same) / (elapsed_ns * threads));
    sample->utilisation = sample->utilisation < 1 ? sample->utilisation : 1;
}

/* Without a new report the last sample is repeated for a while. */
static void repeat_sample(struct fleet *fleet, struct fleet_node *node, struct node_sample *sample)
{
    const uint64_t tick = fleet->ticks;
    const uint64_t silent_ns = fleet->tick_ns[tick % FLEET_HISTORY] - node->report_ns;

    if (tick > node->first_tick && node->has_reported && silent_ns < 2 * fleet->interval_ns + SECOND_NS) {
        *sample = node->sample[(tick - 1) % FLEET_HISTORY];
    } else {
        *sample = (struct node_sample){.tok_per_s = NAN, .utilisation = NAN, .waits_for = FLEET_NOBODY};
        for (int kind = 0; kind < TIME_KINDS; kind++)
            sample->time[kind] = NAN;
    }
    sample->is_fresh = false;
    sample->tokens = 0;
    sample->state = (uint8_t)node->state;
    for (int from = 0; from < FLEET_NODES_MAX; from++)
        if (node->links[from] != NULL) {
            struct link_sample *link = &node->links[from]->sample[tick % FLEET_LINK_HISTORY];

            *link = tick > node->links[from]->first_tick
                        ? node->links[from]->sample[(tick - 1) % FLEET_LINK_HISTORY]
                        : (struct link_sample){.p50_us = NAN, .p99_us = NAN, .rtt_us = NAN, .bytes_per_s = NAN};
            link->lost = link->probes_lost = link->received = link->naks = link->resent = 0;
            link->is_fresh = link->begins = false;
        }
}

static void sample_node(struct fleet *fleet, struct fleet_node *node)
{
    const uint64_t tick = fleet->ticks;
    struct node_sample *sample = &node->sample[tick % FLEET_HISTORY];
    const bool is_first = node->before_ns == 0 || node->head.now_ns <= node->before_ns;
    const bool is_same = !is_first && node->before_epoch == node->head.epoch;
    const double elapsed_ns = is_first ? 0 : (double)(node->head.now_ns - node->before_ns);
    double worker_ns;

    if (!node->has_reported || (!is_first && node->head.serial == node->before_serial)) {
        repeat_sample(fleet, node, sample);
        return;
    }
    *sample = (struct node_sample){.tok_per_s = NAN, .utilisation = NAN, .waits_for = FLEET_NOBODY, .state = (uint8_t)node->state};
    worker_ns = sample_time(node, sample, is_same);
    for (int from = 0; from < FLEET_NODES_MAX; from++)
        if (node->links[from] != NULL)
            sample_link(node->links[from], tick, worker_ns, is_same && node->links[from]->epoch_before == 0 ? 0 : elapsed_ns);
    if (is_first) { /* counters from before the monitor connected belong to no interval */
        repeat_sample(fleet, node, sample);
    } else {
        sample_rates(node, sample, is_same);
        find_waits(node, sample, tick);
        sample->is_fresh = true;
    }
    node->before = node->now;
    node->before_ns = node->head.now_ns;
    node->before_epoch = node->head.epoch;
    node->before_serial = node->head.serial;
}

/* ---- presence ---- */

/* A longer silence is not by chance. */
static uint64_t silence_max_ns(const struct fleet *fleet)
{
    return 2 * fleet->interval_ns + 2 * (uint64_t)SECOND_NS;
}

/* Compared with the newest report of any node: if all are silent, it is the node that the monitor is connected to that is not heard. */
static bool is_recent(const struct fleet *fleet, uint64_t then_ns)
{
    if (then_ns < fleet->connected_ns) /* it could not be heard while there was no connection */
        then_ns = fleet->connected_ns;
    return fleet->heard_ns <= then_ns || fleet->heard_ns - then_ns <= silence_max_ns(fleet);
}

bool fleet_is_unrecorded(const struct fleet *fleet, const struct fleet_node *node)
{
    return fleet->is_recorded && !node->has_reported;
}

bool fleet_is_late(const struct fleet *fleet, const struct fleet_node *node)
{
    const uint64_t then_ns = node->report_ns > fleet->connected_ns ? node->report_ns : fleet->connected_ns;

    return node->has_reported && fleet_is_alive(node->state) && fleet->heard_ns > then_ns &&
           fleet->heard_ns - then_ns > fleet->interval_ns + LATE_NS;
}

bool fleet_is_late_at(const struct fleet *fleet, int node, uint64_t tick)
{
    if (tick + 1 >= fleet->ticks)
        return fleet_is_late(fleet, &fleet->nodes[node]);
    for (uint64_t back = 0; back < 2 && back <= tick; back++) {
        const struct node_sample *sample = fleet_node_at(fleet, node, tick - back);

        if (sample == NULL || sample->is_fresh)
            return false;
    }
    return true;
}

bool fleet_is_old_at(const struct fleet *fleet, int node, uint64_t tick)
{
    return !fleet_is_alive(fleet_state_at(fleet, node, tick)) || fleet_is_late_at(fleet, node, tick);
}

uint64_t fleet_epoch_age_ns(const struct fleet *fleet, uint64_t tick)
{
    const int node = fleet_witness(fleet);
    const uint64_t age_ns = node >= 0 ? fleet->nodes[node].now.epoch_age_ns : 0;
    const uint64_t back_ns =
        fleet->ticks > 0 ? fleet->tick_ns[(fleet->ticks - 1) % FLEET_HISTORY] - fleet->tick_ns[tick % FLEET_HISTORY] : 0;

    return age_ns > back_ns ? age_ns - back_ns : 0;
}

uint64_t fleet_silence_ns(const struct fleet *fleet)
{
    const uint64_t then_ns = fleet->heard_ns > fleet->connected_ns ? fleet->heard_ns : fleet->connected_ns;
    const uint64_t now_ns = fleet->ticks > 0 ? fleet->tick_ns[(fleet->ticks - 1) % FLEET_HISTORY] : 0;

    return fleet->reports > 0 && now_ns > then_ns && now_ns - then_ns > fleet->interval_ns + LATE_NS ? now_ns - then_ns : 0;
}

static void find_epoch(struct fleet *fleet)
{
    fleet->epoch = 0;
    fleet->epoch_ns = 0;
    for (int i = 0; i < fleet->node_end; i++) {
        const struct fleet_node *node = &fleet->nodes[i];

        if (!node->is_used || !node->has_reported || !is_recent(fleet, node->report_ns) || node->head.epoch < fleet->epoch)
            continue;
        if (node->head.epoch > fleet->epoch || node->report_ns > fleet->epoch_ns)
            fleet->epoch_ns = node->report_ns;
        fleet->epoch = node->head.epoch;
    }
}

/* Do the others go on in an epoch in which none has heard of this node? They know long before its silence shows here. A node in no epoch
 * says itself that it seeks one. */
static bool is_left_out(const struct fleet *fleet, const struct fleet_node *node)
{
    return (node->has_reported || fleet_is_unrecorded(fleet, node)) && node->head.epoch > 0 && node->head.epoch < fleet->epoch &&
           node->named_epoch < fleet->epoch && node->report_ns < fleet->epoch_ns && node->named_ns < fleet->epoch_ns;
}

/* Has the node, or another one, said that it leaves of its own accord? */
static bool has_left(const struct fleet_node *node)
{
    return node->state == FLEET_LEAVING || node->state == FLEET_LEFT || node->now.state == MESH_NODE_LEAVING ||
           (node->left_ns != 0 && node->report_ns <= node->left_ns);
}

static enum fleet_state state_of(const struct fleet *fleet, const struct fleet_node *node)
{
    const bool is_heard = node->has_reported && is_recent(fleet, node->report_ns);
    const bool is_named = is_recent(fleet, node->named_ns);

    if (is_left_out(fleet, node) && (is_heard || is_named))
        return has_left(node) ? FLEET_LEFT : FLEET_SUSPECTED;
    if (is_heard && (!is_named || node->named_state != MESH_NODE_SUSPECTED))
        return node->now.state == MESH_NODE_SEEKING   ? FLEET_SEEKING
               : node->now.state == MESH_NODE_LOADING ? FLEET_LOADING
               : node->now.state == MESH_NODE_LEAVING ? FLEET_LEAVING
                                                      : FLEET_UP;
    if (is_heard || (is_named && node->named_state == MESH_NODE_SUSPECTED))
        return FLEET_SUSPECTED;
    if (is_named)
        return node->has_reported                                                      ? FLEET_SILENT
               : fleet_is_unrecorded(fleet, node) && node->named_state == MESH_NODE_UP ? FLEET_UP
                                                                                       : FLEET_JOINING;
    return has_left(node) ? FLEET_LEFT : FLEET_DEAD;
}

static void look_after(struct fleet *fleet, struct fleet_node *node, uint64_t now_ns, int64_t wall_ns)
{
    const enum fleet_state state = state_of(fleet, node);
    const bool was_alive = fleet_is_alive(node->state);
    char rank[8];

    if (!fleet_is_alive(state) && was_alive) {
        const uint64_t heard_ns = node->report_ns > node->named_ns ? node->report_ns : node->named_ns;

        node->gone_wall_ns = wall_ns - (int64_t)(now_ns - heard_ns);
        snprintf(rank, sizeof rank, node->head.rank == MESH_TELEMETRY_NOBODY ? "-" : "%u", node->head.rank); /* it may have lost it */
        fleet_note(fleet, heard_ns, node->gone_wall_ns, state == FLEET_DEAD, "%s (rank %s) %s", node->address, rank,
                   state == FLEET_DEAD ? "is gone: no longer heard" : "has left");
    } else if (fleet_is_alive(state) && !was_alive) {
        fleet_note(fleet, now_ns, wall_ns, false, "%s is back", node->address);
    }
    node->state = state;
}

static void sample_requests(struct fleet *fleet)
{
    for (int i = 0; i < FLEET_REQUESTS; i++) {
        struct fleet_request *request = &fleet->requests[i];
        const double elapsed_ns = (double)request->now.age_ns - (double)request->before.age_ns;

        if (request->is_used && fleet_request_runs(request) && !is_recent(fleet, request->heard_ns)) {
            request->is_lost = true;
            request->tok_per_s = NAN;
        }
        if (!request->is_used || elapsed_ns <= 0)
            continue;
        request->tok_per_s = request->now.tokens >= request->before.tokens
                                 ? (float)((double)(request->now.tokens - request->before.tokens) * SECOND_NS / elapsed_ns)
                                 : NAN;
        request->before = request->now;
    }
}

void fleet_tick(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns)
{
    if (!fleet->is_connected)
        return;
    fleet->tick_ns[fleet->ticks % FLEET_HISTORY] = now_ns;
    fleet->tick_wall_ns[fleet->ticks % FLEET_HISTORY] = wall_ns;
    find_epoch(fleet);
    for (int i = 0; i < fleet->node_end; i++)
        if (fleet->nodes[i].is_used) {
            look_after(fleet, &fleet->nodes[i], now_ns, wall_ns);
            sample_node(fleet, &fleet->nodes[i]);
            fleet->nodes[i].sample[fleet->ticks % FLEET_HISTORY].rank = fleet->nodes[i].rank;
        }
    sample_requests(fleet);
    fleet->ticks++;
}
