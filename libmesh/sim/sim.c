/* Nodes on virtual time. A node is fed as the UDP driver feeds it: what has arrived, a tick when one is due, then what it has to say goes
 * out, then its application works. While work takes time, arrivals wait in the node's buffer; its output leaves when it ends. */
#include "sim_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mesh_sim_abort(const struct mesh_sim *sim, const char *what)
{
    fprintf(stderr, "simulator: %s: at %" PRIu64 " ns, event %" PRIu64 ", seed %" PRIu64 "\n", what, sim->now_ns, sim->stats.events,
            sim->seed);
    abort();
}

void mesh_sim_schedule(struct mesh_sim *sim, uint64_t time_ns, struct sim_item *item)
{
    assert(time_ns >= sim->now_ns);
    if (mesh_heap_push(&sim->heap, time_ns, item) != 0)
        mesh_sim_abort(sim, "more events under way than MESH_SIM_EVENTS_MAX, or out of memory");
}

struct mesh_addr mesh_sim_addr(uint16_t rank)
{
    return (struct mesh_addr){.ip = {0xfd, [15] = 1}, .port = rank};
}

/* ---- buffers ---- */

/* What the kernel charges a socket for a datagram: its data with headroom and trailer in a block of a power of two (of whole pages when
 * large), and the descriptor. 2304 bytes for one of 1200 to 1600. */
static uint64_t sim_charge(size_t bytes)
{
    const uint64_t needed = bytes + 384;
    uint64_t block = 512;

    if (needed > 8192)
        return (needed + 4095) / 4096 * 4096 + 256;
    while (block < needed)
        block *= 2;
    return block + 256;
}

static void sim_lose(struct mesh_sim *sim, struct mesh_sim_packet *packet, uint64_t *reason)
{
    ++*reason;
    sim->stats.lost++;
    free(packet);
}

/* Into the receiver's buffer. False: lost, since the receiver is or was down, or the buffer is full. */
static bool sim_arrive(struct mesh_sim *sim, struct mesh_sim_packet *packet)
{
    struct mesh_sim_node *node = &sim->nodes[packet->to];
    const uint64_t charge = sim_charge(packet->bytes);

    if (node->endpoint.core == NULL || node->generation != packet->generation) {
        sim_lose(sim, packet, &sim->stats.lost_to_crashed);
        return false;
    }
    if (node->buffer_bytes != 0 && node->buffer_used + charge > node->buffer_bytes) {
        sim_lose(sim, packet, &sim->stats.lost_in_buffer);
        return false;
    }
    node->buffer_used += charge;
    packet->next = NULL;
    if (node->first == NULL)
        node->first = packet;
    else
        node->last->next = packet;
    node->last = packet;
    return true;
}

static void sim_buffer_pop(struct mesh_sim_node *node)
{
    struct mesh_sim_packet *packet = node->first;

    node->first = packet->next;
    node->buffer_used -= sim_charge(packet->bytes);
    free(packet);
}

/* ---- nodes ---- */

static void sim_wake_at(struct mesh_sim *sim, struct mesh_sim_node *node, uint64_t time_ns)
{
    time_ns = time_ns > sim->now_ns ? time_ns : sim->now_ns;
    if (time_ns < node->wake_ns) {
        node->wake_ns = time_ns;
        mesh_sim_schedule(sim, time_ns, &node->item);
    }
}

static uint16_t sim_rank(const struct mesh_sim *sim, const struct mesh_sim_node *node)
{
    return (uint16_t)(node - sim->nodes);
}

static void sim_send(struct mesh_sim *sim, uint16_t from, const struct mesh_output *output)
{
    struct mesh_sim_port *port = &sim->nodes[from].sends;
    uint64_t group_ns;

    assert(output->bytes <= sizeof sim->packet);
    group_ns = output->group != 0 ? mesh_sim_port_pass(port, sim->now_ns, output->bytes) : 0;
    for (uint64_t ranks = output->ranks; ranks != 0; ranks &= ranks - 1) {
        const uint16_t to = (uint16_t)__builtin_ctzll(ranks);
        const bool by_group = (output->group >> to & 1) != 0;

        mesh_sim_wire_send_at(sim, by_group ? group_ns : mesh_sim_port_pass(port, sim->now_ns, output->bytes), from, to, by_group,
                              sim->packet, output->bytes);
    }
    if (output->ranks == 0)
        mesh_sim_wire_send(sim, from, output->addr.port, false, sim->packet, output->bytes);
}

/* Put on the wire what the core has to say. Returns the datagrams taken. */
static uint32_t sim_take_output(struct mesh_sim *sim, struct mesh_sim_node *node)
{
    struct mesh_output output;
    uint32_t count = 0;

    while (node->endpoint.next_datagram(node->endpoint.core, sim->now_ns, sim->packet, sizeof sim->packet, &output)) {
        if (node->sealer == NULL || mesh_sealer_seal(node->sealer, sim->packet, output.bytes) == 0)
            sim_send(sim, sim_rank(sim, node), &output);
        if (++count > MESH_SIM_EVENTS_MAX)
            mesh_sim_abort(sim, "an endpoint does not stop sending");
    }
    return count;
}

/* Only once: a datagram that stayed in line has been opened already. */
static bool sim_open_packet(struct mesh_sim_node *node, struct mesh_sim_packet *packet)
{
    if (!packet->is_opened)
        packet->is_opened = node->sealer == NULL || mesh_sealer_open(node->sealer, packet->data, packet->bytes) == 0;
    return packet->is_opened;
}

static void sim_feed(struct mesh_sim *sim, struct mesh_sim_node *node)
{
    while (node->first != NULL) {
        struct mesh_sim_packet *packet = node->first;

        if (!sim_open_packet(node, packet))
            sim->stats.refused++;
        else if (node->endpoint.receive(node->endpoint.core, sim->now_ns, mesh_sim_addr(packet->from), packet->data, packet->bytes) ==
                 MESH_AGAIN)
            break; /* stays first in line, as in the UDP driver */
        sim->stats.delivered++;
        sim_buffer_pop(node);
    }
    if (node->endpoint.timeout(node->endpoint.core) <= sim->now_ns)
        node->endpoint.tick(node->endpoint.core, sim->now_ns);
}

/* True when the work takes time. The application is asked again after its output was taken: it may have waited for room. */
static bool sim_work(struct mesh_sim *sim, struct mesh_sim_node *node)
{
    do {
        const uint64_t work_ns = node->work != NULL ? node->work(node->app, sim->now_ns) : 0;

        if (node->endpoint.core == NULL)
            return true; /* the application crashed its own node */
        if (work_ns > 0) {
            node->is_working = true;
            node->busy_ns = sim->now_ns + work_ns;
            sim_wake_at(sim, node, node->busy_ns);
            return true;
        }
    } while (sim_take_output(sim, node) > 0);
    return false;
}

static void sim_step(struct mesh_sim *sim, struct mesh_sim_node *node)
{
    if (node->endpoint.core == NULL || node->is_paused)
        return;
    if (sim->now_ns < node->busy_ns) {
        sim_wake_at(sim, node, node->busy_ns);
        return;
    }
    if (node->is_working) {
        node->is_working = false;
        sim_take_output(sim, node);
    }
    sim_feed(sim, node);
    sim_take_output(sim, node);
    if (!sim_work(sim, node))
        sim_wake_at(sim, node, node->first != NULL ? sim->now_ns : node->endpoint.timeout(node->endpoint.core));
}

/* ---- public ---- */

int mesh_sim_open(struct mesh_sim **sim, uint16_t rank_count, uint64_t seed, const struct mesh_sim_link *link)
{
    struct mesh_sim *opened;

    if (rank_count == 0 || rank_count > MESH_RANKS_MAX || link == NULL || !mesh_sim_link_is_valid(link))
        return MESH_EINVAL;
    opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return MESH_ENOMEM;
    opened->wires = calloc((size_t)rank_count * rank_count, sizeof *opened->wires);
    if (opened->wires == NULL) {
        free(opened);
        return MESH_ENOMEM;
    }
    opened->seed = seed;
    opened->rank_count = rank_count;
    mesh_heap_init(&opened->heap, MESH_SIM_EVENTS_MAX);
    for (uint16_t from = 0; from < rank_count; from++) {
        opened->nodes[from].item.kind = SIM_NODE;
        opened->nodes[from].wake_ns = UINT64_MAX;
        for (uint16_t to = 0; to < rank_count; to++)
            if (from != to)
                mesh_sim_set_link(opened, from, to, link);
    }
    *sim = opened;
    return 0;
}

void mesh_sim_close(struct mesh_sim *sim)
{
    struct mesh_heap_entry entry;

    if (sim == NULL)
        return;
    for (uint16_t rank = 0; rank < sim->rank_count; rank++)
        mesh_sim_crash(sim, rank);
    while (mesh_heap_pop(&sim->heap, &entry)) {
        struct sim_item *item = entry.item;

        if (item->kind == SIM_PACKET)
            free(item); /* the packet's first member */
    }
    mesh_heap_release(&sim->heap);
    free(sim->wires);
    free(sim);
}

uint64_t mesh_sim_now_ns(const struct mesh_sim *sim)
{
    return sim->now_ns;
}

void mesh_sim_attach_endpoint(struct mesh_sim *sim, uint16_t rank, const struct mesh_sim_endpoint *endpoint, mesh_sim_work_fn *work,
                              void *app)
{
    struct mesh_sim_node *node = &sim->nodes[rank];

    assert(rank < sim->rank_count && node->endpoint.core == NULL);
    node->endpoint = *endpoint;
    node->work = work;
    node->app = app;
    node->is_paused = false;
    sim_wake_at(sim, node, sim->now_ns);
}

static int sim_mesh_receive(void *mesh, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes)
{
    return mesh_receive(mesh, now_ns, from, packet, packet_bytes);
}

static void sim_mesh_tick(void *mesh, uint64_t now_ns)
{
    mesh_tick(mesh, now_ns);
}

static uint64_t sim_mesh_timeout(const void *mesh)
{
    return mesh_timeout(mesh);
}

static bool sim_mesh_next_datagram(void *mesh, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    return mesh_next_datagram(mesh, now_ns, packet, capacity, output);
}

void mesh_sim_attach(struct mesh_sim *sim, uint16_t rank, struct mesh *mesh, mesh_sim_work_fn *work, void *app)
{
    const struct mesh_sim_endpoint endpoint = {mesh, sim_mesh_receive, sim_mesh_tick, sim_mesh_timeout, sim_mesh_next_datagram};

    for (uint16_t peer = 0; peer < sim->rank_count; peer++)
        if (peer != rank)
            mesh_set_peer(mesh, peer, mesh_sim_addr(peer));
    mesh_sim_attach_endpoint(sim, rank, &endpoint, work, app);
}

void mesh_sim_wake(struct mesh_sim *sim, uint16_t rank)
{
    assert(rank < sim->rank_count);
    if (sim->nodes[rank].endpoint.core != NULL)
        sim_wake_at(sim, &sim->nodes[rank], sim->now_ns);
}

void mesh_sim_pause(struct mesh_sim *sim, uint16_t rank, bool paused)
{
    assert(rank < sim->rank_count);
    sim->nodes[rank].is_paused = paused;
    if (!paused)
        mesh_sim_wake(sim, rank);
}

void mesh_sim_set_deaf(struct mesh_sim *sim, uint16_t rank, bool deaf)
{
    assert(rank < sim->rank_count);
    sim->nodes[rank].is_deaf = deaf;
}

void mesh_sim_set_sealer(struct mesh_sim *sim, uint16_t rank, struct mesh_sealer *sealer)
{
    assert(rank < sim->rank_count);
    sim->nodes[rank].sealer = sealer;
}

void mesh_sim_crash(struct mesh_sim *sim, uint16_t rank)
{
    struct mesh_sim_node *node = &sim->nodes[rank];

    assert(rank < sim->rank_count);
    while (node->first != NULL) {
        sim->stats.lost++;
        sim->stats.lost_to_crashed++;
        sim_buffer_pop(node);
    }
    node->endpoint.core = NULL;
    node->generation++;
    node->is_working = false;
    node->busy_ns = 0;
}

void mesh_sim_set_receive_buffer(struct mesh_sim *sim, uint16_t rank, uint64_t bytes)
{
    assert(rank < sim->rank_count);
    sim->nodes[rank].buffer_bytes = bytes;
}

static void sim_advance(struct mesh_sim *sim, uint64_t time_ns)
{
    assert(time_ns >= sim->now_ns);
    sim->stats.events++;
    sim->events_now = time_ns > sim->now_ns ? 0 : sim->events_now + 1;
    sim->now_ns = time_ns;
    if (sim->events_now > MESH_SIM_EVENTS_MAX)
        mesh_sim_abort(sim, "livelock: time does not advance");
}

static void sim_dispatch(struct mesh_sim *sim, const struct mesh_heap_entry *entry)
{
    struct sim_item *item = entry->item;

    if (item->kind == SIM_PACKET) {
        struct mesh_sim_packet *packet = (struct mesh_sim_packet *)item;
        const uint16_t to = packet->to;

        if (!packet->is_through) {
            const uint64_t through_ns = mesh_sim_port_pass(&sim->nodes[to].receives, sim->now_ns, packet->bytes);

            packet->is_through = true;
            if (through_ns > sim->now_ns) {
                mesh_sim_schedule(sim, through_ns, item);
                return;
            }
        }
        if (sim_arrive(sim, packet))
            sim_step(sim, &sim->nodes[to]);
    } else {
        struct mesh_sim_node *node = (struct mesh_sim_node *)item;

        if (node->wake_ns == entry->time_ns) { /* otherwise an earlier timer took its place */
            node->wake_ns = UINT64_MAX;
            sim_step(sim, node);
        }
    }
}

bool mesh_sim_run(struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app)
{
    const struct mesh_heap_entry *first;

    for (uint16_t rank = 0; rank < sim->rank_count; rank++)
        if (sim->nodes[rank].endpoint.core != NULL)
            sim_wake_at(sim, &sim->nodes[rank], sim->now_ns); /* the caller may have given it something to say */
    while ((first = mesh_heap_first(&sim->heap)) != NULL && first->time_ns <= deadline_ns) {
        struct mesh_heap_entry entry;

        mesh_heap_pop(&sim->heap, &entry);
        sim_advance(sim, entry.time_ns);
        sim_dispatch(sim, &entry);
        if (done != NULL && done(app))
            return true;
    }
    if (deadline_ns != UINT64_MAX && deadline_ns > sim->now_ns) {
        sim->now_ns = deadline_ns;
        sim->events_now = 0;
    }
    return false;
}

void mesh_sim_watch(struct mesh_sim *sim, mesh_sim_watch_fn *watch, void *app)
{
    sim->watch = watch;
    sim->watch_app = app;
}

void mesh_sim_get_stats(const struct mesh_sim *sim, struct mesh_sim_stats *stats)
{
    *stats = sim->stats;
}
