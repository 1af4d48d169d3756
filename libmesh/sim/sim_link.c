/* What a simulated wire does to a datagram. Every random choice is a draw of (seed, link and kind, ordinal of the datagram on the link), so
 * no link depends on what happens on another. */
#include "sim_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum sim_draw { SIM_LOSS, SIM_DUPLICATE, SIM_DUPLICATE_BY, SIM_REORDER, SIM_FLIP, SIM_FLIP_WHERE, SIM_DRAWS };

static struct mesh_sim_wire *sim_wire(struct mesh_sim *sim, uint16_t from, uint16_t to)
{
    assert(from < sim->rank_count && to < sim->rank_count && from != to);
    return &sim->wires[(size_t)from * sim->rank_count + to];
}

bool mesh_sim_link_is_valid(const struct mesh_sim_link *link)
{
    const uint32_t ppm[] = {link->loss_ppm, link->duplicate_ppm, link->reorder_ppm, link->bit_flip_ppm};

    for (unsigned i = 0; i < sizeof ppm / sizeof *ppm; i++)
        if (ppm[i] > 1000000)
            return false;
    return link->rate_bits_per_s == 0 || link->rate_bits_per_s >= 1000;
}

void mesh_sim_set_link(struct mesh_sim *sim, uint16_t from, uint16_t to, const struct mesh_sim_link *link)
{
    assert(mesh_sim_link_is_valid(link));
    sim_wire(sim, from, to)->link = *link;
}

void mesh_sim_drop_mask(struct mesh_sim *sim, uint16_t from, uint16_t to, uint64_t mask)
{
    sim_wire(sim, from, to)->drop_mask = mask;
}

void mesh_sim_block(struct mesh_sim *sim, uint16_t from, uint16_t to, bool blocked)
{
    sim_wire(sim, from, to)->is_blocked = blocked;
}

/* What a datagram takes at a rate. */
static uint64_t sim_send_ns(uint64_t rate_bits_per_s, size_t bytes)
{
    return (bytes + MESH_SIM_OVERHEAD_BYTES) * 8000000 / (rate_bits_per_s / 1000);
}

uint64_t mesh_sim_port_pass(struct mesh_sim_port *port, uint64_t now_ns, size_t bytes)
{
    if (port->rate_bits_per_s == 0)
        return now_ns;
    port->free_ns = (port->free_ns > now_ns ? port->free_ns : now_ns) + sim_send_ns(port->rate_bits_per_s, bytes);
    return port->free_ns;
}

void mesh_sim_set_port(struct mesh_sim *sim, uint16_t rank, uint64_t rate_bits_per_s)
{
    assert(rank < sim->rank_count && (rate_bits_per_s == 0 || rate_bits_per_s >= 1000));
    sim->nodes[rank].sends.rate_bits_per_s = sim->nodes[rank].receives.rate_bits_per_s = rate_bits_per_s;
}

/* Occupy the sender's queue. False: it is full. */
static bool sim_wire_queue(struct mesh_sim_wire *wire, uint64_t now_ns, size_t bytes)
{
    const struct mesh_sim_link *link = &wire->link;
    const uint64_t free_ns = wire->free_ns > now_ns ? wire->free_ns : now_ns;
    uint64_t send_ns, queue_ns;

    if (link->rate_bits_per_s == 0) {
        wire->free_ns = free_ns;
        return true;
    }
    send_ns = sim_send_ns(link->rate_bits_per_s, bytes);
    queue_ns = (uint64_t)link->queue_bytes * 8000000 / (link->rate_bits_per_s / 1000);
    if (link->queue_bytes != 0 && free_ns + send_ns - now_ns > queue_ns)
        return false;
    wire->free_ns = free_ns + send_ns;
    return true;
}

/* Why the datagram is lost on the wire: the counter of the reason, or NULL. Takes the mask's next bit. */
static uint64_t *sim_wire_lose(struct mesh_sim *sim, uint64_t at_ns, struct mesh_sim_wire *wire, bool is_unheard,
                               const uint64_t draws[SIM_DRAWS], size_t bytes)
{
    const struct mesh_sim_link *link = &wire->link;
    const bool masked = (wire->drop_mask & 1) != 0;
    const bool too_large = link->datagram_bytes_max != 0 && bytes > link->datagram_bytes_max;

    wire->drop_mask >>= 1;
    if (too_large)
        return &sim->stats.lost_too_large;
    if (!sim_wire_queue(wire, at_ns, bytes))
        return &sim->stats.lost_in_queue;
    if (masked)
        return &sim->stats.lost_by_mask;
    if (wire->is_blocked || is_unheard)
        return &sim->stats.lost_blocked;
    if (mesh_draw_ppm(draws[SIM_LOSS], link->loss_ppm))
        return &sim->stats.lost_at_random;
    if (mesh_draw_ppm(draws[SIM_FLIP], link->bit_flip_ppm) && !link->checksum_off)
        return &sim->stats.lost_checksum;
    return NULL;
}

static void sim_wire_deliver(struct mesh_sim *sim, uint64_t arrives_ns, const struct mesh_sim_packet *model, const uint8_t *packet,
                             const uint64_t *flipped_bit)
{
    struct mesh_sim_packet *copy = malloc(sizeof *copy + model->bytes);

    if (copy == NULL)
        mesh_sim_abort(sim, "out of memory");
    *copy = *model;
    memcpy(copy->data, packet, model->bytes);
    if (flipped_bit != NULL && model->bytes > 0) {
        const uint64_t bit = mesh_draw_below(*flipped_bit, model->bytes * 8);

        copy->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sim->stats.flipped++;
    }
    mesh_sim_schedule(sim, arrives_ns, &copy->item);
}

void mesh_sim_wire_send_at(struct mesh_sim *sim, uint64_t at_ns, uint16_t from, uint16_t to, bool by_group, const uint8_t *packet,
                           size_t bytes)
{
    struct mesh_sim_wire *wire = sim_wire(sim, from, to);
    const struct mesh_sim_link *link = &wire->link;
    const struct mesh_sim_packet model = {{SIM_PACKET}, from, to, false, false, sim->nodes[to].generation, bytes, NULL};
    uint64_t draws[SIM_DRAWS], arrives_ns, *reason;
    bool flipped;

    for (uint64_t i = 0; i < SIM_DRAWS; i++)
        draws[i] = mesh_draw(sim->seed, ((uint64_t)from << 32 | (uint64_t)to << 16) + i, wire->ordinal);
    wire->ordinal++;
    sim->stats.sent++;
    reason = sim_wire_lose(sim, at_ns, wire, by_group && sim->nodes[to].is_deaf, draws, bytes);
    if (sim->watch != NULL)
        sim->watch(sim->watch_app, sim->now_ns, from, to, packet, bytes, reason != NULL);
    if (reason != NULL) {
        ++*reason;
        sim->stats.lost++;
        return;
    }
    arrives_ns = wire->free_ns + link->delay_ns;
    if (mesh_draw_ppm(draws[SIM_REORDER], link->reorder_ppm)) {
        sim->stats.reordered++;
        arrives_ns += link->reorder_ns;
    }
    flipped = mesh_draw_ppm(draws[SIM_FLIP], link->bit_flip_ppm);
    sim_wire_deliver(sim, arrives_ns, &model, packet, flipped ? &draws[SIM_FLIP_WHERE] : NULL);
    if (mesh_draw_ppm(draws[SIM_DUPLICATE], link->duplicate_ppm)) {
        sim->stats.duplicated++;
        arrives_ns += mesh_draw_below(draws[SIM_DUPLICATE_BY], link->delay_ns / 2 + 1);
        sim_wire_deliver(sim, arrives_ns, &model, packet, NULL);
    }
}

void mesh_sim_wire_send(struct mesh_sim *sim, uint16_t from, uint16_t to, bool by_group, const uint8_t *packet, size_t bytes)
{
    const uint64_t at_ns = mesh_sim_port_pass(&sim->nodes[from].sends, sim->now_ns, bytes);

    mesh_sim_wire_send_at(sim, at_ns, from, to, by_group, packet, bytes);
}
