/* A queue of what is to happen when: a binary min-heap ordered by (time, order of insertion), so that ties are first in, first out.
 *
 * Used for datagrams on a simulated wire and for those the --lab impairments hold back. Grows as needed up to its limit. */
#ifndef MESH_HEAP_H
#define MESH_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mesh_heap_entry {
    uint64_t time_ns;
    uint64_t sequence;
    void *item; /* not owned */
};

struct mesh_heap {
    struct mesh_heap_entry *entries; /* (capacity); entry i is not later than 2i+1 and 2i+2 */
    size_t count, capacity, limit;
    uint64_t sequence;
};

void mesh_heap_init(struct mesh_heap *heap, size_t limit);
void mesh_heap_release(struct mesh_heap *heap); /* the entries, not the items */

/* MESH_AGAIN: the limit is reached. MESH_ENOMEM. */
int mesh_heap_push(struct mesh_heap *heap, uint64_t time_ns, void *item);

/* The earliest entry, NULL when empty; valid until the next push or pop. */
const struct mesh_heap_entry *mesh_heap_first(const struct mesh_heap *heap);

/* Remove the earliest entry into *entry; false when empty. */
bool mesh_heap_pop(struct mesh_heap *heap, struct mesh_heap_entry *entry);

#endif
