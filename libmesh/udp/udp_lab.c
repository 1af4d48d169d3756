#include "udp_lab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum udp_lab_draw { UDP_LAB_LOSS, UDP_LAB_DUPLICATE, UDP_LAB_DUPLICATE_BY, UDP_LAB_REORDER, UDP_LAB_REORDER_BY };

void mesh_udp_lab_init(struct mesh_udp_lab *lab, const struct mesh_lab *spec)
{
    memset(lab, 0, sizeof *lab);
    lab->spec = *spec;
    mesh_heap_init(&lab->held, MESH_UDP_HELD_MAX);
}

void mesh_udp_lab_release(struct mesh_udp_lab *lab)
{
    struct mesh_heap_entry entry;

    while (mesh_heap_pop(&lab->held, &entry))
        free(entry.item);
    mesh_heap_release(&lab->held);
}

bool mesh_udp_lab_is_on(const struct mesh_udp_lab *lab)
{
    return lab->spec.delay_ns > 0 || lab->spec.loss_ppm > 0 || lab->spec.duplicate_ppm > 0 || lab->spec.reorder_ppm > 0;
}

static uint64_t udp_lab_draw(const struct mesh_udp_lab *lab, enum udp_lab_draw which)
{
    return mesh_draw(lab->spec.seed, which, lab->counter);
}

static void udp_lab_hold(struct mesh_udp_lab *lab, uint64_t due_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes)
{
    struct mesh_udp_held *held = malloc(sizeof *held + packet_bytes);

    if (held == NULL || mesh_heap_push(&lab->held, due_ns, held) != 0) {
        free(held);
        lab->lost++;
        return;
    }
    held->from = from;
    held->bytes = packet_bytes;
    memcpy(held->packet, packet, packet_bytes);
}

void mesh_udp_lab_take(struct mesh_udp_lab *lab, uint64_t received_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes)
{
    uint64_t due_ns = received_ns + lab->spec.delay_ns;

    lab->counter++;
    if (mesh_draw_ppm(udp_lab_draw(lab, UDP_LAB_LOSS), lab->spec.loss_ppm)) {
        lab->lost++;
        return;
    }
    if (mesh_draw_ppm(udp_lab_draw(lab, UDP_LAB_REORDER), lab->spec.reorder_ppm)) {
        lab->reordered++;
        due_ns += 1 + mesh_draw_below(udp_lab_draw(lab, UDP_LAB_REORDER_BY), MESH_UDP_LAB_STRAGGLE_NS);
    }
    udp_lab_hold(lab, due_ns, from, packet, packet_bytes);
    if (mesh_draw_ppm(udp_lab_draw(lab, UDP_LAB_DUPLICATE), lab->spec.duplicate_ppm)) {
        lab->duplicated++;
        due_ns += mesh_draw_below(udp_lab_draw(lab, UDP_LAB_DUPLICATE_BY), MESH_UDP_LAB_STRAGGLE_NS);
        udp_lab_hold(lab, due_ns, from, packet, packet_bytes);
    }
}

const struct mesh_udp_held *mesh_udp_lab_due(const struct mesh_udp_lab *lab, uint64_t now_ns)
{
    const struct mesh_heap_entry *first = mesh_heap_first(&lab->held);

    return first != NULL && first->time_ns <= now_ns ? first->item : NULL;
}

void mesh_udp_lab_drop(struct mesh_udp_lab *lab)
{
    struct mesh_heap_entry entry;
    const bool popped = mesh_heap_pop(&lab->held, &entry);

    assert(popped);
    (void)popped;
    free(entry.item);
}

uint64_t mesh_udp_lab_next_ns(const struct mesh_udp_lab *lab)
{
    const struct mesh_heap_entry *first = mesh_heap_first(&lab->held);

    return first != NULL ? first->time_ns : UINT64_MAX;
}
