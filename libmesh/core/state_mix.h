/* What hashes of protocol state are made of: one value after the other. For state_hash.c and cluster_state.c, which say little else. */
#ifndef MESH_STATE_MIX_H
#define MESH_STATE_MIX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mesh/mesh.h"

static inline uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static inline uint64_t mix_words(uint64_t hash, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = mix(hash, words[i]);
    return hash;
}

static inline uint64_t mix_bytes(uint64_t hash, const uint8_t bytes[16])
{
    uint64_t words[2];

    memcpy(words, bytes, sizeof words);
    return mix_words(hash, words, 2);
}

static inline uint64_t mix_addr(uint64_t hash, const struct mesh_addr *addr)
{
    return mix(mix_bytes(hash, addr->ip), (uint64_t)addr->scope << 16 | addr->port);
}

#endif
