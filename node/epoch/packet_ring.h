/* Datagrams outside epochs, passed from the thread that polls the socket to the main thread: a bounded ring, one writer at a time.
 *
 * Writers hold the filter's lock, the reader is the main thread. A datagram without room is lost, as on a network. Each side stores its
 * index with release and loads the other's with acquire: the reader sees the whole datagram, and it is not overwritten before it is
 * dropped. */
#ifndef NODE_PACKET_RING_H
#define NODE_PACKET_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "mesh/mesh.h"

enum { PACKET_RING_PACKETS = 256, PACKET_RING_BYTES = 1500 };

struct packet_ring_entry {
    struct mesh_addr from;
    size_t size;
    uint8_t bytes[PACKET_RING_BYTES];
};

struct packet_ring {
    _Atomic uint32_t head, tail; /* datagrams put, and dropped, so far: of the writer, and of the reader; they wrap */
    struct packet_ring_entry packet[PACKET_RING_PACKETS];
};

/* False: no room, or larger than any datagram of these layers. */
static inline bool packet_ring_put(struct packet_ring *ring, struct mesh_addr from, const uint8_t *bytes, size_t size)
{
    const uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct packet_ring_entry *packet = &ring->packet[head % PACKET_RING_PACKETS];

    if (size > PACKET_RING_BYTES || head - atomic_load_explicit(&ring->tail, memory_order_acquire) == PACKET_RING_PACKETS)
        return false;
    packet->from = from;
    packet->size = size;
    memcpy(packet->bytes, bytes, size);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

static inline bool packet_ring_is_half_full(const struct packet_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) - atomic_load_explicit(&ring->tail, memory_order_relaxed) >=
           PACKET_RING_PACKETS / 2;
}

/* The oldest packet, to be dropped when handled; NULL: none. */
static inline struct packet_ring_entry *packet_ring_first(struct packet_ring *ring)
{
    const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    return atomic_load_explicit(&ring->head, memory_order_acquire) == tail ? NULL : &ring->packet[tail % PACKET_RING_PACKETS];
}

static inline void packet_ring_drop(struct packet_ring *ring)
{
    atomic_fetch_add_explicit(&ring->tail, 1, memory_order_release);
}

#endif
