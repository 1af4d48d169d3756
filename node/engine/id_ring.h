/* A bounded lock-free queue of request ids, with one writer at a time and one reader at a time.
 *
 * Each side stores its own index with release, after it has written or read the id, and loads the other's with acquire: so the reader sees
 * the id that was put, and the writer does not overwrite one that is still being read. */
#ifndef NODE_ID_RING_H
#define NODE_ID_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { ID_RING_MAX = 256 };

/* All zeros: empty. */
struct id_ring {
    _Atomic uint32_t head, tail; /* ids taken, and put, so far: of the reader, and of the writer; they wrap */
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
