#include "fleet.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fleet_init(struct fleet *fleet)
{
    *fleet = (struct fleet){.interval_ns = 1000000000};
    fleet->nodes = calloc(FLEET_NODES_MAX, sizeof *fleet->nodes);
    fleet->events = calloc(FLEET_EVENTS, sizeof *fleet->events);
    fleet->requests = calloc(FLEET_REQUESTS, sizeof *fleet->requests);
    if (fleet->nodes != NULL && fleet->events != NULL && fleet->requests != NULL)
        return 0;
    fleet_release(fleet);
    return -1;
}

static void release_link(struct fleet_link *link)
{
    if (link == NULL)
        return;
    for (int i = 0; i < MESH_LATENCIES; i++) {
        free(link->latency[i]);
        free(link->latency_before[i]);
    }
    free(link);
}

static void release_node(struct fleet_node *node)
{
    for (int i = 0; i < FLEET_NODES_MAX; i++)
        release_link(node->links[i]);
    for (int i = 0; i < FLEET_STEPS; i++)
        free(node->steps[i].phases);
    free(node->workers);
    memset(node, 0, sizeof *node);
}

void fleet_clear(struct fleet *fleet)
{
    for (int i = 0; fleet->nodes != NULL && i < fleet->node_end; i++)
        if (fleet->nodes[i].is_used)
            release_node(&fleet->nodes[i]);
    if (fleet->events != NULL)
        memset(fleet->events, 0, fleet->events_kept * sizeof *fleet->events);
    if (fleet->requests != NULL)
        memset(fleet->requests, 0, FLEET_REQUESTS * sizeof *fleet->requests);
    *fleet = (struct fleet){.nodes = fleet->nodes, .events = fleet->events, .requests = fleet->requests, .interval_ns = fleet->interval_ns};
}

void fleet_release(struct fleet *fleet)
{
    fleet_clear(fleet);
    free(fleet->nodes);
    free(fleet->events);
    free(fleet->requests);
    memset(fleet, 0, sizeof *fleet);
}

/* ---- nodes ---- */

bool fleet_is_alive(enum fleet_state state)
{
    return state != FLEET_DEAD && state != FLEET_LEFT;
}

const char *fleet_state_name(enum fleet_state state)
{
    static const char *const names[] = {"seeking", "loading", "up", "joining", "suspected", "leaving", "silent", "left", "dead"};

    assert(state <= FLEET_DEAD);
    return names[state];
}

/* The event of a forgotten node stays, with the node's address. */
static void forget_in_event(const struct fleet *fleet, struct fleet_event *event, int node)
{
    if (event->node == node) {
        memcpy(event->reporter, fleet->nodes[node].address, sizeof event->reporter);
        event->node = FLEET_NOBODY;
    }
    if (event->about == node) {
        memcpy(event->subject, fleet->nodes[node].address, sizeof event->subject);
        event->about = FLEET_NOBODY;
    }
}

/* Remove a node from the others' links and requests. */
static void forget_node(struct fleet *fleet, int node)
{
    for (unsigned i = 0; i < fleet->events_kept; i++)
        forget_in_event(fleet, &fleet->events[i], node);
    release_node(&fleet->nodes[node]);
    for (int i = 0; i < fleet->node_end; i++) {
        struct fleet_node *other = &fleet->nodes[i];

        release_link(other->links[node]);
        other->links[node] = NULL;
        for (int rank = 0; rank < FLEET_RANKS_MAX; rank++)
            if (other->of_rank[rank] == node)
                other->of_rank[rank] = FLEET_NOBODY;
        for (int t = 0; t < FLEET_HISTORY; t++)
            if (other->sample[t].waits_for == node)
                other->sample[t].waits_for = FLEET_NOBODY;
        for (int step = 0; step < FLEET_STEPS; step++)
            if (other->steps[step].waited_for == node)
                other->steps[step].waited_for = FLEET_NOBODY;
    }
    for (int i = 0; i < FLEET_REQUESTS; i++)
        if (fleet->requests[i].node == node)
            fleet->requests[i] = (struct fleet_request){.node = FLEET_NOBODY};
}

static uint64_t last_heard_ns(const struct fleet_node *node)
{
    return node->report_ns > node->named_ns ? node->report_ns : node->named_ns;
}

/* A free place, or that of the node that has been gone longest. */
static int make_room(struct fleet *fleet)
{
    int oldest = FLEET_NOBODY;

    for (int i = 0; i < fleet->node_end; i++) {
        const struct fleet_node *node = &fleet->nodes[i];

        if (!node->is_used)
            return i;
        if (!fleet_is_alive(node->state) && (oldest < 0 || last_heard_ns(node) < last_heard_ns(&fleet->nodes[oldest])))
            oldest = i;
    }
    if (fleet->node_end < FLEET_NODES_MAX)
        return fleet->node_end++;
    if (oldest >= 0)
        forget_node(fleet, oldest);
    return oldest;
}

int fleet_find(struct fleet *fleet, const uint8_t ip[16], uint16_t port, uint64_t now_ns)
{
    struct fleet_node *node;
    int at;

    for (int i = 0; i < fleet->node_end; i++)
        if (fleet->nodes[i].is_used && fleet->nodes[i].addr.port == port && memcmp(fleet->nodes[i].addr.ip, ip, 16) == 0)
            return i;
    at = make_room(fleet);
    if (at < 0) {
        fleet->refused_full++;
        return FLEET_NOBODY;
    }
    node = &fleet->nodes[at];
    node->is_used = true;
    memcpy(node->addr.ip, ip, 16);
    node->addr.port = port;
    mesh_addr_format(node->addr, node->address);
    node->head.rank = node->rank = MESH_TELEMETRY_NOBODY;
    node->state = FLEET_JOINING;
    node->named_ns = now_ns;
    node->first_tick = fleet->ticks;
    for (int rank = 0; rank < FLEET_RANKS_MAX; rank++)
        node->of_rank[rank] = FLEET_NOBODY;
    return at;
}

/* 0.0.0.0 or [::], of any machine. */
static bool is_any(const struct mesh_addr *addr)
{
    static const uint8_t any[4] = {0};

    return mesh_addr_is_any(addr) || (mesh_addr_is_v4(addr) && memcmp(addr->ip + 12, any, sizeof any) == 0);
}

void fleet_move(struct fleet *fleet, int node, const uint8_t ip[16], uint16_t port)
{
    struct fleet_node *n = &fleet->nodes[node];
    struct mesh_addr addr = {.port = port};

    memcpy(addr.ip, ip, sizeof addr.ip);
    if (is_any(&addr) || (n->addr.port == port && memcmp(n->addr.ip, ip, 16) == 0))
        return;
    for (int i = 0; i < fleet->node_end; i++)
        if (i != node && fleet->nodes[i].is_used && fleet->nodes[i].addr.port == port && memcmp(fleet->nodes[i].addr.ip, ip, 16) == 0)
            forget_node(fleet, i);
    memcpy(n->addr.ip, ip, 16);
    n->addr.port = port;
    mesh_addr_format(n->addr, n->address);
}

int fleet_find_incarnation(const struct fleet *fleet, const uint8_t incarnation[16])
{
    for (int i = 0; i < fleet->node_end; i++)
        if (fleet->nodes[i].is_used && fleet->nodes[i].has_reported && memcmp(fleet->nodes[i].incarnation, incarnation, 16) == 0)
            return i;
    return FLEET_NOBODY;
}

bool fleet_request_runs(const struct fleet_request *request)
{
    return request->now.state < MESH_REQUEST_DONE && !request->is_lost;
}

const char *fleet_request_state(const struct fleet_request *request)
{
    return request->is_lost ? "unknown" : mesh_telemetry_request_name(request->now.state);
}

/* A dead node may have been the sequencer when it was last heard. */
static bool tells_more(const struct fleet_node *node, const struct fleet_node *other)
{
    if (node->now.is_sequencer != other->now.is_sequencer)
        return node->now.is_sequencer;
    if (!node->now.is_sequencer && node->head.epoch != other->head.epoch)
        return node->head.epoch > other->head.epoch;
    return node->report_ns > other->report_ns;
}

int fleet_witness(const struct fleet *fleet)
{
    int best = FLEET_NOBODY;

    for (int i = 0; i < fleet->node_end; i++) {
        const struct fleet_node *node = &fleet->nodes[i];

        if (node->is_used && node->has_reported && fleet_is_alive(node->state) && (best < 0 || tells_more(node, &fleet->nodes[best])))
            best = i;
    }
    return best;
}

/* ---- links ---- */

const struct fleet_link *fleet_link(const struct fleet *fleet, int from, int to)
{
    return from >= 0 && to >= 0 && fleet->nodes[to].is_used ? fleet->nodes[to].links[from] : NULL;
}

struct fleet_link *fleet_make_link(struct fleet *fleet, int from, int to)
{
    struct fleet_link **link = &fleet->nodes[to].links[from];

    if (*link == NULL && (*link = calloc(1, sizeof **link)) != NULL) {
        (*link)->first_tick = fleet->ticks;
        for (int i = 0; i < MESH_LATENCIES; i++)
            (*link)->last_us[i][0] = (*link)->last_us[i][1] = NAN;
    }
    return *link;
}

bool fleet_clock(const struct fleet *fleet, int node, int64_t *offset_ns, int *reference)
{
    int order[FLEET_NODES_MAX];
    const int count = fleet_order(fleet, order);

    for (int i = 0; i < count; i++) {
        const struct fleet_link *link = fleet_link(fleet, node, order[i]);

        if (order[i] == node) { /* no node before it knows: it is the reference itself */
            *offset_ns = 0;
            *reference = node;
            return true;
        }
        if (link != NULL && link->now.is_up && fleet->nodes[order[i]].has_reported) {
            *offset_ns = link->now.clock_offset_ns;
            *reference = order[i];
            return true;
        }
    }
    return false;
}

/* ---- steps ---- */

struct fleet_step_id fleet_step_id(const struct fleet_step *step)
{
    return (struct fleet_step_id){step->life, step->epoch, step->step.step};
}

int fleet_step_compare(struct fleet_step_id a, struct fleet_step_id b)
{
    if (a.life != b.life)
        return a.life > b.life ? 1 : -1;
    if (a.epoch != b.epoch)
        return a.epoch > b.epoch ? 1 : -1;
    return (a.number > b.number) - (a.number < b.number);
}

int fleet_step_waited_for(const struct fleet *fleet, int node, const struct fleet_step *step)
{
    const struct fleet_node *n = &fleet->nodes[node];
    const uint16_t rank = step->step.stall_rank;

    if (step->waited_for >= 0 || rank >= FLEET_RANKS_MAX || step->life != fleet->life || step->epoch != n->head.epoch)
        return step->waited_for;
    return n->of_rank[rank]; /* learned since */
}

/* ---- samples ---- */

bool fleet_has_tick(const struct fleet *fleet, uint64_t tick)
{
    return tick < fleet->ticks && tick >= fleet->first_tick && fleet->ticks - tick <= FLEET_HISTORY;
}

const struct node_sample *fleet_node_at(const struct fleet *fleet, int node, uint64_t tick)
{
    const struct fleet_node *n = &fleet->nodes[node];

    return n->is_used && fleet_has_tick(fleet, tick) && tick >= n->first_tick ? &n->sample[tick % FLEET_HISTORY] : NULL;
}

const struct link_sample *fleet_link_at(const struct fleet *fleet, int from, int to, uint64_t tick)
{
    const struct fleet_link *link = fleet_link(fleet, from, to);

    if (link == NULL || !fleet_has_tick(fleet, tick) || tick < link->first_tick || fleet->ticks - tick > FLEET_LINK_HISTORY)
        return NULL;
    return &link->sample[tick % FLEET_LINK_HISTORY];
}

enum fleet_state fleet_state_at(const struct fleet *fleet, int node, uint64_t tick)
{
    const struct node_sample *sample = tick + 1 < fleet->ticks ? fleet_node_at(fleet, node, tick) : NULL;

    return sample != NULL ? (enum fleet_state)sample->state : fleet->nodes[node].state;
}

bool fleet_is_within(const struct fleet *fleet, uint64_t tick, unsigned back, unsigned ticks)
{
    return back < ticks && back <= tick && fleet_has_tick(fleet, tick - back) &&
           fleet->tick_ns[tick % FLEET_HISTORY] - fleet->tick_ns[(tick - back) % FLEET_HISTORY] <= ticks * fleet->interval_ns;
}

/* What the receiver counts, less the probes among it, of which the sender tells. */
uint64_t fleet_lost(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks)
{
    uint64_t lost = 0, probes = 0;

    for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
        const struct link_sample *sample = fleet_link_at(fleet, from, to, tick - i), *back = fleet_link_at(fleet, to, from, tick - i);

        if (sample == NULL)
            break;
        lost += sample->begins ? 0 : sample->lost;
        probes += back != NULL ? back->probes_lost : 0;
    }
    return lost > probes ? lost - probes : 0;
}

double fleet_loss(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks)
{
    double sent = 0;

    for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
        const struct link_sample *sample = fleet_link_at(fleet, from, to, tick - i);

        if (sample == NULL)
            break;
        if (sample->begins)
            continue;
        sent += (double)sample->lost + sample->received;
    }
    return sent > 0 ? (double)fleet_lost(fleet, from, to, tick, ticks) / sent : NAN;
}

bool fleet_has_latency(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks)
{
    for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
        const struct link_sample *sample = fleet_link_at(fleet, from, to, tick - i);

        if (sample == NULL || sample->is_fresh)
            return sample != NULL;
    }
    return false;
}

double fleet_waits(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks)
{
    double waited = 0, open = 0;

    for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
        const struct link_sample *link = fleet_link_at(fleet, from, to, tick - i);
        const struct node_sample *node = fleet_node_at(fleet, to, tick - i);

        if (link == NULL || node == NULL || !node->is_fresh || isnan(node->time[TIME_IDLE]) || isnan(link->waits))
            continue;
        waited += (double)link->waits;
        open += 1 - (double)node->time[TIME_IDLE];
    }
    return open > 0.001 ? fmin(waited / open, 1) : NAN;
}

double fleet_open(const struct fleet *fleet, uint64_t tick)
{
    double most = NAN;

    for (int i = 0; i < fleet->node_end; i++) {
        const struct node_sample *sample = fleet_node_at(fleet, i, tick);

        if (sample != NULL && sample->is_fresh && !isnan(sample->time[TIME_IDLE]) && !(1 - (double)sample->time[TIME_IDLE] <= most))
            most = 1 - (double)sample->time[TIME_IDLE];
    }
    return most;
}

/* How well a sample tells what the mesh does: it is of this interval, and its node takes part. */
static int sample_worth(const struct node_sample *sample)
{
    return 2 * sample->is_fresh + (sample->state == FLEET_UP);
}

/* A mean, since the greatest of several figures, each of an interval that begins and ends at another time, is too great on average. */
float fleet_tok_per_s(const struct fleet *fleet, uint64_t tick)
{
    double sum = 0;
    int count = 0, best = -1;

    for (int i = 0; i < fleet->node_end; i++) {
        const struct node_sample *sample = fleet_node_at(fleet, i, tick);

        if (sample == NULL || isnan(sample->tok_per_s) || sample_worth(sample) < best)
            continue;
        if (sample_worth(sample) > best)
            sum = count = 0;
        best = sample_worth(sample);
        sum += (double)sample->tok_per_s;
        count++;
    }
    return count > 0 ? (float)(sum / count) : NAN;
}

void fleet_reset(struct fleet *fleet)
{
    fleet->first_tick = fleet->ticks;
    fleet->events_kept = 0;
    for (int i = 0; i < fleet->node_end; i++)
        if (fleet->nodes[i].is_used && !fleet_is_alive(fleet->nodes[i].state))
            forget_node(fleet, i);
    for (int i = 0; i < FLEET_REQUESTS; i++)
        if (!fleet_request_runs(&fleet->requests[i]))
            fleet->requests[i].is_used = false;
}

/* ---- the connection ---- */

void fleet_set_connected(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns, bool is_connected, const char *why)
{
    if (is_connected == fleet->is_connected && fleet->connected_ns != 0) {
        snprintf(fleet->connection, sizeof fleet->connection, "%s", why);
        return;
    }
    fleet->is_connected = is_connected;
    fleet->connected_ns = now_ns;
    snprintf(fleet->connection, sizeof fleet->connection, "%s", why);
    if (is_connected)
        fleet_note(fleet, now_ns, wall_ns, false, "connected to %s", why);
    else
        fleet_note(fleet, now_ns, wall_ns, true, "no connection: %.180s", why);
}
