/* A bounded lock-free queue of request ids, with one writer at a time and one reader at a time. */
#ifndef NODE_ID_RING_H
#define NODE_ID_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { ID_RING_MAX = 256 };

/* All zeros: empty. */
struct id_ring {
    _Atomic uint32_t head, tail; /* taken, put */
    uint64_t id[ID_RING_MAX];
};

/* False: full. */
static inline bool id_ring_put(struct id_ring *ring, uint64_t id)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    if (tail - atomic_load_explicit(&ring->head, memory_order_acquire) >= ID_RING_MAX)
        return false;
    ring->id[tail % ID_RING_MAX] = id;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* False: empty. */
static inline bool id_ring_take(struct id_ring *ring, uint64_t *id)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (head == atomic_load_explicit(&ring->tail, memory_order_acquire))
        return false;
    *id = ring->id[head % ID_RING_MAX];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

#endif
