/* The ring of gathers, by their ordinals. Inline, as several passes over it are made for each datagram. */
#ifndef MESH_CORE_RING_H
#define MESH_CORE_RING_H

#include <assert.h>

#include "core.h"

/* The oldest ordinal that has a slot. */
static inline uint64_t mesh_ordinal_first(const struct mesh *mesh)
{
    return mesh->opened > MESH_GATHERS_OPEN_MAX ? mesh->opened - MESH_GATHERS_OPEN_MAX : 0;
}

/* Its gather may be freed already. */
static inline struct mesh_slot *mesh_slot_at(struct mesh *mesh, uint64_t ordinal)
{
    assert(ordinal < mesh->opened && mesh->opened - ordinal <= MESH_GATHERS_OPEN_MAX);
    return &mesh->slots[ordinal % MESH_GATHERS_OPEN_MAX];
}

#endif
