/* A bounded ring of entries of any size, after the many-to-one ring buffer of Aeron. */
#include "recorder_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/recorder.h"

enum { RING_HEAD_BYTES = 8 };

static const uint32_t ring_skip = UINT32_C(1) << 31; /* in the head: nothing in it, up to the end of the ring */

/* The head: 0 while the entry is not whole, then its bytes. */
static _Atomic uint32_t *ring_head(uint8_t *at)
{
    return (_Atomic uint32_t *)(void *)at;
}

static uint64_t ring_room(size_t bytes)
{
    return (RING_HEAD_BYTES + bytes + RECORDER_RING_ALIGN - 1) / RECORDER_RING_ALIGN * RECORDER_RING_ALIGN;
}

bool mesh_recorder_ring_is_valid(uint64_t capacity)
{
    return capacity >= MESH_RECORDER_RING_BYTES_MIN && capacity <= ring_skip && (capacity & (capacity - 1)) == 0;
}

int mesh_recorder_ring_open(struct recorder_ring *ring, uint64_t capacity)
{
    assert(mesh_recorder_ring_is_valid(capacity));
    *ring = (struct recorder_ring){.capacity = capacity};
    ring->bytes = aligned_alloc(64, capacity);
    if (ring->bytes == NULL)
        return MESH_ENOMEM;
    memset(ring->bytes, 0, capacity);
    return 0;
}

void mesh_recorder_ring_close(struct recorder_ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

uint8_t *mesh_recorder_ring_reserve(struct recorder_ring *ring, size_t bytes)
{
    uint64_t from = atomic_load_explicit(&ring->reserved, memory_order_relaxed), skipped, end;

    if (bytes > ring->capacity / 4)
        return NULL;
    do {
        const uint64_t to_end = ring->capacity - (from & (ring->capacity - 1));

        skipped = ring_room(bytes) > to_end ? to_end : 0;
        end = from + skipped + ring_room(bytes);
        /* Acquire: what the reader has wiped is seen as wiped. Negative where others were faster: then the exchange fails, too. */
        if ((int64_t)(end - atomic_load_explicit(&ring->released, memory_order_acquire)) > (int64_t)ring->capacity)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&ring->reserved, &from, end, memory_order_relaxed, memory_order_relaxed));
    uint8_t *const at = ring->bytes + (from & (ring->capacity - 1));
    if (skipped == 0)
        return at + RING_HEAD_BYTES;
    atomic_store_explicit(ring_head(at), ring_skip | (uint32_t)skipped, memory_order_release);
    return ring->bytes + RING_HEAD_BYTES;
}

void mesh_recorder_ring_commit(uint8_t *content, size_t bytes)
{
    assert(bytes > 0 && bytes < ring_skip);
    atomic_store_explicit(ring_head(content - RING_HEAD_BYTES), (uint32_t)bytes, memory_order_release);
}

uint64_t mesh_recorder_ring_used(struct recorder_ring *ring)
{
    /* In this order the difference is never negative. */
    const uint64_t released = atomic_load_explicit(&ring->released, memory_order_acquire);

    return atomic_load_explicit(&ring->reserved, memory_order_relaxed) - released;
}

/* The head of what is read next; 0: it is not whole, or there is none. */
static uint32_t ring_next_head(struct recorder_ring *ring)
{
    uint32_t head = ring_skip;

    while ((head & ring_skip) != 0) {
        if (ring->read - atomic_load_explicit(&ring->released, memory_order_relaxed) == ring->capacity)
            return 0; /* all of it is read; what stands here is the oldest */
        head = atomic_load_explicit(ring_head(ring->bytes + (ring->read & (ring->capacity - 1))), memory_order_acquire);
        if ((head & ring_skip) != 0)
            ring->read += head & ~ring_skip;
    }
    return head;
}

bool mesh_recorder_ring_has_next(struct recorder_ring *ring)
{
    return ring_next_head(ring) != 0;
}

const uint8_t *mesh_recorder_ring_next(struct recorder_ring *ring, size_t *bytes)
{
    const uint32_t head = ring_next_head(ring);
    const uint8_t *const at = ring->bytes + (ring->read & (ring->capacity - 1));

    if (head == 0)
        return NULL;
    ring->read += ring_room(head);
    *bytes = head;
    return at + RING_HEAD_BYTES;
}

uint64_t mesh_recorder_ring_unreleased(const struct recorder_ring *ring)
{
    return ring->read - atomic_load_explicit(&ring->released, memory_order_relaxed);
}

void mesh_recorder_ring_unread(struct recorder_ring *ring, uint64_t read)
{
    assert(read <= ring->read && read >= atomic_load_explicit(&ring->released, memory_order_relaxed));
    ring->read = read;
}

void mesh_recorder_ring_rewind(struct recorder_ring *ring)
{
    ring->read = atomic_load_explicit(&ring->released, memory_order_relaxed);
}

void mesh_recorder_ring_release(struct recorder_ring *ring)
{
    const uint64_t from = atomic_load_explicit(&ring->released, memory_order_relaxed), first = from & (ring->capacity - 1);
    const uint64_t count = ring->read - from, to_end = ring->capacity - first;

    memset(ring->bytes + first, 0, count < to_end ? count : to_end);
    if (count > to_end)
        memset(ring->bytes, 0, count - to_end);
    atomic_store_explicit(&ring->released, ring->read, memory_order_release);
}
