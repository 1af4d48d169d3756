#include "heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/err.h"

enum { HEAP_CAPACITY_FIRST = 64 };

void mesh_heap_init(struct mesh_heap *heap, size_t limit)
{
    assert(limit > 0);
    memset(heap, 0, sizeof *heap);
    heap->limit = limit;
}

void mesh_heap_release(struct mesh_heap *heap)
{
    free(heap->entries);
    memset(heap, 0, sizeof *heap);
}

static bool heap_is_before(const struct mesh_heap_entry *a, const struct mesh_heap_entry *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->sequence < b->sequence;
}

static int heap_grow(struct mesh_heap *heap)
{
    const size_t capacity = heap->capacity == 0 ? HEAP_CAPACITY_FIRST : heap->capacity * 2;
    struct mesh_heap_entry *entries = realloc(heap->entries, capacity * sizeof *entries);

    if (entries == NULL)
        return MESH_ENOMEM;
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

int mesh_heap_push(struct mesh_heap *heap, uint64_t time_ns, void *item)
{
    const struct mesh_heap_entry entry = {time_ns, heap->sequence, item};
    size_t at = heap->count;

    if (heap->count == heap->limit)
        return MESH_AGAIN;
    if (heap->count == heap->capacity && heap_grow(heap) != 0)
        return MESH_ENOMEM;
    heap->sequence++;
    heap->count++;
    while (at > 0 && heap_is_before(&entry, &heap->entries[(at - 1) / 2])) {
        heap->entries[at] = heap->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->entries[at] = entry;
    return 0;
}

const struct mesh_heap_entry *mesh_heap_first(const struct mesh_heap *heap)
{
    return heap->count > 0 ? &heap->entries[0] : NULL;
}

bool mesh_heap_pop(struct mesh_heap *heap, struct mesh_heap_entry *entry)
{
    struct mesh_heap_entry last;
    size_t at = 0;

    if (heap->count == 0)
        return false;
    *entry = heap->entries[0];
    last = heap->entries[--heap->count];
    for (size_t child = 1; child < heap->count; child = 2 * at + 1) {
        if (child + 1 < heap->count && heap_is_before(&heap->entries[child + 1], &heap->entries[child]))
            child++;
        if (!heap_is_before(&heap->entries[child], &last))
            break;
        heap->entries[at] = heap->entries[child];
        at = child;
    }
    heap->entries[at] = last;
    return true;
}
