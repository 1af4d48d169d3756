/* The --lab impairments of received datagrams: loss, duplication, reordering, delay; all drawn from the seed.
 *
 * Each received datagram is lost, or held until its time has come and then given out once (twice when duplicated). Holds at most
 * MESH_UDP_HELD_MAX datagrams; one that finds no room is lost. Only an experiment allocates here. */
#ifndef MESH_UDP_LAB_H
#define MESH_UDP_LAB_H

#include "libmesh/sim/heap.h"
#include "mesh/udp.h"

enum { MESH_UDP_HELD_MAX = 16384, MESH_UDP_LAB_STRAGGLE_NS = 500000 };

struct mesh_udp_held {
    struct mesh_addr from;
    size_t bytes;
    uint8_t packet[];
};

struct mesh_udp_lab {
    struct mesh_lab spec;
    struct mesh_heap held; /* of struct mesh_udp_held */
    uint64_t counter;      /* datagrams taken: the counter of the draws */
    uint64_t lost, duplicated, reordered;
};

void mesh_udp_lab_init(struct mesh_udp_lab *lab, const struct mesh_lab *spec);
void mesh_udp_lab_release(struct mesh_udp_lab *lab);

/* False: nothing received would be changed, so the driver may go past it. */
bool mesh_udp_lab_is_on(const struct mesh_udp_lab *lab);

/* Take a datagram that the kernel received at received_ns (monotonic). A reordered one straggles by up to
 * MESH_UDP_LAB_STRAGGLE_NS, a duplicate comes up to that much after the first. */
void mesh_udp_lab_take(struct mesh_udp_lab *lab, uint64_t received_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes);

/* The next datagram whose time has come, NULL when there is none; it stays the next one until mesh_udp_lab_drop. */
const struct mesh_udp_held *mesh_udp_lab_due(const struct mesh_udp_lab *lab, uint64_t now_ns);
void mesh_udp_lab_drop(struct mesh_udp_lab *lab);

/* When the next held datagram is due; UINT64_MAX for never. */
uint64_t mesh_udp_lab_next_ns(const struct mesh_udp_lab *lab);

#endif
